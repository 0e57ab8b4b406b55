//! Roles and who holds them.

use super::page::{Listed, Page, Position};
use super::{Conn, on};
use crate::error::Result;

/// A row of `roles`.
#[derive(Clone, Debug, sqlx::FromRow)]
pub(crate) struct RoleRow {
    pub(crate) tenant_id: String,
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) name_key: String,
    pub(crate) description: String,
    pub(crate) built_in: bool,
    pub(crate) rights: String,
    pub(crate) created_at: i64,
    pub(crate) updated_at: i64,
    pub(crate) version: i64,
}

/// One role.
pub(crate) async fn find(conn: &mut Conn, tenant: &str, id: &str) -> Result<Option<RoleRow>> {
    Ok(on!(conn, c => sqlx::query_as("SELECT * FROM roles WHERE tenant_id = $1 AND id = $2")
        .bind(tenant).bind(id).fetch_optional(c).await)?)
}

/// A built-in role by its name.
pub(crate) async fn find_built_in(conn: &mut Conn, tenant: &str, name: &str) -> Result<Option<RoleRow>> {
    Ok(on!(conn, c => sqlx::query_as(
        "SELECT * FROM roles WHERE tenant_id = $1 AND name_key = $2 AND built_in"
    ).bind(tenant).bind(name).fetch_optional(c).await)?)
}

/// All roles of a tenant, for the cache.
pub(crate) async fn all(conn: &mut Conn, tenant: &str) -> Result<Vec<RoleRow>> {
    Ok(on!(conn, c => sqlx::query_as("SELECT * FROM roles WHERE tenant_id = $1 ORDER BY id")
        .bind(tenant).fetch_all(c).await)?)
}

/// Roles in the order of their making.
pub(crate) async fn list(
    conn: &mut Conn,
    tenant: &str,
    q: Option<&str>,
    page: &Page,
) -> Result<Listed<RoleRow>> {
    let after = page.after.as_ref().map(|p| p.id.as_str());
    let rows: Vec<RoleRow> = on!(conn, c => sqlx::query_as(
        "SELECT * FROM roles
         WHERE tenant_id = $1 AND ($2 IS NULL OR id > $2) AND ($3 IS NULL OR name_key LIKE $3)
         ORDER BY id LIMIT $4"
    ).bind(tenant).bind(after).bind(q).bind(page.limit + 1).fetch_all(c).await)?;
    Ok(page.finish(rows, |row| Position { number: None, text: None, id: row.id.clone() }))
}

/// Adds a role.
pub(crate) async fn insert(conn: &mut Conn, row: &RoleRow) -> Result<()> {
    on!(conn, c => sqlx::query(
        "INSERT INTO roles (tenant_id, id, name, name_key, description, built_in, rights, created_at,
            updated_at, version) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)"
    )
    .bind(&row.tenant_id).bind(&row.id).bind(&row.name).bind(&row.name_key).bind(&row.description)
    .bind(row.built_in).bind(&row.rights).bind(row.created_at).bind(row.updated_at).bind(row.version)
    .execute(c).await.map(drop))?;
    Ok(())
}

/// Writes all that can change of a role.
pub(crate) async fn update(conn: &mut Conn, row: &RoleRow) -> Result<()> {
    on!(conn, c => sqlx::query(
        "UPDATE roles SET name = $3, name_key = $4, description = $5, rights = $6, updated_at = $7,
            version = $8 WHERE tenant_id = $1 AND id = $2"
    )
    .bind(&row.tenant_id).bind(&row.id).bind(&row.name).bind(&row.name_key).bind(&row.description)
    .bind(&row.rights).bind(row.updated_at).bind(row.version)
    .execute(c).await.map(drop))?;
    Ok(())
}

/// Removes a role and takes it from everyone who holds it.
pub(crate) async fn delete(conn: &mut Conn, tenant: &str, id: &str) -> Result<()> {
    for statement in [
        "DELETE FROM role_holders WHERE tenant_id = $1 AND role_id = $2",
        "DELETE FROM roles WHERE tenant_id = $1 AND id = $2",
    ] {
        on!(conn, c => sqlx::query(statement).bind(tenant).bind(id).execute(c).await.map(drop))?;
    }
    Ok(())
}

/// The roles that a user, group or key holds itself.
pub(crate) async fn held_by(conn: &mut Conn, tenant: &str, holder: &str) -> Result<Vec<String>> {
    let rows: Vec<(String,)> = on!(conn, c => sqlx::query_as(
        "SELECT role_id FROM role_holders WHERE tenant_id = $1 AND holder_id = $2 ORDER BY role_id"
    ).bind(tenant).bind(holder).fetch_all(c).await)?;
    Ok(rows.into_iter().map(|row| row.0).collect())
}

/// Users and keys that hold a role themselves or through a group: those whom a change of it touches.
pub(crate) async fn holders(conn: &mut Conn, tenant: &str, role: &str) -> Result<Vec<String>> {
    let rows: Vec<(String,)> = on!(conn, c => sqlx::query_as(
        "SELECT holder_id FROM role_holders WHERE tenant_id = $1 AND role_id = $2
         UNION
         SELECT m.member_id FROM role_holders h
         JOIN group_members m ON m.tenant_id = h.tenant_id AND m.group_id = h.holder_id
         WHERE h.tenant_id = $1 AND h.role_id = $2"
    ).bind(tenant).bind(role).fetch_all(c).await)?;
    Ok(rows.into_iter().map(|row| row.0).collect())
}

/// Gives exactly these roles to a holder.
pub(crate) async fn replace_held(
    conn: &mut Conn,
    tenant: &str,
    holder: &str,
    roles: &[String],
) -> Result<()> {
    on!(conn, c => sqlx::query("DELETE FROM role_holders WHERE tenant_id = $1 AND holder_id = $2")
        .bind(tenant).bind(holder).execute(c).await.map(drop))?;
    for role in roles {
        grant(conn, tenant, holder, role).await?;
    }
    Ok(())
}

/// Gives a role to a holder who lacks it.
pub(crate) async fn grant(conn: &mut Conn, tenant: &str, holder: &str, role: &str) -> Result<()> {
    on!(conn, c => sqlx::query(
        "INSERT INTO role_holders (tenant_id, holder_id, role_id) VALUES ($1, $2, $3)
         ON CONFLICT DO NOTHING"
    ).bind(tenant).bind(holder).bind(role).execute(c).await.map(drop))?;
    Ok(())
}
