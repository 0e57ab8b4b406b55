//! `keyward jobs`

use clap::{Args, Subcommand};
use serde_json::Map;

use super::client::{Request, segment};
use super::noun::{ListArgs, Noun};
use super::{Exit, Global, Outcome, Session, prompt};

const NOUN: Noun = Noun {
    one: "job",
    path: "/v1/jobs",
    columns: &["id", "kind", "state", "attempts", "due_at", "failed_at", "last_error", "about", "created_at"],
    filters: &["state"],
    name: None,
};

/// What waits to leave the server, such as mail, and what was given up
#[derive(Args, Debug)]
pub(crate) struct JobsArgs {
    #[command(subcommand)]
    command: JobsCommand,
}

#[derive(Subcommand, Debug)]
enum JobsCommand {
    /// List them in the order of their making
    #[command(visible_alias = "ls")]
    List(ListArgs),
    /// Show one
    Show(JobArgs),
    /// Try one again that was given up
    Replay(JobArgs),
    /// Drop one: it will not be done
    #[command(visible_alias = "rm")]
    Drop(JobArgs),
}

#[derive(Args, Debug)]
struct JobArgs {
    /// job_…
    job: String,
}

/// Runs `keyward jobs`.
pub(crate) async fn run(args: JobsArgs, global: &Global) -> Outcome {
    let session = &Session::open(global)?;
    match args.command {
        JobsCommand::List(args) => NOUN.list(session, &args).await,
        JobsCommand::Show(args) => NOUN.show(session, &args.job).await,
        JobsCommand::Replay(args) => {
            let path = format!("/v1/jobs/{}/replay", segment(&args.job));
            let job = session.client.send(Request::post(path, Map::new())).await?;
            session.output.object(NOUN.columns, &job)?;
            Ok(Exit::Ok)
        }
        JobsCommand::Drop(args) => {
            prompt::confirm(session, &format!("Drop {}? It will not be done.", args.job))?;
            session.client.send(Request::new(http::Method::DELETE, NOUN.at(&args.job))).await?;
            session.output.note(&format!("{} dropped", args.job));
            Ok(Exit::Ok)
        }
    }
}
