//! What a node has taken out of the store to spend without asking: credits of a key, uses of a token.
//! All nodes together never spend more than there is.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

/// What this node holds.
#[derive(Debug, Default)]
pub(crate) struct Lease {
    held: AtomicI64,
    dry: AtomicBool,
}

impl Lease {
    /// How much this node holds.
    pub(crate) fn held(&self) -> i64 {
        self.held.load(Ordering::Acquire)
    }

    /// Spends `cost` of what this node holds, or nothing.
    pub(crate) fn spend(&self, cost: u32) -> bool {
        let cost = i64::from(cost);
        let take = |held: i64| (held >= cost).then_some(held - cost);
        self.held.fetch_update(Ordering::AcqRel, Ordering::Acquire, take).is_ok()
    }

    /// Adds what was taken out of the store.
    pub(crate) fn add(&self, taken: i64) {
        self.held.fetch_add(taken, Ordering::AcqRel);
    }

    /// Gives up all that is held.
    pub(crate) fn give_up(&self) -> i64 {
        self.held.swap(0, Ordering::AcqRel)
    }

    /// The store had no more when last asked.
    pub(crate) fn is_dry(&self) -> bool {
        self.dry.load(Ordering::Acquire)
    }

    /// Notes whether the store has no more.
    pub(crate) fn note_dry(&self, dry: bool) {
        self.dry.store(dry, Ordering::Release);
    }

    /// What is known to be left; `None` while the store may have some.
    pub(crate) fn left(&self) -> Option<i64> {
        self.is_dry().then(|| self.held())
    }
}
