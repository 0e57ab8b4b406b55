//! Imported credentials: how they are looked up, and what is kept of them.

use super::{Conn, on};
use crate::error::{Error, Result};

/// What a handle leads to.
#[derive(Clone, Debug, sqlx::FromRow)]
pub(crate) struct ImportedRow {
    pub(crate) handle: String,
    pub(crate) tenant_id: String,
    pub(crate) key_id: String,
    /// The 16 characters of the key's public half.
    pub(crate) access_key: String,
    pub(crate) generation: i64,
    /// A slow hash, until the first use.
    pub(crate) sealed: Option<String>,
}

/// A way to look credentials up.
#[derive(Clone, Debug, sqlx::FromRow)]
pub(crate) struct WayRow {
    pub(crate) tenant_id: String,
    pub(crate) source: String,
    pub(crate) way: String,
    pub(crate) sealed: Option<String>,
}

/// What a handle leads to, in whichever tenant: the one query of a cache miss.
pub(crate) async fn load(conn: &mut Conn, handle: &str) -> Result<Option<ImportedRow>> {
    Ok(on!(conn, c => sqlx::query_as(
        "SELECT handle, tenant_id, key_id, access_key, generation, sealed FROM imported_secrets
         WHERE handle = $1"
    ).bind(handle).fetch_optional(c).await)?)
}

/// How many imported credentials there are, in all tenants.
pub(crate) async fn count_all(conn: &mut Conn) -> Result<usize> {
    let (count,): (i64,) = on!(conn, c => sqlx::query_as("SELECT COUNT(handle) FROM imported_secrets")
        .fetch_one(c).await)?;
    usize::try_from(count).map_err(crate::error::Error::internal)
}

/// The handles of all tenants behind `after`, in order.
pub(crate) async fn handles(conn: &mut Conn, after: &str, limit: i64) -> Result<Vec<String>> {
    Ok(on!(conn, c => sqlx::query_scalar(
        "SELECT handle FROM imported_secrets WHERE handle > $1 ORDER BY handle LIMIT $2"
    ).bind(after).bind(limit).fetch_all(c).await)?)
}

/// The ways of all tenants.
pub(crate) async fn every_way(conn: &mut Conn) -> Result<Vec<WayRow>> {
    Ok(on!(conn, c => sqlx::query_as("SELECT tenant_id, source, way, sealed FROM import_ways")
        .fetch_all(c).await)?)
}

/// The ways of a tenant.
pub(crate) async fn ways(conn: &mut Conn, tenant: &str) -> Result<Vec<WayRow>> {
    Ok(on!(conn, c => sqlx::query_as(
        "SELECT tenant_id, source, way, sealed FROM import_ways WHERE tenant_id = $1"
    ).bind(tenant).fetch_all(c).await)?)
}

/// Adds a way; false when the import has it already.
pub(crate) async fn add_way(conn: &mut Conn, row: &WayRow, now: i64) -> Result<bool> {
    let count = on!(conn, c => sqlx::query(
        "INSERT INTO import_ways (tenant_id, source, way, sealed, created_at) VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT DO NOTHING"
    )
    .bind(&row.tenant_id).bind(&row.source).bind(&row.way).bind(&row.sealed).bind(now)
    .execute(c).await.map(|done| done.rows_affected()))?;
    Ok(count == 1)
}

/// Adds what a handle leads to; false when the handle is taken, in whichever tenant.
pub(crate) async fn insert(conn: &mut Conn, row: &ImportedRow) -> Result<bool> {
    let count = on!(conn, c => sqlx::query(
        "INSERT INTO imported_secrets (handle, tenant_id, key_id, access_key, generation, sealed)
         VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING"
    )
    .bind(&row.handle).bind(&row.tenant_id).bind(&row.key_id).bind(&row.access_key).bind(row.generation)
    .bind(&row.sealed)
    .execute(c).await.map(|done| done.rows_affected()))?;
    Ok(count == 1)
}

/// Whether a key of this import is known by this name.
pub(crate) async fn is_known(conn: &mut Conn, tenant: &str, source: &str, external_id: &str) -> Result<bool> {
    let found: Option<(String,)> = on!(conn, c => sqlx::query_as(
        "SELECT id FROM keys WHERE tenant_id = $1 AND imported_from = $2 AND external_id = $3"
    ).bind(tenant).bind(source).bind(external_id).fetch_optional(c).await)?;
    Ok(found.is_some())
}

/// Whether more than `most` keys of an import wait for an approval.
pub(crate) async fn more_wait(conn: &mut Conn, tenant: &str, source: &str, most: usize) -> Result<bool> {
    let most = i64::try_from(most).map_err(Error::internal)?;
    let count: i64 = on!(conn, c => sqlx::query_scalar(
        "SELECT COUNT(*) FROM (SELECT 1 FROM keys WHERE tenant_id = $1 AND imported_from = $2
            AND awaits_approval AND switch <> 'revoked' LIMIT $3) AS waiting"
    ).bind(tenant).bind(source).bind(most + 1).fetch_one(c).await)?;
    Ok(count > most)
}

/// Puts a proven credential under the handle of its text and forgets its slow hash; false when that was
/// done already, or the handle is another's.
pub(crate) async fn adopt(conn: &mut Conn, row: &ImportedRow, handle: &str) -> Result<bool> {
    let count = on!(conn, c => sqlx::query(
        "UPDATE imported_secrets SET handle = $3, sealed = NULL
         WHERE tenant_id = $1 AND handle = $2 AND sealed IS NOT NULL
           AND NOT EXISTS (SELECT 1 FROM imported_secrets x WHERE x.handle = $3)"
    ).bind(&row.tenant_id).bind(&row.handle).bind(handle)
    .execute(c).await.map(|done| done.rows_affected()))?;
    Ok(count == 1)
}
