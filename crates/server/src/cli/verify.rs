//! `keyward verify`

use std::path::PathBuf;

use clap::Args;
use serde_json::{Map, Value, json};

use super::client::Request;
use super::keys::RequestArgs;
use super::{Exit, Global, Outcome, Session, cell, curl, prompt};

/// Ask whether a secret is valid; exit code 10 if it is not
#[derive(Args, Debug)]
pub(crate) struct VerifyArgs {
    /// `-`: the secret comes from stdin (the default); never the secret itself
    source: Option<String>,
    /// Read the secret from this file
    #[arg(long, value_name = "FILE", conflicts_with = "source")]
    file: Option<PathBuf>,
    #[command(flatten)]
    request: RequestArgs,
    /// Credits that the request costs
    #[arg(long, value_name = "N")]
    cost: Option<u64>,
    /// Let the server tell each step of the decision
    #[arg(long)]
    explain: bool,
}

/// Runs `keyward verify`.
pub(crate) async fn run(args: VerifyArgs, global: &Global) -> Outcome {
    let session = &Session::open(global)?;
    let mut body = Map::new();
    args.request.put(&mut body);
    super::noun::put(&mut body, "cost", args.cost);
    super::noun::put(&mut body, "explain", args.explain.then_some(true));
    let credential = if global.print_curl {
        json!(curl::CREDENTIAL)
    } else {
        json!(prompt::read_secret(args.source.as_deref(), args.file.as_deref())?.expose())
    };
    body.insert("credential".to_owned(), credential);
    let answer = session.client.send(Request::post("/v1/verify", body)).await?;
    tell(session, &answer)
}

fn tell(session: &Session, answer: &Value) -> Outcome {
    let columns = ["valid", "code", "key.id", "key.label", "principal.username", "expires_at", "rights"];
    session.output.object(&columns, answer)?;
    if answer["valid"] == true {
        return Ok(Exit::Ok);
    }
    session.output.note(&format!("not valid: {}", cell::plain(&answer["code"])));
    Ok(Exit::NotValid)
}
