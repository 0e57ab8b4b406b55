//! `keyward audit verify --file`: the check of what was exported, without server and database.

use std::io::{BufRead as _, BufReader};
use std::path::Path;

use anyhow::Context as _;
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;

use super::checkpoint::KeptCheckpoint;
use super::output::Output;
use super::{Exit, Failure, Global, Outcome};
use crate::audit::personal::{self, Fault};
use crate::audit::{Recorded, chain};
use crate::clock::parse_rfc3339;
use crate::store::audit::AuditRow;

/// A line of an export.
#[derive(Deserialize)]
struct Line {
    previous_hash: String,
    hash: String,
    event: Box<RawValue>,
    personal: Vec<PersonalLine>,
}

/// What it says of one person.
#[derive(Deserialize)]
struct PersonalLine {
    subject: String,
    nonce: String,
    texts: Box<RawValue>,
}

impl Line {
    /// The row that it was made of; nothing when it is no event.
    fn row(&self) -> Option<AuditRow> {
        let event: Recorded = serde_json::from_str(self.event.get()).ok()?;
        let texts = self.personal.iter();
        let texts = texts.map(|texts| format!("{} {} {}", texts.subject, texts.nonce, texts.texts.get()));
        Some(AuditRow {
            seq: event.seq,
            at: parse_rfc3339(&event.at)?,
            tenant_id: event.tenant_id,
            action: event.action,
            outcome: event.outcome.as_str().into(),
            actor_id: event.actor.id,
            target_id: event.target.id,
            body: self.event.get().into(),
            previous_hash: self.previous_hash.clone(),
            hash: self.hash.clone(),
            personal: Some(texts.collect::<Vec<_>>().join("\n")),
        })
    }
}

/// How far the file was found whole.
#[derive(Default)]
struct Progress {
    tenant_id: String,
    first_seq: i64,
    last_seq: i64,
    head: String,
    checked: i64,
    erased: i64,
}

impl Progress {
    fn step(&mut self, line: &str, kept: &[KeptCheckpoint]) -> Result<(), &'static str> {
        let line: Line = serde_json::from_str(line).map_err(|_| "this is no line of an export")?;
        let row = line.row().ok_or("the event cannot be read")?;
        if self.checked == 0 {
            (self.first_seq, self.last_seq) = (row.seq, row.seq - 1);
            (self.tenant_id, self.head) = (row.tenant_id.clone(), row.previous_hash.clone());
        }
        if row.tenant_id != self.tenant_id {
            return Err("the event is of another tenant");
        }
        let event = chain::read(&row, self.last_seq, &self.head)?;
        match personal::check(&event, &row) {
            Some(Fault::Altered) => return Err("what the event says of a person was altered"),
            // Erased, or taken out before somebody handed the file on.
            Some(Fault::Missing(_)) => self.erased += 1,
            None => {}
        }
        let said = kept.iter().find(|kept| kept.tenant_id == row.tenant_id && kept.seq == row.seq);
        if said.is_some_and(|kept| kept.hash != row.hash) {
            return Err("the chain is not the one that the kept checkpoint signed");
        }
        self.last_seq = row.seq;
        self.head = row.hash;
        self.checked += 1;
        Ok(())
    }
}

/// Checks the events of a file, and that they are those of the kept checkpoint where it is among them.
pub(crate) fn verify(file: &Path, kept: &[KeptCheckpoint], global: &Global) -> Outcome {
    let opened = std::fs::File::open(file).with_context(|| format!("cannot read {}", file.display()))?;
    let mut progress = Progress::default();
    let mut reason = None;
    for line in BufReader::new(opened).lines() {
        let line = line.with_context(|| format!("cannot read {}", file.display()))?;
        if let Err(why) = progress.step(&line, kept) {
            reason = Some(why);
            break;
        }
    }
    if progress.checked == 0 && reason.is_none() {
        return Err(Failure::usage(format!("{} holds no events", file.display())).into());
    }
    let told = json!({
        "tenant_id": progress.tenant_id, "ok": reason.is_none(), "checked": progress.checked,
        "first_seq": progress.first_seq, "last_seq": progress.last_seq, "erased": progress.erased,
        "first_bad_seq": reason.map(|_| progress.last_seq + 1), "reason": reason, "head": progress.head,
    });
    Output::new(global)
        .object(&["ok", "checked", "first_seq", "last_seq", "first_bad_seq", "reason"], &told)?;
    Ok(if reason.is_none() { Exit::Ok } else { Exit::Integrity })
}
