//! How an error is told to an OAuth client: RFC 6749 §5.2, with the page of the problem as `error_uri`.

use bytes::Bytes;
use http::header::{ALLOW, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{Response, StatusCode};
use http_body_util::{Either, Full};
use serde::Serialize;

use crate::error::Error;
use crate::http::dispatch::{Reply, json_reply};
use crate::http::{problem, problems};

/// The result of everything here.
pub(super) type Told<T> = std::result::Result<T, Refusal>;

/// What is told.
#[derive(Debug)]
pub(super) struct Refusal {
    status: StatusCode,
    word: &'static str,
    description: String,
    /// The code of the problem behind it, which has a page.
    code: Option<&'static str>,
    /// What the log shall know.
    cause: Option<Box<Error>>,
}

#[derive(Serialize)]
struct Document<'a> {
    error: &'a str,
    error_description: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_uri: Option<String>,
}

impl Refusal {
    /// With a word of the RFC.
    pub(super) fn new(status: u16, word: &'static str, description: &str) -> Self {
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST);
        Self { status, word, description: description.into(), code: None, cause: None }
    }

    /// The request is not as it should be.
    pub(super) fn request(description: &str) -> Self {
        Self::new(400, "invalid_request", description)
    }

    /// Only `POST` is answered.
    pub(super) fn method() -> Self {
        Self::new(405, "invalid_request", "send a POST")
    }

    /// The client did not prove who it is; the code says why, as far as it may know.
    pub(super) fn client(code: &'static str) -> Self {
        Self { code: Some(code), ..Self::new(401, "invalid_client", problems::detail(code)) }
    }

    /// The word of the RFC.
    pub(super) fn word(&self) -> &'static str {
        self.word
    }

    /// The whole answer.
    pub(super) fn respond(&self, request_id: &str) -> Reply {
        match self.cause.as_deref() {
            Some(Error::Internal(cause)) => tracing::error!(request_id, %cause, "internal error"),
            Some(Error::Damaged(what)) => tracing::error!(request_id, what, "damaged"),
            Some(Error::Outage(cause)) => tracing::warn!(request_id, %cause, "unavailable"),
            _ => {}
        }
        // RFC 6749 has neither quotes nor anything beyond ASCII here.
        let plain = |c: char| (' '..='~').contains(&c) && c != '"' && c != '\\';
        let description: String = self.description.chars().filter(|c| plain(*c)).collect();
        let document = Document {
            error: self.word,
            error_description: &description,
            error_uri: self.code.map(|code| format!("/problems/{code}")),
        };
        let body = serde_json::to_vec(&document).expect("an error is plain data");
        let mut reply: Response<Either<Full<Bytes>, _>> = json_reply(body);
        *reply.status_mut() = self.status;
        let headers = reply.headers_mut();
        match (self.status.as_u16(), self.cause.as_deref()) {
            (401, _) => {
                let challenge = HeaderValue::from_static("Basic realm=\"keyward\", charset=\"UTF-8\"");
                headers.insert(WWW_AUTHENTICATE, challenge);
            }
            (405, _) => drop(headers.insert(ALLOW, HeaderValue::from_static("POST"))),
            (_, Some(Error::RateLimited(seconds))) => {
                headers.insert(RETRY_AFTER, HeaderValue::from(*seconds));
            }
            (503, _) => drop(headers.insert(RETRY_AFTER, HeaderValue::from_static("2"))),
            _ => {}
        }
        reply
    }
}

/// Words that operations use as codes.
const WORDS: [&str; 5] =
    ["invalid_request", "invalid_scope", "invalid_target", "invalid_grant", "unauthorized_client"];

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        let code = problem::code(&error);
        if let Some(word) = WORDS.into_iter().find(|word| *word == code) {
            return Self::new(400, word, &error.to_string());
        }
        let status = problem::status(&error).as_u16();
        let (status, word) = match &error {
            Error::Unauthenticated(code) => return Self::client(code),
            Error::RateLimited(_) | Error::Outage(_) | Error::NotSetUp => (status, "temporarily_unavailable"),
            Error::Http { .. } => (status, "invalid_request"),
            Error::Damaged(_) | Error::Internal(_) | Error::Startup(_) | Error::Locked(_) => {
                (500, "server_error")
            }
            _ => (400, "invalid_request"),
        };
        let description = match &error {
            Error::Malformed(faults) | Error::Invalid(faults) => {
                faults.first().map_or_else(String::new, |fault| fault.detail.clone())
            }
            Error::Http { detail, .. } | Error::Forbidden { detail, .. } => detail.clone(),
            _ => problems::detail(code).to_owned(),
        };
        Self { code: Some(code), cause: Some(Box::new(error)), ..Self::new(status, word, &description) }
    }
}
