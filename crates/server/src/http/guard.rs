//! What stands before every handler of `/v1`: set-up, authentication, the declared right,
//! idempotency.

use std::sync::Arc;

use axum::extract::{FromRequestParts, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::Method;
use http::header::IF_MATCH;
use http::request::Parts;

use super::caller::authenticate;
use super::problem::Problem;
use super::router::Need;
use super::{cookie, idempotency};
use crate::app::{Actor, App, Call};
use crate::error::{Error, Result};

/// What the guard of one route knows.
#[derive(Clone)]
pub(crate) struct Gate {
    pub(crate) app: Arc<App>,
    pub(crate) need: Need,
    pub(crate) operation: &'static str,
}

/// The authenticated caller of a handler.
pub(crate) struct Caller(pub(crate) Actor);

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let actor = parts.extensions.get::<Actor>().cloned();
        actor.map(Self).ok_or_else(|| Problem(Error::Unauthenticated("no_credential")))
    }
}

/// Lets a request through to its handler, or refuses it.
pub(crate) async fn guard(State(gate): State<Gate>, request: Request, next: Next) -> Response {
    match admit(&gate, request, next).await {
        Ok(response) => response,
        Err(error) => Problem(error).into_response(),
    }
}

async fn admit(gate: &Gate, mut request: Request, next: Next) -> Result<Response> {
    let app = &gate.app;
    if matches!(gate.need, Need::Open) {
        return Ok(next.run(request).await);
    }
    if !app.is_set_up().await? {
        return Err(Error::NotSetUp);
    }
    let call = request.extensions().get::<Call>().cloned().unwrap_or_default();
    let mut actor = authenticate(app, request.headers(), call).await?;
    if actor.session.as_ref().is_some_and(|session| session.in_cookie) {
        cookie::must_be_same_origin(request.method(), request.headers(), &app.settings.server)?;
    }
    let request_id = &*actor.call.request_id;
    tracing::debug!(operation = gate.operation, actor = %actor.principal.id, request_id, "called");
    must_fit(app, &actor, gate.need, gate.operation)?;
    actor.if_match = if_match(&request)?;
    take_validate_only(&mut request, &mut actor)?;
    if actor.validate_only && matches!(gate.need, Need::Session | Need::Enrolment) {
        let detail = "what is about the session that asks cannot be tried out";
        return Err(Error::malformed("validate_only", "unknown_field", detail));
    }
    let response = if request.method() == Method::POST && !actor.validate_only {
        idempotency::run(app, actor.clone(), request, next).await?
    } else {
        request.extensions_mut().insert(actor.clone());
        next.run(request).await
    };
    if let Some(pending) = response.extensions().get::<super::problem::Pending>()
        && matches!(*pending.0, Error::Forbidden { .. })
    {
        app.refusals.note(&actor, gate.operation, super::problem::code(&pending.0));
    }
    Ok(response)
}

/// Refuses an actor who lacks what a route declares (AZ-1).
///
/// # Errors
/// 403, which is noted where a right or a second factor is missing, or a token asks (IMP-2).
pub(crate) fn must_fit(app: &App, actor: &Actor, need: Need, operation: &'static str) -> Result<()> {
    if actor.by_token && !matches!(need, Need::Caller) {
        // A token never manages anything, whatever its subject may do (IMP-2).
        app.refusals.note(actor, operation, "token_cannot_manage");
        return Err(Error::forbidden("token_cannot_manage", super::problems::detail("token_cannot_manage")));
    }
    let enrolment_only = actor.session.as_ref().is_some_and(|session| session.enrolment_only);
    if enrolment_only && !matches!(need, Need::Caller | Need::Enrolment) {
        app.refusals.note(actor, operation, "second_factor_missing");
        let detail = super::problems::detail("second_factor_missing");
        return Err(Error::forbidden("second_factor_missing", detail));
    }
    if let Need::OneOf(rights) = need
        && !rights.iter().any(|right| actor.may(right))
    {
        app.refusals.note(actor, operation, "insufficient_rights");
        let detail = format!("this needs the right {}", rights.join(" or "));
        return Err(Error::forbidden("insufficient_rights", detail));
    }
    if matches!(need, Need::Session | Need::Enrolment) && actor.session.is_none() {
        return Err(Error::forbidden("not_a_session", super::problems::detail("not_a_session")));
    }
    Ok(())
}

/// `If-Match: "7"`; `*` and weak tags match anything and nothing, as RFC 9110 has it.
fn if_match(request: &Request) -> Result<Option<i64>> {
    let Some(value) = request.headers().get(IF_MATCH) else { return Ok(None) };
    let text = value.to_str().unwrap_or_default().trim();
    if text == "*" {
        return Ok(None);
    }
    let version = text.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
    version.and_then(|text| text.parse().ok()).map(Some).ok_or(Error::StaleVersion)
}

/// `?validate_only=true` is every write's parameter: it is taken here and never seen by handlers.
fn take_validate_only(request: &mut Request, actor: &mut Actor) -> Result<()> {
    let query = request.uri().query().unwrap_or_default();
    if !query.contains("validate_only") {
        return Ok(());
    }
    if !matches!(*request.method(), Method::POST | Method::PATCH) {
        return Err(Error::malformed(
            "validate_only",
            "unknown_field",
            "only POST and PATCH can be tried out",
        ));
    }
    let mut kept = Vec::new();
    for part in query.split('&') {
        match part {
            "validate_only=true" => actor.validate_only = true,
            "validate_only=false" => {}
            part if part.starts_with("validate_only") => {
                return Err(Error::malformed("validate_only", "bad_value", "expected true or false"));
            }
            part => kept.push(part),
        }
    }
    let path = request.uri().path();
    let uri = if kept.is_empty() { path.to_owned() } else { format!("{path}?{}", kept.join("&")) };
    *request.uri_mut() = uri.parse().map_err(Error::internal)?;
    Ok(())
}

/// For paths that are none of ours.
pub(crate) async fn not_found() -> Problem {
    Problem(Error::NotFound)
}

/// For methods that a path does not have; axum adds `Allow`.
pub(crate) async fn method_not_allowed() -> Problem {
    Problem(Error::Http {
        status: 405,
        code: "method_not_allowed",
        detail: "the Allow header lists the methods of this path".into(),
    })
}
