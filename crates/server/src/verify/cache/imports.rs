//! Imported credentials between the store and memory.

use std::sync::Arc;

use keyward_core::decide::Now;
use keyward_core::token::AccessKey;
use zeroize::Zeroizing;

use super::{Cache, Need};
use crate::error::Result;
use crate::imports::ways::Ways;
use crate::store::changes::{self, Change, ChangeKind};
use crate::store::imports::{self, ImportedRow};
use crate::store::keys;
use crate::verify::foreign::{self, ForeignRecord};

impl Cache {
    /// What a handle leads to, `None` if it leads nowhere.
    pub(crate) fn foreign(&self, id: AccessKey, now: Now) -> Result<Option<Arc<ForeignRecord>>, Need> {
        let map = self.foreign.pin();
        self.usable(map.get(&id), |record| &record.age, Need::Foreign(id), now)
    }

    /// Reads the ways of look-up.
    pub(crate) async fn read_import_ways(self: &Arc<Self>) -> Result<Ways> {
        let cache = self.clone();
        self.on_control(async move { Ways::load(&cache.root_key, &mut cache.db.read().await?).await }).await
    }

    /// Opens the slow hash of a row.
    pub(crate) async fn unseal_import(self: &Arc<Self>, row: &ImportedRow) -> Result<Zeroizing<String>> {
        let (cache, row) = (self.clone(), row.clone());
        self.on_control(
            async move { foreign::unseal(&cache.root_key, &mut cache.db.read().await?, &row).await },
        )
        .await
    }

    /// Takes a proven credential over: it moves to the handle of its text, its slow hash is deleted, and its
    /// secret is hashed under a pepper as any other.
    pub(crate) async fn adopt_import(
        self: &Arc<Self>,
        row: &ImportedRow,
        handle: AccessKey,
        pepper: i64,
        hash: String,
    ) -> Result<()> {
        let (cache, row) = (self.clone(), row.clone());
        let changed = self.on_control(async move { cache.write_adopted(&row, handle, pepper, &hash).await });
        changed.await?.iter().for_each(|change| self.apply(change));
        Ok(())
    }

    async fn write_adopted(
        &self,
        row: &ImportedRow,
        handle: AccessKey,
        pepper: i64,
        hash: &str,
    ) -> Result<Vec<Change>> {
        let change = |kind, subject: &str| Change {
            kind,
            tenant_id: row.tenant_id.clone(),
            subject: subject.to_owned(),
        };
        let changed = vec![
            change(ChangeKind::Imported, &row.handle),
            change(ChangeKind::Imported, handle.digits()),
            change(ChangeKind::Key, &row.access_key),
        ];
        let mut tx = self.db.begin().await?;
        tx.lock_tenant(&row.tenant_id).await?;
        if !imports::adopt(tx.conn(), row, handle.digits()).await? {
            // Somebody was faster, or this text is another key's: either way it is looked up anew.
            tx.rollback().await?;
            return Ok(changed);
        }
        keys::rehash(tx.conn(), &row.tenant_id, &row.key_id, row.generation, pepper, hash).await?;
        let last = changes::advance(tx.conn(), 3).await?;
        let now = self.clock.unix_ms();
        for (seq, change) in (last + 1..).zip(&changed) {
            changes::append(tx.conn(), seq, now, change).await?;
        }
        tx.notify().await?;
        tx.commit().await?;
        Ok(changed)
    }
}
