//! What a trusted secret does that it did not do before (IMP-11): asking from another network, for another
//! administrator, or more often than it may. Each is an event, once, which administrators are told of.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard};

use ipnet::IpNet;
use keyward_core::address::site_of;
use keyward_core::id::{TrustedId, UserId};
use quick_cache::sync::Cache;
use serde_json::json;

use crate::app::{Actor, App, Call};
use crate::audit::{Audited, Event};
use crate::error::{Error, Result};
use crate::store::trusted;
use crate::verify::trusted::Backend;

/// Firsts that this node remembers to be told; of others it asks the store again.
const REMEMBERED: usize = 10_000;
/// Firsts that wait at once; whoever brings about more is told of by the limit on requests.
const MOST_WAITING: usize = 1_000;
const HOUR_MS: i64 = 3_600_000;

/// Something that may be done for the first time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum First {
    /// Asked from this network.
    Network(IpNet),
    /// Asked for a token of this administrator.
    Privileged(UserId),
    /// More requests than the ceiling allows, in this hour since 1970.
    Spike(i64),
}

impl First {
    /// The network of an address.
    pub(crate) fn network(address: IpAddr) -> Self {
        Self::Network(site_of(address))
    }

    /// Too many requests at this time.
    pub(crate) fn spike(now_ms: i64) -> Self {
        Self::Spike(now_ms.div_euclid(HOUR_MS))
    }

    fn action(self) -> &'static str {
        match self {
            Self::Network(_) => "trusted.new_network",
            Self::Privileged(_) => "trusted.new_privileged",
            Self::Spike(_) => "trusted.mint_spike",
        }
    }

    /// As the store remembers it.
    fn text(self) -> String {
        match self {
            Self::Network(network) => format!("network {network}"),
            Self::Privileged(user) => format!("privileged {user}"),
            Self::Spike(hour) => format!("spike {hour}"),
        }
    }

    fn facts(self) -> serde_json::Value {
        match self {
            Self::Network(network) => json!({ "network": network.to_string() }),
            Self::Privileged(user) => json!({ "user_id": user.to_string() }),
            Self::Spike(_) => json!({}),
        }
    }
}

/// Firsts on their way into the log.
pub(crate) struct Firsts {
    waiting: Mutex<Vec<(First, Arc<Actor>)>>,
    asked: Cache<(TrustedId, First), ()>,
}

impl Default for Firsts {
    fn default() -> Self {
        Self { waiting: Mutex::default(), asked: Cache::new(REMEMBERED) }
    }
}

impl Firsts {
    /// A secret did something; costs a look into memory unless it may be new.
    pub(crate) fn note(&self, backend: &Backend, first: First, call: impl FnOnce() -> Call) {
        let place = (backend.record.id, first);
        if self.asked.get(&place).is_some() {
            return;
        }
        let mut waiting = self.waiting();
        if waiting.len() < MOST_WAITING {
            self.asked.insert(place, ());
            let actor = backend.actor(&backend.tenant.id.to_string(), call());
            waiting.push((first, Arc::new(actor)));
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Vec<(First, Arc<Actor>)>> {
        self.waiting.lock().expect("no code panics while it holds this lock")
    }
}

/// Tells of what was noted since the last call, as far as no node did before.
pub(crate) async fn tell(app: &App) -> Result<()> {
    loop {
        let Some((first, actor)) = app.minting.firsts.waiting().pop() else { return Ok(()) };
        match tell_one(app, first, &actor).await {
            // The secret or its tenant is gone.
            Ok(()) | Err(Error::NotFound) => {}
            Err(error) => {
                app.minting.firsts.waiting().push((first, actor));
                return Err(error);
            }
        }
    }
}

async fn tell_one(app: &App, first: First, actor: &Actor) -> Result<()> {
    let (tenant, secret) = (&actor.tenant_id, &actor.principal);
    if trusted::did(&mut app.read().await?, tenant, &secret.id, &first.text()).await? {
        return Ok(());
    }
    app.write(actor, async |tx| {
        let now = tx.now;
        if !trusted::do_first(tx.conn(), tenant, &secret.id, &first.text(), now).await? {
            return Ok(Audited::many((), Vec::new()));
        }
        let event = Event::new(first.action(), "trusted", &secret.id, &secret.label);
        Ok(Audited::new((), event.after(&first.facts())))
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn imp_11_neighbours_are_one_network() {
        let of = |text: &str| First::network(text.parse().expect("an address"));
        assert_eq!(of("192.0.2.7"), of("192.0.2.250"));
        assert_ne!(of("192.0.2.7"), of("192.0.3.7"));
        assert_eq!(of("2001:db8:1:2::3"), of("2001:db8:1:ffff::1"));
        assert_ne!(of("2001:db8:1::1"), of("2001:db8:2::1"));
        assert_eq!(of("192.0.2.7").text(), "network 192.0.2.0/24");
        assert_eq!(First::spike(HOUR_MS * 5 + 1), First::spike(HOUR_MS * 6 - 1));
    }
}
