//! Failed logins of one name: when the next attempt may come (VER-4).
//!
//! Five failures within a quarter of an hour cost nothing; from then on each doubles the wait, from
//! one second to an hour. A hundred in a row lock the name until somebody helps.

/// Failures that cost nothing.
const FREE: u32 = 5;
/// Failures in a row that lock the name.
pub const LOCKED_AT: u32 = 100;
/// Failures further apart than this, waits not counted, begin a new series.
const SERIES_MS: i64 = 15 * 60_000;
const SHORTEST_WAIT_MS: i64 = 1_000;
const LONGEST_WAIT_MS: i64 = 3_600_000;

/// What is known about failed logins of a name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Attempts {
    /// Failures since the last success.
    pub in_a_row: u32,
    /// Failures of the present series.
    pub series: u32,
    /// The last failure, Unix milliseconds.
    pub last_at: i64,
}

/// Whether an attempt may be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Yes.
    Free,
    /// Not before this time, Unix milliseconds.
    Wait(i64),
    /// Not until an administrator or a new password clears it.
    Locked,
}

impl Attempts {
    /// Whether an attempt may be made at `now`.
    #[must_use]
    pub fn verdict(&self, now: i64) -> Verdict {
        if self.in_a_row >= LOCKED_AT {
            return Verdict::Locked;
        }
        let until = self.last_at.saturating_add(self.wait_ms());
        if now < until { Verdict::Wait(until) } else { Verdict::Free }
    }

    /// The state after a failure at `now`.
    #[must_use]
    pub fn failed(&self, now: i64) -> Self {
        let over = now >= self.last_at.saturating_add(self.wait_ms() + SERIES_MS);
        let series = if over { 1 } else { self.series.saturating_add(1) };
        Self { in_a_row: self.in_a_row.saturating_add(1), series, last_at: now }
    }

    /// The wait after the last failure.
    fn wait_ms(&self) -> i64 {
        match self.series.checked_sub(FREE) {
            None => 0,
            Some(beyond) => (SHORTEST_WAIT_MS << beyond.min(20)).min(LONGEST_WAIT_MS),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: i64 = 1_000_000_000;

    #[test]
    fn ver_4_five_failures_are_free_then_the_wait_doubles_to_an_hour() {
        let (mut attempts, mut now) = (Attempts::default(), START);
        let mut waits = Vec::new();
        for _ in 0..20 {
            attempts = attempts.failed(now);
            let wait = match attempts.verdict(now) {
                Verdict::Free => 0,
                Verdict::Wait(until) => until - now,
                Verdict::Locked => panic!("locked too early"),
            };
            assert_eq!(attempts.verdict(now + wait), Verdict::Free);
            waits.push(wait / 1000);
            now += wait;
        }
        assert_eq!(waits[..8], [0, 0, 0, 0, 1, 2, 4, 8]);
        assert_eq!(waits[15..], [2048, 3600, 3600, 3600, 3600]);
    }

    #[test]
    fn ver_4_failures_far_apart_cost_nothing_but_a_hundred_in_a_row_lock() {
        let (mut attempts, mut now) = (Attempts::default(), START);
        for number in 1..=100 {
            assert_eq!(attempts.verdict(now), Verdict::Free, "attempt {number}");
            attempts = attempts.failed(now);
            now += SERIES_MS;
        }
        assert_eq!(attempts.series, 1);
        assert_eq!(attempts.verdict(i64::MAX), Verdict::Locked);
        assert_eq!(Attempts::default().verdict(0), Verdict::Free);
    }

    #[test]
    fn ver_4_waiting_out_a_delay_does_not_begin_a_new_series() {
        let mut attempts = Attempts::default();
        for _ in 0..16 {
            attempts = attempts.failed(START);
        }
        let Verdict::Wait(until) = attempts.verdict(START) else { panic!("a wait") };
        assert_eq!(until - START, 2_048_000);
        assert_eq!(attempts.failed(until).series, 17);
        assert_eq!(attempts.failed(until + SERIES_MS - 1).series, 17);
        assert_eq!(attempts.failed(until + SERIES_MS).series, 1);
    }
}
