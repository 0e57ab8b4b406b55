//! The records with something to write, and the order in which they are written.
//!
//! The flush goes round and round in the order of the tables, as a hand goes round a clock: keys that
//! are written together then lie on the same pages, which are most of what a flush costs. A record
//! waits for one round at most.

use std::sync::{Arc, Mutex, MutexGuard};

use crate::verify::record::KeyRecord;

/// What waits to be written.
#[derive(Default)]
pub(super) struct Backlog {
    /// Listed since the last flush, in no order: verifications wait for nothing here.
    listed: Mutex<Vec<Arc<KeyRecord>>>,
    round: Mutex<Round<Arc<KeyRecord>>>,
}

struct Round<T> {
    /// In the order of their places.
    waiting: Vec<(u64, T)>,
    /// Where the hand stands.
    hand: u64,
}

impl Backlog {
    /// Lists a record.
    pub(super) fn push(&self, record: Arc<KeyRecord>) {
        self.listed().push(record);
    }

    /// Lists what could not be written again.
    pub(super) fn put_back(&self, records: &[Arc<KeyRecord>]) {
        self.listed().extend_from_slice(records);
    }

    /// Records that wait.
    pub(super) fn len(&self) -> usize {
        self.listed().len() + self.round().waiting.len()
    }

    /// Takes out the next `most` records.
    pub(super) fn take(&self, most: usize) -> Vec<Arc<KeyRecord>> {
        let listed = std::mem::take(&mut *self.listed());
        self.round().advance(listed.into_iter().map(|record| (place(&record), record)), most)
    }

    fn listed(&self) -> MutexGuard<'_, Vec<Arc<KeyRecord>>> {
        self.listed.lock().expect("no code panics while it lists")
    }

    fn round(&self) -> MutexGuard<'_, Round<Arc<KeyRecord>>> {
        self.round.lock().expect("no code panics while it takes")
    }
}

impl<T> Default for Round<T> {
    fn default() -> Self {
        Self { waiting: Vec::new(), hand: 0 }
    }
}

impl<T> Round<T> {
    fn advance(&mut self, listed: impl ExactSizeIterator<Item = (u64, T)>, most: usize) -> Vec<T> {
        // No more than is needed: what waits is most of what usage takes of memory.
        self.waiting.reserve_exact(listed.len());
        self.waiting.extend(listed);
        // Two runs, the first of them sorted: cheap for a stable sort.
        self.waiting.sort_by_key(|(place, _)| *place);
        let start = self.waiting.partition_point(|(place, _)| *place < self.hand);
        let end = start.saturating_add(most).min(self.waiting.len());
        let mut taken: Vec<_> = self.waiting.drain(start..end).collect();
        let wrapped = (most - taken.len()).min(start);
        taken.extend(self.waiting.drain(..wrapped));
        self.waiting.shrink_to(self.waiting.len() * 2);
        if let Some((last, _)) = taken.last() {
            self.hand = last.saturating_add(1);
        }
        taken.into_iter().map(|(_, record)| record).collect()
    }
}

/// About where the rows of a key lie: by tenant, then by the time of the key's creation in
/// milliseconds, with which its id begins (UUID version 7, RFC 9562 §5.7).
fn place(record: &KeyRecord) -> u64 {
    let id = record.id.as_u128();
    let tenant = (record.terms.tenant_id.as_u128() & 0xff) as u64;
    let (millis, rest) = ((id >> 80) as u64 & 0xff_ffff_ffff, (id >> 60) as u64 & 0xffff);
    tenant << 56 | millis << 16 | rest
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// What is used all the time is written once a round, and nothing waits longer than one
        /// (KEY-14).
        #[test]
        fn nobody_waits_for_more_than_a_round(places in prop::collection::btree_set(0_u64..500, 1..60), most in 1_usize..20) {
            let mut round = Round::default();
            let every: Vec<u64> = places.into_iter().collect();
            let mut listed = every.clone();
            let mut waited = vec![0; 500];
            for _ in 0..40 {
                listed = round.advance(listed.into_iter().map(|place| (place, place)), most);
                prop_assert_eq!(listed.len(), most.min(every.len()));
                every.iter().for_each(|place| waited[*place as usize] += 1);
                listed.iter().for_each(|place| waited[*place as usize] = 0);
                prop_assert!(waited.iter().all(|ticks| *ticks <= every.len().div_ceil(most)), "{:?}", waited);
            }
        }
    }

    #[test]
    fn neighbours_are_written_together() {
        let mut round = Round::default();
        assert_eq!(round.advance([(7, 'c'), (1, 'a'), (9, 'd')].into_iter(), 2), ['a', 'c']);
        assert_eq!(round.advance([(2, 'b'), (8, 'e')].into_iter(), 2), ['e', 'd']);
        assert_eq!(round.advance(std::iter::empty(), 2), ['b']);
        assert!(round.advance(std::iter::empty(), 2).is_empty());
    }
}
