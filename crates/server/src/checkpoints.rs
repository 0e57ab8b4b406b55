//! Signed statements of where an audit chain stands (AUD-4). A chain that was cut at its end is
//! found only against a checkpoint that was kept elsewhere.

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use serde::Serialize;
use utoipa::ToSchema;

use crate::app::App;
use crate::audit::chain::verify_chain;
use crate::audit::segments;
use crate::clock::rfc3339;
use crate::error::{Error, Result};
use crate::random::{from_hex, to_hex};
use crate::seal::{self, INSTANCE, Place};
use crate::store::audit::{self, CheckpointRow};
use crate::store::page::{Listed, Page};
use crate::store::segments::{self as store, SegmentRow};
use crate::store::{Conn, instance};

const KEY: &str = "audit_signing_key";
const PLACE: Place<'static> = Place { scope: INSTANCE, column: "instance.value", row: KEY };

/// The outcome of a check, with the newest checkpoint and the key that it verifies by.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct VerificationOut {
    pub(crate) tenant_id: String,
    pub(crate) ok: bool,
    /// Events that were looked at.
    pub(crate) checked: i64,
    /// The last event of those that were kept for long enough and closed; 0 before the first.
    pub(crate) closed_through: i64,
    /// When that one happened.
    pub(crate) closed_until: Option<String>,
    /// Those of them that named somebody who was erased.
    pub(crate) erased: i64,
    /// Number of the first event that is not as it was written.
    pub(crate) first_bad_seq: Option<i64>,
    pub(crate) reason: Option<String>,
    /// Hash of the last event.
    pub(crate) head: Option<String>,
    /// The newest signed checkpoint; keep it elsewhere to notice a cut tail later.
    pub(crate) checkpoint: Option<CheckpointOut>,
    /// Ed25519 public key of the checkpoints, hexadecimal.
    pub(crate) public_key: String,
}

/// A signed statement: at `at`, event `seq` had `hash`.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CheckpointOut {
    pub(crate) tenant_id: String,
    pub(crate) seq: i64,
    pub(crate) at: String,
    pub(crate) hash: String,
    /// Ed25519 over `keyward-audit-checkpoint\n<tenant id>\n<seq>\n<at, Unix ms>\n<hash>`.
    pub(crate) signature: String,
    /// Ed25519 public key that it verifies by, hexadecimal.
    pub(crate) public_key: String,
}

impl CheckpointOut {
    fn new(row: CheckpointRow, public_key: &str) -> Self {
        Self {
            tenant_id: row.tenant_id,
            seq: row.seq,
            at: rfc3339(row.at),
            hash: row.hash,
            signature: row.signature,
            public_key: public_key.into(),
        }
    }
}

/// What a checkpoint says that was kept elsewhere: the event `seq` had this hash.
#[derive(Clone, Debug)]
pub(crate) struct Kept {
    pub(crate) seq: i64,
    pub(crate) hash: String,
}

/// The checkpoints of a tenant, newest first.
pub(crate) async fn list(app: &App, tenant: &str, page: &Page) -> Result<Listed<CheckpointOut>> {
    let mut conn = app.read().await?;
    let public_key = SigningKey::load(app, &mut conn).await?.public_hex();
    let listed = audit::list_checkpoints(&mut conn, tenant, page).await?;
    Ok(listed.map(|row| CheckpointOut::new(row, &public_key)))
}

/// Checks the chain of a tenant, what is left of its closed parts, the checkpoints in it, and one that was kept
/// elsewhere.
pub(crate) async fn verification(app: &App, tenant: &str, kept: Option<&Kept>) -> Result<VerificationOut> {
    let mut conn = app.read().await?;
    let key = SigningKey::load(app, &mut conn).await?;
    let closed = store::all(&mut conn, tenant).await?;
    let checkpoints = audit::checkpoints(&mut conn, tenant).await?;
    let start = closed.last().map(|row| (row.last_seq, row.last_hash.clone())).unwrap_or_default();
    let mut outcome = verify_chain(&mut conn, tenant, start).await?;
    let mut fault = segments::fault(&closed, &key);
    if outcome.ok && fault.is_none() {
        let known = Known { closed: &closed, last: outcome.last_seq };
        if let Some(kept) = kept {
            fault = missing(&mut conn, tenant, &known, kept).await?;
        }
        if fault.is_none() {
            fault = contradiction(&mut conn, &key, &known, &checkpoints).await?;
        }
    }
    if let Some((seq, reason)) = fault {
        outcome.ok = false;
        outcome.first_bad_seq = Some(seq);
        outcome.reason = Some(reason.into());
    }
    let public_key = key.public_hex();
    Ok(VerificationOut {
        tenant_id: tenant.into(),
        ok: outcome.ok,
        checked: outcome.checked,
        closed_through: closed.last().map_or(0, |row| row.last_seq),
        closed_until: closed.last().map(|row| rfc3339(row.last_at)),
        erased: outcome.erased,
        first_bad_seq: outcome.first_bad_seq,
        reason: outcome.reason,
        head: outcome.head,
        checkpoint: checkpoints.last().map(|row| CheckpointOut::new(row.clone(), &public_key)),
        public_key,
    })
}

/// What a chain is known by: its closed parts, and the number of its last event.
struct Known<'a> {
    closed: &'a [SegmentRow],
    last: i64,
}

/// What is known of one event.
enum Hash {
    Is(String),
    /// It was closed, and is not the last of its segment.
    Closed,
    Missing,
}

impl Known<'_> {
    async fn hash(&self, conn: &mut Conn, tenant: &str, seq: i64) -> Result<Hash> {
        if let Some(segment) = self.closed.iter().find(|row| seq <= row.last_seq) {
            let is_last = seq == segment.last_seq;
            return Ok(if is_last { Hash::Is(segment.last_hash.clone()) } else { Hash::Closed });
        }
        let event = audit::find(conn, tenant, seq).await?;
        Ok(event.map_or(Hash::Missing, |event| Hash::Is(event.hash)))
    }
}

/// Where a sound chain is not the one that the kept checkpoint saw: one that was cut at its end is
/// shorter, one that was written anew has another hash there.
async fn missing(
    conn: &mut Conn,
    tenant: &str,
    known: &Known<'_>,
    kept: &Kept,
) -> Result<Option<(i64, &'static str)>> {
    if known.last < kept.seq {
        return Ok(Some((known.last + 1, "the end is cut off: the kept checkpoint has more events")));
    }
    let reason = match known.hash(conn, tenant, kept.seq).await? {
        Hash::Is(hash) if hash == kept.hash => return Ok(None),
        Hash::Closed => "the kept checkpoint is of events that were closed since: keep a newer one",
        _ => "the chain is not the one that the kept checkpoint signed",
    };
    Ok(Some((kept.seq, reason)))
}

/// The first checkpoint that the chain does not bear out.
async fn contradiction(
    conn: &mut Conn,
    key: &SigningKey,
    known: &Known<'_>,
    checkpoints: &[CheckpointRow],
) -> Result<Option<(i64, &'static str)>> {
    for row in checkpoints {
        if !is_signed(row, key.public()) {
            return Ok(Some((row.seq, "a checkpoint was altered")));
        }
        let same = match known.hash(conn, &row.tenant_id, row.seq).await? {
            Hash::Is(hash) => hash == row.hash,
            Hash::Closed => true,
            Hash::Missing => false,
        };
        if !same {
            return Ok(Some((row.seq, "the chain is not the one that this checkpoint signed")));
        }
    }
    Ok(None)
}

/// Whether the signature of a checkpoint is that of the key.
pub(crate) fn is_signed(row: &CheckpointRow, public_key: &[u8]) -> bool {
    is_signature(public_key, &statement(row), &row.signature)
}

fn is_signature(public_key: &[u8], statement: &[u8], signature: &str) -> bool {
    let signature = from_hex(signature).unwrap_or_default();
    UnparsedPublicKey::new(&ED25519, public_key).verify(statement, &signature).is_ok()
}

fn statement(row: &CheckpointRow) -> Vec<u8> {
    format!("keyward-audit-checkpoint\n{}\n{}\n{}\n{}", row.tenant_id, row.seq, row.at, row.hash).into_bytes()
}

/// Signs the heads of all chains that moved since their last checkpoint.
pub(crate) async fn sign_heads(app: &App) -> Result<()> {
    let mut conn = app.read().await?;
    let heads = audit::unsigned_heads(&mut conn).await?;
    if heads.is_empty() {
        return Ok(());
    }
    let key = SigningKey::load(app, &mut conn).await?;
    drop(conn);
    let at = app.clock.unix_ms();
    let mut tx = app.db.begin().await?;
    for (tenant_id, seq, hash) in heads {
        let mut row = CheckpointRow { tenant_id, seq, at, hash, signature: String::new() };
        row.signature = key.sign(&statement(&row));
        audit::insert_checkpoint(tx.conn(), &row).await?;
    }
    tx.commit().await
}

/// What signs checkpoints, and records of closed events.
pub(crate) struct SigningKey(Ed25519KeyPair);

impl SigningKey {
    /// Opens the key of this instance.
    pub(crate) async fn load(app: &App, conn: &mut Conn) -> Result<Self> {
        let sealed = instance::value(conn, KEY).await?;
        let sealed = sealed.ok_or_else(|| Error::internal("start-up makes the signing key"))?;
        let seed = seal::open(&app.root_key, conn, PLACE, &sealed).await?;
        Ed25519KeyPair::from_seed_unchecked(&seed).map(Self).map_err(Error::internal)
    }

    /// The public half.
    pub(crate) fn public(&self) -> &[u8] {
        self.0.public_key().as_ref()
    }

    /// The same in hexadecimal.
    pub(crate) fn public_hex(&self) -> String {
        to_hex(self.public())
    }

    /// Signs a statement, in hexadecimal.
    pub(crate) fn sign(&self, statement: &[u8]) -> String {
        to_hex(self.0.sign(statement).as_ref())
    }

    /// Whether it signed this.
    pub(crate) fn signed(&self, statement: &[u8], signature: &str) -> bool {
        is_signature(self.public(), statement, signature)
    }
}

/// Makes the signing key on first start.
pub(crate) async fn make_signing_key(root: &seal::RootKey, conn: &mut Conn, now: i64) -> Result<()> {
    if instance::value(conn, KEY).await?.is_some() {
        return Ok(());
    }
    let mut seed = zeroize::Zeroizing::new([0; 32]);
    crate::random::fill(&mut *seed);
    let sealed = seal::seal(root, conn, PLACE, &*seed, now).await?;
    instance::set_once(conn, KEY, &sealed).await.map(drop)
}
