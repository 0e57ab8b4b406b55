//! `keyward webhooks`

use std::time::Duration;

use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};

use super::client::{Request, segment};
use super::noun::{self, ListArgs, Noun, VersionArgs, put, put_list};
use super::secret::{SecretArgs, Sink};
use super::{Exit, Failure, Global, Outcome, Session};

const WEBHOOKS: Noun = Noun {
    one: "webhook",
    path: "/v1/webhooks",
    columns: &["url", "events", "enabled", "disabled_reason", "failing_since", "description", "id"],
    filters: &[],
    name: None,
};
const DELIVERY: [&str; 9] = [
    "event",
    "state",
    "attempts",
    "status_code",
    "duration_ms",
    "error",
    "response",
    "next_attempt_at",
    "id",
];
/// A test is tried once, within 30 s at most.
const PATIENCE: u32 = 70;
const LOOK: Duration = Duration::from_millis(500);

/// Webhooks: events of the tenant, sent to addresses of yours
#[derive(Args, Debug)]
pub(crate) struct WebhooksArgs {
    #[command(subcommand)]
    command: WebhooksCommand,
}

#[derive(Subcommand, Debug)]
enum WebhooksCommand {
    /// List webhooks
    #[command(visible_alias = "ls")]
    List(ListArgs),
    /// Make one; its secret is shown once
    #[command(visible_alias = "create")]
    Add(AddArgs),
    /// Show one
    Show(WebhookArgs),
    /// Change address, events or description; switch it off or on
    Edit(EditArgs),
    /// Send it an event now, and tell what it answered
    Test(WebhookArgs),
    /// List what it was sent, the newest event first
    Deliveries(DeliveriesArgs),
    /// Send a message again, under its id
    Replay(ReplayArgs),
    /// Make another secret; that before signs too for a while
    RotateSecret(RotateArgs),
    /// Delete one with its log
    #[command(visible_alias = "rm")]
    Delete(WebhookArgs),
}

#[derive(Args, Debug)]
struct WebhookArgs {
    /// webhook_…
    webhook: String,
}

#[derive(Args, Debug)]
struct AddArgs {
    /// Where events go: https://…
    #[arg(value_name = "URL")]
    to: String,
    /// Which: key.*, user.delete, '*' (repeatable)
    #[arg(long = "event", value_name = "PATTERN", required = true)]
    events: Vec<String>,
    /// What it is for
    #[arg(long)]
    description: Option<String>,
    /// Send nothing yet, but tests
    #[arg(long)]
    disabled: bool,
    #[command(flatten)]
    secret: SecretArgs,
}

#[derive(Args, Debug)]
struct EditArgs {
    /// webhook_…
    webhook: String,
    /// New address
    #[arg(long, value_name = "URL")]
    to: Option<String>,
    /// Which events (repeatable; replaces all)
    #[arg(long = "event", value_name = "PATTERN")]
    events: Vec<String>,
    /// What it is for
    #[arg(long)]
    description: Option<String>,
    /// Switch it on or off
    #[arg(long, value_name = "true|false")]
    enabled: Option<bool>,
    #[command(flatten)]
    version: VersionArgs,
}

#[derive(Args, Debug)]
struct DeliveriesArgs {
    /// webhook_…
    webhook: String,
    #[command(flatten)]
    list: ListArgs,
}

#[derive(Args, Debug)]
struct ReplayArgs {
    /// webhook_…
    webhook: String,
    /// delivery_…
    delivery: String,
}

#[derive(Args, Debug)]
struct RotateArgs {
    /// webhook_…
    webhook: String,
    /// For how long the secret before signs too (default a day)
    #[arg(long, value_name = "SPAN", value_parser = super::span::parse)]
    overlap: Option<Duration>,
    #[command(flatten)]
    secret: SecretArgs,
}

/// Runs `keyward webhooks`.
pub(crate) async fn run(args: WebhooksArgs, global: &Global) -> Outcome {
    let session = &Session::open(global)?;
    match args.command {
        WebhooksCommand::List(args) => WEBHOOKS.list(session, &args).await,
        WebhooksCommand::Add(args) => add(session, args).await,
        WebhooksCommand::Show(args) => WEBHOOKS.show(session, &args.webhook).await,
        WebhooksCommand::Edit(args) => {
            let mut patch = Map::new();
            put(&mut patch, "url", args.to);
            put_list(&mut patch, "events", &args.events);
            put(&mut patch, "description", args.description);
            put(&mut patch, "enabled", args.enabled);
            WEBHOOKS.edit(session, &args.webhook, patch, &args.version).await
        }
        WebhooksCommand::Test(args) => test(session, &args.webhook).await,
        WebhooksCommand::Deliveries(args) => {
            let request = args.list.request(&deliveries(&args.webhook), &["state"])?;
            noun::print_list(session, request, &DELIVERY, &args.list).await
        }
        WebhooksCommand::Replay(args) => replay(session, &args).await,
        WebhooksCommand::RotateSecret(args) => rotate(session, args).await,
        WebhooksCommand::Delete(args) => WEBHOOKS.delete(session, &args.webhook).await,
    }
}

fn deliveries(webhook: &str) -> String {
    format!("{}/deliveries", WEBHOOKS.at(webhook))
}

async fn add(session: &Session, args: AddArgs) -> Outcome {
    let mut body = Map::new();
    put(&mut body, "url", Some(args.to));
    put_list(&mut body, "events", &args.events);
    put(&mut body, "description", args.description);
    put(&mut body, "enabled", args.disabled.then_some(false));
    make(session, &args.secret, Request::post(WEBHOOKS.path, body), "made").await
}

async fn rotate(session: &Session, args: RotateArgs) -> Outcome {
    let mut body = Map::new();
    put(&mut body, "overlap_seconds", args.overlap.map(|span| span.as_secs()));
    let path = format!("{}/rotate-secret", WEBHOOKS.at(&args.webhook));
    make(session, &args.secret, Request::post(path, body), "has another secret").await
}

/// Sends what makes a secret, and hands that over.
async fn make(session: &Session, secret: &SecretArgs, request: Request, done: &str) -> Outcome {
    let sink = Sink::choose(secret, session)?;
    let made = noun::send_change(session, request).await?;
    let id = made["id"].as_str().unwrap_or_default().to_owned();
    let text = made["secret"].as_str().unwrap_or_default().to_owned();
    let shown = sink.deliver_text(session, made, &["secret"], &text)?;
    session.output.object(WEBHOOKS.columns, &shown)?;
    session.output.note(&noun::told(session, &format!("webhook {id} {done}")));
    Ok(Exit::Ok)
}

async fn test(session: &Session, webhook: &str) -> Outcome {
    let sent =
        noun::send_change(session, Request::post(format!("{}/test", WEBHOOKS.at(webhook)), Map::new()));
    let sent = sent.await?;
    if session.global.dry_run {
        session.output.note(&noun::told(session, ""));
        return Ok(Exit::Ok);
    }
    for _ in 0..PATIENCE {
        tokio::time::sleep(LOOK).await;
        let listed = session.client.send(Request::get(deliveries(webhook))).await?;
        let rows = listed["data"].as_array().map_or(&[][..], Vec::as_slice);
        let is_ours = |row: &&Value| row["request_id"] == sent["request_id"] && row["event"] == sent["event"];
        let Some(row) = rows.iter().find(is_ours).filter(|row| row["state"] != "waiting") else { continue };
        session.output.object(&DELIVERY, row)?;
        if row["state"] == "delivered" {
            return Ok(Exit::Ok);
        }
        let why = row["error"].as_str().unwrap_or("it was not taken");
        return Err(Failure::new(Exit::Failure, format!("the test failed: {why}")).into());
    }
    Err(Failure::new(Exit::Failure, "the test is still on its way")
        .hint(format!("keyward webhooks deliveries {webhook}"))
        .into())
}

async fn replay(session: &Session, args: &ReplayArgs) -> Outcome {
    let path = format!("{}/{}/replay", deliveries(&args.webhook), segment(&args.delivery));
    let row = noun::send_change(session, Request::post(path, json!({}))).await?;
    session.output.object(&DELIVERY, &row)?;
    session.output.note(&noun::told(session, &format!("{} is sent again", args.delivery)));
    Ok(Exit::Ok)
}
