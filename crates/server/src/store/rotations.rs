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

/// Keys of all tenants whose rotation is due, the longest first, behind one of them. Those that are switched
/// off, or of a suspended tenant, wait: nobody could come for their new secret.
pub(crate) async fn due(conn: &mut Conn, now: i64, after: (i64, &str), limit: i64) -> Result<Vec<DueRow>> {
    Ok(on!(conn, c => sqlx::query_as(
        "SELECT keys.tenant_id, keys.id, keys.rotates_at FROM keys JOIN tenants ON tenants.id = keys.tenant_id
         WHERE keys.rotates_at <= $1 AND keys.switch = 'on' AND (keys.expires_at IS NULL OR keys.expires_at > $1)
           AND tenants.suspended_at IS NULL
           AND (keys.rotates_at > $2 OR (keys.rotates_at = $2 AND keys.id > $3))
         ORDER BY keys.rotates_at, keys.id LIMIT $4"
    ).bind(now).bind(after.0).bind(after.1).bind(limit).fetch_all(c).await)?)
}
