//! The hash chain of a tenant, and whether it is whole (AUD-4).

use std::collections::HashSet;

use sha2::{Digest, Sha256};

use super::Recorded;
use super::personal::{self, Fault};
use crate::clock::rfc3339;
use crate::error::Result;
use crate::random::to_hex;
use crate::store::audit::AuditRow;
use crate::store::{Conn, audit, users};

/// SHA-256 over the hash before and the text of the event.
pub(crate) fn chain_hash(previous: &str, body: &str) -> String {
    let mut hash = Sha256::new();
    hash.update(previous.as_bytes());
    hash.update(b"\n");
    hash.update(body.as_bytes());
    to_hex(&hash.finalize())
}

/// The outcome of checking a chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Verification {
    /// Whether every event stands where and as it was written.
    pub(crate) ok: bool,
    /// Events looked at.
    pub(crate) checked: i64,
    /// Number of the last one.
    pub(crate) last_seq: i64,
    /// Those of them that named somebody who was erased.
    pub(crate) erased: i64,
    /// Number of the first event that is not as it was written.
    pub(crate) first_bad_seq: Option<i64>,
    /// What is wrong with it.
    pub(crate) reason: Option<String>,
    /// Hash of the last event: compare it with an external checkpoint to notice a cut tail.
    pub(crate) head: Option<String>,
}

/// Checks the chain of a tenant behind its last closed event, in pages.
pub(crate) async fn verify_chain(
    conn: &mut Conn,
    tenant: &str,
    start: (i64, String),
) -> Result<Verification> {
    let first = start.0;
    let mut walk = Walk::behind(start);
    let mut bad = None;
    'pages: loop {
        let rows = audit::chain(conn, tenant, walk.seq, 1000).await?;
        if rows.is_empty() {
            break;
        }
        for row in rows {
            if let Some(reason) = walk.step(conn, &row).await? {
                bad = Some((walk.seq + 1, reason));
                break 'pages;
            }
        }
    }
    Ok(Verification {
        ok: bad.is_none(),
        checked: walk.seq - first,
        last_seq: walk.seq,
        erased: walk.erased,
        first_bad_seq: bad.map(|(seq, _)| seq),
        reason: bad.map(|(_, reason)| reason.into()),
        head: (bad.is_none() && walk.seq > 0).then_some(walk.hash),
    })
}

/// How far a chain was found whole.
#[derive(Default)]
pub(super) struct Walk {
    pub(super) seq: i64,
    pub(super) hash: String,
    erased: i64,
    /// Users who were looked up and are erased, or gone with their tenant.
    gone: HashSet<String>,
}

impl Walk {
    /// Begins behind the event of this number and hash.
    pub(super) fn behind((seq, hash): (i64, String)) -> Self {
        Self { seq, hash, ..Self::default() }
    }

    /// Goes on to the next event; tells what is wrong with it.
    pub(super) async fn step(&mut self, conn: &mut Conn, row: &AuditRow) -> Result<Option<&'static str>> {
        let event = match read(row, self.seq, &self.hash) {
            Ok(event) => event,
            Err(reason) => return Ok(Some(reason)),
        };
        match personal::check(&event, row) {
            Some(Fault::Altered) => return Ok(Some("what the event says of a person was altered")),
            Some(Fault::Missing(subjects)) => {
                for subject in subjects {
                    if !self.gone.contains(&subject) && users::is_known(conn, &subject).await? {
                        return Ok(Some("what the event says of a person is missing, and nobody erased it"));
                    }
                    self.gone.insert(subject);
                }
                self.erased += 1;
            }
            None => {}
        }
        self.seq = row.seq;
        self.hash.clone_from(&row.hash);
        Ok(None)
    }
}

/// The event of a row that should follow event `last` with this hash, or what is wrong with it.
pub(crate) fn read(row: &AuditRow, last: i64, hash: &str) -> std::result::Result<Recorded, &'static str> {
    if row.seq != last + 1 {
        return Err("the event is missing");
    }
    if row.previous_hash != hash {
        return Err("the event does not follow the one before it");
    }
    if row.hash != chain_hash(&row.previous_hash, &row.body) {
        return Err("the event was altered");
    }
    let Ok(body) = serde_json::from_str::<Recorded>(&row.body) else {
        return Err("the event cannot be read");
    };
    let same = body.seq == row.seq
        && body.tenant_id == row.tenant_id
        && body.at == rfc3339(row.at)
        && body.action == row.action
        && body.outcome.as_str() == row.outcome
        && body.actor.id == row.actor_id
        && body.target.id == row.target_id;
    if same { Ok(body) } else { Err("the columns of the event were altered") }
}
