//! Durations as they are written in configuration options: `14d`, `12 h`, `0`.

/// Units with their minutes; the first of a length is how it is written.
const UNITS: [(&str, i64); 14] = [
    ("d", 1440),
    ("h", 60),
    ("min", 1),
    ("day", 1440),
    ("days", 1440),
    ("hr", 60),
    ("hour", 60),
    ("hours", 60),
    ("minute", 1),
    ("minutes", 1),
    ("w", 10_080),
    ("wk", 10_080),
    ("week", 10_080),
    ("weeks", 10_080),
];

/// Minutes; `-1` is Keyward's own word for a rule that is off.
pub(super) fn parse(text: &str) -> Option<i64> {
    let text = text.trim();
    if text == "-1" {
        return Some(-1);
    }
    let end = text.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(text.len());
    let (digits, unit) = text.split_at(end);
    let count: i64 = digits.parse().ok()?;
    let unit = unit.trim();
    if unit.is_empty() {
        return (count == 0).then_some(0);
    }
    let (_, minutes) = UNITS.iter().find(|(name, _)| unit.eq_ignore_ascii_case(name))?;
    count.checked_mul(*minutes)
}

/// The same written in the largest unit that fits.
pub(super) fn spell(minutes: i64) -> String {
    if minutes <= 0 {
        return minutes.to_string();
    }
    let fits = UNITS.iter().find(|(_, length)| minutes % length == 0);
    fits.map_or_else(|| minutes.to_string(), |(unit, length)| format!("{}{unit}", minutes / length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sq_4_durations_as_people_write_them() {
        for (text, minutes) in [
            ("14d", 20_160),
            (" 14 days ", 20_160),
            ("2 weeks", 20_160),
            ("12h", 720),
            ("90MIN", 90),
            ("0", 0),
            ("0d", 0),
            ("-1", -1),
        ] {
            assert_eq!(parse(text), Some(minutes), "{text}");
        }
        for text in [
            "",
            "14",
            "d",
            "1.5d",
            "-2",
            "-1d",
            "14 fortnights",
            "1d2h",
            "99999999999999999999d",
            "9223372036854775807d",
            "١d",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn sq_4_what_is_spelled_reads_as_itself() {
        for (minutes, text) in
            [(20_160, "14d"), (720, "12h"), (61, "61min"), (1440, "1d"), (0, "0"), (-1, "-1")]
        {
            assert_eq!(spell(minutes), text);
            assert_eq!(parse(text), Some(minutes));
        }
    }
}
