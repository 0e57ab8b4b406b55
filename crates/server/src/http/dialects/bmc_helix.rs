//! BMC Helix: access keys of its identity management service. A tenant key is a key of the workspace, an API
//! key one for ingestion, an access key of a user a member key.

mod access_keys;
mod door;
mod expiry;
mod list;
mod login;
mod names;
mod record;
mod userinfo;
mod wire;

use std::sync::Arc;

use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use http::StatusCode;
use http::header::WWW_AUTHENTICATE;
use serde::Serialize;

use super::Dialect;
use crate::app::App;
use crate::clock;
use crate::error::{Error, Fault};
use crate::http::problem;

pub(crate) const DIALECT: Dialect = Dialect {
    root: "/dialects/bmc-helix",
    owns: &["/ims/"],
    is_on: |settings| settings.dialects.bmc_helix.enabled,
    hosts_key: "dialects.bmc_helix.hosts",
    hosts: |settings| &settings.dialects.bmc_helix.hosts,
    routes,
    refuse,
};

/// What bodies are.
const JSON: &[&str] = &["application/json"];

fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/ims/api/v1/access_keys/login", post(login::log_in))
        .route("/ims/api/v1/auth/tokens", post(login::refresh))
        .route("/ims/api/v1/userinfo", get(userinfo::show))
        .route("/ims/api/v1/access_keys", get(list::list).post(access_keys::create))
        .route("/ims/api/v1/access_keys/search", post(list::search))
        .route(
            "/ims/api/v1/access_keys/{access_key}",
            get(access_keys::show).patch(access_keys::edit).delete(access_keys::delete),
        )
        .route("/ims/api/v1/access_keys/{access_key}/access_secret_key", post(access_keys::new_secret))
        .route(
            "/ims/api/v1/users/{user_id}/access_keys",
            get(list::list_of_user).post(access_keys::create_for_user),
        )
}

/// The one shape of its errors.
#[derive(Serialize)]
struct Refusal {
    timestamp: String,
    code: u16,
    /// The name of the status, as Spring writes it.
    message: String,
    error: String,
}

fn refuse(error: &Error, _request_id: &str) -> Response {
    // The product has no 422: what cannot be accepted is a bad request there.
    let status = match problem::status(error) {
        StatusCode::UNPROCESSABLE_ENTITY => StatusCode::BAD_REQUEST,
        status => status,
    };
    let name = status.canonical_reason().unwrap_or("Error");
    let refusal = Refusal {
        timestamp: record::moment(&clock::rfc3339(clock::timestamp().as_millisecond())),
        code: status.as_u16(),
        message: name.to_ascii_uppercase().replace(' ', "_"),
        error: text(error),
    };
    let mut response = (status, Json(refusal)).into_response();
    if status == StatusCode::UNAUTHORIZED {
        response.headers_mut().insert(WWW_AUTHENTICATE, problem::challenge(problem::code(error)));
    }
    response
}

fn text(error: &Error) -> String {
    match error {
        Error::Malformed(faults) | Error::Invalid(faults) if !faults.is_empty() => {
            faults.iter().map(told).collect::<Vec<_>>().join("; ")
        }
        error => problem::detail(error),
    }
}

/// A fault by the name that its field has here.
fn told(fault: &Fault) -> String {
    let field = match fault.pointer.trim_start_matches('/') {
        "" => return fault.detail.clone(),
        "label" => "name and description",
        "ttl_seconds" | "expires" => "expiry_enum",
        "expires_at" => "expiry_time",
        "owner_id" => "user_id",
        field => field,
    };
    format!("{field}: {}", fault.detail)
}
