//! Asking people: confirmations, and secrets that are typed or piped in.

use std::io::{self, IsTerminal, Read};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context;
use keyward_core::secret::Secret;
use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinHandle;
use zeroize::Zeroizing;

use super::{Exit, Failure, Session};

/// More than any credential; a whole disk piped in by mistake is not read.
const MOST_BYTES: u64 = 64 * 1024;
/// The same of a text in which credentials may stand.
const MOST_FOUND_BYTES: u64 = 16 * 1024 * 1024;
static ECHO_IS_OFF: AtomicBool = AtomicBool::new(false);

/// Goes on only with `--yes` or a person's yes.
pub(crate) fn confirm(session: &Session, question: &str) -> anyhow::Result<()> {
    let global = &session.global;
    if global.yes || global.dry_run || global.print_curl {
        return Ok(());
    }
    if !session.can_ask() {
        return Err(Failure::usage(format!("{question} Nobody can be asked here")).hint("add --yes").into());
    }
    match ask(&format!("{question} [y/N] "))?.to_lowercase().as_str() {
        "y" | "yes" => Ok(()),
        _ => Err(unchanged().into()),
    }
}

/// Goes on only with the phrase itself, given by the option or typed.
pub(crate) fn confirm_phrase(
    session: &Session,
    question: &str,
    phrase: &str,
    option: &str,
) -> anyhow::Result<()> {
    if !session.can_ask() {
        let hint = format!("add {option} \"{phrase}\"");
        return Err(Failure::usage(format!("{question} Nobody can be asked here")).hint(hint).into());
    }
    let typed = ask(&format!("{question} Type `{phrase}` to go on: "))?;
    if typed == phrase { Ok(()) } else { Err(unchanged().into()) }
}

/// What somebody types, or the option that gives it where nobody can.
pub(crate) fn ask_for(session: &Session, question: &str, option: &str) -> anyhow::Result<String> {
    if !session.can_ask() {
        return Err(Failure::usage("nobody can be asked here").hint(format!("add {option}")).into());
    }
    Ok(ask(question)?)
}

/// One password, typed without being shown, or from standard input.
pub(crate) fn read_password(session: &Session, question: &str) -> anyhow::Result<Secret> {
    let mut passwords = read_passwords(session, &[question])?;
    passwords.pop().context("standard input ended")
}

/// A password for each question. From standard input they come one in each line, blanks included.
pub(crate) fn read_passwords(session: &Session, questions: &[&str]) -> anyhow::Result<Vec<Secret>> {
    let typed = io::stdin().is_terminal();
    if typed && !session.can_ask() {
        return Err(Failure::usage("nobody can be asked here").hint("pipe it in, one in each line").into());
    }
    let piped = if typed { Zeroizing::default() } else { read_text(io::stdin(), MOST_BYTES)? };
    let mut lines = piped.lines();
    let mut answers = Vec::new();
    for question in questions {
        let answer = match typed {
            true => read_hidden(question)?,
            false => {
                let missing = || Failure::usage("standard input has too few lines").hint(*question);
                Zeroizing::new(lines.next().ok_or_else(missing)?.to_owned())
            }
        };
        answers.push(Secret::new(answer.trim_end_matches(['\r', '\n']).to_owned()));
    }
    Ok(answers)
}

fn unchanged() -> Failure {
    Failure::new(Exit::Failure, "stopped; nothing was changed")
}

fn ask(question: &str) -> io::Result<String> {
    eprint!("{}", super::cell::clean(question));
    let mut line = String::new();
    io::stdin().read_line(&mut line)?;
    Ok(line.trim().to_owned())
}

/// A credential from a file or stdin. Blanks and quotes around it are not part of it (VA4).
pub(crate) fn read_secret(source: Option<&str>, file: Option<&Path>) -> anyhow::Result<Secret> {
    let text = read(source, file, MOST_BYTES)?;
    let trimmed = text.trim_matches(|c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '`'));
    Ok(Secret::new(trimmed.to_owned()))
}

/// A text in which credentials may stand, from a file or stdin.
pub(crate) fn read_found(source: Option<&str>, file: Option<&Path>) -> anyhow::Result<Zeroizing<String>> {
    read(source, file, MOST_FOUND_BYTES)
}

fn read(source: Option<&str>, file: Option<&Path>, most: u64) -> anyhow::Result<Zeroizing<String>> {
    // A secret on the command line stands in the shell's history and the process list.
    if source.is_some_and(|source| source != "-") {
        return Err(Failure::usage("a secret is never an argument")
            .hint("pipe it in, or name a file with --file; then end the key that stood here")
            .into());
    }
    let text = match file {
        Some(path) => {
            let file =
                std::fs::File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
            read_text(file, most)
        }
        None if io::stdin().is_terminal() => read_hidden("Secret (not shown): "),
        None => read_text(io::stdin(), most),
    };
    text.context("cannot read the secret")
}

fn read_text(source: impl Read, most: u64) -> io::Result<Zeroizing<String>> {
    let mut text = Zeroizing::new(String::new());
    source.take(most).read_to_string(&mut text)?;
    Ok(text)
}

/// A line typed on the terminal, which does not show it.
pub(crate) fn read_hidden(question: &str) -> io::Result<Zeroizing<String>> {
    eprint!("{}", super::cell::clean(question));
    set_echo(false)?;
    let mut text = Zeroizing::new(String::new());
    let outcome = io::stdin().read_line(&mut text);
    set_echo(true)?;
    eprintln!();
    outcome.map(|_| text)
}

fn set_echo(on: bool) -> io::Result<()> {
    let stdin = io::stdin();
    let mut modes = tcgetattr(&stdin)?;
    modes.local_modes.set(LocalModes::ECHO, on);
    tcsetattr(&stdin, OptionalActions::Flush, &modes)?;
    ECHO_IS_OFF.store(!on, Ordering::Relaxed);
    Ok(())
}

/// From here on Ctrl-C ends the process with 130, also while stdin is being read; until the task is
/// aborted.
pub(crate) fn exit_when_interrupted() -> io::Result<JoinHandle<()>> {
    let mut interrupts = signal(SignalKind::interrupt())?;
    Ok(tokio::spawn(async move {
        interrupts.recv().await;
        if ECHO_IS_OFF.load(Ordering::Relaxed) {
            let _ = set_echo(true);
        }
        eprintln!("\ninterrupted");
        std::process::exit(Exit::Interrupted as i32);
    }))
}
