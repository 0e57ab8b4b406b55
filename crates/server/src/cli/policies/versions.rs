//! `keyward policies versions` and `rollback`.

use clap::Args;
use serde_json::{Map, json};

use super::PATH;
use crate::cli::client::Request;
use crate::cli::noun::{ListArgs, Noun, VersionArgs, put, send_change, told};
use crate::cli::{Exit, Outcome, Session, prompt};

/// Versions as the API lists them.
const VERSIONS: Noun = Noun {
    one: "version",
    path: "/v1/policies/versions",
    columns: &["version", "applied_at", "applied_by", "note"],
    filters: &[],
    name: None,
};

#[derive(Args, Debug)]
pub(super) struct VersionsArgs {
    /// Show this one with what it changed
    #[arg(value_name = "VERSION")]
    number: Option<i64>,
    #[command(flatten)]
    list: ListArgs,
}

#[derive(Args, Debug)]
pub(super) struct RollbackArgs {
    /// The version whose policy is put in place again
    #[arg(value_name = "VERSION")]
    number: i64,
    /// Why
    #[arg(long)]
    note: Option<String>,
    #[command(flatten)]
    seen: VersionArgs,
}

pub(super) async fn versions(session: &Session, args: &VersionsArgs) -> Outcome {
    match args.number {
        Some(version) => VERSIONS.show(session, &version.to_string()).await,
        None => VERSIONS.list(session, &args.list).await,
    }
}

pub(super) async fn roll_back(session: &Session, args: RollbackArgs) -> Outcome {
    if !session.global.dry_run {
        prompt::confirm(session, &format!("Put the policy of version {} in place again?", args.number))?;
    }
    let mut body = Map::from_iter([("version".to_owned(), json!(args.number))]);
    put(&mut body, "note", args.note);
    let request = Request::post(format!("{PATH}/rollback"), body).if_match(args.seen.if_match.as_ref());
    let policy = send_change(session, request).await?;
    if !policy.is_null() {
        session.output.object(&[], &policy)?;
    }
    session.output.note(&told(session, &format!("the policy of version {} stands again", args.number)));
    Ok(Exit::Ok)
}
