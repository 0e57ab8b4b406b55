//! How often tokens with a budget may still be used.

use super::{Conn, on};
use crate::error::Result;

/// Notes the budget of a new token.
pub(crate) async fn insert(
    conn: &mut Conn,
    tenant: &str,
    id: &str,
    budget: i64,
    expires_at: i64,
) -> Result<()> {
    on!(conn, c => sqlx::query(
        "INSERT INTO token_budgets (tenant_id, id, remaining, expires_at) VALUES ($1, $2, $3, $4)"
    ).bind(tenant).bind(id).bind(budget).bind(expires_at).execute(c).await.map(drop))?;
    Ok(())
}

/// Takes up to `wish` uses out of the store, never more than there are; returns how many. Another node
/// that was faster makes the condition fail: then the caller asks again.
pub(crate) async fn lease(conn: &mut Conn, tenant: &str, id: &str, wish: i64) -> Result<Option<i64>> {
    let row: Option<(i64,)> = on!(conn, c => sqlx::query_as(
        "SELECT remaining FROM token_budgets WHERE tenant_id = $1 AND id = $2"
    ).bind(tenant).bind(id).fetch_optional(&mut *c).await)?;
    let Some((left,)) = row.filter(|row| row.0 > 0) else { return Ok(Some(0)) };
    let taken = wish.min(left);
    let count = on!(conn, c => sqlx::query(
        "UPDATE token_budgets SET remaining = remaining - $3
         WHERE tenant_id = $1 AND id = $2 AND remaining = $4"
    ).bind(tenant).bind(id).bind(taken).bind(left)
    .execute(c).await.map(|done| done.rows_affected()))?;
    Ok((count == 1).then_some(taken))
}

/// Forgets those whose token ended before `before`.
pub(crate) async fn prune(conn: &mut Conn, before: i64) -> Result<()> {
    on!(conn, c => sqlx::query("DELETE FROM token_budgets WHERE expires_at < $1")
        .bind(before).execute(c).await.map(drop))?;
    Ok(())
}
