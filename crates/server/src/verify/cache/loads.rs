//! Reading the facts that a verification lacks: whoever misses the same thing at the same time shares
//! one query, and what is kept is true at that moment.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use keyward_core::secret::Pepper;
use tokio::sync::OnceCell;

use super::{Cache, Map, Need, millis};
use crate::error::{Error, Result};
use crate::seal::{self, RootKey};
use crate::store::Transaction;
use crate::verify::facts::{self, TenantRecord, UserRecord};
use crate::verify::foreign::{self, ForeignRecord};
use crate::verify::keyring::{self, Keyring};
use crate::verify::record::KeyRecord;
use crate::verify::sessions::{self, SessionRecord};
use crate::verify::trusted::{self, TrustedRecord};

impl Cache {
    /// Reads what is missing. Whoever misses the same thing at the same time shares the query.
    ///
    /// # Errors
    /// `Error::Outage` when the database cannot be read.
    pub(crate) async fn load(self: &Arc<Self>, need: Need) -> Result<()> {
        if self.health.down.load(Ordering::Acquire) {
            // The feed keeps trying; callers must not pile up behind a database that is away.
            return Err(Error::outage("the database was away a moment ago"));
        }
        let cell = self.loading().entry(need).or_default().clone();
        let loaded = *cell
            .get_or_init(|| async {
                let cache = self.clone();
                // On the control runtime: connections belong there, and a caller who goes away
                // must not cut a query short.
                let task = self.control.spawn(async move { cache.read(need).await });
                task.await.is_ok_and(|read| read.inspect_err(log_failure).is_ok())
            })
            .await;
        let mut loading = self.loading();
        if loading.get(&need).is_some_and(|current| Arc::ptr_eq(current, &cell)) {
            loading.remove(&need);
        }
        if loaded { Ok(()) } else { Err(Error::outage("facts could not be read")) }
    }

    fn loading(&self) -> std::sync::MutexGuard<'_, HashMap<Need, Arc<OnceCell<bool>>>> {
        self.loading.lock().expect("no code panics while it holds this lock")
    }

    async fn read(&self, need: Need) -> Result<()> {
        let work = async {
            match need {
                Need::Credits(_, cost) | Need::OwnerCredits(_, _, cost) => self.lease(need, cost).await,
                Need::Revocations => self.read_revocations().await,
                _ => self.read_facts(need).await,
            }
        };
        tokio::time::timeout(self.settings.timeout, work).await.map_err(Error::outage)?
    }

    /// Reads the peppers.
    pub(crate) async fn read_peppers(self: &Arc<Self>, root_key: Arc<RootKey>) -> Result<Vec<Pepper>> {
        let cache = self.clone();
        self.on_control(async move { seal::load_peppers(&root_key, &mut cache.db.read().await?).await }).await
    }

    /// Reads the signing keys.
    pub(crate) async fn read_keyring(self: &Arc<Self>) -> Result<Keyring> {
        let cache = self.clone();
        self.on_control(async move {
            let now_ms = cache.clock.monotonic_ms();
            keyring::load(&cache.root_key, &mut cache.db.read().await?, now_ms).await
        })
        .await
    }

    /// A transaction for leases.
    pub(in crate::verify) async fn begin(&self) -> Result<Transaction> {
        self.db.begin().await
    }

    /// Reads on the control runtime, where connections belong.
    pub(in crate::verify) async fn on_control<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T>> + Send + 'static,
    ) -> Result<T> {
        tokio::time::timeout(self.settings.timeout, self.control.spawn(work))
            .await
            .map_err(Error::outage)?
            .map_err(Error::internal)?
    }

    /// Reads until no invalidation came in between: what is put in the map is then true.
    async fn read_facts(&self, need: Need) -> Result<()> {
        loop {
            let seen = *self.shard(need);
            self.reads.fetch_add(1, Ordering::Relaxed);
            let mut conn = self.db.read().await?;
            let now_ms = self.clock.monotonic_ms();
            let fresh = match need {
                Need::Key(id) => Fresh::Key(facts::load_key(&mut conn, id, now_ms).await?),
                Need::User(tenant, id) => Fresh::User(facts::load_user(&mut conn, tenant, id, now_ms).await?),
                Need::Tenant(id) => {
                    Fresh::Tenant(facts::load_tenant(&mut conn, id, now_ms).await?.map(Arc::new))
                }
                Need::Trusted(id) => {
                    Fresh::Trusted(trusted::load(&self.root_key, &mut conn, id, now_ms).await?)
                }
                Need::Foreign(id) => Fresh::Foreign(foreign::load(&mut conn, id, now_ms).await?),
                Need::Session(id) => Fresh::Session(sessions::load_session(&mut conn, id, now_ms).await?),
                Need::Credits(..) | Need::OwnerCredits(..) | Need::Revocations => return Ok(()),
            };
            let shard = self.shard(need);
            if *shard == seen {
                self.keep(need, fresh, now_ms);
                return Ok(());
            }
        }
    }

    fn keep(&self, need: Need, fresh: Fresh, now_ms: u64) {
        let kept = match (need, fresh) {
            (Need::Key(id), Fresh::Key(Some(record))) => put(&self.keys, id, record, KeyRecord::carry_on),
            (Need::User(_, id), Fresh::User(Some(record))) => {
                put(&self.users, id, record, UserRecord::carry_on)
            }
            (Need::Tenant(id), Fresh::Tenant(Some(record))) => {
                self.tenants.pin().insert(id, record);
                true
            }
            (Need::Trusted(id), Fresh::Trusted(Some(record))) => {
                put(&self.trusted, id, record, TrustedRecord::carry_on)
            }
            (Need::Foreign(id), Fresh::Foreign(Some(record))) => put(&self.foreign, id, record, |_, _| ()),
            (Need::Session(id), Fresh::Session(Some(record))) => {
                put(&self.sessions, id, record, SessionRecord::carry_on)
            }
            _ => false,
        };
        if kept {
            self.unknown.remove(&need);
        } else {
            self.forget(need);
            self.unknown.insert(need, now_ms + millis(self.settings.unknown_ttl));
        }
    }

    fn forget(&self, need: Need) {
        match need {
            Need::Key(id) => drop(self.keys.pin().remove(&id)),
            Need::User(tenant, id) => {
                let _ = self.users.pin().remove_if(&id, |_, record| record.tenant_id == tenant);
            }
            Need::Tenant(id) => drop(self.tenants.pin().remove(&id)),
            Need::Session(id) => drop(self.sessions.pin().remove(&id)),
            Need::Trusted(id) => drop(self.trusted.pin().remove(&id)),
            Need::Foreign(id) => drop(self.foreign.pin().remove(&id)),
            Need::Credits(..) | Need::OwnerCredits(..) | Need::Revocations => {}
        }
    }
}

/// Puts a record in the place of an older one, from which it takes over what outlives a reload.
fn put<K: Eq + Hash, V>(map: &Map<K, V>, id: K, mut record: V, carry_on: impl FnOnce(&mut V, &V)) -> bool {
    let map = map.pin();
    if let Some(old) = map.get(&id) {
        carry_on(&mut record, old);
    }
    map.insert(id, Arc::new(record));
    true
}

enum Fresh {
    Key(Option<KeyRecord>),
    User(Option<UserRecord>),
    Tenant(Option<Arc<TenantRecord>>),
    Trusted(Option<TrustedRecord>),
    Foreign(Option<ForeignRecord>),
    Session(Option<SessionRecord>),
}

fn log_failure(error: &Error) {
    let cause = std::error::Error::source(error).map(ToString::to_string);
    tracing::warn!(error = %error, cause, "facts could not be read");
}
