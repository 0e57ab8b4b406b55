//! `/auth/session/…`: sessions in a cookie, and whose they are.

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use http::header::{HeaderValue, SET_COOKIE};
use http::{HeaderMap, Method};
use serde::Deserialize;
use serde_json::json;

use super::grants;
use super::orgs::{self, OrgName};
use super::people::Person;
use super::{JSON, answer, entered, nothing, tokens};
use crate::app::{App, Call};
use crate::error::{Error, Result};
use crate::http::caller::{self, Credential};
use crate::http::cookie::must_not_be_foreign;
use crate::http::dialects::body::Whole;
use crate::http::dialects::door::{self, JSESSIONID};
use crate::http::problem::Problem;
use crate::logins::{self, LoginIn};
use crate::passwords::Password;
use crate::sessions::{self, SessionOpened};

/// What the token of a session is good for: a day.
const DAY_SECONDS: i64 = 86_400;

/// A login. Whether to be remembered is for the browser that the product serves.
#[derive(Default, Deserialize)]
#[serde(default)]
struct LoginRequest {
    username: Option<String>,
    password: Option<Password>,
    org_identifier: Option<OrgName>,
}

/// `POST /auth/session/login`.
pub(super) async fn log_in(
    State(app): State<Arc<App>>,
    Extension(call): Extension<Call>,
    method: Method,
    headers: HeaderMap,
    body: Whole,
) -> Result<Response, Problem> {
    must_not_be_foreign(&method, &headers, &app.settings.server)?;
    let ask: LoginRequest = body.json(&headers, JSON)?;
    let password = ask.password.filter(|password| !password.expose().is_empty());
    let Some((username, password)) = ask.username.zip(password) else {
        return Ok(by_bearer(&app, &headers, &call).await?);
    };
    let org = ask.org_identifier.and_then(OrgName::some);
    let tenant = orgs::place(&app, org.as_ref()).await?;
    let input = LoginIn { tenant, username, password, cookie: false, lasts: None };
    Ok(open(&app, &headers, grants::log_in(&app, call, input).await?)?)
}

/// The cookie of a session that was opened.
pub(super) fn open(app: &App, headers: &HeaderMap, opened: SessionOpened) -> Result<Response> {
    let token = opened.token.ok_or_else(|| Error::internal("a session without its token"))?;
    Ok(entered(door::is_secure(&app.settings.server, headers), &token))
}

/// The cookie of a token that came as Bearer; a key opens a session of its own.
async fn by_bearer(app: &App, headers: &HeaderMap, call: &Call) -> Result<Response> {
    let credential = match caller::credential(headers, &app.settings.server.api_key_header) {
        Err(Error::Unauthenticated("no_credential")) => {
            let detail = "give username and password, or a Bearer token";
            return Err(Error::malformed("", "required", detail));
        }
        credential => credential?,
    };
    let identity = caller::identify_presented(app, credential.presented(), call).await?;
    match credential {
        Credential::Secret(token) if door::is_ours(token) => {
            Ok(entered(door::is_secure(&app.settings.server, headers), token))
        }
        _ => open(app, headers, logins::open_by_key(app, call.clone(), &identity, None).await?),
    }
}

/// `POST /auth/session/logout`, of both versions.
pub(super) async fn log_out(
    State(app): State<Arc<App>>,
    Extension(call): Extension<Call>,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let actor = door::enter(&app, (&method, &headers), JSESSIONID, &call).await?;
    let token = door::token(&app, (&method, &headers), JSESSIONID)?.unwrap_or_default();
    tokens::end_own(&app, &actor, token).await?;
    let mut response = nothing();
    let is_secure = door::is_secure(&app.settings.server, &headers);
    let cookie = HeaderValue::from_str(&door::clear_cookie(is_secure, JSESSIONID));
    response.headers_mut().insert(SET_COOKIE, cookie.map_err(Error::internal)?);
    Ok(response)
}

/// `GET /auth/session/user`.
pub(super) async fn user(
    State(app): State<Arc<App>>,
    Extension(call): Extension<Call>,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let actor = door::enter(&app, (&method, &headers), JSESSIONID, &call).await?;
    Ok(answer(&Person::of(&app, &actor).await?.user()?))
}

/// `GET /auth/session/token`: a day's token of who calls. A token makes no other one (IMP-2). It opens a
/// session, so with a cookie it is a change (WEB-1).
pub(super) async fn token(
    State(app): State<Arc<App>>,
    Extension(call): Extension<Call>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let identity = door::identify(&app, (&Method::POST, &headers), JSESSIONID, &call).await?;
    let actor = identity.actor(call.clone());
    let opened = if actor.by_token {
        app.refusals.note(&actor, "session_token", "token_cannot_manage");
        return Err(Error::forbidden("token_cannot_manage", "a token makes no other token").into());
    } else if actor.session.is_some() {
        let lasts = identity.within(DAY_SECONDS, app.clock.unix_ms());
        sessions::open_another(&app, &actor, lasts).await?
    } else {
        logins::open_by_key(&app, call, &identity, Some(DAY_SECONDS)).await?
    };
    let given = grants::of_session(&app, opened).await?;
    Ok(answer(&json!({
        "token": given.token.as_str(),
        "creation_time_in_millis": given.created_at,
        "expiration_time_in_millis": given.ends_at,
        "valid_for_user_id": given.user_id,
        "valid_for_username": given.username,
    })))
}

/// `POST /metadata/search`: connectors try their token with it. There is no metadata here.
pub(super) async fn metadata(
    State(app): State<Arc<App>>,
    Extension(call): Extension<Call>,
    method: Method,
    headers: HeaderMap,
    _: Whole,
) -> Result<Response, Problem> {
    door::enter(&app, (&method, &headers), JSESSIONID, &call).await?;
    Ok(answer(&json!([])))
}
