//! The one place that reads clocks; everything else takes the time as an argument.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use keyward_core::decide::Now;

/// Wall clock and monotonic clock of this process.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    started: Instant,
}

impl Clock {
    /// Starts the monotonic clock at one hour, so that "an hour ago" is always representable.
    #[expect(clippy::disallowed_methods, reason = "this is the clock")]
    pub(crate) fn start() -> Self {
        Self { started: Instant::now() }
    }

    /// Unix milliseconds, UTC.
    #[expect(clippy::disallowed_methods, reason = "this is the clock")]
    pub(crate) fn unix_ms(self) -> i64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
    }

    /// Nanoseconds that never jump.
    pub(crate) fn monotonic_ns(self) -> u64 {
        const HOUR_NS: u64 = 3_600_000_000_000;
        u64::try_from(self.started.elapsed().as_nanos()).unwrap_or(u64::MAX - HOUR_NS) + HOUR_NS
    }

    /// Milliseconds that never jump.
    pub(crate) fn monotonic_ms(self) -> u64 {
        self.monotonic_ns() / 1_000_000
    }

    /// Both, for a decision.
    pub(crate) fn now(self) -> Now {
        Now { unix_ms: self.unix_ms(), monotonic_ns: self.monotonic_ns() }
    }
}

/// The present, for what the command line shows relative to it.
#[expect(clippy::disallowed_methods, reason = "this is the clock")]
pub(crate) fn timestamp() -> jiff::Timestamp {
    jiff::Timestamp::now()
}

/// RFC 3339 in UTC with milliseconds, as the API writes every `*_at`.
pub(crate) fn rfc3339(unix_ms: i64) -> String {
    Moment(unix_ms).with_text(str::to_owned)
}

/// Unix milliseconds that are shown as RFC 3339.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment(pub(crate) i64);

impl Moment {
    /// Writes the text into a buffer on the stack and hands it on: hot answers hold one each.
    pub(crate) fn with_text<T>(self, hand_on: impl FnOnce(&str) -> T) -> T {
        const DAY_MS: i64 = 86_400_000;
        let (days, ms) = (self.0.div_euclid(DAY_MS), self.0.rem_euclid(DAY_MS));
        let Some((year, month, day)) = civil(days) else {
            // Outside the years 0 to 9999 there is no such text.
            return hand_on(&self.0.to_string());
        };
        let mut text = *b"0000-00-00T00:00:00.000Z";
        let mut put = |at: usize, width: usize, mut value: i64| {
            for slot in text[at..at + width].iter_mut().rev() {
                *slot = b'0' + (value % 10) as u8;
                value /= 10;
            }
        };
        let seconds = ms / 1000;
        let parts = [(0, 4, year), (5, 2, month), (8, 2, day), (11, 2, seconds / 3600)];
        let more = [(14, 2, seconds / 60 % 60), (17, 2, seconds % 60), (20, 3, ms % 1000)];
        parts.into_iter().chain(more).for_each(|(at, width, value)| put(at, width, value));
        hand_on(std::str::from_utf8(&text).expect("digits are ASCII"))
    }
}

impl serde::Serialize for Moment {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.with_text(|text| serializer.serialize_str(text))
    }
}

/// Year, month and day of a day number since 1970-01-01, for the years 0 to 9999.
fn civil(days: i64) -> Option<(i64, i64, i64)> {
    let (year, month, day) = keyward_core::calendar::civil(days);
    (0..=9999).contains(&year).then_some((year, month, day))
}

/// Reads RFC 3339.
pub(crate) fn parse_rfc3339(text: &str) -> Option<i64> {
    text.parse::<jiff::Timestamp>().ok().map(jiff::Timestamp::as_millisecond)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn moments_read_as_the_calendar_library_writes_them(ms in -62_167_219_200_000_i64..253_402_207_199_999) {
            let expected = jiff::Timestamp::from_millisecond(ms).expect("in range");
            prop_assert_eq!(rfc3339(ms), format!("{expected:.3}"));
        }

        #[test]
        fn any_number_is_some_text(ms: i64) {
            prop_assert!(!rfc3339(ms).is_empty());
        }
    }
}
