//! The audit log: append-only, chained per tenant (AUD-4).

use super::page::{Listed, Page, Position};
use super::{Conn, on};
use crate::audit::personal::Texts;
use crate::error::Result;

/// A row of `audit_events`.
#[derive(Clone, Debug, Default, sqlx::FromRow)]
pub(crate) struct AuditRow {
    pub(crate) tenant_id: String,
    pub(crate) seq: i64,
    pub(crate) at: i64,
    pub(crate) action: String,
    pub(crate) outcome: String,
    pub(crate) actor_id: String,
    pub(crate) target_id: String,
    /// The event as JSON, exactly the text that was hashed.
    pub(crate) body: String,
    pub(crate) previous_hash: String,
    pub(crate) hash: String,
    /// What it says of people: a line for each, of id, nonce, and texts as JSON, which has no line breaks.
    pub(crate) personal: Option<String>,
}

/// Every read of events has these columns.
macro_rules! select_events {
    ($tail:literal) => {
        concat!(
            "SELECT e.*,
                (SELECT string_agg(p.subject_id || ' ' || p.nonce || ' ' || p.texts, '\n') FROM audit_personal p
                  WHERE p.tenant_id = e.tenant_id AND p.seq = e.seq) AS personal
             FROM audit_events e ",
            $tail
        )
    };
}

/// What a list of events is narrowed by.
#[derive(Clone, Debug, Default)]
pub(crate) struct AuditFilter {
    pub(crate) actor_id: Option<String>,
    pub(crate) target_id: Option<String>,
    pub(crate) action: Option<String>,
    pub(crate) outcome: Option<String>,
    pub(crate) since: Option<i64>,
    pub(crate) until: Option<i64>,
}

/// Number and hash of the last event of a tenant.
pub(crate) async fn head(conn: &mut Conn, tenant: &str) -> Result<Option<(i64, String)>> {
    Ok(on!(conn, c => sqlx::query_as(
        "SELECT seq, hash FROM audit_events WHERE tenant_id = $1 ORDER BY seq DESC LIMIT 1"
    ).bind(tenant).fetch_optional(c).await)?)
}

/// Appends an event.
pub(crate) async fn append(conn: &mut Conn, row: &AuditRow) -> Result<()> {
    on!(conn, c => sqlx::query(
        "INSERT INTO audit_events (tenant_id, seq, at, action, outcome, actor_id, target_id, body,
            previous_hash, hash) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)"
    )
    .bind(&row.tenant_id).bind(row.seq).bind(row.at).bind(&row.action).bind(&row.outcome)
    .bind(&row.actor_id).bind(&row.target_id).bind(&row.body).bind(&row.previous_hash).bind(&row.hash)
    .execute(c).await.map(drop))?;
    Ok(())
}

/// Keeps what an event says of a person, unless that person was erased. Whoever cut the end of a chain may
/// have left such a row: that keeps nobody from writing on.
pub(crate) async fn keep_texts(conn: &mut Conn, tenant: &str, seq: i64, texts: &Texts) -> Result<()> {
    on!(conn, c => sqlx::query(
        "INSERT INTO audit_personal (tenant_id, seq, subject_id, nonce, texts)
         SELECT $1, $2, $3, $4, $5
         WHERE NOT EXISTS (SELECT 1 FROM users WHERE id = $3 AND erased_at IS NOT NULL)
         ON CONFLICT (tenant_id, seq, subject_id)
         DO UPDATE SET nonce = excluded.nonce, texts = excluded.texts"
    )
    .bind(tenant).bind(seq).bind(&texts.subject).bind(&texts.nonce).bind(&texts.list)
    .execute(c).await.map(drop))?;
    Ok(())
}

/// One event.
pub(crate) async fn find(conn: &mut Conn, tenant: &str, seq: i64) -> Result<Option<AuditRow>> {
    Ok(on!(conn, c => sqlx::query_as(select_events!("WHERE e.tenant_id = $1 AND e.seq = $2"))
        .bind(tenant).bind(seq).fetch_optional(c).await)?)
}

/// Events from the newest back.
pub(crate) async fn list(
    conn: &mut Conn,
    tenant: &str,
    filter: &AuditFilter,
    page: &Page,
) -> Result<Listed<AuditRow>> {
    let before = page.after.as_ref().and_then(|p| p.number);
    let rows: Vec<AuditRow> = on!(conn, c => sqlx::query_as(
        select_events!("WHERE e.tenant_id = $1 AND ($2 IS NULL OR e.seq < $2) AND ($3 IS NULL OR e.actor_id = $3)
           AND ($4 IS NULL OR e.target_id = $4) AND ($5 IS NULL OR e.action = $5)
           AND ($6 IS NULL OR e.outcome = $6) AND ($7 IS NULL OR e.at >= $7) AND ($8 IS NULL OR e.at < $8)
         ORDER BY e.seq DESC LIMIT $9")
    )
    .bind(tenant).bind(before).bind(&filter.actor_id).bind(&filter.target_id).bind(&filter.action)
    .bind(&filter.outcome).bind(filter.since).bind(filter.until).bind(page.limit + 1)
    .fetch_all(c).await)?;
    Ok(page.finish(rows, |row| Position { number: Some(row.seq), text: None, id: String::new() }))
}

/// Events behind `after` in the order of the chain, for checking and export.
pub(crate) async fn chain(conn: &mut Conn, tenant: &str, after: i64, limit: i64) -> Result<Vec<AuditRow>> {
    Ok(on!(conn, c => sqlx::query_as(
        select_events!("WHERE e.tenant_id = $1 AND e.seq > $2 ORDER BY e.seq LIMIT $3")
    ).bind(tenant).bind(after).bind(limit).fetch_all(c).await)?)
}

/// Tenants that have a chain.
pub(crate) async fn tenants(conn: &mut Conn) -> Result<Vec<String>> {
    let rows: Vec<(String,)> = on!(conn, c => sqlx::query_as(
        "SELECT DISTINCT tenant_id FROM audit_events ORDER BY tenant_id"
    ).fetch_all(c).await)?;
    Ok(rows.into_iter().map(|row| row.0).collect())
}

/// A signed statement of where a chain stood.
#[derive(Clone, Debug, sqlx::FromRow, serde::Serialize, serde::Deserialize)]
pub(crate) struct CheckpointRow {
    pub(crate) tenant_id: String,
    pub(crate) seq: i64,
    pub(crate) at: i64,
    pub(crate) hash: String,
    pub(crate) signature: String,
}

/// Keeps a checkpoint.
pub(crate) async fn insert_checkpoint(conn: &mut Conn, row: &CheckpointRow) -> Result<()> {
    on!(conn, c => sqlx::query(
        "INSERT INTO audit_checkpoints (tenant_id, seq, at, hash, signature)
         SELECT $1, $2, $3, $4, $5 WHERE EXISTS (SELECT 1 FROM tenants WHERE id = $1)
         ON CONFLICT DO NOTHING"
    ).bind(&row.tenant_id).bind(row.seq).bind(row.at).bind(&row.hash).bind(&row.signature)
    .execute(c).await.map(drop))?;
    Ok(())
}

/// The checkpoints of a tenant, oldest first.
pub(crate) async fn checkpoints(conn: &mut Conn, tenant: &str) -> Result<Vec<CheckpointRow>> {
    Ok(on!(conn, c => sqlx::query_as("SELECT * FROM audit_checkpoints WHERE tenant_id = $1 ORDER BY seq")
        .bind(tenant).fetch_all(c).await)?)
}

/// A page of the checkpoints of a tenant, newest first.
pub(crate) async fn list_checkpoints(
    conn: &mut Conn,
    tenant: &str,
    page: &Page,
) -> Result<Listed<CheckpointRow>> {
    let before = page.after.as_ref().and_then(|p| p.number);
    let rows: Vec<CheckpointRow> = on!(conn, c => sqlx::query_as(
        "SELECT * FROM audit_checkpoints WHERE tenant_id = $1 AND ($2 IS NULL OR seq < $2)
         ORDER BY seq DESC LIMIT $3"
    ).bind(tenant).bind(before).bind(page.limit + 1).fetch_all(c).await)?;
    Ok(page.finish(rows, |row| Position { number: Some(row.seq), text: None, id: String::new() }))
}

/// Heads of chains that moved past their last checkpoint.
pub(crate) async fn unsigned_heads(conn: &mut Conn) -> Result<Vec<(String, i64, String)>> {
    Ok(on!(conn, c => sqlx::query_as(
        "SELECT e.tenant_id, e.seq, e.hash FROM audit_events e
         JOIN (SELECT tenant_id, MAX(seq) AS seq FROM audit_events GROUP BY tenant_id) h
           ON h.tenant_id = e.tenant_id AND h.seq = e.seq
         WHERE e.seq > COALESCE((SELECT MAX(p.seq) FROM audit_checkpoints p
                                 WHERE p.tenant_id = e.tenant_id), 0)"
    ).fetch_all(c).await)?)
}
