//! Who the client is: a member or workspace key, its access key as `client_id` and its secret as
//! `client_secret` (RFC 6749 §2.3.1).

use std::sync::Arc;
use std::sync::atomic::Ordering;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use keyward_core::decide::{Code, Decision, Request};
use zeroize::Zeroizing;

use super::error::{Refusal, Told};
use super::form::{Form, decode};
use super::single;
use crate::app::App;
use crate::error::Error;
use crate::failures;
use crate::http::caller;
use crate::http::dispatch::Origin;
use crate::oauth::Holder;
use crate::verify::usage::Sighting;
use crate::verify::{Ask, Presented, Verified};

/// How a client may prove who it is.
pub(super) const METHODS: [&str; 2] = ["client_secret_basic", "client_secret_post"];

type Pair = (Zeroizing<String>, Zeroizing<String>);

/// Proves who the client is, or refuses.
pub(super) async fn authenticate(
    app: &Arc<App>,
    origin: &Origin<'_>,
    headers: &HeaderMap,
    form: &Form,
) -> Told<Holder> {
    let (id, secret) = credential(app, headers, form)?;
    let call = caller::call(headers, origin);
    let as_of = app.verifier.cache.health.applied_seq.load(Ordering::Acquire);
    let ask = Ask {
        presented: Presented::Pair(&id, &secret),
        request: Request { address: call.address, cost: 1, ..Request::default() },
        sighting: Sighting { address: call.address, agent: caller::agent(headers) },
        tenant: None,
        now: app.clock.now(),
    };
    let verified = app.verifier.verify(&ask).await?;
    let Decision::Allow { expires_at, .. } = verified.decision else {
        return Err(refuse(app, &verified, &call, as_of));
    };
    let (Some(found), Some(secret)) = (verified.found, verified.secret) else {
        return Err(Error::internal("allowed without facts").into());
    };
    let (access_key, key) = found.key.clone().ok_or_else(|| Error::internal("a pair without a key"))?;
    let holder = Holder { found, access_key, key, generation: secret.generation, expires_at, as_of, call };
    if !holder.found.may_manage() {
        app.refusals.note(&holder.actor(), "auth.refused", "wrong_class");
        return Err(Refusal::new(400, "unauthorized_client", "ingest keys are no clients"));
    }
    Ok(holder)
}

/// The one credential: Basic, or in the form.
fn credential(app: &App, headers: &HeaderMap, form: &Form) -> Told<Pair> {
    if headers.contains_key(&app.settings.server.api_key_header) {
        return Err(Refusal::request("send the key as Basic, or as client_id and client_secret"));
    }
    let in_form = (form.one("client_id"), form.one("client_secret"));
    let Some(sent) = single(headers, &AUTHORIZATION)? else {
        return match in_form {
            (Some(id), Some(secret)) => {
                Ok((Zeroizing::new(id.to_owned()), Zeroizing::new(secret.to_owned())))
            }
            _ => Err(Refusal::client("no_credential")),
        };
    };
    if in_form.1.is_some() {
        return Err(Refusal::request("prove who you are in one way"));
    }
    let (id, secret) = sent.to_str().ok().and_then(basic).ok_or(Refusal::client("invalid_key"))?;
    if in_form.0.is_some_and(|named| named != *id) {
        return Err(Refusal::request("client_id is not who proves itself"));
    }
    Ok((id, secret))
}

/// Both halves are encoded as in a form, before they are joined.
fn basic(header: &str) -> Option<Pair> {
    let (scheme, encoded) = header.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let bytes = Zeroizing::new(STANDARD.decode(encoded.trim()).ok()?);
    let (id, secret) = std::str::from_utf8(&bytes).ok()?.split_once(':')?;
    Some((Zeroizing::new(decode(id).ok()?), Zeroizing::new(decode(secret).ok()?)))
}

/// What a refused client hears, and what is noted about it.
fn refuse(app: &App, verified: &Verified, call: &crate::app::Call, as_of: i64) -> Refusal {
    let Decision::Deny { code, retry_after_seconds } = verified.decision else {
        return Error::internal("refused without a reason").into();
    };
    app.metrics.refused_callers.inc();
    if let Some(found) = &verified.found {
        let actor = caller::actor_of(found, call.clone(), as_of);
        let actor = actor.with_secret(verified.secret.map(|secret| secret.generation));
        app.refusals.note(&actor, "auth.refused", code.as_str());
    } else if let Some(seconds) = failures::note(app, None, "oauth", call.address) {
        return Error::RateLimited(seconds).into();
    }
    match code {
        Code::RateLimited | Code::CreditsExhausted => Error::RateLimited(retry_after_seconds.max(1)).into(),
        // Whoever checks a token offline could not know of the condition.
        Code::ConditionFailed => {
            Refusal::new(400, "unauthorized_client", "a key with such conditions gets no tokens")
        }
        code => Refusal::client(code.public()),
    }
}
