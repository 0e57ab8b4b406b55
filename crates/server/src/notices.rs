//! What happens often and is told in the audit log once a minute, with a count: failed credentials
//! of strangers, floods of them, and reads of the log itself (AUD-1, VER-5).
//!
//! Whatever an attacker does, a tenant's log takes a bounded number of entries a minute.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard};

use keyward_core::id::TenantId;
use serde_json::json;

use crate::app::{Actor, App};
use crate::audit::{Event, Outcome};
use crate::error::Result;
use crate::store::tenants;

/// Two entries about the same thing are so far apart.
const MINUTE_MS: u64 = 60_000;
/// Sources or readers of one tenant that have entries of their own; all others share one.
const MOST: usize = 20;

/// What waits to be told.
#[derive(Default)]
pub(crate) struct Notices {
    gathered: Mutex<BTreeMap<Place, Gathered>>,
}

/// Whose log, what happened, and about whom. What is nobody's belongs to the primary tenant.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    tenant: Option<TenantId>,
    action: &'static str,
    about: About,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum About {
    /// Everybody who has no entry of their own.
    Others,
    /// An address that failed; none was told.
    Source(Option<IpAddr>),
    /// A principal who read.
    Reader(String),
}

/// How often, by the surface or operation where.
type Counts = BTreeMap<&'static str, u64>;

struct Gathered {
    actor: Actor,
    counts: Counts,
    due_ms: u64,
}

/// An entry on its way into the log.
struct Due {
    place: Place,
    actor: Actor,
    counts: Counts,
}

impl Notices {
    /// A credential failed at a surface: told a minute later. Of a tenant when one of its callers
    /// asked about the credential.
    pub(crate) fn failed(
        &self,
        tenant: Option<TenantId>,
        surface: &'static str,
        source: Option<IpAddr>,
        now_ms: u64,
    ) {
        let place = Place { tenant, action: "auth.failed", about: About::Source(source) };
        self.note(place, surface, now_ms + MINUTE_MS, || observer("authentication", source));
    }

    /// Failures went beyond a limit: told at once, and again each minute that it goes on. Without
    /// a source it is all of them together.
    pub(crate) fn flooded(
        &self,
        tenant: Option<TenantId>,
        surface: &'static str,
        source: Option<IpAddr>,
        now_ms: u64,
    ) {
        let action = if tenant.is_some() { "verify.failures_spike" } else { "auth.failures_spike" };
        let about = source.map_or(About::Others, |source| About::Source(Some(source)));
        self.note(Place { tenant, action, about }, surface, now_ms, || observer("throttle", source));
    }

    /// Somebody read the audit log: told a minute later.
    pub(crate) fn read(&self, actor: &Actor, operation: &'static str, now_ms: u64) {
        let about = About::Reader(actor.principal.id.clone());
        let place = Place { tenant: actor.tenant_id.parse().ok(), action: "audit.read", about };
        self.note(place, operation, now_ms + MINUTE_MS, || actor.clone());
    }

    fn note(&self, place: Place, what: &'static str, due_ms: u64, actor: impl FnOnce() -> Actor) {
        let mut gathered = self.lock();
        let place = with_room(&gathered, place);
        let new = || Gathered { actor: actor(), counts: Counts::new(), due_ms };
        let entry = gathered.entry(place).or_insert_with(new);
        *entry.counts.entry(what).or_default() += 1;
    }

    /// Takes what is due. An entry that was told stays for a minute, so that what comes meanwhile
    /// waits for its end.
    fn take(&self, now_ms: u64) -> Vec<Due> {
        let mut due = Vec::new();
        self.lock().retain(|place, entry| {
            if now_ms < entry.due_ms {
                return true;
            }
            if entry.counts.is_empty() {
                return false;
            }
            entry.due_ms = now_ms.saturating_add(MINUTE_MS);
            let counts = std::mem::take(&mut entry.counts);
            due.push(Due { place: place.clone(), actor: entry.actor.clone(), counts });
            true
        });
        due
    }

    /// What could not be written is due again.
    fn put_back(&self, due: impl Iterator<Item = Due>) {
        let mut gathered = self.lock();
        for Due { place, actor, counts } in due {
            let new = Gathered { actor, counts: Counts::new(), due_ms: 0 };
            let entry = gathered.entry(place).or_insert(new);
            entry.due_ms = 0;
            for (what, count) in counts {
                *entry.counts.entry(what).or_default() += count;
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Place, Gathered>> {
        self.gathered.lock().expect("no code panics while it holds this lock")
    }
}

/// The place itself, or that of all others when the tenant has enough of them.
fn with_room(gathered: &BTreeMap<Place, Gathered>, place: Place) -> Place {
    if gathered.contains_key(&place) {
        return place;
    }
    let others = Place { about: About::Others, ..place.clone() };
    let alike = |known: &Place| known.tenant == place.tenant && known.action == place.action;
    let known = gathered.range(&others..).take_while(|(known, _)| alike(known)).count();
    if known < MOST { place } else { others }
}

/// The part of the server that noticed, with the address that it is about. The tenant is found out
/// when the entry is written.
fn observer(part: &str, source: Option<IpAddr>) -> Actor {
    let mut actor = Actor::local("", part);
    actor.call.address = source;
    actor
}

impl Due {
    fn event(&self) -> Event {
        let total: u64 = self.counts.values().sum();
        let about = match &self.place.about {
            About::Others => "others".to_owned(),
            About::Source(source) => source.map_or_else(|| "unknown".into(), |source| source.to_string()),
            About::Reader(_) => String::new(),
        };
        if self.place.action == "audit.read" {
            return Event::new("audit.read", "audit", "", "")
                .after(&json!({ "reads": total, "by": self.counts }));
        }
        let code = if self.place.action == "auth.failed" { "invalid_key" } else { "rate_limited" };
        let event = Event::new(self.place.action, "source", &about, &about).reason(Some(code));
        Event { outcome: Outcome::Refused, ..event.after(&json!({ "attempts": total, "by": self.counts })) }
    }
}

impl App {
    /// Writes the notices that are due.
    pub(crate) async fn flush_notices(&self) -> Result<()> {
        self.write_notices(self.clock.monotonic_ms()).await
    }

    /// Writes all notices: at shutdown.
    pub(crate) async fn finish_notices(&self) -> Result<()> {
        self.write_notices(u64::MAX).await
    }

    async fn write_notices(&self, now_ms: u64) -> Result<()> {
        let mut due = self.notices.take(now_ms).into_iter();
        let written = self.write_each(&mut due).await;
        self.notices.put_back(due);
        written
    }

    async fn write_each(&self, due: &mut std::vec::IntoIter<Due>) -> Result<()> {
        if due.as_slice().is_empty() {
            return Ok(());
        }
        // Without a primary tenant there is no log yet; what was noticed waits for it.
        let Some(primary) = tenants::find_primary(&mut self.read().await?).await? else { return Ok(()) };
        while let Some(notice) = due.as_slice().first() {
            let tenant = notice.place.tenant.map_or_else(|| primary.id.clone(), |id| id.to_string());
            let actor = Actor { tenant_id: tenant, ..notice.actor.clone() };
            self.record_noticed(actor, vec![notice.event()]).await?;
            due.next();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(last: u8) -> Option<IpAddr> {
        Some(IpAddr::from([192, 0, 2, last]))
    }

    fn totals(due: &[Due]) -> u64 {
        due.iter().flat_map(|due| due.counts.values()).sum()
    }

    #[test]
    fn aud_1_failures_are_told_a_minute_later_and_floods_at_once() {
        let notices = Notices::default();
        let tenant = TenantId::from_u128(7);
        for at in 0..100 {
            notices.failed(None, "authz", source(1), at);
            notices.flooded(Some(tenant), "verify", source(1), at);
        }
        let now = notices.take(100);
        assert_eq!((now.len(), now[0].place.action, totals(&now)), (1, "verify.failures_spike", 100));
        notices.flooded(Some(tenant), "verify", source(1), 200);
        assert!(notices.take(59_000).is_empty(), "one entry a minute");
        let later = notices.take(60_100);
        assert_eq!((later.len(), totals(&later)), (2, 101));
        assert!(notices.take(u64::MAX).is_empty());
        assert!(notices.lock().is_empty(), "nothing is kept of what is over");
    }

    #[test]
    fn aud_1_r10_any_number_of_sources_makes_few_entries_and_loses_no_count() {
        let notices = Notices::default();
        for number in 0..100_000_u32 {
            notices.failed(None, "management", Some(IpAddr::from(number.to_be_bytes())), 0);
            notices.failed(Some(TenantId::from_u128(7)), "verify", source(1), 0);
        }
        let due = notices.take(60_000);
        assert_eq!((due.len(), totals(&due)), (MOST + 2, 200_000));
        notices.put_back(due.into_iter());
        notices.failed(None, "management", source(1), 60_001);
        assert_eq!(totals(&notices.take(60_002)), 200_001, "what could not be written comes again");
    }
}
