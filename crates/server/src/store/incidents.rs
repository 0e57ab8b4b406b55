//! Incidents and the keys that they ended.

use std::sync::LazyLock;

use super::bulk::Bulk;
use super::keys::KeyRow;
use super::page::{Listed, Page, Position};
use super::{Conn, on};
use crate::error::Result;

/// A row of `incidents`.
#[derive(Clone, Debug, sqlx::FromRow)]
pub(crate) struct IncidentRow {
    pub(crate) tenant_id: String,
    pub(crate) id: String,
    pub(crate) action: String,
    pub(crate) filter: String,
    pub(crate) reason: Option<String>,
    pub(crate) matched: i64,
    pub(crate) created_at: i64,
    pub(crate) created_by: String,
    pub(crate) undone_at: Option<i64>,
    pub(crate) undone_by: Option<String>,
    pub(crate) reactivated: Option<i64>,
}

/// A key of an incident, with its version when that was over.
#[derive(Clone, Debug, sqlx::FromRow)]
pub(crate) struct IncidentKeyRow {
    pub(crate) key_id: String,
    pub(crate) version: i64,
}

/// One incident.
pub(crate) async fn find(conn: &mut Conn, tenant: &str, id: &str) -> Result<Option<IncidentRow>> {
    Ok(on!(conn, c => sqlx::query_as("SELECT * FROM incidents WHERE tenant_id = $1 AND id = $2")
        .bind(tenant).bind(id).fetch_optional(c).await)?)
}

/// Incidents, the newest first.
pub(crate) async fn list(conn: &mut Conn, tenant: &str, page: &Page) -> Result<Listed<IncidentRow>> {
    let after = page.after.as_ref().map(|p| p.id.as_str());
    let rows: Vec<IncidentRow> = on!(conn, c => sqlx::query_as(
        "SELECT * FROM incidents WHERE tenant_id = $1 AND ($2 IS NULL OR id < $2) ORDER BY id DESC LIMIT $3"
    ).bind(tenant).bind(after).bind(page.limit + 1).fetch_all(c).await)?;
    Ok(page.finish(rows, |row| Position { number: None, text: None, id: row.id.clone() }))
}

/// The keys of an incident.
pub(crate) async fn keys(conn: &mut Conn, tenant: &str, incident: &str) -> Result<Vec<IncidentKeyRow>> {
    Ok(on!(conn, c => sqlx::query_as(
        "SELECT key_id, version FROM incident_keys WHERE tenant_id = $1 AND incident_id = $2 ORDER BY key_id"
    ).bind(tenant).bind(incident).fetch_all(c).await)?)
}

/// Adds an incident.
pub(crate) async fn insert(conn: &mut Conn, row: &IncidentRow) -> Result<()> {
    on!(conn, c => sqlx::query(
        "INSERT INTO incidents (tenant_id, id, action, filter, reason, matched, created_at, created_by)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)"
    )
    .bind(&row.tenant_id).bind(&row.id).bind(&row.action).bind(&row.filter).bind(&row.reason)
    .bind(row.matched).bind(row.created_at).bind(&row.created_by)
    .execute(c).await.map(drop))?;
    Ok(())
}

static ADD: LazyLock<Bulk> = LazyLock::new(|| {
    Bulk::new(4, |rows| {
        format!("INSERT INTO incident_keys (tenant_id, incident_id, key_id, version) VALUES {rows}")
    })
});

/// Adds keys to an incident, and counts them there.
pub(crate) async fn add_keys(conn: &mut Conn, tenant: &str, incident: &str, keys: &[KeyRow]) -> Result<()> {
    for (text, keys) in ADD.cut(conn, keys) {
        on!(conn, c => {
            let query = keys.iter().fold(sqlx::query(text), |query, key| {
                query.bind(tenant).bind(incident).bind(&key.id).bind(key.version)
            });
            query.execute(c).await.map(drop)
        })?;
    }
    let count = i64::try_from(keys.len()).map_err(crate::error::Error::internal)?;
    on!(conn, c => sqlx::query(
        "UPDATE incidents SET matched = matched + $3 WHERE tenant_id = $1 AND id = $2"
    ).bind(tenant).bind(incident).bind(count).execute(c).await.map(drop))?;
    Ok(())
}

/// Notes that an incident was undone.
pub(crate) async fn set_undone(conn: &mut Conn, row: &IncidentRow) -> Result<()> {
    on!(conn, c => sqlx::query(
        "UPDATE incidents SET undone_at = $3, undone_by = $4, reactivated = $5 WHERE tenant_id = $1 AND id = $2"
    ).bind(&row.tenant_id).bind(&row.id).bind(row.undone_at).bind(&row.undone_by).bind(row.reactivated)
    .execute(c).await.map(drop))?;
    Ok(())
}
