//! Seeq: access keys of its users (SQ1 to SQ9).

mod duration;
mod gate;
mod keys;
mod media;
mod options;
mod sessions;
mod users;

use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{delete, get, post};
use http::StatusCode;
use http::header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use serde::Serialize;

use super::Dialect;
use crate::app::App;
use crate::error::{Error, Fault};
use crate::http::answer::Answer;
use crate::http::problem::{self, Problem};

pub(crate) const DIALECT: Dialect = Dialect {
    root: "/dialects/seeq",
    owns: &["/api/system/", "/api/auth/", "/api/users/", "/api/access-keys"],
    is_on: |settings| settings.dialects.seeq.enabled,
    hosts_key: "dialects.seeq.hosts",
    hosts: |settings| &settings.dialects.seeq.hosts,
    routes,
    refuse,
};

/// The one directory: Keyward's own.
const DIRECTORY_CLASS: &str = "Auth";
/// Its id, and its name for people.
const DIRECTORY: &str = "Seeq";

/// What a handler answers.
type Told = Result<Response, Problem>;

fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/api/system/server-status", get(options::server_status))
        .route("/api/system/configuration/options", get(options::list).post(options::set))
        .route("/api/auth/providers", get(sessions::providers))
        .route("/api/auth/login", post(sessions::log_in))
        .route("/api/auth/logout", post(sessions::log_out))
        .route("/api/auth/validate", get(sessions::validate))
        .route("/api/users/me", get(users::me))
        .route("/api/users/{id}/update", post(users::update))
        .route("/api/access-keys", get(keys::list).post(keys::create))
        .route("/api/access-keys/{id}", delete(keys::delete))
        .layer(axum::middleware::from_fn(speak))
}

/// Answers in a media type that the client accepts.
async fn speak(request: Request, next: Next) -> Response {
    let kind = match media::wanted(request.headers()) {
        Ok(kind) => kind,
        Err(error) => return Problem(error).into_response(),
    };
    let mut response = next.run(request).await;
    if response.headers().contains_key(CONTENT_TYPE) {
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    }
    response
}

/// 200 with a document.
fn tell(value: &impl Serialize) -> Told {
    Ok(Answer::ok(value)?.into_response())
}

/// All that an error says, and what an action without a result answers.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct StatusMessage {
    status_message: String,
}

impl StatusMessage {
    fn new(text: impl Into<String>) -> Self {
        Self { status_message: text.into() }
    }
}

fn refuse(error: &Error, _request_id: &str) -> Response {
    let status = match error {
        // The product knows one status for whatever is wrong about a request.
        Error::Invalid(_) | Error::Policy { .. } => StatusCode::BAD_REQUEST,
        other => problem::status(other),
    };
    let body = serde_json::to_vec(&StatusMessage::new(message(error))).unwrap_or_default();
    let mut response = (status, body).into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(media::SEEQ));
    match status {
        StatusCode::UNAUTHORIZED => {
            headers.insert(WWW_AUTHENTICATE, problem::challenge(problem::code(error)));
        }
        StatusCode::SERVICE_UNAVAILABLE => {
            headers.insert(RETRY_AFTER, HeaderValue::from_static("2"));
        }
        _ => {}
    }
    response
}

/// The sentence of an error, in the words of this protocol where Keyward's own would lead elsewhere.
fn message(error: &Error) -> String {
    match error {
        Error::Malformed(faults) | Error::Invalid(faults) => {
            faults.iter().map(sentence).collect::<Vec<_>>().join("; ")
        }
        Error::Unauthenticated("no_credential") => {
            "not logged in: POST api/auth/login, and send the token in the header x-sq-auth".into()
        }
        Error::Unauthenticated("invalid_key" | "invalid_login") => {
            "the user name or access key, or its password, is not right, or the session is over".into()
        }
        Error::SecondFactor(_) | Error::Unauthenticated("second_factor_missing") => {
            "this user logs in with a second factor, which this login does not take: use an access key".into()
        }
        Error::Forbidden { code: "cross_site", .. } => {
            "this may come from a page of another site: with a cookie, send the value of the cookie sq-csrf in the \
             header x-sq-csrf"
                .into()
        }
        Error::Forbidden { code: "step_up_required", .. } => {
            "the last login is too long ago for this: log in again".into()
        }
        other => problem::detail(other),
    }
}

fn sentence(fault: &Fault) -> String {
    match (fault.pointer.trim_start_matches('/'), fault.code) {
        ("", _) => fault.detail.clone(),
        // The words of the reader hold the value.
        ("password", "bad_value") => "password: expected a string".into(),
        ("session_minutes", _) => format!("SessionDuration: {}, or -1 for the system's", fault.detail),
        ("owner_login_window_minutes", _) => format!("validity of access keys: {}", fault.detail),
        (place, _) => format!("{place}: {}", fault.detail),
    }
}
