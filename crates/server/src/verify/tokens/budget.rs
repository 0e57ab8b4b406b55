//! Tokens that may be used so many times (X12): each node takes uses out of the store in small leases,
//! so that all together never pass more than the budget.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use super::checked::Checked;
use crate::error::Result;
use crate::store::token_budgets;
use crate::verify::cache::Cache;

/// Uses in one lease, at most; a node that stops loses no more.
const MOST: i64 = 100;

/// The uses of one token that this node holds.
pub(crate) struct Budget {
    /// All that it began with.
    whole: i64,
    held: AtomicI64,
    /// The store has none left.
    dry: AtomicBool,
}

impl Budget {
    pub(super) fn new(whole: u32) -> Self {
        Self { whole: i64::from(whole), held: AtomicI64::new(0), dry: AtomicBool::new(false) }
    }

    pub(super) fn held(&self) -> i64 {
        self.held.load(Ordering::Acquire)
    }

    /// What is known to be left; `None` while the store may have some.
    pub(super) fn left(&self) -> Option<i64> {
        self.dry.load(Ordering::Acquire).then(|| self.held())
    }

    /// Takes so many; false when another request was faster.
    pub(super) fn spend(&self, cost: u32) -> bool {
        let cost = i64::from(cost);
        let take = |held: i64| (held >= cost).then_some(held - cost);
        self.held.fetch_update(Ordering::AcqRel, Ordering::Acquire, take).is_ok()
    }

    /// How many to ask the store for, if it may have some.
    pub(super) fn wish(&self, cost: u32) -> Option<i64> {
        let wish = (self.whole / 10).clamp(1, MOST).max(i64::from(cost) - self.held());
        (!self.dry.load(Ordering::Acquire)).then_some(wish)
    }
}

impl Cache {
    /// Takes uses of a token out of the store.
    pub(crate) async fn lease_uses(self: &Arc<Self>, token: Arc<Checked>, wish: i64) -> Result<()> {
        let cache = self.clone();
        self.on_control(async move { cache.lease_now(&token, wish).await }).await
    }

    async fn lease_now(&self, token: &Checked, wish: i64) -> Result<()> {
        let Some(budget) = &token.budget else { return Ok(()) };
        let (tenant, id) = (token.tenant.to_string(), token.id.to_string());
        loop {
            let mut tx = self.begin().await?;
            let taken = token_budgets::lease(tx.conn(), &tenant, &id, wish).await?;
            tx.commit().await?;
            if let Some(taken) = taken {
                budget.held.fetch_add(taken, Ordering::AcqRel);
                budget.dry.store(taken < wish, Ordering::Release);
                return Ok(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn x_12_a_lease_is_a_tenth_and_never_less_than_is_asked() {
        let budget = Budget::new(5);
        assert_eq!((budget.wish(1), budget.wish(3)), (Some(1), Some(3)));
        assert!(!budget.spend(1), "nothing is held before a lease");
        budget.held.store(2, Ordering::Release);
        assert_eq!(budget.wish(3), Some(1));
        assert!(budget.spend(2) && !budget.spend(1) && budget.spend(0));
        budget.dry.store(true, Ordering::Release);
        assert_eq!(budget.wish(1), None);
        assert_eq!(Budget::new(1_000_000).wish(1), Some(MOST));
    }
}
