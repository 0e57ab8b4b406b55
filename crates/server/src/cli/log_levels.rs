//! `keyward log-levels`: the server's log filter while it runs (VA9).

use clap::{Args, Subcommand};
use http::Method;
use serde_json::json;

use super::client::Request;
use super::{Exit, Global, Outcome, Session};

/// See or change what the running server logs
#[derive(Args, Debug)]
pub(crate) struct LogLevelsArgs {
    #[command(subcommand)]
    command: LogLevelsCommand,
}

#[derive(Subcommand, Debug)]
enum LogLevelsCommand {
    /// Show the filter
    Show(ShowArgs),
    /// Set the filter until the next restart
    Set(SetArgs),
}

#[derive(Args, Debug)]
struct ShowArgs {}

#[derive(Args, Debug)]
struct SetArgs {
    /// Levels by module: info,keyward::verify=debug
    filter: String,
}

/// Runs `keyward log-levels`.
pub(crate) async fn run(args: LogLevelsArgs, global: &Global) -> Outcome {
    let session = Session::open(global)?;
    let request = match args.command {
        LogLevelsCommand::Show(ShowArgs {}) => Request::get("/v1/log-levels"),
        LogLevelsCommand::Set(args) => {
            Request::new(Method::PUT, "/v1/log-levels").body(json!({"filter": args.filter}))
        }
    };
    let levels = session.client.send(request).await?;
    session.output.object(&["filter"], &levels)?;
    Ok(Exit::Ok)
}
