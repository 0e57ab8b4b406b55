//! `keyward notifications`

use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Map, Value, json};

use super::client::{Request, segment};
use super::noun::{ListArgs, print_list};
use super::{Exit, Failure, Global, Outcome, Session};

const COLUMNS: &[&str] = &["id", "kind", "title", "created_at", "read_at"];

/// What one is told: keys that end, changed roles, leaks, one's own account
#[derive(Args, Debug)]
pub(crate) struct NotificationsArgs {
    #[command(subcommand)]
    command: NotificationsCommand,
}

#[derive(Subcommand, Debug)]
enum NotificationsCommand {
    /// List them, the newest first
    #[command(visible_alias = "ls")]
    List(ListArgs),
    /// Count those that are not read
    Unread,
    /// Mark one as read, or all
    Read(ReadArgs),
    /// Show or change what one is told about, where, and in which language
    Preferences(PreferencesArgs),
}

#[derive(Args, Debug)]
struct ReadArgs {
    /// notice_…
    #[arg(required_unless_present = "all")]
    notification: Option<String>,
    /// All of them
    #[arg(long, conflicts_with = "notification")]
    all: bool,
}

#[derive(Args, Debug)]
struct PreferencesArgs {
    /// Language of what one is told
    #[arg(long, value_name = "LANGUAGE", value_parser = ["en", "de"])]
    language: Option<String>,
    /// Kind to change, as the list shows it
    #[arg(long, value_name = "KIND")]
    kind: Option<String>,
    /// In the list of notifications
    #[arg(long, requires = "kind", value_name = "SWITCH")]
    bell: Option<Switch>,
    /// By mail
    #[arg(long, requires = "kind", value_name = "SWITCH")]
    mail: Option<Switch>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Switch {
    On,
    Off,
}

/// Runs `keyward notifications`.
pub(crate) async fn run(args: NotificationsArgs, global: &Global) -> Outcome {
    let session = &Session::open(global)?;
    match args.command {
        NotificationsCommand::List(args) => {
            print_list(session, args.request("/v1/notifications", &["unread", "kind"])?, COLUMNS, &args).await
        }
        NotificationsCommand::Unread => {
            let count = session.client.send(Request::get("/v1/notifications/unread")).await?;
            session.output.object(&["unread"], &count)?;
            Ok(Exit::Ok)
        }
        NotificationsCommand::Read(args) => {
            let path = match args.notification {
                Some(id) => format!("/v1/notifications/{}/read", segment(&id)),
                None => "/v1/notifications/read".into(),
            };
            let marked = session.client.send(Request::post(path, Map::new())).await?;
            session.output.object(&["marked"], &marked)?;
            Ok(Exit::Ok)
        }
        NotificationsCommand::Preferences(args) => preferences(args, session).await,
    }
}

async fn preferences(args: PreferencesArgs, session: &Session) -> Outcome {
    const PATH: &str = "/v1/notification-preferences";
    let patch = patch(&args)?;
    let request = if patch.is_empty() { Request::get(PATH) } else { Request::patch(PATH, patch) };
    let shown = session.client.send(request).await?;
    session.output.object(&["language", "kinds"], &shown)?;
    Ok(Exit::Ok)
}

fn patch(args: &PreferencesArgs) -> Result<Map<String, Value>, Failure> {
    let mut patch = Map::new();
    if let Some(language) = &args.language {
        patch.insert("language".into(), json!(language));
    }
    if let Some(kind) = &args.kind {
        let is_on = |switch: Option<Switch>| switch.map(|switch| switch == Switch::On);
        if args.bell.is_none() && args.mail.is_none() {
            return Err(
                Failure::usage("--kind: nothing to change").hint("add --bell on|off or --mail on|off")
            );
        }
        let mut wish = Map::from_iter([("kind".to_owned(), json!(kind))]);
        wish.extend(is_on(args.bell).map(|is_on| ("bell".to_owned(), json!(is_on))));
        wish.extend(is_on(args.mail).map(|is_on| ("mail".to_owned(), json!(is_on))));
        patch.insert("kinds".into(), json!([wish]));
    }
    Ok(patch)
}
