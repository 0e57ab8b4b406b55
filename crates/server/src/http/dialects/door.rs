//! Who calls in a dialect, and the cookies and headers that carry its sessions.
//!
//! The token of a dialect's session is a bearer token of Keyward, wherever the product has it carried: it
//! opens no console (SQ3), and ends with key, user and tenant (SQ8).

use http::Method;
use http::header::{HeaderMap, HeaderName};
use keyward_core::jwt::Compact;
use keyward_core::token;
use subtle::ConstantTimeEq as _;

use super::{Dialect, seeq, thoughtspot, valsight};
use crate::app::{Actor, App, Call};
use crate::config::{ServerSettings, Settings};
use crate::error::{Error, Result};
use crate::http::caller::{self, Credential, Identity};
use crate::http::{cookie, problems};
use crate::verify::Presented;

/// The cookie of ThoughtSpot and Valsight.
pub(crate) const JSESSIONID: &str = "JSESSIONID";
/// The header and cookies of Seeq.
pub(crate) const SQ_AUTH: HeaderName = HeaderName::from_static("x-sq-auth");
pub(crate) const SQ_AUTH_COOKIE: &str = "sq-auth";
pub(crate) const SQ_CSRF: HeaderName = HeaderName::from_static("x-sq-csrf");
pub(crate) const SQ_CSRF_COOKIE: &str = "sq-csrf";
/// How the client reached a proxy before us.
const FORWARDED_PROTO: &str = "x-forwarded-proto";

/// The caller behind `Authorization`, or else behind a cookie of this name.
///
/// # Errors
/// 401 without a credential or with a wrong one, 403 for a change that a page of another site asked for, 415
/// for a body without its type beside the cookie.
pub(crate) async fn enter(
    app: &App,
    (method, headers): (&Method, &HeaderMap),
    cookie: &str,
    call: &Call,
) -> Result<Actor> {
    Ok(identify(app, (method, headers), cookie, call).await?.actor(call.clone()))
}

/// The same, before it is an actor.
///
/// # Errors
/// As [`enter`].
pub(crate) async fn identify(
    app: &App,
    (method, headers): (&Method, &HeaderMap),
    cookie: &str,
    call: &Call,
) -> Result<Identity> {
    match caller::credential(headers, &app.settings.server.api_key_header) {
        Err(Error::Unauthenticated("no_credential")) => {
            let token = in_cookie(app, (method, headers), cookie)?;
            let token = token.ok_or(Error::Unauthenticated("no_credential"))?;
            caller::identify_presented(app, Presented::Secret(token), call).await
        }
        found => caller::identify_presented(app, found?.presented(), call).await,
    }
}

/// The text of the one token that [`identify`] looks at; `None` for a pair, or where there is none.
///
/// # Errors
/// As [`enter`], of what is read from the headers alone.
pub(crate) fn token<'h>(
    app: &App,
    (method, headers): (&Method, &'h HeaderMap),
    cookie: &str,
) -> Result<Option<&'h str>> {
    match caller::credential(headers, &app.settings.server.api_key_header) {
        Ok(Credential::Secret(text)) => Ok(Some(text)),
        Ok(_) => Ok(None),
        Err(Error::Unauthenticated("no_credential")) => in_cookie(app, (method, headers), cookie),
        Err(error) => Err(error),
    }
}

/// The token of a dialect's session, as a gateway passes it on: for `/authz`.
///
/// # Errors
/// 400 for several of a kind, 403 for a change that a page of another site asked for.
pub(crate) fn carried<'h>(
    headers: &'h HeaderMap,
    settings: &Settings,
    method: Option<&str>,
) -> Result<Option<&'h str>> {
    let is_on = |dialect: &Dialect| (dialect.is_on)(settings);
    if is_on(&seeq::DIALECT)
        && let Some(token) = of_seeq(headers, method)?
    {
        return Ok(Some(token));
    }
    if is_on(&thoughtspot::DIALECT) || is_on(&valsight::DIALECT) {
        let token = cookie::find_of(headers, JSESSIONID, is_ours)?;
        if token.is_some() {
            cookie::must_not_be_cross_site(method, headers)?;
        }
        return Ok(token);
    }
    Ok(None)
}

/// The token in the header of Seeq, or in its cookie: then a change needs the other header too.
///
/// # Errors
/// As [`carried`].
pub(crate) fn of_seeq<'h>(headers: &'h HeaderMap, method: Option<&str>) -> Result<Option<&'h str>> {
    let mut sent = headers.get_all(SQ_AUTH).iter();
    match (sent.next(), sent.next()) {
        (Some(token), None) => return Ok(token.to_str().ok().or(Some(""))),
        (Some(_), Some(_)) => return Err(caller::multiple()),
        (None, _) => {}
    }
    let Some(token) = cookie::find_of(headers, SQ_AUTH_COOKIE, is_ours)? else { return Ok(None) };
    let is_change = method.is_none_or(|method| !matches!(method, "GET" | "HEAD" | "OPTIONS"));
    let known = cookie::find(headers, SQ_CSRF_COOKIE)?.unwrap_or_default();
    let told = headers.get(SQ_CSRF).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if is_change && (known.is_empty() || !bool::from(known.as_bytes().ct_eq(told.as_bytes()))) {
        return Err(Error::forbidden("cross_site", problems::detail("cross_site")));
    }
    Ok(Some(token))
}

/// The token in a cookie whose name applications use too, for their own paths beside ours: theirs are none of
/// ours, and do not stand in the way of it.
fn in_cookie<'h>(
    app: &App,
    (method, headers): (&Method, &'h HeaderMap),
    name: &str,
) -> Result<Option<&'h str>> {
    let Some(token) = cookie::find_of(headers, name, is_ours)? else { return Ok(None) };
    cookie::must_not_be_foreign(method, headers, &app.settings.server)?;
    cookie::must_tell_type(headers)?;
    Ok(Some(token))
}

/// Whether it has the form of a token that these cookies carry: of a session, or an access token.
pub(crate) fn is_ours(token: &str) -> bool {
    token::parse_other(token, token::SESSION_PREFIX).is_some() || Compact::parse(token).is_some()
}

/// Whether cookies are kept from plain http: unless users reach the server by it. A proxy that ends TLS before
/// a server without a public address tells so; who claims it falsely keeps the own cookies for https.
pub(crate) fn is_secure(server: &ServerSettings, headers: &HeaderMap) -> bool {
    let told = headers.get_all(FORWARDED_PROTO).iter().filter_map(|value| value.to_str().ok());
    let mut hops = told.flat_map(|value| value.split(','));
    server.base_url().starts_with("https:") || hops.any(|hop| hop.trim().eq_ignore_ascii_case("https"))
}

/// `Set-Cookie` with the token of a dialect's session; the server knows when it ends.
pub(crate) fn set_cookie(is_secure: bool, name: &str, token: &str) -> String {
    format!("{name}={token}; Path=/; HttpOnly; SameSite=Lax{}", secure(is_secure))
}

/// `Set-Cookie` with a value that scripts of the page read and send back in a header: no token.
pub(crate) fn set_readable_cookie(is_secure: bool, name: &str, value: &str) -> String {
    format!("{name}={value}; Path=/; SameSite=Lax{}", secure(is_secure))
}

/// `Set-Cookie` that makes the client forget it.
pub(crate) fn clear_cookie(is_secure: bool, name: &str) -> String {
    format!("{name}=; Path=/; HttpOnly; SameSite=Lax; Max-Age=0{}", secure(is_secure))
}

fn secure(is_secure: bool) -> &'static str {
    if is_secure { "; Secure" } else { "" }
}
