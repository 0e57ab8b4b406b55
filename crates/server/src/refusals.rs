//! Refused attempts on their way into the audit log: merged and bounded, so that an attacker cannot
//! fill the disk (AUD-1).

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use crate::app::{Actor, App};
use crate::audit::{Audited, Event, Outcome};
use crate::error::Result;
use crate::store::tenants;

/// How often refusals are written.
pub(crate) const FLUSH: Duration = Duration::from_secs(5);
/// Different refusals that wait at once; more are counted only.
const MOST_WAITING: usize = 1000;

/// Refused attempts that wait to be audited.
#[derive(Default)]
pub(crate) struct Refusals {
    gathered: Mutex<Gathered>,
}

#[derive(Default)]
struct Gathered {
    waiting: BTreeMap<Kind, (Actor, Event, u64)>,
    minutes: HashMap<String, Minute>,
}

/// Tenant, principal, action and code: attempts that differ in none of them are one entry.
type Kind = (String, String, &'static str, String);

/// What a tenant's log took in this minute.
#[derive(Default)]
struct Minute {
    number: i64,
    written: u32,
    /// Attempts above the limit.
    beyond: u64,
}

impl Refusals {
    /// Notes that `actor` was refused `action`.
    pub(crate) fn note(&self, actor: &Actor, action: &'static str, code: &str) {
        let kind = (actor.tenant_id.clone(), actor.principal.id.clone(), action, code.to_owned());
        let mut gathered = self.lock();
        if let Some((_, _, count)) = gathered.waiting.get_mut(&kind) {
            *count += 1;
        } else if gathered.waiting.len() < MOST_WAITING {
            let event = refusal(action, code);
            gathered.waiting.insert(kind, (actor.clone(), event, 1));
        } else {
            gathered.minutes.entry(actor.tenant_id.clone()).or_default().beyond += 1;
        }
    }

    /// Takes what is to be written in this minute, at most so many entries per tenant. What went
    /// beyond that in an earlier minute comes as one entry.
    fn take(&self, minute: i64, most: u32) -> Vec<(Actor, Event)> {
        let mut gathered = self.lock();
        let mut events = Vec::new();
        gathered.minutes.retain(|tenant, past| {
            if past.number == minute {
                return true;
            }
            if past.beyond > 0 {
                let event = counted(refusal("auth.refused", "beyond_limit"), past.beyond);
                events.push((Actor::local(tenant, "refusals"), event));
            }
            false
        });
        for (kind, (actor, event, count)) in std::mem::take(&mut gathered.waiting) {
            let now = gathered.minutes.entry(kind.0).or_default();
            now.number = minute;
            if now.written < most {
                now.written += 1;
                events.push((actor, counted(event, count)));
            } else {
                now.beyond += count;
            }
        }
        events
    }

    fn lock(&self) -> MutexGuard<'_, Gathered> {
        self.gathered.lock().expect("no code panics while it holds this lock")
    }
}

fn refusal(action: &'static str, code: &str) -> Event {
    let mut event = Event::new(action, "operation", action, action).reason(Some(code));
    event.outcome = Outcome::Refused;
    event
}

fn counted(mut event: Event, attempts: u64) -> Event {
    event.after = Some(serde_json::json!({ "attempts": attempts }));
    event
}

impl App {
    /// Writes the refusals that wait.
    pub(crate) async fn flush_refusals(&self) -> Result<()> {
        self.write_refusals(self.clock.unix_ms() / 60_000).await
    }

    /// Writes all refusals, those beyond the limit of this minute too: at shutdown.
    pub(crate) async fn finish_refusals(&self) -> Result<()> {
        self.flush_refusals().await?;
        self.write_refusals(i64::MAX).await
    }

    async fn write_refusals(&self, minute: i64) -> Result<()> {
        let most = self.settings.audit.max_refusals_per_minute;
        for (actor, event) in self.refusals.take(minute, most) {
            self.record_noticed(actor, vec![event]).await?;
        }
        Ok(())
    }

    /// Writes events that were noticed earlier: they are about who acted, not about what they may
    /// do now.
    pub(crate) async fn record_noticed(&self, mut actor: Actor, events: Vec<Event>) -> Result<()> {
        actor.access_key = None;
        actor.session = None;
        actor.validate_only = false;
        actor.idempotency = None;
        self.write(&actor, async |tx| {
            // A tenant that was deleted meanwhile has no log any more (AZ-14).
            let there = tenants::find(tx.conn(), &actor.tenant_id).await?.is_some();
            Ok(Audited::many((), if there { events } else { Vec::new() }))
        })
        .await
    }
}
