//! What must hold between several values, and what is unsafe.

use std::collections::BTreeMap;

use super::settings::{MailTls, Settings};
use crate::http::dialects;

/// A key and what is wrong with it.
pub(super) type Breach = (&'static str, String);

/// Checks all rules; `insecure_listen` is the operator's word that something else encrypts.
pub(super) fn check(settings: &Settings, insecure_listen: bool) -> Vec<Breach> {
    let mut breaches = vec![];
    breaches.extend(unsafe_listen(settings, insecure_listen));
    breaches.extend(half_tls(settings));
    breaches.extend(shared_listen(settings));
    breaches.extend(two_root_keys(settings));
    breaches.extend(half_mail_login(settings));
    breaches.extend(plain_mail_password(settings));
    breaches.extend(repeated_prefixes(settings));
    breaches.extend(keyless_alerts(settings));
    breaches.extend(dialects::collision(settings));
    breaches
}

fn unsafe_listen(settings: &Settings, insecure_listen: bool) -> Vec<Breach> {
    if insecure_listen || settings.server.tls.pair().is_some() {
        return vec![];
    }
    let listeners = [("server.listen", Some(settings.server.listen)), ("grpc.listen", settings.grpc.listen)];
    let reachable = listeners.into_iter().filter_map(|(key, listen)| Some((key, listen?)));
    reachable
        .filter(|(_, listen)| !listen.ip().to_canonical().is_loopback())
        .map(|(key, listen)| {
            let problem = format!(
                "{listen} can be reached from other machines and would carry keys unencrypted; set \
                 server.tls.cert_file and server.tls.key_file, listen on 127.0.0.1, or start with \
                 --insecure-listen if a proxy on the same trusted network encrypts"
            );
            (key, problem)
        })
        .collect()
}

fn half_tls(settings: &Settings) -> Option<Breach> {
    let tls = &settings.server.tls;
    let (cert, key) = ("server.tls.cert_file", "server.tls.key_file");
    match (&tls.cert_file, &tls.key_file) {
        (Some(_), None) => Some((cert, format!("given without {key}; give both or none"))),
        (None, Some(_)) => Some((key, format!("given without {cert}; give both or none"))),
        _ => None,
    }
}

fn shared_listen(settings: &Settings) -> Vec<Breach> {
    let listeners = [
        ("server.listen", Some(settings.server.listen)),
        ("grpc.listen", settings.grpc.listen),
        ("metrics.listen", settings.metrics.listen),
    ];
    let given = listeners.into_iter().filter_map(|(key, listen)| Some((key, listen?)));
    let mut first_use = BTreeMap::new();
    let mut breaches = vec![];
    for (key, listen) in given.filter(|(_, listen)| listen.port() != 0) {
        if let Some(other) = first_use.get(&listen) {
            breaches.push((key, format!("expected another address than {other}")));
        } else {
            first_use.insert(listen, key);
        }
    }
    breaches
}

fn two_root_keys(settings: &Settings) -> Option<Breach> {
    let root_key = &settings.root_key;
    let sources = [
        ("root_key.file", root_key.file.is_some()),
        ("root_key.command", root_key.command.is_some()),
        ("root_key.shares", !root_key.shares.is_empty()),
    ];
    let mut given = sources.into_iter().filter_map(|(name, is_given)| is_given.then_some(name));
    let (first, second) = (given.next()?, given.next()?);
    Some((second, format!("given besides {first}; give one")))
}

fn half_mail_login(settings: &Settings) -> Option<Breach> {
    let mail = &settings.mail;
    let (name, file) = ("mail.username", "mail.password_file");
    match (mail.username.is_empty(), &mail.password_file) {
        (false, None) => Some((name, format!("given without {file}; give both or none"))),
        (true, Some(_)) => Some((file, format!("given without {name}; give both or none"))),
        _ => None,
    }
}

/// A password does not travel unencrypted, but on this machine.
fn plain_mail_password(settings: &Settings) -> Option<Breach> {
    let mail = &settings.mail;
    let host = mail.host.as_deref()?;
    let is_local = host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback());
    let is_plain = mail.tls == MailTls::None && mail.password_file.is_some() && !is_local;
    is_plain.then(|| ("mail.tls", "none would send the password unencrypted; use starttls or tls".into()))
}

fn keyless_alerts(settings: &Settings) -> Option<Breach> {
    let github = &settings.leaks.github;
    let problem = || "expected a file, because leaks.github.enabled is true".to_owned();
    (github.enabled && github.keys_file.is_none()).then(|| ("leaks.github.keys_file", problem()))
}

fn repeated_prefixes(settings: &Settings) -> Vec<Breach> {
    let prefixes = &settings.keys.prefixes;
    let current = [
        ("keys.prefixes.member", &prefixes.member),
        ("keys.prefixes.workspace", &prefixes.workspace),
        ("keys.prefixes.ingest", &prefixes.ingest),
    ];
    let accepted = settings.keys.accepted_prefixes.iter();
    let mut first_use = BTreeMap::new();
    let mut breaches = vec![];
    for (key, prefix) in current.into_iter().chain(accepted.map(|p| ("keys.accepted_prefixes", p))) {
        if let Some(other) = first_use.get(prefix) {
            breaches.push((key, format!("{prefix} is already used by {other}")));
        } else {
            first_use.insert(prefix, key);
        }
    }
    breaches
}
