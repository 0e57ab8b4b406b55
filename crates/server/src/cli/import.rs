//! `keyward import`: keys and users of other systems.

mod file;
mod users;

use std::path::PathBuf;

use clap::{Args, Subcommand};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::{Map, Value, json};

use super::client::Request;
use super::{Exit, Failure, Global, Outcome, Session, cell, curl, noun, prompt};
use crate::imports::file::{FileFormat, HASHES, KEY_FIELDS, Line, columns_of};

/// Rows in one request.
const BATCH: usize = 1_000;
/// Refusals that are told on a terminal; `-o json` has all.
const TOLD: usize = 20;

/// Bring keys and users of other systems along
#[derive(Args, Debug)]
pub(crate) struct ImportArgs {
    #[command(subcommand)]
    command: ImportCommand,
}

#[derive(Subcommand, Debug)]
enum ImportCommand {
    /// Keys by the hash of their credential, which goes on working
    Keys(KeysArgs),
    /// Users with their roles and groups, also those of keyward export
    Users(users::UsersArgs),
}

/// The file, and how to read it.
#[derive(Args, Debug)]
pub(super) struct FileArgs {
    /// File with a row for each; - is stdin
    file: PathBuf,
    /// Its format (default: by its name, else jsonl)
    #[arg(long, value_enum)]
    format: Option<FileFormat>,
    /// Where a field stands in the file: hash=key_hash (repeatable, dots reach into objects)
    #[arg(long, value_name = "FIELD=COLUMN", value_parser = pair)]
    map: Vec<(String, String)>,
    /// Value of a field that the file does not have: class=workspace (repeatable)
    #[arg(long, value_name = "FIELD=VALUE", value_parser = pair)]
    set: Vec<(String, String)>,
    /// Skip what is there already, instead of refusing it
    #[arg(long)]
    resume: bool,
}

#[derive(Args, Debug)]
struct KeysArgs {
    #[command(flatten)]
    file: FileArgs,
    /// Name of the import: what was imported under it is known again by its external_id
    #[arg(long, value_name = "NAME")]
    source: String,
    /// How the credentials were hashed, or whose they are
    #[arg(long, value_name = "FORMAT", value_parser = HASHES)]
    hash: String,
    /// File with the key of hmac_sha256: text, hex:… or base64:…
    #[arg(long, value_name = "FILE")]
    hmac_key_file: Option<PathBuf>,
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("expected NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

/// Runs `keyward import`.
pub(crate) async fn run(args: ImportArgs, global: &Global) -> Outcome {
    let session = &Session::open(global)?;
    match args.command {
        ImportCommand::Keys(args) => keys(session, &args).await,
        ImportCommand::Users(args) => users::run(session, &args).await,
    }
}

async fn keys(session: &Session, args: &KeysArgs) -> Outcome {
    let hmac_key = match &args.hmac_key_file {
        Some(_) if session.global.print_curl => Some(curl::CREDENTIAL.to_owned()),
        Some(path) => Some(prompt::read_found(None, Some(path))?.trim().to_owned()),
        None => None,
    };
    let mut lines = file::read_lines(&args.file, KEY_FIELDS, columns_of(&args.hash))?;
    if session.global.print_curl {
        // One row shows the form; what stands in the file may be credentials.
        lines.rows.truncate(1);
        lines.rows.iter_mut().for_each(|line| {
            line.row.insert("hash".into(), curl::CREDENTIAL.into());
        });
    }
    if lines.left_out > 0 {
        session.output.note(&format!("{} rows are revoked or disabled, and left out", lines.left_out));
    }
    let bar = progress(session, lines.rows.len());
    let mut report = Report::new(&args.source);
    for batch in lines.rows.chunks(BATCH) {
        let rows: Vec<&Map<String, Value>> = batch.iter().map(|line| &line.row).collect();
        let mut body = json!({
            "source": args.source, "format": args.hash, "resume": args.file.resume, "rows": rows,
        });
        if let Some(key) = &hmac_key {
            body["hmac_key"] = json!(key);
        }
        let answer = noun::send_change(session, Request::post("/v1/imports", body)).await;
        report.add(batch, &answer.inspect_err(|_| bar.finish_and_clear())?);
        bar.inc(batch.len() as u64);
    }
    bar.finish_and_clear();
    report.print(session)
}

/// A bar on stderr, where nothing else is on the terminal.
pub(super) fn progress(session: &Session, rows: usize) -> ProgressBar {
    let target = if session.global.quiet || !session.output.terminal().stderr {
        ProgressDrawTarget::hidden()
    } else {
        ProgressDrawTarget::stderr()
    };
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len} rows, {per_sec}, {eta} left");
    let bar = ProgressBar::with_draw_target(Some(rows as u64), target);
    bar.set_style(style.expect("the template is well formed"));
    bar
}

/// What became of all rows.
pub(super) struct Report {
    source: String,
    counts: [u64; 4],
    errors: Vec<Value>,
    warnings: Vec<Value>,
}

const COUNTS: [&str; 4] = ["rows", "imported", "skipped", "failed"];

impl Report {
    pub(super) fn new(source: &str) -> Self {
        Self { source: source.into(), counts: [0; 4], errors: Vec::new(), warnings: Vec::new() }
    }

    /// Takes the answer about a batch; places among its rows become lines of the file.
    pub(super) fn add(&mut self, batch: &[Line], answer: &Value) {
        for (count, name) in self.counts.iter_mut().zip(COUNTS) {
            *count += answer[name].as_u64().unwrap_or(0);
        }
        for (notes, name) in [(&mut self.errors, "errors"), (&mut self.warnings, "warnings")] {
            for note in answer[name].as_array().into_iter().flatten() {
                let mut note = note.clone();
                let row = note["row"].as_u64().and_then(|row| usize::try_from(row).ok());
                let line = row.and_then(|row| batch.get(row)).map(|line| line.number);
                if let Some(members) = note.as_object_mut() {
                    members.remove("row");
                    members.insert("line".into(), json!(line));
                }
                notes.push(note);
            }
        }
    }

    /// Prints it; the exit code tells whether a row was refused.
    pub(super) fn print(self, session: &Session) -> Outcome {
        let [rows, imported, skipped, failed] = self.counts;
        for note in self.errors.iter().chain(&self.warnings).take(TOLD) {
            let word = |name: &str| cell::plain(&note[name]);
            let told = format!("line {}: {}: {}", word("line"), word("code"), word("detail"));
            session.output.note(&told);
        }
        let rest = (self.errors.len() + self.warnings.len()).saturating_sub(TOLD);
        if rest > 0 {
            session.output.note(&format!("and {rest} more; -o json tells all"));
        }
        let report = json!({
            "source": self.source, "rows": rows, "imported": imported, "skipped": skipped, "failed": failed,
            "dry_run": session.global.dry_run, "errors": self.errors, "warnings": self.warnings,
        });
        session.output.summary(&["source", "rows", "imported", "skipped", "failed", "dry_run"], &report)?;
        let done = "what was refused changed nothing; repair it and run again with --resume";
        if failed > 0 {
            session.output.note(done);
            return Ok(Exit::Failure);
        }
        Ok(Exit::Ok)
    }
}

/// A file that cannot be used.
pub(super) fn unusable(line: usize, why: &str) -> Failure {
    Failure::usage(format!("line {line}: {why}"))
}
