//! Trusted secrets in memory: who asks for tokens, and within what ceiling.

use std::net::IpAddr;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};

use keyward_core::decide::Now;
use keyward_core::id::{TenantId, TrustedId, UserId};
use keyward_core::limit::RateLimit;
use keyward_core::secret::{Pepper, SecretHash};
use keyward_core::token::{self, AccessKey};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::Verifier;
use super::cache::{Cache, Need};
use super::facts::{Age, TenantRecord};
use super::limits::{self, Arrivals};
use crate::error::{Error, Result};
use crate::random;
use crate::seal::{self, Place, RootKey};
use crate::store::trusted::{self, GenerationRow, TrustedRow};
use crate::store::{Conn, Db};
use crate::trusted::ceiling::Ceiling;

/// Secrets in memory are compared by a hash under a key that lives as long as this process.
static PEPPER: LazyLock<Pepper> = LazyLock::new(|| {
    let mut bytes = Zeroizing::new([0; 32]);
    random::fill(&mut *bytes);
    Pepper::new(0, &bytes)
});

/// A secret that fits no generation makes us look for newer ones this often at most.
const GUESSED_MS: u64 = 1_000;

/// What is known about a trusted secret.
#[derive(Debug)]
pub(crate) struct TrustedRecord {
    pub(crate) id: TrustedId,
    pub(crate) access_key: AccessKey,
    pub(crate) tenant_id: TenantId,
    pub(crate) name: Box<str>,
    pub(crate) ended: bool,
    pub(crate) ceiling: Ceiling,
    generations: Vec<Generation>,
    arrival: AtomicU64,
    pub(crate) age: Age,
}

#[derive(Debug)]
struct Generation {
    number: u32,
    hash: SecretHash,
    retires_at: Option<i64>,
    /// The last use, and what of it was written.
    seen_at: AtomicI64,
    written_at: AtomicI64,
}

/// Why a trusted secret opens nothing.
pub(crate) enum Closed {
    /// No such secret.
    Unknown,
    /// It was presented rightly.
    Barred(Bar, Box<Backend>),
}

/// What bars a secret that was presented rightly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bar {
    /// The generation is retired.
    Retired,
    /// Disabled, or no longer allowed by the operator.
    Disabled,
    /// Its tenant is suspended.
    Suspended,
    /// Not from this address.
    Address,
}

/// A trusted secret that was presented rightly.
#[derive(Clone)]
pub(crate) struct Backend {
    pub(crate) record: Arc<TrustedRecord>,
    /// The tenant that the secret belongs to.
    pub(crate) tenant: Arc<TenantRecord>,
    pub(crate) generation: u32,
}

/// Where the sealed text of a generation stands: its row.
pub(crate) fn row_of(id: &str, generation: i64) -> String {
    format!("{id}.{generation}")
}

/// The place of a sealed generation.
pub(crate) fn place<'a>(tenant: &'a str, row: &'a str) -> Place<'a> {
    Place { scope: tenant, column: "trusted_generations.sealed", row }
}

/// What is kept of a secret that is dead: enough to know it again.
pub(crate) fn digest(secret: &[u8]) -> String {
    random::to_hex(&Sha256::digest(secret))
}

/// The secret of a generation that is not dead.
pub(crate) async fn open(
    root: &RootKey,
    conn: &mut Conn,
    row: &TrustedRow,
    generation: &GenerationRow,
) -> Result<Zeroizing<Vec<u8>>> {
    let at = row_of(&row.id, generation.generation);
    seal::open(root, conn, place(&row.tenant_id, &at), &generation.sealed).await
}

/// Reads the facts of a trusted secret; `None` when there is none.
pub(crate) async fn load(
    root: &RootKey,
    conn: &mut Conn,
    access_key: AccessKey,
    now_ms: u64,
) -> Result<Option<TrustedRecord>> {
    let Some(row) = trusted::load(conn, access_key.digits()).await? else { return Ok(None) };
    let mut generations = Vec::new();
    for generation in row.generation_rows()? {
        let digest = match &generation.digest {
            Some(digest) => digest.clone(),
            None => digest(&open(root, conn, &row, &generation).await?),
        };
        let seen_at = generation.seen_at.unwrap_or(0);
        generations.push(Generation {
            number: u32::try_from(generation.generation).map_err(Error::internal)?,
            hash: PEPPER.hash(&digest),
            retires_at: generation.retires_at,
            seen_at: AtomicI64::new(seen_at),
            written_at: AtomicI64::new(seen_at),
        });
    }
    TrustedRecord::new(&row, access_key, generations, now_ms).map(Some)
}

impl TrustedRecord {
    fn new(
        row: &TrustedRow,
        access_key: AccessKey,
        generations: Vec<Generation>,
        now_ms: u64,
    ) -> Result<Self> {
        Ok(Self {
            id: row.id.parse().map_err(Error::internal)?,
            access_key,
            tenant_id: row.tenant_id.parse().map_err(Error::internal)?,
            name: row.name.as_str().into(),
            ended: row.ended_at.is_some(),
            ceiling: serde_json::from_str(&row.ceiling).map_err(Error::internal)?,
            generations,
            arrival: AtomicU64::new(0),
            age: Age::new(now_ms),
        })
    }

    /// Takes over what outlives a reload.
    pub(crate) fn carry_on(&mut self, old: &Self) {
        self.arrival.store(old.arrival.load(Ordering::Relaxed), Ordering::Relaxed);
        for generation in &self.generations {
            if let Some(before) = old.generations.iter().find(|before| before.number == generation.number) {
                generation.seen_at.fetch_max(before.seen_at.load(Ordering::Relaxed), Ordering::Relaxed);
            }
        }
    }

    /// When a generation retires; `None` when there is no such generation.
    pub(crate) fn retirement(&self, generation: u32) -> Option<Option<i64>> {
        self.generations.iter().find(|known| known.number == generation).map(|known| known.retires_at)
    }

    /// The number of the newest generation.
    pub(crate) fn newest(&self) -> u32 {
        self.generations.last().map_or(0, |newest| newest.number)
    }

    /// Counts a use and notes its time; the seconds to wait when there were too many.
    pub(crate) fn spend(&self, generation: u32, now: Now) -> Option<u64> {
        if let Some(used) = self.generations.iter().find(|known| known.number == generation) {
            used.seen_at.fetch_max(now.unix_ms, Ordering::Relaxed);
        }
        limits::spend(&a_minute(self.ceiling.per_minute), &self.arrival, now)
    }

    /// Writes the last use of each generation that was used since the last time.
    async fn write_uses(&self, db: &Db) -> Result<()> {
        for generation in &self.generations {
            let (seen, written) =
                (generation.seen_at.load(Ordering::Relaxed), generation.written_at.load(Ordering::Relaxed));
            if seen > written {
                let mut tx = db.begin().await?;
                let (tenant, id) = (self.tenant_id.to_string(), self.id.to_string());
                trusted::see(tx.conn(), &tenant, &id, i64::from(generation.number), seen).await?;
                tx.commit().await?;
                generation.written_at.store(seen, Ordering::Relaxed);
            }
        }
        Ok(())
    }
}

/// Writes the last uses of all trusted secrets.
pub(crate) async fn write_uses(cache: &Cache, db: &Db) -> Result<()> {
    for record in cache.trusted_records() {
        record.write_uses(db).await?;
    }
    Ok(())
}

/// Finds whose trusted secret it is.
fn authenticate(
    cache: &Cache,
    text: &str,
    address: Option<IpAddr>,
    now: Now,
) -> Result<Result<Backend, Closed>, Need> {
    let Some(access_key) = token::parse_trusted(text) else { return Ok(Err(Closed::Unknown)) };
    let Some(record) = cache.trusted(access_key, now)? else { return Ok(Err(Closed::Unknown)) };
    let Some(tenant) = cache.tenant(record.tenant_id, now)? else { return Ok(Err(Closed::Unknown)) };
    let hash = PEPPER.hash(&digest(text.as_bytes()));
    // Every generation is looked at, whichever fits.
    let fits = |found: Option<u32>, known: &Generation| {
        if known.hash.matches(&hash) { Some(known.number) } else { found }
    };
    let Some(generation) = record.generations.iter().fold(None, fits) else {
        // Another node may have made a generation since.
        record.age.must_be_younger(GUESSED_MS, now, Need::Trusted(access_key))?;
        return Ok(Err(Closed::Unknown));
    };
    let retired = record.retirement(generation).flatten().is_some_and(|end| end <= now.unix_ms);
    let bar = match () {
        () if record.ended || !is_allowed(&tenant) => Some(Bar::Disabled),
        () if retired => Some(Bar::Retired),
        () if tenant.tenant.suspended => Some(Bar::Suspended),
        () if !record.ceiling.allows_address(address) => Some(Bar::Address),
        () => None,
    };
    let backend = Backend { record, tenant, generation };
    Ok(match bar {
        Some(bar) => Err(Closed::Barred(bar, Box::new(backend))),
        None => Ok(backend),
    })
}

impl Verifier {
    /// Finds whose trusted secret it is, waiting for the database where facts are missing.
    ///
    /// # Errors
    /// `Error::Outage` when facts are missing and cannot be read.
    pub(crate) async fn backend(
        &self,
        text: &str,
        address: Option<IpAddr>,
    ) -> Result<Result<Backend, Closed>> {
        self.cache.wait_for(|cache, now| authenticate(cache, text, address, now)).await
    }
}

/// Whether the operator allows the tenant trusted secrets of its own (TS4).
pub(crate) fn is_allowed(tenant: &TenantRecord) -> bool {
    tenant.number == 0 || tenant.tenant.features.trusted_secrets
}

/// Tokens that each secret may ask for of each user, counted in bounded memory (IMP-4).
pub(crate) struct Subjects(Arrivals<(AccessKey, UserId)>);

impl Default for Subjects {
    fn default() -> Self {
        Self(Arrivals::new(100_000))
    }
}

impl Subjects {
    /// Counts a token; the seconds to wait when there were too many.
    pub(crate) fn spend(&self, record: &TrustedRecord, user: UserId, now: Now) -> Option<u64> {
        let arrival = self.0.of(&(record.access_key, user));
        limits::spend(&a_minute(record.ceiling.per_user_per_minute), &arrival, now)
    }
}

fn a_minute(requests: u32) -> RateLimit {
    RateLimit { name: String::new(), requests, per_seconds: 60, burst: None }
}
