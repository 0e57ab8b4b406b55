//! Decisions that are remembered, and for how long they may be believed.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use quick_cache::sync::Cache;

use crate::decision::Decision;
use crate::node::News;
use crate::question::Mark;

/// The decisions that are remembered.
pub(crate) struct Kept {
    entries: Cache<Mark, Entry>,
    /// Up to which change the entries are true. Written while a change is applied, read while an entry is
    /// added: an answer that is older than a change never comes in behind it.
    position: RwLock<Option<i64>>,
    /// Until when the entries may be believed without news, monotonic milliseconds.
    believed_until_ms: AtomicU64,
    max_staleness_ms: u64,
}

#[derive(Clone)]
struct Entry {
    decision: Arc<Decision>,
    /// Its end, monotonic milliseconds.
    until_ms: u64,
    /// Up to which change its facts were known.
    position: i64,
}

impl Kept {
    pub(crate) fn new(max_entries: usize, max_staleness: Duration) -> Self {
        Self {
            entries: Cache::new(max_entries),
            position: RwLock::default(),
            believed_until_ms: AtomicU64::new(0),
            max_staleness_ms: millis(max_staleness),
        }
    }

    /// The decision, if there is one that may be believed now.
    pub(crate) fn get(&self, mark: &Mark, now_ms: u64) -> Option<Arc<Decision>> {
        if now_ms >= self.believed_until_ms.load(Ordering::Acquire) {
            return None;
        }
        let entry = self.entries.get(mark)?;
        (now_ms < entry.until_ms).then_some(entry.decision)
    }

    /// Remembers a decision whose facts were known up to `position`.
    pub(crate) fn keep(&self, mark: Mark, decision: &Arc<Decision>, position: Option<i64>, until_ms: u64) {
        let reached = self.position.read().unwrap_or_else(PoisonError::into_inner);
        // The node that answered may lag behind the one whose changes are followed.
        if let (Some(position), Some(reached)) = (position, *reached)
            && position >= reached
        {
            self.entries.insert(mark, Entry { decision: decision.clone(), until_ms, position });
        }
    }

    /// Forgets what changed, by news that were asked for at `asked_ms`.
    pub(crate) fn learn(&self, news: &News, asked_ms: u64) {
        let mut reached = self.position.write().unwrap_or_else(PoisonError::into_inner);
        *reached = Some(news.position);
        if news.start_over {
            self.entries.clear();
        } else if !news.changes.is_empty() {
            let changed: HashSet<&str> = news.changes.iter().map(|change| change.id.as_str()).collect();
            let is_newer = |entry: &Entry| entry.position >= news.position;
            self.entries.retain(|_, entry| is_newer(entry) || !entry.decision.rests_on(&changed));
        }
        drop(reached);
        self.believed_until_ms.store(asked_ms.saturating_add(self.max_staleness_ms), Ordering::Release);
    }

    /// Believes nothing until there are news.
    pub(crate) fn distrust(&self) {
        self.believed_until_ms.store(0, Ordering::Release);
    }
}

/// Milliseconds of a duration.
pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use hmac::{Hmac, KeyInit};
    use serde_json::json;
    use sha2::Sha256;

    use super::*;
    use crate::decision::tests::decision;
    use crate::node::Change;
    use crate::question::Question;

    fn mark(secret: &str) -> Mark {
        Question::secret(secret).mark(&Hmac::<Sha256>::new_from_slice(&[1; 32]).expect("any length"))
    }

    fn news(position: i64, start_over: bool, ids: &[&str]) -> News {
        let changes = ids.iter().map(|&id| Change { id: id.into() }).collect();
        News { next: position.to_string(), position, start_over, changes }
    }

    /// Two decisions, of two keys of one user.
    fn kept() -> Kept {
        let kept = Kept::new(100, Duration::from_secs(10));
        kept.learn(&news(5, true, &[]), 0);
        kept.keep(mark("1"), &Arc::new(decision(json!({}))), Some(5), 60_000);
        let key = json!({ "id": "key_2", "access_key": "kwa_2", "class": "member", "label": "" });
        kept.keep(mark("2"), &Arc::new(decision(json!({ "key": key }))), Some(6), 4_000);
        kept
    }

    fn has(kept: &Kept, secret: &str, now_ms: u64) -> bool {
        kept.get(&mark(secret), now_ms).is_some()
    }

    #[test]
    fn an_entry_ends_at_its_time_and_all_end_with_the_news() {
        let kept = kept();
        assert!(has(&kept, "1", 0) && has(&kept, "2", 3_999) && !has(&kept, "2", 4_000));
        assert!(has(&kept, "1", 9_999) && !has(&kept, "1", 10_000), "no news for too long");
        kept.learn(&news(5, false, &[]), 12_000);
        assert!(has(&kept, "1", 21_999), "nothing was missed");
        kept.distrust();
        assert!(!has(&kept, "1", 12_000));
    }

    #[test]
    fn a_change_ends_what_rests_on_it() {
        for (ids, left) in [
            (vec!["kwa_1"], (false, true)),
            (vec!["kwa_2", "kwa_3"], (true, false)),
            (vec!["user_1"], (false, false)),
            (vec!["tenant_1"], (false, false)),
            (vec!["user_2", "tenant_2"], (true, true)),
        ] {
            let kept = kept();
            kept.learn(&news(9, false, &ids), 0);
            assert_eq!((has(&kept, "1", 0), has(&kept, "2", 0)), left, "{ids:?}");
        }
        let newer = kept();
        newer.learn(&news(6, false, &["user_1"]), 0);
        assert!(!has(&newer, "1", 0) && has(&newer, "2", 0), "it was decided behind that change");
        let kept = kept();
        kept.learn(&news(9, true, &[]), 0);
        assert!(!has(&kept, "1", 0) && !has(&kept, "2", 0));
    }

    #[test]
    fn an_answer_older_than_the_news_is_not_kept() {
        let kept = Kept::new(100, Duration::from_secs(10));
        let keep = |position| {
            kept.keep(mark("1"), &Arc::new(decision(json!({}))), position, 1_000);
            has(&kept, "1", 0)
        };
        assert!(!keep(Some(9)), "nothing is known of changes yet");
        kept.learn(&news(5, false, &[]), 0);
        assert!(!keep(Some(4)) && !keep(None));
        assert!(keep(Some(5)));
    }

    #[test]
    fn entries_are_bounded() {
        let kept = Kept::new(100, Duration::from_secs(10));
        kept.learn(&news(1, true, &[]), 0);
        let any = Arc::new(decision(json!({})));
        (0..10_000).for_each(|n| kept.keep(mark(&n.to_string()), &any, Some(1), 1_000));
        let count = (0..10_000).filter(|n| has(&kept, &n.to_string(), 0)).count();
        assert!((1..=200).contains(&count), "{count}");
    }
}
