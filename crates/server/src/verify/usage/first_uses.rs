//! The first use of each secret since the key has its newest one: told in the audit log, so that a
//! rotation shows when the new secret came into use and that the old one still is (KEY-9).

use std::sync::{Arc, Mutex, MutexGuard};

use keyward_core::id::KeyId;
use quick_cache::sync::Cache;
use serde_json::json;

use super::{Counts, Source};
use crate::app::{Actor, App};
use crate::audit::{Audited, Event};
use crate::clock::rfc3339;
use crate::error::Result;
use crate::store::usage::{is_told, mark_told};
use crate::verify::record::KeyRecord;

/// Secrets whose first use this node remembers to be told; of others it asks the store again.
const REMEMBERED: usize = 100_000;

/// First uses on their way into the log.
pub(crate) struct FirstUses {
    waiting: Mutex<Vec<FirstUse>>,
    /// Key, generation and newest generation: looked at already.
    asked: Cache<(KeyId, u32, u32), ()>,
}

/// A use that may be the first of its secret.
struct FirstUse {
    record: Arc<KeyRecord>,
    generation: u32,
    /// The newest generation at that time.
    newest: u32,
    at: i64,
    source: Source,
}

impl Default for FirstUses {
    fn default() -> Self {
        Self { waiting: Mutex::default(), asked: Cache::new(REMEMBERED) }
    }
}

impl FirstUses {
    /// Takes out of a flush what may be a first use: this node asks once for each secret, what is
    /// true of all nodes together stands in the store.
    pub(super) fn gather(&self, drained: &[(&Arc<KeyRecord>, Counts)]) {
        for (record, counts) in drained {
            let Some(newest) = record.secrets().next_back().filter(|_| record.only_generation().is_none())
            else {
                continue;
            };
            for seen in counts.seen.iter().filter(|seen| seen.at >= newest.created_at) {
                let place = (record.id, seen.generation, newest.generation);
                if self.asked.get(&place).is_none() {
                    self.asked.insert(place, ());
                    self.waiting().push(FirstUse {
                        record: (*record).clone(),
                        generation: seen.generation,
                        newest: newest.generation,
                        at: seen.at,
                        source: seen.source.clone().unwrap_or_default(),
                    });
                }
            }
        }
    }

    /// Tells of those that were gathered since the last call.
    pub(crate) async fn tell(&self, app: &App) -> Result<()> {
        loop {
            let Some(first) = self.waiting().pop() else { return Ok(()) };
            if let Err(error) = tell(app, &first).await {
                self.waiting().push(first);
                return Err(error);
            }
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Vec<FirstUse>> {
        self.waiting.lock().expect("no code panics while it gathers")
    }
}

async fn tell(app: &App, first: &FirstUse) -> Result<()> {
    let (tenant, key) = (first.record.terms.tenant_id.to_string(), first.record.id.to_string());
    let place = (i64::from(first.generation), i64::from(first.newest));
    if is_told(&mut app.read().await?, &tenant, &key, place).await? {
        return Ok(());
    }
    let mut actor = Actor::local(&tenant, "usage");
    actor.key_id = Some(key.clone());
    actor.secret_generation = Some(first.generation);
    actor.call.address = first.source.address;
    actor.call.agent = first.source.agent.as_deref().map(Into::into);
    app.write(&actor, async |tx| {
        // Another node may have been faster, and the tenant may be gone.
        if !mark_told(tx.conn(), &tenant, &key, place).await? {
            return Ok(Audited::many((), Vec::new()));
        }
        let after =
            json!({ "generation": place.0, "newest_generation": place.1, "used_at": rfc3339(first.at) });
        let event = Event::new("key.secret_used", "key", &key, &first.record.label).after(&after);
        Ok(Audited::new((), event))
    })
    .await
}
