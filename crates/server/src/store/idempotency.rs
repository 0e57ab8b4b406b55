//! Answers of earlier POSTs, for replays (`api.md` 7). No row ever holds a secret.

use super::{Conn, on};
use crate::error::Result;

/// What is known about an earlier request with the same key.
#[derive(Clone, Debug, sqlx::FromRow)]
pub(crate) struct IdempotencyRow {
    pub(crate) request_hash: String,
    pub(crate) created_at: i64,
    pub(crate) committed: bool,
    pub(crate) status: Option<i64>,
    pub(crate) headers: Option<String>,
    pub(crate) body: Option<String>,
}

/// Whose key it is.
#[derive(Clone, Debug)]
pub(crate) struct IdempotencyKey {
    pub(crate) tenant: String,
    pub(crate) principal: String,
    pub(crate) key: String,
}

/// The earlier request, if there was one.
pub(crate) async fn find(conn: &mut Conn, key: &IdempotencyKey) -> Result<Option<IdempotencyRow>> {
    Ok(on!(conn, c => sqlx::query_as(
        "SELECT request_hash, created_at, committed, status, headers, body FROM idempotency
         WHERE tenant_id = $1 AND principal = $2 AND idem_key = $3"
    ).bind(&key.tenant).bind(&key.principal).bind(&key.key).fetch_optional(c).await)?)
}

/// Claims the key for a request that starts now; false when somebody else has it.
pub(crate) async fn claim(conn: &mut Conn, key: &IdempotencyKey, hash: &str, now: i64) -> Result<bool> {
    let count = on!(conn, c => sqlx::query(
        "INSERT INTO idempotency (tenant_id, principal, idem_key, request_hash, created_at, committed)
         VALUES ($1, $2, $3, $4, $5, FALSE) ON CONFLICT DO NOTHING"
    ).bind(&key.tenant).bind(&key.principal).bind(&key.key).bind(hash).bind(now)
    .execute(c).await.map(|done| done.rows_affected()))?;
    Ok(count == 1)
}

/// Notes, in the transaction of the change itself, that the change was made.
pub(crate) async fn mark_committed(conn: &mut Conn, key: &IdempotencyKey) -> Result<()> {
    on!(conn, c => sqlx::query(
        "UPDATE idempotency SET committed = TRUE WHERE tenant_id = $1 AND principal = $2 AND idem_key = $3"
    ).bind(&key.tenant).bind(&key.principal).bind(&key.key).execute(c).await.map(drop))?;
    Ok(())
}

/// Keeps the answer.
pub(crate) async fn answer(
    conn: &mut Conn,
    key: &IdempotencyKey,
    status: i64,
    headers: &str,
    body: &str,
) -> Result<()> {
    on!(conn, c => sqlx::query(
        "UPDATE idempotency SET status = $4, headers = $5, body = $6
         WHERE tenant_id = $1 AND principal = $2 AND idem_key = $3"
    ).bind(&key.tenant).bind(&key.principal).bind(&key.key).bind(status).bind(headers).bind(body)
    .execute(c).await.map(drop))?;
    Ok(())
}

/// Frees a key whose request changed nothing.
pub(crate) async fn release(conn: &mut Conn, key: &IdempotencyKey) -> Result<()> {
    on!(conn, c => sqlx::query(
        "DELETE FROM idempotency WHERE tenant_id = $1 AND principal = $2 AND idem_key = $3 AND NOT committed"
    ).bind(&key.tenant).bind(&key.principal).bind(&key.key).execute(c).await.map(drop))?;
    Ok(())
}

/// Forgets answers older than `before`.
pub(crate) async fn prune(conn: &mut Conn, before: i64) -> Result<u64> {
    Ok(on!(conn, c => sqlx::query("DELETE FROM idempotency WHERE created_at < $1")
        .bind(before).execute(c).await.map(|done| done.rows_affected()))?)
}
