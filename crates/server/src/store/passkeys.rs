//! What factors of the kind `passkey` have besides, and the challenges that they answered.

use super::factors::FactorRow;
use super::{Conn, on};
use crate::error::Result;

/// The passkey that calls itself so; it names tenant and user.
pub(crate) async fn find(conn: &mut Conn, credential_id: &str) -> Result<Option<FactorRow>> {
    Ok(on!(conn, c => sqlx::query_as(
        "SELECT * FROM factors WHERE credential_id = $1 AND confirmed_at IS NOT NULL"
    ).bind(credential_id).fetch_optional(c).await)?)
}

/// Makes a passkey count, with what it calls itself, its sealed key and its counter; false when it did
/// already or is gone.
pub(crate) async fn confirm(conn: &mut Conn, row: &FactorRow, now: i64) -> Result<bool> {
    let count = on!(conn, c => sqlx::query(
        "UPDATE factors SET confirmed_at = $6, credential_id = $3, sealed = $4, counter = $5
         WHERE tenant_id = $1 AND id = $2 AND confirmed_at IS NULL"
    ).bind(&row.tenant_id).bind(&row.id).bind(&row.credential_id).bind(&row.sealed).bind(row.counter)
    .bind(now).execute(c).await.map(|done| done.rows_affected()))?;
    Ok(count == 1)
}

/// Notes a use; false when the counter did not go on, or the passkey is gone.
pub(crate) async fn note_use(conn: &mut Conn, row: &FactorRow, counter: i64, now: i64) -> Result<bool> {
    let count = on!(conn, c => sqlx::query(
        "UPDATE factors SET counter = $3, last_used_at = $4
         WHERE tenant_id = $1 AND id = $2 AND confirmed_at IS NOT NULL
           AND (counter < $3 OR (counter = 0 AND $3 = 0))"
    ).bind(&row.tenant_id).bind(&row.id).bind(counter).bind(now)
    .execute(c).await.map(|done| done.rows_affected()))?;
    Ok(count == 1)
}

/// Whether a challenge is used up.
pub(crate) async fn is_used(conn: &mut Conn, tenant: &str, id: &str) -> Result<bool> {
    let (count,): (i64,) = on!(conn, c => sqlx::query_as(
        "SELECT COUNT(*) FROM used_passkey_challenges WHERE tenant_id = $1 AND id = $2"
    ).bind(tenant).bind(id).fetch_one(c).await)?;
    Ok(count > 0)
}

/// Uses a challenge up; false when somebody did already.
pub(crate) async fn use_challenge(conn: &mut Conn, tenant: &str, id: &str, expires_at: i64) -> Result<bool> {
    let count = on!(conn, c => sqlx::query(
        "INSERT INTO used_passkey_challenges (tenant_id, id, expires_at) VALUES ($1, $2, $3)
         ON CONFLICT (id) DO NOTHING"
    ).bind(tenant).bind(id).bind(expires_at).execute(c).await.map(|done| done.rows_affected()))?;
    Ok(count == 1)
}

/// Forgets used challenges that are over.
pub(crate) async fn prune(conn: &mut Conn, now: i64) -> Result<()> {
    on!(conn, c => sqlx::query("DELETE FROM used_passkey_challenges WHERE expires_at < $1")
        .bind(now).execute(c).await.map(drop))?;
    Ok(())
}
