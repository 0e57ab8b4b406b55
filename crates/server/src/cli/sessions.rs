//! `keyward sessions`

use clap::{Args, Subcommand};

use super::client::{Request, segment};
use super::noun::{ListArgs, print_list};
use super::{Exit, Global, Outcome, Session, prompt};

/// Columns of sessions.
pub(crate) const COLUMNS: &[&str] =
    &["id", "method", "current", "last_seen_at", "idle_at", "expires_at", "address", "agent", "started_at"];

/// One's own sessions; those of others stand below `keyward users`
#[derive(Args, Debug)]
pub(crate) struct SessionsArgs {
    #[command(subcommand)]
    command: SessionsCommand,
}

#[derive(Subcommand, Debug)]
enum SessionsCommand {
    /// List one's own sessions
    #[command(visible_alias = "ls")]
    List(ListArgs),
    /// Show the session that asks
    Show,
    /// End one of one's own sessions
    #[command(visible_alias = "rm")]
    End(EndArgs),
}

#[derive(Args, Debug)]
struct EndArgs {
    /// session_…
    session: String,
}

/// Runs `keyward sessions`.
pub(crate) async fn run(args: SessionsArgs, global: &Global) -> Outcome {
    let session = &Session::open(global)?;
    match args.command {
        SessionsCommand::List(args) => {
            print_list(session, args.request("/v1/auth/sessions", &[])?, COLUMNS, &args).await
        }
        SessionsCommand::Show => {
            let shown = session.client.send(Request::get("/v1/auth/session")).await?;
            session.output.object(COLUMNS, &shown)?;
            Ok(Exit::Ok)
        }
        SessionsCommand::End(args) => {
            if global.dry_run {
                session.output.note(&format!("dry run: {} would end", args.session));
                return Ok(Exit::Ok);
            }
            prompt::confirm(session, &format!("End {}?", args.session))?;
            let path = format!("/v1/auth/sessions/{}", segment(&args.session));
            session.client.send(Request::new(http::Method::DELETE, path)).await?;
            session.output.note(&format!("{} ended", args.session));
            Ok(Exit::Ok)
        }
    }
}
