//! `keyward signing-keys`

use clap::{Args, Subcommand};
use serde_json::Map;

use super::client::Request;
use super::noun::{self, ListArgs, Noun};
use super::{Exit, Global, Outcome, Session};

/// Signing keys as the API lists them.
const SIGNING_KEYS: Noun = Noun {
    one: "signing key",
    path: "/v1/signing-keys",
    columns: &["id", "algorithm", "state", "created_at", "signs_from", "removed_at"],
    filters: &[],
    name: None,
};

/// What signs access tokens (operators)
#[derive(Args, Debug)]
pub(crate) struct SigningKeysArgs {
    #[command(subcommand)]
    command: SigningKeysCommand,
}

#[derive(Subcommand, Debug)]
enum SigningKeysCommand {
    /// List signing keys: next, current, retired
    #[command(visible_alias = "ls")]
    List(ListArgs),
    /// Publish a new one; it signs once everybody can know it
    Rotate(RotateArgs),
    /// Remove one at once, in an emergency: its tokens are refused from now on
    #[command(visible_alias = "rm")]
    Remove(RemoveArgs),
}

#[derive(Args, Debug)]
struct RotateArgs {}

#[derive(Args, Debug)]
struct RemoveArgs {
    /// Its id, the `kid` of its tokens
    id: String,
}

/// Runs `keyward signing-keys`.
pub(crate) async fn run(args: SigningKeysArgs, global: &Global) -> Outcome {
    let session = &Session::open(global)?;
    match args.command {
        SigningKeysCommand::List(args) => SIGNING_KEYS.list(session, &args).await,
        SigningKeysCommand::Rotate(RotateArgs {}) => rotate(session).await,
        SigningKeysCommand::Remove(args) => SIGNING_KEYS.delete(session, &args.id).await,
    }
}

async fn rotate(session: &Session) -> Outcome {
    let request = Request::post(format!("{}/rotate", SIGNING_KEYS.path), Map::new());
    let key = noun::send_change(session, request).await?;
    session.output.object(SIGNING_KEYS.columns, &key)?;
    let start = key["signs_from"].as_str().unwrap_or_default();
    session.output.note(&noun::told(session, &format!("published; it signs from {start}")));
    Ok(Exit::Ok)
}
