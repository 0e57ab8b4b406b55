//! Credits of keys: granted, leased to nodes, given back (X6).

use super::{Conn, on};
use crate::error::Result;

/// Grants credits anew at `at`: what is left becomes what was granted, and earlier leases are void.
pub(crate) async fn grant(
    conn: &mut Conn,
    tenant: &str,
    id: &str,
    credits: Option<i64>,
    at: i64,
) -> Result<()> {
    on!(conn, c => sqlx::query(
        "UPDATE keys SET credits_granted = $3, credits_left = $3, credits_granted_at = $4
         WHERE tenant_id = $1 AND id = $2"
    ).bind(tenant).bind(id).bind(credits).bind(credits.map(|_| at)).execute(c).await.map(drop))?;
    Ok(())
}

/// Takes up to `wish` credits of a grant out of the store, never more than there are; returns how
/// many. Another node that was faster makes the condition fail: then the caller asks again.
pub(crate) async fn lease(
    conn: &mut Conn,
    tenant: &str,
    id: &str,
    granted_at: i64,
    wish: i64,
) -> Result<Option<i64>> {
    let row: Option<(i64,)> = on!(conn, c => sqlx::query_as(
        "SELECT credits_left FROM keys WHERE tenant_id = $1 AND id = $2 AND credits_granted_at = $3"
    ).bind(tenant).bind(id).bind(granted_at).fetch_optional(&mut *c).await)?;
    let Some((left,)) = row.filter(|row| row.0 > 0) else { return Ok(Some(0)) };
    let taken = wish.min(left);
    let count = on!(conn, c => sqlx::query(
        "UPDATE keys SET credits_left = credits_left - $4
         WHERE tenant_id = $1 AND id = $2 AND credits_granted_at = $3 AND credits_left = $5"
    ).bind(tenant).bind(id).bind(granted_at).bind(taken).bind(left)
    .execute(c).await.map(|done| done.rows_affected()))?;
    Ok((count == 1).then_some(taken))
}

/// Gives unspent credits back to the grant they came from.
pub(crate) async fn give_back(
    conn: &mut Conn,
    tenant: &str,
    id: &str,
    granted_at: i64,
    count: i64,
) -> Result<()> {
    on!(conn, c => sqlx::query(
        "UPDATE keys SET credits_left = credits_left + $4
         WHERE tenant_id = $1 AND id = $2 AND credits_granted_at = $3"
    ).bind(tenant).bind(id).bind(granted_at).bind(count).execute(c).await.map(drop))?;
    Ok(())
}
