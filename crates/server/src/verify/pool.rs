//! Equal values share one allocation: what many keys have in common is held once.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, Hash};
use std::sync::{Arc, Mutex, Weak};

/// The values in use, for as long as somebody uses them.
pub(crate) struct Pool<T> {
    known: Mutex<Known<T>>,
}

struct Known<T> {
    by_hash: HashMap<u64, Vec<Weak<T>>, foldhash::fast::RandomState>,
    hasher: foldhash::fast::RandomState,
    inserted: usize,
}

impl<T> Default for Pool<T> {
    fn default() -> Self {
        let known = Known { by_hash: HashMap::default(), hasher: Default::default(), inserted: 0 };
        Self { known: Mutex::new(known) }
    }
}

impl<T: Eq + Hash> Pool<T> {
    /// The one allocation of this value.
    pub(crate) fn share(&self, value: T) -> Arc<T> {
        let mut known = self.known.lock().expect("no code panics while it holds this lock");
        let hash = known.hasher.hash_one(&value);
        let bucket = known.by_hash.entry(hash).or_default();
        if let Some(shared) = bucket.iter().filter_map(Weak::upgrade).find(|shared| **shared == value) {
            return shared;
        }
        let shared = Arc::new(value);
        bucket.retain(|weak| weak.strong_count() > 0);
        bucket.push(Arc::downgrade(&shared));
        known.inserted += 1;
        if known.inserted > 2 * known.by_hash.len() + 1024 {
            known.inserted = 0;
            known.by_hash.retain(|_, bucket| bucket.iter().any(|weak| weak.strong_count() > 0));
        }
        shared
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_values_share_one_allocation_and_die_with_their_users() {
        let pool = Pool::default();
        let (one, two) = (pool.share("a".to_owned()), pool.share("a".to_owned()));
        assert!(Arc::ptr_eq(&one, &two));
        assert!(!Arc::ptr_eq(&one, &pool.share("b".to_owned())));
        let weak = Arc::downgrade(&one);
        drop((one, two));
        assert_eq!(weak.strong_count(), 0);
    }
}
