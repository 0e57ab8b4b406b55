//! The question of a gateway (`api.md` 12, X1, HTTP-9): by `/authz`, and how it is judged whatever protocol it
//! came in.
//!
//! Exactly 200 with an empty body, or 401, 403, 429 with a problem document, or 503 when the answer
//! is not known. Every answer carries every identity header, empty where it does not apply: a
//! gateway that copies them overwrites whatever a client forged.

use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{Request, Response, StatusCode};
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use keyward_core::decide::{self, Code, Decision, is_ambiguous};
use keyward_core::right::Right;
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use super::caller::Credential;
use super::dispatch::{Origin, Reply};
use super::verify::answer::{PrincipalRef, principal, token_principal};
use super::verify::status_of;
use super::{caller, cookie, dialects, exposure, limits, problem};
use crate::app::{App, Call};
use crate::clock::{Clock, Moment};
use crate::error::{Error, Result};
use crate::failures;
use crate::verify::facts::{Effective, TenantRecord};
use crate::verify::tokens::{self, FoundToken};
use crate::verify::usage::Sighting;
use crate::verify::{Ask, Found};

/// The identity headers, always all of them.
const IDENTITY: [HeaderName; 7] = [
    HeaderName::from_static("x-auth-subject"),
    HeaderName::from_static("x-auth-user"),
    HeaderName::from_static("x-auth-tenant"),
    HeaderName::from_static("x-auth-key-id"),
    HeaderName::from_static("x-auth-rights"),
    HeaderName::from_static("x-auth-actor"),
    HeaderName::from_static("x-auth-expires-at"),
];
/// The rights that a request needs.
pub(crate) const RIGHT: HeaderName = HeaderName::from_static("x-keyward-right");
/// Whom an access token must be meant for.
pub(crate) const AUDIENCE: HeaderName = HeaderName::from_static("x-keyward-audience");
/// The status that a gateway wants in the place of those it cannot tell.
pub(crate) const DENY_STATUS: HeaderName = HeaderName::from_static("x-keyward-deny-status");
const STATUS: HeaderName = HeaderName::from_static("x-auth-status");
const CODE: HeaderName = HeaderName::from_static("x-auth-code");
/// Characters that a header value cannot hold, and the percent sign that marks them.
const UNSAFE: &AsciiSet = &CONTROLS.add(b'%');
/// Bytes of the rights header, at most; gateways have limits of their own.
const MAX_RIGHTS: usize = 4096;

/// A whole answer: 200 and empty, or a problem document.
pub(crate) type Told = Response<Bytes>;

/// The question of a gateway, in whatever protocol it came.
pub(crate) struct Question<'q> {
    /// Of the client's request, with what the gateway wrote into them.
    pub(crate) headers: &'q HeaderMap,
    /// Whether a trusted proxy asks: what others say beside the credential counts for nothing.
    pub(crate) trusted: bool,
    /// What the client asked the gateway for; 403 `ambiguous_request` where it can be read in two ways.
    pub(crate) original: Result<Original<'q>>,
    /// The end client's; `None` when a trusted proxy sent something that is no address.
    pub(crate) address: Option<IpAddr>,
    /// For the log and the problem document.
    pub(crate) request_id: &'q str,
}

/// What was refused, and how the gateway should put it.
struct Refusal {
    error: Error,
    /// The reason code, when a key was judged.
    retry_after: Option<u64>,
}

/// What was presented and found.
enum Passed {
    Key(Found),
    Token(Box<FoundToken>),
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self { error, retry_after: None }
    }
}

/// Answers a gateway that asks over HTTP.
pub(crate) async fn answer(app: &Arc<App>, origin: &Origin<'_>, request: &Request<Incoming>) -> Reply {
    let headers = request.headers();
    let trusted = origin.trusted.contains(origin.peer);
    let question = Question {
        headers,
        trusted,
        original: Original::read(request, trusted),
        address: origin.address(headers),
        request_id: origin.request_id(),
    };
    judge(app, question).await.map(|body| Either::Left(Full::new(body)))
}

/// Judges a question, counts the use, and says what the gateway is told.
pub(crate) async fn judge(app: &Arc<App>, question: Question<'_>) -> Told {
    let (headers, request_id) = (question.headers, question.request_id);
    match verify(app, question).await {
        Ok((Passed::Key(found), decision)) => allow(&found, &decision, app.clock),
        Ok((Passed::Token(found), decision)) => allow_token(&found, &decision, app.clock),
        Err(refusal) => refuse(&refusal, request_id, headers),
    }
}

async fn verify(app: &Arc<App>, question: Question<'_>) -> Result<(Passed, Decision), Refusal> {
    app.must_be_set_up().await?;
    let Question { headers, trusted, original, address, request_id } = question;
    let original = original?;
    if let Some(query) = original.query
        && exposure::holds_secret(app, query)
    {
        let agent = caller::agent(headers).map(Into::into);
        exposure::mark(
            app,
            query,
            &Call { request_id: request_id.to_owned(), address, agent, by_itself: false },
        );
        return Err(Error::Unauthenticated("credential_in_url").into());
    }
    let credential = credential(app, headers, original.method)?;
    if let Credential::Cookie(_) = credential {
        cookie::must_not_be_cross_site(original.method, headers)?;
    }
    let rights = needed_rights(headers, trusted)?;
    let audience = expected_audience(headers, trusted)?;
    let ask = Ask {
        presented: credential.presented(),
        request: decide::Request {
            rights: &rights,
            method: original.method,
            path: original.path,
            address,
            audience,
            cost: 1,
        },
        sighting: Sighting { address, agent: caller::agent(headers) },
        tenant: None,
        now: app.clock.now(),
    };
    let verified = app.verifier.verify(&ask).await?;
    app.metrics.authorized(&verified.decision);
    let passed = match (verified.found, verified.token) {
        (Some(found), _) => Some(Passed::Key(found)),
        (None, token) => token.map(Passed::Token),
    };
    match (verified.decision, passed) {
        (decision @ Decision::Allow { .. }, Some(passed)) => Ok((passed, decision)),
        (Decision::Deny { code, retry_after_seconds }, passed) => {
            Err(denied(app, code, retry_after_seconds, passed.is_some(), address))
        }
        (Decision::Allow { .. }, None) => Err(Error::internal("allowed without facts").into()),
    }
}

/// The one credential of the client's request.
fn credential<'h>(app: &App, headers: &'h HeaderMap, method: Option<&str>) -> Result<Credential<'h>> {
    match caller::credential_or_cookie(headers, &app.settings.server) {
        Err(Error::Unauthenticated("no_credential")) => {
            let carried = dialects::door::carried(headers, &app.settings, method).map_err(without_400)?;
            carried.map(Credential::Secret).ok_or(Error::Unauthenticated("no_credential"))
        }
        other => other.map_err(without_400),
    }
}

/// A gateway knows 401 and 403; 400 would become its own 500.
fn without_400(error: Error) -> Error {
    match error {
        Error::Http { code, .. } => Error::Unauthenticated(code),
        other => other,
    }
}

fn denied(app: &App, code: Code, retry_after: u64, known: bool, address: Option<IpAddr>) -> Refusal {
    if !known && let Some(seconds) = failures::note(app, None, "authz", address) {
        return Refusal { error: Error::RateLimited(seconds), retry_after: Some(seconds) };
    }
    let public = code.public();
    match status_of(code) {
        403 => Error::forbidden(public, super::problems::detail(public)).into(),
        429 => Refusal {
            error: Error::Http { status: 429, code: public, detail: super::problems::detail(public).into() },
            retry_after: Some(retry_after.max(1)),
        },
        _ => Error::Unauthenticated(public).into(),
    }
}

/// The request that the gateway asks about. What is said of it counts from trusted proxies only.
#[derive(Default)]
pub(crate) struct Original<'r> {
    method: Option<&'r str>,
    path: Option<&'r str>,
    query: Option<&'r str>,
}

impl<'r> Original<'r> {
    /// As the gateway names it: the method, and the target with its query.
    ///
    /// # Errors
    /// 403 for a path that can be read in two ways.
    pub(crate) fn named(method: &'r str, target: &'r str) -> Result<Self> {
        let (path, query) = split(target);
        if is_ambiguous(path) {
            return Err(ambiguous());
        }
        Ok(Self { method: not_empty(method), path: not_empty(path), query })
    }

    fn read(request: &'r Request<Incoming>, trusted: bool) -> Result<Self> {
        let headers = request.headers();
        let one = |names: [&str; 2]| -> Result<Option<&'r str>> {
            if !trusted {
                return Ok(None);
            }
            let mut values = names.iter().flat_map(|name| headers.get_all(*name));
            let first = values.next().map(HeaderValue::to_str).transpose().map_err(|_| ambiguous())?;
            // Two different spellings by one gateway are one answer; two different values are none.
            match values.find(|value| Some(value.as_bytes()) != first.map(str::as_bytes)) {
                Some(_) => Err(ambiguous()),
                None => Ok(first),
            }
        };
        let method = one(["x-forwarded-method", "x-original-method"])?;
        let uri = one(["x-forwarded-uri", "x-original-uri"])?;
        // Envoy appends the client's path to ours.
        let below = request.uri().path().strip_prefix("/authz").filter(|path| !path.is_empty());
        let (path, query) = match uri {
            Some(uri) => split(uri),
            None => (below.unwrap_or_default(), request.uri().query()),
        };
        let path = not_empty(path);
        if path.is_some_and(is_ambiguous) || below.is_some_and(is_ambiguous) {
            return Err(ambiguous());
        }
        let method = method.or_else(|| below.map(|_| request.method().as_str()));
        Ok(Self { method, path, query })
    }
}

/// Path and query of a target.
fn split(target: &str) -> (&str, Option<&str>) {
    target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)))
}

/// A text that says something.
fn not_empty(text: &str) -> Option<&str> {
    Some(text).filter(|text| !text.is_empty())
}

fn ambiguous() -> Error {
    Error::forbidden("ambiguous_request", "method or path can be read in two ways")
}

/// `X-Keyward-Right: a:read b:write`, set by the proxy; whoever else sends it is refused.
fn needed_rights(headers: &HeaderMap, trusted: bool) -> Result<Vec<Right>> {
    let mut rights = Vec::new();
    for value in headers.get_all(RIGHT) {
        if !trusted {
            return Err(Error::forbidden("ambiguous_request", "X-Keyward-Right is for trusted proxies"));
        }
        let text = value.to_str().unwrap_or("?");
        for right in text.split([' ', ',']).filter(|word| !word.is_empty()) {
            let right = right.parse().map_err(|_| {
                // The gateway's own mistake: nothing may pass because of it.
                Error::forbidden("insufficient_rights", "X-Keyward-Right holds something that is no right")
            })?;
            rights.push(right);
        }
    }
    Ok(rights)
}

/// `X-Keyward-Audience: reports`, set by the proxy for access tokens: those for others are refused.
fn expected_audience(headers: &HeaderMap, trusted: bool) -> Result<Option<&str>> {
    let mut sent = headers.get_all(AUDIENCE).iter();
    match (sent.next(), sent.next()) {
        (None, _) => Ok(None),
        _ if !trusted => {
            Err(Error::forbidden("ambiguous_request", "X-Keyward-Audience is for trusted proxies"))
        }
        (Some(name), None) => name.to_str().map(Some).map_err(|_| ambiguous()),
        _ => Err(ambiguous()),
    }
}

fn allow(found: &Found, decision: &Decision, clock: Clock) -> Told {
    let identity = (principal(found), &*found.tenant, &*found.effective);
    let nothing = HeaderValue::from_static("");
    let key = found.key().map_or(nothing.clone(), |key| key.id.with_text(header));
    let mut response = pass(identity, (key, nothing), decision);
    limits::write_headers(response.headers_mut(), found, decision, clock);
    response
}

fn allow_token(found: &FoundToken, decision: &Decision, clock: Clock) -> Told {
    let identity = (Some(token_principal(found)), &*found.tenant, &*found.effective);
    let claims = &found.checked.claims;
    let actor = claims.act.as_ref().map_or("", |act| &act.sub);
    let mut response = pass(identity, (header(&found.origin.id()), header(actor)), decision);
    if let tokens::Origin::Key(key) = &found.origin {
        limits::write_headers(response.headers_mut(), key, decision, clock);
    }
    response
}

/// 200 with the identity: principal, tenant and rights, then the key and who acts through it.
fn pass(
    (principal, tenant, effective): (Option<PrincipalRef<'_>>, &TenantRecord, &Effective),
    (key, actor): (HeaderValue, HeaderValue),
    decision: &Decision,
) -> Told {
    let Decision::Allow { expires_at, cache_seconds, .. } = decision else { unreachable!("allowed") };
    let mut response = Response::new(Bytes::new());
    let headers = response.headers_mut();
    let nothing = HeaderValue::from_static("");
    let rights = if effective.header.len() > MAX_RIGHTS { "" } else { &effective.header };
    let values = [
        principal.as_ref().map_or(nothing.clone(), |principal| principal.id.with_text(header)),
        header(principal.and_then(|principal| principal.username).unwrap_or_default()),
        tenant.id.with_text(header),
        key,
        header(rights),
        actor,
        expires_at.map_or(nothing, |at| Moment(at).with_text(header)),
    ];
    for (name, value) in IDENTITY.into_iter().zip(values) {
        headers.insert(name, value);
    }
    let cache = match cache_seconds {
        0 => HeaderValue::from_static("no-store"),
        seconds => header(&format!("private, max-age={seconds}")),
    };
    headers.insert(CACHE_CONTROL, cache);
    mark(headers, StatusCode::OK, "ok");
    response
}

/// A header value; what HTTP cannot carry is percent-encoded.
fn header(text: &str) -> HeaderValue {
    // A name that holds a percent sign must not pass for the encoding of another name.
    if text.is_ascii()
        && !text.contains('%')
        && let Ok(value) = HeaderValue::from_str(text)
    {
        return value;
    }
    let encoded = utf8_percent_encode(text, UNSAFE).to_string();
    HeaderValue::from_str(&encoded).unwrap_or(HeaderValue::from_static(""))
}

/// The answer to a question that could not be read.
pub(crate) fn deny(error: Error, request_id: &str) -> Told {
    refuse(&error.into(), request_id, &HeaderMap::new())
}

fn refuse(refusal: &Refusal, request_id: &str, asked: &HeaderMap) -> Told {
    let mut reply = super::dispatch::told(&refusal.error, request_id);
    let status = problem::status(&refusal.error);
    let headers = reply.headers_mut();
    for name in IDENTITY {
        headers.insert(name, HeaderValue::from_static(""));
    }
    if let Some(seconds) = refusal.retry_after {
        headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    if status != StatusCode::UNAUTHORIZED {
        headers.remove(WWW_AUTHENTICATE);
    }
    mark(headers, status, problem::code(&refusal.error));
    // nginx turns everything but 401 and 403 into 500: it asks for one status and maps by the other.
    let wished = asked.get(DENY_STATUS).and_then(|value| value.to_str().ok());
    if wished == Some("403") && status != StatusCode::UNAUTHORIZED {
        *reply.status_mut() = StatusCode::FORBIDDEN;
    }
    reply
}

/// The status that was meant and why, for gateways that can pass on little else.
fn mark(headers: &mut HeaderMap, status: StatusCode, code: &'static str) {
    headers.insert(STATUS, HeaderValue::from(status.as_u16()));
    headers.insert(CODE, HeaderValue::from_static(code));
}
