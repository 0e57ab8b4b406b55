//! Which pages of other origins may read answers (WEB-2): those that `server.cors.allowed_origins`
//! lists, letter by letter; nobody unless told. Never with cookies: a page sends its own credential as
//! bearer. Never where credentials are proved or made: logins, set-up, trusted secrets, OAuth. Nor at
//! `/authz`, whose answers gateways hand on to the origins of others.

use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD, HeaderMap,
    HeaderValue, ORIGIN, VARY,
};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{Either, Full};

use super::dispatch::Reply;
use crate::config::ServerSettings;

/// What may be read from elsewhere: the API, and what describes it.
const OPEN: [&str; 3] = ["/v1/", "/.well-known/", "/openapi.json"];
/// What of it may not.
const CLOSED: [&str; 3] = ["/v1/auth/", "/v1/trusted", "/v1/setup"];
const METHODS: HeaderValue = HeaderValue::from_static("GET, POST, PUT, PATCH, DELETE");
const EXPOSED: HeaderValue = HeaderValue::from_static("etag, location, retry-after, x-request-id");
/// Headers of the API that a page cannot send unasked.
const ASKED: &str = "authorization, content-type, idempotency-key, if-match, x-keyward-tenant, x-request-id";
/// How long a browser remembers what a preflight answered, in seconds.
const REMEMBERED: HeaderValue = HeaderValue::from_static("600");

/// The origins that may read.
pub(crate) struct Cors {
    origins: Vec<HeaderValue>,
    headers: HeaderValue,
}

/// What is to be said in one answer.
pub(crate) struct Readers {
    /// The origin of the page that asks, if it may read.
    origin: Option<HeaderValue>,
}

impl Cors {
    /// Nothing where no origin is listed: then nothing depends on origins.
    pub(crate) fn of(server: &ServerSettings) -> Option<Self> {
        let listed = &server.cors.allowed_origins;
        let origins: Vec<_> = listed.iter().filter_map(|origin| origin.parse().ok()).collect();
        let headers = format!("{ASKED}, {}", server.api_key_header);
        let headers = HeaderValue::from_str(&headers).expect("names of headers make a header value");
        (!origins.is_empty()).then_some(Self { origins, headers })
    }

    /// What the answer to a request depends on; nothing where origins make no difference.
    pub(crate) fn readers<B>(&self, request: &Request<B>) -> Option<Readers> {
        let mut origins = request.headers().get_all(ORIGIN).iter();
        let (first, second) = (origins.next(), origins.next());
        // Nobody in between keeps answers to other methods.
        if first.is_none() && !matches!(*request.method(), Method::GET | Method::HEAD) {
            return None;
        }
        is_open(request.uri().path()).then(|| {
            let origin = first.filter(|origin| second.is_none() && self.origins.contains(origin));
            Readers { origin: origin.cloned() }
        })
    }

    /// The answer to a browser that asks beforehand, for a page that may.
    pub(crate) fn preflight<B>(&self, request: &Request<B>, readers: &Readers) -> Option<Reply> {
        let asks = *request.method() == Method::OPTIONS
            && request.headers().contains_key(ACCESS_CONTROL_REQUEST_METHOD);
        if !asks || readers.origin.is_none() {
            return None;
        }
        let mut reply = Response::new(Either::Left(Full::default()));
        *reply.status_mut() = StatusCode::NO_CONTENT;
        let headers = reply.headers_mut();
        headers.insert(ACCESS_CONTROL_ALLOW_METHODS, METHODS);
        headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, self.headers.clone());
        headers.insert(ACCESS_CONTROL_MAX_AGE, REMEMBERED);
        super::dispatch::harden(headers);
        Some(reply)
    }
}

impl Readers {
    /// Writes into the answer who may read it.
    pub(crate) fn mark(self, headers: &mut HeaderMap) {
        headers.append(VARY, HeaderValue::from_static("origin"));
        if let Some(origin) = self.origin {
            headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
            headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
        }
    }
}

fn is_open(path: &str) -> bool {
    OPEN.iter().any(|open| path.starts_with(open)) && !CLOSED.iter().any(|closed| path.starts_with(closed))
}
