//! `keyward incident`: many keys at once on the day that something leaked.

use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};

use super::client::Request;
use super::noun::{ListArgs, Noun, put};
use super::users::USERS;
use super::{Exit, Failure, Global, Outcome, Session, filter, prompt};

/// Incidents as the API lists them.
const INCIDENTS: Noun = Noun {
    one: "incident",
    path: "/v1/incidents",
    columns: &["id", "action", "matched", "reason", "created_at", "undone_at", "reactivated"],
    filters: &[],
    name: None,
};

/// What `--where` takes; `label~part` stands for `label_contains=part`, `owner=NAME` for the id of NAME.
const WORDS: &[&str] = &[
    "owner",
    "owner_id",
    "class",
    "status",
    "label",
    "label_contains",
    "created_before",
    "created_after",
    "last_used_before",
    "all",
];

/// End many keys at once, and undo it
#[derive(Args, Debug)]
pub(crate) struct IncidentArgs {
    #[command(subcommand)]
    command: IncidentCommand,
}

#[derive(Subcommand, Debug)]
enum IncidentCommand {
    /// Revoke every key that fits, or switch it off
    Revoke(RevokeArgs),
    /// List incidents, the newest first
    #[command(visible_alias = "ls")]
    List(ListArgs),
    /// Show one with its keys
    Show(OneArgs),
    /// Switch the keys of an incident on again, save those that were changed since
    Undo(OneArgs),
}

#[derive(Args, Debug)]
struct OneArgs {
    /// incident_…
    incident: String,
}

#[derive(Args, Debug)]
struct RevokeArgs {
    /// Every key that fits: 'owner=NAME created_before=… class=… label~part'; `all=true` for all
    #[arg(long = "where", value_name = "CONDITIONS", required = true)]
    conditions: Vec<String>,
    /// Only switch them off, which can be undone
    #[arg(long)]
    disable: bool,
    /// Why, for the audit trail
    #[arg(long)]
    reason: Option<String>,
    /// The phrase that the preview names: "revoke 37", or "deactivate 37"
    #[arg(long, value_name = "PHRASE")]
    confirm: Option<String>,
}

/// Runs `keyward incident`.
pub(crate) async fn run(args: IncidentArgs, global: &Global) -> Outcome {
    let session = &Session::open(global)?;
    match args.command {
        IncidentCommand::Revoke(args) => revoke(session, args).await,
        IncidentCommand::List(args) => INCIDENTS.list(session, &args).await,
        IncidentCommand::Show(args) => INCIDENTS.show(session, &args.incident).await,
        IncidentCommand::Undo(args) => undo(session, &args.incident).await,
    }
}

/// Preview, then the phrase with the number, then the deed: the server refuses if the number has
/// changed in between.
async fn revoke(session: &Session, args: RevokeArgs) -> Outcome {
    let action = if args.disable { "deactivate" } else { "revoke" };
    let mut body = Map::new();
    body.insert("filter".to_owned(), filter_of(session, &args.conditions).await?);
    body.insert("action".to_owned(), json!(action));
    put(&mut body, "reason", args.reason);
    let phrase = match args.confirm.filter(|_| !session.global.dry_run) {
        Some(phrase) => phrase,
        None => {
            let found = preview(session, &body).await?;
            if found == 0 || session.global.dry_run {
                session.output.note(&format!("dry run: {action} {found} keys; nothing was changed"));
                return Ok(Exit::Ok);
            }
            let phrase = format!("{action} {found}");
            let question = match args.disable {
                true => format!("Switch {found} keys off?"),
                false => format!("Revoke {found} keys for good?"),
            };
            prompt::confirm_phrase(session, &question, &phrase, "--confirm")?;
            phrase
        }
    };
    body.insert("confirm".to_owned(), json!(phrase));
    let answer = session.client.send(Request::post(INCIDENTS.path, body)).await?;
    session.output.summary(&["id", "action", "matched", "ended"], &answer)?;
    let id = answer["id"].as_str().unwrap_or_default();
    let after = if args.disable { format!("; back with: keyward incident undo {id}") } else { String::new() };
    session.output.note(&format!("{} keys ended{after}", answer["ended"]));
    Ok(Exit::Ok)
}

async fn preview(session: &Session, body: &Map<String, Value>) -> anyhow::Result<u64> {
    let mut body = body.clone();
    body.insert("preview".to_owned(), json!(true));
    let mut answer = session.client.send(Request::post(INCIDENTS.path, body)).await?;
    let matched = answer["matched"].as_u64().unwrap_or_default();
    if let Value::Array(keys) = answer["keys"].take() {
        session.output.rows(&["id", "class", "owner_username", "label"]).all(keys)?;
    }
    Ok(matched)
}

async fn filter_of(session: &Session, conditions: &[String]) -> anyhow::Result<Value> {
    let mut body = Map::new();
    for (name, value) in words(conditions)? {
        match name.as_str() {
            "owner" => body.insert("owner_id".into(), json!(USERS.resolve(session, &value).await?)),
            "all" => body.insert(name, json!(value == "true")),
            _ => body.insert(name, json!(value)),
        };
    }
    Ok(Value::Object(body))
}

/// Names and values, never none by accident.
fn words(conditions: &[String]) -> Result<Vec<(String, String)>, Failure> {
    let spelled: Vec<String> =
        conditions.iter().map(|text| text.replace("label~", "label_contains=")).collect();
    let pairs = filter::parse(&spelled, WORDS)?;
    if pairs.is_empty() {
        return Err(Failure::usage("--where is empty").hint("`--where all=true` means every key"));
    }
    Ok(pairs)
}

async fn undo(session: &Session, id: &str) -> Outcome {
    let request = Request::post(format!("{}/undo", INCIDENTS.at(id)), Map::new());
    let answer = super::noun::send_change(session, request).await?;
    let (on, left) = (count(&answer["reactivated"]), count(&answer["left"]));
    if let Value::Array(keys) = answer["reactivated"].clone() {
        session.output.rows(&["id", "class", "owner_username", "label"]).all(keys)?;
    }
    let done = format!("{on} keys are on again; {left} were changed since and stay as they are");
    session.output.note(&super::noun::told(session, &done));
    Ok(Exit::Ok)
}

fn count(list: &Value) -> usize {
    list.as_array().map_or(0, Vec::len)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn x_10_conditions_are_read_and_never_empty_by_accident() {
        let read = |text: &str| words(&[text.to_owned()]).map_err(|failure| failure.exit());
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(
            read("owner=ada label~night created_before=2026-06-01T00:00:00Z"),
            Ok(vec![
                pair("owner", "ada"),
                pair("label_contains", "night"),
                pair("created_before", "2026-06-01T00:00:00Z")
            ])
        );
        assert_eq!(read("all=true"), Ok(vec![pair("all", "true")]));
        assert_eq!(read(" "), Err(Exit::Usage));
        assert_eq!(read("tenant=acme"), Err(Exit::Usage));
    }
}
