//! Events that were kept for long enough are closed (AUD-6; ADR 15): from one signed checkpoint to a later
//! one, as a whole. What is left of such a segment is a signed record of where it stood in the chain, by which
//! the events behind it can still be checked.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde::Serialize;
use utoipa::ToSchema;

use super::chain::Walk;
use super::{Audited, Event, personal};
use crate::app::{Actor, App};
use crate::checkpoints::{self, SigningKey};
use crate::clock::rfc3339;
use crate::error::{Error, Result};
use crate::jobs::shipping::SYSLOG;
use crate::store::audit::{self, CheckpointRow};
use crate::store::page::{Listed, Page};
use crate::store::segments::{self, SegmentRow};
use crate::store::{Conn, jobs, sinks};

/// Events of one segment, as far as checkpoints allow.
const MOST: i64 = 10_000;
/// Segments end with a day, so that there are few.
const DAY_MS: i64 = 24 * 3_600_000;
/// What the server itself notes about segments.
pub(crate) const CLOSE: &str = "audit.close";

/// A closed part of the chain.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SegmentOut {
    pub(crate) tenant_id: String,
    pub(crate) first_seq: i64,
    pub(crate) last_seq: i64,
    /// How many events there were.
    pub(crate) events: i64,
    pub(crate) first_at: String,
    pub(crate) last_at: String,
    /// Hash of the event before the first; empty before event 1.
    pub(crate) previous_hash: String,
    /// Hash of the last event.
    pub(crate) last_hash: String,
    pub(crate) closed_at: String,
    /// Ed25519 over `keyward-audit-segment` and, each behind a line break, tenant id, `first_seq`, `last_seq`,
    /// `first_at`, `last_at`, `previous_hash`, `last_hash`, `closed_at`; times in Unix ms.
    pub(crate) signature: String,
    /// Ed25519 public key that it verifies by, hexadecimal: that of the checkpoints.
    pub(crate) public_key: String,
}

impl SegmentOut {
    fn new(row: &SegmentRow, key: &SigningKey) -> Self {
        Self {
            tenant_id: row.tenant_id.clone(),
            first_seq: row.first_seq,
            last_seq: row.last_seq,
            events: row.last_seq - row.first_seq + 1,
            first_at: rfc3339(row.first_at),
            last_at: rfc3339(row.last_at),
            previous_hash: row.previous_hash.clone(),
            last_hash: row.last_hash.clone(),
            closed_at: rfc3339(row.closed_at),
            signature: row.signature.clone(),
            public_key: key.public_hex(),
        }
    }
}

/// What is signed of a segment.
fn statement(row: &SegmentRow) -> Vec<u8> {
    let SegmentRow { tenant_id, first_seq, last_seq, first_at, last_at, .. } = row;
    let SegmentRow { previous_hash, last_hash, closed_at, .. } = row;
    format!(
        "keyward-audit-segment\n{tenant_id}\n{first_seq}\n{last_seq}\n{first_at}\n{last_at}\n{previous_hash}\n\
         {last_hash}\n{closed_at}"
    )
    .into_bytes()
}

/// The closed parts of a tenant's chain, newest first.
pub(crate) async fn list(app: &App, tenant: &str, page: &Page) -> Result<Listed<SegmentOut>> {
    let mut conn = app.read().await?;
    let key = SigningKey::load(app, &mut conn).await?;
    Ok(segments::list(&mut conn, tenant, page).await?.map(|row| SegmentOut::new(&row, &key)))
}

/// Checks that closed parts follow each other from event 1, each as it was signed; tells which is not.
pub(crate) fn fault(rows: &[SegmentRow], key: &SigningKey) -> Option<(i64, &'static str)> {
    let (mut seq, mut hash) = (0, "");
    for row in rows {
        if row.first_seq != seq + 1 || row.previous_hash != hash {
            return Some((seq + 1, "the record of closed events is missing"));
        }
        if !key.signed(&statement(row), &row.signature) {
            return Some((row.first_seq, "the record of closed events was altered"));
        }
        (seq, hash) = (row.last_seq, &row.last_hash);
    }
    None
}

/// Closes everything that was kept for as long as the settings say.
pub(crate) async fn close_due(app: &App) -> Result<()> {
    let Some(keep) = app.settings.audit.keep else { return Ok(()) };
    let keep = i64::try_from(keep.as_millis()).unwrap_or(i64::MAX);
    let until = app.clock.unix_ms().saturating_sub(keep);
    let until = until - until.rem_euclid(DAY_MS);
    for tenant in audit::tenants(&mut app.read().await?).await? {
        while close_one(app, &tenant, until).await? {}
    }
    Ok(())
}

/// Closes the oldest segment of a tenant that is due; false when there is none.
async fn close_one(app: &App, tenant: &str, until: i64) -> Result<bool> {
    let mut conn = app.read().await?;
    let start = segments::end(&mut conn, tenant).await?;
    // What has not yet been told on, to webhooks and elsewhere, is not closed.
    let mut told = jobs::cursor(&mut conn, tenant).await?;
    if app.syslog.is_some() {
        told = told.min(sinks::cursor(&mut conn, tenant, SYSLOG).await?);
    }
    let most = (start.0 + MOST).min(told);
    let end = segments::checkpoint(&mut conn, tenant, start.0, most, until).await?;
    let Some(end) = end.filter(|end| end.seq <= told) else { return Ok(false) };
    let key = SigningKey::load(app, &mut conn).await?;
    let mut archive = app.settings.audit.archive.as_deref().map(|folder| Archive::new(folder, tenant));
    let Some(row) = read(&mut conn, &key, start, &end, until, archive.as_mut()).await? else {
        return Ok(false);
    };
    drop(conn);
    let row = SegmentRow { closed_at: app.clock.unix_ms(), ..row };
    let row = SegmentRow { signature: key.sign(&statement(&row)), ..row };
    if let Some(archive) = archive {
        archive.keep(&row)?;
    }
    put_in_place(app, &key, &row).await
}

/// Walks the events of a segment. Nothing when it is not due as a whole, or holds nothing but what was noted
/// about earlier ones; a chain that is not whole stays as it is, for whoever looks into it.
async fn read(
    conn: &mut Conn,
    key: &SigningKey,
    start: (i64, String),
    end: &CheckpointRow,
    until: i64,
    mut archive: Option<&mut Archive>,
) -> Result<Option<SegmentRow>> {
    let mut segment = SegmentRow {
        tenant_id: end.tenant_id.clone(),
        first_seq: start.0 + 1,
        last_seq: end.seq,
        first_at: 0,
        last_at: 0,
        previous_hash: start.1.clone(),
        last_hash: end.hash.clone(),
        closed_at: 0,
        signature: String::new(),
    };
    let mut walk = Walk::behind(start);
    let mut is_worth_it = false;
    while walk.seq < end.seq {
        let limit = 500.min(end.seq - walk.seq);
        let rows = audit::chain(conn, &end.tenant_id, walk.seq, limit).await?;
        if rows.is_empty() {
            return Ok(broken(&walk, end, "the event is missing"));
        }
        for row in rows {
            if let Some(reason) = walk.step(conn, &row).await? {
                return Ok(broken(&walk, end, reason));
            }
            if row.at > until {
                return Ok(None);
            }
            is_worth_it |= row.action != CLOSE;
            segment.first_at =
                if row.seq == segment.first_seq { row.at } else { segment.first_at.min(row.at) };
            segment.last_at = if row.seq == segment.first_seq { row.at } else { segment.last_at.max(row.at) };
            if let Some(archive) = &mut archive {
                archive.add(&exported(&row))?;
            }
        }
    }
    if walk.hash != end.hash || !checkpoints::is_signed(end, key.public()) {
        return Ok(broken(&walk, end, "the chain is not the one that this checkpoint signed"));
    }
    Ok(is_worth_it.then_some(segment))
}

fn broken(walk: &Walk, end: &CheckpointRow, reason: &str) -> Option<SegmentRow> {
    tracing::error!(
        tenant = end.tenant_id,
        behind_seq = walk.seq,
        reason,
        "the audit chain is not whole: nothing of it is closed until `keyward audit verify` finds it whole"
    );
    None
}

/// Puts the record in the place of the events; false when another node was first.
async fn put_in_place(app: &App, key: &SigningKey, row: &SegmentRow) -> Result<bool> {
    let actor = Actor::local(&row.tenant_id, "retention");
    let done = app.write(&actor, async |tx| {
        if segments::end(tx.conn(), &row.tenant_id).await?.0 + 1 != row.first_seq {
            return Ok(Audited::many(false, Vec::new()));
        }
        segments::close(tx.conn(), row).await?;
        let event =
            Event::new(CLOSE, "audit", &row.last_seq.to_string(), "").after(&SegmentOut::new(row, key));
        Ok(Audited::new(true, event))
    });
    match done.await {
        // The tenant was deleted meanwhile.
        Err(Error::NotFound) => Ok(false),
        done => done,
    }
}

/// An event as it is exported: with its hashes, and what it says of people beside it, so that the chain can be
/// checked without us.
pub(crate) fn exported(row: &audit::AuditRow) -> String {
    format!(
        "{{\"previous_hash\":\"{}\",\"hash\":\"{}\",\"event\":{},\"personal\":[{}]}}\n",
        row.previous_hash,
        row.hash,
        row.body,
        personal::exported(row)
    )
}

/// Where the events of a segment are written before they are closed.
struct Archive {
    folder: PathBuf,
    lines: Vec<u8>,
}

impl Archive {
    fn new(folder: &Path, tenant: &str) -> Self {
        Self { folder: folder.join(tenant), lines: Vec::new() }
    }

    fn add(&mut self, line: &str) -> Result<()> {
        self.lines.write_all(line.as_bytes()).map_err(Error::internal)
    }

    /// Keeps what was added under the numbers of its events; it is on the disk before this returns.
    fn keep(self, row: &SegmentRow) -> Result<()> {
        let name = format!("{:012}-{:012}.jsonl", row.first_seq, row.last_seq);
        let write = || {
            fs::create_dir_all(&self.folder)?;
            let (new, old) = (self.folder.join(format!("{name}.new")), self.folder.join(&name));
            let mut file = File::create(&new)?;
            file.write_all(&self.lines)?;
            file.sync_all()?;
            fs::rename(&new, &old)?;
            File::open(&self.folder)?.sync_all()
        };
        write().map_err(|why: std::io::Error| {
            Error::outage(format!("the archive of the audit log at {}: {why}", self.folder.display()))
        })
    }
}
