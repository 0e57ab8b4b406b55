//! Tenants and their policies.

use super::page::{Page, Position};
use super::{Conn, on};
use crate::error::{Error, Result};
use crate::store::page::Listed;

/// A row of `tenants`.
#[derive(Clone, Debug, sqlx::FromRow)]
pub(crate) struct TenantRow {
    pub(crate) id: String,
    pub(crate) number: i64,
    pub(crate) slug: String,
    pub(crate) name: String,
    pub(crate) suspended_at: Option<i64>,
    pub(crate) suspended_reason: Option<String>,
    pub(crate) features: String,
    pub(crate) policy: String,
    pub(crate) policy_version: i64,
    pub(crate) created_at: i64,
    pub(crate) updated_at: i64,
    pub(crate) version: i64,
}

/// The tenant by id.
pub(crate) async fn find(conn: &mut Conn, id: &str) -> Result<Option<TenantRow>> {
    Ok(on!(conn, c => sqlx::query_as("SELECT * FROM tenants WHERE id = $1")
        .bind(id).fetch_optional(c).await)?)
}

/// The tenant by slug.
pub(crate) async fn find_by_slug(conn: &mut Conn, slug: &str) -> Result<Option<TenantRow>> {
    Ok(on!(conn, c => sqlx::query_as("SELECT * FROM tenants WHERE slug = $1")
        .bind(slug).fetch_optional(c).await)?)
}

/// The tenant of this number.
pub(crate) async fn find_by_number(conn: &mut Conn, number: i64) -> Result<Option<TenantRow>> {
    Ok(on!(conn, c => sqlx::query_as("SELECT * FROM tenants WHERE number = $1")
        .bind(number).fetch_optional(c).await)?)
}

/// Tenants with this name for people, which need not be unique: two at most, to tell.
pub(crate) async fn named(conn: &mut Conn, name: &str) -> Result<Vec<TenantRow>> {
    Ok(on!(conn, c => sqlx::query_as("SELECT * FROM tenants WHERE name = $1 ORDER BY id LIMIT 2")
        .bind(name).fetch_all(c).await)?)
}

/// The primary tenant, number 0; `None` before the instance is set up.
pub(crate) async fn find_primary(conn: &mut Conn) -> Result<Option<TenantRow>> {
    Ok(on!(conn, c => sqlx::query_as("SELECT * FROM tenants WHERE number = 0").fetch_optional(c).await)?)
}

/// Tenants in the order of their making.
pub(crate) async fn list(conn: &mut Conn, q: Option<&str>, page: &Page) -> Result<Listed<TenantRow>> {
    let after = page.after.as_ref().map(|p| p.id.as_str());
    let rows: Vec<TenantRow> = on!(conn, c => sqlx::query_as(
        "SELECT * FROM tenants
         WHERE ($1 IS NULL OR id > $1) AND ($2 IS NULL OR slug LIKE $2 OR lower(name) LIKE $2)
         ORDER BY id LIMIT $3"
    ).bind(after).bind(q).bind(page.limit + 1).fetch_all(c).await)?;
    Ok(page.finish(rows, |row| Position { number: None, text: None, id: row.id.clone() }))
}

/// The next free tenant number. Numbers of deleted tenants are not given again: the counter lives
/// in `instance`.
pub(crate) async fn next_number(conn: &mut Conn) -> Result<i64> {
    let (value,): (String,) = on!(conn, c => sqlx::query_as(
        "INSERT INTO instance (name, value) VALUES ('tenant_number', '0')
         ON CONFLICT (name) DO UPDATE SET value = CAST(CAST(instance.value AS BIGINT) + 1 AS TEXT)
         RETURNING value"
    ).fetch_one(c).await)?;
    value.parse().map_err(Error::internal)
}

/// Adds a tenant.
pub(crate) async fn insert(conn: &mut Conn, row: &TenantRow) -> Result<()> {
    on!(conn, c => sqlx::query(
        "INSERT INTO tenants (id, number, slug, name, suspended_at, suspended_reason, features, policy,
            policy_version, created_at, updated_at, version)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)"
    )
    .bind(&row.id).bind(row.number).bind(&row.slug).bind(&row.name).bind(row.suspended_at)
    .bind(&row.suspended_reason).bind(&row.features).bind(&row.policy).bind(row.policy_version)
    .bind(row.created_at).bind(row.updated_at).bind(row.version)
    .execute(c).await.map(drop))?;
    Ok(())
}

/// Writes all that can change of a tenant.
pub(crate) async fn update(conn: &mut Conn, row: &TenantRow) -> Result<()> {
    on!(conn, c => sqlx::query(
        "UPDATE tenants SET slug = $2, name = $3, suspended_at = $4, suspended_reason = $5, features = $6,
            policy = $7, policy_version = $8, updated_at = $9, version = $10 WHERE id = $1"
    )
    .bind(&row.id).bind(&row.slug).bind(&row.name).bind(row.suspended_at).bind(&row.suspended_reason)
    .bind(&row.features).bind(&row.policy).bind(row.policy_version).bind(row.updated_at).bind(row.version)
    .execute(c).await.map(drop))?;
    Ok(())
}

/// Removes a tenant and everything keyed by it (AZ-14).
pub(crate) async fn delete(conn: &mut Conn, id: &str) -> Result<()> {
    const STATEMENTS: &[&str] = &[
        // Whoever turns events into news holds this row until it is done: then nothing comes after.
        "DELETE FROM event_cursors WHERE tenant_id = $1",
        "DELETE FROM incident_keys WHERE tenant_id = $1",
        "DELETE FROM incidents WHERE tenant_id = $1",
        "DELETE FROM leak_reports WHERE tenant_id = $1",
        "DELETE FROM sessions WHERE tenant_id = $1",
        "DELETE FROM password_links WHERE tenant_id = $1",
        "DELETE FROM passwords WHERE tenant_id = $1",
        "DELETE FROM login_attempts WHERE tenant_id = $1",
        "DELETE FROM login_challenges WHERE tenant_id = $1",
        "DELETE FROM used_passkey_challenges WHERE tenant_id = $1",
        "DELETE FROM recovery_codes WHERE tenant_id = $1",
        "DELETE FROM factors WHERE tenant_id = $1",
        "DELETE FROM webhook_deliveries WHERE tenant_id = $1",
        "DELETE FROM webhook_secrets WHERE tenant_id = $1",
        "DELETE FROM webhooks WHERE tenant_id = $1",
        "DELETE FROM jobs WHERE tenant_id = $1",
        "DELETE FROM notifications WHERE tenant_id = $1",
        "DELETE FROM notification_wishes WHERE tenant_id = $1",
        "DELETE FROM mail_pauses WHERE tenant_id = $1",
        "DELETE FROM expiry_notices WHERE tenant_id = $1",
        "DELETE FROM handovers WHERE tenant_id = $1",
        "DELETE FROM key_hours WHERE tenant_id = $1",
        "DELETE FROM key_seen WHERE tenant_id = $1",
        "DELETE FROM key_networks WHERE tenant_id = $1",
        "DELETE FROM key_secrets WHERE tenant_id = $1",
        "DELETE FROM imported_secrets WHERE tenant_id = $1",
        "DELETE FROM import_ways WHERE tenant_id = $1",
        "DELETE FROM keys WHERE tenant_id = $1",
        "DELETE FROM trusted_firsts WHERE tenant_id = $1",
        "DELETE FROM trusted_generations WHERE tenant_id = $1",
        "DELETE FROM trusted_secrets WHERE tenant_id = $1",
        "DELETE FROM revoked_tokens WHERE tenant_id = $1",
        "DELETE FROM token_budgets WHERE tenant_id = $1",
        "DELETE FROM role_holders WHERE tenant_id = $1",
        "DELETE FROM group_members WHERE tenant_id = $1",
        "DELETE FROM user_groups WHERE tenant_id = $1",
        "DELETE FROM roles WHERE tenant_id = $1",
        "DELETE FROM users WHERE tenant_id = $1",
        "DELETE FROM policy_drafts WHERE tenant_id = $1",
        "DELETE FROM policy_versions WHERE tenant_id = $1",
        "DELETE FROM audit_events WHERE tenant_id = $1",
        "DELETE FROM audit_checkpoints WHERE tenant_id = $1",
        "DELETE FROM audit_personal WHERE tenant_id = $1",
        "DELETE FROM audit_segments WHERE tenant_id = $1",
        "DELETE FROM audit_sink_cursors WHERE tenant_id = $1",
        // Answers kept for the operator name it too.
        "DELETE FROM idempotency
         WHERE tenant_id = $1 OR body LIKE '%' || $1 || '%' OR headers LIKE '%' || $1 || '%'",
        "DELETE FROM changes WHERE tenant_id = $1",
        "DELETE FROM data_keys WHERE scope = $1",
        "DELETE FROM tenants WHERE id = $1",
    ];
    for statement in STATEMENTS {
        on!(conn, c => sqlx::query(*statement).bind(id).execute(c).await.map(drop))?;
    }
    Ok(())
}
