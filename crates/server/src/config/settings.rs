//! The settings in their final types, one struct per section of `config.default.yml`.

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use http::HeaderName;
use ipnet::IpNet;
use keyward_core::jwt::Algorithm;
use lettre::message::Mailbox;
use serde::Deserialize;

use super::field;
use crate::outbound::guard::Rule;

/// Everything the server can be told. No field has a default here: `config.default.yml` has it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    /// Directory of the SQLite database and the root key.
    #[serde(deserialize_with = "field::path")]
    pub(crate) data_dir: PathBuf,
    /// The HTTP listener.
    pub(crate) server: ServerSettings,
    /// The gRPC listener.
    pub(crate) grpc: GrpcSettings,
    /// The metrics listener.
    pub(crate) metrics: MetricsSettings,
    /// The database.
    pub(crate) database: DatabaseSettings,
    /// Where the root key comes from.
    pub(crate) root_key: RootKeySettings,
    /// The log.
    pub(crate) log: LogSettings,
    /// The verification of keys.
    pub(crate) verify: VerifySettings,
    /// The form of issued keys.
    pub(crate) keys: KeySettings,
    /// Access tokens.
    pub(crate) tokens: TokenSettings,
    /// Logins of people.
    pub(crate) login: LoginSettings,
    /// Mail to users.
    pub(crate) mail: MailSettings,
    /// Webhooks.
    pub(crate) webhooks: WebhookSettings,
    /// The audit log.
    pub(crate) audit: AuditSettings,
    /// Leaked credentials.
    pub(crate) leaks: LeakSettings,
    /// Protocols of other products.
    pub(crate) dialects: DialectSettings,
    /// Login with user name and API key.
    #[serde(rename = "apiKeyAuth")]
    pub(crate) api_key_auth: ApiKeyAuthSettings,
    /// Bounds of one request.
    pub(crate) limits: LimitSettings,
}

impl Settings {
    /// What stands in front of every address of this server, and the `iss` of its tokens.
    #[must_use]
    pub(crate) fn issuer(&self) -> String {
        let scheme = if self.server.tls.pair().is_some() { "https" } else { "http" };
        self.server.public_url.clone().unwrap_or_else(|| format!("{scheme}://{}", self.server.listen))
    }
}

/// The section `dialects`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DialectSettings {
    pub(crate) thoughtspot: Dialect,
    pub(crate) mode: Dialect,
    pub(crate) bmc_helix: Dialect,
    pub(crate) valsight: Dialect,
    pub(crate) seeq: Dialect,
}

/// Where one dialect answers.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Dialect {
    /// Whether it answers at all.
    pub(crate) enabled: bool,
    /// Host names at whose root it answers, in small letters.
    #[serde(deserialize_with = "field::host_names")]
    pub(crate) hosts: Vec<String>,
}

/// The section `apiKeyAuth` (VA1).
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ApiKeyAuthSettings {
    /// Whether the login answers.
    pub(crate) enabled: bool,
}

/// The section `server`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ServerSettings {
    /// Address of the HTTP listener.
    #[serde(deserialize_with = "field::address")]
    pub(crate) listen: SocketAddr,
    /// Worker threads; 0 = one per processor.
    pub(crate) threads: usize,
    /// Public base address without a slash at its end, if set.
    #[serde(deserialize_with = "field::public_url")]
    pub(crate) public_url: Option<String>,
    /// Networks whose forwarding headers are believed.
    #[serde(deserialize_with = "field::networks")]
    pub(crate) trusted_proxies: Vec<IpNet>,
    /// Built-in TLS.
    pub(crate) tls: TlsSettings,
    /// Open connections in all.
    pub(crate) max_connections: usize,
    /// Open connections from one address.
    pub(crate) max_connections_per_address: usize,
    /// Bounds for slow clients.
    pub(crate) timeouts: TimeoutSettings,
    /// Time for running requests after a stop signal.
    #[serde(deserialize_with = "field::duration")]
    pub(crate) drain: Duration,
    /// Header that may carry a key.
    #[serde(deserialize_with = "field::api_key_header")]
    pub(crate) api_key_header: HeaderName,
    /// Pages of other origins.
    pub(crate) cors: CorsSettings,
}

/// The section `server.cors`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CorsSettings {
    /// Origins whose pages may read answers, as browsers write them.
    #[serde(deserialize_with = "field::origins")]
    pub(crate) allowed_origins: Vec<String>,
}

impl ServerSettings {
    /// How users reach the server.
    #[must_use]
    pub(crate) fn base_url(&self) -> String {
        self.public_url.clone().unwrap_or_else(|| {
            let scheme = if self.tls.pair().is_some() { "https" } else { "http" };
            format!("{scheme}://{}", self.listen)
        })
    }

    /// Whether users reach the server over a network unencrypted, as `--insecure-listen` allows.
    #[must_use]
    pub(crate) fn is_plain(&self) -> bool {
        !self.listen.ip().to_canonical().is_loopback() && !self.base_url().starts_with("https:")
    }
}

/// The section `server.tls`. A loaded configuration has both files or none.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TlsSettings {
    /// PEM file with the certificate chain.
    #[serde(deserialize_with = "field::optional_path")]
    pub(crate) cert_file: Option<PathBuf>,
    /// PEM file with the private key.
    #[serde(deserialize_with = "field::optional_path")]
    pub(crate) key_file: Option<PathBuf>,
}

impl TlsSettings {
    /// Certificate and key file, if TLS is on.
    #[must_use]
    pub(crate) fn pair(&self) -> Option<(&Path, &Path)> {
        self.cert_file.as_deref().zip(self.key_file.as_deref())
    }
}

/// The section `server.timeouts`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TimeoutSettings {
    /// Until the first byte on a new connection.
    #[serde(deserialize_with = "field::duration")]
    pub(crate) first_byte: Duration,
    /// Until the request header is complete.
    #[serde(deserialize_with = "field::duration")]
    pub(crate) header: Duration,
    /// Between two requests.
    #[serde(deserialize_with = "field::duration")]
    pub(crate) idle: Duration,
    /// Slowest accepted body.
    pub(crate) body_bytes_per_second: u64,
}

/// The section `grpc`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct GrpcSettings {
    /// Address of the gRPC listener; none = off.
    #[serde(deserialize_with = "field::optional_address")]
    pub(crate) listen: Option<SocketAddr>,
}

/// The section `metrics`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct MetricsSettings {
    /// Address of the metrics listener; none = off.
    #[serde(deserialize_with = "field::optional_address")]
    pub(crate) listen: Option<SocketAddr>,
}

/// The section `database`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DatabaseSettings {
    /// Address of the database; none = SQLite in the data directory.
    #[serde(deserialize_with = "field::database_url")]
    pub(crate) url: Option<SecretUrl>,
    /// Connections in the pool.
    pub(crate) max_connections: u32,
    /// Wait for a free connection.
    #[serde(deserialize_with = "field::duration")]
    pub(crate) timeout: Duration,
}

/// The section `root_key`. A loaded configuration has at most one of file, command and shares.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RootKeySettings {
    /// File that holds the root key.
    #[serde(deserialize_with = "field::optional_path")]
    pub(crate) file: Option<PathBuf>,
    /// Command that prints the root key.
    #[serde(deserialize_with = "field::optional_text")]
    pub(crate) command: Option<String>,
    /// Files with shares of the root key; `-` asks for them.
    #[serde(deserialize_with = "field::paths")]
    pub(crate) shares: Vec<PathBuf>,
    /// File with the passphrase of a sealed root key.
    #[serde(deserialize_with = "field::optional_path")]
    pub(crate) passphrase_file: Option<PathBuf>,
    /// The token that seals the root key.
    pub(crate) pkcs11: Pkcs11Settings,
}

/// The section `root_key.pkcs11`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Pkcs11Settings {
    /// The library of the token's maker.
    #[serde(deserialize_with = "field::optional_path")]
    pub(crate) module: Option<PathBuf>,
    /// Label of the token.
    pub(crate) token: String,
    /// Label of the secret key in it.
    pub(crate) key: String,
    /// File with the PIN.
    #[serde(deserialize_with = "field::optional_path")]
    pub(crate) pin_file: Option<PathBuf>,
}

/// The section `log`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LogSettings {
    /// A filter that `tracing_subscriber::EnvFilter` accepts.
    #[serde(deserialize_with = "field::log_filter")]
    pub(crate) filter: String,
    /// Form of a log line.
    #[serde(deserialize_with = "field::log_format")]
    pub(crate) format: LogFormat,
}

/// Form of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LogFormat {
    /// One JSON object per line.
    Json,
    /// Text for people.
    Text,
}

/// The section `verify`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct VerifySettings {
    /// How long facts are believed without a sign of life of the change feed.
    #[serde(deserialize_with = "field::duration")]
    pub(crate) max_staleness: Duration,
    /// What to answer when the database cannot be reached.
    #[serde(deserialize_with = "field::on_database_loss")]
    pub(crate) on_database_loss: OnDatabaseLoss,
    /// How often usage is written.
    #[serde(deserialize_with = "field::duration")]
    pub(crate) usage_flush: Duration,
    /// How long an unknown key is remembered.
    #[serde(deserialize_with = "field::duration")]
    pub(crate) unknown_key_ttl: Duration,
    /// How many unknown keys are remembered.
    pub(crate) max_cached_unknown: usize,
}

/// What verification does when the database cannot be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OnDatabaseLoss {
    /// Answer nothing from the cache.
    Deny,
    /// Answer from the cache for this long after `verify.max_staleness` has passed.
    ServeFor(Duration),
}

/// The section `keys`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct KeySettings {
    /// Prefixes of new secrets.
    pub(crate) prefixes: PrefixSettings,
    /// Earlier prefixes that are still accepted.
    #[serde(deserialize_with = "field::prefixes")]
    pub(crate) accepted_prefixes: Vec<String>,
}

/// The section `keys.prefixes`. In a loaded configuration all are different.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PrefixSettings {
    /// Of keys of users.
    #[serde(deserialize_with = "field::prefix")]
    pub(crate) member: String,
    /// Of keys of the workspace.
    #[serde(deserialize_with = "field::prefix")]
    pub(crate) workspace: String,
    /// Of keys that may only deliver data.
    #[serde(deserialize_with = "field::prefix")]
    pub(crate) ingest: String,
}

/// The section `tokens`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TokenSettings {
    /// What the next signing key is for.
    #[serde(deserialize_with = "field::algorithm")]
    pub(crate) algorithm: Algorithm,
    /// How long one key signs.
    #[serde(deserialize_with = "field::duration")]
    pub(crate) rotate_every: Duration,
    /// How long others may keep the published keys.
    #[serde(deserialize_with = "field::duration")]
    pub(crate) jwks_cache: Duration,
}

/// The section `login`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LoginSettings {
    /// Whether users may log in with a password.
    pub(crate) passwords: bool,
    /// Threads that hash passwords; 0 = half of the processors.
    pub(crate) hashers: usize,
    /// Logins that may wait for one of them.
    pub(crate) queue: usize,
    /// Sessions of one user or workspace key.
    pub(crate) max_sessions: u32,
}

/// The section `mail`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct MailSettings {
    /// The mail server; none when no mail is sent.
    #[serde(deserialize_with = "field::optional_text")]
    pub(crate) host: Option<String>,
    /// Its port.
    pub(crate) port: u16,
    /// How the connection is protected.
    #[serde(deserialize_with = "field::mail_tls")]
    pub(crate) tls: MailTls,
    /// Certificates that are trusted besides those of the system.
    #[serde(deserialize_with = "field::optional_path")]
    pub(crate) ca_file: Option<PathBuf>,
    /// Who logs in there.
    pub(crate) username: String,
    /// Their password; without it nobody logs in.
    #[serde(deserialize_with = "field::optional_path")]
    pub(crate) password_file: Option<PathBuf>,
    /// Who mails come from.
    #[serde(deserialize_with = "field::mailbox")]
    pub(crate) from: Mailbox,
    /// How long the server may take for each step.
    #[serde(deserialize_with = "field::duration")]
    pub(crate) timeout: Duration,
}

/// How the connection to the mail server is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MailTls {
    /// TLS after a plain greeting, without which nothing is sent (STARTTLS).
    Starttls,
    /// TLS from the first byte.
    Tls,
    /// Not at all.
    None,
}

/// The section `webhooks`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct WebhookSettings {
    /// Places that may be private, unencrypted, or on another port.
    #[serde(deserialize_with = "field::outbound_rules")]
    pub(crate) allow: Vec<Rule>,
    /// Certificates that are trusted besides those of the system.
    #[serde(deserialize_with = "field::optional_path")]
    pub(crate) ca_file: Option<PathBuf>,
    /// How long one delivery may take.
    #[serde(deserialize_with = "field::duration")]
    pub(crate) timeout: Duration,
}

/// The section `audit`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AuditSettings {
    /// Entries for refusals per tenant and minute.
    pub(crate) max_refusals_per_minute: u32,
    /// How long events are kept; nothing is for ever.
    #[serde(deserialize_with = "field::keep")]
    pub(crate) keep: Option<Duration>,
    /// Folder where events are written before they are closed.
    #[serde(deserialize_with = "field::optional_path")]
    pub(crate) archive: Option<PathBuf>,
    /// Where they are sent besides.
    pub(crate) syslog: SyslogSettings,
}

/// The section `audit.syslog`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SyslogSettings {
    /// Host and port of the receiver, if there is one.
    #[serde(deserialize_with = "field::host_and_port")]
    pub(crate) address: Option<(String, u16)>,
    /// How messages get there.
    #[serde(deserialize_with = "field::syslog_transport")]
    pub(crate) transport: SyslogTransport,
    /// Certificates that are trusted besides those of the system.
    #[serde(deserialize_with = "field::optional_path")]
    pub(crate) ca_file: Option<PathBuf>,
    /// What a message holds.
    #[serde(deserialize_with = "field::syslog_format")]
    pub(crate) format: SyslogFormat,
    /// How long the receiver may take for one batch.
    #[serde(deserialize_with = "field::duration")]
    pub(crate) timeout: Duration,
}

/// How syslog messages get to their receiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SyslogTransport {
    /// RFC 5425.
    Tls,
    /// RFC 6587, with octet counting.
    Tcp,
    /// RFC 5426, by which nobody knows what came.
    Udp,
}

/// What a syslog message holds behind its header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SyslogFormat {
    /// The event as the API shows it.
    Json,
    /// The event as OCSF writes it.
    Ocsf,
}

/// The section `leaks`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LeakSettings {
    /// Alerts of GitHub's secret scanning.
    pub(crate) github: GithubSettings,
}

/// The section `leaks.github`. In a loaded configuration that enables it there is a file.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct GithubSettings {
    /// Whether alerts are taken.
    pub(crate) enabled: bool,
    /// The keys that sign them.
    #[serde(deserialize_with = "field::optional_path")]
    pub(crate) keys_file: Option<PathBuf>,
}

/// The section `limits`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LimitSettings {
    /// Largest request body in bytes.
    pub(crate) max_body_bytes: usize,
}

/// A database address, which may hold a password. Printing it shows the masked form.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct SecretUrl(String);

impl SecretUrl {
    pub(super) fn new(url: impl Into<String>) -> Self {
        Self(url.into())
    }

    /// The address with its password, for the database driver only.
    #[must_use]
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }

    /// The address with `***` in the place of passwords.
    #[must_use]
    pub(crate) fn masked(&self) -> String {
        mask_url(&self.0)
    }
}

impl fmt::Debug for SecretUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretUrl({:?})", self.masked())
    }
}

const MASK: &str = "***";

/// Only an address that reads in one way is shown in part: in any other, what looks like a host
/// could be the rest of an unescaped password.
pub(super) fn mask_url(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else {
        return mask_query(url);
    };
    let (authority, tail) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let (user_info, host) = match authority.split_once('@') {
        Some((user_info, host)) => (Some(user_info), host),
        None => (None, authority),
    };
    if host.contains('@') || tail.contains('@') || !has_plain_port(host) {
        return format!("{scheme}://{MASK}");
    }
    let user = user_info.map_or_else(String::new, |info| match info.split_once(':') {
        Some((user, _)) => format!("{user}:{MASK}@"),
        None => format!("{info}@"),
    });
    format!("{scheme}://{user}{host}{}", mask_query(tail))
}

fn has_plain_port(host: &str) -> bool {
    let after_brackets = host.rsplit_once(']').map_or(host, |(_, port)| port);
    match after_brackets.split_once(':') {
        Some((_, port)) => port.bytes().all(|byte| byte.is_ascii_digit()),
        None => true,
    }
}

fn mask_query(url: &str) -> String {
    let Some((address, query)) = url.split_once('?') else {
        return url.to_owned();
    };
    let pairs: Vec<String> = query.split('&').map(mask_pair).collect();
    format!("{address}?{}", pairs.join("&"))
}

fn mask_pair(pair: &str) -> String {
    match pair.split_once('=') {
        Some((name, _)) if names_a_secret(name) => format!("{name}={MASK}"),
        _ => pair.to_owned(),
    }
}

fn names_a_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    ["pass", "key", "secret", "token", "%"].iter().any(|part| name.contains(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aud_2_a_database_password_is_masked_in_every_spelling() {
        let cases = [
            ("postgres://u:hunter2@h:5432/db", "postgres://u:***@h:5432/db"),
            ("postgres://u:hunter2@[::1]:5432/db", "postgres://u:***@[::1]:5432/db"),
            ("postgres://u:p:hunter2@h/db", "postgres://u:***@h/db"),
            ("postgres://u:hun/ter2@h/db", "postgres://***"),
            ("postgres://u:hun@ter2@h/db", "postgres://***"),
            ("postgres://u:hun#ter2@h/db", "postgres://***"),
            ("postgres://u:hunter2?x@h/db", "postgres://***"),
            ("postgres://u:hunter2", "postgres://***"),
            ("postgres://h/db?password=hun@ter2", "postgres://***"),
            ("postgres://h/db?user=u&password=hunter2", "postgres://h/db?user=u&password=***"),
            ("postgres://u@h/db?sslPassword=hunter2&a=b", "postgres://u@h/db?sslPassword=***&a=b"),
            ("postgres://h/db?p%61ssword=hunter2", "postgres://h/db?p%61ssword=***"),
            ("postgres://u@h/db", "postgres://u@h/db"),
            ("sqlite:data.db?mode=rwc", "sqlite:data.db?mode=rwc"),
            ("sqlite:data.db?key=hunter2", "sqlite:data.db?key=***"),
        ];
        for (url, masked) in cases {
            assert_eq!(mask_url(url), masked);
            let debug = format!("{:?}", SecretUrl::new(url));
            assert!(!debug.contains("hunter2") && !debug.contains("ter2"), "{debug}");
            assert_eq!(SecretUrl::new(url).expose(), url);
        }
    }
}
