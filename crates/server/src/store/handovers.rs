//! Secrets that wait to be handed over.

use super::page::{Listed, Page, Position};
use super::{Conn, on};
use crate::error::Result;

/// A row of `handovers`.
#[derive(Clone, Debug, sqlx::FromRow)]
pub(crate) struct HandoverRow {
    pub(crate) tenant_id: String,
    pub(crate) id: String,
    pub(crate) key_id: String,
    pub(crate) generation: i64,
    pub(crate) sealed: Option<String>,
    pub(crate) handle: Option<String>,
    pub(crate) pepper_id: Option<i64>,
    pub(crate) hash: Option<String>,
    pub(crate) created_at: i64,
    pub(crate) created_by: String,
    /// When the secret is gone.
    pub(crate) expires_at: i64,
    /// When its link opens nothing any more.
    pub(crate) link_expires_at: Option<i64>,
    pub(crate) opened_at: Option<i64>,
    pub(crate) opened_from: Option<String>,
}

/// Adds one.
pub(crate) async fn insert(conn: &mut Conn, row: &HandoverRow) -> Result<()> {
    on!(conn, c => sqlx::query(
        "INSERT INTO handovers (tenant_id, id, key_id, generation, sealed, handle, pepper_id, hash, created_at,
            created_by, expires_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)"
    )
    .bind(&row.tenant_id).bind(&row.id).bind(&row.key_id).bind(row.generation).bind(&row.sealed)
    .bind(&row.handle).bind(row.pepper_id).bind(&row.hash).bind(row.created_at).bind(&row.created_by)
    .bind(row.expires_at).execute(c).await.map(drop))?;
    Ok(())
}

/// That of a link's token, which names the tenant.
pub(crate) async fn load(conn: &mut Conn, handle: &str) -> Result<Option<HandoverRow>> {
    Ok(on!(conn, c => sqlx::query_as("SELECT * FROM handovers WHERE handle = $1")
        .bind(handle).fetch_optional(c).await)?)
}

/// One of a tenant.
pub(crate) async fn find(conn: &mut Conn, tenant: &str, id: &str) -> Result<Option<HandoverRow>> {
    Ok(on!(conn, c => sqlx::query_as("SELECT * FROM handovers WHERE tenant_id = $1 AND id = $2")
        .bind(tenant).bind(id).fetch_optional(c).await)?)
}

/// The newest secret of a key that waits.
pub(crate) async fn waiting(
    conn: &mut Conn,
    tenant: &str,
    key: &str,
    now: i64,
) -> Result<Option<HandoverRow>> {
    Ok(on!(conn, c => sqlx::query_as(
        "SELECT * FROM handovers
         WHERE tenant_id = $1 AND key_id = $2 AND sealed IS NOT NULL AND expires_at > $3
         ORDER BY generation DESC LIMIT 1"
    ).bind(tenant).bind(key).bind(now).fetch_optional(c).await)?)
}

/// Those of a tenant, the newest first; of one key, or all.
pub(crate) async fn list(
    conn: &mut Conn,
    tenant: &str,
    key: Option<&str>,
    page: &Page,
) -> Result<Listed<HandoverRow>> {
    let before = page.after.as_ref().map(|p| p.id.as_str());
    let rows: Vec<HandoverRow> = on!(conn, c => sqlx::query_as(
        "SELECT * FROM handovers
         WHERE tenant_id = $1 AND ($2 IS NULL OR key_id = $2) AND ($3 IS NULL OR id < $3)
         ORDER BY id DESC LIMIT $4"
    ).bind(tenant).bind(key).bind(before).bind(page.limit + 1).fetch_all(c).await)?;
    Ok(page.finish(rows, |row| Position { number: None, text: None, id: row.id.clone() }))
}

/// Gives one a link; an earlier link of it is void.
pub(crate) async fn link(conn: &mut Conn, row: &HandoverRow) -> Result<()> {
    on!(conn, c => sqlx::query(
        "UPDATE handovers SET handle = $3, pepper_id = $4, hash = $5, expires_at = $6, link_expires_at = $7
         WHERE tenant_id = $1 AND id = $2"
    )
    .bind(&row.tenant_id).bind(&row.id).bind(&row.handle).bind(row.pepper_id).bind(&row.hash)
    .bind(row.expires_at).bind(row.link_expires_at).execute(c).await.map(drop))?;
    Ok(())
}

/// Opens one; whether it was not opened before. The secret is gone from the store with it.
pub(crate) async fn open(conn: &mut Conn, row: &HandoverRow, now: i64, from: Option<&str>) -> Result<bool> {
    let opened = on!(conn, c => sqlx::query(
        "UPDATE handovers SET sealed = NULL, opened_at = $3, opened_from = $4
         WHERE tenant_id = $1 AND id = $2 AND sealed IS NOT NULL AND expires_at > $3 AND link_expires_at > $3
           AND handle = $5"
    )
    .bind(&row.tenant_id).bind(&row.id).bind(now).bind(from).bind(&row.handle)
    .execute(c).await.map(|done| done.rows_affected()))?;
    Ok(opened > 0)
}

/// Takes the secrets of a key away that wait, but that of one generation.
pub(crate) async fn withdraw(conn: &mut Conn, tenant: &str, key: &str, but: Option<i64>) -> Result<()> {
    on!(conn, c => sqlx::query(
        "UPDATE handovers SET sealed = NULL
         WHERE tenant_id = $1 AND key_id = $2 AND ($3 IS NULL OR generation <> $3)"
    ).bind(tenant).bind(key).bind(but).execute(c).await.map(drop))?;
    Ok(())
}

/// Links of all tenants whose token is hashed under a pepper and may still be opened.
pub(crate) async fn count_pepper(conn: &mut Conn, pepper: i64, now: i64) -> Result<i64> {
    let (count,): (i64,) = on!(conn, c => sqlx::query_as(
        "SELECT COUNT(*) FROM handovers
         WHERE pepper_id = $1 AND sealed IS NOT NULL AND expires_at > $2 AND link_expires_at > $2"
    ).bind(pepper).bind(now).fetch_one(c).await)?;
    Ok(count)
}

/// Takes away, in all tenants, what nobody came for, and forgets what is long over.
pub(crate) async fn prune(conn: &mut Conn, now: i64, before: i64) -> Result<()> {
    on!(conn, c => sqlx::query("UPDATE handovers SET sealed = NULL WHERE expires_at <= $1 AND sealed IS NOT NULL")
        .bind(now).execute(c).await.map(drop))?;
    on!(conn, c => sqlx::query("DELETE FROM handovers WHERE expires_at < $1")
        .bind(before).execute(c).await.map(drop))?;
    Ok(())
}
