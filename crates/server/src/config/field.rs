//! How one value is read: each function says what it expects, whatever it was given.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use http::{HeaderName, Uri, header};
use ipnet::IpNet;
use keyward_core::jwt::Algorithm;
use lettre::message::Mailbox;
use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use tracing_subscriber::EnvFilter;

use super::settings::{LogFormat, MailTls, OnDatabaseLoss, SecretUrl, SyslogFormat, SyslogTransport};
use super::span;
use crate::outbound::guard::Rule;

/// Beginnings of credentials that are not keys (access key, trusted, session, refresh, link, set-up, challenge, hand-over).
const RESERVED_PREFIXES: [&str; 8] = ["kwa", "kwt", "kws", "kwr", "kwl", "kwb", "kwf", "kwh"];
const SHORTEST_KEEP: Duration = Duration::from_hours(24);
const LONGEST_KEEP: Duration = Duration::from_hours(24 * 36_500);
const LONGEST_LOSS: Duration = Duration::from_secs(300);

/// Reads a text with one parse function; any other type is told the same expectation.
struct Text<T> {
    expected: &'static str,
    parse: fn(&str) -> Result<T, String>,
}

impl<T> Visitor<'_> for Text<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.expected)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        (self.parse)(text).map_err(|reason| E::custom(format!("{reason}, expected {}", self.expected)))
    }
}

fn text<'de, D: Deserializer<'de>, T>(
    deserializer: D,
    expected: &'static str,
    parse: fn(&str) -> Result<T, String>,
) -> Result<T, D::Error> {
    deserializer.deserialize_str(Text { expected, parse })
}

fn invalid(text: &str) -> String {
    format!("invalid value {text:?}")
}

/// Empty means "not set".
fn optional<T>(text: &str, parse: impl Fn(&str) -> Result<T, String>) -> Result<Option<T>, String> {
    if text.is_empty() { Ok(None) } else { parse(text).map(Some) }
}

pub(super) fn path<'de, D: Deserializer<'de>>(deserializer: D) -> Result<PathBuf, D::Error> {
    text(deserializer, "the path of a directory", |text| {
        optional(text, |text| Ok(PathBuf::from(text)))?.ok_or_else(|| invalid(text))
    })
}

pub(super) fn optional_path<'de, D>(deserializer: D) -> Result<Option<PathBuf>, D::Error>
where
    D: Deserializer<'de>,
{
    text(deserializer, "the path of a file, or \"\"", |text| optional(text, |text| Ok(PathBuf::from(text))))
}

/// A list element of its own type, so that an error carries the element's index.
struct File(PathBuf);

impl<'de> Deserialize<'de> for File {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        text(deserializer, "the path of a file", |text| {
            optional(text, |text| Ok(File(PathBuf::from(text))))?.ok_or_else(|| invalid(text))
        })
    }
}

pub(super) fn paths<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<PathBuf>, D::Error> {
    let files = Vec::<File>::deserialize(deserializer)?;
    Ok(files.into_iter().map(|file| file.0).collect())
}

pub(super) fn optional_text<'de, D>(deserializer: D) -> Result<Option<String>, D::Error>
where
    D: Deserializer<'de>,
{
    text(deserializer, "a text", |text| optional(text, |text| Ok(text.to_owned())))
}

fn parse_address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| invalid(text))
}

pub(super) fn address<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SocketAddr, D::Error> {
    text(deserializer, "an IP address and a port, such as 127.0.0.1:8700", parse_address)
}

pub(super) fn optional_address<'de, D>(deserializer: D) -> Result<Option<SocketAddr>, D::Error>
where
    D: Deserializer<'de>,
{
    text(deserializer, "an IP address and a port, such as 127.0.0.1:8701, or \"\"", |text| {
        optional(text, parse_address)
    })
}

pub(super) fn public_url<'de, D>(deserializer: D) -> Result<Option<String>, D::Error>
where
    D: Deserializer<'de>,
{
    let expected = "an address such as https://keys.example.org, without user, query or fragment";
    text(deserializer, expected, |text| optional(text, parse_public_url))
}

fn parse_public_url(text: &str) -> Result<String, String> {
    // What stands before an @ may be a password, so such an address is not repeated.
    let has_user = text.contains('@');
    let refused = || {
        if has_user { "invalid value".to_owned() } else { invalid(text) }
    };
    let uri: Uri = text.parse().map_err(|_| refused())?;
    let is_http = matches!(uri.scheme_str(), Some("http" | "https"));
    let has_host = uri.host().is_some_and(|host| !host.is_empty());
    if !is_http || !has_host || has_user || text.contains(['?', '#']) {
        return Err(refused());
    }
    Ok(text.trim_end_matches('/').to_owned())
}

pub(super) fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    text(deserializer, span::EXPECTED, |text| span::parse(text).ok_or_else(|| invalid(text)))
}

/// A list element of its own type, so that an error carries the element's index.
struct Network(IpNet);

impl<'de> Deserialize<'de> for Network {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        text(deserializer, "a network such as 10.0.0.0/8 or 10.1.2.3/32", parse_network)
    }
}

fn parse_network(text: &str) -> Result<Network, String> {
    let network: IpNet = text.parse().map_err(|_| invalid(text))?;
    if network.trunc() != network {
        return Err(format!("{text} has host bits set; its network is {}", network.trunc()));
    }
    Ok(Network(network))
}

pub(super) fn networks<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<IpNet>, D::Error> {
    let networks = Vec::<Network>::deserialize(deserializer)?;
    Ok(networks.into_iter().map(|network| network.0).collect())
}

/// A list element of its own type, so that an error carries the element's index.
struct Origin(String);

impl<'de> Deserialize<'de> for Origin {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let expected = "an origin as browsers write it, such as https://app.example.org: no *, no null, no \
                        capital letters, nothing behind host and port, no default port";
        text(deserializer, expected, parse_origin)
    }
}

fn parse_origin(text: &str) -> Result<Origin, String> {
    let uri: Uri = text.parse().map_err(|_| invalid(text))?;
    let (scheme, authority) = (uri.scheme_str().unwrap_or_default(), uri.authority());
    let host = authority.map_or("", http::uri::Authority::host);
    let port = authority.and_then(http::uri::Authority::port_u16);
    let default = match scheme {
        "https" => 443,
        "http" => 80,
        _ => return Err(invalid(text)),
    };
    let written =
        port.map_or_else(|| format!("{scheme}://{host}"), |port| format!("{scheme}://{host}:{port}"));
    let exact = written == text && text == text.to_ascii_lowercase() && port != Some(default);
    if host.is_empty() || host.contains('*') || !exact {
        return Err(invalid(text));
    }
    Ok(Origin(written))
}

pub(super) fn origins<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let origins = Vec::<Origin>::deserialize(deserializer)?;
    Ok(origins.into_iter().map(|origin| origin.0).collect())
}

/// A list element of its own type, so that an error carries the element's index.
struct HostName(String);

impl<'de> Deserialize<'de> for HostName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let expected = "a host name in small letters without a port, such as mode.example.org";
        text(deserializer, expected, |text| {
            let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || ".-_".contains(c);
            let ends = text.starts_with(['.', '-']) || text.ends_with(['.', '-']);
            let named = (1..=253).contains(&text.len()) && text.chars().all(good) && !ends;
            named.then(|| Self(text.to_owned())).ok_or_else(|| invalid(text))
        })
    }
}

pub(super) fn host_names<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let names = Vec::<HostName>::deserialize(deserializer)?;
    Ok(names.into_iter().map(|name| name.0).collect())
}

/// A list element of its own type, so that an error carries the element's index.
struct OutboundRule(Rule);

impl<'de> Deserialize<'de> for OutboundRule {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let expected = "an exact host name in small letters or a network, either with a port or without, such \
                        as hooks.internal:8080, 10.1.0.0/16 or [fd00::/8]:8080";
        text(deserializer, expected, |text| Rule::parse(text).map(Self).ok_or_else(|| invalid(text)))
    }
}

pub(super) fn outbound_rules<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Rule>, D::Error> {
    let rules = Vec::<OutboundRule>::deserialize(deserializer)?;
    Ok(rules.into_iter().map(|rule| rule.0).collect())
}

pub(super) fn api_key_header<'de, D>(deserializer: D) -> Result<HeaderName, D::Error>
where
    D: Deserializer<'de>,
{
    let expected = "the name of a header that has no other use, such as X-API-Key";
    text(deserializer, expected, |text| {
        let name: HeaderName = text.parse().map_err(|_| invalid(text))?;
        let taken = [header::AUTHORIZATION, header::COOKIE, header::HOST, header::CONTENT_TYPE];
        if taken.contains(&name) { Err(invalid(text)) } else { Ok(name) }
    })
}

/// Never repeats what it was given: a mistyped address may hold the password.
pub(super) fn database_url<'de, D>(deserializer: D) -> Result<Option<SecretUrl>, D::Error>
where
    D: Deserializer<'de>,
{
    let schemes = ["postgres://", "postgresql://", "sqlite:"];
    match Value::deserialize(deserializer)? {
        Value::String(url) if url.is_empty() => Ok(None),
        Value::String(url) if schemes.iter().any(|scheme| url.starts_with(scheme)) => {
            Ok(Some(SecretUrl::new(url)))
        }
        _ => Err(D::Error::custom(
            "invalid value (not shown), expected postgres://…, postgresql://…, sqlite:… or \"\"",
        )),
    }
}

pub(super) fn log_filter<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    text(deserializer, "levels such as info,keyward::verify=debug", |text| {
        if text.trim().is_empty() {
            return Err(invalid(text));
        }
        EnvFilter::try_new(text).map(|_| text.to_owned()).map_err(|_| invalid(text))
    })
}

pub(super) fn log_format<'de, D: Deserializer<'de>>(deserializer: D) -> Result<LogFormat, D::Error> {
    text(deserializer, "json or text", |text| match text {
        "json" => Ok(LogFormat::Json),
        "text" => Ok(LogFormat::Text),
        _ => Err(invalid(text)),
    })
}

pub(super) fn algorithm<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Algorithm, D::Error> {
    text(deserializer, "EdDSA or ES256", |text| Algorithm::parse(text).ok_or_else(|| invalid(text)))
}

pub(super) fn mail_tls<'de, D: Deserializer<'de>>(deserializer: D) -> Result<MailTls, D::Error> {
    text(deserializer, "starttls, tls or none", |text| match text {
        "starttls" => Ok(MailTls::Starttls),
        "tls" => Ok(MailTls::Tls),
        "none" => Ok(MailTls::None),
        _ => Err(invalid(text)),
    })
}

pub(super) fn mailbox<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Mailbox, D::Error> {
    text(deserializer, "an address such as Keyward <keyward@example.com>", |text| {
        text.parse().map_err(|_| invalid(text))
    })
}

pub(super) fn on_database_loss<'de, D>(deserializer: D) -> Result<OnDatabaseLoss, D::Error>
where
    D: Deserializer<'de>,
{
    let expected = "deny, or serve_for and a duration from 0s to 5m, such as serve_for 10s";
    text(deserializer, expected, |text| parse_loss(text).ok_or_else(|| invalid(text)))
}

fn parse_loss(text: &str) -> Option<OnDatabaseLoss> {
    if text == "deny" {
        return Some(OnDatabaseLoss::Deny);
    }
    let time = span::parse(text.strip_prefix("serve_for ")?.trim_start())?;
    (time <= LONGEST_LOSS).then_some(OnDatabaseLoss::ServeFor(time))
}

pub(super) fn host_and_port<'de, D>(deserializer: D) -> Result<Option<(String, u16)>, D::Error>
where
    D: Deserializer<'de>,
{
    text(
        deserializer,
        "a host and a port, such as siem.example.org:6514 or [fd00::1]:6514, or \"\"",
        |text| optional(text, |text| parse_host_and_port(text).ok_or_else(|| invalid(text))),
    )
}

fn parse_host_and_port(text: &str) -> Option<(String, u16)> {
    let (host, port) = text.rsplit_once(':')?;
    let port = port.parse().ok().filter(|port| *port > 0)?;
    let plain = match host.strip_prefix('[') {
        Some(rest) => rest.strip_suffix(']').filter(|host| host.parse::<std::net::Ipv6Addr>().is_ok())?,
        None => host,
    };
    let is_name = |char: char| char.is_ascii_alphanumeric() || matches!(char, '.' | '-' | '_');
    let fits = host.starts_with('[') || (!plain.is_empty() && plain.chars().all(is_name));
    fits.then(|| (plain.to_owned(), port))
}

pub(super) fn syslog_transport<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<SyslogTransport, D::Error> {
    text(deserializer, "tls, tcp or udp", |text| match text {
        "tls" => Ok(SyslogTransport::Tls),
        "tcp" => Ok(SyslogTransport::Tcp),
        "udp" => Ok(SyslogTransport::Udp),
        _ => Err(invalid(text)),
    })
}

pub(super) fn syslog_format<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SyslogFormat, D::Error> {
    text(deserializer, "json or ocsf", |text| match text {
        "json" => Ok(SyslogFormat::Json),
        "ocsf" => Ok(SyslogFormat::Ocsf),
        _ => Err(invalid(text)),
    })
}

pub(super) fn keep<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    text(deserializer, "forever, or a duration from 1d to 36500d", |text| {
        if text == "forever" {
            return Ok(None);
        }
        let time = span::parse(text).filter(|time| (SHORTEST_KEEP..=LONGEST_KEEP).contains(time));
        time.map(Some).ok_or_else(|| invalid(text))
    })
}

/// A list element of its own type, so that an error carries the element's index.
struct Prefix(String);

impl<'de> Deserialize<'de> for Prefix {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        text(deserializer, "2 to 8 characters a-z and 0-9", parse_prefix).map(Prefix)
    }
}

fn parse_prefix(text: &str) -> Result<String, String> {
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    if !(2..=8).contains(&text.len()) || !text.bytes().all(is_plain) {
        return Err(invalid(text));
    }
    if RESERVED_PREFIXES.contains(&text) {
        return Err(format!("{text} is reserved for another kind of credential"));
    }
    Ok(text.to_owned())
}

pub(super) fn prefix<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    Prefix::deserialize(deserializer).map(|prefix| prefix.0)
}

pub(super) fn prefixes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let prefixes = Vec::<Prefix>::deserialize(deserializer)?;
    Ok(prefixes.into_iter().map(|prefix| prefix.0).collect())
}
