//! Named rate limits by the generic cell rate algorithm (GCRA; X6).
//!
//! The whole state of a limit is one number, the *theoretical arrival time* in nanoseconds of a
//! monotonic clock; a limiter is a pure function from it to the next one.

use serde::{Deserialize, Serialize};

/// So many requests in so many seconds, with a burst of at most `burst` at once.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RateLimit {
    /// Shown in answers and in `RateLimit-Policy`; 1 to 64 characters `[a-z0-9_-]`.
    pub name: String,
    /// Requests allowed in each window.
    pub requests: u32,
    /// Length of the window in seconds.
    pub per_seconds: u32,
    /// Requests that may come at once; as many as `requests` unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub burst: Option<u32>,
}

/// Limits on one key or owner, at most.
pub const MAX_LIMITS: usize = 8;

/// What a limiter says to one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Whether the request is within the limit.
    pub allowed: bool,
    /// The state to keep; unchanged when refused.
    pub next: u64,
    /// Requests that would still be allowed at once.
    pub remaining: u32,
    /// Nanoseconds until the burst is whole again; when refused, until this request would pass.
    pub wait_ns: u64,
}

impl RateLimit {
    /// The first thing wrong with the numbers or the name, if any.
    #[must_use]
    pub fn problem(&self) -> Option<&'static str> {
        let named = (1..=64).contains(&self.name.len())
            && self.name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_-".contains(&b));
        if !named {
            return Some("name must be 1 to 64 characters of a-z 0-9 _ -");
        }
        if self.requests == 0 || self.requests > 1_000_000_000 {
            return Some("requests must be from 1 to 1000000000");
        }
        if self.per_seconds == 0 || self.per_seconds > 31_536_000 {
            return Some("per_seconds must be from 1 to 31536000 (a year)");
        }
        if self.burst.is_some_and(|burst| burst == 0 || burst > self.requests) {
            return Some("burst must be from 1 to requests");
        }
        None
    }

    /// Requests that may come at once.
    #[must_use]
    pub fn burst(&self) -> u32 {
        self.burst.unwrap_or(self.requests)
    }

    /// Nanoseconds that one request costs.
    fn interval_ns(&self) -> u64 {
        u64::from(self.per_seconds) * 1_000_000_000 / u64::from(self.requests.max(1))
    }

    /// Judges a request of `cost` units at `now_ns` against the state `arrival`.
    ///
    /// A cost of 0 asks without spending. A cost above the burst can never pass.
    #[must_use]
    pub fn judge(&self, arrival: u64, now_ns: u64, cost: u32) -> Verdict {
        let interval = self.interval_ns();
        let capacity = interval * u64::from(self.burst());
        let base = arrival.max(now_ns);
        let next = base.saturating_add(interval.saturating_mul(u64::from(cost)));
        let backlog = next - now_ns;
        if backlog > capacity {
            let remaining = units(capacity.saturating_sub(base - now_ns), interval);
            return Verdict { allowed: false, next: arrival, remaining, wait_ns: backlog - capacity };
        }
        let remaining = units(capacity - backlog, interval);
        Verdict { allowed: true, next, remaining, wait_ns: backlog }
    }
}

fn units(room: u64, interval: u64) -> u32 {
    u32::try_from(room / interval.max(1)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn limit(requests: u32, per_seconds: u32, burst: Option<u32>) -> RateLimit {
        RateLimit { name: "test".into(), requests, per_seconds, burst }
    }

    /// Runs arrivals (gaps in ns) through the limiter and returns the times that passed.
    fn run(limit: &RateLimit, gaps: &[u64]) -> Vec<u64> {
        let (mut arrival, mut now, mut passed) = (0, 1_000_000_000_000, Vec::new());
        for gap in gaps {
            now += gap;
            let verdict = limit.judge(arrival, now, 1);
            arrival = verdict.next;
            if verdict.allowed {
                passed.push(now);
            }
        }
        passed
    }

    #[test]
    fn burst_then_steady() {
        let limit = limit(10, 1, Some(3));
        assert_eq!(run(&limit, &[0; 20]).len(), 3);
        let one_per_interval = vec![100_000_000; 50];
        assert_eq!(run(&limit, &one_per_interval).len(), 50);
    }

    #[test]
    fn refusal_changes_nothing_and_tells_when() {
        let limit = limit(2, 3600, None);
        let first = limit.judge(0, 10, 1);
        let second = limit.judge(first.next, 10, 1);
        assert_eq!((first.remaining, second.remaining), (1, 0));
        let third = limit.judge(second.next, 10, 1);
        assert!(!third.allowed);
        assert_eq!(third.next, second.next);
        assert_eq!(third.wait_ns, 1_800_000_000_000);
        assert!(limit.judge(third.next, 10 + third.wait_ns, 1).allowed);
    }

    #[test]
    fn a_cost_above_the_burst_never_passes() {
        assert!(!limit(5, 1, None).judge(0, 1_000, 6).allowed);
        assert!(limit(5, 1, None).judge(0, 1_000, 5).allowed);
    }

    #[test]
    fn bad_numbers_are_named() {
        for bad in [limit(0, 1, None), limit(1, 0, None), limit(5, 1, Some(6)), limit(5, 1, Some(0))] {
            assert!(bad.problem().is_some(), "{bad:?}");
        }
        assert!(limit(5, 1, Some(5)).problem().is_none());
        assert!(RateLimit { name: "Ünicode".into(), ..limit(1, 1, None) }.problem().is_some());
    }

    proptest! {
        #[test]
        fn r8_never_above_limit_plus_burst_in_any_window(
            requests in 1_u32..50, per in 1_u32..20,
            gaps in prop::collection::vec(0_u64..400_000_000, 1..300),
        ) {
            let limit = limit(requests, per, None);
            let passed = run(&limit, &gaps);
            let window = u64::from(per) * 1_000_000_000;
            for (i, start) in passed.iter().enumerate() {
                let inside = passed[i..].iter().take_while(|t| **t < start + window).count();
                prop_assert!(inside <= 2 * requests as usize);
            }
        }

        #[test]
        fn r8_never_below_the_promised_rate(requests in 1_u32..1000, per in 1_u32..100) {
            let limit = limit(requests, per, Some(1));
            let gap = u64::from(per) * 1_000_000_000 / u64::from(requests) + 1;
            prop_assert_eq!(run(&limit, &vec![gap; 100]).len(), 100);
        }

        #[test]
        fn judge_is_total(arrival: u64, now: u64, cost: u32, requests in 1_u32..1_000_000_000, per in 1_u32..31_536_000) {
            let verdict = limit(requests, per, None).judge(arrival, now, cost);
            prop_assert!(verdict.remaining <= requests);
        }
    }
}
