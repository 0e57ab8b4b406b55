//! `POST /v1/verify` and its batch: the hot routes (`api.md` 11), answered before the router.
//! Always 200; `valid: false` is no HTTP error.

pub(crate) mod answer;
pub(crate) mod question;

use std::sync::atomic::Ordering;

use http::{HeaderMap, HeaderName, HeaderValue, Request};
use hyper::body::Incoming;
use keyward_core::decide::{Code, Now};
use keyward_core::id::TenantId;
use keyward_core::right::Right;

use self::question::{BatchIn, Question, VerifyIn};
use super::dispatch::{Origin, Reply, json_reply};
use super::{body, caller};
use crate::app::{Actor, App};
use crate::error::{Error, Result};
use crate::failures;
use crate::verify::Ask;

/// Room for one answer.
const ANSWER: usize = 640;
/// Up to which change the node knew the facts of an answer; `/v1/verify/changes` tells what came after.
const POSITION: HeaderName = HeaderName::from_static("x-keyward-position");

/// Who may verify what: a caller with `verify:call`, keys of its own tenant; an operator, any.
#[derive(Clone, Copy)]
struct Reach {
    /// The tenant that the caller acts in.
    home: TenantId,
    /// The tenant whose keys exist for it; all if none.
    tenant: Option<TenantId>,
    may_explain: bool,
}

/// Answers `POST /v1/verify`.
pub(crate) async fn one(app: &App, origin: &Origin<'_>, request: Request<Incoming>) -> Result<Reply> {
    let (head, body) = request.into_parts();
    let reach = reach(app, origin, &head.headers).await?;
    let body = body::read_body(body, &app.settings).await?;
    let input: VerifyIn<'_> = question::read(&head.headers, &body)?;
    let mut out = Vec::with_capacity(ANSWER);
    let question = Question::check(&input, "", reach.may_explain)?;
    // Before the facts are looked up: what changes meanwhile comes after it.
    let position = head
        .headers
        .contains_key(POSITION)
        .then(|| HeaderValue::from(app.verifier.cache.health.applied_seq.load(Ordering::Acquire)));
    verify(app, &question, reach, app.clock.now(), &mut out).await?;
    let mut reply = json_reply(out);
    if let Some(position) = position {
        reply.headers_mut().insert(POSITION, position);
    }
    Ok(reply)
}

/// Answers `POST /v1/verify/batch`.
pub(crate) async fn batch(app: &App, origin: &Origin<'_>, request: Request<Incoming>) -> Result<Reply> {
    let (head, body) = request.into_parts();
    let reach = reach(app, origin, &head.headers).await?;
    let body = body::read_body(body, &app.settings).await?;
    let input: BatchIn<'_> = question::read(&head.headers, &body)?;
    let questions = Question::check_all(&input, reach.may_explain)?;
    let now = app.clock.now();
    let mut out = Vec::with_capacity(ANSWER * questions.len());
    out.extend_from_slice(br#"{"results":["#);
    for (number, question) in questions.iter().enumerate() {
        if number > 0 {
            out.push(b',');
        }
        verify(app, question, reach, now, &mut out).await?;
    }
    out.extend_from_slice(b"]}");
    Ok(json_reply(out))
}

/// Authenticates the caller by the same path, from memory in nearly every case.
async fn reach(app: &App, origin: &Origin<'_>, headers: &HeaderMap) -> Result<Reach> {
    app.must_be_set_up().await?;
    let call = || caller::call(headers, origin);
    let identity = caller::identify(app, headers, origin.address(headers), call).await?;
    if !headers.contains_key(caller::TENANT) {
        let actor = || identity.actor(call());
        let (rights, home) = (&identity.effective().rights, identity.tenant().id);
        return reach_of(app, |right| rights.covers(right), home, identity.is_token(), actor);
    }
    let actor = Box::pin(caller::actor(app, headers, identity, call())).await?;
    let home = actor.tenant_id.parse().map_err(Error::internal)?;
    reach_of(
        app,
        |right| actor.rights.covers(right),
        home,
        actor.visiting || actor.by_token,
        || actor.clone(),
    )
}

fn reach_of(
    app: &App,
    covers: impl Fn(&Right) -> bool,
    home: TenantId,
    bounded: bool,
    actor: impl Fn() -> Actor,
) -> Result<Reach> {
    if !covers(&app.rights.verify_call) {
        app.refusals.note(&actor(), "verify", "insufficient_rights");
        return Err(Error::forbidden("insufficient_rights", "this needs the right verify:call"));
    }
    // Whoever may enter every tenant reaches every key, unless it has entered one; no token does.
    let everywhere = !bounded && covers(&app.rights.enter_tenants);
    let tenant = (!everywhere).then_some(home);
    Ok(Reach { home, tenant, may_explain: covers(&app.rights.verify_explain) })
}

/// Verifies and writes the answer as JSON.
async fn verify(app: &App, question: &Question<'_>, reach: Reach, now: Now, out: &mut Vec<u8>) -> Result<()> {
    let ask = Ask {
        presented: question.presented,
        request: question.request(),
        sighting: question.sighting(),
        tenant: reach.tenant,
        now,
    };
    let mut verified = app.verifier.verify(&ask).await?;
    app.metrics.verified(&verified.decision);
    failures::throttle(app, &mut verified, reach.home, ask.request.address);
    let explain = match &verified.found {
        Some(found) if question.wants_explanation() => {
            Some(app.verifier.explain(found, verified.secret.as_ref(), &ask.request))
        }
        None if question.wants_explanation() => {
            verified.token.as_ref().map(|found| app.verifier.explain_token(found, &ask.request))
        }
        _ => None,
    };
    answer::shape(&verified, explain).write(out);
    Ok(())
}

/// The status that a gateway should answer a reason with.
pub(crate) fn status_of(code: Code) -> u16 {
    match code {
        Code::AddressDenied
        | Code::SecondFactorMissing
        | Code::InsufficientRights
        | Code::ConditionFailed => 403,
        Code::RateLimited | Code::CreditsExhausted => 429,
        _ => 401,
    }
}
