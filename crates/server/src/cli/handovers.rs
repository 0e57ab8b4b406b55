//! `keyward handovers`

use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};

use super::client::{Request, segment};
use super::noun::{ListArgs, Noun, send_change, told};
use super::secret::{SecretArgs, Sink};
use super::{Exit, Global, Outcome, Session, curl, prompt, span};

const NOUN: Noun = Noun {
    one: "handover",
    path: "/v1/handovers",
    columns: &[
        "id",
        "key_id",
        "generation",
        "state",
        "linked",
        "expires_at",
        "opened_at",
        "opened_from",
        "created_at",
    ],
    filters: &["key_id"],
    name: None,
};

/// Secrets that are handed over by a link which opens them once
#[derive(Args, Debug)]
pub(crate) struct HandoversArgs {
    #[command(subcommand)]
    command: HandoversCommand,
}

#[derive(Subcommand, Debug)]
enum HandoversCommand {
    /// List those that wait or were opened, the newest first
    #[command(visible_alias = "ls")]
    List(ListArgs),
    /// Show one: whether it was opened, when and from where
    Show(ShowArgs),
    /// Make a link to the secret of a key that waits; an earlier link is void
    Link(LinkArgs),
    /// Open the secret behind a link: once
    Open(OpenArgs),
}

#[derive(Args, Debug)]
struct ShowArgs {
    /// handover_…
    handover: String,
}

#[derive(Args, Debug)]
struct LinkArgs {
    /// key_… or kwa_…
    key: String,
    /// How long the link works, a week at most
    #[arg(long, value_name = "SPAN", default_value = "24h", value_parser = span::parse)]
    ttl: std::time::Duration,
    #[command(flatten)]
    secret: SecretArgs,
}

#[derive(Args, Debug)]
struct OpenArgs {
    #[command(flatten)]
    secret: SecretArgs,
}

/// Runs `keyward handovers`.
pub(crate) async fn run(args: HandoversArgs, global: &Global) -> Outcome {
    let session = &Session::open(global)?;
    match args.command {
        HandoversCommand::List(args) => NOUN.list(session, &args).await,
        HandoversCommand::Show(args) => NOUN.show(session, &args.handover).await,
        HandoversCommand::Link(args) => link(session, &args).await,
        HandoversCommand::Open(args) => open(session, &args).await,
    }
}

async fn link(session: &Session, args: &LinkArgs) -> Outcome {
    let sink = Sink::choose(&args.secret, session)?;
    let path = format!("/v1/keys/{}/handover", segment(&args.key));
    let made =
        send_change(session, Request::post(path, json!({ "ttl_seconds": args.ttl.as_secs() }))).await?;
    show_link(session, sink, made)
}

/// Hands a link's token over, and tells what its receiver does with it.
pub(super) fn show_link(session: &Session, sink: Sink, link: Value) -> Outcome {
    let shown = sink.deliver_token(session, link)?;
    session.output.summary(&["id", "key_id", "expires_at", "open_url"], &shown)?;
    session.output.note(&told(session, "whoever gets it opens the secret with `keyward handovers open`"));
    Ok(Exit::Ok)
}

async fn open(session: &Session, args: &OpenArgs) -> Outcome {
    let sink = Sink::choose(&args.secret, session)?;
    let token: Value = if session.global.print_curl {
        curl::CREDENTIAL.into()
    } else {
        let answers = prompt::read_passwords(session, &["Token of the link (not shown): "])?;
        answers.first().map(|answer| Value::from(answer.expose())).unwrap_or_default()
    };
    let body = Map::from_iter([("token".to_owned(), token)]);
    let opened = session.client.send(Request::post("/v1/handovers/open", body).public()).await?;
    let shown = sink.deliver(session, opened)?;
    session.output.object(&["access_key", "label", "tenant_id", "expires_at"], &shown)?;
    session.output.note("the secret is shown once; the link is worth nothing any more");
    Ok(Exit::Ok)
}
