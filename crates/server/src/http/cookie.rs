//! Sessions in a cookie, for browsers (SES-2, SES-7, WEB-1).

use http::Method;
use http::header::{
    CONTENT_LENGTH, CONTENT_TYPE, COOKIE, HOST, HeaderMap, HeaderValue, ORIGIN, TRANSFER_ENCODING,
};

use super::{caller, problems};
use crate::config::ServerSettings;
use crate::error::{Error, Result};

/// Browsers keep it from other hosts, from scripts and from plain http.
const NAME: &str = "__Host-keyward";
/// They would keep the other one from plain http too, where the operator chose that.
const PLAIN_NAME: &str = "keyward";
/// The tenant that an operator has entered at the console: its slug. It opens nothing by itself.
const TENANT_NAME: &str = "__Host-keyward-tenant";
/// The same over plain http.
const PLAIN_TENANT_NAME: &str = "keyward-tenant";

/// The token in the cookie of a request.
///
/// # Errors
/// 400 when there are several.
pub(crate) fn token<'h>(headers: &'h HeaderMap, server: &ServerSettings) -> Result<Option<&'h str>> {
    find(headers, if server.is_plain() { PLAIN_NAME } else { NAME })
}

/// The tenant in the cookie of an operator.
///
/// # Errors
/// As [`token`].
pub(crate) fn tenant<'h>(headers: &'h HeaderMap, server: &ServerSettings) -> Result<Option<&'h str>> {
    let slug = find(headers, if server.is_plain() { PLAIN_TENANT_NAME } else { TENANT_NAME })?;
    Ok(slug.filter(|slug| !slug.is_empty()))
}

/// How this browser shows the console; the first, if there are several: nothing depends on it.
pub(crate) fn look<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    pairs(headers).find(|(key, _)| *key == name).map(|(_, value)| value)
}

/// Other cookies may be of other programs, and hold anything.
pub(super) fn find<'h>(headers: &'h HeaderMap, name: &str) -> Result<Option<&'h str>> {
    find_of(headers, name, |_| true)
}

/// The one of this name that fits, where other programs use the name too.
///
/// # Errors
/// 400 when several fit.
pub(super) fn find_of<'h>(
    headers: &'h HeaderMap,
    name: &str,
    fits: impl Fn(&str) -> bool,
) -> Result<Option<&'h str>> {
    let mut found = pairs(headers).filter(|(key, value)| *key == name && fits(value));
    let first = found.next();
    match found.next() {
        Some(_) => Err(caller::multiple()),
        None => Ok(first.map(|(_, token)| token)),
    }
}

fn pairs(headers: &HeaderMap) -> impl Iterator<Item = (&str, &str)> {
    let parts = headers.get_all(COOKIE).iter().flat_map(|value| value.as_bytes().split(|byte| *byte == b';'));
    parts.filter_map(|pair| std::str::from_utf8(pair).ok()?.trim().split_once('='))
}

/// `Set-Cookie` with the token of a session; the server knows when it ends.
pub(crate) fn set(server: &ServerSettings, token: &str) -> String {
    render(server.is_plain(), token, "")
}

/// `Set-Cookie` that makes the browser forget it.
pub(crate) fn clear(server: &ServerSettings) -> String {
    render(server.is_plain(), "", "; Max-Age=0")
}

/// `Set-Cookie` with the slug of the tenant that an operator enters.
pub(crate) fn set_tenant(server: &ServerSettings, slug: &str) -> String {
    render_tenant(server.is_plain(), slug, "")
}

/// `Set-Cookie` that brings an operator back home.
pub(crate) fn clear_tenant(server: &ServerSettings) -> String {
    render_tenant(server.is_plain(), "", "; Max-Age=0")
}

/// `Set-Cookie` with how this browser shows the console, for a year.
pub(crate) fn set_look(server: &ServerSettings, name: &str, value: &str) -> String {
    let secure = if server.is_plain() { "" } else { "; Secure" };
    format!("{name}={value}; Path=/console{secure}; HttpOnly; SameSite=Lax; Max-Age=31536000")
}

fn render(is_plain: bool, token: &str, age: &str) -> String {
    let (name, secure) = if is_plain { (PLAIN_NAME, "") } else { (NAME, "; Secure") };
    format!("{name}={token}; Path=/{secure}; HttpOnly; SameSite=Lax{age}")
}

fn render_tenant(is_plain: bool, slug: &str, age: &str) -> String {
    let (name, secure) = if is_plain { (PLAIN_TENANT_NAME, "") } else { (TENANT_NAME, "; Secure") };
    format!("{name}={slug}; Path=/{secure}; HttpOnly; SameSite=Lax{age}")
}

/// Refuses a change that a page of another site may have asked for: the cookie goes along with it
/// unasked.
///
/// # Errors
/// 403 `cross_site`; 415 for a POST that a mere form could have sent.
pub(crate) fn must_be_same_origin(
    method: &Method,
    headers: &HeaderMap,
    server: &ServerSettings,
) -> Result<()> {
    if matches!(*method, Method::GET | Method::HEAD) {
        return Ok(());
    }
    let is_same = match headers.get("sec-fetch-site") {
        Some(site) => site == "same-origin",
        // From a browser of before 2023, or over plain http.
        None => headers.get(ORIGIN).is_some_and(|origin| origin == origin_of(&server.base_url())),
    };
    if !is_same {
        return Err(cross_site());
    }
    if *method == Method::POST && !headers.contains_key(CONTENT_TYPE) {
        return Err(super::json::unsupported());
    }
    Ok(())
}

/// Refuses what a browser says another site asked for, where the method changes something: for
/// gateways, whose own origins we do not know.
///
/// # Errors
/// 403 `cross_site`.
pub(crate) fn must_not_be_cross_site(method: Option<&str>, headers: &HeaderMap) -> Result<()> {
    let is_change = method.is_some_and(|method| !matches!(method, "GET" | "HEAD" | "OPTIONS"));
    match headers.get("sec-fetch-site") {
        Some(site) if is_change && site != "same-origin" => Err(cross_site()),
        _ => Ok(()),
    }
}

/// The same for what is asked of this server itself. A browser that does not say which site asks tells the
/// origin of its page with a change: that must be the host that it asked, or our own address.
///
/// # Errors
/// 403 `cross_site`.
pub(crate) fn must_not_be_foreign(
    method: &Method,
    headers: &HeaderMap,
    server: &ServerSettings,
) -> Result<()> {
    must_not_be_cross_site(Some(method.as_str()), headers)?;
    let is_read = matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS);
    let Some(origin) = headers.get(ORIGIN).filter(|_| !is_read && !headers.contains_key("sec-fetch-site"))
    else {
        return Ok(());
    };
    if origin == origin_of(&server.base_url()) || is_of_host(origin, headers.get(HOST)) {
        return Ok(());
    }
    Err(cross_site())
}

/// Whether a page of this origin came from the host that a request names.
fn is_of_host(origin: &HeaderValue, host: Option<&HeaderValue>) -> bool {
    let text = |value: &HeaderValue| value.to_str().ok().map(str::to_owned);
    let Some((origin, host)) = text(origin).zip(host.and_then(text)) else { return false };
    origin.split_once("://").is_some_and(|(_, own)| own.eq_ignore_ascii_case(&host))
}

/// Refuses a body without its type: a page may send one anywhere unasked, which it may not with the type of
/// JSON.
///
/// # Errors
/// 415.
pub(crate) fn must_tell_type(headers: &HeaderMap) -> Result<()> {
    let length = headers.get(CONTENT_LENGTH).is_some_and(|length| length != "0");
    if (length || headers.contains_key(TRANSFER_ENCODING)) && !headers.contains_key(CONTENT_TYPE) {
        return Err(super::json::unsupported());
    }
    Ok(())
}

fn cross_site() -> Error {
    Error::forbidden("cross_site", problems::detail("cross_site"))
}

/// Scheme, host and port of an address.
fn origin_of(url: &str) -> &str {
    let host = url.find("://").map_or(0, |at| at + 3);
    url[host..].find('/').map_or(url, |path| &url[..host + path])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ses_2_the_cookie_is_for_this_host_and_https_alone_unless_the_operator_chose_plain_http() {
        assert_eq!(
            render(false, "kws_x", ""),
            "__Host-keyward=kws_x; Path=/; Secure; HttpOnly; SameSite=Lax"
        );
        assert_eq!(render(true, "kws_x", ""), "keyward=kws_x; Path=/; HttpOnly; SameSite=Lax");
        let cleared = "__Host-keyward=; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=0";
        assert_eq!(render(false, "", "; Max-Age=0"), cleared);
        assert_eq!(
            render_tenant(false, "acme", ""),
            "__Host-keyward-tenant=acme; Path=/; Secure; HttpOnly; SameSite=Lax"
        );
        assert_eq!(render_tenant(true, "acme", ""), "keyward-tenant=acme; Path=/; HttpOnly; SameSite=Lax");
    }

    #[test]
    fn ses_7_one_cookie_among_those_of_others() {
        let read = |lines: &[&'static [u8]]| {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append(COOKIE, HeaderValue::from_bytes(line).expect("a header"));
            }
            find(&headers, NAME).map(|token| token.map(str::to_owned)).ok()
        };
        let none = Some(None);
        let some = Some(Some("kws_x".to_owned()));
        assert_eq!(read(&[]), none);
        assert_eq!(read(&[b"a=\xff; __Host-keyward=kws_x; b"]), some);
        assert_eq!(read(&[b"a=b", b"__Host-keyward=kws_x"]), some);
        assert_eq!(read(&[b"keyward=kws_x; __host-keyward=kws_x; x__Host-keyward=kws_x"]), none);
        assert_eq!(read(&[b"__Host-keyward=kws_x; __Host-keyward=kws_x"]), None, "two are refused");
        assert_eq!(read(&[b"__Host-keyward=kws_x", b"__Host-keyward=kws_y"]), None, "two are refused");
    }

    #[test]
    fn web_1_a_page_is_of_the_host_that_it_asks_or_of_another() {
        for (origin, host, same) in [
            ("https://ts.example.org", "ts.example.org", true),
            ("https://ts.example.org:8443", "TS.example.org:8443", true),
            ("https://ts.example.org:8443", "ts.example.org", false),
            ("https://evil.example", "ts.example.org", false),
            ("https://ts.example.org.evil.example", "ts.example.org", false),
            ("null", "ts.example.org", false),
        ] {
            let (origin, host) = (HeaderValue::from_static(origin), HeaderValue::from_static(host));
            assert_eq!(is_of_host(&origin, Some(&host)), same, "{origin:?}");
            assert!(!is_of_host(&origin, None));
        }
    }

    #[test]
    fn web_1_an_origin_is_scheme_host_and_port() {
        for (url, origin) in [
            ("https://a.b", "https://a.b"),
            ("https://a.b/keys/x", "https://a.b"),
            ("http://[::1]:8700/", "http://[::1]:8700"),
        ] {
            assert_eq!(origin_of(url), origin);
        }
    }
}
