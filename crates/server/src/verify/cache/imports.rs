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
use crate::store::{Conn, keys};
use crate::verify::foreign::proof::Adoption;
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
    /// secret is hashed under a pepper as any other. `others` are the handles by which the text may be another
    /// key's.
    pub(crate) async fn adopt_import(
        self: &Arc<Self>,
        row: &ImportedRow,
        handle: AccessKey,
        others: Vec<AccessKey>,
        hashed: (i64, String),
    ) -> Result<Adoption> {
        let (cache, row) = (self.clone(), row.clone());
        let done =
            self.on_control(async move { cache.write_adopted(&row, handle, &others, &hashed).await }).await?;
        done.1.iter().for_each(|change| self.apply(change));
        Ok(done.0)
    }

    async fn write_adopted(
        &self,
        row: &ImportedRow,
        handle: AccessKey,
        others: &[AccessKey],
        (pepper, hash): &(i64, String),
    ) -> Result<(Adoption, Vec<Change>)> {
        let changed = adopted(row, handle);
        let mut tx = self.db.begin().await?;
        tx.lock_tenant(&row.tenant_id).await?;
        if is_anothers(tx.conn(), row, others).await? {
            tx.rollback().await?;
            return Ok((Adoption::Taken, Vec::new()));
        }
        if !imports::adopt(tx.conn(), row, handle.digits()).await? {
            tx.rollback().await?;
            return Ok((Adoption::Changed, changed));
        }
        keys::rehash(tx.conn(), &row.tenant_id, &row.key_id, row.generation, *pepper, hash).await?;
        let last = changes::advance(tx.conn(), 3).await?;
        changes::append_many(tx.conn(), last + 1, self.clock.unix_ms(), &changed).await?;
        tx.notify().await?;
        tx.commit().await?;
        Ok((Adoption::Done, changed))
    }
}

/// What an adoption changes.
fn adopted(row: &ImportedRow, handle: AccessKey) -> Vec<Change> {
    let change =
        |kind, subject: &str| Change { kind, tenant_id: row.tenant_id.clone(), subject: subject.to_owned() };
    vec![
        change(ChangeKind::Imported, &row.handle),
        change(ChangeKind::Imported, handle.digits()),
        change(ChangeKind::Key, &row.access_key),
    ]
}

/// Whether one of the handles is that of another key, in whichever tenant.
async fn is_anothers(conn: &mut Conn, row: &ImportedRow, handles: &[AccessKey]) -> Result<bool> {
    for handle in handles {
        if imports::load(conn, handle.digits()).await?.is_some_and(|other| other.key_id != row.key_id) {
            return Ok(true);
        }
    }
    Ok(false)
}
