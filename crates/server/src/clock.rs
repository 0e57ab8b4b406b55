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
    jiff::Timestamp::from_millisecond(unix_ms)
        .map_or_else(|_| unix_ms.to_string(), |time| format!("{time:.3}"))
}

/// Reads RFC 3339.
pub(crate) fn parse_rfc3339(text: &str) -> Option<i64> {
    text.parse::<jiff::Timestamp>().ok().map(jiff::Timestamp::as_millisecond)
}
