//! `keyward policies drafts`, and what a draft would do.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use http::Method;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::{patch_of, read_document};
use crate::cli::client::Request;
use crate::cli::expiry::parse_moment;
use crate::cli::noun::{ListArgs, Noun, VersionArgs, print_list, put, send_change, told};
use crate::cli::output::write_bytes;
use crate::cli::{Exit, Failure, Format, Outcome, Session};

/// Drafts as the API lists them.
pub(super) const DRAFTS: Noun = Noun {
    one: "draft",
    path: "/v1/policies/drafts",
    columns: &["id", "state", "stale", "based_on", "note", "starts_at", "created_at"],
    filters: &["state"],
    name: None,
};

/// Keys that a draft would do something to, as the API lists them.
const IMPACT: &[&str] = &["id", "class", "owner_username", "label", "code_now", "code_then"];

#[derive(Args, Debug)]
pub(super) struct DraftsArgs {
    #[command(subcommand)]
    command: DraftsCommand,
}

#[derive(Subcommand, Debug)]
enum DraftsCommand {
    /// Draft changes of the policy, or a whole one
    Create(CreateArgs),
    /// List drafts, the newest first
    #[command(visible_alias = "ls")]
    List(ListArgs),
    /// Show one with what it would change
    Show(OneArgs),
    /// Delete one, also one that is scheduled
    #[command(visible_alias = "rm")]
    Delete(OneArgs),
    /// Make its changes to the policy that stands now
    Rebase(OneArgs),
    /// List the keys that it would do something to
    Impact(ImpactArgs),
    /// Apply it, at once or at a moment
    Apply(ApplyArgs),
}

#[derive(Args, Debug)]
struct OneArgs {
    /// draft_…
    draft: String,
}

/// What is drafted.
#[derive(Args, Debug)]
pub(super) struct SourceArgs {
    /// File with a whole policy or some rules of it, or - for stdin
    #[arg(short, long, value_name = "FILE")]
    pub(super) file: Option<PathBuf>,
    /// Setting and value: member.max_age_days=60 (repeatable)
    #[arg(long = "set", value_name = "PATH=VALUE", conflicts_with = "file")]
    pub(super) sets: Vec<String>,
}

#[derive(Args, Debug)]
struct CreateArgs {
    #[command(flatten)]
    source: SourceArgs,
    /// What it is for
    #[arg(long)]
    note: Option<String>,
}

#[derive(Args, Debug)]
struct ImpactArgs {
    /// draft_…
    draft: String,
    /// Only keys that would be refused with this code
    #[arg(long)]
    code: Option<String>,
    #[command(flatten)]
    list: ListArgs,
}

#[derive(Args, Debug)]
struct ApplyArgs {
    /// draft_…
    draft: String,
    /// When, RFC 3339 or YYYY-MM-DD; at once unless given
    #[arg(long, value_name = "TIME", value_parser = parse_moment)]
    starts_at: Option<Timestamp>,
    #[command(flatten)]
    version: VersionArgs,
}

#[derive(Args, Debug)]
pub(super) struct SimulateArgs {
    #[command(flatten)]
    source: SourceArgs,
    /// A draft that there is already
    #[arg(long, value_name = "DRAFT", conflicts_with_all = ["file", "sets"])]
    draft: Option<String>,
}

pub(super) async fn run(args: DraftsArgs, session: &Session) -> Outcome {
    match args.command {
        DraftsCommand::Create(args) => {
            let body = body_of(&args.source, args.note)?;
            DRAFTS.change(session, Request::post(DRAFTS.path, body), "created").await
        }
        DraftsCommand::List(args) => DRAFTS.list(session, &args).await,
        DraftsCommand::Show(args) => DRAFTS.show(session, &args.draft).await,
        DraftsCommand::Delete(args) => DRAFTS.delete(session, &args.draft).await,
        DraftsCommand::Rebase(args) => {
            DRAFTS.act(session, &args.draft, "rebase", Map::new(), "rebased").await
        }
        DraftsCommand::Impact(args) => impact(session, &args).await,
        DraftsCommand::Apply(args) => {
            apply(session, &args.draft, args.starts_at, args.version.if_match).await
        }
    }
}

/// The body that makes a draft.
pub(super) fn body_of(source: &SourceArgs, note: Option<String>) -> anyhow::Result<Map<String, Value>> {
    let patch = match &source.file {
        Some(file) => from_file(file)?,
        None if source.sets.is_empty() => {
            return Err(Failure::usage("nothing to draft").hint("give -f FILE or --set PATH=VALUE").into());
        }
        None => patch_of(&source.sets)?,
    };
    let mut body = Map::from_iter([("patch".to_owned(), patch)]);
    put(&mut body, "note", note);
    Ok(body)
}

fn from_file(file: &Path) -> anyhow::Result<Value> {
    let mut patch = read_document(file)?;
    patch.as_object_mut().and_then(|rules| rules.remove("version"));
    Ok(patch)
}

/// Applies a draft, or has it applied at a moment.
pub(super) async fn apply(
    session: &Session,
    draft: &str,
    starts_at: Option<Timestamp>,
    if_match: Option<String>,
) -> Outcome {
    let mut body = Map::new();
    put(&mut body, "starts_at", starts_at.map(|at| at.to_string()));
    let done = if starts_at.is_some() { "scheduled" } else { "applied" };
    let request = Request::post(format!("{}/apply", DRAFTS.at(draft)), body).if_match(if_match.as_ref());
    DRAFTS.change(session, request, done).await
}

async fn impact(session: &Session, args: &ImpactArgs) -> Outcome {
    let path = format!("{}/impact", DRAFTS.at(&args.draft));
    let mut request = args.list.request(&path, &[])?;
    if let Some(code) = &args.code {
        request = request.query("code", code);
    }
    print_list(session, request, IMPACT, &args.list).await
}

/// Tells what a policy would do. The draft that this needs is deleted again.
pub(super) async fn simulate(session: &Session, args: &SimulateArgs) -> Outcome {
    if let Some(draft) = &args.draft {
        return tell(session, draft).await;
    }
    let body = body_of(&args.source, Some("keyward policies simulate".to_owned()))?;
    let made = session.client.send(Request::post(DRAFTS.path, body)).await?;
    let id = made["id"].as_str().unwrap_or_default();
    let told = tell(session, id).await;
    session.client.send(Request::new(Method::DELETE, DRAFTS.at(id))).await?;
    told
}

async fn tell(session: &Session, draft: &str) -> Outcome {
    if session.output.asked() == Some(Format::Csv) {
        return export(session, draft).await;
    }
    let path = format!("{}/simulate", DRAFTS.at(draft));
    let told = session.client.send(Request::post(path, json!({}))).await?;
    match session.output.asked() {
        None | Some(Format::Table | Format::Tsv) => {
            let sample = told["sample"].as_array().cloned().unwrap_or_default();
            session.output.rows(IMPACT).all(sample)?;
        }
        Some(_) => session.output.object(&[], &told)?,
    }
    session.output.note(&summary(&told));
    Ok(Exit::Ok)
}

/// "these 37 keys would stop: 12 too_old, 25 idle; 3 would work again (of 200)"
fn summary(told: &Value) -> String {
    let stops = &told["would_stop"];
    let reasons = stops["by_code"].as_object().into_iter().flatten();
    let reasons: Vec<String> = reasons.map(|(code, count)| format!("{count} {code}")).collect();
    let sentence = match stops["count"].as_u64().unwrap_or_default() {
        0 => "no key would stop".to_owned(),
        1 => format!("this 1 key would stop: {}", reasons.join(", ")),
        count => format!("these {count} keys would stop: {}", reasons.join(", ")),
    };
    let shown = told["sample"].as_array().map_or(0, Vec::len) as u64;
    let more = stops["count"].as_u64().is_some_and(|count| count > shown);
    let hint = if more { "; -o csv lists all" } else { "" };
    format!(
        "{sentence}; {} would work again; {} were looked at{hint}",
        told["would_start"], told["looked_at"]
    )
}

/// The whole list as the server writes it.
async fn export(session: &Session, draft: &str) -> Outcome {
    let request = Request::get(format!("{}/impact", DRAFTS.at(draft))).query("format", "csv");
    let mut answer = session.client.stream(request).await?;
    while let Some(part) = answer.chunk().await? {
        write_bytes(&part)?;
    }
    Ok(Exit::Ok)
}

/// Schedules what a file says: a draft is made, and applied when its time comes.
pub(super) async fn schedule(session: &Session, patch: Value, at: Timestamp) -> Outcome {
    if session.global.dry_run {
        let body = json!({ "patch": patch });
        send_change(session, Request::post(DRAFTS.path, body)).await?;
        session.output.note(&told(session, ""));
        return Ok(Exit::Ok);
    }
    let made = session.client.send(Request::post(DRAFTS.path, json!({ "patch": patch }))).await?;
    let id = made["id"].as_str().unwrap_or_default().to_owned();
    apply(session, &id, Some(at), None).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn x_5_a_simulation_is_told_in_one_line() {
        let told = |count: u64, by_code: Value, shown: usize| {
            summary(&json!({
                "would_stop": { "count": count, "by_code": by_code }, "would_start": 3, "looked_at": 200,
                "sample": vec![json!({}); shown],
            }))
        };
        assert_eq!(
            told(37, json!({ "idle": 25, "too_old": 12 }), 20),
            "these 37 keys would stop: 25 idle, 12 too_old; 3 would work again; 200 were looked at; -o csv lists all"
        );
        assert_eq!(
            told(1, json!({ "idle": 1 }), 1),
            "this 1 key would stop: 1 idle; 3 would work again; 200 were looked at"
        );
        assert_eq!(told(0, json!({}), 0), "no key would stop; 3 would work again; 200 were looked at");
    }
}
