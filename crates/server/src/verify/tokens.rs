//! Access tokens on the verify path (IMP-2, IMP-6, OAU-6): the signature is checked against keys in
//! memory, everything else against the same facts as a key.

mod budget;
mod checked;
mod revocations;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use keyward_core::decide::{
    self, Code, Decision, Finding, Now, Request, Step, TokenFacts, TrustedFacts, decide, explain_token,
};
use keyward_core::jwt::{self, Claims, Compact, MAX_LEN};
use sha2::{Digest as _, Sha256};

use self::checked::Behind;
pub(crate) use self::checked::{Checked, Client, Subject};
pub(crate) use self::revocations::{Revocations, subject_of};
use super::cache::Need;
use super::facts::{Effective, TenantRecord, UserRecord};
use super::limits::Meter;
use super::trusted::{TrustedRecord, is_allowed};
use super::{Ask, Found, Missing, Verified, Verifier};
use crate::error::{Error, Result};

/// Tokens whose signature is remembered as true.
const REMEMBERED: usize = 50_000;

/// A true token that tells of newer facts makes us read them this often at most.
const TOLD_MS: u64 = 100;

/// What is remembered of tokens.
pub(super) struct Tokens {
    issuer: String,
    checked: quick_cache::sync::Cache<[u8; 32], Arc<Checked>>,
    /// When an unknown `kid` last made us read the signing keys, monotonic milliseconds.
    asked_ms: AtomicU64,
}

/// A token with everything that its decision reads.
pub(crate) struct FoundToken {
    pub(crate) checked: Arc<Checked>,
    pub(crate) owner: Option<Arc<UserRecord>>,
    pub(crate) tenant: Arc<TenantRecord>,
    pub(crate) effective: Arc<Effective>,
    /// The secret behind it would still give it: to this user, for these audiences (IMP-1).
    reached: bool,
    pub(crate) origin: Origin,
}

/// What a token was asked for with, as it is now.
pub(crate) enum Origin {
    Trusted { record: Arc<TrustedRecord>, tenant: Arc<TenantRecord> },
    Key(Found),
}

impl Origin {
    /// Its id: `trusted_…` or `key_…`.
    pub(crate) fn id(&self) -> String {
        match self {
            Self::Trusted { record, .. } => record.id.to_string(),
            Self::Key(found) => found.key().map(|key| key.id.to_string()).unwrap_or_default(),
        }
    }
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
        if !self.cache.trusts(&keyring.age, now.monotonic_ns / 1_000_000) {
            // A key may have been removed while this node heard of nothing.
            return Err(Missing::SigningKeys);
        }
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
        let Some(checked) = checked else { return Ok(None) };
        // Another request may have been first; a budget is kept in one place.
        let known = self.tokens.checked.get_or_insert_with(&hash, || Ok::<_, Missing>(checked.clone()))?;
        if known.kid == checked.kid {
            return Ok(Some(known));
        }
        self.tokens.checked.insert(hash, checked.clone());
        Ok(Some(checked))
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
        if let (Subject::User(id), Some(owner)) = (checked.subject, &owner)
            && owner.token_epoch < checked.claims.epoch
        {
            // The token is newer than what this node knows of its user.
            owner.age.must_be_younger(TOLD_MS, now, Need::User(checked.tenant, id))?;
        }
        let Some(origin) = self.find_origin(&checked, now)? else { return Ok(None) };
        let behind = match (&origin, &owner) {
            (Origin::Trusted { record, .. }, Some(owner)) => {
                Behind::Trusted(owner.grant.clone(), Arc::downgrade(record))
            }
            (Origin::Key(found), _) => Behind::Key(found.effective.clone()),
            // A trusted secret speaks for users alone.
            (Origin::Trusted { .. }, None) => return Ok(None),
        };
        let memo = checked.effective(&tenant, owner.as_deref(), behind);
        let (effective, reached) = (memo.effective.clone(), memo.reached);
        Ok(Some(FoundToken { checked, owner, tenant, effective, reached, origin }))
    }

    fn find_origin(&self, checked: &Checked, now: Now) -> Result<Option<Origin>, Need> {
        let access_key = checked.claims.origin.access_key;
        match checked.root {
            Client::Trusted(id) => {
                let Some(record) = self.cache.trusted(access_key, now)? else { return Ok(None) };
                let Some(tenant) = self.cache.tenant(record.tenant_id, now)? else { return Ok(None) };
                if record.newest() < checked.claims.origin.generation {
                    // Another node has made a generation since.
                    record.age.must_be_younger(TOLD_MS, now, Need::Trusted(access_key))?;
                }
                // Only the primary tenant's secrets ask for tokens of other tenants (TS4).
                let reaches = tenant.id == checked.tenant || tenant.number == 0;
                Ok((reaches && record.id == id).then_some(Origin::Trusted { record, tenant }))
            }
            Client::Key(id) if id == access_key => {
                let own = |found: &Found| found.tenant.id == checked.tenant;
                Ok(self.find(access_key, now)?.filter(own).map(Origin::Key))
            }
            Client::Key(_) => Ok(None),
        }
    }

    fn decide_token(&self, found: &FoundToken, request: &Request<'_>, now: Now) -> Result<Decision, Missing> {
        let standing = self.standing(found, now)?;
        let Some(budget) = &found.checked.budget else {
            return self.judge_token(found, (standing, None), request, now);
        };
        loop {
            let held = budget.lease.held();
            let decision = self.judge_token(found, (standing, Some(held)), request, now)?;
            let wish = budget.wish(request.cost).filter(|_| held < i64::from(request.cost));
            match (&decision, wish) {
                (Decision::Deny { code: Code::CreditsExhausted, .. }, Some(wish)) => {
                    return Err(Missing::Uses(found.checked.clone(), wish));
                }
                (Decision::Allow { .. }, _) if !budget.lease.spend(request.cost) => {}
                _ => return Ok(decision),
            }
        }
    }

    fn judge_token(
        &self,
        found: &FoundToken,
        (standing, budget): (Standing, Option<i64>),
        request: &Request<'_>,
        now: Now,
    ) -> Result<Decision, Missing> {
        let judge = |origin: decide::Origin<'_>| {
            let facts = TokenFacts { budget, ..found.facts(standing, origin) };
            decide(&Finding::Token(facts), request, now)
        };
        match &found.origin {
            Origin::Trusted { record, tenant } => Ok(judge(found.trusted(record, tenant))),
            Origin::Key(key) => {
                let generation = found.checked.claims.origin.generation;
                let version =
                    key.key().and_then(|key| key.secrets().find(|version| version.generation == generation));
                let Some(secret) = version else { return Ok(refused(Code::RetiredSecret)) };
                let rights = &found.effective.rights;
                let settled = self.settle(key, &secret, (request.cost, now), |facts| {
                    judge(decide::Origin::Key(decide::KeyFacts { rights, ..*facts }))
                });
                Ok(settled?)
            }
        }
    }

    /// Whether the token was ended, and whether every key that it went through is good still.
    fn standing(&self, found: &FoundToken, now: Now) -> Result<Standing, Missing> {
        let revoked = self.cache.revocations(now)?.hold(&found.checked);
        let mut lapse = None;
        for passed in &found.checked.claims.via {
            lapse = lapse.into_iter().chain(self.lapse_of(passed, now)?).min();
        }
        Ok(Standing { revoked, lapse })
    }

    /// Why the secret of a key is no good any more.
    fn lapse_of(&self, origin: &jwt::Origin, now: Now) -> Result<Option<Code>, Need> {
        let Some(found) = self.find(origin.access_key, now)? else { return Ok(Some(Code::Revoked)) };
        let record = found.key().expect("it was found by its key");
        let version = record.secrets().find(|version| version.generation == origin.generation);
        let Some(secret) = version else { return Ok(Some(Code::RetiredSecret)) };
        let key = record.key();
        Ok(decide::lapse(&super::facts(&found, record, &key, &secret, &[], now.unix_ms), now))
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
        // What is not in memory was there a moment ago, for the decision.
        let standing = self.standing(found, now).unwrap_or_default();
        let facts = |origin| found.facts(standing, origin);
        match &found.origin {
            Origin::Trusted { record, tenant } => {
                explain_token(&facts(found.trusted(record, tenant)), request, now)
            }
            Origin::Key(key) => {
                let secret = key.key().and_then(|record| record.current_secret(now.unix_ms));
                let Some((record, secret)) = key.key().zip(secret) else { return Vec::new() };
                let meter = Meter::of(record, key.owner.as_deref(), &key.tenant);
                let (states, terms) = (meter.read(), record.key());
                let of_key = super::facts(key, record, &terms, &secret, &states, now.unix_ms);
                let of_key = decide::KeyFacts { rights: &found.effective.rights, ..of_key };
                explain_token(&facts(decide::Origin::Key(of_key)), request, now)
            }
        }
    }
}

/// Whether a token and what it came of were ended.
#[derive(Clone, Copy, Default)]
struct Standing {
    revoked: bool,
    lapse: Option<Code>,
}

fn refused(code: Code) -> Decision {
    Decision::Deny { code, retry_after_seconds: 0 }
}

impl FoundToken {
    /// When it ends, Unix seconds: no later than a token asked for with the secret as it is now would.
    pub(crate) fn end(&self) -> i64 {
        let claims = &self.checked.claims;
        match &self.origin {
            Origin::Trusted { record, .. } => {
                let most = claims.iat.saturating_add(i64::from(record.ceiling.max_ttl_seconds));
                let retires = record.retirement(claims.origin.generation).flatten();
                claims.exp.min(most).min(retires.map_or(most, |at| at.div_euclid(1000)))
            }
            Origin::Key(_) => claims.exp,
        }
    }

    fn facts<'a>(&'a self, standing: Standing, origin: decide::Origin<'a>) -> TokenFacts<'a> {
        let claims = &self.checked.claims;
        TokenFacts {
            issued_at: claims.iat,
            expires_at: self.end(),
            revoked: standing.revoked,
            lapse: standing.lapse,
            budget: self.checked.budget.as_ref().and_then(|budget| budget.lease.left()),
            audience: &claims.aud,
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
            allowed: is_allowed(tenant) && self.reached,
            tenant: &tenant.tenant,
        })
    }
}
