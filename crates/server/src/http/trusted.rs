//! The doors that a trusted secret opens, and no other ones do (TS2): asking for tokens, ending them,
//! looking at them. Answered before the router, because tokens are asked for as often as verified.

use std::net::IpAddr;
use std::sync::Arc;

use http::Request;
use http::header::{COOKIE, HeaderMap, ORIGIN};
use hyper::body::Incoming;
use serde::de::DeserializeOwned;

use super::caller::Credential;
use super::dispatch::{Origin, Reply, json_reply};
use super::verify::{answer, question};
use super::{body, caller, problems};
use crate::app::{App, Call};
use crate::error::{Error, Result};
use crate::failures;
use crate::tokens;
use crate::trusted::firsts::First;
use crate::trusted::mint::Minted;
use crate::trusted::wire::{RevokeTokenIn, TokenIn, ValidateTokenIn};
use crate::trusted::{mint, subject};
use crate::verify::trusted::{Backend, Bar, Closed};
use crate::verify::usage::Sighting;
use crate::verify::{Ask, Presented};

/// Answers `POST /v1/trusted/tokens`.
pub(crate) async fn mint(app: &Arc<App>, origin: &Origin<'_>, request: Request<Incoming>) -> Result<Reply> {
    let (head, body) = request.into_parts();
    let input: TokenIn = read(app, &head.headers, body).await?;
    let secret = input.secret_key.as_deref();
    let (backend, call) = enter(app, origin, &head.headers, secret, "mint_token").await?;
    let minted = give(app, &backend, &input, call).await?;
    Ok(json_reply(serde_json::to_vec(&minted.created()).map_err(Error::internal)?))
}

/// Gives a token, or notes why not: in the log of the secret's tenant, and of that which was asked about.
pub(super) async fn give(app: &Arc<App>, backend: &Backend, input: &TokenIn, call: Call) -> Result<Minted> {
    let mut target = None;
    let minted = async {
        let tenant = subject::tenant(app, backend, input.tenant.as_deref()).await?;
        target = Some(tenant.id);
        mint::mint(app, backend, &tenant, input, call.clone()).await
    };
    match minted.await {
        Ok(minted) => Ok(minted),
        Err(error) => {
            let code = super::problem::code(&error);
            if let Some(target) = target.filter(|target| *target != backend.tenant.id) {
                let actor = backend.actor(&target.to_string(), call.clone());
                app.refusals.note(&actor, "mint_token", code);
            }
            note(app, backend, call, "mint_token", code);
            Err(error)
        }
    }
}

/// Answers `POST /v1/trusted/tokens/revoke`.
pub(crate) async fn revoke(app: &Arc<App>, origin: &Origin<'_>, request: Request<Incoming>) -> Result<Reply> {
    let (head, body) = request.into_parts();
    let input: RevokeTokenIn = read(app, &head.headers, body).await?;
    let secret = input.secret_key.as_deref();
    let (backend, call) = enter(app, origin, &head.headers, secret, "revoke_trusted_token").await?;
    let done = tokens::revoke_by(app, &backend, input, call.clone()).await.inspect_err(|error| {
        note(app, &backend, call, "revoke_trusted_token", super::problem::code(error));
    })?;
    Ok(json_reply(serde_json::to_vec(&done).map_err(Error::internal)?))
}

/// Answers `POST /v1/trusted/tokens/validate`: as verify does, of tokens in the secret's reach.
pub(crate) async fn validate(
    app: &Arc<App>,
    origin: &Origin<'_>,
    request: Request<Incoming>,
) -> Result<Reply> {
    let (head, body) = request.into_parts();
    let input: ValidateTokenIn = read(app, &head.headers, body).await?;
    let secret = input.secret_key.as_deref();
    let (backend, _) = enter(app, origin, &head.headers, secret, "validate_token").await?;
    let ask = Ask {
        presented: Presented::Token(&input.token),
        request: keyward_core::decide::Request { cost: 0, ..Default::default() },
        sighting: Sighting::default(),
        tenant: (backend.tenant.number != 0).then_some(backend.tenant.id),
        now: app.clock.now(),
    };
    let verified = app.verifier.verify(&ask).await?;
    let mut out = Vec::with_capacity(1024);
    answer::shape(&verified, None).write(&mut out);
    Ok(json_reply(out))
}

async fn read<T: DeserializeOwned>(app: &App, headers: &HeaderMap, body: Incoming) -> Result<T> {
    let body = body::read_body(body, &app.settings).await?;
    question::read(headers, if body.is_empty() { b"{}" } else { &body })
}

/// Whose secret came, in a header or in the body.
async fn enter(
    app: &Arc<App>,
    origin: &Origin<'_>,
    headers: &HeaderMap,
    in_body: Option<&str>,
    operation: &'static str,
) -> Result<(Backend, Call)> {
    app.must_be_set_up().await?;
    let secret = credential(app, headers, in_body)?;
    let call = || caller::call(headers, origin);
    admit(app, headers, (secret, origin.address(headers)), call, operation).await
}

/// Whose secret it is, unless it came from a browser.
pub(super) async fn admit(
    app: &App,
    headers: &HeaderMap,
    (secret, address): (&str, Option<IpAddr>),
    call: impl Fn() -> Call,
    operation: &'static str,
) -> Result<(Backend, Call)> {
    match app.verifier.backend(secret, address).await? {
        Err(closed) => Err(refusal(app, closed, call(), operation)),
        Ok(backend) => {
            let call = call();
            if is_browser(headers) {
                note(app, &backend, call, operation, "browser_call");
                return Err(Error::forbidden("browser_call", problems::detail("browser_call")));
            }
            if let Some(seconds) = backend.record.spend(backend.generation, app.clock.now()) {
                app.minting.firsts.note(&backend, First::spike(app.clock.unix_ms()), || call.clone());
                note(app, &backend, call, operation, "rate_limited");
                return Err(Error::RateLimited(seconds));
            }
            Ok((backend, call))
        }
    }
}

/// The one credential: as every other one comes, but alone, or in the body.
fn credential<'r>(app: &App, headers: &'r HeaderMap, in_body: Option<&'r str>) -> Result<&'r str> {
    let sent = caller::credential(headers, &app.settings.server.api_key_header);
    match (sent, in_body) {
        (Err(Error::Unauthenticated("no_credential")), Some(secret)) => Ok(secret),
        (Ok(_) | Err(Error::Unauthenticated("invalid_key")), Some(_)) => {
            let detail = "send one credential, once".into();
            Err(Error::Http { status: 400, code: "multiple_credentials", detail })
        }
        (Ok(Credential::Secret(secret)), None) => Ok(secret),
        (Ok(_) | Err(Error::Unauthenticated("invalid_key")), None) => {
            Err(Error::Unauthenticated("invalid_trusted_secret"))
        }
        (Err(error), _) => Err(error),
    }
}

/// Marks that only a browser leaves, or that one was made to pass on (TS7, IMP-8). A browser sends
/// several `Sec-Fetch-*` together; `Sec-Fetch-Mode` alone comes from Node's `fetch` on a server.
pub(super) fn is_browser(headers: &HeaderMap) -> bool {
    let fetched =
        |name: &http::HeaderName| name.as_str().strip_prefix("sec-fetch-").is_some_and(|rest| rest != "mode");
    headers.contains_key(ORIGIN) || headers.contains_key(COOKIE) || headers.keys().any(fetched)
}

/// A guess is counted by its source; a right secret that opens nothing stands in its tenant's log.
fn refusal(app: &App, closed: Closed, call: Call, operation: &'static str) -> Error {
    app.metrics.refused_callers.inc();
    let Closed::Barred(bar, backend) = closed else {
        return match failures::note(app, None, "trusted", call.address) {
            Some(seconds) => Error::RateLimited(seconds),
            None => Error::Unauthenticated("invalid_trusted_secret"),
        };
    };
    let error = match bar {
        Bar::Retired => Error::Unauthenticated("retired_secret"),
        Bar::Disabled => Error::Unauthenticated("trusted_disabled"),
        Bar::Suspended => Error::Unauthenticated("tenant_suspended"),
        Bar::Address => Error::forbidden("address_denied", problems::detail("address_denied")),
    };
    note(app, &backend, call, operation, super::problem::code(&error));
    error
}

/// What a right secret was refused stands in its tenant's log, merged and bounded.
fn note(app: &App, backend: &Backend, call: Call, operation: &'static str, code: &'static str) {
    app.refusals.note(&backend.actor(&backend.tenant.id.to_string(), call), operation, code);
}
