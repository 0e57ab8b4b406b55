//! Credits of a key or an owner on this node (X6): what it holds on lease, and until when.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use keyward_core::credit::{Refill, Taken};
use keyward_core::decide::CreditState;

use super::lease::Lease;
use crate::credits::Drawn;
use crate::error::Result;
use crate::store::credits::CreditRow;

/// A grant, with what this node holds of it.
#[derive(Debug)]
pub(crate) struct Credits {
    pub(crate) granted: i64,
    pub(crate) granted_at: i64,
    pub(crate) refill: Option<Refill>,
    /// It outlives reloads of the record.
    pub(crate) holding: Arc<Holding>,
}

/// What this node has taken out of the store and not spent yet.
#[derive(Debug, Default)]
pub(crate) struct Holding {
    lease: Lease,
    /// The period in which it was taken.
    period: AtomicI64,
    /// When the lease ends, because more come: Unix milliseconds. At 0 there has been none.
    until: AtomicI64,
    /// What it left in the store.
    behind: AtomicI64,
}

impl Holding {
    const FOR_EVER: i64 = i64::MAX;

    fn is_over(&self, now: i64) -> bool {
        now >= self.until.load(Ordering::Acquire)
    }

    /// Gives up all that is held.
    pub(crate) fn give_up(&self) -> Taken {
        Taken { period: self.period.load(Ordering::Acquire), count: self.lease.give_up() }
    }

    /// Holds again what could not be given back.
    pub(crate) fn hold_on(&self, taken: Taken) {
        self.lease.add(taken.count);
    }

    /// Holds what was taken out of the store. One lease of a grant is taken at a time.
    pub(crate) fn hold(&self, drawn: &Drawn) {
        self.period.store(drawn.taken.period, Ordering::Release);
        self.behind.store(drawn.left, Ordering::Relaxed);
        self.lease.note_dry(drawn.left == 0);
        self.lease.add(drawn.taken.count);
        self.until.store(drawn.refills_at.unwrap_or(Self::FOR_EVER), Ordering::Release);
    }

    /// Whether anything is held.
    pub(crate) fn is_empty(&self) -> bool {
        self.lease.held() == 0
    }
}

impl Credits {
    /// The credits of a row, if they are counted.
    pub(crate) fn of(row: &CreditRow) -> Result<Option<Box<Self>>> {
        let Some((granted, granted_at)) = row.granted.zip(row.granted_at) else { return Ok(None) };
        let refill = row.refill()?;
        Ok(Some(Box::new(Self { granted, granted_at, refill, holding: Arc::default() })))
    }

    /// Takes over what is held of the same grant. Under another rule it goes back first.
    pub(crate) fn carry_on(&mut self, old: &Self) {
        if self.granted_at != old.granted_at {
            return;
        }
        self.holding = old.holding.clone();
        if self.refill != old.refill {
            self.holding.until.store(0, Ordering::Release);
        }
    }

    /// How many to take out of the store at a time: a hundredth of the grant, 1000 at most.
    pub(crate) fn lease_size(&self, cost: u32) -> i64 {
        let whole = self.refill.map_or(0, |refill| refill.cap()).max(self.granted);
        (whole / 100).clamp(1, 1000).max(i64::from(cost))
    }

    /// What can be spent right now without asking.
    fn at_hand(&self, now: i64) -> i64 {
        if self.holding.is_over(now) { 0 } else { self.holding.lease.held() }
    }

    /// The same, for a decision.
    pub(crate) fn state(&self, now: i64) -> CreditState {
        CreditState { left: self.at_hand(now), refills_at: self.refills_at() }
    }

    /// The same, for an explanation: what is leased elsewhere or still in the store counts as there.
    pub(crate) fn prospect(&self, now: i64) -> CreditState {
        let left = if self.may_have_more(now) { i64::MAX } else { self.at_hand(now) };
        CreditState { left, refills_at: self.refills_at() }
    }

    /// When more come by themselves, as far as this node knows.
    pub(crate) fn refills_at(&self) -> Option<i64> {
        self.refill.map(|_| self.holding.until.load(Ordering::Acquire))
    }

    /// Whether it holds too few.
    pub(crate) fn is_short(&self, cost: u32, now: i64) -> bool {
        self.at_hand(now) < i64::from(cost)
    }

    /// Whether the store may have some.
    pub(crate) fn may_have_more(&self, now: i64) -> bool {
        self.holding.is_over(now) || !self.holding.lease.is_dry()
    }

    /// Spends `cost` of what this node holds, or nothing.
    pub(crate) fn spend(&self, cost: u32) -> bool {
        self.holding.lease.spend(cost)
    }

    /// Takes back what was spent a moment ago.
    pub(crate) fn unspend(&self, cost: u32) {
        self.holding.lease.add(i64::from(cost));
    }

    /// What is left: exact when no other node spends of it, else as of the last lease.
    pub(crate) fn remaining(&self) -> i64 {
        self.holding.lease.held() + self.holding.behind.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use keyward_core::credit::Period;

    use super::*;

    fn row(credits: i64, refill: Option<Refill>) -> CreditRow {
        CreditRow::of_grant(Some(credits), refill.as_ref(), 1000).expect("a row")
    }

    fn credits(row: &CreditRow) -> Credits {
        *Credits::of(row).expect("reads").expect("counted")
    }

    fn drawn(count: i64, left: i64, refills_at: Option<i64>) -> Drawn {
        Drawn { taken: Taken { count, period: 1000 }, left, refills_at }
    }

    #[test]
    fn x_6_a_lease_is_a_hundredth_and_ends_with_its_period() {
        let daily = Refill { amount: 500, every: Some(Period::Day), every_seconds: None, cap: Some(50_000) };
        let mut held = credits(&row(100, Some(daily)));
        assert_eq!((held.lease_size(1), held.lease_size(900)), (500, 900));
        assert!(held.is_short(1, 2000) && held.may_have_more(2000), "nothing was leased yet");
        held.holding.hold(&drawn(3, 0, Some(5000)));
        assert!(!held.is_short(3, 4999) && held.spend(1) && held.is_short(3, 4999));
        assert!(!held.may_have_more(4999), "the store had no more");
        assert_eq!((held.remaining(), held.refills_at()), (2, Some(5000)));
        assert!(held.is_short(1, 5000) && held.may_have_more(5000), "then more have come");
        let mut again = credits(&row(100, Some(daily)));
        again.carry_on(&held);
        assert!(!again.is_short(2, 4999), "the record was read anew");
        held = credits(&row(100, None));
        held.carry_on(&again);
        assert!(held.is_short(1, 4999), "under another rule it goes back first");
        assert_eq!(held.holding.give_up(), Taken { count: 2, period: 1000 });
        let other = CreditRow::of_grant(Some(100), None, 1001).expect("a row");
        let mut other = credits(&other);
        held.holding.hold(&drawn(7, 3, None));
        other.carry_on(&held);
        assert!(other.is_short(1, 0), "another grant knows nothing of it");
    }
}
