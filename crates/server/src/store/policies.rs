//! Versions of policies, and drafts.

use super::page::{Listed, Page, Position};
use super::{Conn, on};
use crate::error::Result;
use crate::store::tenants::TenantRow;

/// A row of `policy_versions`.
#[derive(Clone, Debug, sqlx::FromRow)]
pub(crate) struct VersionRow {
    pub(crate) version: i64,
    pub(crate) policy: String,
    pub(crate) applied_at: i64,
    pub(crate) applied_by: String,
    pub(crate) note: Option<String>,
}

/// A row of `policy_drafts`.
#[derive(Clone, Debug, sqlx::FromRow)]
pub(crate) struct DraftRow {
    pub(crate) tenant_id: String,
    pub(crate) id: String,
    pub(crate) policy: String,
    pub(crate) based_on: i64,
    pub(crate) note: Option<String>,
    pub(crate) state: String,
    pub(crate) starts_at: Option<i64>,
    pub(crate) scheduled_by: Option<String>,
    pub(crate) applied_version: Option<i64>,
    pub(crate) failure: Option<String>,
    pub(crate) failure_detail: Option<String>,
    pub(crate) created_at: i64,
    pub(crate) created_by: String,
    pub(crate) updated_at: i64,
    pub(crate) version: i64,
}

/// Keeps the policy that stands in a tenant's row.
pub(crate) async fn keep(conn: &mut Conn, row: &TenantRow, by: &str, note: Option<&str>) -> Result<()> {
    on!(conn, c => sqlx::query(
        "INSERT INTO policy_versions (tenant_id, version, policy, applied_at, applied_by, note)
         VALUES ($1, $2, $3, $4, $5, $6)"
    ).bind(&row.id).bind(row.policy_version).bind(&row.policy).bind(row.updated_at).bind(by).bind(note)
    .execute(c).await.map(drop))?;
    Ok(())
}

/// One version.
pub(crate) async fn find_version(conn: &mut Conn, tenant: &str, version: i64) -> Result<Option<VersionRow>> {
    Ok(on!(conn, c => sqlx::query_as("SELECT * FROM policy_versions WHERE tenant_id = $1 AND version = $2")
        .bind(tenant).bind(version).fetch_optional(c).await)?)
}

/// Versions, the newest first.
pub(crate) async fn list_versions(conn: &mut Conn, tenant: &str, page: &Page) -> Result<Listed<VersionRow>> {
    let after = page.after.as_ref().and_then(|p| p.number);
    let rows: Vec<VersionRow> = on!(conn, c => sqlx::query_as(
        "SELECT * FROM policy_versions WHERE tenant_id = $1 AND ($2 IS NULL OR version < $2)
         ORDER BY version DESC LIMIT $3"
    ).bind(tenant).bind(after).bind(page.limit + 1).fetch_all(c).await)?;
    Ok(page.finish(rows, |row| Position { number: Some(row.version), text: None, id: String::new() }))
}

/// One draft.
pub(crate) async fn find_draft(conn: &mut Conn, tenant: &str, id: &str) -> Result<Option<DraftRow>> {
    Ok(on!(conn, c => sqlx::query_as("SELECT * FROM policy_drafts WHERE tenant_id = $1 AND id = $2")
        .bind(tenant).bind(id).fetch_optional(c).await)?)
}

/// Drafts, the newest first.
pub(crate) async fn list_drafts(
    conn: &mut Conn,
    tenant: &str,
    state: Option<&str>,
    page: &Page,
) -> Result<Listed<DraftRow>> {
    let after = page.after.as_ref().map(|p| p.id.as_str());
    let rows: Vec<DraftRow> = on!(conn, c => sqlx::query_as(
        "SELECT * FROM policy_drafts WHERE tenant_id = $1 AND ($2 IS NULL OR id < $2)
           AND ($3 IS NULL OR state = $3) ORDER BY id DESC LIMIT $4"
    ).bind(tenant).bind(after).bind(state).bind(page.limit + 1).fetch_all(c).await)?;
    Ok(page.finish(rows, |row| Position { number: None, text: None, id: row.id.clone() }))
}

/// How many drafts of a tenant wait to be applied.
pub(crate) async fn count_open_drafts(conn: &mut Conn, tenant: &str) -> Result<i64> {
    Ok(on!(conn, c => sqlx::query_scalar(
        "SELECT COUNT(*) FROM policy_drafts WHERE tenant_id = $1 AND state IN ('draft', 'scheduled')"
    ).bind(tenant).fetch_one(c).await)?)
}

/// Tenant and id of scheduled drafts of all tenants that are due, the longest first.
pub(crate) async fn due(conn: &mut Conn, now: i64) -> Result<Vec<(String, String)>> {
    Ok(on!(conn, c => sqlx::query_as(
        "SELECT tenant_id, id FROM policy_drafts WHERE state = 'scheduled' AND starts_at <= $1
         ORDER BY starts_at LIMIT 100"
    ).bind(now).fetch_all(c).await)?)
}

/// Adds a draft.
pub(crate) async fn insert_draft(conn: &mut Conn, row: &DraftRow) -> Result<()> {
    on!(conn, c => sqlx::query(
        "INSERT INTO policy_drafts (tenant_id, id, policy, based_on, note, state, created_at, created_by,
            updated_at, version) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)"
    )
    .bind(&row.tenant_id).bind(&row.id).bind(&row.policy).bind(row.based_on).bind(&row.note)
    .bind(&row.state).bind(row.created_at).bind(&row.created_by).bind(row.updated_at).bind(row.version)
    .execute(c).await.map(drop))?;
    Ok(())
}

/// Writes all that can change of a draft.
pub(crate) async fn update_draft(conn: &mut Conn, row: &DraftRow) -> Result<()> {
    on!(conn, c => sqlx::query(
        "UPDATE policy_drafts SET policy = $3, based_on = $4, state = $5, starts_at = $6, scheduled_by = $7,
            applied_version = $8, failure = $9, failure_detail = $10, updated_at = $11, version = $12
         WHERE tenant_id = $1 AND id = $2"
    )
    .bind(&row.tenant_id).bind(&row.id).bind(&row.policy).bind(row.based_on).bind(&row.state)
    .bind(row.starts_at).bind(&row.scheduled_by).bind(row.applied_version).bind(&row.failure)
    .bind(&row.failure_detail).bind(row.updated_at).bind(row.version)
    .execute(c).await.map(drop))?;
    Ok(())
}

/// Forgets drafts of all tenants that were applied or failed before; the versions that they became stay.
pub(crate) async fn prune_drafts(conn: &mut Conn, before: i64) -> Result<()> {
    on!(conn, c => sqlx::query(
        "DELETE FROM policy_drafts WHERE state IN ('applied', 'failed') AND updated_at < $1"
    ).bind(before).execute(c).await.map(drop))?;
    Ok(())
}

/// Removes a draft.
pub(crate) async fn delete_draft(conn: &mut Conn, tenant: &str, id: &str) -> Result<()> {
    on!(conn, c => sqlx::query("DELETE FROM policy_drafts WHERE tenant_id = $1 AND id = $2")
        .bind(tenant).bind(id).execute(c).await.map(drop))?;
    Ok(())
}
