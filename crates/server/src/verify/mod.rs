//! The verify path (`design.md` §5): parse, look up facts, compare, decide, count.
//!
//! On a hit nothing here waits, writes to the database or reads from it. A miss costs one query,
//! shared by all who miss the same thing.

pub(crate) mod bulletin;
pub(crate) mod cache;
pub(crate) mod canaries;
pub(crate) mod credits;
pub(crate) mod facts;
pub(crate) mod feed;
pub(crate) mod foreign;
pub(crate) mod keyring;
mod lease;
pub(crate) mod limits;
mod pool;
pub(crate) mod recognise;
pub(crate) mod record;
mod register;
mod sealed;
pub(crate) mod sessions;
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

use self::bulletin::Bulletin;
use self::cache::{Cache, Need};
use self::canaries::Canaries;
use self::credits::Credits;
use self::facts::{Effective, TenantRecord, UserRecord};
use self::foreign::ForeignRecord;
use self::foreign::proof::Guesses;
use self::keyring::Keyring;
use self::limits::Meter;
use self::record::KeyRecord;
use self::sessions::{SeenSessions, SessionRecord};
use self::tokens::{Checked, FoundToken, Tokens};
use self::usage::{Sighting, Usage};
use crate::clock::Clock;
use crate::config::Settings;
use crate::error::{Error, Result};
use crate::hashers::Hashers;
use crate::imports::ways::Ways;
use crate::seal::RootKey;

/// For how long one verification reads facts, before the database counts as too slow.
const PATIENCE_NS: u64 = 30_000_000_000;

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
    /// The token of a session, out of a cookie.
    Cookie(&'a str),
    /// The same from a page that asks by itself: no use of the session (SES-3).
    Poll(&'a str),
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

/// A credential with everything that its decision reads.
#[derive(Clone)]
pub(crate) struct Found {
    /// The key, or that which the session came from.
    pub(crate) key: Option<(AccessKey, Arc<KeyRecord>)>,
    /// The session, if its token was presented.
    pub(crate) session: Option<Arc<SessionRecord>>,
    pub(crate) owner: Option<Arc<UserRecord>>,
    pub(crate) tenant: Arc<TenantRecord>,
    pub(crate) effective: Arc<Effective>,
}

impl Found {
    /// The key, or that which the session came from.
    pub(crate) fn key(&self) -> Option<&Arc<KeyRecord>> {
        self.key.as_ref().map(|(_, key)| key)
    }

    /// The credits that a use spends: those of the key, and those of its owner.
    pub(crate) fn credits(&self) -> [Option<&Credits>; 2] {
        let owner = self.key.as_ref().and(self.owner.as_deref());
        [self.key().and_then(|key| key.credits()), owner.and_then(|owner| owner.credits.as_deref())]
    }

    /// Whether it may call the management API at all.
    pub(crate) fn may_manage(&self) -> bool {
        self.key().is_none_or(|key| key.terms.class != KeyClass::Ingest)
    }
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
    /// Those of several ways at once.
    Several(Vec<Need>),
    Pepper(u32),
    SigningKeys,
    /// So many uses of a token, out of the store.
    Uses(Arc<Checked>, i64),
    /// The slow hash of an imported credential, or of several with the same public part.
    Proof(Vec<Arc<ForeignRecord>>),
}

impl From<Need> for Missing {
    fn from(need: Need) -> Self {
        Self::Facts(need)
    }
}

/// What is sealed in the database and lies in memory whole.
pub(crate) struct Sealed {
    pub(crate) peppers: Vec<Pepper>,
    pub(crate) keyring: Keyring,
    pub(crate) import_ways: Ways,
}

/// The verify path of this node.
pub(crate) struct Verifier {
    pub(crate) cache: Arc<Cache>,
    pub(crate) bulletin: Bulletin,
    pub(crate) usage: Usage,
    pub(crate) seen: SeenSessions,
    pub(crate) canaries: Canaries,
    /// Whether this instance lets users log in with a password.
    passwords: bool,
    pub(crate) prefixes: Prefixes,
    /// Newest first.
    pub(crate) peppers: ArcSwap<Vec<Pepper>>,
    pub(crate) keyring: ArcSwap<Keyring>,
    pub(crate) import_ways: ArcSwap<Ways>,
    guesses: Guesses,
    hashers: Arc<Hashers>,
    root_key: Arc<RootKey>,
    clock: Clock,
    tokens: Tokens,
    /// Held while peppers or signing keys are read and taken over, so that the order of reads is that
    /// of takings: an older read never replaces a newer one.
    sealed: tokio::sync::Mutex<()>,
}

impl Verifier {
    pub(crate) fn new(
        cache: Arc<Cache>,
        prefixes: Prefixes,
        sealed: Sealed,
        root_key: Arc<RootKey>,
        hashers: Arc<Hashers>,
        clock: Clock,
        settings: &Settings,
    ) -> Self {
        let Sealed { peppers, keyring, import_ways } = sealed;
        let (peppers, keyring) = (ArcSwap::from_pointee(peppers), ArcSwap::from_pointee(keyring));
        let (tokens, passwords) = (Tokens::new(settings.issuer()), settings.login.passwords);
        Self {
            cache,
            bulletin: Bulletin::default(),
            usage: Usage::default(),
            seen: SeenSessions::default(),
            canaries: Canaries::default(),
            passwords,
            prefixes,
            peppers,
            keyring,
            import_ways: ArcSwap::from_pointee(import_ways),
            guesses: Guesses::default(),
            hashers,
            root_key,
            clock,
            tokens,
            sealed: Default::default(),
        }
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
            key = verified.found.as_ref().and_then(Found::key).map(|key| key.id.to_string()),
            "verified"
        );
        Ok(verified)
    }

    async fn verify_with_reads(&self, ask: &Ask<'_>, mut missing: Missing) -> Result<Verified> {
        loop {
            if let Missing::Proof(records) = &missing {
                if let Some(refused) = self.prove(ask, records).await? {
                    return Ok(refused);
                }
            } else {
                self.learn(missing).await?;
            }
            // Reading took time.
            let now = self.clock.now();
            match self.verify_cached(ask, now) {
                Ok(verified) => return Ok(verified),
                Err(still) => missing = still,
            }
            if now.monotonic_ns.saturating_sub(ask.now.monotonic_ns) > PATIENCE_NS {
                return Err(Error::outage("facts grow old faster than they can be read"));
            }
        }
    }

    /// Reads what is missing.
    async fn learn(&self, missing: Missing) -> Result<()> {
        match missing {
            Missing::Facts(need) => self.cache.load(need).await,
            Missing::Several(needs) => {
                for need in needs {
                    self.cache.load(need).await?;
                }
                Ok(())
            }
            Missing::Pepper(id) => self.learn_pepper(id).await,
            Missing::SigningKeys => self.learn_signing_keys().await,
            Missing::Uses(token, wish) => self.cache.lease_uses(token, wish).await,
            Missing::Proof(_) => Ok(()),
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
        let key = found.key().expect("it was found by its key");
        self.knows_peppers(key)?;
        let secret = self.matching_secret(key, &parsed);
        let fits_tenant = tenant.is_none_or(|name| names_tenant(&found.tenant, name));
        let Some(secret) = secret.filter(|_| fits_tenant && key.terms.class == parsed.class) else {
            if key.age.is_stale() {
                // Changed while we looked: its secret may have moved off a pepper that was retired.
                return Err(Need::Key(parsed.access_key).into());
            }
            self.usage.denied(key, Code::WrongSecret);
            return Ok(Verified::refused(Code::WrongSecret));
        };
        self.verify_found(ask, found, secret, parsed.expose(), now)
    }

    /// Decides about a key whose secret was presented rightly.
    fn verify_found(
        &self,
        ask: &Ask<'_>,
        found: Found,
        secret: SecretVersion,
        text: &str,
        now: Now,
    ) -> Result<Verified, Missing> {
        let key = found.key().expect("it was found by its key");
        if key.is_canary() {
            self.canaries.note(key, secret.generation, ask.sighting);
            self.usage.denied(key, Code::WrongSecret);
            return Ok(Verified::refused(Code::WrongSecret));
        }
        let judge = |facts: &KeyFacts<'_>| decide(&Finding::Key(*facts), &ask.request, now);
        let decision = self.settle(&found, &secret, (ask.request.cost, now), judge)?;
        match decision {
            Decision::Allow { .. } => {
                self.usage.allowed(key, secret.generation, ask.sighting, now.unix_ms);
                self.note_old_pepper(&secret, text, key);
            }
            Decision::Deny { code, .. } => self.usage.denied(key, code),
        }
        Ok(Verified { decision, found: Some(found), secret: Some(secret), token: None })
    }

    /// What is no secret of a key may be a token, or that of a session; only this looks for one, so that
    /// keys do not pay for it.
    fn verify_no_secret(&self, ask: &Ask<'_>, now: Now) -> Result<Verified, Missing> {
        match ask.presented {
            Presented::Token(text) => self.verify_token(text, ask, now),
            Presented::Secret(text) if jwt::is_compact(text) => {
                let verified = self.verify_token(text, ask, now)?;
                if verified.token.is_some() || self.import_ways.load().is_empty() {
                    return Ok(verified);
                }
                // Two dots alone make no token.
                let foreign = self.verify_foreign(ask, now)?;
                Ok(if foreign.found.is_some() { foreign } else { verified })
            }
            _ => self.verify_session(ask, now),
        }
    }

    /// Reads the form of the credential; a pair must name the key that its secret belongs to.
    fn parse<'a>(&self, presented: Presented<'a>) -> Option<(ParsedSecret<'a>, Option<&'a str>)> {
        let (tenant, access_key, secret) = match presented {
            Presented::Secret(secret) => (None, None, secret),
            Presented::Pair(access_key, secret) => (None, Some(access_key), secret),
            Presented::Triple(tenant, access_key, secret) => (Some(tenant), Some(access_key), secret),
            Presented::Token(_) | Presented::Cookie(_) | Presented::Poll(_) => return None,
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
        Ok(Some(Found { key: Some((access_key, key)), session: None, owner, tenant, effective }))
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
        key.secrets().try_for_each(|version| self.knows_pepper(version.pepper))
    }

    fn knows_pepper(&self, pepper: u32) -> Result<(), Missing> {
        let newest = self.peppers.load().first().map_or(0, Pepper::id);
        if pepper > newest { Err(Missing::Pepper(pepper)) } else { Ok(()) }
    }

    /// Decides by `judge`, and spends limits and credits of the key if the answer is yes.
    fn settle(
        &self,
        found: &Found,
        secret: &SecretVersion,
        (cost, now): (u32, Now),
        judge: impl Fn(&KeyFacts<'_>) -> Decision,
    ) -> Result<Decision, Need> {
        let (_, record) = found.key.as_ref().expect("a secret belongs to a key");
        let key = record.key();
        let meter = Meter::of(record, found.owner.as_deref(), &found.tenant);
        loop {
            let states = meter.read();
            let decision = judge(&facts(found, record, &key, secret, &states, now.unix_ms));
            let Decision::Allow { limits, .. } = &decision else {
                return or_lease(decision, found, cost, now.unix_ms);
            };
            if !spend(found.credits(), cost) {
                continue;
            }
            if meter.keep(&states, limits) {
                return Ok(decision);
            }
            found.credits().iter().flatten().for_each(|credits| credits.unspend(cost));
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
        let Some((_, record)) = &found.key else {
            let session = found.session.as_ref();
            return session.map(|s| self.explain_session(found, s, None, request, now)).unwrap_or_default();
        };
        let Some(secret) = presented.copied().or_else(|| record.current_secret(now.unix_ms)) else {
            return Vec::new();
        };
        let (key, meter) = (record.key(), Meter::of(record, found.owner.as_deref(), &found.tenant));
        let states = meter.read();
        let mut facts = facts(found, record, &key, &secret, &states, now.unix_ms);
        facts.credits = found.credits().map(|credits| credits.map(|credits| credits.prospect(now.unix_ms)));
        match &found.session {
            Some(session) => self.explain_session(found, session, Some(facts), request, now),
            None => explain(&facts, request, now),
        }
    }

    /// A hit under an old pepper is re-hashed in the background (STO-3).
    fn note_old_pepper(&self, secret: &SecretVersion, text: &str, key: &Arc<KeyRecord>) {
        let peppers = self.peppers.load();
        let Some(newest) = peppers.first().filter(|newest| newest.id() != secret.pepper) else { return };
        let hash = newest.hash(text);
        self.cache.rehash_later(key.clone(), secret.generation, newest.id(), hash);
    }
}

fn facts<'a>(
    found: &'a Found,
    record: &KeyRecord,
    key: &'a Key,
    secret: &'a SecretVersion,
    limits: &'a [LimitState<'a>],
    now: i64,
) -> KeyFacts<'a> {
    let last_used_at = record.last_used_at.load(Ordering::Relaxed);
    KeyFacts {
        key,
        secret,
        owner: found.owner.as_ref().map(|owner| &owner.owner),
        tenant: &found.tenant.tenant,
        rights: &found.effective.rights,
        last_used_at: (last_used_at > 0).then_some(last_used_at),
        limits,
        credits: found.credits().map(|credits| credits.map(|credits| credits.state(now))),
    }
}

/// Spends credits of key and owner, of both or of neither.
fn spend(credits: [Option<&Credits>; 2], cost: u32) -> bool {
    let [own, owners] = credits;
    if !own.is_none_or(|own| own.spend(cost)) {
        return false;
    }
    let both = owners.is_none_or(|owners| owners.spend(cost));
    if let Some(own) = own.filter(|_| !both) {
        own.unspend(cost);
    }
    both
}

/// Credits that this node does not hold may still lie in the store.
fn or_lease(decision: Decision, found: &Found, cost: u32, now: i64) -> Result<Decision, Need> {
    let Decision::Deny { code: Code::CreditsExhausted, .. } = decision else { return Ok(decision) };
    let short = || found.credits().into_iter().flatten().filter(|credits| credits.is_short(cost, now));
    if short().any(|credits| !credits.may_have_more(now)) {
        return Ok(decision);
    }
    let [own, owners] = found.credits().map(|credits| credits.filter(|credits| credits.is_short(cost, now)));
    match (&found.key, &found.owner) {
        (Some((access_key, _)), _) if own.is_some() => Err(Need::Credits(*access_key, cost)),
        (_, Some(owner)) if owners.is_some() => Err(Need::OwnerCredits(owner.tenant_id, owner.id, cost)),
        _ => Ok(decision),
    }
}

/// Whether this is the id, the slug or the number of the tenant.
pub(crate) fn names_tenant(tenant: &TenantRecord, name: &str) -> bool {
    name == tenant.id.to_string() || name == &*tenant.slug || name.parse() == Ok(tenant.number)
}
