//! What makes facts old: entries of the change feed, gaps in it, retired peppers.

use std::sync::Arc;

use keyward_core::token::AccessKey;

use super::{Cache, Need};
use crate::store::changes::{Change, ChangeKind};
use crate::verify::record::KeyRecord;

impl Cache {
    /// Applies a change of facts: from now on they are read anew.
    pub(crate) fn apply(&self, change: &Change) {
        match change.kind {
            ChangeKind::Key => {
                if let Some(id) = AccessKey::from_digits(&change.subject) {
                    self.register.add(id);
                    self.invalidate(Need::Key(id), || {
                        self.keys.pin().get(&id).map(|record| record.age.expire())
                    });
                }
            }
            ChangeKind::User => {
                if let (Ok(tenant), Ok(id)) = (change.tenant_id.parse(), change.subject.parse()) {
                    self.invalidate(Need::User(tenant, id), || {
                        self.users.pin().get(&id).map(|record| record.age.expire())
                    });
                }
            }
            ChangeKind::Tenant => {
                if let Ok(id) = change.tenant_id.parse() {
                    self.invalidate(Need::Tenant(id), || {
                        self.tenants.pin().get(&id).map(|record| record.age.expire())
                    });
                }
            }
            ChangeKind::Tenants => {
                let _bars = self.bar_loads();
                self.tenants.pin().values().for_each(|record| record.age.expire());
            }
            ChangeKind::Trusted => {
                if let Some(id) = AccessKey::from_digits(&change.subject) {
                    self.register.add(id);
                    self.invalidate(Need::Trusted(id), || {
                        self.trusted.pin().get(&id).map(|record| record.age.expire())
                    });
                }
            }
            ChangeKind::Token => self.add_revocation(&change.subject),
            ChangeKind::Session => {
                if let Some(id) = AccessKey::from_digits(&change.subject) {
                    self.invalidate(Need::Session(id), || {
                        self.sessions.pin().get(&id).map(|record| record.age.expire())
                    });
                }
            }
            ChangeKind::Imported => {
                if let Some(id) = AccessKey::from_digits(&change.subject) {
                    self.register.add(id);
                    self.invalidate(Need::Foreign(id), || {
                        self.foreign.pin().get(&id).map(|record| record.age.expire())
                    });
                }
            }
            ChangeKind::Pepper | ChangeKind::SigningKeys | ChangeKind::ImportWays => {}
        }
    }

    /// Forgets sessions that nobody can use any more.
    pub(crate) fn forget_sessions(&self, now: i64) {
        self.sessions.pin().retain(|_, record| !(record.age.is_stale() || record.is_over(now)));
    }

    fn invalidate(&self, need: Need, expire: impl FnOnce() -> Option<()>) {
        let mut shard = self.shard(need);
        *shard += 1;
        expire();
        self.unknown.remove(&need);
    }

    /// Everything known may be old: after a gap in the feed.
    pub(crate) fn expire_all(&self) {
        let _bars = self.bar_loads();
        self.register.forget();
        self.keys.pin().values().for_each(|record| record.age.expire());
        self.users.pin().values().for_each(|record| record.age.expire());
        self.tenants.pin().values().for_each(|record| record.age.expire());
        self.trusted.pin().values().for_each(|record| record.age.expire());
        self.foreign.pin().values().for_each(|record| record.age.expire());
        if let Some(known) = self.revocations.load().as_ref() {
            known.age.expire();
        }
        self.sessions.pin().values().for_each(|record| record.age.expire());
    }

    /// Keys with a secret under none of these peppers are read anew.
    pub(crate) fn expire_off(&self, peppers: &[u32]) {
        let _bars = self.bar_loads();
        let off = |record: &&Arc<KeyRecord>| record.secrets().any(|s| !peppers.contains(&s.pepper));
        self.keys.pin().values().filter(off).for_each(|record| record.age.expire());
    }

    /// No load that began before may be kept; none is kept until these are dropped.
    fn bar_loads(&self) -> Vec<std::sync::MutexGuard<'_, u64>> {
        let lock = "no code panics while it holds this lock";
        let mut shards: Vec<_> = self.shards.iter().map(|shard| shard.lock().expect(lock)).collect();
        shards.iter_mut().for_each(|shard| **shard += 1);
        shards
    }
}
