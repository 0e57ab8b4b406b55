//! Keys whose rotation is due.

use super::{Conn, on};
use crate::error::Result;

/// A key whose rotation is due.
#[derive(Clone, Debug, sqlx::FromRow)]
pub(crate) struct DueRow {
    pub(crate) tenant_id: String,
    pub(crate) id: String,
    pub(crate) rotates_at: i64,
}

/// Living keys of all tenants whose rotation is due, the longest first.
pub(crate) async fn due(conn: &mut Conn, now: i64, limit: i64) -> Result<Vec<DueRow>> {
    Ok(on!(conn, c => sqlx::query_as(
        "SELECT tenant_id, id, rotates_at FROM keys
         WHERE rotates_at <= $1 AND switch <> 'revoked' AND (expires_at IS NULL OR expires_at > $1)
         ORDER BY rotates_at LIMIT $2"
    ).bind(now).bind(limit).fetch_all(c).await)?)
}
