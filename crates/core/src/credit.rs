//! Credits: uses that a key or an owner is good for, and how they come back by themselves (X6).
//!
//! What lies in the store is one [`Purse`]. Nodes take credits out of it and spend them without asking.
//! A lease ends with the period in which it was taken: what is left of it then goes back, so that never
//! more than the cap can be spent from one refill to the next, however many nodes there are.

use serde::{Deserialize, Serialize};

use crate::calendar::{DAY_MS, first_of_month, month_of};

/// The most credits that anybody holds.
pub const MAX_CREDITS: i64 = 1_000_000_000_000;
const HOUR_MS: i64 = 3_600_000;
/// Days from 1970-01-01, a Thursday, back to the Monday before.
const TO_MONDAY: i64 = 3;

/// A part of the calendar, UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Period {
    /// From the full hour.
    Hour,
    /// From midnight.
    Day,
    /// From Monday.
    Week,
    /// From the first.
    Month,
}

impl Period {
    /// The number of the period that holds a time.
    fn number(self, at: i64) -> i64 {
        let days = at.div_euclid(DAY_MS);
        match self {
            Self::Hour => at.div_euclid(HOUR_MS),
            Self::Day => days,
            Self::Week => (days + TO_MONDAY).div_euclid(7),
            Self::Month => month_of(days),
        }
    }

    /// When a period begins.
    fn start(self, number: i64) -> i64 {
        match self {
            Self::Hour => number * HOUR_MS,
            Self::Day => number * DAY_MS,
            Self::Week => (number * 7 - TO_MONDAY) * DAY_MS,
            Self::Month => first_of_month(number) * DAY_MS,
        }
    }
}

/// How credits come back by themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Refill {
    /// Credits that each refill brings.
    pub amount: i64,
    /// At the beginning of each of these.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub every: Option<Period>,
    /// Or: each time so many seconds have passed since the grant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub every_seconds: Option<u32>,
    /// A refill brings no more than up to here; as many as were granted or come at once unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cap: Option<i64>,
}

impl Refill {
    /// What is wrong with it, with the member that is to blame.
    #[must_use]
    pub fn problem(&self) -> Option<(&'static str, &'static str)> {
        if !(1..=MAX_CREDITS).contains(&self.amount) {
            return Some(("amount", "amount must be from 1 to 1000000000000"));
        }
        match (self.every, self.every_seconds) {
            (None, None) | (Some(_), Some(_)) => {
                return Some(("every", "give one of every (hour, day, week, month) and every_seconds"));
            }
            (None, Some(seconds)) if !(60..=31_536_000).contains(&seconds) => {
                return Some(("every_seconds", "every_seconds must be from 60 to 31536000 (a year)"));
            }
            _ => {}
        }
        let fits = |cap: i64| (self.amount..=MAX_CREDITS).contains(&cap);
        (!self.cap.is_none_or(fits)).then_some(("cap", "cap must be from amount to 1000000000000"))
    }

    /// The same with a cap: what was granted, or what comes at once if that is more.
    #[must_use]
    pub fn capped(self, granted: i64) -> Self {
        Self { cap: Some(self.cap.unwrap_or(self.amount.max(granted))), ..self }
    }

    /// Up to how many a refill brings.
    #[must_use]
    pub fn cap(&self) -> i64 {
        self.cap.unwrap_or(self.amount)
    }

    /// When the next refill after `since`, the last one or the grant, is due.
    #[must_use]
    pub fn next(&self, since: i64) -> i64 {
        match (self.every, self.every_seconds) {
            (Some(period), _) => period.start(period.number(since) + 1),
            (None, seconds) => since.saturating_add(length(seconds)),
        }
    }

    /// Seconds from the last refill before `at` to the next one.
    #[must_use]
    pub fn window_seconds(&self, at: i64) -> i64 {
        let ms = match self.every {
            Some(period) => period.start(period.number(at) + 1) - period.start(period.number(at)),
            None => length(self.every_seconds),
        };
        ms / 1000
    }

    /// Refills that came due after `since` and until `now`, and when the last of them was.
    fn due(&self, since: i64, now: i64) -> (i64, i64) {
        if now < self.next(since) {
            return (0, since);
        }
        match self.every {
            Some(period) => {
                let last = period.number(now);
                (last - period.number(since), period.start(last))
            }
            None => {
                let length = length(self.every_seconds);
                let count = (now - since) / length;
                (count, since + count * length)
            }
        }
    }
}

fn length(seconds: Option<u32>) -> i64 {
    i64::from(seconds.unwrap_or(60).max(1)) * 1000
}

/// The credits that nobody has taken, as they lie in the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Purse {
    /// How many.
    pub left: i64,
    /// How many were missing up to the cap after the last refill: no more can come back of leases from
    /// before.
    pub room: i64,
    /// When the present period began: the last refill, or the grant.
    pub period: i64,
}

/// What was taken out of a purse, or is left of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// How many.
    pub count: i64,
    /// The period in which they were taken.
    pub period: i64,
}

impl Purse {
    /// Freshly granted.
    #[must_use]
    pub fn granted(count: i64, now: i64) -> Self {
        Self { left: count, room: 0, period: now }
    }

    /// The same after every refill that is due. It never lowers what is there.
    #[must_use]
    pub fn refilled(self, refill: Option<&Refill>, now: i64) -> Self {
        let Some(refill) = refill else { return self };
        let (count, period) = refill.due(self.period, now);
        if count == 0 {
            return self;
        }
        let full = self.left.saturating_add(refill.amount.saturating_mul(count)).min(refill.cap());
        let left = self.left.max(full);
        Self { left, room: (refill.cap() - left).max(0), period }
    }

    /// The same from `now` on under another rule.
    #[must_use]
    pub fn ruled_by(self, refill: Option<&Refill>, now: i64) -> Self {
        let room = refill.map_or(0, |refill| (refill.cap() - self.left).max(0));
        Self { room, period: now, ..self }
    }

    /// Gives back what was taken: of an earlier period no more than a refill left out.
    pub fn give_back(&mut self, taken: Taken, refill: Option<&Refill>) {
        let fits = if refill.is_none() || taken.period == self.period {
            taken.count
        } else {
            let fits = taken.count.min(self.room);
            self.room -= fits;
            fits
        };
        self.left = self.left.saturating_add(fits);
    }

    /// Takes `wish`, or what there is.
    pub fn take(&mut self, wish: i64) -> Taken {
        let count = wish.clamp(0, self.left.max(0));
        self.left -= count;
        Taken { count, period: self.period }
    }
}

#[cfg(test)]
mod tests;
