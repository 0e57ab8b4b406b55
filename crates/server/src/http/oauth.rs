//! `/oauth2/*`: the standard doors for whoever holds a key (X13). Forms in, JSON out, errors as RFC 6749
//! §5.2 has them; never from a browser, and nothing is ever kept by anybody in between.

mod client;
pub(crate) mod documentation;
mod error;
mod form;
pub(crate) mod metadata;

use std::sync::Arc;

use http::{HeaderMap, HeaderValue, Method, Request};
use hyper::body::Incoming;
use keyward_core::id::KeyId;
use keyward_core::right::RightSet;
use keyward_core::token;
use serde::Serialize;
use serde_json::Map;

use self::error::{Refusal, Told};
use self::form::Form;
use super::dispatch::{Origin, Reply, harden, json_reply};
use super::{body, trusted};
use crate::app::App;
use crate::error::{Error, Result};
use crate::oauth::issue::{self, Issued, Wish};
use crate::oauth::{self, Holder, exchange, introspect};

/// `grant_type` of RFC 6749 §4.4.
pub(crate) const CLIENT_CREDENTIALS: &str = "client_credentials";
/// `grant_type` of RFC 8693.
pub(crate) const TOKEN_EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
/// The type of every token here: keys, and access tokens.
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";

/// One of the doors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Endpoint {
    Token,
    Introspection,
    Revocation,
}

impl Endpoint {
    /// The door at a path.
    pub(crate) fn at(path: &str) -> Option<Self> {
        match path {
            documentation::TOKEN => Some(Self::Token),
            documentation::INTROSPECT => Some(Self::Introspection),
            documentation::REVOKE => Some(Self::Revocation),
            _ => None,
        }
    }

    fn operation(self) -> &'static str {
        match self {
            Self::Token => "oauth_token",
            Self::Introspection => "oauth_introspect",
            Self::Revocation => "oauth_revoke",
        }
    }
}

/// Answers at one of the doors; never fails.
pub(crate) async fn answer(
    app: &Arc<App>,
    origin: &Origin<'_>,
    endpoint: Endpoint,
    request: Request<Incoming>,
) -> Reply {
    let mut reply = match serve(app, origin, endpoint, request).await {
        Ok(reply) => reply,
        Err(refusal) => refusal.respond(origin.request_id()),
    };
    // RFC 6749 §5.1 asks for both.
    reply.headers_mut().insert("pragma", HeaderValue::from_static("no-cache"));
    harden(reply.headers_mut());
    reply
}

async fn serve(
    app: &Arc<App>,
    origin: &Origin<'_>,
    endpoint: Endpoint,
    request: Request<Incoming>,
) -> Told<Reply> {
    app.must_be_set_up().await?;
    let (head, body) = request.into_parts();
    if head.method != Method::POST {
        return Err(Refusal::method());
    }
    if head.uri.query().is_some_and(|query| !query.is_empty()) {
        return Err(Refusal::request("parameters go into the body alone"));
    }
    let body = body::read_body(body, &app.settings).await?;
    let form = Form::read(&head.headers, &body)?;
    let holder = client::authenticate(app, origin, &head.headers, &form).await?;
    if trusted::is_browser(&head.headers) {
        app.refusals.note(&holder.actor(), endpoint.operation(), "browser_call");
        return Err(Refusal::request("secrets never reach a browser: call from a server"));
    }
    let told = match endpoint {
        Endpoint::Token => token(app, &holder, &form).await,
        Endpoint::Introspection => introspection(app, &holder, &form).await,
        Endpoint::Revocation => revocation(app, &holder, &form).await,
    };
    if let Err(refusal) = &told {
        app.refusals.note(&holder.actor(), endpoint.operation(), refusal.word());
    }
    told
}

#[derive(Serialize)]
struct TokenOut<'a> {
    access_token: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    issued_token_type: Option<&'static str>,
    token_type: &'static str,
    expires_in: i64,
    scope: &'a str,
}

async fn token(app: &Arc<App>, holder: &Holder, form: &Form) -> Told<Reply> {
    let grant = form.required("grant_type")?;
    let (issued, issued_token_type): (Issued, _) = match grant {
        CLIENT_CREDENTIALS => (issue::of_client(app, holder, &wish(form)?).await?, None),
        TOKEN_EXCHANGE => {
            let subject = subject(form)?;
            let issued = exchange::exchange(app, holder, subject, &wish(form)?).await?;
            (issued, Some(ACCESS_TOKEN))
        }
        _ => return Err(Refusal::new(400, "unsupported_grant_type", "see grant_types_supported")),
    };
    let Issued { token, expires_in, scope } = &issued;
    reply(&TokenOut {
        access_token: token,
        issued_token_type,
        token_type: "Bearer",
        expires_in: *expires_in,
        scope,
    })
}

/// The token to exchange; a key is one, too.
fn subject(form: &Form) -> Told<&str> {
    let subject = form.required("subject_token")?;
    if form.required("subject_token_type")? != ACCESS_TOKEN {
        return Err(Refusal::request("subject_token_type must be the one of access tokens"));
    }
    if form.one("requested_token_type").is_some_and(|wanted| wanted != ACCESS_TOKEN) {
        return Err(Refusal::request("requested_token_type must be the one of access tokens"));
    }
    if form.one("actor_token").is_some() || form.one("actor_token_type").is_some() {
        return Err(Refusal::request("the client is who acts: leave actor_token out"));
    }
    Ok(subject)
}

/// What both grants may ask for.
fn wish(form: &Form) -> Told<Wish> {
    let number = |name: &str| match form.one(name).map(str::parse::<i64>) {
        Some(Err(_)) => Err(Refusal::request(&format!("{name} must be a whole number"))),
        other => Ok(other.and_then(Result::ok)),
    };
    let may_act = form.one("may_act").map(str::to_owned);
    if may_act.as_ref().is_some_and(|id| id.parse::<KeyId>().is_err()) {
        return Err(Refusal::request("may_act must be the id of a key"));
    }
    let budget = number("budget")?.map(|uses| u32::try_from(uses).unwrap_or(0));
    let mut audience: Vec<String> = form.many("audience").map(str::to_owned).collect();
    for resource in form.many("resource") {
        // RFC 8707 §2: an absolute URI without fragment.
        if !resource.contains("://") || resource.contains('#') {
            return Err(Refusal::new(400, "invalid_target", "resource must be an absolute URI"));
        }
        audience.push(resource.to_owned());
    }
    let (scope, expires_in, ext) = (scope(form)?, number("expires_in")?, Map::new());
    Ok(Wish { scope, audience, expires_in, may_act, budget, ext, bare: false })
}

fn scope(form: &Form) -> Told<Option<RightSet>> {
    let Some(text) = form.one("scope") else { return Ok(None) };
    let words = text.split(' ').filter(|word| !word.is_empty());
    let rights = words.map(|word| {
        word.parse().map_err(|_| Refusal::new(400, "invalid_scope", "a scope is a right: models/emea:read"))
    });
    rights.collect::<Told<RightSet>>().map(Some)
}

async fn introspection(app: &Arc<App>, holder: &Holder, form: &Form) -> Told<Reply> {
    let audience = form.many("audience").next();
    let told = introspect::introspect(app, holder, form.required("token")?, audience).await?;
    reply(&told)
}

async fn revocation(app: &Arc<App>, holder: &Holder, form: &Form) -> Told<Reply> {
    let text = form.required("token")?;
    if token::parse(text, &app.verifier.prefixes).is_some() || token::parse_trusted(text).is_some() {
        let detail = "this is a key: revoke it under /v1/keys";
        return Err(Refusal::new(400, "unsupported_token_type", detail));
    }
    oauth::revoke(app, holder, text).await?;
    Ok(json_reply(Vec::new()))
}

fn reply(body: &impl Serialize) -> Told<Reply> {
    Ok(json_reply(serde_json::to_vec(body).map_err(Error::internal)?))
}

/// The one value of a header; `None` when there is none.
fn single<'h>(headers: &'h HeaderMap, name: &http::HeaderName) -> Told<Option<&'h HeaderValue>> {
    let mut sent = headers.get_all(name).iter();
    let first = sent.next();
    if sent.next().is_some() {
        return Err(Refusal::request("send one credential, once"));
    }
    Ok(first)
}
