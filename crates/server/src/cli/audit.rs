//! `keyward audit`

use std::path::PathBuf;

use clap::{Args, Subcommand};
use jiff::Timestamp;

use super::checkpoint::{self, KeptCheckpoint};
use super::client::Request;
use super::expiry::parse_moment;
use super::noun::{self, ListArgs, Noun};
use super::{Exit, Failure, Global, Outcome, Session, audit_file, audit_local, cell, stream};

/// Audit events as the API lists them.
const EVENTS: Noun = Noun {
    one: "event",
    path: "/v1/audit-events",
    columns: &["at", "actor.label", "action", "target.kind", "target.label", "outcome", "address", "id"],
    filters: &["actor_id", "target_id", "action", "outcome", "since", "until"],
    name: None,
};

/// Signed statements of where the chain stood.
const CHECKPOINTS: Noun = Noun {
    one: "checkpoint",
    path: "/v1/audit-checkpoints",
    columns: &["seq", "at", "hash"],
    filters: &[],
    name: None,
};

/// Records of events that were kept for long enough.
const SEGMENTS: Noun = Noun {
    one: "segment",
    path: "/v1/audit-segments",
    columns: &["first_seq", "last_seq", "events", "first_at", "last_at", "closed_at"],
    filters: &[],
    name: None,
};

/// The audit trail: who did what, and whether the chain is whole
#[derive(Args, Debug)]
pub(crate) struct AuditArgs {
    #[command(subcommand)]
    command: AuditCommand,
}

#[derive(Subcommand, Debug)]
enum AuditCommand {
    /// List events, newest first
    #[command(visible_alias = "ls")]
    List(AuditListArgs),
    /// Show one event with what it changed
    Show(EventArgs),
    /// Write all events as JSON lines
    Export(ExportArgs),
    /// List signed checkpoints of the chain, newest first: keep them on another machine
    Checkpoints(ListArgs),
    /// List parts of the chain that were kept for long enough and closed, newest first
    Segments(ListArgs),
    /// Check the hash chain; exit code 12 if it is broken
    Verify(AuditVerifyArgs),
}

#[derive(Args, Debug)]
struct AuditListArgs {
    #[command(flatten)]
    range: RangeArgs,
    #[command(flatten)]
    list: ListArgs,
}

#[derive(Args, Debug)]
struct EventArgs {
    /// event_…
    event: String,
}

#[derive(Args, Debug)]
struct RangeArgs {
    /// Not before: RFC 3339 or YYYY-MM-DD
    #[arg(long, value_name = "TIME", value_parser = parse_moment)]
    since: Option<Timestamp>,
    /// Before: RFC 3339 or YYYY-MM-DD
    #[arg(long, value_name = "TIME", value_parser = parse_moment)]
    until: Option<Timestamp>,
}

#[derive(Args, Debug)]
struct ExportArgs {
    #[command(flatten)]
    range: RangeArgs,
    /// jsonl: with the hashes, to be checked; ocsf: OCSF 1.3.0, for a SIEM
    #[arg(long, default_value = "jsonl", value_parser = ["jsonl", "ocsf"])]
    format: String,
}

#[derive(Args, Debug)]
struct AuditVerifyArgs {
    /// Check the database in this folder instead of asking a server
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Check what `audit export` or the archive wrote, without a server
    #[arg(long, value_name = "FILE", conflicts_with = "data_dir")]
    file: Option<PathBuf>,
    /// A checkpoint that was kept elsewhere, as `audit checkpoints -o json` printed it: shows an end that
    /// was cut off
    #[arg(long, value_name = "FILE")]
    checkpoint: Option<PathBuf>,
}

/// Runs `keyward audit`.
pub(crate) async fn run(args: AuditArgs, global: &Global) -> Outcome {
    if let AuditCommand::Verify(AuditVerifyArgs { data_dir, file, checkpoint }) = &args.command {
        let kept = checkpoint::read(checkpoint.as_deref());
        match (file, data_dir) {
            (Some(file), _) => return audit_file::verify(file, &kept?, global),
            (None, Some(folder)) => return audit_local::verify(folder, &kept?, global).await,
            (None, None) => {}
        }
    }
    let session = &Session::open(global)?;
    match args.command {
        AuditCommand::List(args) => {
            let request = args.list.request(EVENTS.path, EVENTS.filters)?;
            noun::print_list(session, args.range.narrow(request), EVENTS.columns, &args.list).await
        }
        AuditCommand::Show(args) => EVENTS.show(session, &args.event).await,
        AuditCommand::Export(args) => export(session, &args).await,
        AuditCommand::Checkpoints(args) => CHECKPOINTS.list(session, &args).await,
        AuditCommand::Segments(args) => SEGMENTS.list(session, &args).await,
        AuditCommand::Verify(args) => verify(session, &checkpoint::read(args.checkpoint.as_deref())?).await,
    }
}

impl RangeArgs {
    fn narrow(&self, mut request: Request) -> Request {
        for (name, moment) in [("since", self.since), ("until", self.until)] {
            if let Some(moment) = moment {
                request = request.query(name, moment.to_string());
            }
        }
        request
    }
}

async fn export(session: &Session, args: &ExportArgs) -> Outcome {
    let request = Request::get("/v1/audit-events/export").query("format", &args.format);
    stream::pass_on(session, args.range.narrow(request)).await
}

async fn verify(session: &Session, kept: &[KeptCheckpoint]) -> Outcome {
    let mut request = Request::get("/v1/audit-events/verification");
    let kept = match kept {
        [] => None,
        [one] => Some(one),
        _ => {
            return Err(
                Failure::usage("the file holds checkpoints of several tenants; a server has one").into()
            );
        }
    };
    if let Some(kept) = kept {
        request = request.query("checkpoint_seq", kept.seq.to_string()).query("checkpoint_hash", &kept.hash);
    }
    let mut answer = session.client.send(request).await?;
    if let Some(kept) = kept {
        kept.compare(&mut answer);
    }
    session.output.object(&["ok", "checked", "closed_through", "first_bad_seq", "reason"], &answer)?;
    if let Some(until) = answer["closed_until"].as_str() {
        let through = &answer["closed_through"];
        session
            .output
            .note(&format!("events up to {through}, of {until}, were kept for long enough and closed"));
    }
    if answer["ok"] == true {
        return Ok(Exit::Ok);
    }
    let place = cell::plain(&answer["first_bad_seq"]);
    session.output.note(&format!("the audit chain is broken at {place}: {}", cell::plain(&answer["reason"])));
    Ok(Exit::Integrity)
}
