//! `keyward password`

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::client::Request;
use super::{Exit, Global, Outcome, Session, curl, login, prompt};

/// One's own password
#[derive(Args, Debug)]
pub(crate) struct PasswordArgs {
    #[command(subcommand)]
    command: PasswordCommand,
}

#[derive(Subcommand, Debug)]
enum PasswordCommand {
    /// Change it; every other session ends
    Change,
    /// Set it with the token of a link
    Redeem,
}

/// Runs `keyward password`. What is secret is typed, or comes by standard input, one in each line.
pub(crate) async fn run(args: PasswordArgs, global: &Global) -> Outcome {
    login::must_be_for_real(global)?;
    let session = &Session::open(global)?;
    match args.command {
        PasswordCommand::Change => change(session).await,
        PasswordCommand::Redeem => redeem(session).await,
    }
}

async fn change(session: &Session) -> Outcome {
    let [old, new] = ask(session, ["Present password (not shown): ", "New password (not shown): "])?;
    let body = json!({ "old_password": old, "new_password": new });
    let opened = session.client.send(Request::post("/v1/auth/password", body)).await?;
    login::keep(session, opened)?;
    session.output.note("the password is changed; every other session has ended");
    Ok(Exit::Ok)
}

async fn redeem(session: &Session) -> Outcome {
    let [token, new] = ask(session, ["Token (not shown): ", "New password (not shown): "])?;
    let body = json!({ "token": token, "password": new });
    session.client.send(Request::post("/v1/auth/password-reset", body).public()).await?;
    session.output.note("the password is set; log in with `keyward login`");
    Ok(Exit::Ok)
}

fn ask(session: &Session, questions: [&str; 2]) -> anyhow::Result<[Value; 2]> {
    if session.global.print_curl {
        return Ok([curl::CREDENTIAL.into(), curl::CREDENTIAL.into()]);
    }
    let answers = prompt::read_passwords(session, &questions)?;
    let mut answers = answers.iter().map(|answer| Value::from(answer.expose()));
    Ok(std::array::from_fn(|_| answers.next().expect("an answer to each question")))
}
