//! What a client asks for, and the token made of it.

use std::sync::Arc;

use keyward_core::id::TokenId;
use keyward_core::jwt::{self, Actor, Audience, Claims};
use keyward_core::right::RightSet;
use serde_json::{Map, Value, json};

use super::Holder;
use crate::app::App;
use crate::audit::{Audited, Event};
use crate::error::{Error, Result};
use crate::random;
use crate::store::token_budgets;
use crate::tokens::{DEFAULT_TTL, MAX_AUDIENCES};
use crate::trusted::ceiling::is_plain;
use crate::verify::Found;
use crate::verify::facts::UserRecord;
use crate::verify::record::KeyRecord;
use crate::verify::tokens::Subject;

/// The largest budget.
const MAX_BUDGET: u32 = 1_000_000;

/// What a client wishes of a token.
#[derive(Debug, Default)]
pub(crate) struct Wish {
    /// Only these rights.
    pub(crate) scope: Option<RightSet>,
    /// Who shall accept it.
    pub(crate) audience: Vec<String>,
    /// Seconds.
    pub(crate) expires_in: Option<i64>,
    /// The key that may exchange it once more.
    pub(crate) may_act: Option<String>,
    /// How often it may be used.
    pub(crate) budget: Option<u32>,
    /// Claims of whoever asks within the server; no client can wish for any.
    pub(crate) ext: Map<String, Value>,
    /// None of the rights, for whoever within the server looks the key up by the token; no client can wish for it.
    pub(crate) bare: bool,
}

/// A token as the client gets it.
#[derive(Debug)]
pub(crate) struct Issued {
    pub(crate) token: zeroize::Zeroizing<String>,
    pub(crate) expires_in: i64,
    pub(crate) scope: String,
}

/// What a token is made of, before the wish.
pub(super) struct Source {
    pub(super) subject: Subject,
    pub(super) username: Option<String>,
    pub(super) epoch: i64,
    /// What the subject may do through it now.
    pub(super) rights: RightSet,
    /// Who may accept it; anybody if empty.
    pub(super) audience: Vec<String>,
    /// The latest end, seconds.
    pub(super) end: Option<i64>,
    pub(super) lineage: Lineage,
}

/// Where a token comes from, as its claims tell it.
pub(super) struct Lineage {
    pub(super) act: Option<Actor>,
    pub(super) origin: jwt::Origin,
    pub(super) root: Option<String>,
    pub(super) via: Vec<jwt::Origin>,
    pub(super) parents: Vec<String>,
    pub(super) ext: Map<String, Value>,
}

/// An error in the words of RFC 6749 §5.2.
pub(super) fn refuse(code: &'static str, detail: impl Into<String>) -> Error {
    Error::Http { status: 400, code, detail: detail.into() }
}

/// A token of the key itself (RFC 6749 §4.4).
pub(crate) async fn of_client(app: &Arc<App>, holder: &Holder, wish: &Wish) -> Result<Issued> {
    let found = &holder.found;
    let lineage = Lineage {
        act: acting(holder, found),
        origin: holder.origin(),
        root: None,
        via: Vec::new(),
        parents: Vec::new(),
        ext: wish.ext.clone(),
    };
    let end = holder.expires_at.map(|at| at.div_euclid(1000));
    issue(app, holder, source_of(found, &holder.key, end, lineage), wish).await
}

/// A key as what a token is made of.
pub(super) fn source_of(found: &Found, key: &KeyRecord, end: Option<i64>, lineage: Lineage) -> Source {
    let owner = found.owner.as_deref();
    Source {
        subject: owner.map_or(Subject::Key(key.id), |owner| Subject::User(owner.id)),
        username: owner.map(|owner: &UserRecord| owner.username.to_string()),
        epoch: owner.map_or(0, |owner| owner.token_epoch),
        rights: found.effective.rights.clone(),
        audience: Vec::new(),
        end,
        lineage,
    }
}

/// Who acts: the client's key, unless it speaks for itself (RFC 8693 §4.1).
pub(super) fn acting(holder: &Holder, subject: &Found) -> Option<Actor> {
    let itself = subject.owner.is_none() && subject.key().is_some_and(|key| key.id == holder.key.id);
    (!itself).then(|| Actor { sub: holder.key.id.to_string(), act: None })
}

/// Makes the token that the wish leaves of the source.
pub(super) async fn issue(app: &Arc<App>, holder: &Holder, source: Source, wish: &Wish) -> Result<Issued> {
    let now = app.clock.unix_ms();
    let iat = now.div_euclid(1000);
    let exp = end(holder, &source, wish, iat)?;
    let rights = match &wish.scope {
        _ if wish.bare => RightSet::default(),
        Some(scope) => source.rights.intersect(scope),
        None => source.rights.clone(),
    };
    if wish.scope.is_some() && rights.is_empty() {
        return Err(refuse("invalid_scope", "nothing of this scope is held"));
    }
    let scope = rights.to_string();
    let id: TokenId = random::new_id(now);
    let tenant = holder.found.tenant.id;
    let claims = Claims {
        iss: app.verifier.issuer().into(),
        sub: source.subject.to_string(),
        aud: Audience(audience(app, &source, wish)?),
        client_id: holder.access_key.to_string(),
        iat,
        exp,
        jti: id.to_string(),
        tenant: tenant.to_string(),
        scope: scope.clone(),
        username: source.username,
        act: source.lineage.act,
        may_act: wish.may_act.as_ref().map(|key| Actor { sub: key.clone(), act: None }),
        origin: source.lineage.origin,
        root: source.lineage.root,
        via: source.lineage.via,
        parents: source.lineage.parents,
        budget: budget(wish)?,
        epoch: source.epoch,
        ext: source.lineage.ext,
    };
    app.verifier.confirm_signing_keys().await?;
    let token = zeroize::Zeroizing::new(app.verifier.sign(&claims, now)?);
    if claims.budget.is_some() {
        keep_budget(app, holder, &claims).await?;
    }
    app.metrics.minted.inc();
    let pair = (holder.key.id.to_string(), source.subject);
    app.mints.note(tenant, pair, app.clock.monotonic_ms(), || holder.actor());
    Ok(Issued { token, expires_in: exp - iat, scope })
}

/// The end: as wished, and no later than policy, key and parent allow.
fn end(holder: &Holder, source: &Source, wish: &Wish, iat: i64) -> Result<i64> {
    if wish.expires_in.is_some_and(|wish| wish < 1) {
        return Err(refuse("invalid_request", "expires_in must be 1 or more"));
    }
    let most = i64::from(holder.found.tenant.tenant.policy.token_max_ttl_seconds);
    let own = iat + wish.expires_in.unwrap_or(DEFAULT_TTL).min(most);
    let key = holder.expires_at.map(|at| at.div_euclid(1000));
    let end = [Some(own), source.end, key].into_iter().flatten().min().unwrap_or(own);
    if end <= iat {
        return Err(refuse("invalid_grant", "what the token would come of ends now"));
    }
    Ok(end)
}

/// As wished, within what the source allows.
fn audience(app: &App, source: &Source, wish: &Wish) -> Result<Vec<String>> {
    if wish.audience.is_empty() {
        let same = source.audience.clone();
        return Ok(if same.is_empty() { vec![app.verifier.issuer().into()] } else { same });
    }
    if wish.audience.len() > MAX_AUDIENCES || !wish.audience.iter().all(|text| is_plain(text)) {
        let detail = format!("at most {MAX_AUDIENCES} audiences of 1 to 200 visible ASCII characters");
        return Err(refuse("invalid_target", detail));
    }
    let within = |name: &String| source.audience.is_empty() || source.audience.contains(name);
    if !wish.audience.iter().all(within) {
        return Err(refuse("invalid_target", "the subject token is not for this audience"));
    }
    Ok(wish.audience.clone())
}

fn budget(wish: &Wish) -> Result<Option<u32>> {
    match wish.budget {
        Some(budget) if !(1..=MAX_BUDGET).contains(&budget) => {
            Err(refuse("invalid_request", format!("budget must be from 1 to {MAX_BUDGET}")))
        }
        budget => Ok(budget),
    }
}

/// Uses are counted in the store, by all nodes together.
async fn keep_budget(app: &Arc<App>, holder: &Holder, claims: &Claims) -> Result<()> {
    let (id, end, uses) = (claims.jti.clone(), claims.exp, claims.budget.unwrap_or(0));
    let (sub, actor, app) = (claims.sub.clone(), holder.actor(), app.clone());
    let control = app.control.clone();
    let work = async move {
        app.write(&actor, async |tx| {
            let tenant = tx.tenant().to_owned();
            token_budgets::insert(tx.conn(), &tenant, &id, i64::from(uses), end).await?;
            let event =
                Event::new("token.budget", "token", &id, "").after(&json!({ "sub": sub, "budget": uses }));
            Ok(Audited::new((), event))
        })
        .await
    };
    control.spawn(work).await.map_err(Error::internal)?
}
