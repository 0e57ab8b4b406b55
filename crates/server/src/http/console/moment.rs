//! Moments as people read them: how far away, with the exact time beside.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::words::Words;

const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// A moment, ready for a `<time>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Moment {
    /// RFC 3339.
    pub(crate) iso: String,
    /// In the zone of who looks, and in UTC.
    pub(crate) exact: String,
    /// From now.
    pub(crate) relative: String,
    /// Before now.
    pub(crate) is_past: bool,
}

impl Moment {
    pub(crate) fn new(at_ms: i64, now_ms: i64, words: Words, zone: &TimeZone) -> Self {
        let exact = Timestamp::from_millisecond(at_ms).unwrap_or_default();
        Self {
            iso: exact.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            exact: told(exact, zone),
            relative: relative(at_ms - now_ms, words),
            is_past: at_ms <= now_ms,
        }
    }
}

/// A time in a zone, with UTC beside it: logs and the command line have that.
fn told(at: Timestamp, zone: &TimeZone) -> String {
    let utc = at.strftime("%Y-%m-%d %H:%M UTC").to_string();
    if *zone == TimeZone::UTC {
        return utc;
    }
    let there = at.to_zoned(zone.clone());
    format!("{}, {utc}", there.strftime("%Y-%m-%d %H:%M %Z"))
}

fn relative(distance_ms: i64, words: Words) -> String {
    let seconds = distance_ms.div_euclid(1000);
    let far = seconds.abs();
    // What was given 90 days a moment ago ends in 90 days.
    let near = |unit: i64| (far + unit / 2) / unit;
    let amount = match far {
        _ if far < MINUTE => return words.text("just now").to_owned(),
        _ if far < HOUR => words.count("1 minute|{} minutes", near(MINUTE)),
        _ if far < DAY => words.count("1 hour|{} hours", near(HOUR)),
        _ if far < 120 * DAY => words.count("1 day|{} days", near(DAY)),
        _ if far < 730 * DAY => words.count("1 month|{} months", near(30 * DAY)),
        _ => words.count("1 year|{} years", near(365 * DAY)),
    };
    if seconds < 0 { words.fill("{} ago", &[&amount]) } else { words.fill("in {}", &[&amount]) }
}

#[cfg(test)]
mod tests {
    use super::super::words::Language;
    use super::*;

    #[test]
    fn a_moment_is_told_from_now_and_exactly() {
        let at = |seconds: i64| Moment::new(seconds * 1000, 0, Words(Language::En), &TimeZone::UTC);
        for (seconds, told) in [
            (30, "just now"),
            (-59, "just now"),
            (60, "in 1 minute"),
            (-7200, "2 hours ago"),
            (6 * DAY, "in 6 days"),
            (90 * DAY, "in 90 days"),
            (150 * DAY, "in 5 months"),
            (-800 * DAY, "2 years ago"),
        ] {
            assert_eq!(at(seconds).relative, told);
        }
        let moment = at(DAY);
        assert_eq!(
            (moment.iso.as_str(), moment.exact.as_str()),
            ("1970-01-02T00:00:00Z", "1970-01-02 00:00 UTC")
        );
        let german = Moment::new(-7_200_000, 0, Words(Language::De), &TimeZone::UTC);
        assert_eq!(german.relative, "vor 2 Stunden");
    }

    #[test]
    fn a_moment_is_told_in_the_zone_of_who_looks_with_utc_beside() {
        let berlin = TimeZone::get("Europe/Berlin").expect("a zone");
        let at = |ms| Moment::new(ms, 0, Words(Language::En), &berlin);
        assert_eq!(at(1_000 * (DAY - HOUR)).exact, "1970-01-02 00:00 CET, 1970-01-01 23:00 UTC");
        assert_eq!(at(1_785_000_000_000).exact, "2026-07-25 19:20 CEST, 2026-07-25 17:20 UTC");
    }
}
