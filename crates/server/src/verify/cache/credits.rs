//! Credits between the store and the keys in memory (X6).

use keyward_core::token::AccessKey;

use super::{Cache, Need};
use crate::error::Result;
use crate::store::credits;
use crate::verify::record::Credits;

impl Cache {
    /// Takes credits out of the store.
    pub(super) async fn lease(&self, id: AccessKey, wish: i64) -> Result<()> {
        let Some(key) = self.keys.pin().get(&id).cloned() else { return Ok(()) };
        let Some(credits) = &key.credits else { return Ok(()) };
        let (tenant, key_id) = (key.terms.tenant_id.to_string(), key.id.to_string());
        loop {
            let mut tx = self.db.begin().await?;
            let taken = credits::lease(tx.conn(), &tenant, &key_id, credits.granted_at, wish).await?;
            tx.commit().await?;
            match taken {
                Some(0) => {
                    credits.lease.note_dry(true);
                    return Ok(());
                }
                Some(taken) => {
                    // The record may have been read anew meanwhile: what was taken belongs to the one
                    // in use, and none can take its place under the lock.
                    let _bar = self.shard(Need::Key(id));
                    let current = self.keys.pin().get(&id).cloned().unwrap_or_else(|| key.clone());
                    let of_grant = |held: &&Credits| held.granted_at == credits.granted_at;
                    if let Some(held) = current.credits.as_deref().filter(of_grant) {
                        held.lease.add(taken);
                    }
                    return Ok(());
                }
                None => {}
            }
        }
    }

    /// Gives every unspent credit back to the store: at shutdown.
    pub(crate) async fn return_credits(&self) -> Result<()> {
        let leased: Vec<_> = self
            .keys
            .pin()
            .values()
            .filter(|key| key.credits.as_ref().is_some_and(|credits| credits.lease.held() > 0))
            .cloned()
            .collect();
        if leased.is_empty() {
            return Ok(());
        }
        let mut tx = self.db.begin().await?;
        for key in leased {
            let Some(credits) = &key.credits else { continue };
            let count = credits.lease.give_up();
            let (tenant, id) = (key.terms.tenant_id.to_string(), key.id.to_string());
            credits::give_back(tx.conn(), &tenant, &id, credits.granted_at, count).await?;
        }
        tx.commit().await
    }
}
