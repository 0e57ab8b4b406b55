//! `keyward approvals`: keys that wait until somebody looks at them.

use clap::{Args, Subcommand};
use serde_json::{Map, Value};

use super::client::Request;
use super::noun::{ListArgs, Noun, VersionArgs, print_list, put};
use super::{Global, Outcome, Session, prompt};

/// Keys, as far as who decides wants to know of them.
const WAITING: Noun = Noun {
    one: "key",
    path: "/v1/keys",
    columns: &["id", "class", "owner_username", "label", "created_by", "created_at", "expires_at"],
    filters: &["class", "owner_id", "q", "label", "created_by", "created_before", "created_after", "sort"],
    name: None,
};

/// Keys that work only when somebody has approved them
#[derive(Args, Debug)]
pub(crate) struct ApprovalsArgs {
    #[command(subcommand)]
    command: ApprovalsCommand,
}

#[derive(Subcommand, Debug)]
enum ApprovalsCommand {
    /// List what waits
    #[command(visible_alias = "ls")]
    List(ListArgs),
    /// Show a key with what it could do
    Show(OneArgs),
    /// Let a key work that somebody else made: as it was shown, or not at all
    Approve(ApproveArgs),
    /// End a key that waits
    Reject(RejectArgs),
}

#[derive(Args, Debug)]
struct OneArgs {
    /// key_… or kwa_…
    key: String,
}

#[derive(Args, Debug)]
struct ApproveArgs {
    /// key_… or kwa_…
    key: String,
    #[command(flatten)]
    seen: VersionArgs,
}

#[derive(Args, Debug)]
struct RejectArgs {
    /// key_… or kwa_…
    key: String,
    /// Why: its maker and owner are told
    #[arg(long)]
    reason: Option<String>,
}

/// Runs `keyward approvals`.
pub(crate) async fn run(args: ApprovalsArgs, global: &Global) -> Outcome {
    let session = &Session::open(global)?;
    match args.command {
        ApprovalsCommand::List(args) => list(session, &args).await,
        ApprovalsCommand::Show(args) => WAITING.show(session, &args.key).await,
        ApprovalsCommand::Approve(args) => approve(session, args).await,
        ApprovalsCommand::Reject(args) => reject(session, args).await,
    }
}

async fn list(session: &Session, args: &ListArgs) -> Outcome {
    let request: Request = args.request(WAITING.path, WAITING.filters)?;
    let request = request.query("awaits_approval", "true").query("status", "pending,suspended");
    print_list(session, request, WAITING.columns, args).await
}

/// Without the version that was looked at before, the key is shown first, and approved as it was shown.
async fn approve(session: &Session, args: ApproveArgs) -> Outcome {
    let at = WAITING.at(&args.key);
    let seen = match args.seen.if_match {
        None if !session.global.print_curl => Some(look(session, &at).await?),
        seen => seen,
    };
    let request = Request::post(format!("{at}/approve"), Map::new()).if_match(seen.as_ref());
    WAITING.change(session, request, "approved: it works now").await
}

/// Shows who made the key and what it could do, asks, and returns its version.
async fn look(session: &Session, at: &str) -> anyhow::Result<String> {
    let key = session.client.send(Request::get(at)).await?;
    let text = |name: &str| key[name].as_str().unwrap_or("-").to_owned();
    let rights: Vec<&str> =
        key["effective_rights"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    session.output.note(&format!(
        "{} key \"{}\", owner {}, made by {}, changed by {}, ends {}, may {}",
        text("class"),
        text("label"),
        text("owner_username"),
        text("created_by"),
        text("updated_by"),
        key["expires_at"].as_str().unwrap_or("never"),
        rights.join(" "),
    ));
    prompt::confirm(session, "Let it work?")?;
    Ok(key["version"].to_string())
}

async fn reject(session: &Session, args: RejectArgs) -> Outcome {
    if !session.global.dry_run {
        prompt::confirm(session, &format!("Reject {}? It never works again.", args.key))?;
    }
    let mut body = Map::new();
    put(&mut body, "reason", args.reason);
    WAITING.act(session, &args.key, "reject", body, "rejected").await
}
