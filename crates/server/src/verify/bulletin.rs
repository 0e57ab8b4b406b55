//! What changed of late, for those who keep answers of `/v1/verify`: `GET /v1/verify/changes` tells it
//! without a read of the database. Filled by whoever follows the feed.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use tokio::sync::{Semaphore, watch};

use super::cache::Trust;
use crate::app::{Actor, App};
use crate::error::{Error, Result};
use crate::store::changes::{Change, ChangeKind};

/// Changes that are remembered; whoever missed more starts over.
const MOST: usize = 8192;
/// Callers that wait at once; one more is answered without a wait.
const MOST_WAITING: usize = 1024;
/// How long a caller waits for news, at most: silence for longer is the loss of the node.
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// The last changes of the feed.
pub(crate) struct Bulletin {
    recent: Mutex<Recent>,
    /// Up to where the feed was read.
    reached: watch::Sender<i64>,
    places: Semaphore,
}

/// Changes without a gap.
#[derive(Default)]
struct Recent {
    /// Number of the change before the first.
    start: i64,
    changes: VecDeque<Change>,
}

/// What a reader of the bulletin is told.
#[derive(Debug, Default)]
pub(crate) struct News {
    /// Where to go on from.
    pub(crate) position: i64,
    /// The reader knows of nothing whether it is still true.
    pub(crate) start_over: bool,
    /// Changes of keys, users and tenants, in order.
    pub(crate) changes: Vec<Change>,
}

impl Default for Bulletin {
    fn default() -> Self {
        let places = Semaphore::new(MOST_WAITING);
        Self { recent: Mutex::default(), reached: watch::Sender::new(0), places }
    }
}

impl Bulletin {
    /// Takes over the change with this number. A gap before it makes every reader start over.
    pub(super) fn add(&self, seq: i64, change: Change) {
        let mut recent = self.recent();
        if seq != recent.position() + 1 {
            *recent = Recent { start: seq - 1, changes: VecDeque::new() };
        }
        recent.changes.push_back(change);
        if recent.changes.len() > MOST {
            recent.changes.pop_front();
            recent.start += 1;
        }
    }

    /// Forgets every change: readers behind the next [`Self::reach`] start over.
    pub(super) fn forget(&self) {
        *self.recent() = Recent::default();
    }

    /// Tells those who wait that the feed was read up to here.
    pub(super) fn reach(&self, seq: i64) {
        let mut recent = self.recent();
        if recent.position() != seq {
            *recent = Recent { start: seq, changes: VecDeque::new() };
        }
        drop(recent);
        self.reached.send_if_modified(|reached| std::mem::replace(reached, seq) != seq);
    }

    /// What happened behind `after` in `tenant`, or in all of them: at once if anything did, else as soon as
    /// it does, or that nothing did.
    async fn follow(&self, after: Option<i64>, tenant: Option<&str>) -> News {
        // Before the first look, so that nothing is missed between it and the wait.
        let mut reached = self.reached.subscribe();
        let mut news = self.recent().since(after, tenant);
        let Ok(_place) = self.places.try_acquire() else { return news };
        let wait = async {
            while news.is_nothing() && reached.changed().await.is_ok() {
                news = self.recent().since(Some(news.position), tenant);
            }
        };
        let _ = tokio::time::timeout(LONGEST_WAIT, wait).await;
        news
    }

    fn recent(&self) -> MutexGuard<'_, Recent> {
        self.recent.lock().expect("no code panics while it holds this lock")
    }
}

impl Recent {
    /// Number of the last change.
    fn position(&self) -> i64 {
        self.start.saturating_add_unsigned(self.changes.len() as u64)
    }

    fn since(&self, after: Option<i64>, tenant: Option<&str>) -> News {
        let position = self.position();
        let start_over = News { position, start_over: true, changes: Vec::new() };
        let Some(after) = after.filter(|after| (self.start..=position).contains(after)) else {
            return start_over;
        };
        let seen = usize::try_from(after - self.start).unwrap_or(usize::MAX);
        let mut news = News { position, ..News::default() };
        for change in self.changes.iter().skip(seen) {
            match change.kind {
                ChangeKind::Key | ChangeKind::User | ChangeKind::Tenant => {
                    if tenant.is_none_or(|tenant| tenant == change.tenant_id) {
                        news.changes.push(change.clone());
                    }
                }
                // Which keys these are about is not told.
                ChangeKind::Tenants | ChangeKind::Pepper => return start_over,
                // Answers about tokens and sessions are kept for a second only.
                ChangeKind::SigningKeys
                | ChangeKind::Trusted
                | ChangeKind::Token
                | ChangeKind::Session
                | ChangeKind::Imported
                | ChangeKind::ImportWays => {}
            }
        }
        news
    }
}

impl News {
    fn is_nothing(&self) -> bool {
        !self.start_over && self.changes.is_empty()
    }
}

/// What the actor, who may verify, missed since `after`; waits up to a second for something to tell.
///
/// # Errors
/// `Error::Outage` while this node cannot know what others changed: its word would be taken for news.
pub(crate) async fn follow(app: &App, actor: &Actor, after: Option<i64>) -> Result<News> {
    // The reach of `/v1/verify`: whoever may enter every tenant, unless it has entered one.
    let everywhere = !actor.visiting && actor.rights.covers(&app.rights.enter_tenants);
    let tenant = (!everywhere).then_some(actor.tenant_id.as_str());
    let news = app.verifier.bulletin.follow(after, tenant).await;
    match app.verifier.cache.trust(app.clock.monotonic_ms()) {
        Trust::All => Ok(news),
        Trust::Recent | Trust::Nothing => Err(Error::outage("the change feed is not confirmed")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(kind: ChangeKind, tenant: &str, subject: &str) -> Change {
        Change { kind, tenant_id: tenant.into(), subject: subject.into() }
    }

    fn told(bulletin: &Bulletin, after: i64, tenant: Option<&str>) -> Option<Vec<String>> {
        let news = bulletin.recent().since(Some(after), tenant);
        (!news.start_over).then(|| news.changes.into_iter().map(|change| change.subject).collect())
    }

    fn subjects(names: &[&str]) -> Option<Vec<String>> {
        Some(names.iter().map(|&name| name.to_owned()).collect())
    }

    #[test]
    fn x_7_az_3_readers_are_told_what_they_missed_in_their_tenant() {
        let bulletin = Bulletin::default();
        bulletin.reach(7);
        bulletin.add(8, change(ChangeKind::Key, "acme", "key of acme"));
        bulletin.add(9, change(ChangeKind::User, "globex", "user of globex"));
        bulletin.add(10, change(ChangeKind::Session, "acme", "session"));
        bulletin.add(11, change(ChangeKind::Tenant, "acme", "acme"));
        bulletin.reach(11);
        assert_eq!(told(&bulletin, 7, Some("acme")), subjects(&["key of acme", "acme"]));
        assert_eq!(told(&bulletin, 8, Some("acme")), subjects(&["acme"]));
        assert_eq!(told(&bulletin, 7, Some("globex")), subjects(&["user of globex"]));
        assert_eq!(told(&bulletin, 7, None), subjects(&["key of acme", "user of globex", "acme"]));
        assert_eq!(told(&bulletin, 11, None), subjects(&[]));
        assert_eq!(told(&bulletin, 6, None), None, "before what is remembered");
        assert_eq!(told(&bulletin, 12, None), None, "a position that this database never had");
        assert_eq!(bulletin.recent().since(Some(7), Some("acme")).position, 11);
        assert!(bulletin.recent().since(None, None).start_over);
    }

    #[test]
    fn x_7_a_gap_a_pepper_and_a_deleted_tenant_make_readers_start_over() {
        let bulletin = Bulletin::default();
        bulletin.reach(1);
        bulletin.add(2, change(ChangeKind::Pepper, "instance", "instance"));
        assert_eq!(told(&bulletin, 1, Some("acme")), None);
        assert_eq!(told(&bulletin, 2, Some("acme")), subjects(&[]));
        bulletin.add(3, change(ChangeKind::Tenants, "instance", "instance"));
        assert_eq!(told(&bulletin, 2, Some("acme")), None);
        bulletin.add(5, change(ChangeKind::Key, "acme", "key"));
        assert_eq!(told(&bulletin, 3, Some("acme")), None, "4 is missing");
        assert_eq!(told(&bulletin, 4, Some("acme")), subjects(&["key"]));
        bulletin.reach(9);
        assert_eq!(told(&bulletin, 5, Some("acme")), None, "6 to 9 are missing");
        assert_eq!(told(&bulletin, 9, Some("acme")), subjects(&[]));
    }

    #[test]
    fn x_7_of_many_changes_the_last_are_remembered() {
        let bulletin = Bulletin::default();
        for seq in 1..=MOST as i64 + 2 {
            bulletin.add(seq, change(ChangeKind::Key, "acme", "key"));
        }
        assert_eq!(told(&bulletin, 1, None), None);
        assert_eq!(told(&bulletin, 2, None).map(|told| told.len()), Some(MOST));
    }

    #[tokio::test]
    async fn x_7_a_reader_waits_for_news_of_its_own_tenant() {
        let bulletin = Bulletin::default();
        bulletin.reach(1);
        let write = async {
            tokio::task::yield_now().await;
            bulletin.add(2, change(ChangeKind::Key, "globex", "key of globex"));
            bulletin.reach(2);
            tokio::task::yield_now().await;
            bulletin.add(3, change(ChangeKind::Key, "acme", "key of acme"));
            bulletin.reach(3);
        };
        let (news, ()) = tokio::join!(bulletin.follow(Some(1), Some("acme")), write);
        assert_eq!((news.position, news.changes.len()), (3, 1));
        assert_eq!(news.changes[0].subject, "key of acme");
    }
}
