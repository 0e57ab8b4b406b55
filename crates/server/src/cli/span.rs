//! Spans of time as people write them: `90d`, `12h`, `30m`, `45s`, `2w`; a bare number is seconds.

use std::time::Duration;

/// Reads a span; the error says what is accepted.
pub(crate) fn parse(text: &str) -> Result<Duration, String> {
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    let seconds_each: u64 = match unit {
        "" | "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        "w" => 604_800,
        _ => return Err("expected a number and one of s, m, h, d, w: 90d, 12h, 30m".to_owned()),
    };
    let number: u64 =
        number.parse().map_err(|_| "expected a number before the unit, as in 90d".to_owned())?;
    let seconds = number.checked_mul(seconds_each).filter(|seconds| i64::try_from(*seconds).is_ok());
    seconds.map(Duration::from_secs).ok_or_else(|| "that span is too long".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_read_and_anything_else_is_refused() {
        assert_eq!(parse("90d"), Ok(Duration::from_secs(7_776_000)));
        assert_eq!(parse("12h"), Ok(Duration::from_secs(43_200)));
        assert_eq!(parse("30m"), Ok(Duration::from_secs(1_800)));
        assert_eq!(parse("45"), Ok(Duration::from_secs(45)));
        assert_eq!(parse("2w"), Ok(Duration::from_secs(1_209_600)));
        for wrong in ["", "d", "-1d", "1.5h", "1y", "1 d", "99999999999999999w"] {
            assert!(parse(wrong).is_err(), "{wrong:?} was accepted");
        }
    }
}
