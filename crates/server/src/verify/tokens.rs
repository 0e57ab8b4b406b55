//! Access tokens on the verify path (IMP-2, IMP-6, OAU-6): the signature is checked against keys in
//! memory, everything else against the same facts as a key.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use arc_swap::ArcSwapOption;
use keyward_core::decide::{
    self, Code, Decision, Finding, Now, Request, Step, TokenFacts, TrustedFacts, decide, explain_token,
};
use keyward_core::id::{KeyId, TenantId, TokenId, TrustedId, UserId};
use keyward_core::jwt::{Claims, Compact, MAX_LEN};
use keyward_core::right::RightSet;
use sha2::{Digest as _, Sha256};

use super::cache::Need;
use super::facts::{Age, Effective, Grant, TenantRecord, UserRecord};
use super::limits::Meter;
use super::trusted::{TrustedRecord, is_allowed};
use super::{Ask, Found, Missing, Verified, Verifier};
use crate::error::{Error, Result};
use crate::store::{Conn, revoked_tokens};

/// Tokens whose signature is remembered as true.
const REMEMBERED: usize = 50_000;

/// What is remembered of tokens.
pub(super) struct Tokens {
    issuer: String,
    checked: quick_cache::sync::Cache<[u8; 32], Arc<Checked>>,
    /// When an unknown `kid` last made us read the signing keys, monotonic milliseconds.
    asked_ms: AtomicU64,
}

/// A token whose signature is true.
pub(crate) struct Checked {
    pub(crate) claims: Claims,
    pub(crate) id: TokenId,
    pub(crate) tenant: TenantId,
    pub(crate) subject: Subject,
    pub(crate) client: Client,
    kid: String,
    rights: RightSet,
    /// Its rights as they are now, for as long as nothing behind them changes.
    memo: ArcSwapOption<Memo>,
}

/// Whom a token speaks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Subject {
    User(UserId),
    /// A workspace key.
    Key(KeyId),
}

/// What asked for a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Client {
    Trusted(TrustedId),
    Key(KeyId),
}

/// What the effective rights of a token were made of.
struct Memo {
    tenant: Weak<TenantRecord>,
    behind: Behind,
    effective: Arc<Effective>,
}

/// What bounds the rights of a token besides its own.
enum Behind {
    Trusted(Arc<Grant>, Weak<TrustedRecord>),
    Key(Arc<Effective>),
}

/// A token with everything that its decision reads.
pub(crate) struct FoundToken {
    pub(crate) checked: Arc<Checked>,
    pub(crate) owner: Option<Arc<UserRecord>>,
    pub(crate) tenant: Arc<TenantRecord>,
    pub(crate) effective: Arc<Effective>,
    pub(crate) origin: Origin,
}

/// What a token was asked for with, as it is now.
pub(crate) enum Origin {
    Trusted { record: Arc<TrustedRecord>, tenant: Arc<TenantRecord> },
    Key(Found),
}

/// Ids of tokens that were revoked, with the seconds when each would have ended.
pub(crate) struct Revocations {
    ids: papaya::HashMap<u128, i64, foldhash::fast::RandomState>,
    pub(super) age: Age,
}

impl Revocations {
    /// Reads them all.
    pub(super) async fn load(conn: &mut Conn, now_ms: u64) -> Result<Self> {
        let ids = papaya::HashMap::default();
        for (id, expires_at) in revoked_tokens::all(conn).await? {
            let id: TokenId = id.parse().map_err(Error::internal)?;
            ids.pin().insert(id.as_u128(), expires_at);
        }
        Ok(Self { ids, age: Age::new(now_ms) })
    }

    /// One more, as the feed spells it.
    pub(super) fn add(&self, subject: &str) {
        if let Some((id, end)) = read_subject(subject) {
            self.ids.pin().insert(id.as_u128(), end);
        }
    }

    /// Forgets tokens that are over anyway.
    pub(super) fn forget_before(&self, unix_seconds: i64) {
        self.ids.pin().retain(|_, end| *end >= unix_seconds);
    }

    fn holds(&self, id: TokenId) -> bool {
        self.ids.pin().contains_key(&id.as_u128())
    }
}

/// How the feed tells of a revoked token.
pub(crate) fn subject_of(id: TokenId, expires_at: i64) -> String {
    format!("{id}.{expires_at}")
}

fn read_subject(text: &str) -> Option<(TokenId, i64)> {
    let (id, end) = text.split_once('.')?;
    Some((id.parse().ok()?, end.parse().ok()?))
}

impl Tokens {
    pub(super) fn new(issuer: String) -> Self {
        Self { issuer, checked: quick_cache::sync::Cache::new(REMEMBERED), asked_ms: AtomicU64::new(0) }
    }
}

impl Verifier {
    /// Verifies a token from memory alone; `Err` says what is missing.
    pub(super) fn verify_token(&self, text: &str, ask: &Ask<'_>, now: Now) -> Result<Verified, Missing> {
        let Some(checked) = self.check(text, now)? else { return Ok(Verified::refused(Code::Malformed)) };
        let mine = ask.tenant.is_none_or(|id| id == checked.tenant);
        let Some(found) = self.find_token(checked, now)?.filter(|_| mine) else {
            return Ok(Verified::refused(Code::UnknownKey));
        };
        let decision = self.decide_token(&found, &ask.request, now)?;
        Ok(Verified { decision, found: None, secret: None, token: Some(Box::new(found)) })
    }

    /// The token, if its signature is true and it is one of this instance.
    fn check(&self, text: &str, now: Now) -> Result<Option<Arc<Checked>>, Missing> {
        let keyring = self.keyring.load();
        let hash: [u8; 32] = Sha256::digest(text.as_bytes()).into();
        if let Some(known) = self.tokens.checked.get(&hash).filter(|known| keyring.holds(&known.kid)) {
            return Ok(Some(known));
        }
        let Some(token) = Compact::parse(text) else { return Ok(None) };
        if !keyring.holds(&token.kid) {
            return self.miss_key(now).map_or(Ok(None), Err);
        }
        let checked = keyring.has_signed(&token).then(|| Checked::of(&token)).flatten();
        let checked = checked.filter(|checked| checked.claims.iss == self.tokens.issuer).map(Arc::new);
        if let Some(checked) = &checked {
            self.tokens.checked.insert(hash, checked.clone());
        }
        Ok(checked)
    }

    /// An unknown key may be newer than what we know; whoever makes ids up costs one read a second.
    fn miss_key(&self, now: Now) -> Option<Missing> {
        let (now_ms, asked) = (now.monotonic_ns / 1_000_000, &self.tokens.asked_ms);
        let last = asked.load(Ordering::Acquire);
        let free = now_ms.saturating_sub(last) >= 1_000;
        let ours = free && asked.compare_exchange(last, now_ms, Ordering::AcqRel, Ordering::Relaxed).is_ok();
        ours.then_some(Missing::SigningKeys)
    }

    fn find_token(&self, checked: Arc<Checked>, now: Now) -> Result<Option<FoundToken>, Need> {
        let Some(tenant) = self.cache.tenant(checked.tenant, now)? else { return Ok(None) };
        let owner = match checked.subject {
            Subject::User(id) => self.cache.user(checked.tenant, id, now)?,
            Subject::Key(_) => None,
        };
        let Some(origin) = self.find_origin(&checked, now)? else { return Ok(None) };
        let behind = match (&origin, &owner) {
            (Origin::Trusted { record, .. }, Some(owner)) => {
                Behind::Trusted(owner.grant.clone(), Arc::downgrade(record))
            }
            (Origin::Key(found), _) => Behind::Key(found.effective.clone()),
            // A trusted secret speaks for users alone.
            (Origin::Trusted { .. }, None) => return Ok(None),
        };
        let effective = checked.effective(&tenant, behind);
        Ok(Some(FoundToken { checked, owner, tenant, effective, origin }))
    }

    fn find_origin(&self, checked: &Checked, now: Now) -> Result<Option<Origin>, Need> {
        let access_key = checked.claims.origin.access_key;
        match checked.client {
            Client::Trusted(id) => {
                let Some(record) = self.cache.trusted(access_key, now)? else { return Ok(None) };
                let Some(tenant) = self.cache.tenant(record.tenant_id, now)? else { return Ok(None) };
                Ok((record.id == id).then_some(Origin::Trusted { record, tenant }))
            }
            Client::Key(id) => Ok(self
                .find(access_key, now)?
                .filter(|found| found.key().is_some_and(|key| key.id == id))
                .map(Origin::Key)),
        }
    }

    fn decide_token(&self, found: &FoundToken, request: &Request<'_>, now: Now) -> Result<Decision, Missing> {
        let revoked = self.cache.revocations(now)?.holds(found.checked.id);
        let generation = found.checked.claims.origin.generation;
        match &found.origin {
            Origin::Trusted { record, tenant } => {
                let origin = found.trusted(record, tenant);
                Ok(decide(&Finding::Token(found.facts(revoked, origin)), request, now))
            }
            Origin::Key(key) => {
                let version =
                    key.key().and_then(|key| key.secrets().find(|version| version.generation == generation));
                let Some(secret) = version else { return Ok(refused(Code::RetiredSecret)) };
                let rights = &found.effective.rights;
                self.settle(key, &secret, request.cost, |facts| {
                    let facts = decide::KeyFacts { rights, ..*facts };
                    decide(&Finding::Token(found.facts(revoked, decide::Origin::Key(facts))), request, now)
                })
                .map_err(Into::into)
            }
        }
    }

    /// What stands in `iss` of the tokens of this instance.
    pub(crate) fn issuer(&self) -> &str {
        &self.tokens.issuer
    }

    /// The token that says this.
    pub(crate) fn sign(&self, claims: &Claims, now: i64) -> Result<String> {
        let token = self.keyring.load().sign(claims, now)?;
        if token.len() > MAX_LEN {
            let detail = "the token would be too long; ask for fewer rights or claims";
            return Err(Error::invalid("", "token_too_large", detail));
        }
        Ok(token)
    }

    /// What a token of this instance says, whether it is still good or not.
    ///
    /// # Errors
    /// `Error::Outage` when the signing keys have to be read and cannot be.
    pub(crate) async fn read_token(&self, text: &str) -> Result<Option<Arc<Checked>>> {
        loop {
            match self.check(text, self.clock.now()) {
                Ok(checked) => return Ok(checked),
                Err(missing) => self.learn(missing).await?,
            }
        }
    }

    /// Every check of a token with its outcome; spends nothing.
    pub(crate) fn explain_token(&self, found: &FoundToken, request: &Request<'_>) -> Vec<Step> {
        let now = self.clock.now();
        let revoked = self.cache.revocations(now).is_ok_and(|known| known.holds(found.checked.id));
        match &found.origin {
            Origin::Trusted { record, tenant } => {
                let origin = found.trusted(record, tenant);
                explain_token(&found.facts(revoked, origin), request, now)
            }
            Origin::Key(key) => {
                let secret = key.key().and_then(|record| record.current_secret(now.unix_ms));
                let Some((record, secret)) = key.key().zip(secret) else { return Vec::new() };
                let meter = Meter::of(record, key.owner.as_deref(), &key.tenant);
                let (states, terms) = (meter.read(), record.key());
                let facts = super::facts(key, record, &terms, &secret, &states);
                let facts = decide::KeyFacts { rights: &found.effective.rights, ..facts };
                explain_token(&found.facts(revoked, decide::Origin::Key(facts)), request, now)
            }
        }
    }

    /// Reads the signing keys before the feed tells of a new one.
    pub(super) async fn learn_signing_keys(&self) -> Result<()> {
        let keyring = self.cache.read_keyring().await?;
        self.keyring.store(Arc::new(keyring));
        Ok(())
    }
}

fn refused(code: Code) -> Decision {
    Decision::Deny { code, retry_after_seconds: 0 }
}

impl FoundToken {
    fn facts<'a>(&'a self, revoked: bool, origin: decide::Origin<'a>) -> TokenFacts<'a> {
        let claims = &self.checked.claims;
        TokenFacts {
            issued_at: claims.iat,
            expires_at: claims.exp,
            revoked,
            epoch: claims.epoch,
            epoch_now: self.owner.as_ref().map_or(claims.epoch, |owner| owner.token_epoch),
            owner: self.owner.as_ref().map(|owner| &owner.owner),
            tenant: &self.tenant.tenant,
            rights: &self.effective.rights,
            origin,
        }
    }

    fn trusted<'a>(&self, record: &TrustedRecord, tenant: &'a TenantRecord) -> decide::Origin<'a> {
        let retirement = record.retirement(self.checked.claims.origin.generation);
        decide::Origin::Trusted(TrustedFacts {
            ended: record.ended,
            // A generation that is not known any more is retired.
            retires_at: retirement.unwrap_or(Some(0)),
            allowed: is_allowed(tenant),
            tenant: &tenant.tenant,
        })
    }
}

impl Checked {
    /// What a true token says, if it makes sense.
    fn of(token: &Compact<'_>) -> Option<Self> {
        let claims = token.claims()?;
        let subject = match claims.sub.parse() {
            Ok(user) => Subject::User(user),
            Err(_) => Subject::Key(claims.sub.parse().ok()?),
        };
        let client = match claims.client_id.parse() {
            Ok(trusted) => Client::Trusted(trusted),
            Err(_) => Client::Key(claims.client_id.parse().ok()?),
        };
        Some(Self {
            id: claims.jti.parse().ok()?,
            tenant: claims.tenant.parse().ok()?,
            rights: claims.rights()?,
            subject,
            client,
            kid: token.kid.clone(),
            memo: ArcSwapOption::empty(),
            claims,
        })
    }

    /// The token's rights ∩ what is behind them, computed once for each state of that.
    fn effective(&self, tenant: &Arc<TenantRecord>, behind: Behind) -> Arc<Effective> {
        let memo = self.memo.load();
        if let Some(memo) = memo.as_ref().filter(|memo| memo.is_of(tenant, &behind)) {
            return memo.effective.clone();
        }
        let rights = match &behind {
            Behind::Trusted(grant, record) => {
                let live = self.rights.intersect(&tenant.rights_of(grant));
                match record.upgrade().and_then(|record| record.ceiling.rights.clone()) {
                    Some(ceiling) => live.intersect(&ceiling),
                    None => live,
                }
            }
            Behind::Key(effective) => self.rights.intersect(&effective.rights),
        };
        let effective = Arc::new(Effective::new(rights));
        let memo = Memo { tenant: Arc::downgrade(tenant), behind, effective: effective.clone() };
        self.memo.store(Some(Arc::new(memo)));
        effective
    }
}

impl Memo {
    fn is_of(&self, tenant: &Arc<TenantRecord>, behind: &Behind) -> bool {
        // What is held weakly keeps its address, so that equal addresses are the same record.
        let same = match (&self.behind, behind) {
            (Behind::Trusted(grant, record), Behind::Trusted(other_grant, other)) => {
                Arc::ptr_eq(grant, other_grant) && Weak::ptr_eq(record, other)
            }
            (Behind::Key(effective), Behind::Key(other)) => Arc::ptr_eq(effective, other),
            _ => false,
        };
        same && self.tenant.as_ptr() == Arc::as_ptr(tenant)
    }
}
