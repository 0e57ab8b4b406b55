//! Tokens that were revoked by their id.

use super::{Conn, on};
use crate::error::Result;

/// Notes a revocation; false when it was known.
pub(crate) async fn insert(
    conn: &mut Conn,
    tenant: &str,
    id: &str,
    expires_at: i64,
    now: i64,
    by: &str,
) -> Result<bool> {
    let count = on!(conn, c => sqlx::query(
        "INSERT INTO revoked_tokens (tenant_id, id, expires_at, revoked_at, revoked_by)
         VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING"
    ).bind(tenant).bind(id).bind(expires_at).bind(now).bind(by)
    .execute(c).await.map(|done| done.rows_affected()))?;
    Ok(count == 1)
}

/// Revocations of tokens that end at `from` or later, of all tenants: id and end.
pub(crate) async fn since(conn: &mut Conn, from: i64) -> Result<Vec<(String, i64)>> {
    Ok(on!(conn, c => sqlx::query_as("SELECT id, expires_at FROM revoked_tokens WHERE expires_at >= $1")
        .bind(from).fetch_all(c).await)?)
}

/// Forgets those whose token ended before `before`.
pub(crate) async fn prune(conn: &mut Conn, before: i64) -> Result<()> {
    on!(conn, c => sqlx::query("DELETE FROM revoked_tokens WHERE expires_at < $1")
        .bind(before).execute(c).await.map(drop))?;
    Ok(())
}
