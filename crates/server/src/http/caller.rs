//! Who calls: from request headers to a credential, from a credential to an actor.

mod address;
mod behind;

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use http::header::{AUTHORIZATION, USER_AGENT};
use keyward_core::decide::{Code, Decision, Request};
use keyward_core::right::RightSet;
use zeroize::Zeroizing;

pub(crate) use self::address::{client_address, client_behind};
use super::cookie;
use super::dispatch::Origin;
use crate::app::{Actor, App, Call, Principal, SessionRef};
use crate::config::ServerSettings;
use crate::error::{Error, Result};
use crate::failures;
use crate::oauth::Holder;
use crate::store::tenants;
use crate::verify::facts::{Effective, TenantRecord};
use crate::verify::sessions::SessionRecord;
use crate::verify::tokens::FoundToken;
use crate::verify::usage::Sighting;
use crate::verify::{Ask, Found, Presented};

/// The tenant that an operator wants to act in.
pub(crate) const TENANT: &str = "x-keyward-tenant";
/// Characters of an agent that are kept.
pub(crate) const MAX_AGENT: usize = 200;

/// A credential in the headers. What had to be decoded is wiped when dropped.
pub(crate) enum Credential<'h> {
    /// Bearer, or the configured header.
    Secret(&'h str),
    /// Basic, decoded: access key and secret with a colon between them, whose place is given.
    Pair(Zeroizing<String>, usize),
    /// `apiKey`: tenant, access key and secret.
    Triple(&'h str, &'h str, &'h str),
    /// The cookie of a session.
    Cookie(&'h str),
}

impl Credential<'_> {
    /// As the verify path takes it.
    pub(crate) fn presented(&self) -> Presented<'_> {
        match self {
            Self::Secret(secret) => Presented::Secret(secret),
            Self::Pair(text, colon) => Presented::Pair(&text[..*colon], &text[colon + 1..]),
            Self::Triple(tenant, access_key, secret) => Presented::Triple(tenant, access_key, secret),
            Self::Cookie(token) => Presented::Cookie(token),
        }
    }
}

/// The one credential of a request (KEY-12).
///
/// # Errors
/// 401 when there is none, 400 when there is more than one, `invalid_key` for what cannot be read.
pub(crate) fn credential<'h>(
    headers: &'h HeaderMap,
    key_header: &http::HeaderName,
) -> Result<Credential<'h>> {
    let mut sent = headers.get_all(AUTHORIZATION).iter().chain(headers.get_all(key_header));
    let Some(first) = sent.next() else { return Err(Error::Unauthenticated("no_credential")) };
    if sent.next().is_some() {
        return Err(multiple());
    }
    let text = first.to_str().map_err(|_| Error::Unauthenticated("invalid_key"))?;
    if headers.contains_key(key_header) {
        return Ok(Credential::Secret(text));
    }
    from_authorization(text).ok_or(Error::Unauthenticated("invalid_key"))
}

/// The same, or else the cookie of a session. Browsers send that along unasked, so a header goes first.
///
/// # Errors
/// As [`credential`].
pub(crate) fn credential_or_cookie<'h>(
    headers: &'h HeaderMap,
    server: &ServerSettings,
) -> Result<Credential<'h>> {
    match credential(headers, &server.api_key_header) {
        Err(Error::Unauthenticated("no_credential")) => cookie::token(headers, server)?
            .map(Credential::Cookie)
            .ok_or(Error::Unauthenticated("no_credential")),
        found => found,
    }
}

/// More than one credential in a request.
pub(super) fn multiple() -> Error {
    let detail = "send one credential, once".into();
    Error::Http { status: 400, code: "multiple_credentials", detail }
}

fn from_authorization(text: &str) -> Option<Credential<'_>> {
    let (scheme, rest) = text.split_once(' ')?;
    let rest = rest.trim();
    if scheme.eq_ignore_ascii_case("basic") {
        let decoded = Zeroizing::new(STANDARD.decode(rest).ok()?);
        let text = Zeroizing::new(std::str::from_utf8(&decoded).ok()?.to_owned());
        let colon = text.find(':')?;
        return Some(Credential::Pair(text, colon));
    }
    let bearer = scheme.eq_ignore_ascii_case("bearer");
    if bearer && !rest.contains("::") {
        return Some(Credential::Secret(rest));
    }
    if bearer || scheme.eq_ignore_ascii_case("apikey") {
        let mut parts = rest.splitn(3, "::");
        return Some(Credential::Triple(parts.next()?, parts.next()?, parts.next()?));
    }
    None
}

/// Where a request comes from, for the record.
pub(crate) fn call(headers: &HeaderMap, origin: &Origin<'_>) -> Call {
    Call {
        request_id: origin.request_id().to_owned(),
        address: origin.address(headers),
        agent: agent(headers).map(Into::into),
        by_itself: false,
    }
}

/// What the client calls itself, cut to a length and cleaned of what could forge a line.
pub(crate) fn agent(headers: &HeaderMap) -> Option<&str> {
    let text = headers.get(USER_AGENT)?.to_str().ok()?;
    text.get(..text.len().min(MAX_AGENT))
}

/// Authenticates a caller of the management API and says what it may do.
///
/// # Errors
/// As [`credential_or_cookie`], [`identify`] and [`actor`].
pub(crate) async fn authenticate(app: &App, headers: &HeaderMap, call: Call) -> Result<Actor> {
    let credential = credential_or_cookie(headers, &app.settings.server)?;
    let sighting = Sighting { address: call.address, agent: call.agent.as_deref() };
    let presented = match credential.presented() {
        Presented::Cookie(token) if call.by_itself => Presented::Poll(token),
        presented => presented,
    };
    let identity = judge(app, presented, sighting, || call.clone()).await?;
    actor(app, headers, identity, call).await
}

/// Whose credential came.
pub(crate) struct Identity {
    who: Who,
    /// That of the secret that was presented.
    pub(crate) generation: Option<u32>,
    /// When what was presented ends by itself, Unix milliseconds.
    expires_at: Option<i64>,
    /// Changes up to this one are in the facts.
    as_of: i64,
    /// A session that is good for adding a second factor only.
    enrolment_only: bool,
}

impl Identity {
    /// It as an actor in its own tenant.
    pub(crate) fn actor(&self, call: Call) -> Actor {
        let mut actor = match &self.who {
            Who::Key(found) => actor_of(found, call, self.as_of).with_secret(self.generation),
            Who::Token(found) => token_actor(found, call, self.as_of),
        };
        if let Some(session) = actor.session.as_mut().filter(|_| self.enrolment_only) {
            session.enrolment_only = true;
            actor.rights = Arc::default();
        }
        actor
    }

    /// Refuses a session that is good for adding a second factor only.
    fn must_be_whole(self, app: &App, call: impl FnOnce() -> Call) -> Result<Self> {
        if !self.enrolment_only {
            return Ok(self);
        }
        Err(refusal(app, Code::SecondFactorMissing, 0, Some(&self), &call()))
    }

    /// What it may do in its own tenant.
    pub(crate) fn effective(&self) -> &Effective {
        match &self.who {
            Who::Key(found) => &found.effective,
            Who::Token(found) => &found.effective,
        }
    }

    /// Its own tenant.
    pub(crate) fn tenant(&self) -> &TenantRecord {
        match &self.who {
            Who::Key(found) => &found.tenant,
            Who::Token(found) => &found.tenant,
        }
    }

    /// Whether it is an access token.
    pub(crate) fn is_token(&self) -> bool {
        matches!(self.who, Who::Token(_))
    }

    /// It as a client that tokens can be made for: a key, or the key that opened the session. The tokens end
    /// no later than what was presented.
    pub(crate) fn holder(&self, call: Call) -> Option<Holder> {
        let Who::Key(found) = &self.who else { return None };
        let (access_key, key) = found.key.clone()?;
        let found = Found { session: None, ..found.clone() };
        let (expires_at, as_of) = (self.expires_at, self.as_of);
        Some(Holder { found, access_key, key, generation: self.generation?, expires_at, as_of, call })
    }

    /// Why it may not call this server at all. What a token may do here says the guard (IMP-2).
    fn barred(&self, issuer: &str) -> Option<Error> {
        match &self.who {
            Who::Key(found) if found.may_manage() => None,
            Who::Key(_) => Some(Error::forbidden("wrong_class", super::problems::detail("wrong_class"))),
            Who::Token(found) if found.checked.claims.aud.holds(issuer) => None,
            Who::Token(_) => Some(Error::Unauthenticated("wrong_audience")),
        }
    }
}

/// A key, a session or an access token.
enum Who {
    /// A session too: its facts hold all that those of a key do.
    Key(Found),
    Token(Box<FoundToken>),
}

/// Finds out whose credential the headers carry.
///
/// # Errors
/// 401 with what the presenter may know, 403 for classes that never manage, 503 when facts cannot
/// be read.
pub(crate) async fn identify(
    app: &App,
    headers: &HeaderMap,
    address: Option<IpAddr>,
    call: impl Fn() -> Call,
) -> Result<Identity> {
    let credential = credential(headers, &app.settings.server.api_key_header)?;
    let sighting = Sighting { address, agent: agent(headers) };
    judge(app, credential.presented(), sighting, &call).await?.must_be_whole(app, call)
}

/// The same for a credential that was found already.
pub(crate) async fn identify_presented(app: &App, presented: Presented<'_>, call: &Call) -> Result<Identity> {
    let sighting = Sighting { address: call.address, agent: call.agent.as_deref() };
    judge(app, presented, sighting, || call.clone()).await?.must_be_whole(app, || call.clone())
}

async fn judge(
    app: &App,
    presented: Presented<'_>,
    sighting: Sighting<'_>,
    call: impl Fn() -> Call,
) -> Result<Identity> {
    let as_of = app.verifier.cache.health.applied_seq.load(Ordering::Acquire);
    let request = Request { address: sighting.address, cost: 1, ..Request::default() };
    let ask = Ask { presented, request, sighting, tenant: None, now: app.clock.now() };
    let verified = app.verifier.verify(&ask).await?;
    let generation = verified.secret.map(|secret| secret.generation);
    let who = verified.found.map(Who::Key).or(verified.token.map(Who::Token));
    let known = who.map(|who| Identity { who, generation, expires_at: None, as_of, enrolment_only: false });
    match (verified.decision, known) {
        // Nothing else stands against it. What it is good for says the guard.
        (Decision::Deny { code: Code::SecondFactorMissing, .. }, Some(known)) => {
            Ok(Identity { enrolment_only: true, ..known })
        }
        (Decision::Deny { code, retry_after_seconds }, known) => {
            Err(refusal(app, code, retry_after_seconds, known.as_ref(), &call()))
        }
        (Decision::Allow { .. }, None) => Err(Error::internal("allowed without facts")),
        (Decision::Allow { expires_at, .. }, Some(known)) => match known.barred(app.verifier.issuer()) {
            None => Ok(Identity { expires_at, ..known }),
            Some(error) => {
                app.refusals.note(&known.actor(call()), "auth.refused", super::problem::code(&error));
                Err(error)
            }
        },
    }
}

/// How a refused caller is told, and what is noted about it.
fn refusal(app: &App, code: Code, retry_after: u64, known: Option<&Identity>, call: &Call) -> Error {
    app.metrics.refused_callers.inc();
    if let Some(known) = known {
        app.refusals.note(&known.actor(call.clone()), "auth.refused", code.as_str());
    } else if let Some(seconds) = failures::note(app, None, "management", call.address) {
        return Error::RateLimited(seconds);
    }
    match code {
        Code::RateLimited | Code::CreditsExhausted => Error::RateLimited(retry_after.max(1)),
        Code::AddressDenied
        | Code::SecondFactorMissing
        | Code::InsufficientRights
        | Code::ConditionFailed => Error::forbidden(code.as_str(), super::problems::detail(code.as_str())),
        code => Error::Unauthenticated(code.public()),
    }
}

/// The actor behind a credential, in the tenant that is asked for.
///
/// # Errors
/// 404 for a tenant that the caller may not enter.
pub(crate) async fn actor(app: &App, headers: &HeaderMap, identity: Identity, call: Call) -> Result<Actor> {
    let own = identity.actor(call);
    let Some(wanted) = headers.get(TENANT) else { return Ok(own) };
    let wanted = wanted.to_str().map_err(|_| Error::NotFound)?;
    enter(app, own, &identity.tenant().slug, wanted).await
}

/// The actor in the tenant that the header names: its own, or any that an operator may enter
/// (AZ-3: the header alone is never trusted).
pub(crate) async fn enter(app: &App, own: Actor, slug: &str, wanted: &str) -> Result<Actor> {
    if wanted == own.tenant_id || wanted == slug {
        return Ok(own);
    }
    if own.by_token || !own.may("instance/tenants:enter") {
        return Err(Error::NotFound);
    }
    let mut conn = app.read().await?;
    let row = match tenants::find(&mut conn, wanted).await? {
        Some(row) => Some(row),
        None => tenants::find_by_slug(&mut conn, wanted).await?,
    };
    let tenant_id = row.ok_or(Error::NotFound)?.id;
    let everything = RightSet::everything();
    let rights = own.rights.iter().chain(everything.iter()).cloned().collect();
    Ok(Actor { tenant_id, rights: Arc::new(rights), visiting: true, ..own })
}

/// Who a credential that was found speaks for.
pub(crate) fn actor_of(found: &Found, call: Call, as_of: i64) -> Actor {
    let principal = match (&found.owner, found.key()) {
        (Some(owner), _) => {
            Principal { kind: "user".into(), id: owner.id.to_string(), label: owner.username.to_string() }
        }
        (None, key) => Principal {
            kind: "workspace".into(),
            id: key.map(|key| key.id.to_string()).unwrap_or_default(),
            label: key.map(|key| key.label.to_string()).unwrap_or_default(),
        },
    };
    Actor {
        tenant_id: found.tenant.id.to_string(),
        principal,
        key_id: found.key().map(|key| key.id.to_string()),
        secret_generation: None,
        access_key: found.key.as_ref().map(|(access_key, _)| *access_key),
        session: found.session.as_ref().map(|session| session_of(found, session)),
        rights: Arc::new(found.effective.rights.clone()),
        visiting: false,
        by_token: false,
        as_of,
        call,
        validate_only: false,
        idempotency: None,
        if_match: None,
    }
}

fn session_of(found: &Found, session: &SessionRecord) -> SessionRef {
    let (idle_at, ends_at) = session.ends(&found.tenant, found.effective.is_admin);
    SessionRef {
        id: session.id.to_string(),
        handle: session.handle,
        method: session.method,
        in_cookie: session.in_cookie,
        enrolment_only: false,
        stepped_up_at: session.stepped_up_at,
        idle_at,
        ends_at,
    }
}

/// Whom a token speaks for, with what asked for it in the place of the key (IMP-3).
fn token_actor(found: &FoundToken, call: Call, as_of: i64) -> Actor {
    let claims = &found.checked.claims;
    let kind = if found.owner.is_some() { "user" } else { "workspace" };
    let label = claims.username.clone().unwrap_or_default();
    let principal = Principal { kind: kind.into(), id: claims.sub.clone(), label };
    Actor {
        key_id: Some(found.origin.id()),
        rights: Arc::new(found.effective.rights.clone()),
        by_token: true,
        as_of,
        ..Actor::powerless(&claims.tenant, principal, call)
    }
    .with_secret(Some(claims.origin.generation))
}
