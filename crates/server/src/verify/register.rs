//! Which keys and trusted secrets there may be (R10): beyond a few reads a second, guesses cost the database nothing.
//!
//! A Bloom filter over all access keys, and over the handles of imported ones, kept by the change feed. It never denies a key that the feed
//! has told of; a key that the feed has yet to tell of is found by the reads that stay allowed, so that
//! a key which was made on another node a moment ago verifies at once while nobody guesses (VER-9).

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};

use arc_swap::ArcSwap;
use fastbloom::AtomicBloomFilter;
use keyward_core::decide::Now;
use keyward_core::limit::RateLimit;
use keyward_core::token::AccessKey;

use super::limits::spend;
use crate::error::Result;
use crate::store::{Db, imports, keys, trusted};

/// Share of strange keys that the filter takes for real; they cost a read.
const MISTAKEN: f64 = 0.01;
/// Keys for which there is room at least.
const ROOM: usize = 100_000;
/// Access keys read at a time; few, because the memory for a page stays with the process.
const PAGE: i64 = 500;

/// Reads of keys that the filter does not know.
static READS: LazyLock<RateLimit> =
    LazyLock::new(|| RateLimit { name: "unknown_keys".into(), requests: 200, per_seconds: 1, burst: None });

/// What is known of all keys and trusted secrets.
#[derive(Default)]
pub(crate) struct Register {
    filters: ArcSwap<Filters>,
    reads: AtomicU64,
    /// More keys were missed in a second than a quiet server misses.
    wanted: AtomicBool,
}

/// The filter in use, and the one that is being filled; both hear of new keys.
#[derive(Clone, Default)]
struct Filters {
    whole: Option<Arc<Filter>>,
    growing: Option<Arc<Filter>>,
}

struct Filter {
    keys: AtomicBloomFilter<foldhash::fast::RandomState>,
    held: AtomicUsize,
    room: usize,
}

impl Filter {
    fn new(room: usize) -> Self {
        let keys = AtomicBloomFilter::with_false_pos(MISTAKEN)
            .hasher(foldhash::fast::RandomState::default())
            .expected_items(room);
        Self { keys, held: AtomicUsize::new(0), room }
    }

    fn add(&self, id: AccessKey) {
        if !self.keys.insert(&id) {
            self.held.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn is_full(&self) -> bool {
        self.held.load(Ordering::Relaxed) > self.room
    }
}

impl Register {
    /// There is such a key, or was.
    pub(crate) fn add(&self, id: AccessKey) {
        let filters = self.filters.load();
        filters.whole.iter().chain(&filters.growing).for_each(|filter| filter.add(id));
    }

    /// Whether a key is certainly none that the feed has told of, and enough such were read already.
    pub(crate) fn rules_out(&self, id: AccessKey, now: Now) -> bool {
        let filters = self.filters.load();
        let Some(filter) = &filters.whole else {
            if spend(&READS, &self.reads, now).is_some() {
                self.wanted.store(true, Ordering::Relaxed);
            }
            return false;
        };
        !filter.keys.contains(&id) && spend(&READS, &self.reads, now).is_some()
    }

    /// Changes may have been missed: nothing is ruled out until all keys were read anew.
    pub(crate) fn forget(&self) {
        self.filters.store(Arc::default());
    }

    /// Reads all keys once somebody may be guessing: a server that is idle does without the filter.
    pub(crate) async fn fill_when_wanted(&self, db: &Db) -> Result<()> {
        if self.wanted.load(Ordering::Relaxed) { self.fill(db).await } else { Ok(()) }
    }

    /// Reads all keys if there is no filter yet or it has become too small.
    pub(crate) async fn fill(&self, db: &Db) -> Result<()> {
        let present = self.filters.load_full();
        if present.whole.as_ref().is_some_and(|filter| !filter.is_full()) {
            return Ok(());
        }
        // One connection, because each keeps the pages that it reads.
        let mut conn = db.read().await?;
        let held = keys::count_all(&mut conn).await? + imports::count_all(&mut conn).await?;
        let growing = Arc::new(Filter::new(ROOM.max(held * 2)));
        // From here on it hears of every key that is committed, so the pages may be read one by one.
        self.filters
            .store(Arc::new(Filters { whole: present.whole.clone(), growing: Some(growing.clone()) }));
        let mut after = String::new();
        loop {
            let page = keys::access_keys(&mut conn, &after, PAGE).await?;
            page.iter().filter_map(|digits| AccessKey::from_digits(digits)).for_each(|id| growing.add(id));
            let Some(last) = page.into_iter().next_back() else { break };
            after = last;
        }
        let mut after = String::new();
        loop {
            let page = imports::handles(&mut conn, &after, PAGE).await?;
            page.iter().filter_map(|digits| AccessKey::from_digits(digits)).for_each(|id| growing.add(id));
            let Some(last) = page.into_iter().next_back() else { break };
            after = last;
        }
        let secrets = trusted::access_keys(&mut conn).await?;
        secrets.iter().filter_map(|digits| AccessKey::from_digits(digits)).for_each(|id| growing.add(id));
        self.filters.rcu(|filters| match &filters.growing {
            Some(own) if Arc::ptr_eq(own, &growing) => {
                Arc::new(Filters { whole: Some(growing.clone()), growing: None })
            }
            // Forgotten meanwhile: what was read may lack keys.
            _ => filters.clone(),
        });
        Ok(())
    }
}
