//! Who calls.
//!
//! An access token manages nothing in Keyward (IMP-2). Here the product has its clients do everything with the
//! JWT of their login, so one that was made by that login, and by nothing else, stands for its key: same rights,
//! same conditions, and over with the key. It names the session that the login opened: it is no fresher than
//! that (SES-6), is over when that ends, and nowhere else does it manage anything.

use http::HeaderMap;
use keyward_core::token::AccessKey;
use serde_json::{Map, Value};

use crate::app::{Actor, App, Call};
use crate::error::{Error, Result};
use crate::http::caller::{self, Identity};
use crate::http::problems;

/// The claim that marks the tokens of the login: the public part of its session.
const MARK: &str = "ims";

/// What the login puts into the tokens of its session.
pub(super) fn mark(session: AccessKey) -> Map<String, Value> {
    Map::from_iter([(MARK.to_owned(), Value::String(session.digits().to_owned()))])
}

/// What a request asks for: the operation, and rights of which it needs one.
pub(super) type Need = (&'static str, &'static [&'static str]);

/// The caller behind `Authorization`.
///
/// # Errors
/// 401 without a credential or with a wrong one, 403 for other tokens and without the right.
pub(super) async fn enter(app: &App, headers: &HeaderMap, call: &Call, need: Need) -> Result<Actor> {
    let (operation, rights) = need;
    let credential = caller::credential(headers, &app.settings.server.api_key_header)?;
    let identity = caller::identify_presented(app, credential.presented(), call).await?;
    let actor = if identity.is_token() {
        behind(app, &identity, call, operation).await?
    } else {
        identity.actor(call.clone())
    };
    // What one may do with one's own is nothing for a key of the workspace, which nobody owns.
    let counts = |right: &&&str| actor.user_id().is_some() || !right.starts_with("me/");
    if rights.is_empty() || rights.iter().filter(counts).any(|right| actor.may(right)) {
        return Ok(actor);
    }
    app.refusals.note(&actor, operation, "insufficient_rights");
    let detail = format!("this needs the right {}", rights.join(" or "));
    Err(Error::forbidden("insufficient_rights", detail))
}

/// The key behind a token of the login, in the session that the token names.
async fn behind(app: &App, identity: &Identity, call: &Call, operation: &'static str) -> Result<Actor> {
    let Some(handle) = identity.session_behind(MARK) else {
        let code = "token_cannot_manage";
        app.refusals.note(&identity.actor(call.clone()), operation, code);
        return Err(Error::forbidden(code, problems::detail(code)));
    };
    let session = app.verifier.cache.wait_for(|cache, now| cache.session(handle, now)).await?;
    let now = app.clock.unix_ms();
    let actor = session.and_then(|session| identity.key_in(session, now, call.clone()));
    actor.ok_or_else(|| {
        app.refusals.note(&identity.actor(call.clone()), operation, "revoked");
        Error::Unauthenticated("invalid_key")
    })
}
