//! `POST /v1/verify`: the hot route (`api.md` 11). Always 200; `valid: false` is no HTTP error.

use std::net::IpAddr;

use bytes::Bytes;
use http::Request;
use hyper::body::Incoming;
use keyward_core::decide::{self, Code, Decision, Step};
use keyward_core::id::TenantId;
use keyward_core::key::KeyClass;
use keyward_core::right::Right;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::dispatch::{Origin, Reply, json_reply};
use super::limits::{self, LimitOut};
use super::{body, caller};
use crate::app::{Actor, App};
use crate::clock::rfc3339;
use crate::error::{Error, Result};
use crate::verify::usage::Sighting;
use crate::verify::{Ask, Found, Presented, Verified, may_manage};

/// Rights asked for in one verification, at most.
const MAX_RIGHTS: usize = 32;

/// What to verify.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct VerifyIn {
    /// The secret as it was presented.
    pub(crate) credential: Option<String>,
    /// Or the pair: the public half …
    pub(crate) access_key: Option<String>,
    /// … and the secret.
    pub(crate) secret: Option<String>,
    /// Rights that must all be held, as in `models/emea:read`.
    pub(crate) rights: Vec<String>,
    /// HTTP method of the request that the key came with.
    pub(crate) method: Option<String>,
    /// Its path, without query.
    pub(crate) path: Option<String>,
    /// The end client's address.
    #[schema(value_type = Option<String>)]
    pub(crate) client_ip: Option<IpAddr>,
    /// What the end client calls itself.
    pub(crate) user_agent: Option<String>,
    /// Units to spend from limits and credits; 1 unless given.
    pub(crate) cost: Option<u32>,
    /// Tell every check with its outcome; needs the right `verify:explain`.
    pub(crate) explain: bool,
}

/// The answer.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct VerifyOut<'a> {
    pub(crate) valid: bool,
    /// `ok`, or the reason.
    pub(crate) code: &'static str,
    pub(crate) key: Option<KeyRef<'a>>,
    pub(crate) principal: Option<PrincipalRef<'a>>,
    pub(crate) tenant: Option<TenantRef<'a>>,
    /// What the key may do; empty when it is not valid.
    #[schema(value_type = Vec<String>)]
    pub(crate) rights: Option<&'a RawValue>,
    pub(crate) expires_at: Option<String>,
    pub(crate) limits: Vec<LimitOut<'a>>,
    /// How long this answer may be kept.
    pub(crate) cache_ttl_seconds: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<Object>>)]
    pub(crate) explain: Option<Vec<Step>>,
}

/// The key behind the credential.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct KeyRef<'a> {
    #[schema(value_type = String)]
    pub(crate) id: keyward_core::id::KeyId,
    pub(crate) access_key: String,
    #[schema(value_type = String)]
    pub(crate) class: KeyClass,
    pub(crate) label: &'a str,
}

/// Who the credential speaks for.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PrincipalRef<'a> {
    /// `user` or `workspace`.
    pub(crate) kind: &'static str,
    pub(crate) id: String,
    pub(crate) username: Option<&'a str>,
}

/// The tenant of the key.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TenantRef<'a> {
    #[schema(value_type = String)]
    pub(crate) id: TenantId,
    pub(crate) slug: &'a str,
    pub(crate) number: i64,
}

/// Who may verify what: a caller with `verify:call`, keys of its own tenant; an operator, any.
#[derive(Clone, Copy)]
pub(crate) struct Reach {
    pub(crate) tenant: Option<TenantId>,
    pub(crate) may_explain: bool,
}

/// Answers `POST /v1/verify`.
pub(crate) async fn answer(app: &App, origin: &Origin<'_>, request: Request<Incoming>) -> Result<Reply> {
    if !app.set_up.load(std::sync::atomic::Ordering::Relaxed) && !app.is_set_up().await? {
        return Err(Error::NotSetUp);
    }
    let reach = reach(app, origin, &request).await?;
    let json = request.headers().get(http::header::CONTENT_TYPE).is_none_or(|kind| {
        kind.as_bytes().get(..16).is_some_and(|start| start.eq_ignore_ascii_case(b"application/json"))
    });
    if !json {
        return Err(Error::Http {
            status: 415,
            code: "unsupported_media_type",
            detail: "send the body as Content-Type: application/json".into(),
        });
    }
    let body = body::read_body(request.into_body(), &app.settings).await?;
    let input = read(&body)?;
    let mut out = Vec::with_capacity(512);
    verify_into(app, &input, reach, &mut out).await?;
    Ok(json_reply(out))
}

/// Fast where the body is as it should be; the strict reader finds the words for what is not.
fn read(body: &Bytes) -> Result<VerifyIn> {
    serde_json::from_slice(body).or_else(|_| super::json::parse(body))
}

/// Authenticates the caller by the same path, from memory in nearly every case.
async fn reach(app: &App, origin: &Origin<'_>, request: &Request<Incoming>) -> Result<Reach> {
    let headers = request.headers();
    let plain = !headers.contains_key("x-keyward-tenant");
    if plain && let Ok(credential) = caller::credential(headers, &app.settings.server.api_key_header) {
        let address = caller::client_address(headers, origin.peer, origin.trusted);
        let ask = Ask {
            presented: credential.presented(),
            request: decide::Request { address, cost: 1, ..decide::Request::default() },
            sighting: Sighting { address, agent: caller::agent(headers) },
            tenant: None,
        };
        let verified = app.verifier.verify(&ask).await?;
        if let (Decision::Allow { .. }, Some(found)) = (verified.decision, &verified.found)
            && may_manage(found.key.key.class)
        {
            let actor = || caller::actor_of(found, caller::call(headers, origin), 0);
            return reach_of(|right| found.effective.rights.covers(right), found.tenant.id, app, actor);
        }
    }
    // Everything else is told, noted and throttled where all callers are.
    let actor = caller::authenticate(app, headers, caller::call(headers, origin)).await?;
    let tenant = actor.tenant_id.parse().map_err(Error::internal)?;
    reach_of(|right| actor.rights.covers(right), tenant, app, || actor.clone())
}

fn reach_of(
    covers: impl Fn(&Right) -> bool,
    tenant: TenantId,
    app: &App,
    actor: impl Fn() -> Actor,
) -> Result<Reach> {
    let rights = &app.rights;
    if !covers(&rights.verify_call) {
        app.refusals.note(&actor(), "verify", "insufficient_rights");
        return Err(Error::forbidden("insufficient_rights", "this needs the right verify:call"));
    }
    let everywhere = covers(&rights.enter_tenants);
    Ok(Reach { tenant: (!everywhere).then_some(tenant), may_explain: covers(&rights.verify_explain) })
}

/// Verifies and writes the answer as JSON.
pub(crate) async fn verify_into(app: &App, input: &VerifyIn, reach: Reach, out: &mut Vec<u8>) -> Result<()> {
    let presented = match (&input.credential, &input.access_key, &input.secret) {
        (Some(credential), None, None) => Presented::Secret(credential),
        (None, Some(access_key), Some(secret)) => Presented::Pair(access_key, secret),
        _ => {
            return Err(Error::malformed(
                "/credential",
                "required",
                "give credential, or access_key and secret",
            ));
        }
    };
    if input.explain && !reach.may_explain {
        return Err(Error::forbidden("insufficient_rights", "explain needs the right verify:explain"));
    }
    let rights = rights(&input.rights)?;
    let method = input.method.as_deref().map(str::to_ascii_uppercase);
    let request = decide::Request {
        rights: &rights,
        method: method.as_deref(),
        path: input.path.as_deref(),
        address: input.client_ip,
        cost: input.cost.unwrap_or(1),
    };
    let sighting = Sighting { address: input.client_ip, agent: cut(input.user_agent.as_deref()) };
    let verified = app.verifier.verify(&Ask { presented, request, sighting, tenant: reach.tenant }).await?;
    app.metrics.verified(&verified.decision);
    let explain = match &verified.found {
        Some(found) if input.explain => Some(app.verifier.explain(found, verified.secret.as_ref(), &request)),
        _ => None,
    };
    serde_json::to_writer(out, &render(&verified, explain)).map_err(Error::internal)
}

fn cut(agent: Option<&str>) -> Option<&str> {
    agent.and_then(|agent| agent.get(..agent.len().min(200)))
}

fn rights(texts: &[String]) -> Result<Vec<Right>> {
    if texts.len() > MAX_RIGHTS {
        return Err(Error::invalid("/rights", "too_many", format!("at most {MAX_RIGHTS} rights")));
    }
    let read = |(place, text): (usize, &String)| {
        text.parse().map_err(|why: keyward_core::right::InvalidRight| {
            Error::invalid(&format!("/rights/{place}"), "bad_right", why.to_string())
        })
    };
    texts.iter().enumerate().map(read).collect()
}

fn render(verified: &Verified, explain: Option<Vec<Step>>) -> VerifyOut<'_> {
    let (code, expires_at, cache_ttl_seconds) = match verified.decision {
        Decision::Allow { expires_at, cache_seconds, .. } => ("ok", expires_at, cache_seconds),
        Decision::Deny { code, .. } => (code.public(), None, 0),
    };
    let valid = code == "ok";
    let found = verified.found.as_ref();
    VerifyOut {
        valid,
        code,
        key: found.map(key_ref),
        principal: found.map(principal),
        tenant: found.map(|found| TenantRef {
            id: found.tenant.id,
            slug: &found.tenant.slug,
            number: found.tenant.number,
        }),
        rights: Some(found.filter(|_| valid).map_or(nothing(), |found| &*found.effective.json)),
        expires_at: expires_at.map(rfc3339),
        limits: found.map(|found| limits::after(found, &verified.decision)).unwrap_or_default(),
        cache_ttl_seconds,
        explain,
    }
}

/// An empty JSON array.
fn nothing() -> &'static RawValue {
    serde_json::from_str("[]").expect("a constant is JSON")
}

fn key_ref(found: &Found) -> KeyRef<'_> {
    KeyRef {
        id: found.key.id,
        access_key: found.key.access_key.to_string(),
        class: found.key.key.class,
        label: &found.key.label,
    }
}

/// User or workspace.
pub(crate) fn principal(found: &Found) -> PrincipalRef<'_> {
    match &found.owner {
        Some(owner) => {
            PrincipalRef { kind: "user", id: owner.id.to_string(), username: Some(&owner.username) }
        }
        None => PrincipalRef { kind: "workspace", id: found.key.id.to_string(), username: None },
    }
}

/// The status that a gateway should answer a reason with.
pub(crate) fn status_of(code: Code) -> u16 {
    match code {
        Code::AddressDenied | Code::InsufficientRights | Code::ConditionFailed => 403,
        Code::RateLimited | Code::CreditsExhausted => 429,
        _ => 401,
    }
}
