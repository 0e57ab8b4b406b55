//! Keys that nobody should ever use: laid out for whoever looks where they should not. A use is refused
//! as a wrong secret is, and told in the audit log within seconds.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard};

use keyward_core::id::KeyId;
use serde::Serialize;
use serde_json::json;

use super::record::KeyRecord;
use super::usage::Sighting;
use crate::app::{Actor, App, Call};
use crate::audit::{Event, Outcome};
use crate::error::Result;

/// Two entries about one key are so far apart, whatever comes.
const MINUTE_MS: u64 = 60_000;
/// Canaries that are watched at once.
const MOST: usize = 1_000;
/// Sources that an entry names; of more it has the count.
const MOST_SOURCES: usize = 10;

/// Uses of canaries on their way into the log.
#[derive(Default)]
pub(crate) struct Canaries(Mutex<HashMap<KeyId, Sung>>);

struct Sung {
    record: Arc<KeyRecord>,
    generation: u32,
    attempts: u64,
    sources: Vec<Source>,
    /// Not told before.
    due_ms: u64,
}

/// Who used it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Source {
    address: Option<IpAddr>,
    agent: Option<String>,
}

impl Canaries {
    /// Notes a use.
    pub(super) fn note(&self, record: &Arc<KeyRecord>, generation: u32, sighting: Sighting<'_>) {
        let mut keys = self.keys();
        if keys.len() >= MOST && !keys.contains_key(&record.id) {
            return;
        }
        let new = || Sung { record: record.clone(), generation, attempts: 0, sources: Vec::new(), due_ms: 0 };
        let sung = keys.entry(record.id).or_insert_with(new);
        sung.attempts += 1;
        sung.generation = generation;
        let source = Source { address: sighting.address, agent: sighting.agent.map(Into::into) };
        if sung.sources.len() < MOST_SOURCES && !sung.sources.contains(&source) {
            sung.sources.push(source);
        }
    }

    /// Takes what is due. A key that was told stays for a minute, so that what comes meanwhile waits
    /// for its end.
    fn take(&self, now_ms: u64) -> Vec<Sung> {
        let mut due = Vec::new();
        self.keys().retain(|_, sung| {
            if now_ms < sung.due_ms {
                return true;
            }
            if sung.attempts == 0 {
                return false;
            }
            sung.due_ms = now_ms.saturating_add(MINUTE_MS);
            due.push(Sung {
                record: sung.record.clone(),
                attempts: std::mem::take(&mut sung.attempts),
                sources: std::mem::take(&mut sung.sources),
                ..*sung
            });
            true
        });
        due
    }

    /// What could not be written is due again.
    fn put_back(&self, due: impl Iterator<Item = Sung>) {
        let mut keys = self.keys();
        for old in due {
            let new = || Sung { record: old.record.clone(), attempts: 0, sources: Vec::new(), ..old };
            let sung = keys.entry(old.record.id).or_insert_with(new);
            sung.due_ms = 0;
            sung.attempts += old.attempts;
            sung.sources.extend(old.sources);
            sung.sources.truncate(MOST_SOURCES);
        }
    }

    fn keys(&self) -> MutexGuard<'_, HashMap<KeyId, Sung>> {
        self.0.lock().expect("no code panics while it holds this lock")
    }
}

impl Sung {
    fn event(&self) -> Event {
        let owner = self.record.terms.owner_id.map(|owner| owner.to_string());
        let event = Event::new("key.canary_used", "key", &self.record.id.to_string(), &self.record.label)
            .after(&json!({ "attempts": self.attempts, "owner_id": owner, "sources": self.sources }));
        Event { outcome: Outcome::Refused, ..event }
    }

    /// The watch, with where the first of these uses came from.
    fn actor(&self) -> Actor {
        let mut actor = Actor::local(&self.record.terms.tenant_id.to_string(), "canary");
        actor.key_id = Some(self.record.id.to_string());
        actor.secret_generation = Some(self.generation);
        let first = self.sources.first().cloned();
        let (address, agent) = first.map_or((None, None), |first| (first.address, first.agent));
        actor.call = Call { address, agent, ..actor.call };
        actor
    }
}

impl App {
    /// Writes the uses of canaries that are due.
    pub(crate) async fn flush_canaries(&self) -> Result<()> {
        self.write_canaries(self.clock.monotonic_ms()).await
    }

    /// Writes all of them: at shutdown.
    pub(crate) async fn finish_canaries(&self) -> Result<()> {
        self.write_canaries(u64::MAX).await
    }

    async fn write_canaries(&self, now_ms: u64) -> Result<()> {
        let mut due = self.verifier.canaries.take(now_ms).into_iter();
        let mut written = Ok(());
        while let Some(sung) = due.as_slice().first() {
            written = self.record_noticed(sung.actor(), vec![sung.event()]).await;
            if written.is_err() {
                break;
            }
            due.next();
        }
        self.verifier.canaries.put_back(due);
        written
    }
}
