//! `keyward export`

use clap::Args;

use super::client::Request;
use super::{Global, Outcome, Session, stream};

/// Write what a tenant holds as JSON lines, without secrets
#[derive(Args, Debug)]
pub(crate) struct ExportArgs {
    /// What to write; audit on request only
    #[arg(long, value_name = "NAME,…", value_delimiter = ',')]
    #[arg(default_value = "policies,roles,groups,users,keys")]
    #[arg(value_parser = ["policies", "roles", "groups", "users", "keys", "audit"])]
    what: Vec<String>,
}

/// Runs `keyward export`.
pub(crate) async fn run(args: ExportArgs, global: &Global) -> Outcome {
    let session = &Session::open(global)?;
    stream::pass_on(session, Request::get("/v1/export").query("what", args.what.join(","))).await
}
