//! Facts in memory, and when they may be trusted (`design.md` §5).

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use keyward_core::decide::Now;
use keyward_core::id::{TenantId, UserId};
use keyward_core::secret::SecretHash;
use keyward_core::token::AccessKey;
use tokio::runtime::Handle;
use tokio::sync::OnceCell;

use super::facts::{Age, TenantRecord, UserRecord};
use super::foreign::ForeignRecord;
use super::record::KeyRecord;
use super::register::Register;
use super::sessions::SessionRecord;
use super::tokens::Revocations;
use super::trusted::TrustedRecord;
use crate::clock::Clock;
use crate::config::OnDatabaseLoss;
use crate::error::Result;
use crate::seal::RootKey;
use crate::store::Db;
use crate::store::changes::Position;

mod changes;
mod credits;
mod imports;
mod loads;

type Map<K, V> = papaya::HashMap<K, Arc<V>, foldhash::fast::RandomState>;

/// Locks that order loads against invalidations, by subject.
const SHARDS: usize = 64;
/// Re-hashings that may wait; more are dropped and come back with the next use.
const MAX_REHASH: usize = 10_000;

/// Facts that a verification lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Need {
    /// A key.
    Key(AccessKey),
    /// A user of a tenant.
    User(TenantId, UserId),
    /// A tenant with its roles and groups.
    Tenant(TenantId),
    /// A session, by the id inside its token.
    Session(AccessKey),
    /// Credits of a key for a use that costs so many, out of the store.
    Credits(AccessKey, u32),
    /// The same of an owner.
    OwnerCredits(TenantId, UserId, u32),
    /// A trusted secret.
    Trusted(AccessKey),
    /// What a handle of an imported credential leads to.
    Foreign(AccessKey),
    /// The tokens that were revoked by their id.
    Revocations,
}

/// A secret to be re-hashed under the newest pepper.
pub(crate) struct Rehash {
    pub(crate) key: Arc<KeyRecord>,
    pub(crate) generation: u32,
    pub(crate) pepper: u32,
    pub(crate) hash: SecretHash,
}

/// What this node believes about its database.
#[derive(Debug, Default)]
pub(crate) struct Health {
    /// When the feed was last read to its end, monotonic milliseconds.
    pub(crate) confirmed_ms: AtomicU64,
    /// The last attempt to read the feed failed.
    pub(crate) down: AtomicBool,
    /// Facts had been confirmed up to the moment when the database went away. A node that stood
    /// still before cannot know what it missed and must not go on alone.
    pub(crate) knew_all: AtomicBool,
    /// Number of the last change applied.
    pub(crate) applied_seq: AtomicI64,
    /// Its mark.
    applied_mark: Mutex<String>,
}

impl Health {
    /// Up to where the feed was applied.
    pub(crate) fn applied(&self) -> Position {
        let mark = self.applied_mark.lock().expect("no code panics while it holds this lock").clone();
        Position { seq: self.applied_seq.load(Ordering::Acquire), mark }
    }

    /// The feed was applied up to there. Only who follows it says so.
    pub(crate) fn go_on_from(&self, position: &Position) {
        self.applied_mark.lock().expect("no code panics while it holds this lock").clone_from(&position.mark);
        self.applied_seq.store(position.seq, Ordering::Release);
    }
}

/// How facts are judged right now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trust {
    /// The feed is confirmed: everything not known to be stale is true.
    All,
    /// It is not: only what was read a moment ago is true.
    Recent,
    /// And the database is away for longer than this node may go on alone.
    Nothing,
}

/// Limits that the configuration sets.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CacheSettings {
    pub(crate) max_staleness: Duration,
    pub(crate) on_database_loss: OnDatabaseLoss,
    pub(crate) unknown_ttl: Duration,
    pub(crate) max_unknown: usize,
    pub(crate) timeout: Duration,
}

/// The cache of facts.
pub(crate) struct Cache {
    db: Db,
    control: Handle,
    clock: Clock,
    settings: CacheSettings,
    keys: Map<AccessKey, KeyRecord>,
    users: Map<UserId, UserRecord>,
    tenants: Map<TenantId, TenantRecord>,
    trusted: Map<AccessKey, TrustedRecord>,
    foreign: Map<AccessKey, ForeignRecord>,
    revocations: ArcSwapOption<Revocations>,
    /// Those that came while all were being read.
    late_revocations: Mutex<Option<Vec<String>>>,
    root_key: Arc<RootKey>,
    sessions: Map<AccessKey, SessionRecord>,
    /// What does not exist, and until when to believe it: bounded, so that guessing flushes
    /// nothing real (R10).
    unknown: quick_cache::sync::Cache<Need, u64>,
    /// Which keys and trusted secrets there may be.
    pub(crate) register: Register,
    /// Loads and invalidations of one subject exclude each other; counts invalidations.
    shards: [Mutex<u64>; SHARDS],
    loading: Mutex<HashMap<Need, Arc<OnceCell<bool>>>>,
    /// Of the leases of one subject one is taken at a time.
    leasing: [tokio::sync::Mutex<()>; SHARDS],
    rehash: Mutex<Vec<Rehash>>,
    pub(crate) health: Health,
    /// Queries that misses have cost.
    pub(crate) reads: AtomicU64,
}

impl Cache {
    pub(crate) fn new(
        db: Db,
        control: Handle,
        clock: Clock,
        root_key: Arc<RootKey>,
        settings: CacheSettings,
    ) -> Self {
        Self {
            db,
            control,
            clock,
            settings,
            keys: Map::default(),
            users: Map::default(),
            tenants: Map::default(),
            trusted: Map::default(),
            foreign: Map::default(),
            revocations: ArcSwapOption::empty(),
            late_revocations: Mutex::default(),
            root_key,
            sessions: Map::default(),
            unknown: quick_cache::sync::Cache::new(settings.max_unknown),
            register: Register::default(),
            shards: std::array::from_fn(|_| Mutex::new(0)),
            loading: Mutex::default(),
            leasing: std::array::from_fn(|_| tokio::sync::Mutex::new(())),
            rehash: Mutex::default(),
            health: Health::default(),
            reads: AtomicU64::new(0),
        }
    }

    /// The key, `None` if there is none.
    pub(crate) fn key(&self, id: AccessKey, now: Now) -> Result<Option<Arc<KeyRecord>>, Need> {
        let map = self.keys.pin();
        self.usable(map.get(&id), |record| &record.age, Need::Key(id), now)
    }

    /// The user, `None` if there is none in this tenant.
    pub(crate) fn user(
        &self,
        tenant: TenantId,
        id: UserId,
        now: Now,
    ) -> Result<Option<Arc<UserRecord>>, Need> {
        let map = self.users.pin();
        // Ids are of the whole instance: one of another tenant is as unknown as one that nobody has.
        let own = map.get(&id).filter(|record| record.tenant_id == tenant);
        self.usable(own, |record| &record.age, Need::User(tenant, id), now)
    }

    /// The tenant, `None` if there is none.
    pub(crate) fn tenant(&self, id: TenantId, now: Now) -> Result<Option<Arc<TenantRecord>>, Need> {
        let map = self.tenants.pin();
        self.usable(map.get(&id), |record| &record.age, Need::Tenant(id), now)
    }

    /// What `find` finds, with what it lacks read from the database.
    ///
    /// # Errors
    /// `Error::Outage` when the database cannot be read.
    pub(crate) async fn wait_for<T>(
        self: &Arc<Self>,
        find: impl Fn(&Self, Now) -> Result<T, Need>,
    ) -> Result<T> {
        loop {
            match find(self, self.clock.now()) {
                Ok(found) => return Ok(found),
                Err(need) => self.load(need).await?,
            }
        }
    }

    /// The session, `None` if there is none.
    pub(crate) fn session(&self, id: AccessKey, now: Now) -> Result<Option<Arc<SessionRecord>>, Need> {
        let map = self.sessions.pin();
        self.usable(map.get(&id), |record| &record.age, Need::Session(id), now)
    }

    fn usable<T>(
        &self,
        known: Option<&Arc<T>>,
        age: impl Fn(&T) -> &Age,
        need: Need,
        now: Now,
    ) -> Result<Option<Arc<T>>, Need> {
        let now_ms = now.monotonic_ns / 1_000_000;
        match known {
            Some(record) if self.trusts(age(record), now_ms) => Ok(Some(record.clone())),
            Some(_) => Err(need),
            None => match self.unknown.get(&need) {
                Some(until) if now_ms < until => Ok(None),
                _ if self.rules_out(need, now) => Ok(None),
                _ => Err(need),
            },
        }
    }

    /// The register is believed for as long as an unknown key is (VER-9).
    fn rules_out(&self, need: Need, now: Now) -> bool {
        let (Need::Key(id) | Need::Trusted(id) | Need::Foreign(id)) = need else { return false };
        let unconfirmed_ms =
            (now.monotonic_ns / 1_000_000).saturating_sub(self.health.confirmed_ms.load(Ordering::Acquire));
        unconfirmed_ms < millis(self.settings.unknown_ttl) && self.register.rules_out(id, now)
    }

    /// Whether what was read then may still be believed.
    pub(super) fn trusts(&self, age: &Age, now_ms: u64) -> bool {
        if age.is_stale() {
            return false;
        }
        match self.trust(now_ms) {
            Trust::All => true,
            Trust::Recent => now_ms.saturating_sub(age.loaded_ms()) <= millis(self.settings.max_staleness),
            Trust::Nothing => false,
        }
    }

    /// How facts are judged at `now_ms`.
    pub(crate) fn trust(&self, now_ms: u64) -> Trust {
        let unconfirmed = now_ms.saturating_sub(self.health.confirmed_ms.load(Ordering::Acquire));
        let staleness = millis(self.settings.max_staleness);
        if unconfirmed <= staleness {
            return Trust::All;
        }
        if !self.health.down.load(Ordering::Acquire) {
            return Trust::Recent;
        }
        let knew_all = self.health.knew_all.load(Ordering::Acquire);
        match self.settings.on_database_loss {
            OnDatabaseLoss::ServeFor(longer) if knew_all && unconfirmed <= staleness + millis(longer) => {
                Trust::All
            }
            _ => Trust::Nothing,
        }
    }

    /// How long a read may take.
    pub(super) fn timeout(&self) -> Duration {
        self.settings.timeout
    }

    /// Milliseconds since the feed was last confirmed.
    pub(crate) fn lag_ms(&self) -> u64 {
        self.clock.monotonic_ms().saturating_sub(self.health.confirmed_ms.load(Ordering::Acquire))
    }

    fn shard(&self, need: Need) -> std::sync::MutexGuard<'_, u64> {
        self.shards[shard_of(need)].lock().expect("no code panics while it holds this lock")
    }

    /// Asks for a re-hash under the newest pepper; the flush does it.
    pub(crate) fn rehash_later(&self, key: Arc<KeyRecord>, generation: u32, pepper: u32, hash: SecretHash) {
        let mut queue = self.rehash.lock().expect("no code panics while it holds this lock");
        if queue.len() < MAX_REHASH {
            queue.push(Rehash { key, generation, pepper, hash });
        }
    }

    /// The re-hashings asked for since the last call.
    pub(crate) fn take_rehash(&self) -> Vec<Rehash> {
        std::mem::take(&mut self.rehash.lock().expect("no code panics while it holds this lock"))
    }

    /// Entries in memory: keys, users, tenants, sessions, unknown.
    pub(crate) fn sizes(&self) -> [usize; 5] {
        [self.keys.len(), self.users.len(), self.tenants.len(), self.sessions.len(), self.unknown.len()]
    }
}

fn shard_of(need: Need) -> usize {
    let number: usize = match need {
        Need::Key(id) | Need::Credits(id, _) | Need::Trusted(id) | Need::Foreign(id) | Need::Session(id) => {
            id.digits().bytes().map(usize::from).sum()
        }
        Need::User(_, id) | Need::OwnerCredits(_, id, _) => (id.as_u128() % SHARDS as u128) as usize,
        Need::Tenant(id) => (id.as_u128() % SHARDS as u128) as usize,
        Need::Revocations => 0,
    };
    number % SHARDS
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
mod tokens;
