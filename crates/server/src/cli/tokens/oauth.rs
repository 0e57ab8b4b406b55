//! `keyward tokens exchange` and `introspect`, and `revoke --own`: the OAuth endpoints, with
//! $KEYWARD_TOKEN, the secret of a key, as the client.

use clap::Args;
use serde_json::{Map, Value, json};

use super::{TokenArgs, deliver};
use crate::cli::client::Request;
use crate::cli::noun::{put, put_list};
use crate::cli::secret::{SecretArgs, Sink};
use crate::cli::{Exit, Failure, Outcome, Session, curl, prompt, span};

const EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";

#[derive(Args, Debug)]
pub(super) struct ExchangeArgs {
    /// `-` or --file: of this token; of the key in $KEYWARD_TOKEN unless given
    #[command(flatten)]
    subject: TokenArgs,
    /// Only this right (repeatable)
    #[arg(long = "right", value_name = "RIGHT")]
    rights: Vec<String>,
    /// How long it lives
    #[arg(long, value_name = "SPAN", value_parser = span::parse)]
    ttl: Option<std::time::Duration>,
    /// Who shall accept it (repeatable)
    #[arg(long, value_name = "NAME")]
    audience: Vec<String>,
    /// How often it may be used
    #[arg(long, value_name = "N")]
    budget: Option<u32>,
    /// The key that may exchange it once more: key_…
    #[arg(long, value_name = "KEY")]
    may_act: Option<String>,
    #[command(flatten)]
    secret: SecretArgs,
}

#[derive(Args, Debug)]
pub(super) struct IntrospectArgs {
    #[command(flatten)]
    token: TokenArgs,
    /// Who asks, as it stands in `aud`
    #[arg(long, value_name = "NAME")]
    audience: Option<String>,
}

/// Makes a token of a key or of another token.
pub(super) async fn exchange(session: &Session, args: ExchangeArgs) -> Outcome {
    if session.global.dry_run {
        return Err(Failure::usage("--dry-run: a token is made or it is not").into());
    }
    let sink = Sink::choose(&args.secret, session)?;
    let mut body = Map::new();
    put(&mut body, "grant_type", Some(EXCHANGE));
    put(&mut body, "subject_token", Some(subject(session, &args.subject)?));
    put(&mut body, "subject_token_type", Some(ACCESS_TOKEN));
    put(&mut body, "scope", Some(args.rights.join(" ")).filter(|scope| !scope.is_empty()));
    put(&mut body, "expires_in", args.ttl.map(|ttl| ttl.as_secs()));
    put(&mut body, "budget", args.budget);
    put(&mut body, "may_act", args.may_act);
    put_list(&mut body, "audience", &args.audience);
    let made = session.client.send(Request::form("/oauth2/token", body)).await?;
    let shown = deliver(session, sink, made, "access_token")?;
    session.output.object(&["scope", "expires_in", "token_type"], &shown)?;
    Ok(Exit::Ok)
}

/// The token that was given, or the own key.
fn subject(session: &Session, args: &TokenArgs) -> anyhow::Result<Value> {
    if args.source.is_some() || args.file.is_some() {
        return args.read(session);
    }
    if session.global.print_curl {
        return Ok(json!(curl::CREDENTIAL));
    }
    match session.client.token() {
        Some(own) => Ok(json!(own.expose())),
        None => Ok(json!(prompt::read_secret(None, None)?.expose())),
    }
}

/// Asks what a token or key is worth.
pub(super) async fn introspect(session: &Session, args: &IntrospectArgs) -> Outcome {
    let mut body = Map::new();
    put(&mut body, "token", Some(args.token.read(session)?));
    put(&mut body, "audience", args.audience.clone());
    let told = session.client.send(Request::form("/oauth2/introspect", body)).await?;
    session.output.object(&["active", "username", "sub", "scope", "aud", "exp"], &told)?;
    if told["active"] == true {
        return Ok(Exit::Ok);
    }
    session.output.note("not active, or none of yours");
    Ok(Exit::NotValid)
}

/// Ends a token that this key asked for.
pub(super) async fn revoke(session: &Session, token: &TokenArgs) -> Outcome {
    if session.global.dry_run {
        return Err(Failure::usage("--dry-run: a token is ended or it is not").into());
    }
    let body = json!({ "token": token.read(session)? });
    session.client.send(Request::form("/oauth2/revoke", body)).await?;
    session.output.note("if this key asked for the token, it is over");
    Ok(Exit::Ok)
}
