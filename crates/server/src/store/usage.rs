//! Use of keys, written behind (X8, KEY-14).

use super::{Conn, on};
use crate::error::Result;

/// Last use of one secret version.
#[derive(Clone, Debug)]
pub(crate) struct SeenRow {
    pub(crate) tenant_id: String,
    pub(crate) key_id: String,
    pub(crate) generation: i64,
    pub(crate) seen_at: i64,
    pub(crate) address: Option<String>,
    pub(crate) agent: Option<String>,
}

/// Uses of one key in one hour with one outcome.
#[derive(Clone, Debug, sqlx::FromRow)]
pub(crate) struct HourRow {
    pub(crate) tenant_id: String,
    pub(crate) key_id: String,
    pub(crate) hour: i64,
    pub(crate) outcome: String,
    pub(crate) uses: i64,
}

/// Keeps the later of the stored and the given last use, unless the key is gone with its tenant.
pub(crate) async fn merge_seen(conn: &mut Conn, row: &SeenRow) -> Result<()> {
    on!(conn, c => sqlx::query(
        "INSERT INTO key_seen (tenant_id, key_id, generation, seen_at, address, agent)
         SELECT $1, $2, $3, $4, $5, $6 WHERE EXISTS (SELECT 1 FROM keys WHERE tenant_id = $1 AND id = $2)
         ON CONFLICT (tenant_id, key_id, generation) DO UPDATE SET
            seen_at = excluded.seen_at, address = excluded.address, agent = excluded.agent
         WHERE excluded.seen_at > key_seen.seen_at"
    )
    .bind(&row.tenant_id).bind(&row.key_id).bind(row.generation).bind(row.seen_at).bind(&row.address)
    .bind(&row.agent).execute(c).await.map(drop))?;
    Ok(())
}

/// Adds to the count of an hour, unless the key is gone with its tenant.
pub(crate) async fn add_uses(conn: &mut Conn, row: &HourRow) -> Result<()> {
    on!(conn, c => sqlx::query(
        "INSERT INTO key_hours (tenant_id, key_id, hour, outcome, uses)
         SELECT $1, $2, $3, $4, $5 WHERE EXISTS (SELECT 1 FROM keys WHERE tenant_id = $1 AND id = $2)
         ON CONFLICT (tenant_id, key_id, hour, outcome) DO UPDATE SET uses = key_hours.uses + excluded.uses"
    )
    .bind(&row.tenant_id).bind(&row.key_id).bind(row.hour).bind(&row.outcome).bind(row.uses)
    .execute(c).await.map(drop))?;
    Ok(())
}

/// Counts of a key since an hour, newest first.
pub(crate) async fn hours(conn: &mut Conn, tenant: &str, key: &str, since: i64) -> Result<Vec<HourRow>> {
    Ok(on!(conn, c => sqlx::query_as(
        "SELECT tenant_id, key_id, hour, outcome, uses FROM key_hours
         WHERE tenant_id = $1 AND key_id = $2 AND hour >= $3 ORDER BY hour DESC, outcome"
    ).bind(tenant).bind(key).bind(since).fetch_all(c).await)?)
}

/// Time, address and agent of the last use.
pub(crate) async fn last_seen(
    conn: &mut Conn,
    tenant: &str,
    key: &str,
) -> Result<Option<(i64, Option<String>, Option<String>)>> {
    Ok(on!(conn, c => sqlx::query_as(
        "SELECT seen_at, address, agent FROM key_seen WHERE tenant_id = $1 AND key_id = $2
         ORDER BY seen_at DESC LIMIT 1"
    ).bind(tenant).bind(key).fetch_optional(c).await)?)
}
