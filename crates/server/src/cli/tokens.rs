//! `keyward tokens`

mod oauth;

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};

use super::client::Request;
use super::noun::{put, put_list};
use super::secret::{SecretArgs, Sink};
use super::{Exit, Failure, Global, Outcome, Session, cell, prompt};

/// Access tokens: asked for with a trusted secret, ended by an administrator
#[derive(Args, Debug)]
pub(crate) struct TokensArgs {
    #[command(subcommand)]
    command: TokensCommand,
}

#[derive(Subcommand, Debug)]
enum TokensCommand {
    /// Get a token for a user; $KEYWARD_TOKEN is the trusted secret
    Mint(MintArgs),
    /// Ask whether a token is valid; $KEYWARD_TOKEN is the trusted secret; exit code 10 if it is not
    Validate(TokenArgs),
    /// End a token, or all of a user
    Revoke(RevokeArgs),
    /// Get a narrower, shorter token for an agent, of your key or of a token
    Exchange(oauth::ExchangeArgs),
    /// Ask what a token or key is worth now; exit code 10 if it is not active
    Introspect(oauth::IntrospectArgs),
}

#[derive(Args, Debug)]
struct MintArgs {
    /// User name
    username: String,
    /// The user's tenant (with a secret of the primary tenant)
    #[arg(long = "of", value_name = "SLUG")]
    tenant: Option<String>,
    /// How long it lives
    #[arg(long, value_name = "SPAN", value_parser = super::span::parse)]
    ttl: Option<std::time::Duration>,
    /// Only this right (repeatable)
    #[arg(long = "right", value_name = "RIGHT")]
    rights: Vec<String>,
    /// Only rights about this object: models/emea/2026 (repeatable)
    #[arg(long = "object", value_name = "RESOURCE")]
    objects: Vec<String>,
    /// Who shall accept it (repeatable)
    #[arg(long = "audience", value_name = "NAME")]
    audience: Vec<String>,
    /// Make the user if there is none
    #[arg(long)]
    auto_create: bool,
    #[command(flatten)]
    secret: SecretArgs,
}

#[derive(Args, Debug)]
pub(super) struct TokenArgs {
    /// `-`: the token comes from stdin (the default); never the token itself
    pub(super) source: Option<String>,
    /// Read the token from this file
    #[arg(long, value_name = "FILE", conflicts_with = "source")]
    pub(super) file: Option<PathBuf>,
}

#[derive(Args, Debug)]
struct RevokeArgs {
    #[command(flatten)]
    token: TokenArgs,
    /// A token that this key asked for; needs no right
    #[arg(long, conflicts_with = "user")]
    own: bool,
    /// Every token of this user instead: user_… or name
    #[arg(long, value_name = "USER", conflicts_with_all = ["source", "file"])]
    user: Option<String>,
}

/// Runs `keyward tokens`.
pub(crate) async fn run(args: TokensArgs, global: &Global) -> Outcome {
    let session = &Session::open(global)?;
    match args.command {
        TokensCommand::Mint(args) => mint(session, args).await,
        TokensCommand::Validate(args) => validate(session, &args).await,
        TokensCommand::Revoke(args) if args.own => oauth::revoke(session, &args.token).await,
        TokensCommand::Revoke(args) => revoke(session, &args).await,
        TokensCommand::Exchange(args) => oauth::exchange(session, args).await,
        TokensCommand::Introspect(args) => oauth::introspect(session, &args).await,
    }
}

async fn mint(session: &Session, args: MintArgs) -> Outcome {
    if session.global.dry_run {
        return Err(Failure::usage("--dry-run: a token is made or it is not").into());
    }
    let sink = Sink::choose(&args.secret, session)?;
    let mut body = Map::new();
    put(&mut body, "username", Some(args.username));
    put(&mut body, "tenant", args.tenant);
    put(&mut body, "ttl_seconds", args.ttl.map(|ttl| ttl.as_secs()));
    put(&mut body, "auto_create", args.auto_create.then_some(true));
    put_list(&mut body, "rights", &args.rights);
    put_list(&mut body, "objects", &args.objects);
    put_list(&mut body, "audience", &args.audience);
    let made = session.client.send(Request::post("/v1/trusted/tokens", body)).await?;
    let shown = deliver(session, sink, made, "token")?;
    let columns = ["username", "kind", "rights", "expires_at", "token_id"];
    session.output.object(&columns, &shown)?;
    Ok(Exit::Ok)
}

/// Hands a token over as secrets are handed over, under its own name.
fn deliver(session: &Session, sink: Sink, mut made: Value, name: &str) -> anyhow::Result<Value> {
    made["secret"] = made[name].take();
    let mut shown = sink.deliver(session, made)?;
    shown[name] = shown["secret"].take();
    if let Some(members) = shown.as_object_mut() {
        members.remove("secret");
        members.remove("copy");
        if members[name].is_null() {
            members.remove(name);
        }
    }
    Ok(shown)
}

async fn validate(session: &Session, args: &TokenArgs) -> Outcome {
    let body = json!({ "token": args.read(session)? });
    let told = session.client.send(Request::post("/v1/trusted/tokens/validate", body)).await?;
    let columns = ["valid", "code", "principal.username", "expires_at", "rights"];
    session.output.object(&columns, &told)?;
    if told["valid"] == true {
        return Ok(Exit::Ok);
    }
    session.output.note(&format!("not valid: {}", cell::plain(&told["code"])));
    Ok(Exit::NotValid)
}

async fn revoke(session: &Session, args: &RevokeArgs) -> Outcome {
    let (body, what) = match &args.user {
        Some(user) => {
            prompt::confirm(session, &format!("End every token of {user}?"))?;
            (
                json!({ "user_id": super::users::USERS.resolve(session, user).await? }),
                "every token of the user",
            )
        }
        None => (json!({ "token": args.token.read(session)? }), "the token"),
    };
    let done = super::noun::send_change(session, Request::post("/v1/tokens/revoke", body)).await?;
    session.output.object(&["revoked"], &done)?;
    let told = if done["revoked"] == true {
        format!("{what} is over")
    } else {
        "it was no live token of this tenant".into()
    };
    session.output.note(&super::noun::told(session, &told));
    Ok(Exit::Ok)
}

impl TokenArgs {
    pub(super) fn read(&self, session: &Session) -> anyhow::Result<Value> {
        if session.global.print_curl {
            return Ok(json!(super::curl::CREDENTIAL));
        }
        Ok(json!(prompt::read_secret(self.source.as_deref(), self.file.as_deref())?.expose()))
    }
}
