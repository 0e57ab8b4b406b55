//! Credentials that were made elsewhere (X11): looked up only when a text is none of ours, and only where
//! something was imported, so that no key of our own pays for it.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use keyward_core::address::source_of;
use keyward_core::decide::{Code, Decision, Now};
use keyward_core::id::TenantId;
use keyward_core::key::SecretVersion;
use keyward_core::limit::RateLimit;
use keyward_core::secret::SecretHash;
use keyward_core::token::AccessKey;
use zeroize::Zeroizing;

use super::cache::Need;
use super::facts::Age;
use super::limits::{Arrivals, spend};
use super::{Ask, Found, Missing, Presented, Verified, Verifier, names_tenant};
use crate::error::{Error, Result};
use crate::imports::slow::SlowHash;
use crate::imports::{self, ways};
use crate::seal::{self, RootKey};
use crate::store::Conn;
use crate::store::imports::{self as store, ImportedRow};

/// A hash that fits nothing known makes us read the key again this often at most.
const GUESSED_MS: u64 = 1_000;

/// Tenants whose keys may have the same public part, as far as one text is tried on them.
const MOST_PROOFS: usize = 8;

/// What a handle leads to.
#[derive(Debug)]
pub(crate) struct ForeignRecord {
    tenant_id: TenantId,
    access_key: AccessKey,
    generation: u32,
    /// The row of one whose slow hash nobody has proven yet.
    unproven: Option<Box<ImportedRow>>,
    pub(crate) age: Age,
}

/// Reads what a handle leads to; `None` when it leads nowhere.
pub(crate) async fn load(conn: &mut Conn, handle: AccessKey, now_ms: u64) -> Result<Option<ForeignRecord>> {
    let Some(row) = store::load(conn, handle.digits()).await? else { return Ok(None) };
    let access_key = AccessKey::from_digits(&row.access_key);
    Ok(Some(ForeignRecord {
        tenant_id: row.tenant_id.parse().map_err(Error::internal)?,
        access_key: access_key
            .ok_or_else(|| Error::internal("an imported key has no readable access key"))?,
        generation: u32::try_from(row.generation).map_err(Error::internal)?,
        unproven: row.sealed.is_some().then(|| Box::new(row)),
        age: Age::new(now_ms),
    }))
}

/// A text with what was presented beside it.
#[derive(Clone, Copy)]
struct Foreign<'a> {
    text: &'a str,
    /// The user name of Basic, where it is one of our access keys. Whatever else stands there was of use
    /// elsewhere, and tells nothing here.
    access_key: Option<AccessKey>,
    tenant: Option<&'a str>,
}

impl<'a> Foreign<'a> {
    fn of(presented: Presented<'a>) -> Option<Self> {
        let (tenant, user, text) = match presented {
            Presented::Secret(text) => (None, None, text),
            Presented::Pair(user, text) => (None, Some(user), text),
            Presented::Triple(tenant, user, text) => (Some(tenant), Some(user), text),
            Presented::Token(_) | Presented::Cookie(_) => return None,
        };
        let access_key = user.and_then(AccessKey::parse);
        ways::is_credential(text).then_some(Self { text, access_key, tenant })
    }
}

impl Verifier {
    /// Verifies what is no credential of ours.
    pub(super) fn verify_foreign(&self, ask: &Ask<'_>, now: Now) -> Result<Verified, Missing> {
        let ways = self.import_ways.load();
        if ways.is_empty() {
            return Ok(Verified::refused(Code::Malformed));
        }
        let Some(foreign) = Foreign::of(ask.presented) else {
            return Ok(Verified::refused(Code::Malformed));
        };
        let (mut missing, mut unproven) = (None, Vec::new());
        let mut refused = Verified::refused(Code::UnknownKey);
        for fingerprint in ways.fingerprints(foreign.text) {
            let looked = match self.cache.foreign(ways::handle(&fingerprint), now) {
                Ok(Some(record)) => self.verify_imported(ask, foreign, &record, &fingerprint, now),
                Ok(None) => continue,
                Err(need) => Err(need.into()),
            };
            // Another way may lead to what is in memory, and a public part may be that of several.
            match looked {
                Ok(verified) if verified.found.is_some() => return Ok(verified),
                Ok(verified) => refused = verified,
                Err(Missing::Proof(records)) => unproven.extend(records),
                Err(other) => missing = missing.or(Some(other)),
            }
        }
        match missing {
            Some(missing) => Err(missing),
            None if unproven.is_empty() => Ok(refused),
            None => Err(Missing::Proof(unproven)),
        }
    }

    fn verify_imported(
        &self,
        ask: &Ask<'_>,
        foreign: Foreign<'_>,
        record: &Arc<ForeignRecord>,
        fingerprint: &SecretHash,
        now: Now,
    ) -> Result<Verified, Missing> {
        let found = self.find(record.access_key, now)?;
        let fits = |found: &Found| {
            record.tenant_id == found.tenant.id
                && ask.tenant.is_none_or(|id| id == found.tenant.id)
                && foreign.tenant.is_none_or(|name| names_tenant(&found.tenant, name))
                && foreign.access_key.is_none_or(|access_key| access_key == record.access_key)
        };
        let Some(found) = found.filter(fits) else { return Ok(Verified::refused(Code::UnknownKey)) };
        let key = found.key().expect("it was found by its key");
        let known = key.secrets().find(|version| version.generation == record.generation);
        let Some(secret) = known else { return Ok(Verified::refused(Code::UnknownKey)) };
        if secret.pepper == imports::UNPROVEN && record.unproven.is_some() {
            return Err(Missing::Proof(vec![record.clone()]));
        }
        if self.is_text_of(&secret, foreign.text, fingerprint)? {
            return self.verify_found(ask, found, secret, foreign.text, now);
        }
        // Another node may have seen its first use since.
        key.age.must_be_younger(GUESSED_MS, now, Need::Key(record.access_key))?;
        self.usage.denied(key, Code::WrongSecret);
        Ok(Verified::refused(Code::WrongSecret))
    }

    /// Before its first use an imported secret is known by its fingerprint, from then on as any other.
    fn is_text_of(
        &self,
        secret: &SecretVersion,
        text: &str,
        fingerprint: &SecretHash,
    ) -> Result<bool, Missing> {
        if secret.pepper == imports::UNPROVEN {
            return Ok(secret.hash.matches(fingerprint));
        }
        self.knows_pepper(secret.pepper)?;
        let peppers = self.peppers.load();
        let pepper = peppers.iter().find(|pepper| pepper.id() == secret.pepper);
        Ok(pepper.is_some_and(|pepper| pepper.hash(text).matches(&secret.hash)))
    }

    /// Computes the slow hash of a credential that is used for the first time, and takes it over when it
    /// fits: from then on it is found by its text, and the slow hash is gone.
    pub(super) async fn prove(
        &self,
        ask: &Ask<'_>,
        records: &[Arc<ForeignRecord>],
    ) -> Result<Option<Verified>> {
        let (Some(foreign), Some(first)) = (Foreign::of(ask.presented), records.first()) else {
            return Ok(Some(Verified::refused(Code::UnknownKey)));
        };
        let tenant = first.tenant_id;
        let (source, now) = (ask.sighting.address, self.clock.now());
        if let Some(retry_after_seconds) = self.guesses.wait(tenant, source, now) {
            let decision = Decision::Deny { code: Code::RateLimited, retry_after_seconds };
            return Ok(Some(Verified { decision, ..Verified::refused(Code::RateLimited) }));
        }
        let place = self.hashers.place(source)?;
        for record in records.iter().take(MOST_PROOFS) {
            let Some(row) = &record.unproven else { continue };
            let hash = self.cache.unseal_import(row).await?;
            let hash = SlowHash::parse(&hash).map_err(|why| Error::Damaged(why.into()))?;
            let text = Zeroizing::new(foreign.text.to_owned());
            if self.hashers.compute(&place, move || hash.fits(&text)).await? {
                return self.adopt(row, foreign.text).await.map(|()| None);
            }
        }
        self.guesses.note(tenant, source, now);
        for record in records {
            if let Ok(Some(found)) = self.find(record.access_key, now)
                && let Some(key) = found.key()
            {
                self.usage.denied(key, Code::WrongSecret);
            }
        }
        Ok(Some(Verified::refused(Code::WrongSecret)))
    }

    /// From now on the credential is found by its text, and hashed as one of ours.
    async fn adopt(&self, row: &ImportedRow, text: &str) -> Result<()> {
        let handle = ways::handle(&ways::text_fingerprint(self.import_ways.load().key(), text));
        let (pepper, hash) = {
            let peppers = self.peppers.load();
            let newest = peppers.first().expect("start-up makes the first pepper");
            (newest.id(), newest.hash(text).to_hex())
        };
        self.cache.adopt_import(row, handle, i64::from(pepper), hash).await
    }
}

/// The slow hash of a row.
pub(crate) async fn unseal(root: &RootKey, conn: &mut Conn, row: &ImportedRow) -> Result<Zeroizing<String>> {
    let Some(sealed) = &row.sealed else { return Err(Error::internal("nothing is sealed here")) };
    let text = seal::open(root, conn, imports::place(&row.tenant_id, &row.key_id), sealed).await?;
    let text = std::str::from_utf8(&text).map_err(|_| Error::Damaged("a slow hash is no text".into()))?;
    Ok(Zeroizing::new(text.to_owned()))
}

/// Wrong guesses at slow hashes of a tenant by source; each costs a computation, so there are fewer than of others.
pub(crate) struct Guesses {
    limit: RateLimit,
    sources: Arrivals<(TenantId, Option<IpAddr>)>,
}

impl Default for Guesses {
    fn default() -> Self {
        let limit = RateLimit { name: "import_guesses".into(), requests: 10, per_seconds: 60, burst: None };
        Self { limit, sources: Arrivals::new(100_000) }
    }
}

impl Guesses {
    fn of(&self, tenant: TenantId, source: Option<IpAddr>) -> Arc<AtomicU64> {
        self.sources.of(&(tenant, source.map(source_of)))
    }

    fn note(&self, tenant: TenantId, source: Option<IpAddr>, now: Now) {
        spend(&self.limit, &self.of(tenant, source), now);
    }

    /// Seconds until this source may try again.
    fn wait(&self, tenant: TenantId, source: Option<IpAddr>, now: Now) -> Option<u64> {
        let arrival = self.of(tenant, source).load(std::sync::atomic::Ordering::Relaxed);
        let verdict = self.limit.judge(arrival, now.monotonic_ns, 1);
        (!verdict.allowed).then(|| verdict.wait_ns.div_ceil(1_000_000_000).max(1))
    }
}
