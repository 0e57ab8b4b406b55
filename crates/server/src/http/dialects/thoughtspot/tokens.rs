//! `/auth/token/…`: asking for tokens, ending them, looking at them (TS8).

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use http::{HeaderMap, Method};
use keyward_core::decide::{Code, Decision};
use keyward_core::jwt::Compact;
use serde::Deserialize;
use serde_json::json;

use super::grants::{self, Access, Given, Scope, TokenRequest};
use super::{JSON, answer, nothing};
use crate::app::{Actor, App, Call};
use crate::error::{Error, Result};
use crate::failures;
use crate::http::caller;
use crate::http::dialects::body::Whole;
use crate::http::dialects::door::{self, JSESSIONID};
use crate::http::dialects::noted;
use crate::http::problem::Problem;
use crate::names::{Username, is_same};
use crate::sessions;
use crate::store::users;
use crate::tokens::{self, EndTokensIn};
use crate::verify::tokens::FoundToken;
use crate::verify::{Found, Verified};

/// What a token is ended by.
const REVOKE: &str = "tokens:revoke";
/// What the sessions of a user are ended by.
const END_SESSIONS: &str = "users:write";

/// `POST /auth/token/full`.
pub(super) async fn full(
    State(app): State<Arc<App>>,
    Extension(call): Extension<Call>,
    headers: HeaderMap,
    body: Whole,
) -> Result<Response, Problem> {
    let ask: TokenRequest = body.json(&headers, JSON)?;
    Ok(token(grants::give(&app, (&headers, call), ask, Access::Full).await?))
}

/// `POST /auth/token/object`.
pub(super) async fn object(
    State(app): State<Arc<App>>,
    Extension(call): Extension<Call>,
    headers: HeaderMap,
    body: Whole,
) -> Result<Response, Problem> {
    let ask: TokenRequest = body.json(&headers, JSON)?;
    Ok(token(grants::give(&app, (&headers, call), ask, Access::Object).await?))
}

/// `POST /auth/token/custom`.
pub(super) async fn custom(
    State(app): State<Arc<App>>,
    Extension(call): Extension<Call>,
    headers: HeaderMap,
    body: Whole,
) -> Result<Response, Problem> {
    let ask: TokenRequest = body.json(&headers, JSON)?;
    let given = grants::give(&app, (&headers, call), ask, Access::Custom).await?;
    Ok(answer(&json!({
        "id": given.id,
        "token": given.token.as_str(),
        "org": given.org,
        "user": { "id": given.user_id, "name": given.username },
        "creation_time_in_millis": given.created_at,
        "expiration_time_in_millis": given.ends_at,
    })))
}

fn token(given: Given) -> Response {
    answer(&json!({
        "token": given.token.as_str(),
        "creation_time_in_millis": given.created_at,
        "expiration_time_in_millis": given.ends_at,
        "scope": Scope::new(given.org.id, given.object),
        "valid_for_user_id": given.user_id,
        "valid_for_username": given.username,
    }))
}

/// Which token to end; the caller's own unless told.
#[derive(Default, Deserialize)]
#[serde(default)]
struct RevokeRequest {
    user_identifier: Option<String>,
    token: Option<String>,
}

/// `POST /auth/token/revoke`.
pub(super) async fn revoke(
    State(app): State<Arc<App>>,
    Extension(call): Extension<Call>,
    method: Method,
    headers: HeaderMap,
    body: Whole,
) -> Result<Response, Problem> {
    let place = (&method, &headers);
    let actor = door::enter(&app, place, JSESSIONID, &call).await?;
    let ask: RevokeRequest = body.json(&headers, JSON)?;
    let own = door::token(&app, place, JSESSIONID)?.unwrap_or_default();
    noted(&app, &actor, "revoke_token", end(&app, &actor, own, ask).await)?;
    Ok(nothing())
}

async fn end(app: &App, actor: &Actor, own: &str, ask: RevokeRequest) -> Result<()> {
    let given = |field: Option<String>| field.filter(|text| !text.trim().is_empty());
    match (given(ask.token), given(ask.user_identifier)) {
        (Some(token), _) if token.trim() != own => end_other(app, actor, token.trim()).await,
        (None, Some(user)) if !is_own_name(actor, user.trim()) => end_all_of(app, actor, user.trim()).await,
        _ => {
            if end_own(app, actor, own).await? {
                return Ok(());
            }
            let detail = "a key is no token: it is revoked where keys are managed";
            Err(Error::forbidden("not_a_session", detail))
        }
    }
}

/// Ends the token or session that was presented; false for a key, which neither is.
pub(super) async fn end_own(app: &App, actor: &Actor, token: &str) -> Result<bool> {
    if actor.by_token {
        tokens::revoke_own(app, actor, token).await?;
    } else if actor.session.is_some() {
        sessions::log_out(app, actor).await?;
    }
    Ok(actor.by_token || actor.session.is_some())
}

/// Ends another token of the same user, or as an administrator anybody's: an operator enters the tenant of the
/// token for it.
async fn end_other(app: &App, actor: &Actor, token: &str) -> Result<()> {
    must_not_be_token(actor)?;
    if Compact::parse(token).is_none() {
        return end_session(app, actor, token).await;
    }
    let checked = app.verifier.read_token(token).await?;
    let ended = if checked.as_ref().is_some_and(|checked| actor.user_id() == Some(&*checked.claims.sub)) {
        tokens::revoke_own(app, actor, token).await?
    } else {
        must_hold(actor, REVOKE)?;
        let place = checked.ok_or_else(no_token)?.tenant.to_string();
        let actor = in_tenant(app, actor, &place).await?;
        tokens::revoke(app, &actor, EndTokensIn { token: Some(token.into()), user_id: None }).await?
    };
    // Whoever is told that a token is over stops to look for it.
    if ended.revoked { Ok(()) } else { Err(no_token()) }
}

async fn end_session(app: &App, actor: &Actor, token: &str) -> Result<()> {
    if !door::is_ours(token) {
        return Err(no_token());
    }
    let found = ask_about(app, actor, token).await?.found.filter(|found| found.session.is_some());
    let place = found.ok_or_else(no_token)?.tenant.id.to_string();
    let actor = in_tenant(app, actor, &place).await?;
    let ended = sessions::end_presented(app, &actor, token).await;
    ended.map_err(|error| if matches!(error, Error::NotFound) { no_token() } else { error })
}

/// The actor where a token is of: at home, or where an operator may enter. To others it is none.
async fn in_tenant(app: &App, actor: &Actor, tenant: &str) -> Result<Actor> {
    let entered = caller::enter(app, actor.clone(), "", tenant).await;
    entered.map_err(|error| if matches!(error, Error::NotFound) { no_token() } else { error })
}

/// Ends all tokens and sessions of a user: with either left, who holds it would go on.
async fn end_all_of(app: &App, actor: &Actor, user: &str) -> Result<()> {
    must_not_be_token(actor)?;
    must_hold(actor, REVOKE)?;
    must_hold(actor, END_SESSIONS)?;
    let id = match user.parse::<keyward_core::id::UserId>() {
        Ok(id) => id.to_string(),
        Err(_) => {
            let key = Username::parse_any(user)?.key;
            let found = users::find_id(&mut app.read().await?, &actor.tenant_id, &key).await?;
            found.ok_or_else(no_user)?
        }
    };
    let told = |error: Error| if matches!(error, Error::NotFound) { no_user() } else { error };
    let all = EndTokensIn { token: None, user_id: Some(id.clone()) };
    tokens::revoke(app, actor, all).await.map_err(told)?;
    sessions::end_of(app, actor, &id).await.map_err(told)
}

fn no_token() -> Error {
    Error::malformed("/token", "invalid_token", "the token is none, or over")
}

fn no_user() -> Error {
    Error::malformed("/user_identifier", "not_found", "there is no such user")
}

fn is_own_name(actor: &Actor, user: &str) -> bool {
    user == actor.principal.id || is_same(user, &actor.principal.label)
}

/// A token ends itself and nothing else (IMP-2).
fn must_not_be_token(actor: &Actor) -> Result<()> {
    if !actor.by_token {
        return Ok(());
    }
    Err(Error::forbidden("token_cannot_manage", "a token ends itself and no other one"))
}

fn must_hold(actor: &Actor, right: &str) -> Result<()> {
    if actor.may(right) {
        return Ok(());
    }
    Err(Error::forbidden("insufficient_rights", format!("tokens of others need the right {right}")))
}

/// The token to look at.
#[derive(Default, Deserialize)]
#[serde(default)]
struct ValidateRequest {
    token: Option<String>,
}

/// `POST /auth/token/validate`.
pub(super) async fn validate(
    State(app): State<Arc<App>>,
    Extension(call): Extension<Call>,
    method: Method,
    headers: HeaderMap,
    body: Whole,
) -> Result<Response, Problem> {
    let actor = door::enter(&app, (&method, &headers), JSESSIONID, &call).await?;
    let ask: ValidateRequest = body.json(&headers, JSON)?;
    let token = ask.token.unwrap_or_default();
    let seen = look_at(&app, &actor, token.trim()).await?;
    let seen = seen.ok_or_else(no_token)?;
    Ok(answer(&json!({
        "creation_time_in_millis": seen.created_at,
        "expiration_time_in_millis": seen.ends_at,
        "scope": seen.scope,
        "valid_for_user_id": seen.user_id,
        "valid_for_username": seen.username,
        "token_type": "BEARER",
    })))
}

/// What is told of a token that is good.
struct Seen {
    created_at: i64,
    ends_at: i64,
    scope: Scope,
    user_id: String,
    username: Option<String>,
}

/// No key can be tried here.
async fn look_at(app: &App, actor: &Actor, token: &str) -> Result<Option<Seen>> {
    if !door::is_ours(token) {
        return Ok(None);
    }
    let verified = ask_about(app, actor, token).await?;
    // The true end: that of what stands behind it too.
    let Decision::Allow { expires_at: Some(end), .. } = verified.decision else { return Ok(None) };
    let of_token = verified.token.as_deref().map(|found| of_token(found, end));
    Ok(of_token.or_else(|| verified.found.as_ref().and_then(|found| of_found(found, end))))
}

/// What the verifier says of a token that somebody else holds, who has not used it by that. Those of other
/// tenants exist for operators alone (AZ-3); guesses are counted.
async fn ask_about(app: &App, actor: &Actor, token: &str) -> Result<Verified> {
    let home = actor.tenant_id.parse().map_err(Error::internal)?;
    let everywhere = !actor.by_token && actor.may("instance/tenants:enter");
    let mut verified = app.verifier.look_at(token, (!everywhere).then_some(home)).await?;
    failures::throttle(app, &mut verified, home, actor.call.address);
    match verified.decision {
        Decision::Deny { code: Code::RateLimited, retry_after_seconds } => {
            Err(Error::RateLimited(retry_after_seconds.max(1)))
        }
        _ => Ok(verified),
    }
}

fn of_token(found: &FoundToken, ends_at: i64) -> Seen {
    let claims = &found.checked.claims;
    let object = claims.ext.get("metadata_id").and_then(|object| object.as_str());
    Seen {
        created_at: claims.iat * 1000,
        ends_at,
        scope: Scope::new(found.tenant.number, object.map(Into::into)),
        user_id: claims.sub.clone(),
        username: claims.username.clone(),
    }
}

fn of_found(found: &Found, ends_at: i64) -> Option<Seen> {
    let session = found.session.as_deref()?;
    let owner = found.owner.as_ref();
    let key = || found.key.as_ref().map(|(key, _)| key.to_string());
    Some(Seen {
        created_at: session.started_at,
        ends_at,
        scope: Scope::new(found.tenant.number, None),
        user_id: owner.map(|owner| owner.id.to_string()).or_else(key)?,
        username: owner.map(|owner| owner.username.to_string()).or_else(key),
    })
}
