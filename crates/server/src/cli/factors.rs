//! `keyward factors`

use clap::{Args, Subcommand};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::client::{Request, segment};
use super::secret::{SecretArgs, Sink};
use super::{Exit, Global, Outcome, Session, login, prompt};

/// Columns of factors.
pub(crate) const COLUMNS: &[&str] = &["id", "kind", "name", "created_at", "last_used_at"];

/// One's own second factors, which a login asks for beside the password: authenticators and passkeys
///
/// A passkey is added in a browser, and listed and removed here too.
#[derive(Args, Debug)]
pub(crate) struct FactorsArgs {
    #[command(subcommand)]
    command: FactorsCommand,
}

#[derive(Subcommand, Debug)]
enum FactorsCommand {
    /// List one's own second factors
    #[command(visible_alias = "ls")]
    List,
    /// Add an authenticator, and get recovery codes with the first one; a passkey needs a browser
    Add(AddArgs),
    /// Confirm an authenticator that was added where nobody could be asked
    Confirm(ConfirmArgs),
    /// Give one another name
    Rename(RenameArgs),
    /// Remove one; every other session ends
    #[command(visible_alias = "rm")]
    Remove(RemoveArgs),
    /// Make new recovery codes in the place of all others
    RecoveryCodes(CodesArgs),
}

#[derive(Args, Debug)]
struct AddArgs {
    /// Name, to tell it from others
    #[arg(default_value = "authenticator")]
    name: String,
    #[command(flatten)]
    secret: SecretArgs,
}

#[derive(Args, Debug)]
struct ConfirmArgs {
    /// factor_…
    factor: String,
    /// What the authenticator shows now (default: ask)
    #[arg(long, value_name = "CODE")]
    code: Option<String>,
    #[command(flatten)]
    secret: SecretArgs,
}

#[derive(Args, Debug)]
struct RenameArgs {
    /// factor_…
    factor: String,
    /// The new name
    name: String,
}

#[derive(Args, Debug)]
struct RemoveArgs {
    /// factor_…
    factor: String,
}

#[derive(Args, Debug)]
struct CodesArgs {
    #[command(flatten)]
    secret: SecretArgs,
}

/// Runs `keyward factors`.
pub(crate) async fn run(args: FactorsArgs, global: &Global) -> Outcome {
    let session = &Session::open(global)?;
    match args.command {
        FactorsCommand::List => {
            let listed = session.client.send(Request::get("/v1/auth/factors")).await?;
            print(session, listed)
        }
        FactorsCommand::Add(args) => add(session, args).await,
        FactorsCommand::Confirm(args) => {
            login::must_be_for_real(global)?;
            let sink = Sink::choose(&args.secret, session)?;
            confirm(session, &args.factor, args.code, sink).await
        }
        FactorsCommand::Rename(args) => rename(session, &args).await,
        FactorsCommand::Remove(args) => remove(session, &args.factor).await,
        FactorsCommand::RecoveryCodes(args) => recovery_codes(session, &args.secret).await,
    }
}

/// Factors as a list, with a word about recovery codes.
pub(crate) fn print(session: &Session, mut listed: Value) -> Outcome {
    let rows = listed["factors"].take().as_array().cloned().unwrap_or_default();
    session.output.rows(COLUMNS).all(rows)?;
    session.output.note(&format!("{} recovery codes left", listed["recovery_codes_left"]));
    Ok(Exit::Ok)
}

async fn add(session: &Session, args: AddArgs) -> Outcome {
    login::must_be_for_real(&session.global)?;
    let sink = Sink::choose(&args.secret, session)?;
    let asks = session.can_ask() && matches!(sink, Sink::Terminal);
    let codes = if asks { Some(Sink::choose(&SecretArgs::default(), session)?) } else { None };
    let request = Request::post("/v1/auth/factors/totp", json!({ "name": args.name }));
    let made = session.client.send(request).await?;
    let id = made["id"].as_str().unwrap_or_default().to_owned();
    let text = match made["uri"].as_str() {
        Some(uri) => Zeroizing::new(uri.to_owned()),
        None => Zeroizing::default(),
    };
    let shown = sink.deliver_text(session, made, &["secret", "uri"], &text)?;
    match codes {
        Some(sink) => {
            session.output.note("give the address, or the secret in it, to the authenticator");
            confirm(session, &id, None, sink).await
        }
        None => {
            session.output.summary(&["id", "expires_at"], &shown)?;
            session.output.note(&format!("next: keyward factors confirm {id} --code CODE"));
            Ok(Exit::Ok)
        }
    }
}

async fn confirm(session: &Session, id: &str, code: Option<String>, sink: Sink) -> Outcome {
    let code = match code {
        Some(code) => code,
        None => prompt::ask_for(session, "Code that it shows now: ", "--code CODE")?,
    };
    let path = format!("/v1/auth/factors/{}/confirm", segment(id));
    let confirmed = session.client.send(Request::post(path, json!({ "code": code }))).await?;
    let confirmed = login::keep(session, confirmed)?;
    let shown = match confirmed["recovery_codes"].is_array() {
        true => deliver_codes(session, confirmed, sink)?,
        false => confirmed,
    };
    session.output.summary(&["factor.id", "factor.name"], &shown)?;
    session.output.note("the factor counts; every other session has ended");
    Ok(Exit::Ok)
}

fn deliver_codes(session: &Session, made: Value, sink: Sink) -> anyhow::Result<Value> {
    let mut text = Zeroizing::new(String::new());
    for code in made["recovery_codes"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        if !text.is_empty() {
            text.push('\n');
        }
        text.push_str(code);
    }
    let shown = sink.deliver_text(session, made, &["recovery_codes"], &text)?;
    session.output.note("recovery codes: each logs in once when the authenticator is lost");
    Ok(shown)
}

async fn rename(session: &Session, args: &RenameArgs) -> Outcome {
    login::must_be_for_real(&session.global)?;
    let path = format!("/v1/auth/factors/{}", segment(&args.factor));
    let body = json!({ "name": args.name });
    let edited = session.client.send(Request::patch(path, body)).await?;
    session.output.summary(&["id", "kind", "name"], &edited)?;
    Ok(Exit::Ok)
}

async fn remove(session: &Session, id: &str) -> Outcome {
    if session.global.dry_run {
        session.output.note(&format!("dry run: {id} would be removed"));
        return Ok(Exit::Ok);
    }
    prompt::confirm(session, &format!("Remove {id}?"))?;
    let path = format!("/v1/auth/factors/{}", segment(id));
    session.client.send(Request::new(http::Method::DELETE, path)).await?;
    session.output.note(&format!("{id} removed"));
    Ok(Exit::Ok)
}

async fn recovery_codes(session: &Session, args: &SecretArgs) -> Outcome {
    login::must_be_for_real(&session.global)?;
    let sink = Sink::choose(args, session)?;
    let made = session.client.send(Request::post("/v1/auth/factors/recovery-codes", json!({}))).await?;
    let shown = deliver_codes(session, made, sink)?;
    session.output.summary(&["secret_state"], &shown)?;
    Ok(Exit::Ok)
}
