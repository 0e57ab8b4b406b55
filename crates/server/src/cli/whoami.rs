//! `keyward whoami`

use clap::Args;

use super::client::Request;
use super::{Exit, Global, Outcome, Session};

/// Show who the token is, its tenant and its rights
#[derive(Args, Debug)]
pub(crate) struct WhoamiArgs {}

/// Runs `keyward whoami`.
pub(crate) async fn run(_: WhoamiArgs, global: &Global) -> Outcome {
    let session = Session::open(global)?;
    let me = session.client.send(Request::get("/v1/me")).await?;
    let columns = ["principal.username", "principal.kind", "principal.id", "tenant.slug", "tenant.id"];
    session.output.object(&columns, &me)?;
    Ok(Exit::Ok)
}
