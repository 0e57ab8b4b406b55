//! `keyward trusted`

use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};

use super::client::Request;
use super::noun::{self, ListArgs, Noun, VersionArgs, put};
use super::policies::patch_of;
use super::secret::{SecretArgs, Sink};
use super::{Exit, Failure, Global, Outcome, Session, prompt};

/// Trusted secrets as the API lists them.
const TRUSTED: Noun = Noun {
    one: "trusted secret",
    path: "/v1/trusted",
    columns: &["name", "state", "ceiling.rights", "created_at", "ended_at", "id"],
    filters: &[],
    name: None,
};

/// Trusted authentication: a secret by which your backend gets tokens for its users
#[derive(Args, Debug)]
pub(crate) struct TrustedArgs {
    #[command(subcommand)]
    command: TrustedCommand,
}

#[derive(Subcommand, Debug)]
enum TrustedCommand {
    /// List trusted secrets
    #[command(visible_alias = "ls")]
    List(ListArgs),
    /// Show one with its ceiling and generations
    Show(OneArgs),
    /// Switch it on: makes a secret
    Enable(EnableArgs),
    /// Switch it off: the secret and its tokens end at once, for good
    Disable(DisableArgs),
    /// Show the secret once more; every look is in the audit log
    Copy(CopyArgs),
    /// Change name or ceiling
    Edit(EditArgs),
    /// Make another generation beside the present one
    Rotate(RotateArgs),
    /// End the older generation of a rotation and its tokens
    Finish(OneArgs),
}

#[derive(Args, Debug)]
struct OneArgs {
    /// trusted_…
    id: String,
}

#[derive(Args, Debug)]
struct EnableArgs {
    /// Name; `default` unless given
    #[arg(long)]
    name: Option<String>,
    #[command(flatten)]
    ceiling: CeilingArgs,
    #[command(flatten)]
    secret: SecretArgs,
}

#[derive(Args, Debug)]
struct CeilingArgs {
    /// Bound of the secret: 'rights=["models/**:read"]', max_ttl_seconds=600 (repeatable)
    #[arg(long = "set", value_name = "NAME=VALUE")]
    sets: Vec<String>,
}

#[derive(Args, Debug)]
struct DisableArgs {
    /// trusted_…; the one named `default` unless given
    id: Option<String>,
}

#[derive(Args, Debug)]
struct CopyArgs {
    /// trusted_…; the one named `default` unless given
    id: Option<String>,
    #[command(flatten)]
    secret: SecretArgs,
}

#[derive(Args, Debug)]
struct EditArgs {
    /// trusted_…
    id: String,
    /// New name
    #[arg(long)]
    name: Option<String>,
    #[command(flatten)]
    ceiling: CeilingArgs,
    #[command(flatten)]
    version: VersionArgs,
}

#[derive(Args, Debug)]
struct RotateArgs {
    /// trusted_…
    id: String,
    /// How long the present generation goes on
    #[arg(long, value_name = "SPAN", default_value = "1d", value_parser = super::span::parse)]
    overlap: std::time::Duration,
    #[command(flatten)]
    secret: SecretArgs,
}

/// Runs `keyward trusted`.
pub(crate) async fn run(args: TrustedArgs, global: &Global) -> Outcome {
    let session = &Session::open(global)?;
    match args.command {
        TrustedCommand::List(args) => TRUSTED.list(session, &args).await,
        TrustedCommand::Show(args) => TRUSTED.show(session, &args.id).await,
        TrustedCommand::Enable(args) => enable(session, args).await,
        TrustedCommand::Disable(args) => disable(session, args).await,
        TrustedCommand::Copy(args) => {
            let request = Request::post("/v1/trusted/copy", id_of(args.id));
            issue(session, request, &args.secret, "shown").await
        }
        TrustedCommand::Edit(args) => {
            let mut patch = args.ceiling.body()?;
            put(&mut patch, "name", args.name);
            TRUSTED.edit(session, &args.id, patch, &args.version).await
        }
        TrustedCommand::Rotate(args) => {
            let body = json!({ "overlap_seconds": args.overlap.as_secs() });
            let request = Request::post(format!("{}/rotate", TRUSTED.at(&args.id)), body);
            issue(session, request, &args.secret, "has a new generation").await
        }
        TrustedCommand::Finish(args) => {
            prompt::confirm(session, "End the older generation and every token of it?")?;
            TRUSTED.act(session, &args.id, "rotate/finish", Map::new(), "has one generation now").await
        }
    }
}

impl CeilingArgs {
    fn body(&self) -> Result<Map<String, Value>, Failure> {
        let mut body = Map::new();
        put(&mut body, "ceiling", (!self.sets.is_empty()).then(|| patch_of(&self.sets)).transpose()?);
        Ok(body)
    }
}

fn id_of(id: Option<String>) -> Map<String, Value> {
    let mut body = Map::new();
    put(&mut body, "id", id);
    body
}

async fn enable(session: &Session, args: EnableArgs) -> Outcome {
    let mut body = args.ceiling.body()?;
    put(&mut body, "name", args.name);
    issue(session, Request::post("/v1/trusted/enable", body), &args.secret, "enabled").await
}

async fn disable(session: &Session, args: DisableArgs) -> Outcome {
    prompt::confirm(session, "End the trusted secret and every token of it, for good?")?;
    let mut body = id_of(args.id);
    body.insert("confirm".into(), true.into());
    TRUSTED.change(session, Request::post("/v1/trusted/disable", body), "disabled").await
}

/// Sends a request whose answer holds a secret, and hands the secret over.
async fn issue(session: &Session, request: Request, args: &SecretArgs, done: &str) -> Outcome {
    let sink = Sink::choose(args, session)?;
    let made = noun::send_change(session, request).await?;
    let mut shown = sink.deliver(session, made)?;
    let id = shown["id"].as_str().unwrap_or_default().to_owned();
    if session.output.asked().is_none()
        && let Some(members) = shown.as_object_mut()
    {
        members.remove("secret");
        members.remove("copy");
    }
    session.output.object(TRUSTED.columns, &shown)?;
    session.output.note(&noun::told(session, &format!("trusted secret {id} {done}")));
    Ok(Exit::Ok)
}
