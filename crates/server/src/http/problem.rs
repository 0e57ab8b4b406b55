//! How an error is told over HTTP: RFC 9457 problem details with stable codes (`api.md` 5).

use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use serde::Serialize;

use super::problems;
use crate::error::{Error, Fault};
use crate::logins::challenge::Challenge;

/// An error on its way out of a handler. The guard adds the request id and writes the document.
#[derive(Debug)]
pub(crate) struct Problem(pub(crate) Error);

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        Self(error)
    }
}

/// The error behind a response that has no body yet.
#[derive(Clone)]
pub(crate) struct Pending(pub(crate) std::sync::Arc<Error>);

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = status(&self.0).into_response();
        response.extensions_mut().insert(Pending(std::sync::Arc::new(self.0)));
        response
    }
}

#[derive(Serialize)]
struct Document<'a> {
    #[serde(rename = "type")]
    kind: String,
    title: &'a str,
    status: u16,
    detail: &'a str,
    code: &'a str,
    request_id: &'a str,
    #[serde(skip_serializing_if = "<[Fault]>::is_empty")]
    errors: &'a [Fault],
    #[serde(skip_serializing_if = "Option::is_none")]
    policy: Option<&'a str>,
    /// What a login goes on with.
    #[serde(flatten)]
    challenge: Option<&'a Challenge>,
}

/// The status of an error.
pub(crate) fn status(error: &Error) -> StatusCode {
    let number = match error {
        Error::Malformed(_) => 400,
        Error::Invalid(_) => 422,
        Error::Unauthenticated(_) | Error::SecondFactor(_) => 401,
        Error::Forbidden { .. } => 403,
        Error::NotFound => 404,
        Error::Conflict { .. } => 409,
        Error::StaleVersion => 412,
        Error::Policy { .. } => 422,
        Error::RateLimited(_) => 429,
        Error::Http { status, .. } => *status,
        Error::NotSetUp | Error::Outage(_) => 503,
        Error::Damaged(_) | Error::Internal(_) | Error::Startup(_) | Error::Locked(_) => 500,
    };
    StatusCode::from_u16(number).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

/// The stable code of an error.
pub(crate) fn code(error: &Error) -> &'static str {
    match error {
        Error::Malformed(_) => "malformed_request",
        Error::Invalid(_) => "invalid_value",
        Error::Unauthenticated(code)
        | Error::Forbidden { code, .. }
        | Error::Conflict { code, .. }
        | Error::Http { code, .. } => code,
        Error::SecondFactor(_) => "second_factor_required",
        Error::NotFound => "not_found",
        Error::StaleVersion => "stale_version",
        Error::Policy { rule: "max_keys_per_user" | "max_webhooks", .. } => "quota_exceeded",
        Error::Policy { .. } => "policy_violation",
        Error::RateLimited(_) => "rate_limited",
        Error::NotSetUp => "not_set_up",
        Error::Outage(_) => "unavailable",
        Error::Damaged(_) | Error::Internal(_) | Error::Startup(_) | Error::Locked(_) => "internal",
    }
}

/// The sentence of an error. Causes of outages and faults of ours stay in the log.
pub(crate) fn detail(error: &Error) -> String {
    match error {
        Error::Unauthenticated(_) | Error::SecondFactor(_) => problems::detail(code(error)).to_owned(),
        Error::NotFound => "there is no such thing, or you may not know of it".to_owned(),
        Error::Damaged(_) | Error::Internal(_) | Error::Startup(_) | Error::Locked(_) => {
            "something went wrong on our side; it was logged".to_owned()
        }
        Error::Outage(_) => "the database cannot be used now; try again soon".to_owned(),
        other => other.to_string(),
    }
}

/// Writes the cause of an error into the log, where there is one.
pub(crate) fn log(error: &Error, request_id: &str) {
    match error {
        Error::Internal(cause) => tracing::error!(request_id, %cause, "internal error"),
        Error::Damaged(what) => tracing::error!(request_id, what, "damaged"),
        Error::Outage(cause) => tracing::warn!(request_id, %cause, "unavailable"),
        _ => {}
    }
}

/// Tells the error behind a response, if there is one, in another shape than that of problems: `refuse` has the
/// shape, and this the log, the wait of a limit, and the methods that the router names.
pub(crate) fn tell(
    mut response: Response,
    request_id: &str,
    refuse: impl FnOnce(&Error) -> Response,
) -> Response {
    let Some(Pending(error)) = response.extensions_mut().remove::<Pending>() else { return response };
    log(&error, request_id);
    let mut told = refuse(&error);
    if let Error::RateLimited(seconds) = *error {
        told.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    if let Some(allow) = response.headers_mut().remove(ALLOW) {
        told.headers_mut().insert(ALLOW, allow);
    }
    told
}

/// The JSON text of an error.
pub(crate) fn document(error: &Error, request_id: &str) -> Vec<u8> {
    let (code, detail) = (code(error), detail(error));
    let errors = match error {
        Error::Malformed(faults) | Error::Invalid(faults) => faults.as_slice(),
        _ => &[],
    };
    let policy = match error {
        Error::Policy { rule, .. } => Some(*rule),
        _ => None,
    };
    let challenge = match error {
        Error::SecondFactor(challenge) => Some(&**challenge),
        _ => None,
    };
    let status = status(error).as_u16();
    let title = problems::title(code, status);
    let kind = format!("/problems/{code}");
    let document =
        Document { kind, title, status, detail: &detail, code, request_id, errors, policy, challenge };
    serde_json::to_vec(&document).expect("a problem is plain data")
}

/// The whole response of an error.
pub(crate) fn respond(error: &Error, request_id: &str) -> http::Response<Vec<u8>> {
    let mut response = http::Response::new(document(error, request_id));
    *response.status_mut() = status(error);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    match error {
        Error::Unauthenticated(_) | Error::SecondFactor(_) => {
            headers.append(WWW_AUTHENTICATE, challenge(code(error)));
            headers.append(
                WWW_AUTHENTICATE,
                HeaderValue::from_static("Basic realm=\"keyward\", charset=\"UTF-8\""),
            );
        }
        // RFC 6750 §3.1
        Error::Forbidden { code: "insufficient_rights", .. } => {
            let scope = HeaderValue::from_static("Bearer realm=\"keyward\", error=\"insufficient_scope\"");
            headers.insert(WWW_AUTHENTICATE, scope);
        }
        Error::Outage(_) | Error::NotSetUp | Error::Http { status: 503, .. } => {
            headers.insert(RETRY_AFTER, HeaderValue::from_static("2"));
        }
        Error::RateLimited(seconds) => {
            headers.insert(RETRY_AFTER, HeaderValue::from(*seconds));
        }
        // The router names the methods of the path instead; TRACE does not get that far.
        Error::Http { status: 405, .. } => {
            headers.insert(ALLOW, HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE"));
        }
        _ => {}
    }
    response
}

/// RFC 6750 §3: no error attribute where no credential was sent.
pub(crate) fn challenge(code: &str) -> HeaderValue {
    HeaderValue::from_static(if code == "no_credential" {
        "Bearer realm=\"keyward\""
    } else {
        "Bearer realm=\"keyward\", error=\"invalid_token\""
    })
}
