//! Tokens that may be used so many times (X12): each node takes uses out of the store in small leases,
//! so that all together never pass more than the budget.

use std::sync::Arc;

use super::checked::Checked;
use crate::error::Result;
use crate::store::token_budgets;
use crate::verify::cache::Cache;
use crate::verify::lease::Lease;

/// Uses in one lease, at most; a node that stops loses no more.
const MOST: i64 = 100;

/// The uses of one token that this node holds.
pub(crate) struct Budget {
    /// All that it began with.
    whole: i64,
    pub(super) lease: Lease,
}

impl Budget {
    pub(super) fn new(whole: u32) -> Self {
        Self { whole: i64::from(whole), lease: Lease::default() }
    }

    /// How many to ask the store for, if it may have some.
    pub(super) fn wish(&self, cost: u32) -> Option<i64> {
        let wish = (self.whole / 10).clamp(1, MOST).max(i64::from(cost) - self.lease.held());
        (!self.lease.is_dry()).then_some(wish)
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
                budget.lease.add(taken);
                budget.lease.note_dry(taken < wish);
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
        let lease = &budget.lease;
        assert!(!lease.spend(1), "nothing is held before a lease");
        lease.add(2);
        assert_eq!(budget.wish(3), Some(1));
        assert!(lease.spend(2) && !lease.spend(1) && lease.spend(0));
        assert_eq!(lease.left(), None, "the store may have some");
        lease.note_dry(true);
        assert_eq!(lease.left(), Some(0));
        assert_eq!(budget.wish(1), None);
        assert_eq!(Budget::new(1_000_000).wish(1), Some(MOST));
    }
}
