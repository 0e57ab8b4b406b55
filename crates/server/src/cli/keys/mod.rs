//! `keyward keys`

mod args;
mod bulk;

use clap::{Args, Subcommand};
use serde_json::{Map, Value};

pub(crate) use args::RequestArgs;
use args::{
    CreateArgs, EditArgs, ExplainArgs, ExtendArgs, KeyArgs, NewSecretArgs, ReasonArgs, ReportArgs,
    RevokeArgs, RotateArgs, RotateStep, SessionsArgs, UsageArgs,
};

use super::client::Request;
use super::noun::{self, ListArgs, Noun, put};
use super::output::Format;
use super::secret::{SecretArgs, Sink};
use super::{Exit, Failure, Global, Outcome, Session, handovers, prompt, sessions, stream, users};

/// Keys as the API lists them.
pub(crate) const KEYS: Noun = Noun {
    one: "key",
    path: "/v1/keys",
    columns: &[
        "access_key",
        "label",
        "status",
        "owner_username",
        "class",
        "expires_at",
        "last_used_at",
        "created_at",
        "id",
    ],
    filters: &[
        "status",
        "class",
        "owner_id",
        "q",
        "label",
        "created_by",
        "created_before",
        "created_after",
        "expires_before",
        "expires_after",
        "last_used_before",
        "never_expires",
        "unused",
        "sort",
    ],
    name: None,
};

/// Access keys: make, list, change, rotate and end them
#[derive(Args, Debug)]
pub(crate) struct KeysArgs {
    #[command(subcommand)]
    command: KeysCommand,
}

#[derive(Subcommand, Debug)]
enum KeysCommand {
    /// Make a key; its secret is shown once
    Create(Box<CreateArgs>),
    /// List keys
    #[command(visible_alias = "ls")]
    List(ListArgs),
    /// Show one key with its effective rights
    Show(KeyArgs),
    /// Change label, scopes, groups, roles, conditions, limits or expiry
    Edit(Box<EditArgs>),
    /// Give a key a new end
    Extend(ExtendArgs),
    /// Replace the secret while the old one still works
    Rotate(RotateArgs),
    /// Make a new secret at once; old ones stop working
    NewSecret(NewSecretArgs),
    /// Make an inactive key work again
    Enable(KeyArgs),
    /// Stop a key until it is enabled again
    Disable(ReasonArgs),
    /// End a key for good, or many by a filter
    #[command(visible_alias = "rm")]
    Revoke(RevokeArgs),
    /// Report every key with owner, state, age, use and rights, as CSV
    Report(ReportArgs),
    /// Show when, from where and how often a key was used
    Usage(UsageArgs),
    /// List the sessions that began with a key
    Sessions(SessionsArgs),
    /// End every session that began with a key
    EndSessions(KeyArgs),
    /// Tell step by step why a key would be accepted or refused
    Explain(ExplainArgs),
}

/// Runs `keyward keys`.
pub(crate) async fn run(args: KeysArgs, global: &Global) -> Outcome {
    let session = &Session::open(global)?;
    match args.command {
        KeysCommand::Create(args) => create(session, *args).await,
        KeysCommand::List(args) => KEYS.list(session, &args).await,
        KeysCommand::Show(args) => KEYS.show(session, &args.key).await,
        KeysCommand::Edit(args) => edit(session, *args).await,
        KeysCommand::Extend(args) => extend(session, &args).await,
        KeysCommand::Rotate(args) => rotate(session, args.step).await,
        KeysCommand::NewSecret(args) => new_secret(session, &args).await,
        KeysCommand::Enable(args) => KEYS.act(session, &args.key, "activate", Map::new(), "enabled").await,
        KeysCommand::Disable(args) => {
            KEYS.act(session, &args.key, "deactivate", reason(args.reason), "disabled").await
        }
        KeysCommand::Revoke(args) => revoke(session, args).await,
        KeysCommand::Report(args) => report(session, &args).await,
        KeysCommand::Usage(args) => usage(session, &args).await,
        KeysCommand::Sessions(args) => {
            let request = args.list.request(&format!("{}/sessions", KEYS.at(&args.key)), &[])?;
            noun::print_list(session, request, sessions::COLUMNS, &args.list).await
        }
        KeysCommand::EndSessions(args) => end_sessions(session, &args.key).await,
        KeysCommand::Explain(args) => explain(session, &args).await,
    }
}

/// The body that only says why.
pub(crate) fn reason(reason: Option<String>) -> Map<String, Value> {
    let mut body = Map::new();
    put(&mut body, "reason", reason);
    body
}

async fn create(session: &Session, args: CreateArgs) -> Outcome {
    let mut body = Map::new();
    put(&mut body, "class", Some(args.class));
    put(&mut body, "label", Some(args.label));
    if let Some(owner) = &args.owner {
        put(&mut body, "owner_id", Some(users::USERS.resolve(session, owner).await?));
    }
    args.expiry.put(&mut body);
    put(&mut body, "not_before", args.not_before.map(|moment| moment.to_string()));
    put(&mut body, "canary", args.canary.then_some(true));
    args.traits.put(session, &mut body).await?;
    args.rotation.put(&mut body);
    args.handover.put(&mut body);
    issue(session, Request::post(KEYS.path, body), &args.secret, "created").await
}

async fn edit(session: &Session, args: EditArgs) -> Outcome {
    let mut patch = Map::new();
    put(&mut patch, "label", args.label);
    args.expiry.put(&mut patch);
    args.traits.put(session, &mut patch).await?;
    args.rotation.put(&mut patch);
    for field in args.clear {
        patch.insert(field, Value::Null);
    }
    KEYS.edit(session, &args.key, patch, &args.version).await
}

async fn extend(session: &Session, args: &ExtendArgs) -> Outcome {
    let mut body = Map::new();
    args.expiry.put(&mut body);
    if body.is_empty() {
        return Err(Failure::usage("extend it until when?")
            .hint("add --ttl, --expires-at or --never")
            .into());
    }
    KEYS.act(session, &args.key, "extend", body, "extended").await
}

async fn rotate(session: &Session, step: RotateStep) -> Outcome {
    match step {
        RotateStep::Start(args) => {
            let mut body = Map::new();
            put(&mut body, "overlap_seconds", Some(args.overlap.as_secs()));
            args.handover.put(&mut body);
            let request = Request::post(format!("{}/rotate", KEYS.at(&args.key)), body);
            issue(session, request, &args.secret, "has a new secret beside the old one").await
        }
        RotateStep::Finish(args) => {
            prompt::confirm(session, &format!("End the old secret of {} now?", args.key))?;
            KEYS.act(session, &args.key, "rotate/finish", Map::new(), "has only its new secret now").await
        }
        RotateStep::Abort(args) => {
            prompt::confirm(session, &format!("Drop the new secret of {}?", args.key))?;
            KEYS.act(session, &args.key, "rotate/abort", Map::new(), "keeps its old secret").await
        }
    }
}

async fn new_secret(session: &Session, args: &NewSecretArgs) -> Outcome {
    prompt::confirm(session, &format!("End all present secrets of {} now?", args.key))?;
    let request = Request::post(format!("{}/secret", KEYS.at(&args.key)), Map::new());
    issue(session, request, &args.secret, "has a new secret").await
}

/// Sends a request whose answer holds a secret, and hands the secret over.
async fn issue(session: &Session, request: Request, args: &SecretArgs, done: &str) -> Outcome {
    let sink = Sink::choose(args, session)?;
    let mut created = noun::send_change(session, request).await?;
    if created["secret_state"] == "handed_over" && matches!(sink, Sink::Document) {
        session.output.object(KEYS.columns, &created)?;
        return Ok(Exit::Ok);
    }
    if created["secret_state"] == "handed_over" {
        session.output.note(&noun::told(
            session,
            &format!("key {} {done}", created["id"].as_str().unwrap_or_default()),
        ));
        return handovers::show_link(session, sink, created["handover"].take());
    }
    let mut shown = sink.deliver(session, created)?;
    let id = shown["id"].as_str().unwrap_or_default().to_owned();
    if session.output.asked().is_none()
        && let Some(members) = shown.as_object_mut()
    {
        members.remove("secret");
        members.remove("copy");
    }
    session.output.object(KEYS.columns, &shown)?;
    session.output.note(&noun::told(session, &format!("key {id} {done}")));
    Ok(Exit::Ok)
}

async fn revoke(session: &Session, args: RevokeArgs) -> Outcome {
    let Some(key) = &args.key else {
        return bulk::revoke_many(session, args).await;
    };
    prompt::confirm(session, &format!("Revoke {key} for good?"))?;
    KEYS.act(session, key, "revoke", reason(args.reason), "revoked").await
}

async fn end_sessions(session: &Session, key: &str) -> Outcome {
    if session.global.dry_run {
        session.client.send(Request::get(KEYS.at(key))).await?;
        session.output.note(&format!("dry run: every session of {key} would end"));
        return Ok(Exit::Ok);
    }
    prompt::confirm(session, &format!("End every session of {key}?"))?;
    let path = format!("{}/sessions", KEYS.at(key));
    session.client.send(Request::new(http::Method::DELETE, path)).await?;
    session.output.note(&format!("every session of {key} ended"));
    Ok(Exit::Ok)
}

/// CSV comes neutralised from the server: the same for whoever asks.
async fn report(session: &Session, args: &ReportArgs) -> Outcome {
    let request = |format: &str| Request::get("/v1/reports/credentials").query("format", format);
    let asked = session.output.asked().map(|format| if format == Format::Csv { "csv" } else { "json" });
    match (args.format.as_deref().or(asked), session.output.asked()) {
        (None | Some("csv"), _) => stream::pass_on(session, request("csv")).await,
        (_, Some(Format::Jsonl)) => stream::pass_on(session, request("jsonl")).await,
        _ => stream::pass_on_as_array(session, request("jsonl")).await,
    }
}

async fn usage(session: &Session, args: &UsageArgs) -> Outcome {
    let mut request = Request::get(format!("{}/usage", KEYS.at(&args.key)));
    if let Some(hours) = args.hours {
        request = request.query("hours", hours.to_string());
    }
    let answer = session.client.send(request).await?;
    let columns = ["total.allowed", "total.denied", "last_used_at", "last_used_address", "last_used_agent"];
    session.output.object(&columns, &answer)?;
    Ok(Exit::Ok)
}

async fn explain(session: &Session, args: &ExplainArgs) -> Outcome {
    let mut body = Map::new();
    args.request.put(&mut body);
    let request = Request::post(format!("{}/explain", KEYS.at(&args.key)), body);
    let mut answer = session.client.send(request).await?;
    if session.output.asked().is_some() {
        session.output.object(&["valid", "code"], &answer)?;
        return Ok(Exit::Ok);
    }
    if let Value::Array(steps) = answer["steps"].take() {
        session.output.rows(&["check", "passed", "detail"]).all(steps)?;
    }
    session.output.note(&format!("decision: {}", super::cell::plain(&answer["code"])));
    Ok(Exit::Ok)
}
