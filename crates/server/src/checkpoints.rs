//! Signed statements of where an audit chain stands (AUD-4). A chain that was cut at its end is
//! found only against a checkpoint that was kept elsewhere.

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use serde::Serialize;
use utoipa::ToSchema;

use crate::app::App;
use crate::audit::chain::verify_chain;
use crate::error::{Error, Result};
use crate::random::{from_hex, to_hex};
use crate::seal::{self, INSTANCE, Place};
use crate::store::audit::{self, CheckpointRow};
use crate::store::page::{Listed, Page};
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
            at: crate::clock::rfc3339(row.at),
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
    let public_key = to_hex(signing_key(app, &mut conn).await?.public_key().as_ref());
    let listed = audit::list_checkpoints(&mut conn, tenant, page).await?;
    Ok(listed.map(|row| CheckpointOut::new(row, &public_key)))
}

/// Checks the chain of a tenant, the checkpoints in it, and one that was kept elsewhere.
pub(crate) async fn verification(app: &App, tenant: &str, kept: Option<&Kept>) -> Result<VerificationOut> {
    let mut conn = app.read().await?;
    let key = signing_key(app, &mut conn).await?;
    let mut outcome = verify_chain(&mut conn, tenant).await?;
    let checkpoints = audit::checkpoints(&mut conn, tenant).await?;
    let mut fault = None;
    if outcome.ok
        && let Some(kept) = kept
    {
        fault = missing(&mut conn, tenant, outcome.checked, kept).await?;
    }
    if outcome.ok && fault.is_none() {
        fault = contradiction(&mut conn, &key, &checkpoints).await?;
    }
    if let Some((seq, reason)) = fault {
        outcome.ok = false;
        outcome.first_bad_seq = Some(seq);
        outcome.reason = Some(reason.into());
    }
    let public_key = to_hex(key.public_key().as_ref());
    Ok(VerificationOut {
        tenant_id: tenant.into(),
        ok: outcome.ok,
        checked: outcome.checked,
        erased: outcome.erased,
        first_bad_seq: outcome.first_bad_seq,
        reason: outcome.reason,
        head: outcome.head,
        checkpoint: checkpoints.last().map(|row| CheckpointOut::new(row.clone(), &public_key)),
        public_key,
    })
}

/// Where a sound chain is not the one that the kept checkpoint saw: one that was cut at its end is
/// shorter, one that was written anew has another hash there.
async fn missing(
    conn: &mut Conn,
    tenant: &str,
    last: i64,
    kept: &Kept,
) -> Result<Option<(i64, &'static str)>> {
    if last < kept.seq {
        return Ok(Some((last + 1, "the end is cut off: the kept checkpoint has more events")));
    }
    let event = audit::find(conn, tenant, kept.seq).await?;
    let same = event.is_some_and(|event| event.hash == kept.hash);
    Ok((!same).then_some((kept.seq, "the chain is not the one that the kept checkpoint signed")))
}

/// The first checkpoint that the chain does not bear out.
async fn contradiction(
    conn: &mut Conn,
    key: &Ed25519KeyPair,
    checkpoints: &[CheckpointRow],
) -> Result<Option<(i64, &'static str)>> {
    for row in checkpoints {
        if !is_signed(row, key.public_key().as_ref()) {
            return Ok(Some((row.seq, "a checkpoint was altered")));
        }
        let event = audit::find(conn, &row.tenant_id, row.seq).await?;
        if event.is_none_or(|event| event.hash != row.hash) {
            return Ok(Some((row.seq, "the chain is not the one that this checkpoint signed")));
        }
    }
    Ok(None)
}

/// Whether the signature of a checkpoint is that of the key.
pub(crate) fn is_signed(row: &CheckpointRow, public_key: &[u8]) -> bool {
    let signature = from_hex(&row.signature).unwrap_or_default();
    UnparsedPublicKey::new(&ED25519, public_key).verify(&statement(row), &signature).is_ok()
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
    let key = signing_key(app, &mut conn).await?;
    drop(conn);
    let at = app.clock.unix_ms();
    let mut tx = app.db.begin().await?;
    for (tenant_id, seq, hash) in heads {
        let mut row = CheckpointRow { tenant_id, seq, at, hash, signature: String::new() };
        row.signature = to_hex(key.sign(&statement(&row)).as_ref());
        audit::insert_checkpoint(tx.conn(), &row).await?;
    }
    tx.commit().await
}

async fn signing_key(app: &App, conn: &mut Conn) -> Result<Ed25519KeyPair> {
    let sealed = instance::value(conn, KEY).await?;
    let sealed = sealed.ok_or_else(|| Error::internal("start-up makes the signing key"))?;
    let seed = seal::open(&app.root_key, conn, PLACE, &sealed).await?;
    Ed25519KeyPair::from_seed_unchecked(&seed).map_err(Error::internal)
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
