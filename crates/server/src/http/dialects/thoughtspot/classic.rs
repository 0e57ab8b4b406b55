//! Version 1 of the REST API, `/callosum/v1`: forms in, text out.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse as _, Response};
use http::header::{CONTENT_TYPE, LOCATION, SET_COOKIE};
use http::{HeaderMap, Method, StatusCode};
use serde::Deserialize;
use serde_json::json;

use super::grants::{self, Access, TokenRequest};
use super::people::Person;
use super::{answer, entered, nothing, orgs, sessions};
use crate::app::{App, Call};
use crate::error::{Error, Result};
use crate::http::cookie::must_not_be_foreign;
use crate::http::dialects::body::{self, Whole};
use crate::http::dialects::door::{self, JSESSIONID};
use crate::http::dialects::noted;
use crate::http::problem::Problem;
use crate::http::{caller, exposure, json as strict};
use crate::logins::LoginIn;
use crate::names::is_same;
use crate::passwords::Password;
use crate::verify::Presented;

/// A request for a token.
#[derive(Default, Deserialize)]
#[serde(default)]
struct TokenForm {
    secret_key: Option<Password>,
    username: Option<String>,
    access_level: Option<String>,
    id: Option<String>,
    orgid: Option<String>,
    autocreate: Option<String>,
    email: Option<String>,
    display_name: Option<String>,
    /// A JSON array in a string.
    groups: Option<String>,
}

/// `POST /session/auth/token`: the bare token.
pub(super) async fn token(
    State(app): State<Arc<App>>,
    Extension(call): Extension<Call>,
    headers: HeaderMap,
    body: Whole,
) -> Result<Response, Problem> {
    let (ask, access) = token_request(body.form(&headers)?)?;
    let given = grants::give(&app, (&headers, call), ask, access).await.map_err(not_enabled)?;
    Ok(([(CONTENT_TYPE, "text/plain")], given.token.as_str().to_owned()).into_response())
}

fn token_request(form: TokenForm) -> Result<(TokenRequest, Access)> {
    let access = match form.access_level.as_deref() {
        None | Some("" | "FULL") => Access::Full,
        Some("REPORT_BOOK_VIEW") => Access::Object,
        Some(_) => {
            let detail = "expected FULL or REPORT_BOOK_VIEW";
            return Err(Error::malformed("access_level", "bad_choice", detail));
        }
    };
    let groups = form.groups.filter(|groups| !groups.trim().is_empty());
    let ask = TokenRequest {
        username: form.username,
        secret_key: form.secret_key,
        object_id: form.id,
        org_id: form.orgid.filter(|org| !org.trim().is_empty()).as_deref().map(number).transpose()?,
        auto_create: Some(form.autocreate.is_some_and(|wish| wish.eq_ignore_ascii_case("true"))),
        email: form.email,
        display_name: form.display_name,
        group_identifiers: groups.map(|groups| strict::parse(groups.as_bytes())).transpose()?,
        ..TokenRequest::default()
    };
    Ok((ask, access))
}

fn number(org: &str) -> Result<i64> {
    org.trim().parse().map_err(|_| Error::malformed("orgid", "bad_number", "expected the number of an Org"))
}

/// Version 1 tells by 500 that trusted authentication is not enabled.
fn not_enabled(error: Error) -> Error {
    match error {
        Error::Forbidden { code: "trusted_disabled", .. } | Error::Unauthenticated("trusted_disabled") => {
            let detail = "trusted authentication is not enabled".into();
            Error::Http { status: 500, code: "trusted_disabled", detail }
        }
        error => error,
    }
}

/// A session that lasts longer does not belong into a query, where logs and histories keep it (KEY-12).
const HOUR_MS: i64 = 3_600_000;

/// A login with a token.
#[derive(Default, Deserialize)]
#[serde(default)]
struct EnterForm {
    username: Option<String>,
    auth_token: Option<Password>,
    redirect_url: Option<String>,
    no_url_redirection: Option<String>,
}

/// `GET /session/login/token`. A token of a short session stands in the query, and nothing that lasts.
pub(super) async fn enter_by_query(
    State(app): State<Arc<App>>,
    Extension(call): Extension<Call>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let query = query.unwrap_or_default();
    let form: EnterForm = body::query(&query)?;
    Ok(enter(&app, (&headers, &call), form, Some(&query)).await?)
}

/// `POST /session/login/token`.
pub(super) async fn enter_by_form(
    State(app): State<Arc<App>>,
    Extension(call): Extension<Call>,
    method: Method,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
    body: Whole,
) -> Result<Response, Problem> {
    must_not_be_foreign(&method, &headers, &app.settings.server)?;
    if body.0.is_empty() {
        return enter_by_query(State(app), Extension(call), headers, RawQuery(query)).await;
    }
    // The query plays no part beside a form: nothing secret belongs into it.
    if let Some(query) = query.filter(|query| exposure::holds_secret(&app, query)) {
        exposure::mark(&app, &query, &call);
        return Err(exposure::refusal().into());
    }
    Ok(enter(&app, (&headers, &call), body.form(&headers)?, None).await?)
}

/// `query` is where the token stands, if it does not come in a form.
async fn enter(
    app: &Arc<App>,
    (headers, call): (&HeaderMap, &Call),
    form: EnterForm,
    query: Option<&str>,
) -> Result<Response> {
    let token = form.auth_token.as_ref().map_or("", |token| token.expose().trim());
    let missing = || Error::malformed("auth_token", "required", "give username and auth_token");
    let wrong = || Error::Unauthenticated("invalid_key");
    if !door::is_ours(token) {
        return Err(if token.is_empty() { missing() } else { wrong() });
    }
    let identity = caller::identify_presented(app, Presented::Secret(token), call).await?;
    let latest = app.clock.unix_ms().saturating_add(HOUR_MS);
    let lasts = identity.session().is_some_and(|session| session.ends_at.is_none_or(|end| end > latest));
    if let Some(query) = query.filter(|_| lasts) {
        exposure::mark(app, query, call);
        return Err(exposure::refusal());
    }
    let username = form.username.ok_or_else(missing)?;
    let target = target(form.redirect_url.as_deref())?;
    let actor = identity.actor(call.clone());
    if !is_same(username.trim(), actor.principal.label.trim()) {
        return Err(wrong());
    }
    let is_secure = door::is_secure(&app.settings.server, headers);
    if form.no_url_redirection.is_some_and(|wish| wish.eq_ignore_ascii_case("true")) {
        return Ok(entered(is_secure, token));
    }
    let cookie = door::set_cookie(is_secure, JSESSIONID, token);
    Ok((StatusCode::FOUND, [(LOCATION, target.to_owned()), (SET_COOKIE, cookie)]).into_response())
}

/// A path of this site: what begins with two slashes, or with what browsers take for one, is another.
fn target(wish: Option<&str>) -> Result<&str> {
    let target = wish.filter(|wish| !wish.is_empty()).unwrap_or("/");
    let is_path = target.starts_with('/') && !target.starts_with("//");
    if is_path && target.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\') {
        return Ok(target);
    }
    Err(Error::malformed("redirect_url", "bad_path", "expected a path of this site, as in /embed"))
}

/// A login with a password.
#[derive(Default, Deserialize)]
#[serde(default)]
struct LoginForm {
    username: Option<String>,
    password: Option<Password>,
}

/// `POST /session/login`.
pub(super) async fn log_in(
    State(app): State<Arc<App>>,
    Extension(call): Extension<Call>,
    method: Method,
    headers: HeaderMap,
    body: Whole,
) -> Result<Response, Problem> {
    must_not_be_foreign(&method, &headers, &app.settings.server)?;
    let LoginForm { username, password } = body.form(&headers)?;
    let Some((username, password)) = username.zip(password) else {
        return Err(Error::malformed("password", "required", "give username and password").into());
    };
    let input = LoginIn { tenant: None, username, password, cookie: false, lasts: None };
    Ok(sessions::open(&app, &headers, grants::log_in(&app, call, input).await?)?)
}

/// `GET /session/info`.
pub(super) async fn info(
    State(app): State<Arc<App>>,
    Extension(call): Extension<Call>,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let actor = door::enter(&app, (&method, &headers), JSESSIONID, &call).await?;
    Ok(answer(&Person::of(&app, &actor).await?.info()))
}

/// `GET /session/isactive`.
pub(super) async fn is_active(
    State(app): State<Arc<App>>,
    Extension(call): Extension<Call>,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    door::enter(&app, (&method, &headers), JSESSIONID, &call).await?;
    Ok(answer(&json!({})))
}

/// `GET /session/orgs`.
pub(super) async fn orgs(
    State(app): State<Arc<App>>,
    Extension(call): Extension<Call>,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let actor = door::enter(&app, (&method, &headers), JSESSIONID, &call).await?;
    let org = orgs::of(&app, &actor.tenant_id).await?;
    let own = json!({ "orgId": org.id, "orgName": org.name, "description": "", "isActive": true });
    Ok(answer(&json!({ "currentOrgId": org.id, "orgs": [own] })))
}

/// The Org to act in.
#[derive(Default, Deserialize)]
#[serde(default)]
struct SwitchForm {
    orgid: Option<String>,
}

/// `PUT /session/orgs`. A session stays in the Org that it was opened in: for another one, log in there.
pub(super) async fn switch_org(
    State(app): State<Arc<App>>,
    Extension(call): Extension<Call>,
    method: Method,
    headers: HeaderMap,
    body: Whole,
) -> Result<Response, Problem> {
    let actor = door::enter(&app, (&method, &headers), JSESSIONID, &call).await?;
    let SwitchForm { orgid } = body.form(&headers)?;
    let org = orgs::of(&app, &actor.tenant_id).await?;
    if number(&orgid.unwrap_or_default())? == org.id {
        return Ok(nothing());
    }
    let detail = "a session stays in its Org: log in to the other one";
    Ok(noted(&app, &actor, "switch_org", Err(Error::forbidden("other_org", detail)))?)
}
