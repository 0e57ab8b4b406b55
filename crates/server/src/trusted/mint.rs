//! Asking for a token (TS1, TS8, IMP-1 to IMP-5, IMP-10): out of memory, signed, and nothing kept.

use std::sync::Arc;

use keyward_core::id::TokenId;
use keyward_core::jwt::{self, Audience, Claims, Origin};
use keyward_core::key::OwnerState;
use keyward_core::right::{Resource, RightSet};
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use super::ceiling::{Ceiling, is_plain};
use super::firsts::First;
use super::provisioning::{self, Renewal};
use super::subject::{self, Prospect};
use super::wire::{TokenCreated, TokenIn};
use crate::app::{Actor, App, Call, Principal};
use crate::clock::rfc3339;
use crate::error::{Error, Result};
use crate::keys::rules;
use crate::random;
use crate::tokens::{DEFAULT_TTL, MAX_AUDIENCES};
use crate::verify::facts::{TenantRecord, UserRecord, administers};
use crate::verify::tokens::Subject;
use crate::verify::trusted::Backend;

/// Custom claims in one token, and their bytes, at most.
const MAX_CLAIMS: usize = 20;
const MAX_CLAIM_BYTES: usize = 1024;

impl Backend {
    /// It as an actor in a tenant, for the audit log and for making users.
    pub(crate) fn actor(&self, tenant_id: &str, call: Call) -> Actor {
        let id = self.record.id.to_string();
        let principal =
            Principal { kind: "trusted".into(), id: id.clone(), label: self.record.name.to_string() };
        let actor = Actor { key_id: Some(id), ..Actor::powerless(tenant_id, principal, call) };
        actor.with_secret(Some(self.generation))
    }
}

/// What a token will hold.
struct Grant {
    rights: RightSet,
    cut: bool,
    kind: &'static str,
}

/// A token that was given, with all that may be told of it.
pub(crate) struct Minted {
    pub(crate) token: Zeroizing<String>,
    pub(crate) claims: Claims,
    pub(crate) user: Arc<UserRecord>,
    grant: Grant,
    ttl_seconds: i64,
    ttl_cut: bool,
    user_created: bool,
}

impl Minted {
    /// As `/v1/trusted/tokens` answers.
    pub(crate) fn created(&self) -> TokenCreated<'_> {
        TokenCreated {
            token: &self.token,
            token_type: "Bearer",
            token_id: &self.claims.jti,
            kind: self.grant.kind,
            expires_at: rfc3339(self.claims.exp * 1000),
            ttl_seconds: self.ttl_seconds,
            ttl_cut: self.ttl_cut,
            user_id: &self.claims.sub,
            username: &self.user.username,
            user_created: self.user_created,
            tenant_id: &self.claims.tenant,
            rights: &self.grant.rights,
            rights_cut: self.grant.cut,
            audience: &self.claims.aud.0,
        }
    }
}

/// What has to be done about the user of a token before it is handed out.
enum Errand {
    Create(Prospect),
    Update(Box<Renewal>),
}

/// Makes a token for a user of this tenant. Whom two requests make at once is there for the second one.
pub(crate) async fn mint(
    app: &Arc<App>,
    backend: &Backend,
    tenant: &TenantRecord,
    input: &TokenIn,
    call: Call,
) -> Result<Minted> {
    if let Some(minted) = attempt(app, backend, tenant, input, call.clone()).await? {
        return Ok(minted);
    }
    let minted = Box::pin(attempt(app, backend, tenant, input, call)).await?;
    minted.ok_or_else(|| Error::conflict("already_exists", "this user name is already taken"))
}

/// One round; nothing if another request made the user meanwhile.
async fn attempt(
    app: &Arc<App>,
    backend: &Backend,
    tenant: &TenantRecord,
    input: &TokenIn,
    call: Call,
) -> Result<Option<Minted>> {
    let (user, errand) = whom(app, backend, tenant, input).await?;
    check_subject(backend, tenant, &user)?;
    let grant = grant(&backend.record.ceiling, tenant, &user, input)?;
    let ttl = ttl(backend, tenant, input.ttl_seconds, app.clock.unix_ms())?;
    app.verifier.confirm_signing_keys().await?;
    let user_created = matches!(errand, Some(Errand::Create(_)));
    let minted = sign(app, backend, (tenant, user.clone()), (grant, ttl), user_created, input)?;
    if let Some(seconds) = app.minting.subjects.spend(&backend.record, user.id, app.clock.now()) {
        app.minting.firsts.note(backend, First::spike(app.clock.unix_ms()), || call.clone());
        return Err(Error::RateLimited(seconds));
    }
    // Nothing refuses from here on: a user is made for a token that is given (IMP-5).
    if let Some(errand) = errand {
        let actor = backend.actor(&tenant.id.to_string(), call.clone());
        match errand {
            Errand::Create(prospect) => {
                if !Box::pin(subject::create(app, backend, actor, prospect)).await? {
                    return Ok(None);
                }
            }
            Errand::Update(renewal) => Box::pin(provisioning::update(app, backend, actor, *renewal)).await?,
        }
    }
    app.metrics.minted.inc();
    note_firsts(app, backend, (tenant, &user), &call);
    let by = backend.record.id.to_string();
    app.mints.note(tenant.id, (by, Subject::User(user.id)), app.clock.monotonic_ms(), || {
        backend.actor(&tenant.id.to_string(), call)
    });
    Ok(Some(minted))
}

/// The user as they will be once the token is given, and what makes them so.
async fn whom(
    app: &Arc<App>,
    backend: &Backend,
    tenant: &TenantRecord,
    input: &TokenIn,
) -> Result<(Arc<UserRecord>, Option<Errand>)> {
    let found = subject::find(app, tenant.id, input).await?;
    match found {
        Some(user) if input.auto_create && input.provision.update => {
            let renewal = Box::pin(provisioning::renewal(app, backend, tenant, input, &user)).await?;
            Ok(match renewal {
                Some(renewal) => (renewal.record.clone(), Some(Errand::Update(Box::new(renewal)))),
                None => (user, None),
            })
        }
        Some(user) => Ok((user, None)),
        None if input.auto_create && backend.record.ceiling.create_users => {
            let groups = Box::pin(provisioning::groups(app, tenant, input)).await?;
            let prospect = subject::prospect(app, backend, tenant, input, groups)?;
            Ok((prospect.record.clone(), Some(Errand::Create(prospect))))
        }
        None => Err(Error::NotFound),
    }
}

/// What may be new about a token that was given (IMP-11).
fn note_firsts(app: &App, backend: &Backend, (tenant, user): (&TenantRecord, &UserRecord), call: &Call) {
    let firsts = &app.minting.firsts;
    if let Some(address) = call.address {
        firsts.note(backend, First::network(address), || call.clone());
    }
    if backend.record.ceiling.admins && administers(&tenant.rights_of(&user.grant)) {
        firsts.note(backend, First::Privileged(user.id), || call.clone());
    }
}

/// Whether a token may be asked for of this user, by this secret, now.
fn check_subject(backend: &Backend, tenant: &TenantRecord, user: &UserRecord) -> Result<()> {
    let refuse = |code, detail: &str| Err(Error::forbidden(code, detail));
    if tenant.tenant.suspended || user.owner.state != OwnerState::Active {
        return refuse("subject_not_active", "the user or the tenant is suspended");
    }
    if !user.trusted_tokens {
        return refuse("minting_forbidden", "an administrator has forbidden tokens of this user");
    }
    backend.record.ceiling.check_user(tenant, user)
}

/// The user's rights ∩ the ceiling ∩ what was asked for.
fn grant(ceiling: &Ceiling, tenant: &TenantRecord, user: &UserRecord, input: &TokenIn) -> Result<Grant> {
    let live = tenant.rights_of(&user.grant);
    let (mut rights, mut cut) = ceiling.bound(live)?;
    for wanted in [asked_rights(input)?, asked_objects(input)?].into_iter().flatten() {
        cut |= !rights.covers_all(&wanted) && input.rights.is_some();
        rights = rights.intersect(&wanted);
        if rights.is_empty() {
            let detail = "the user holds nothing of what was asked for below the ceiling";
            return Err(Error::forbidden("insufficient_rights", detail));
        }
    }
    let kind = match (&input.rights, &input.claims, &input.objects) {
        (None, None, None) => "full",
        (None, None, Some(_)) => "object",
        _ => "custom",
    };
    Ok(Grant { rights, cut, kind })
}

fn asked_rights(input: &TokenIn) -> Result<Option<RightSet>> {
    input.rights.as_deref().map(|texts| rules::rights("/rights", texts)).transpose()
}

/// Objects as the rights to do anything about them.
fn asked_objects(input: &TokenIn) -> Result<Option<RightSet>> {
    let Some(objects) = &input.objects else { return Ok(None) };
    let mut texts = Vec::with_capacity(objects.len());
    for (place, object) in objects.iter().enumerate() {
        object
            .parse::<Resource>()
            .map_err(|why| Error::invalid(&format!("/objects/{place}"), "bad_resource", why.to_string()))?;
        texts.push(format!("{object}:*"));
    }
    rules::rights("/objects", &texts).map(Some)
}

/// The validity, and whether it is shorter than was wished (IMP-4): no token outlives the generation of the
/// secret that it was asked for with.
fn ttl(backend: &Backend, tenant: &TenantRecord, wish: Option<i64>, now: i64) -> Result<(i64, bool)> {
    let record = &backend.record;
    let most = i64::from(record.ceiling.max_ttl_seconds.min(tenant.tenant.policy.token_max_ttl_seconds));
    let retires = record.retirement(backend.generation).flatten();
    let left = retires.map(|at| (at.div_euclid(1000) - now.div_euclid(1000)).max(1));
    let most = left.map_or(most, |left| left.min(most));
    match wish {
        Some(wish) if wish < 1 => Err(Error::invalid("/ttl_seconds", "out_of_range", "must be 1 or more")),
        Some(wish) => Ok((wish.min(most), wish > most)),
        None => Ok((DEFAULT_TTL.min(most), false)),
    }
}

fn sign(
    app: &App,
    backend: &Backend,
    (tenant, user): (&TenantRecord, Arc<UserRecord>),
    (grant, (ttl_seconds, ttl_cut)): (Grant, (i64, bool)),
    user_created: bool,
    input: &TokenIn,
) -> Result<Minted> {
    let now = app.clock.unix_ms();
    let id: TokenId = random::new_id(now);
    let client_id = backend.record.id.to_string();
    let iat = now.div_euclid(1000);
    let claims = Claims {
        iss: app.verifier.issuer().into(),
        sub: user.id.to_string(),
        aud: Audience(audience(app, &backend.record.ceiling, input)?),
        act: Some(jwt::Actor { sub: client_id.clone(), act: None }),
        client_id,
        iat,
        exp: iat + ttl_seconds,
        jti: id.to_string(),
        tenant: tenant.id.to_string(),
        scope: grant.rights.to_string(),
        username: Some(user.username.to_string()),
        may_act: None,
        root: None,
        via: Vec::new(),
        parents: Vec::new(),
        budget: None,
        origin: Origin { access_key: backend.record.access_key, generation: backend.generation },
        epoch: user.token_epoch,
        ext: extra(input)?,
    };
    let token = Zeroizing::new(app.verifier.sign(&claims, now)?);
    Ok(Minted { token, claims, user, grant, ttl_seconds, ttl_cut, user_created })
}

fn audience(app: &App, ceiling: &Ceiling, input: &TokenIn) -> Result<Vec<String>> {
    let Some(wanted) = &input.audience else {
        let bound = ceiling.audiences.clone();
        return Ok(if bound.is_empty() { vec![app.verifier.issuer().into()] } else { bound });
    };
    let good = (1..=MAX_AUDIENCES).contains(&wanted.len()) && wanted.iter().all(|text| is_plain(text));
    if !good {
        let detail = format!("1 to {MAX_AUDIENCES} texts of 1 to 200 visible ASCII characters");
        return Err(Error::invalid("/audience", "bad_value", detail));
    }
    if !wanted.iter().all(|text| ceiling.allows_audience(text)) {
        let detail = "the ceiling of the trusted secret does not hold this audience";
        return Err(Error::forbidden("above_ceiling", detail));
    }
    Ok(wanted.clone())
}

fn extra(input: &TokenIn) -> Result<Map<String, Value>> {
    let Some(claims) = &input.claims else { return Ok(Map::new()) };
    let bytes = serde_json::to_vec(claims).map_err(Error::internal)?.len();
    if claims.len() > MAX_CLAIMS || bytes > MAX_CLAIM_BYTES {
        let detail = format!("at most {MAX_CLAIMS} claims of {MAX_CLAIM_BYTES} bytes together");
        return Err(Error::invalid("/claims", "too_large", detail));
    }
    Ok(claims.clone())
}
