//! The verify path (`design.md` §5): parse, look up facts, compare, decide, count.
//!
//! On a hit nothing here waits, writes to the database or reads from it. A miss costs one query,
//! shared by all who miss the same thing.

pub(crate) mod cache;
pub(crate) mod facts;
pub(crate) mod feed;
pub(crate) mod keyring;
pub(crate) mod limits;
mod pool;
pub(crate) mod record;
mod register;
pub(crate) mod tokens;
pub(crate) mod trusted;
pub(crate) mod usage;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use arc_swap::ArcSwap;
use keyward_core::decide::{
    Code, Decision, Finding, KeyFacts, LimitState, Now, Request, Step, decide, explain,
};
use keyward_core::id::TenantId;
use keyward_core::jwt;
use keyward_core::key::{Key, KeyClass, SecretVersion};
use keyward_core::secret::Pepper;
use keyward_core::token::{self, AccessKey, ParsedSecret, Prefixes};

use self::cache::{Cache, Need};
use self::facts::{Effective, TenantRecord, UserRecord};
use self::keyring::Keyring;
use self::limits::Meter;
use self::record::KeyRecord;
use self::tokens::{FoundToken, Tokens};
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
    /// An access token and nothing else.
    Token(&'a str),
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
    /// When it is asked.
    pub(crate) now: Now,
}

/// A key with everything that its decision reads.
#[derive(Clone)]
pub(crate) struct Found {
    pub(crate) access_key: AccessKey,
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
    /// Present instead of `found` when a token with a true signature was presented.
    pub(crate) token: Option<Box<FoundToken>>,
}

impl Verified {
    fn refused(code: Code) -> Self {
        let decision = Decision::Deny { code, retry_after_seconds: 0 };
        Self { decision, found: None, secret: None, token: None }
    }
}

/// What a verification lacks in memory.
enum Missing {
    Facts(Need),
    Pepper(u32),
    SigningKeys,
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
    pub(crate) keyring: ArcSwap<Keyring>,
    root_key: Arc<RootKey>,
    clock: Clock,
    tokens: Tokens,
}

impl Verifier {
    pub(crate) fn new(
        cache: Arc<Cache>,
        prefixes: Prefixes,
        peppers: Vec<Pepper>,
        keyring: Keyring,
        root_key: Arc<RootKey>,
        clock: Clock,
        issuer: String,
    ) -> Self {
        let (peppers, keyring) = (ArcSwap::from_pointee(peppers), ArcSwap::from_pointee(keyring));
        let tokens = Tokens::new(issuer);
        Self { cache, usage: Usage::default(), prefixes, peppers, keyring, root_key, clock, tokens }
    }

    /// Verifies, waiting for the database where facts are missing.
    ///
    /// # Errors
    /// `Error::Outage` when facts are missing and cannot be read: neither yes nor no (VER-8).
    pub(crate) async fn verify(&self, ask: &Ask<'_>) -> Result<Verified> {
        let verified = match self.verify_cached(ask, ask.now) {
            Ok(verified) => verified,
            // Boxed, because it is rare: the hot future stays small.
            Err(missing) => Box::pin(self.verify_with_reads(ask, missing)).await?,
        };
        tracing::debug!(
            code = verified.decision.code(),
            key = verified.found.as_ref().map(|found| found.key.id.to_string()),
            "verified"
        );
        Ok(verified)
    }

    async fn verify_with_reads(&self, ask: &Ask<'_>, mut missing: Missing) -> Result<Verified> {
        loop {
            self.learn(missing).await?;
            // Reading took time.
            match self.verify_cached(ask, self.clock.now()) {
                Ok(verified) => return Ok(verified),
                Err(still) => missing = still,
            }
        }
    }

    /// Reads what is missing.
    async fn learn(&self, missing: Missing) -> Result<()> {
        match missing {
            Missing::Facts(need) => self.cache.load(need).await,
            Missing::Pepper(id) => self.learn_pepper(id).await,
            Missing::SigningKeys => self.learn_signing_keys().await,
        }
    }

    /// Verifies from memory alone; `Err` says what is missing.
    fn verify_cached(&self, ask: &Ask<'_>, now: Now) -> Result<Verified, Missing> {
        let Some((parsed, tenant)) = self.parse(ask.presented) else {
            return self.verify_no_secret(ask, now);
        };
        let found = self.find(parsed.access_key, now)?;
        let Some(found) = found.filter(|found| ask.tenant.is_none_or(|id| id == found.tenant.id)) else {
            return Ok(Verified::refused(Code::UnknownKey));
        };
        self.knows_peppers(&found.key)?;
        let secret = self.matching_secret(&found.key, &parsed);
        let fits_tenant = tenant.is_none_or(|name| names_tenant(&found.tenant, name));
        let Some(secret) = secret.filter(|_| fits_tenant && found.key.terms.class == parsed.class) else {
            if found.key.age.is_stale() {
                // Changed while we looked: its secret may have moved off a pepper that was retired.
                return Err(Need::Key(parsed.access_key).into());
            }
            self.usage.denied(&found.key, Code::WrongSecret);
            return Ok(Verified::refused(Code::WrongSecret));
        };
        let request = &ask.request;
        let decision =
            self.settle(&found, &secret, request.cost, |facts| decide(&Finding::Key(*facts), request, now))?;
        match decision {
            Decision::Allow { .. } => {
                self.usage.allowed(&found.key, secret.generation, ask.sighting, now.unix_ms);
                self.note_old_pepper(&secret, &parsed, &found.key);
            }
            Decision::Deny { code, .. } => self.usage.denied(&found.key, code),
        }
        Ok(Verified { decision, found: Some(found), secret: Some(secret), token: None })
    }

    /// What is no secret of a key may be a token; only this looks for one, so that keys do not pay
    /// for it.
    fn verify_no_secret(&self, ask: &Ask<'_>, now: Now) -> Result<Verified, Missing> {
        match ask.presented {
            Presented::Token(text) => self.verify_token(text, ask, now),
            Presented::Secret(text) if jwt::is_compact(text) => self.verify_token(text, ask, now),
            _ => Ok(Verified::refused(Code::Malformed)),
        }
    }

    /// Reads the form of the credential; a pair must name the key that its secret belongs to.
    fn parse<'a>(&self, presented: Presented<'a>) -> Option<(ParsedSecret<'a>, Option<&'a str>)> {
        let (tenant, access_key, secret) = match presented {
            Presented::Secret(secret) => (None, None, secret),
            Presented::Pair(access_key, secret) => (None, Some(access_key), secret),
            Presented::Triple(tenant, access_key, secret) => (Some(tenant), Some(access_key), secret),
            Presented::Token(_) => return None,
        };
        let parsed = token::parse(secret, &self.prefixes)?;
        let fits = access_key.is_none_or(|text| AccessKey::parse(text) == Some(parsed.access_key));
        fits.then_some((parsed, tenant))
    }

    /// The facts of a key, its owner and its tenant; `None` when there is no such key.
    pub(crate) fn find(&self, access_key: AccessKey, now: Now) -> Result<Option<Found>, Need> {
        let Some(key) = self.cache.key(access_key, now)? else { return Ok(None) };
        let terms = &key.terms;
        let tenant = self.cache.tenant(terms.tenant_id, now)?;
        let owner = match terms.owner_id {
            Some(owner) => self.cache.user(terms.tenant_id, owner, now)?,
            None => None,
        };
        let Some(tenant) = tenant else { return Ok(None) };
        let grant = owner.as_ref().map_or(&terms.grant, |owner| &owner.grant);
        let effective = tenant.effective(terms.class, terms.scopes.as_ref(), grant);
        Ok(Some(Found { access_key, key, owner, tenant, effective }))
    }

    /// The version whose hash matches, compared in constant time. The pepper is that of the
    /// version; each pepper in use hashes at most once.
    fn matching_secret(&self, key: &KeyRecord, parsed: &ParsedSecret<'_>) -> Option<SecretVersion> {
        let peppers = self.peppers.load();
        peppers.iter().filter(|pepper| key.secrets().any(|version| version.pepper == pepper.id())).find_map(
            |pepper| {
                let hash = pepper.hash(parsed.expose());
                key.secrets()
                    .filter(|version| version.pepper == pepper.id())
                    .find(|version| version.hash.matches(&hash))
            },
        )
    }

    /// A secret under a pepper newer than ours was hashed by a node that heard of a rotation first.
    fn knows_peppers(&self, key: &KeyRecord) -> Result<(), Missing> {
        let newest = self.peppers.load().first().map_or(0, Pepper::id);
        let unknown = key.secrets().map(|version| version.pepper).find(|pepper| *pepper > newest);
        unknown.map_or(Ok(()), |pepper| Err(Missing::Pepper(pepper)))
    }

    /// Reads the peppers before the feed tells of the new one.
    async fn learn_pepper(&self, id: u32) -> Result<()> {
        let peppers = self.cache.read_peppers(self.root_key.clone()).await?;
        if peppers.first().is_none_or(|newest| newest.id() < id) {
            return Err(Error::Damaged(format!("a secret is hashed under pepper {id}, which there is not")));
        }
        self.use_peppers(peppers);
        Ok(())
    }

    /// From now on these are the peppers. Facts that rest on another one are read anew, and are
    /// known to be old before anybody misses the pepper.
    pub(crate) fn use_peppers(&self, peppers: Vec<Pepper>) {
        let live: Vec<u32> = peppers.iter().map(Pepper::id).collect();
        self.cache.expire_off(&live);
        self.peppers.store(Arc::new(peppers));
    }

    /// Decides, and spends limits and credits if the answer is yes.
    fn settle(
        &self,
        found: &Found,
        secret: &SecretVersion,
        cost: u32,
        judge: impl Fn(&KeyFacts<'_>) -> Decision,
    ) -> Result<Decision, Need> {
        let key = found.key.key();
        let meter = Meter::of(&found.key, found.owner.as_deref(), &found.tenant);
        loop {
            let states = meter.read();
            let decision = judge(&facts(found, &key, secret, &states));
            let Decision::Allow { limits, .. } = &decision else {
                return or_lease(decision, found, cost);
            };
            if !meter.keep(&states, limits) {
                continue;
            }
            match &found.key.credits {
                Some(credits) if !credits.spend(cost) => continue,
                _ => return Ok(decision),
            }
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
        let Some(secret) = presented.copied().or_else(|| found.key.current_secret(now.unix_ms)) else {
            return Vec::new();
        };
        let (key, meter) = (found.key.key(), Meter::of(&found.key, found.owner.as_deref(), &found.tenant));
        let states = meter.read();
        let mut facts = facts(found, &key, &secret, &states);
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

fn facts<'a>(
    found: &'a Found,
    key: &'a Key,
    secret: &'a SecretVersion,
    limits: &'a [LimitState<'a>],
) -> KeyFacts<'a> {
    let last_used_at = found.key.last_used_at.load(Ordering::Relaxed);
    KeyFacts {
        key,
        secret,
        owner: found.owner.as_ref().map(|owner| &owner.owner),
        tenant: &found.tenant.tenant,
        rights: &found.effective.rights,
        last_used_at: (last_used_at > 0).then_some(last_used_at),
        limits,
        credits: found.key.credits.as_ref().map(|credits| credits.held()),
    }
}

/// Credits that this node does not hold may still lie in the store.
fn or_lease(decision: Decision, found: &Found, cost: u32) -> Result<Decision, Need> {
    let Decision::Deny { code: Code::CreditsExhausted, .. } = decision else { return Ok(decision) };
    match &found.key.credits {
        Some(credits) if !credits.dry.load(Ordering::Acquire) => {
            Err(Need::Credits(found.access_key, credits.lease_size(cost)))
        }
        _ => Ok(decision),
    }
}

fn names_tenant(tenant: &TenantRecord, name: &str) -> bool {
    name == tenant.id.to_string() || name == &*tenant.slug || name.parse() == Ok(tenant.number)
}

/// Whether keys of the class may call the management API at all.
pub(crate) fn may_manage(class: KeyClass) -> bool {
    class != KeyClass::Ingest
}
