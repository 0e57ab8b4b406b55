//! `keyward login` and `keyward logout`

use clap::Args;
use serde_json::{Map, Value, json};

use super::client::{Client, Request};
use super::secret::{SecretArgs, Sink};
use super::{Exit, Failure, Global, Outcome, Session, curl, prompt, remembered};

/// Open a session with user name and password, or with access key and secret
#[derive(Args, Debug)]
pub(crate) struct LoginArgs {
    /// User name, or kwa_… (default: ask)
    #[arg(long, short = 'u', value_name = "NAME")]
    username: Option<String>,
    /// Code of the second factor, or a recovery code (default: ask)
    #[arg(long, value_name = "CODE")]
    code: Option<String>,
    #[command(flatten)]
    secret: SecretArgs,
}

/// End the session that `keyward login` opened
#[derive(Args, Debug)]
pub(crate) struct LogoutArgs {}

/// Runs `keyward login`. The password is typed, or comes by standard input; `--tenant` names the
/// tenant of the user.
pub(crate) async fn run(args: LoginArgs, global: &Global) -> Outcome {
    let before = remembered::token(&global.url);
    must_be_for_real(global)?;
    let session = &Session::open(&Global { tenant: None, ..global.clone() })?;
    let username = match args.username {
        Some(username) => username,
        None => prompt::ask_for(session, "User name: ", "--username NAME")?,
    };
    let mut body = Map::new();
    body.insert("username".into(), username.clone().into());
    if let Some(tenant) = &global.tenant {
        body.insert("tenant".into(), tenant.clone().into());
    }
    let password: Value = match global.print_curl {
        true => curl::CREDENTIAL.into(),
        false => prompt::read_password(session, "Password (not shown): ")?.expose().into(),
    };
    body.insert("password".into(), password);
    let to_file = args.secret.names_a_file();
    let sink = if to_file { Some(Sink::choose(&args.secret, session)?) } else { None };
    let request = Request::post("/v1/auth/login", body).public();
    let opened = match session.client.send_or(request, "second_factor_required").await? {
        Ok(opened) => opened,
        Err(challenge) => give_factor(session, &challenge, args.code).await?,
    };
    let shown = match sink {
        Some(sink) => sink.deliver_token(session, opened)?,
        None => keep(session, opened)?,
    };
    if let Some(before) = before.filter(|_| !to_file) {
        end(global, before).await;
    }
    session.output.summary(&["user_id", "tenant_id", "session.id", "session.expires_at"], &shown)?;
    session.output.note(&format!("logged in as {username}"));
    if shown["session"]["enrolment_only"] == true {
        let told =
            "this session may only add a second factor, which the tenant asks for: keyward factors add";
        session.output.note(told);
    }
    Ok(Exit::Ok)
}

/// Sessions and passwords change by being proven: there is nothing to try out.
pub(crate) fn must_be_for_real(global: &Global) -> anyhow::Result<()> {
    anyhow::ensure!(!global.dry_run, Failure::usage("this cannot be tried out: leave --dry-run away"));
    Ok(())
}

/// The second half of a login.
async fn give_factor(session: &Session, challenge: &Value, code: Option<String>) -> anyhow::Result<Value> {
    let code = match code {
        Some(code) => code,
        None => ask_for_code(session, challenge)?,
    };
    let body = json!({ "challenge": challenge["challenge"], "code": code });
    session.client.send(Request::post("/v1/auth/login/factor", body).public()).await
}

/// Asks for what can be typed: a passkey needs a browser.
fn ask_for_code(session: &Session, challenge: &Value) -> anyhow::Result<String> {
    let has =
        |kind: &str| challenge["factors"].as_array().is_some_and(|all| all.iter().any(|one| one == kind));
    if has("totp") {
        return prompt::ask_for(session, "Code, or a recovery code: ", "--code CODE");
    }
    session.output.note("the passkey of this user needs a browser; here a recovery code does");
    prompt::ask_for(session, "Recovery code: ", "--code CODE")
}

/// Keeps the token of an answer for later commands, and takes it out of what is shown.
pub(crate) fn keep(session: &Session, mut opened: Value) -> anyhow::Result<Value> {
    let token = opened["token"].as_str().ok_or_else(|| anyhow::anyhow!("the answer holds no token"))?;
    let path = remembered::keep(&session.global.url, token)?;
    opened["token"] = Value::Null;
    session.output.note(&format!("session kept in {} (mode 0600)", path.display()));
    Ok(opened)
}

/// Ends an earlier session that a new login replaces; it would end by itself.
async fn end(global: &Global, token: String) {
    let client = Client::with_token(global, keyward_core::secret::Secret::new(token));
    if let Ok(client) = client {
        let _ = client.send(Request::post("/v1/auth/logout", json!({}))).await;
    }
}

/// Runs `keyward logout`.
pub(crate) async fn log_out(_: LogoutArgs, global: &Global) -> Outcome {
    must_be_for_real(global)?;
    let session = Session::open(global)?;
    let ended = session.client.send(Request::post("/v1/auth/logout", json!({}))).await;
    let refused = |error: &anyhow::Error| {
        error.downcast_ref::<Failure>().is_some_and(|failure| failure.exit() == Exit::Forbidden)
    };
    // One that is over already is forgotten too.
    if ended.as_ref().err().is_none_or(refused) {
        remembered::forget(&global.url)?;
    }
    ended?;
    session.output.note("logged out");
    Ok(Exit::Ok)
}
