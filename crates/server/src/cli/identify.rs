//! `keyward identify`: what a found token is, told offline.

use std::path::PathBuf;

use clap::Args;
use keyward_core::key::KeyClass;
use keyward_core::token::{self, AccessKey, Prefixes};
use serde_json::{Value, json};

use super::output::Output;
use super::{Exit, Global, Outcome, prompt};

/// Tell offline what a found token is; it is never echoed
#[derive(Args, Debug)]
pub(crate) struct IdentifyArgs {
    /// `-`: the token comes from stdin (the default); never the token itself
    source: Option<String>,
    /// Read the token from this file
    #[arg(long, value_name = "FILE", conflicts_with = "source")]
    file: Option<PathBuf>,
    /// Prefix of this instance, if its configuration has others: acme=member (repeatable)
    #[arg(long = "prefix", value_name = "PREFIX=CLASS", value_parser = parse_prefix)]
    prefixes: Vec<(String, KeyClass)>,
}

/// Runs `keyward identify`.
pub(crate) fn run(args: &IdentifyArgs, global: &Global) -> Outcome {
    let found = prompt::read_secret(args.source.as_deref(), args.file.as_deref())?;
    let written = KeyClass::ALL.map(|class| Prefixes::default().of(class).to_owned());
    let told = identify(found.expose(), &Prefixes::new(written, args.prefixes.clone()));
    let output = Output::new(global);
    output.object(&["kind", "class", "access_key", "checksum"], &told)?;
    if told["kind"] == "unknown" {
        output.note("this has not the form of a Keyward credential");
        return Ok(Exit::NotValid);
    }
    if told["checksum"] == "wrong" {
        output.note("this looks like a Keyward secret, but it is damaged or made up");
        return Ok(Exit::NotValid);
    }
    if told["kind"] == "session" || told["kind"] == "password_link" {
        output.note("end it: keyward users end-sessions NAME, keyward users password-reset NAME");
        return Ok(Exit::Ok);
    }
    output
        .note(&format!("look it up: keyward keys show {}", told["access_key"].as_str().unwrap_or_default()));
    Ok(Exit::Ok)
}

fn identify(text: &str, prefixes: &Prefixes) -> Value {
    if let Some(secret) = token::parse(text, prefixes) {
        return json!({
            "kind": "secret",
            "class": secret.class.as_str(),
            "access_key": secret.access_key.to_string(),
            "checksum": "right",
        });
    }
    for (kind, prefix) in [
        ("session", token::SESSION_PREFIX),
        ("password_link", token::LINK_PREFIX),
        ("login_challenge", token::CHALLENGE_PREFIX),
    ] {
        if token::parse_other(text, prefix).is_some() {
            return json!({"kind": kind, "class": null, "access_key": null, "checksum": "right"});
        }
    }
    if let Some(access_key) = AccessKey::parse(text) {
        let access_key = access_key.to_string();
        return json!({"kind": "access_key", "class": null, "access_key": access_key, "checksum": null});
    }
    let kind = if has_form(text) { "secret" } else { "unknown" };
    let checksum = if has_form(text) { json!("wrong") } else { Value::Null };
    json!({"kind": kind, "class": null, "access_key": null, "checksum": checksum})
}

/// Prefix, length and alphabet of a secret, whatever its checksum.
fn has_form(text: &str) -> bool {
    let length = token::KEY_ID_LEN + token::RANDOM_LEN + token::CHECKSUM_LEN;
    text.split_once('_').is_some_and(|(prefix, body)| {
        !prefix.is_empty() && body.len() == length && body.bytes().all(|byte| byte.is_ascii_alphanumeric())
    })
}

fn parse_prefix(text: &str) -> Result<(String, KeyClass), String> {
    let wrong = || "expected PREFIX=member, PREFIX=workspace or PREFIX=ingest".to_owned();
    let (prefix, name) = text.split_once('=').ok_or_else(wrong)?;
    Ok((prefix.to_owned(), KeyClass::parse(name).ok_or_else(wrong)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(prefix: &str) -> (String, String) {
        let fill = &mut |bytes: &mut [u8]| bytes.fill(7);
        let access_key = AccessKey::generate(fill);
        (token::generate(prefix, access_key, fill).expose().to_owned(), access_key.to_string())
    }

    #[test]
    fn a_secret_is_told_without_being_shown() {
        let (text, access_key) = secret("kwi");
        let told = identify(&text, &Prefixes::default());
        let expected =
            json!({"kind": "secret", "class": "ingest", "access_key": access_key, "checksum": "right"});
        assert_eq!(told, expected);
        assert!(!told.to_string().contains(&text[20..]));
    }

    #[test]
    fn a_changed_letter_is_a_wrong_checksum_and_garbage_is_unknown() {
        let (text, access_key) = secret("kwm");
        let damaged = format!("{}{}", &text[..68], if text.ends_with('0') { '1' } else { '0' });
        assert_eq!(identify(&damaged, &Prefixes::default())["checksum"], "wrong");
        assert_eq!(identify("hunter2", &Prefixes::default())["kind"], "unknown");
        assert_eq!(identify(&access_key, &Prefixes::default())["kind"], "access_key");
    }

    #[test]
    fn other_prefixes_can_be_named() {
        let (text, _) = secret("acme");
        assert_eq!(identify(&text, &Prefixes::default())["checksum"], "wrong");
        let own = parse_prefix("acme=workspace").expect("a prefix");
        let written = KeyClass::ALL.map(|class| Prefixes::default().of(class).to_owned());
        assert_eq!(identify(&text, &Prefixes::new(written, vec![own]))["class"], "workspace");
        assert!(parse_prefix("acme").is_err() && parse_prefix("acme=other").is_err());
    }
}
