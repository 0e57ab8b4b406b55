//! Credits between the store and the records in memory (X6).

use std::sync::Arc;

use super::{Cache, Need, shard_of};
use crate::credits::{Drawn, draw};
use crate::error::Result;
use crate::store::Conn;
use crate::store::credits::Holder;
use crate::verify::credits::{Credits, Holding};
use crate::verify::facts::UserRecord;
use crate::verify::record::KeyRecord;

/// A grant of a key or of a user, and what this node holds of it.
struct Grant {
    tenant: String,
    id: String,
    of_user: bool,
    granted_at: i64,
    holding: Arc<Holding>,
    /// How many to take for one use, if it lacks any.
    wish: Option<i64>,
}

impl Grant {
    fn of_key(key: &KeyRecord, cost: u32, now: i64) -> Option<Self> {
        let ids = (key.terms.tenant_id.to_string(), key.id.to_string());
        Some(Self::new(key.credits()?, ids, false, (cost, now)))
    }

    fn of_user(user: &UserRecord, cost: u32, now: i64) -> Option<Self> {
        let ids = (user.tenant_id.to_string(), user.id.to_string());
        Some(Self::new(user.credits.as_deref()?, ids, true, (cost, now)))
    }

    fn new(
        credits: &Credits,
        (tenant, id): (String, String),
        of_user: bool,
        (cost, now): (u32, i64),
    ) -> Self {
        let wish = credits.is_short(cost, now).then(|| credits.lease_size(cost));
        let (granted_at, holding) = (credits.granted_at, credits.holding.clone());
        Self { tenant, id, of_user, granted_at, holding, wish }
    }

    /// Gives back what is held and takes up to `wish`.
    async fn renew(&self, conn: &mut Conn, wish: i64, now: i64) -> Result<Option<Drawn>> {
        let holder = if self.of_user { Holder::User(&self.id) } else { Holder::Key(&self.id) };
        let back = self.holding.give_up();
        let drawn = draw(conn, (&self.tenant, holder, self.granted_at), back, wish, now).await;
        if drawn.is_err() {
            self.holding.hold_on(back);
        }
        drawn
    }
}

impl Cache {
    /// Takes credits out of the store.
    pub(super) async fn lease(&self, need: Need, cost: u32) -> Result<()> {
        let _turn = self.leasing[shard_of(need)].lock().await;
        let now = self.clock.unix_ms();
        let grant = match need {
            Need::Credits(id, _) => self.keys.pin().get(&id).and_then(|key| Grant::of_key(key, cost, now)),
            Need::OwnerCredits(_, id, _) => {
                self.users.pin().get(&id).and_then(|user| Grant::of_user(user, cost, now))
            }
            _ => None,
        };
        // Whoever was first in turn may have taken enough.
        let Some((grant, wish)) = grant.and_then(|grant| grant.wish.map(|wish| (grant, wish))) else {
            return Ok(());
        };
        let mut tx = self.db.begin().await?;
        let drawn = grant.renew(tx.conn(), wish, now).await?;
        tx.commit().await?;
        if let Some(drawn) = drawn {
            grant.holding.hold(&drawn);
        }
        Ok(())
    }

    /// Gives every unspent credit back to the store: at shutdown.
    pub(crate) async fn return_credits(&self) -> Result<()> {
        let now = self.clock.unix_ms();
        let held = |grant: &Grant| !grant.holding.is_empty();
        let (keys, users) = (self.keys.pin(), self.users.pin());
        let of_keys = keys.values().filter_map(|key| Grant::of_key(key, 0, now)).filter(held);
        let grants: Vec<_> = of_keys
            .chain(users.values().filter_map(|user| Grant::of_user(user, 0, now)).filter(held))
            .collect();
        drop((keys, users));
        if grants.is_empty() {
            return Ok(());
        }
        let mut tx = self.db.begin().await?;
        for grant in grants {
            grant.renew(tx.conn(), 0, now).await?;
        }
        tx.commit().await
    }
}
