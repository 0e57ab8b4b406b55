//! ThoughtSpot: trusted authentication and the login of its REST API (TS1 to TS8). An Org is a tenant, its
//! `secret_key` the trusted secret.

mod classic;
mod grants;
mod orgs;
mod people;
mod sessions;
mod settings;
mod tokens;

use std::borrow::Cow;
use std::sync::Arc;

use axum::Router;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use http::StatusCode;
use http::header::SET_COOKIE;
use percent_encoding::percent_decode_str;
use serde::Serialize;
use serde_json::json;

use super::Dialect;
use super::door::{self, JSESSIONID};
use crate::app::App;
use crate::error::Error;
use crate::http::problem;

pub(crate) const DIALECT: Dialect = Dialect {
    root: "/dialects/thoughtspot",
    owns: &["/api/rest/2.0/", "/callosum/"],
    is_on: |settings| settings.dialects.thoughtspot.enabled,
    hosts_key: "dialects.thoughtspot.hosts",
    hosts: |settings| &settings.dialects.thoughtspot.hosts,
    routes,
    refuse,
};

/// Where a token comes in the query.
pub(crate) const LOGIN_BY_TOKEN: &str = "/callosum/v1/tspublic/v1/session/login/token";

/// A query without its token, where that is one of a session or an access token, and the only one.
pub(crate) fn beside_token(query: &str) -> Cow<'_, str> {
    let holds_token = |pair: &&str| {
        let token =
            pair.strip_prefix("auth_token=").map(|value| percent_decode_str(value).decode_utf8_lossy());
        token.is_some_and(|token| door::is_ours(token.trim()))
    };
    if query.split('&').filter(holds_token).count() != 1 {
        return query.into();
    }
    let others: Vec<&str> = query.split('&').filter(|pair| !holds_token(pair)).collect();
    others.join("&").into()
}

/// Types of bodies of version 2.
const JSON: &[&str] = &["application/json"];

fn routes() -> Router<Arc<App>> {
    let v2 = Router::new()
        .route("/auth/token/full", post(tokens::full))
        .route("/auth/token/object", post(tokens::object))
        .route("/auth/token/custom", post(tokens::custom))
        .route("/auth/token/revoke", post(tokens::revoke))
        .route("/auth/token/validate", post(tokens::validate))
        .route("/auth/session/login", post(sessions::log_in))
        .route("/auth/session/logout", post(sessions::log_out))
        .route("/auth/session/user", get(sessions::user))
        .route("/auth/session/token", get(sessions::token))
        .route("/auth/search", post(settings::search))
        .route("/auth/configure", post(settings::configure))
        .route("/metadata/search", post(sessions::metadata));
    let v1 = Router::new()
        .route("/session/auth/token", post(classic::token))
        .route("/session/login/token", get(classic::enter_by_query).post(classic::enter_by_form))
        .route("/session/login", post(classic::log_in))
        .route("/session/logout", post(sessions::log_out))
        .route("/session/info", get(classic::info))
        .route("/session/orgs", get(classic::orgs).put(classic::switch_org));
    Router::new()
        .nest("/api/rest/2.0", v2)
        .nest("/callosum/v1/tspublic/v1", v1)
        .route("/callosum/v1/session/isactive", get(classic::is_active))
}

/// The shape of its errors; the request's id stands for both of the product's.
fn refuse(error: &Error, request_id: &str) -> Response {
    let status = status(error);
    let code = match status.as_u16() {
        401 => 10097,
        403 => 10023,
        500.. => 10038,
        _ => 10002,
    };
    let told = json!({ "error": { "message": {
        "code": code,
        "incident_id_guid": request_id,
        "trace_id_guid": request_id,
        "debug": debug(error),
    } } });
    (status, axum::Json(told)).into_response()
}

/// The product has few statuses: what is wrong about a request is 400.
fn status(error: &Error) -> StatusCode {
    let status = match error {
        Error::Unauthenticated("trusted_disabled") => StatusCode::FORBIDDEN,
        error => problem::status(error),
    };
    match status.as_u16() {
        409 | 412 | 422 => StatusCode::BAD_REQUEST,
        _ => status,
    }
}

/// A sentence, with the place of the first fault; words about a value of the wrong type would repeat it.
fn debug(error: &Error) -> String {
    let faults = match error {
        Error::Malformed(faults) | Error::Invalid(faults) => faults.as_slice(),
        _ => &[],
    };
    match faults.first() {
        Some(fault) if fault.code == "bad_value" && matches!(error, Error::Malformed(_)) => {
            format!("{} has a value that cannot be read", fault.pointer)
        }
        Some(fault) if fault.pointer.is_empty() => fault.detail.clone(),
        Some(fault) => format!("{}: {}", fault.pointer, fault.detail),
        None => problem::detail(error),
    }
}

/// 200 with JSON.
fn answer(body: &impl Serialize) -> Response {
    axum::Json(body).into_response()
}

/// 204.
fn nothing() -> Response {
    StatusCode::NO_CONTENT.into_response()
}

/// 204 with the cookie that carries a session, or an access token.
fn entered(is_secure: bool, token: &str) -> Response {
    let cookie = door::set_cookie(is_secure, JSESSIONID, token);
    (StatusCode::NO_CONTENT, [(SET_COOKIE, cookie)]).into_response()
}
