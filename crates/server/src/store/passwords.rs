//! Passwords, and the links that set them.

use super::{Conn, on};
use crate::error::Result;

/// The sealed hash of a user's password, if there is one.
pub(crate) async fn find(conn: &mut Conn, tenant: &str, user: &str) -> Result<Option<String>> {
    let row: Option<(String,)> = on!(conn, c => sqlx::query_as(
        "SELECT sealed FROM passwords WHERE tenant_id = $1 AND user_id = $2"
    ).bind(tenant).bind(user).fetch_optional(c).await)?;
    Ok(row.map(|row| row.0))
}

/// Sets the password of a user.
pub(crate) async fn put(
    conn: &mut Conn,
    tenant: &str,
    user: &str,
    sealed: &str,
    changed_at: i64,
) -> Result<()> {
    on!(conn, c => sqlx::query(
        "INSERT INTO passwords (tenant_id, user_id, sealed, changed_at) VALUES ($1, $2, $3, $4)
         ON CONFLICT (tenant_id, user_id) DO UPDATE
         SET sealed = excluded.sealed, changed_at = excluded.changed_at"
    ).bind(tenant).bind(user).bind(sealed).bind(changed_at).execute(c).await.map(drop))?;
    Ok(())
}

/// Forgets password and links of a user.
pub(crate) async fn forget(conn: &mut Conn, tenant: &str, user: &str) -> Result<()> {
    on!(conn, c => sqlx::query("DELETE FROM passwords WHERE tenant_id = $1 AND user_id = $2")
        .bind(tenant).bind(user).execute(c).await.map(drop))?;
    forget_links(conn, tenant, user).await
}

/// Makes every link of a user worthless.
pub(crate) async fn forget_links(conn: &mut Conn, tenant: &str, user: &str) -> Result<()> {
    on!(conn, c => sqlx::query("DELETE FROM password_links WHERE tenant_id = $1 AND user_id = $2")
        .bind(tenant).bind(user).execute(c).await.map(drop))?;
    Ok(())
}

/// A link that sets a password.
#[derive(Clone, Debug, sqlx::FromRow)]
pub(crate) struct LinkRow {
    pub(crate) tenant_id: String,
    /// The 16 characters inside the token.
    pub(crate) id: String,
    pub(crate) user_id: String,
    /// `invitation` or `reset`.
    pub(crate) kind: String,
    pub(crate) pepper_id: i64,
    pub(crate) hash: String,
    pub(crate) created_at: i64,
    pub(crate) created_by: String,
    /// What the user could do then, as a JSON array.
    pub(crate) rights: String,
    pub(crate) expires_at: i64,
}

/// Adds a link.
pub(crate) async fn insert_link(conn: &mut Conn, row: &LinkRow) -> Result<()> {
    on!(conn, c => sqlx::query(
        "INSERT INTO password_links (tenant_id, id, user_id, kind, pepper_id, hash, created_at, created_by,
            expires_at, rights)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)"
    )
    .bind(&row.tenant_id).bind(&row.id).bind(&row.user_id).bind(&row.kind).bind(row.pepper_id)
    .bind(&row.hash).bind(row.created_at).bind(&row.created_by).bind(row.expires_at).bind(&row.rights)
    .execute(c).await.map(drop))?;
    Ok(())
}

/// A link by the id inside its token, which names the tenant.
pub(crate) async fn find_link(conn: &mut Conn, id: &str) -> Result<Option<LinkRow>> {
    Ok(on!(conn, c => sqlx::query_as("SELECT * FROM password_links WHERE id = $1")
        .bind(id).fetch_optional(c).await)?)
}

/// Uses a link up; false when somebody did already or its time is over (VER-7).
pub(crate) async fn use_link(conn: &mut Conn, tenant: &str, id: &str, now: i64) -> Result<bool> {
    let count = on!(conn, c => sqlx::query(
        "DELETE FROM password_links WHERE tenant_id = $1 AND id = $2 AND expires_at > $3"
    ).bind(tenant).bind(id).bind(now).execute(c).await.map(|done| done.rows_affected()))?;
    Ok(count == 1)
}

/// Links that may still be used and whose token is hashed under this pepper.
pub(crate) async fn count_under_pepper(conn: &mut Conn, pepper: i64, now: i64) -> Result<i64> {
    let (count,): (i64,) = on!(conn, c => sqlx::query_as(
        "SELECT COUNT(*) FROM password_links WHERE pepper_id = $1 AND expires_at > $2"
    ).bind(pepper).bind(now).fetch_one(c).await)?;
    Ok(count)
}

/// Forgets links that ended before this time.
pub(crate) async fn prune_links(conn: &mut Conn, before: i64) -> Result<()> {
    on!(conn, c => sqlx::query("DELETE FROM password_links WHERE expires_at < $1")
        .bind(before).execute(c).await.map(drop))?;
    Ok(())
}
