//! Places where living credentials were found.

use super::{Conn, on};
use crate::error::Result;

/// Notes a place; false when it was known, or when `most` are known of this credential.
pub(crate) async fn note(
    conn: &mut Conn,
    tenant: &str,
    target: &str,
    url_hash: &str,
    now: i64,
    most: i64,
) -> Result<bool> {
    let (known,): (i64,) = on!(conn, c => sqlx::query_as(
        "SELECT COUNT(*) FROM leak_reports WHERE tenant_id = $1 AND target_id = $2"
    ).bind(tenant).bind(target).fetch_one(c).await)?;
    if known >= most {
        return Ok(false);
    }
    let added = on!(conn, c => sqlx::query(
        "INSERT INTO leak_reports (tenant_id, target_id, url_hash, reported_at) VALUES ($1, $2, $3, $4)
         ON CONFLICT DO NOTHING"
    ).bind(tenant).bind(target).bind(url_hash).bind(now).execute(c).await.map(|done| done.rows_affected()))?;
    Ok(added > 0)
}
