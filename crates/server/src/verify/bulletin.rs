//! What changed of late, for those who keep answers of `/v1/verify`: `GET /v1/verify/changes` tells it
//! without a read of the database. Filled by whoever follows the feed.

use std::collections::VecDeque;
use std::fmt;
use std::str::FromStr;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use tokio::sync::{Semaphore, watch};

use super::cache::Trust;
use crate::app::{Actor, App};
use crate::error::{Error, Result};
use crate::store::changes::{Change, ChangeKind, Position};

/// Changes that are remembered; whoever missed more starts over.
const MOST: usize = 8192;
/// Callers that wait at once; one more is answered without a wait.
const MOST_WAITING: usize = 1024;
/// How long a caller waits for news, at most: silence for longer is the loss of the node.
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// A place in the feed as readers give it back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Place {
    /// Number of the change.
    pub(crate) seq: i64,
    /// Tells it from one with the same number in another history of the database.
    mark: u32,
}

impl Place {
    fn of(position: &Position) -> Self {
        let [a, b, c, d, ..] = <[u8; 32]>::from(Sha256::digest(&position.mark));
        Self { seq: position.seq, mark: u32::from_be_bytes([a, b, c, d]) }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:08x}", self.seq, self.mark)
    }
}

impl FromStr for Place {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let place = text.split_once('.').and_then(|(seq, mark)| {
            Some(Self { seq: seq.parse().ok()?, mark: u32::from_str_radix(mark, 16).ok()? })
        });
        place.ok_or_else(|| Error::malformed("after", "bad_value", "give what the last answer called next"))
    }
}

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
    /// That of the change before the first, as far as it is known.
    start: Option<Place>,
    changes: VecDeque<(Place, Change)>,
}

/// What a reader of the bulletin is told.
#[derive(Debug, Default)]
pub(crate) struct News {
    /// Where to go on from.
    pub(crate) next: Place,
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
    /// Takes over the change at this place. A gap before it makes every reader start over.
    pub(super) fn add(&self, position: &Position, change: Change) {
        let mut recent = self.recent();
        if recent.last().is_none_or(|last| last.seq + 1 != position.seq) {
            *recent = Recent::default();
        }
        recent.changes.push_back((Place::of(position), change));
        if recent.changes.len() > MOST {
            recent.start = recent.changes.pop_front().map(|(place, _)| place);
        }
    }

    /// Forgets every change: readers behind the next [`Self::reach`] start over.
    pub(super) fn forget(&self) {
        *self.recent() = Recent::default();
    }

    /// Tells those who wait that the feed was read up to here.
    pub(super) fn reach(&self, position: &Position) {
        let place = Place::of(position);
        let mut recent = self.recent();
        if recent.last() != Some(place) {
            *recent = Recent { start: Some(place), changes: VecDeque::new() };
        }
        drop(recent);
        self.reached.send_if_modified(|reached| std::mem::replace(reached, position.seq) != position.seq);
    }

    /// What happened behind `after` in `tenant`, or in all of them: at once if anything did, else as soon as
    /// it does, or that nothing did.
    async fn follow(&self, after: Option<Place>, tenant: Option<&str>) -> News {
        // Before the first look, so that nothing is missed between it and the wait.
        let mut reached = self.reached.subscribe();
        let mut news = self.recent().since(after, tenant);
        let Ok(_place) = self.places.try_acquire() else { return news };
        let wait = async {
            while news.is_nothing() && reached.changed().await.is_ok() {
                news = self.recent().since(Some(news.next), tenant);
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
    /// That of the last change.
    fn last(&self) -> Option<Place> {
        self.changes.back().map(|(place, _)| *place).or(self.start)
    }

    /// How many of the changes a reader knows who stands there; none where that is no place of these.
    fn known_by(&self, reader: Place) -> Option<usize> {
        if self.start == Some(reader) {
            return Some(0);
        }
        let (first, _) = self.changes.front()?;
        let at = usize::try_from(reader.seq.checked_sub(first.seq)?).ok()?;
        (self.changes.get(at)?.0 == reader).then_some(at + 1)
    }

    fn since(&self, after: Option<Place>, tenant: Option<&str>) -> News {
        let next = self.last().unwrap_or_default();
        let start_over = News { next, start_over: true, changes: Vec::new() };
        let Some(known) = after.and_then(|after| self.known_by(after)) else { return start_over };
        let mut news = News { next, ..News::default() };
        for (_, change) in self.changes.iter().skip(known) {
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
pub(crate) async fn follow(app: &App, actor: &Actor, after: Option<Place>) -> Result<News> {
    // The reach of `/v1/verify`: whoever may enter every tenant, unless it has entered one; no token does.
    let bounded = actor.visiting || actor.by_token;
    let everywhere = !bounded && actor.rights.covers(&app.rights.enter_tenants);
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

    /// A position of the first history, or of another.
    fn at(seq: i64) -> Position {
        Position { seq, mark: format!("entry {seq}") }
    }

    fn told(bulletin: &Bulletin, after: i64, tenant: Option<&str>) -> Option<Vec<String>> {
        let news = bulletin.recent().since(Some(Place::of(&at(after))), tenant);
        (!news.start_over).then(|| news.changes.into_iter().map(|change| change.subject).collect())
    }

    fn subjects(names: &[&str]) -> Option<Vec<String>> {
        Some(names.iter().map(|&name| name.to_owned()).collect())
    }

    #[test]
    fn x_7_az_3_readers_are_told_what_they_missed_in_their_tenant() {
        let bulletin = Bulletin::default();
        bulletin.reach(&at(7));
        bulletin.add(&at(8), change(ChangeKind::Key, "acme", "key of acme"));
        bulletin.add(&at(9), change(ChangeKind::User, "globex", "user of globex"));
        bulletin.add(&at(10), change(ChangeKind::Session, "acme", "session"));
        bulletin.add(&at(11), change(ChangeKind::Tenant, "acme", "acme"));
        bulletin.reach(&at(11));
        assert_eq!(told(&bulletin, 7, Some("acme")), subjects(&["key of acme", "acme"]));
        assert_eq!(told(&bulletin, 8, Some("acme")), subjects(&["acme"]));
        assert_eq!(told(&bulletin, 7, Some("globex")), subjects(&["user of globex"]));
        assert_eq!(told(&bulletin, 7, None), subjects(&["key of acme", "user of globex", "acme"]));
        assert_eq!(told(&bulletin, 11, None), subjects(&[]));
        assert_eq!(told(&bulletin, 6, None), None, "before what is remembered");
        assert_eq!(told(&bulletin, 12, None), None, "a position that this database never had");
        assert_eq!(bulletin.recent().since(Some(Place::of(&at(7))), Some("acme")).next, Place::of(&at(11)));
        assert!(bulletin.recent().since(None, None).start_over);
    }

    #[test]
    fn x_7_a_gap_a_pepper_and_a_deleted_tenant_make_readers_start_over() {
        let bulletin = Bulletin::default();
        bulletin.reach(&at(1));
        bulletin.add(&at(2), change(ChangeKind::Pepper, "instance", "instance"));
        assert_eq!(told(&bulletin, 1, Some("acme")), None);
        assert_eq!(told(&bulletin, 2, Some("acme")), subjects(&[]));
        bulletin.add(&at(3), change(ChangeKind::Tenants, "instance", "instance"));
        assert_eq!(told(&bulletin, 2, Some("acme")), None);
        bulletin.add(&at(5), change(ChangeKind::Key, "acme", "key"));
        assert_eq!(told(&bulletin, 3, Some("acme")), None, "4 is missing");
        assert_eq!(told(&bulletin, 5, Some("acme")), subjects(&[]));
        bulletin.reach(&at(9));
        assert_eq!(told(&bulletin, 5, Some("acme")), None, "6 to 9 are missing");
        assert_eq!(told(&bulletin, 9, Some("acme")), subjects(&[]));
    }

    #[test]
    fn x_7_of_many_changes_the_last_are_remembered() {
        let bulletin = Bulletin::default();
        for seq in 1..=MOST as i64 + 2 {
            bulletin.add(&at(seq), change(ChangeKind::Key, "acme", "key"));
        }
        assert_eq!(told(&bulletin, 1, None), None);
        assert_eq!(told(&bulletin, 2, None).map(|told| told.len()), Some(MOST));
    }

    #[test]
    fn x_7_a_place_of_another_history_makes_readers_start_over() {
        let bulletin = Bulletin::default();
        bulletin.reach(&at(1));
        bulletin.add(&at(2), change(ChangeKind::Key, "acme", "key"));
        let elsewhere = |seq| Place::of(&Position { seq, mark: "another entry".into() });
        for other in [elsewhere(1), elsewhere(2)] {
            assert!(bulletin.recent().since(Some(other), None).start_over);
            assert_eq!(other.to_string().parse::<Place>().ok(), Some(other));
        }
        assert_eq!(told(&bulletin, 1, None), subjects(&["key"]));
        for text in ["", "1", "1.", ".1", "x.1", "1.x", "1.1.1"] {
            assert!(text.parse::<Place>().is_err(), "{text}");
        }
    }

    #[tokio::test]
    async fn x_7_a_reader_waits_for_news_of_its_own_tenant() {
        let bulletin = Bulletin::default();
        bulletin.reach(&at(1));
        let write = async {
            tokio::task::yield_now().await;
            bulletin.add(&at(2), change(ChangeKind::Key, "globex", "key of globex"));
            bulletin.reach(&at(2));
            tokio::task::yield_now().await;
            bulletin.add(&at(3), change(ChangeKind::Key, "acme", "key of acme"));
            bulletin.reach(&at(3));
        };
        let (news, ()) = tokio::join!(bulletin.follow(Some(Place::of(&at(1))), Some("acme")), write);
        assert_eq!((news.next, news.changes.len()), (Place::of(&at(3)), 1));
        assert_eq!(news.changes[0].subject, "key of acme");
    }
}
