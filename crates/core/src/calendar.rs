//! Days and months of the Gregorian calendar, UTC.

/// Milliseconds of a day.
pub const DAY_MS: i64 = 86_400_000;

/// Year, month and day of a day number since 1970-01-01: the months are counted from March, so that the
/// leap day comes last.
#[must_use]
pub fn civil(days: i64) -> (i64, i64, i64) {
    let from_march_0 = days + 719_468;
    let (era, day_of_era) = (from_march_0.div_euclid(146_097), from_march_0.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    (year, month, day)
}

/// Months since January 1970 of a day number.
#[must_use]
pub fn month_of(days: i64) -> i64 {
    let (year, month, _) = civil(days);
    (year - 1970) * 12 + month - 1
}

/// The day number of the first day of a month, counted as [`month_of`] does.
#[must_use]
pub fn first_of_month(months: i64) -> i64 {
    let (year, month) = (1970 + months.div_euclid(12), months.rem_euclid(12) + 1);
    let year = year - i64::from(month <= 2);
    let month_from_march = (month + 9) % 12;
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let day_of_year = (153 * month_from_march + 2) / 5;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_first_of_a_month_is_its_first_day(days in -700_000_i64..3_000_000) {
            let first = first_of_month(month_of(days));
            let (year, month, day) = civil(days);
            prop_assert_eq!(civil(first), (year, month, 1));
            prop_assert_eq!(first, days - (day - 1));
        }

        #[test]
        fn the_next_month_is_28_to_31_days_later(months in -20_000_i64..90_000) {
            let length = first_of_month(months + 1) - first_of_month(months);
            prop_assert!((28..=31).contains(&length));
        }
    }

    #[test]
    fn known_days() {
        for (days, expect) in
            [(0, (1970, 1, 1)), (-1, (1969, 12, 31)), (20_512, (2026, 2, 28)), (19_782, (2024, 2, 29))]
        {
            assert_eq!(civil(days), expect);
        }
    }
}
