//! Who calls, and what a caller needs: as the guard of `/v1` has it.

use http::Method;
use http::header::HeaderMap;

use crate::app::{Actor, App, Call};
use crate::error::{Error, Result};
use crate::http::dialects::door;
pub(super) use crate::http::dialects::noted;
use crate::http::{caller, guard, router};
use crate::verify::Presented;

/// What a caller of one operation must hold: one of these rights.
pub(super) struct Need {
    /// As the audit log names it.
    pub(super) operation: &'static str,
    pub(super) rights: &'static [&'static str],
}

/// The caller behind `x-sq-auth` or its cookie, or behind `Authorization`.
///
/// # Errors
/// 401 without a credential or with a wrong one, 400 for several, 403 for a cookie without its header.
pub(super) async fn enter(app: &App, (method, headers): (&Method, &HeaderMap), call: Call) -> Result<Actor> {
    let identity = match caller::credential(headers, &app.settings.server.api_key_header) {
        Err(Error::Unauthenticated("no_credential")) => {
            let token = door::of_seeq(headers, Some(method.as_str()))?;
            let token = token.ok_or(Error::Unauthenticated("no_credential"))?;
            caller::identify_presented(app, Presented::Secret(token), &call).await?
        }
        Ok(_) if headers.contains_key(door::SQ_AUTH) => return Err(caller::multiple()),
        found => caller::identify_presented(app, found?.presented(), &call).await?,
    };
    Ok(identity.actor(call))
}

/// The same, if it holds one of these rights and is no access token, which manages nothing (IMP-2).
///
/// # Errors
/// As [`enter`], and 403.
pub(super) async fn enter_with(
    app: &App,
    request: (&Method, &HeaderMap),
    call: Call,
    need: &Need,
) -> Result<Actor> {
    let actor = enter(app, request, call).await?;
    guard::must_fit(app, &actor, router::Need::OneOf(need.rights), need.operation)?;
    Ok(actor)
}
