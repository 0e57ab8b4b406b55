//! Where every request begins: what any request must fulfil, then the two hot routes before the
//! router, everything else on the control runtime.

use std::convert::Infallible;
use std::net::IpAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::body::Body;
use bytes::Bytes;
use futures_util::FutureExt as _;
use http::header::{CONNECTION, CONTENT_TYPE, HOST, HeaderName, HeaderValue};
use http::{HeaderMap, Method, Request, Response, Version};
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use keyward_core::address::Networks;
use keyward_core::decide::is_ambiguous;
use percent_encoding::percent_decode_str;
use tower::ServiceExt as _;

use super::connection::ConnectionState;
use super::cors::Cors;
use super::dialects::Hosts;
use super::problem::{self, Pending};
use super::{authz, caller, dialects, exposure, oauth, router, trusted, verify};
use crate::app::App;
use crate::error::{Error, Result};

/// Bytes of a request target, at most.
const MAX_URI: usize = 8 * 1024;
/// Bytes of all header names and values, at most.
const MAX_HEADERS: usize = 16 * 1024;
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// A whole answer of the hot routes, or a body that the router made.
pub(crate) type Reply = Response<Either<Full<Bytes>, Body>>;

/// What every connection shares.
pub(crate) struct Dispatch {
    pub(crate) app: Arc<App>,
    router: axum::Router,
    trusted: Networks,
    cors: Option<Cors>,
    /// Host names of dialects.
    hosts: Hosts,
    request_ids: RequestIds,
}

/// Where a request came from, as the hot routes need it.
pub(crate) struct Origin<'r> {
    pub(crate) peer: IpAddr,
    pub(crate) trusted: &'r Networks,
    request_id: &'r HeaderValue,
}

impl Origin<'_> {
    /// The id of this request.
    pub(crate) fn request_id(&self) -> &str {
        text_of(self.request_id)
    }

    /// The end client's address; forwarded ones count behind trusted proxies only (KEY-13).
    pub(crate) fn address(&self, headers: &HeaderMap) -> Option<IpAddr> {
        caller::client_address(headers, self.peer, self.trusted)
    }
}

/// A request id, which is ASCII always.
fn text_of(request_id: &HeaderValue) -> &str {
    request_id.to_str().unwrap_or_default()
}

impl Dispatch {
    pub(crate) fn new(app: Arc<App>) -> Self {
        let trusted = app.settings.server.trusted_proxies.iter().copied().collect();
        let router = router::router(app.clone());
        let cors = Cors::of(&app.settings.server);
        let hosts = Hosts::of(&app.settings);
        Self { app, router, trusted, cors, hosts, request_ids: RequestIds::new() }
    }

    /// The id of a request with these headers.
    pub(crate) fn request_id(&self, headers: &HeaderMap) -> HeaderValue {
        self.request_ids.of(headers)
    }

    /// Where a request came from.
    pub(crate) fn origin<'r>(&'r self, peer: IpAddr, request_id: &'r HeaderValue) -> Origin<'r> {
        Origin { peer, trusted: &self.trusted, request_id }
    }

    /// Answers one request. Never fails: what goes wrong becomes a problem document.
    pub(crate) async fn answer(
        &self,
        connection: &Arc<ConnectionState>,
        request: Request<Incoming>,
    ) -> Result<Reply, Infallible> {
        let _in_flight = connection.begin();
        let request_id = self.request_id(request.headers());
        let checked = check(&request);
        // Whoever sends what can be read in two ways gets no second try on the connection.
        let last = request.version() < Version::HTTP_2 && (connection.is_last_request() || checked.is_err());
        let origin = self.origin(connection.peer, &request_id);
        let readers = self.cors.as_ref().and_then(|cors| Some((cors, cors.readers(&request)?)));
        let routed = async {
            checked?;
            if let Some((cors, readers)) = &readers
                && let Some(reply) = cors.preflight(&request, readers)
            {
                return Ok(reply);
            }
            self.route(&origin, request).await
        };
        let answered = AssertUnwindSafe(routed).catch_unwind().await;
        let mut reply = match answered {
            Ok(Ok(reply)) => reply,
            Ok(Err(error)) => tell(&error, text_of(&request_id)),
            Err(_) => {
                self.app.metrics.panics.inc();
                tell(&Error::internal("a handler panicked"), text_of(&request_id))
            }
        };
        reply.headers_mut().insert(REQUEST_ID, request_id);
        if let Some((_, readers)) = readers {
            readers.mark(reply.headers_mut());
        }
        if last {
            reply.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        Ok(reply)
    }

    async fn route(&self, origin: &Origin<'_>, mut request: Request<Incoming>) -> Result<Reply> {
        self.hosts.put_below_root(&mut request);
        let path = request.uri().path();
        if request.method() == Method::POST && request.uri().query().is_none_or(str::is_empty) {
            match path {
                "/v1/verify" => return verify::one(&self.app, origin, request).await,
                "/v1/verify/batch" => return verify::batch(&self.app, origin, request).await,
                "/v1/trusted/tokens" => return Box::pin(trusted::mint(&self.app, origin, request)).await,
                "/v1/trusted/tokens/revoke" => {
                    return Box::pin(trusted::revoke(&self.app, origin, request)).await;
                }
                "/v1/trusted/tokens/validate" => {
                    return Box::pin(trusted::validate(&self.app, origin, request)).await;
                }
                _ => {}
            }
        }
        if path == "/authz" || path.starts_with("/authz/") {
            return Ok(authz::answer(&self.app, origin, &request).await);
        }
        if is_ambiguous(path) || percent_decode_str(path).decode_utf8().is_err() {
            return Err(ambiguous("the path can be read in two ways"));
        }
        if let Some(query) = request.uri().query() {
            let seen = dialects::exposed(&self.app.settings, (request.method(), path), query);
            if exposure::holds_secret(&self.app, &seen) {
                exposure::mark(&self.app, &seen, &caller::call(request.headers(), origin));
                return Err(exposure::refusal());
            }
        }
        if let Some(endpoint) = oauth::Endpoint::at(path) {
            return Ok(Box::pin(oauth::answer(&self.app, origin, endpoint, request)).await);
        }
        // The rare ways are boxed: the future of a request is moved around by its whole size.
        Box::pin(self.manage(origin, request)).await
    }

    /// Runs the router on the control runtime, so that slow work never delays a verification.
    async fn manage(&self, origin: &Origin<'_>, request: Request<Incoming>) -> Result<Reply> {
        let mut request = request.map(Body::new);
        name_host(&mut request);
        let call = caller::call(request.headers(), origin);
        request.extensions_mut().insert(call);
        let started_ms = self.app.clock.monotonic_ms();
        // Its answers wait for something to tell.
        let waits = request.uri().path() == router::CHANGES;
        let router = self.router.clone();
        let task = self.app.control.spawn(async move { router.oneshot(request).await });
        let Ok(Ok(mut response)) = task.await else {
            self.app.metrics.panics.inc();
            return Err(Error::internal("a handler panicked"));
        };
        let took_ms = self.app.clock.monotonic_ms() - started_ms;
        self.app.metrics.managed(response.status(), (!waits).then_some(took_ms));
        if let Some(Pending(error)) = response.extensions_mut().remove::<Pending>() {
            let allow = response.headers_mut().remove(http::header::ALLOW);
            let mut told = tell(&error, origin.request_id());
            if let Some(allow) = allow {
                told.headers_mut().insert(http::header::ALLOW, allow);
            }
            return Ok(told);
        }
        harden(response.headers_mut());
        Ok(response.map(Either::Right))
    }
}

/// HTTP/2 has the host in the target: everybody behind finds it in its header.
fn name_host<B>(request: &mut Request<B>) {
    let authority = request.uri().authority().filter(|_| !request.headers().contains_key(HOST));
    if let Some(host) = authority.and_then(|host| HeaderValue::from_str(host.as_str()).ok()) {
        request.headers_mut().insert(HOST, host);
    }
}

/// Headers of every answer (WEB-3); the console has a content policy of its own.
pub(super) fn harden(headers: &mut HeaderMap) {
    for (name, value) in [
        ("content-security-policy", "default-src 'none'; frame-ancestors 'none'"),
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
        ("cross-origin-resource-policy", "same-origin"),
    ] {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    headers.entry("cache-control").or_insert(HeaderValue::from_static("no-store"));
}

/// Writes an error out, and its cause into the log.
pub(crate) fn tell(error: &Error, request_id: &str) -> Reply {
    told(error, request_id).map(|body| Either::Left(Full::new(body)))
}

/// The same with the body as it is, for whoever goes on with it.
pub(super) fn told(error: &Error, request_id: &str) -> Response<Bytes> {
    problem::log(error, request_id);
    let mut response = problem::respond(error, request_id).map(Bytes::from);
    harden(response.headers_mut());
    response
}

/// What any request must fulfil (HTTP-1, HTTP-5).
fn check(request: &Request<Incoming>) -> Result<()> {
    let http = |status, code, detail: &str| Err(Error::Http { status, code, detail: detail.into() });
    let uri = request.uri();
    let length = uri.path_and_query().map_or(0, |target| target.as_str().len());
    if length > MAX_URI {
        return http(414, "uri_too_long", "the request target is longer than 8192 bytes");
    }
    let headers = request.headers();
    let size: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
    if size > MAX_HEADERS {
        return http(431, "headers_too_large", "all headers together are larger than 16 KiB");
    }
    let hosts = headers.get_all(HOST).iter().count();
    if hosts > 1 || (hosts == 0 && request.version() == Version::HTTP_11) {
        return Err(ambiguous("send the Host header once"));
    }
    if *request.method() == Method::TRACE || *request.method() == Method::CONNECT {
        return http(405, "method_not_allowed", "TRACE and CONNECT are never answered");
    }
    if headers.contains_key(http::header::CONTENT_ENCODING) {
        // Decompression is off: a small body can never become a large one (HTTP-2).
        return http(415, "unsupported_media_type", "send the body without Content-Encoding");
    }
    Ok(())
}

fn ambiguous(detail: &str) -> Error {
    Error::Http { status: 400, code: "ambiguous_request", detail: detail.into() }
}

/// A whole JSON answer.
pub(crate) fn json_reply(body: Vec<u8>) -> Reply {
    let mut response = Response::new(Either::Left(Full::from(body)));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(http::header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Request ids: the client's if it is well formed, else one of our own.
struct RequestIds {
    base: u64,
    next: AtomicU64,
}

impl RequestIds {
    fn new() -> Self {
        let mut bytes = [0; 8];
        crate::random::fill(&mut bytes);
        Self { base: u64::from_le_bytes(bytes), next: AtomicU64::new(1) }
    }

    fn of(&self, headers: &HeaderMap) -> HeaderValue {
        let sent = headers.get(REQUEST_ID);
        if let Some(id) = sent.filter(|id| is_request_id(id.as_bytes())) {
            return id.clone();
        }
        // Distinct for as long as the process lives, and spread, so that nobody reads a count in it.
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let spread = (self.base ^ number).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let digit = |place: usize| b"0123456789abcdef"[(spread >> (4 * place) & 15) as usize];
        let digits: [u8; 16] = std::array::from_fn(digit);
        HeaderValue::from_bytes(&digits).expect("hexadecimal digits make a header value")
    }
}

fn is_request_id(text: &[u8]) -> bool {
    (8..=64).contains(&text.len())
        && text.iter().all(|b| b.is_ascii_alphanumeric() || *b == b'_' || *b == b'-')
}
