//! `keyward identify`: what a found text is. Credentials are found offline; whoever is signed in learns
//! from the server about the keys behind them.

use std::path::PathBuf;

use clap::Args;
use keyward_core::key::KeyClass;
use keyward_core::token::Prefixes;
use serde_json::{Map, Value, json};

use super::client::Request;
use super::output::Format;
use super::{Exit, Global, Outcome, Session, curl, prompt};
use crate::identify::finds::{self, Find, What};
use crate::identify::wire::FoundOut;

const COLUMNS: &[&str] = &[
    "line",
    "kind",
    "class",
    "hint",
    "access_key",
    "checksum",
    "secret",
    "key.status",
    "key.owner_username",
    "key.last_used_at",
];

/// Tell what a found text is; no secret in it is ever echoed
#[derive(Args, Debug)]
pub(crate) struct IdentifyArgs {
    /// `-`: the text comes from stdin (the default); never the token itself
    source: Option<String>,
    /// Read the text from this file
    #[arg(long, value_name = "FILE", conflicts_with = "source")]
    file: Option<PathBuf>,
    /// Ask no server, even when signed in
    #[arg(long)]
    offline: bool,
    /// Offline: prefix of the instance, if its configuration has others: acme=member (repeatable)
    #[arg(long = "prefix", value_name = "PREFIX=CLASS", value_parser = parse_prefix)]
    prefixes: Vec<(String, KeyClass)>,
}

/// Runs `keyward identify`.
pub(crate) async fn run(args: IdentifyArgs, global: &Global) -> Outcome {
    let session = &Session::open(global)?;
    if global.print_curl {
        session.client.send(request(json!(curl::CREDENTIAL))).await?;
        return Ok(Exit::Ok);
    }
    let text = prompt::read_found(args.source.as_deref(), args.file.as_deref())?;
    let written = KeyClass::ALL.map(|class| Prefixes::default().of(class).to_owned());
    let alone = args.offline || !args.prefixes.is_empty() || !session.client.has_token();
    let (finds, more) = finds::find(&text, &Prefixes::new(written, args.prefixes));
    let mut found: Vec<Value> = finds.iter().map(offline).collect();
    if !alone {
        ask(session, &finds, &mut found).await?;
    }
    print(session, found, more)
}

fn offline(find: &Find<'_>) -> Value {
    serde_json::to_value(FoundOut::offline(find)).expect("a find is plain data")
}

/// Asks the server about what looks like one of its own. Nothing else of the text leaves this machine.
async fn ask(session: &Session, finds: &[Find<'_>], found: &mut [Value]) -> anyhow::Result<()> {
    let own = |find: &Find<'_>| !matches!(find.what, What::Foreign(_));
    let places: Vec<usize> = (0..finds.len()).filter(|&at| own(&finds[at])).collect();
    if places.is_empty() {
        return Ok(());
    }
    let lines: Vec<&str> = places.iter().map(|&at| finds[at].text).collect();
    let answer = session.client.send(request(json!(lines.join("\n")))).await?;
    for told in answer["found"].as_array().into_iter().flatten() {
        let line = told["line"].as_u64().and_then(|line| usize::try_from(line).ok()).unwrap_or(0);
        if let Some(&at) = line.checked_sub(1).and_then(|line| places.get(line)) {
            let mut told = told.clone();
            told["line"] = json!(finds[at].line);
            found[at] = told;
        }
    }
    Ok(())
}

fn request(text: Value) -> Request {
    Request::post("/v1/identify", Map::from_iter([("text".to_owned(), text)]))
}

fn print(session: &Session, found: Vec<Value>, more: bool) -> Outcome {
    let output = &session.output;
    let sound = found.iter().any(is_sound);
    for told in &found {
        let (hint, advice) = (told["hint"].as_str(), told["advice"].as_str());
        output.note(&format!("{}: {}", hint.unwrap_or_default(), advice.unwrap_or_default()));
    }
    if found.is_empty() {
        output.note("nothing here has the form of a credential");
    }
    if more {
        output.note("there is more than this; cut the text into parts");
    }
    match output.asked() {
        Some(Format::Json | Format::Yaml) => {
            output.object(COLUMNS, &json!({ "found": found, "more": more }))?;
        }
        _ => output.rows(COLUMNS).all(found)?,
    }
    Ok(if sound { Exit::Ok } else { Exit::NotValid })
}

fn is_sound(told: &Value) -> bool {
    told["checksum"] != "wrong" && told["secret"] != "not_its_secret"
}

fn parse_prefix(text: &str) -> Result<(String, KeyClass), String> {
    let wrong = || "expected PREFIX=member, PREFIX=workspace or PREFIX=ingest".to_owned();
    let (prefix, name) = text.split_once('=').ok_or_else(wrong)?;
    Ok((prefix.to_owned(), KeyClass::parse(name).ok_or_else(wrong)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_are_read_and_sound_finds_told_from_others() {
        assert_eq!(parse_prefix("acme=workspace"), Ok(("acme".into(), KeyClass::Workspace)));
        assert!(parse_prefix("acme").is_err() && parse_prefix("acme=other").is_err());
        assert!(is_sound(&json!({ "checksum": null, "secret": null })));
        assert!(is_sound(&json!({ "checksum": "right", "secret": "live" })));
        assert!(!is_sound(&json!({ "checksum": "wrong", "secret": null })));
        assert!(!is_sound(&json!({ "checksum": "right", "secret": "not_its_secret" })));
    }
}
