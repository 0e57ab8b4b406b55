//! The verify path (`design.md` §5): parse, look up facts, compare, decide, count.
//!
//! On a hit nothing here waits, writes to the database or reads from it. A miss costs one query,
//! shared by all who miss the same thing.

pub(crate) mod cache;
pub(crate) mod facts;
pub(crate) mod feed;
pub(crate) mod limits;
pub(crate) mod usage;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use arc_swap::ArcSwap;
use keyward_core::decide::{
    Code, Decision, Finding, KeyFacts, LimitState, Now, Request, Step, decide, explain,
};
use keyward_core::id::TenantId;
use keyward_core::key::{KeyClass, SecretVersion};
use keyward_core::secret::Pepper;
use keyward_core::token::{self, AccessKey, ParsedSecret, Prefixes};

use self::cache::{Cache, Need};
use self::facts::{Effective, KeyRecord, TenantRecord, UserRecord};
use self::limits::Meter;
use self::usage::{Sighting, Usage};
use crate::clock::Clock;
use crate::error::{Error, Result};
use crate::seal::RootKey;

/// A credential as it was presented.
#[derive(Clone, Copy)]
pub(crate) enum Presented<'a> {
    /// The secret alone, as a bearer credential.
    Secret(&'a str),
    /// Access key and secret, as Basic user name and password: they must belong together.
    Pair(&'a str, &'a str),
    /// Tenant, access key and secret, as the `apiKey` scheme of collectors sends them.
    Triple(&'a str, &'a str, &'a str),
}

/// One question to the verify path.
#[derive(Clone, Copy)]
pub(crate) struct Ask<'a> {
    /// The credential.
    pub(crate) presented: Presented<'a>,
    /// What is asked of it.
    pub(crate) request: Request<'a>,
    /// Who uses it, for the record.
    pub(crate) sighting: Sighting<'a>,
    /// Keys of other tenants do not exist for whoever asks (AZ-3).
    pub(crate) tenant: Option<TenantId>,
}

/// A key with everything that its decision reads.
#[derive(Clone)]
pub(crate) struct Found {
    pub(crate) key: Arc<KeyRecord>,
    pub(crate) owner: Option<Arc<UserRecord>>,
    pub(crate) tenant: Arc<TenantRecord>,
    pub(crate) effective: Arc<Effective>,
}

/// The answer to one verification.
pub(crate) struct Verified {
    pub(crate) decision: Decision,
    /// Present when the right secret was presented, whatever the decision.
    pub(crate) found: Option<Found>,
    /// The version of the secret that was presented.
    pub(crate) secret: Option<SecretVersion>,
}

impl Verified {
    fn refused(code: Code) -> Self {
        Self { decision: Decision::Deny { code, retry_after_seconds: 0 }, found: None, secret: None }
    }
}

/// What a verification lacks in memory.
enum Missing {
    Facts(Need),
    Pepper(u32),
}

impl From<Need> for Missing {
    fn from(need: Need) -> Self {
        Self::Facts(need)
    }
}

/// The verify path of this node.
pub(crate) struct Verifier {
    pub(crate) cache: Arc<Cache>,
    pub(crate) usage: Usage,
    pub(crate) prefixes: Prefixes,
    /// Newest first.
    pub(crate) peppers: ArcSwap<Vec<Pepper>>,
    root_key: Arc<RootKey>,
    clock: Clock,
}

impl Verifier {
    pub(crate) fn new(
        cache: Arc<Cache>,
        prefixes: Prefixes,
        peppers: Vec<Pepper>,
        root_key: Arc<RootKey>,
        clock: Clock,
    ) -> Self {
        let peppers = ArcSwap::from_pointee(peppers);
        Self { cache, usage: Usage::default(), prefixes, peppers, root_key, clock }
    }

    /// Verifies, waiting for the database where facts are missing.
    ///
    /// # Errors
    /// `Error::Outage` when facts are missing and cannot be read: neither yes nor no (VER-8).
    pub(crate) async fn verify(&self, ask: &Ask<'_>) -> Result<Verified> {
        loop {
            match self.verify_cached(ask) {
                Ok(verified) => {
                    tracing::debug!(
                        code = verified.decision.code(),
                        key = verified.found.as_ref().map(|found| found.key.id.to_string()),
                        "verified"
                    );
                    return Ok(verified);
                }
                Err(Missing::Facts(need)) => self.cache.load(need).await?,
                Err(Missing::Pepper(id)) => self.learn_pepper(id).await?,
            }
        }
    }

    /// Verifies from memory alone; `Err` says what is missing.
    fn verify_cached(&self, ask: &Ask<'_>) -> Result<Verified, Missing> {
        let Some((parsed, tenant)) = self.parse(ask.presented) else {
            return Ok(Verified::refused(Code::Malformed));
        };
        let now = self.clock.now();
        let found = self.find(parsed.access_key, now)?;
        let Some(found) = found.filter(|found| ask.tenant.is_none_or(|id| id == found.tenant.id)) else {
            return Ok(Verified::refused(Code::UnknownKey));
        };
        self.knows_peppers(&found.key)?;
        let secret = self.matching_secret(&found.key, &parsed);
        let fits_tenant = tenant.is_none_or(|name| names_tenant(&found.tenant, name));
        let Some(&secret) = secret.filter(|_| fits_tenant && found.key.key.class == parsed.class) else {
            self.usage.denied(&found.key, Code::WrongSecret);
            return Ok(Verified::refused(Code::WrongSecret));
        };
        let decision = self.settle(&found, &secret, &ask.request, now)?;
        match decision {
            Decision::Allow { .. } => {
                self.usage.allowed(&found.key, secret.generation, ask.sighting, now.unix_ms);
                self.note_old_pepper(&secret, &parsed, &found.key);
            }
            Decision::Deny { code, .. } => self.usage.denied(&found.key, code),
        }
        Ok(Verified { decision, found: Some(found), secret: Some(secret) })
    }

    /// Reads the form of the credential; a pair must name the key that its secret belongs to.
    fn parse<'a>(&self, presented: Presented<'a>) -> Option<(ParsedSecret<'a>, Option<&'a str>)> {
        let (tenant, access_key, secret) = match presented {
            Presented::Secret(secret) => (None, None, secret),
            Presented::Pair(access_key, secret) => (None, Some(access_key), secret),
            Presented::Triple(tenant, access_key, secret) => (Some(tenant), Some(access_key), secret),
        };
        let parsed = token::parse(secret, &self.prefixes)?;
        let fits = access_key.is_none_or(|text| AccessKey::parse(text) == Some(parsed.access_key));
        fits.then_some((parsed, tenant))
    }

    /// The facts of a key, its owner and its tenant; `None` when there is no such key.
    pub(crate) fn find(&self, access_key: AccessKey, now: Now) -> Result<Option<Found>, Need> {
        let Some(key) = self.cache.key(access_key, now)? else { return Ok(None) };
        let tenant = self.cache.tenant(key.tenant_id, now)?;
        let owner = match key.owner_id {
            Some(owner) => self.cache.user(key.tenant_id, owner, now)?,
            None => None,
        };
        let Some(tenant) = tenant else { return Ok(None) };
        let grant = owner.as_ref().map_or(&key.grant, |owner| &owner.grant);
        let effective = tenant.effective(key.key.class, key.scopes.as_ref(), grant);
        Ok(Some(Found { key, owner, tenant, effective }))
    }

    /// The version whose hash matches, compared in constant time. The pepper is that of the
    /// version; each pepper in use hashes at most once.
    fn matching_secret<'k>(
        &self,
        key: &'k KeyRecord,
        parsed: &ParsedSecret<'_>,
    ) -> Option<&'k SecretVersion> {
        let peppers = self.peppers.load();
        peppers
            .iter()
            .filter(|pepper| key.secrets.iter().any(|version| version.pepper == pepper.id()))
            .find_map(|pepper| {
                let hash = pepper.hash(parsed.expose());
                key.secrets
                    .iter()
                    .filter(|version| version.pepper == pepper.id())
                    .find(|version| version.hash.matches(&hash))
            })
    }

    /// A secret under a pepper newer than ours was hashed by a node that heard of a rotation first.
    fn knows_peppers(&self, key: &KeyRecord) -> Result<(), Missing> {
        let newest = self.peppers.load().first().map_or(0, Pepper::id);
        let unknown = key.secrets.iter().map(|version| version.pepper).find(|pepper| *pepper > newest);
        unknown.map_or(Ok(()), |pepper| Err(Missing::Pepper(pepper)))
    }

    /// Reads the peppers before the feed tells of the new one.
    async fn learn_pepper(&self, id: u32) -> Result<()> {
        let peppers = self.cache.read_peppers(self.root_key.clone()).await?;
        if peppers.first().is_none_or(|newest| newest.id() < id) {
            return Err(Error::Damaged(format!("a secret is hashed under pepper {id}, which there is not")));
        }
        self.peppers.store(Arc::new(peppers));
        Ok(())
    }

    /// Decides, and spends limits and credits if the answer is yes.
    fn settle(
        &self,
        found: &Found,
        secret: &SecretVersion,
        request: &Request<'_>,
        now: Now,
    ) -> Result<Decision, Need> {
        let meter = Meter::of(&found.key, found.owner.as_deref(), &found.tenant);
        let mut states = Vec::new();
        loop {
            let states = meter.read(&mut states);
            let facts = self.facts(found, secret, states);
            let decision = decide(&Finding::Key(facts), request, now);
            let Decision::Allow { limits, .. } = &decision else {
                return self.or_lease(decision, &found.key, request.cost);
            };
            if !meter.keep(states, limits) {
                continue;
            }
            match &found.key.credits {
                Some(credits) if !credits.spend(request.cost) => continue,
                _ => return Ok(decision),
            }
        }
    }

    /// Credits that this node does not hold may still lie in the store.
    fn or_lease(&self, decision: Decision, key: &KeyRecord, cost: u32) -> Result<Decision, Need> {
        let Decision::Deny { code: Code::CreditsExhausted, .. } = decision else { return Ok(decision) };
        match &key.credits {
            Some(credits) if !credits.dry.load(Ordering::Acquire) => {
                Err(Need::Credits(key.access_key, credits.lease_size(cost)))
            }
            _ => Ok(decision),
        }
    }

    fn facts<'a>(
        &self,
        found: &'a Found,
        secret: &'a SecretVersion,
        limits: &'a [LimitState<'a>],
    ) -> KeyFacts<'a> {
        let last_used_at = found.key.last_used_at.load(Ordering::Relaxed);
        KeyFacts {
            key: &found.key.key,
            secret,
            owner: found.owner.as_ref().map(|owner| &owner.owner),
            tenant: &found.tenant.tenant,
            rights: &found.effective.rights,
            last_used_at: (last_used_at > 0).then_some(last_used_at),
            limits,
            credits: found.key.credits.as_ref().map(|credits| credits.held()),
        }
    }

    /// Every check of a key with its outcome, as for the secret that was presented or else the
    /// newest that is live; spends nothing (X2).
    pub(crate) fn explain(
        &self,
        found: &Found,
        presented: Option<&SecretVersion>,
        request: &Request<'_>,
    ) -> Vec<Step> {
        let now = self.clock.now();
        let Some(secret) = presented.or_else(|| found.key.current_secret(now.unix_ms)) else {
            return Vec::new();
        };
        let meter = Meter::of(&found.key, found.owner.as_deref(), &found.tenant);
        let mut states = Vec::new();
        let mut facts = self.facts(found, secret, meter.read(&mut states));
        if let Some(credits) = &found.key.credits {
            // What is leased elsewhere or still in the store counts as there.
            facts.credits = Some(if credits.dry.load(Ordering::Acquire) { credits.held() } else { i64::MAX });
        }
        explain(&facts, request, now)
    }

    /// A hit under an old pepper is re-hashed in the background (STO-3).
    fn note_old_pepper(&self, secret: &SecretVersion, parsed: &ParsedSecret<'_>, key: &Arc<KeyRecord>) {
        let peppers = self.peppers.load();
        let Some(newest) = peppers.first().filter(|newest| newest.id() != secret.pepper) else { return };
        let hash = newest.hash(parsed.expose());
        self.cache.rehash_later(key.clone(), secret.generation, newest.id(), hash);
    }
}

fn names_tenant(tenant: &TenantRecord, name: &str) -> bool {
    name == tenant.id.to_string() || name == &*tenant.slug || name.parse() == Ok(tenant.number)
}

/// Whether keys of the class may call the management API at all.
pub(crate) fn may_manage(class: KeyClass) -> bool {
    class != KeyClass::Ingest
}
