//! Parts of audit chains that were closed: what is left of events that were kept for long enough.

use super::audit::CheckpointRow;
use super::page::{Listed, Page, Position};
use super::{Conn, on};
use crate::error::Result;

/// A row of `audit_segments`.
#[derive(Clone, Debug, PartialEq, Eq, sqlx::FromRow)]
pub(crate) struct SegmentRow {
    pub(crate) tenant_id: String,
    pub(crate) first_seq: i64,
    pub(crate) last_seq: i64,
    pub(crate) first_at: i64,
    pub(crate) last_at: i64,
    pub(crate) previous_hash: String,
    pub(crate) last_hash: String,
    pub(crate) closed_at: i64,
    pub(crate) signature: String,
}

/// The closed parts of a tenant's chain, oldest first.
pub(crate) async fn all(conn: &mut Conn, tenant: &str) -> Result<Vec<SegmentRow>> {
    Ok(on!(conn, c => sqlx::query_as("SELECT * FROM audit_segments WHERE tenant_id = $1 ORDER BY last_seq")
        .bind(tenant).fetch_all(c).await)?)
}

/// A page of them, newest first.
pub(crate) async fn list(conn: &mut Conn, tenant: &str, page: &Page) -> Result<Listed<SegmentRow>> {
    let before = page.after.as_ref().and_then(|p| p.number);
    let rows: Vec<SegmentRow> = on!(conn, c => sqlx::query_as(
        "SELECT * FROM audit_segments WHERE tenant_id = $1 AND ($2 IS NULL OR last_seq < $2)
         ORDER BY last_seq DESC LIMIT $3"
    ).bind(tenant).bind(before).bind(page.limit + 1).fetch_all(c).await)?;
    Ok(page.finish(rows, |row| Position { number: Some(row.last_seq), text: None, id: String::new() }))
}

/// Number and hash of the last event that was closed; 0 and nothing before the first.
pub(crate) async fn end(conn: &mut Conn, tenant: &str) -> Result<(i64, String)> {
    let row: Option<(i64, String)> = on!(conn, c => sqlx::query_as(
        "SELECT last_seq, last_hash FROM audit_segments WHERE tenant_id = $1 ORDER BY last_seq DESC LIMIT 1"
    ).bind(tenant).fetch_optional(c).await)?;
    Ok(row.unwrap_or_default())
}

/// The last checkpoint behind event `after`, up to event `most` and a time; the first one behind `most` where
/// there is none before.
pub(crate) async fn checkpoint(
    conn: &mut Conn,
    tenant: &str,
    after: i64,
    most: i64,
    until: i64,
) -> Result<Option<CheckpointRow>> {
    Ok(on!(conn, c => sqlx::query_as(
        "SELECT * FROM audit_checkpoints WHERE tenant_id = $1 AND seq > $2 AND at <= $4
         ORDER BY CASE WHEN seq <= $3 THEN -seq ELSE seq END LIMIT 1"
    ).bind(tenant).bind(after).bind(most).bind(until).fetch_optional(c).await)?)
}

/// Puts the record of a part in the place of its events.
pub(crate) async fn close(conn: &mut Conn, row: &SegmentRow) -> Result<()> {
    on!(conn, c => sqlx::query(
        "INSERT INTO audit_segments (tenant_id, first_seq, last_seq, first_at, last_at, previous_hash,
            last_hash, closed_at, signature) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)"
    )
    .bind(&row.tenant_id).bind(row.first_seq).bind(row.last_seq).bind(row.first_at).bind(row.last_at)
    .bind(&row.previous_hash).bind(&row.last_hash).bind(row.closed_at).bind(&row.signature)
    .execute(c).await.map(drop))?;
    const STATEMENTS: &[&str] = &[
        "DELETE FROM audit_events WHERE tenant_id = $1 AND seq <= $2",
        "DELETE FROM audit_personal WHERE tenant_id = $1 AND seq <= $2",
        "DELETE FROM audit_checkpoints WHERE tenant_id = $1 AND seq < $2",
    ];
    for statement in STATEMENTS {
        on!(conn, c => sqlx::query(*statement).bind(&row.tenant_id).bind(row.last_seq)
            .execute(c).await.map(drop))?;
    }
    Ok(())
}
