//! When keys rotate by themselves (BM13).

use serde::{Deserialize, Serialize};

const DAY_MS: i64 = 86_400_000;

/// How often a key gets a new secret, and how long the one before works on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Schedule {
    /// Days from one rotation to the next, 1 to 365.
    pub every_days: u32,
    /// Days in which old and new both work; less than `every_days`.
    pub grace_days: u32,
}

impl Default for Schedule {
    fn default() -> Self {
        Self { every_days: 30, grace_days: 15 }
    }
}

impl Schedule {
    /// What is wrong with it, if anything is.
    #[must_use]
    pub fn problem(&self) -> Option<&'static str> {
        match self {
            Self { every_days: 0 | 366.., .. } => Some("every_days must be from 1 to 365"),
            Self { every_days, grace_days } if grace_days >= every_days => {
                Some("grace_days must be less than every_days")
            }
            _ => None,
        }
    }

    /// The next rotation after `now`, Unix milliseconds: midnight UTC, so many days on.
    #[must_use]
    pub fn next(&self, now: i64) -> i64 {
        (now.div_euclid(DAY_MS) + i64::from(self.every_days)) * DAY_MS
    }

    /// Until when the older secret works after a rotation at `now`.
    #[must_use]
    pub fn overlap_ends(&self, now: i64) -> i64 {
        now + i64::from(self.grace_days) * DAY_MS
    }
}

/// Whether a key rotates by itself: `"never"`, or a schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Rotation {
    /// By hand alone.
    Never(Never),
    /// By itself.
    By(Schedule),
}

/// The word `never`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Never {
    /// Not at all.
    Never,
}

impl Rotation {
    /// The schedule, if there is one.
    #[must_use]
    pub fn schedule(self) -> Option<Schedule> {
        match self {
            Self::Never(_) => None,
            Self::By(schedule) => Some(schedule),
        }
    }
}

/// How keys that are made without a wish of their own rotate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RotationPolicy {
    /// Ingest keys.
    pub ingest: Rotation,
}

impl Default for RotationPolicy {
    fn default() -> Self {
        Self { ingest: Rotation::By(Schedule::default()) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn bm_13_thirty_days_with_fifteen_of_grace_unless_told_otherwise() {
        let usual = RotationPolicy::default().ingest.schedule().expect("a schedule");
        assert_eq!((usual.every_days, usual.grace_days), (30, 15));
        for (every_days, grace_days, good) in
            [(1, 0, true), (0, 0, false), (365, 364, true), (366, 1, false), (30, 30, false)]
        {
            assert_eq!(
                Schedule { every_days, grace_days }.problem().is_none(),
                good,
                "{every_days} {grace_days}"
            );
        }
    }

    proptest! {
        #[test]
        fn bm_13_a_rotation_is_at_midnight_and_never_early(now in 0_i64..4_000_000_000_000, every in 1_u32..366) {
            let schedule = Schedule { every_days: every, grace_days: every - 1 };
            let next = schedule.next(now);
            prop_assert_eq!(next % DAY_MS, 0);
            prop_assert!(next > now && next - now <= i64::from(every) * DAY_MS);
            prop_assert!(next - now > (i64::from(every) - 1) * DAY_MS);
            // Of three secrets never more than two work at a time.
            prop_assert!(schedule.overlap_ends(next) < schedule.next(next) || every == 1);
        }
    }
}
