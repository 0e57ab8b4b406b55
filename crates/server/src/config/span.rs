//! Durations as people write them: a whole number and a unit.

use std::time::Duration;

/// What a duration must look like, for messages.
pub(super) const EXPECTED: &str = "a duration such as 250ms, 10s, 5m, 2h or 1d";

const UNITS: [(&str, u64); 5] = [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];

/// Reads `250ms`, `10s`, `5m`, `2h`, `1d`. A bare number is refused: its unit would be a guess.
pub(super) fn parse(text: &str) -> Option<Duration> {
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit())?);
    let (_, milliseconds) = UNITS.iter().find(|(name, _)| *name == unit)?;
    let total = number.parse::<u64>().ok()?.checked_mul(*milliseconds)?;
    Some(Duration::from_millis(total))
}

/// Writes a duration in the largest unit that fits it exactly.
pub(super) fn format(duration: Duration) -> String {
    let total = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let fits = |(_, size): &&(&str, u64)| total >= *size && total.is_multiple_of(*size);
    match UNITS.iter().rev().find(fits) {
        Some((name, size)) => format!("{}{name}", total / size),
        None => "0s".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_unit_is_read() {
        for (text, seconds) in [("0s", 0), ("10s", 10), ("5m", 300), ("2h", 7200), ("1d", 86_400)] {
            assert_eq!(parse(text), Some(Duration::from_secs(seconds)), "{text}");
        }
        assert_eq!(parse("250ms"), Some(Duration::from_millis(250)));
    }

    #[test]
    fn anything_else_is_refused() {
        let texts = ["", "10", "s", "-1s", "+1s", "1.5s", "10 s", " 10s", "10s ", "1m30s", "10S"];
        for text in texts.into_iter().chain(["99999999999999999999s", "18446744073709551615d"]) {
            assert_eq!(parse(text), None, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(milliseconds in any::<u64>()) {
            let duration = Duration::from_millis(milliseconds);
            prop_assert_eq!(parse(&format(duration)), Some(duration));
        }

        #[test]
        fn no_text_makes_it_panic(text in "\\PC{0,12}") {
            let _ = parse(&text);
        }
    }
}
