//! How Mode tells an error: `{"id", "message"}`.

use axum::response::{IntoResponse as _, Response};
use http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};
use serde_json::json;

use super::hal::HAL;
use crate::error::{Error, Fault};
use crate::http::problem;

/// The error as a client of Mode reads it.
pub(super) fn refuse(error: &Error, _request_id: &str) -> Response {
    let status = status(error);
    let told = json!({ "id": id(status), "message": message(error) });
    let mut response = (status, told.to_string()).into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(HAL));
    match status {
        StatusCode::UNAUTHORIZED => {
            let scheme = HeaderValue::from_static("Basic realm=\"keyward\", charset=\"UTF-8\"");
            headers.insert(WWW_AUTHENTICATE, scheme);
        }
        StatusCode::SERVICE_UNAVAILABLE => {
            headers.insert(RETRY_AFTER, HeaderValue::from_static("2"));
        }
        _ => {}
    }
    response
}

/// Mode knows no 422 here, and what a plan or a rule bars is forbidden.
fn status(error: &Error) -> StatusCode {
    match error {
        Error::Invalid(_) => StatusCode::BAD_REQUEST,
        Error::Policy { .. } => StatusCode::FORBIDDEN,
        other => problem::status(other),
    }
}

/// The first four are Mode's own; clients go by the status where they do not know the word.
fn id(status: StatusCode) -> &'static str {
    match status.as_u16() {
        400 => "bad_request",
        401 => "unauthorized",
        403 => "forbidden",
        404 => "not_found",
        405 => "method_not_allowed",
        406 => "not_acceptable",
        408 => "request_timeout",
        409 => "conflict",
        413 => "payload_too_large",
        415 => "unsupported_media_type",
        429 => "too_many_requests",
        503 => "service_unavailable",
        _ => "internal_server_error",
    }
}

fn message(error: &Error) -> String {
    match error {
        // One text for both: what was wrong with it is nobody's business.
        Error::Unauthenticated("no_credential" | "invalid_key") => {
            "send token and secret of an API key by HTTP Basic authentication".into()
        }
        Error::Malformed(faults) | Error::Invalid(faults) if !faults.is_empty() => {
            faults.iter().map(sentence).collect::<Vec<_>>().join("; ")
        }
        other => problem::detail(other),
    }
}

/// The fault of one field, by the name that the field has here.
fn sentence(fault: &Fault) -> String {
    let field = match fault.pointer.as_str() {
        "" => return fault.detail.clone(),
        "/label" => "api_key.token_name".to_owned(),
        "/class" | "class" => "api_key_scope".to_owned(),
        "/owner_id" => "api_key.member".to_owned(),
        "/expires_at" => "api_key.expires_at".to_owned(),
        "/reason" => "api_key.reason".to_owned(),
        "status" => "state".to_owned(),
        "cursor" => "next_token".to_owned(),
        pointer => pointer.trim_start_matches('/').replace('/', "."),
    };
    format!("{field}: {}", fault.detail)
}
