//! Groups and their members.

use super::page::{Listed, Page, Position};
use super::{Conn, on};
use crate::error::Result;

/// A row of `user_groups` with what belongs to it.
#[derive(Clone, Debug, sqlx::FromRow)]
pub(crate) struct GroupRow {
    pub(crate) tenant_id: String,
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) name_key: String,
    pub(crate) description: String,
    pub(crate) built_in: bool,
    pub(crate) created_at: i64,
    pub(crate) updated_at: i64,
    pub(crate) version: i64,
    /// Ids of the roles it carries, separated by commas.
    pub(crate) role_ids: Option<String>,
    pub(crate) member_count: i64,
}

/// Every read of groups has these columns.
macro_rules! select_groups {
    ($tail:literal) => {
        concat!(
            "SELECT g.*,
                (SELECT string_agg(h.role_id, ',') FROM role_holders h
                  WHERE h.tenant_id = g.tenant_id AND h.holder_id = g.id) AS role_ids,
                (SELECT COUNT(*) FROM group_members m
                  WHERE m.tenant_id = g.tenant_id AND m.group_id = g.id) AS member_count
             FROM user_groups g ",
            $tail
        )
    };
}

/// One group.
pub(crate) async fn find(conn: &mut Conn, tenant: &str, id: &str) -> Result<Option<GroupRow>> {
    Ok(on!(conn, c => sqlx::query_as(select_groups!("WHERE g.tenant_id = $1 AND g.id = $2"))
        .bind(tenant).bind(id).fetch_optional(c).await)?)
}

/// The group of this canonical name.
pub(crate) async fn find_by_name(conn: &mut Conn, tenant: &str, name_key: &str) -> Result<Option<GroupRow>> {
    Ok(on!(conn, c => sqlx::query_as(select_groups!("WHERE g.tenant_id = $1 AND g.name_key = $2"))
        .bind(tenant).bind(name_key).fetch_optional(c).await)?)
}

/// All groups of a tenant, for the cache.
pub(crate) async fn all(conn: &mut Conn, tenant: &str) -> Result<Vec<GroupRow>> {
    Ok(on!(conn, c => sqlx::query_as(select_groups!("WHERE g.tenant_id = $1 ORDER BY g.id"))
        .bind(tenant).fetch_all(c).await)?)
}

/// How many groups a tenant has.
pub(crate) async fn count(conn: &mut Conn, tenant: &str) -> Result<i64> {
    let (count,): (i64,) = on!(conn, c => sqlx::query_as(
        "SELECT CAST(COUNT(*) AS BIGINT) FROM user_groups WHERE tenant_id = $1"
    ).bind(tenant).fetch_one(c).await)?;
    Ok(count)
}

/// Groups in the order of their making.
pub(crate) async fn list(
    conn: &mut Conn,
    tenant: &str,
    q: Option<&str>,
    page: &Page,
) -> Result<Listed<GroupRow>> {
    let after = page.after.as_ref().map(|p| p.id.as_str());
    let rows: Vec<GroupRow> = on!(conn, c => sqlx::query_as(select_groups!(
        "WHERE g.tenant_id = $1 AND ($2 IS NULL OR g.id > $2) AND ($3 IS NULL OR g.name_key LIKE $3)
         ORDER BY g.id LIMIT $4"
    )).bind(tenant).bind(after).bind(q).bind(page.limit + 1).fetch_all(c).await)?;
    Ok(page.finish(rows, |row| Position { number: None, text: None, id: row.id.clone() }))
}

/// Adds a group without members and roles.
pub(crate) async fn insert(conn: &mut Conn, row: &GroupRow) -> Result<()> {
    on!(conn, c => sqlx::query(
        "INSERT INTO user_groups (tenant_id, id, name, name_key, description, built_in, created_at,
            updated_at, version) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)"
    )
    .bind(&row.tenant_id).bind(&row.id).bind(&row.name).bind(&row.name_key).bind(&row.description)
    .bind(row.built_in).bind(row.created_at).bind(row.updated_at).bind(row.version)
    .execute(c).await.map(drop))?;
    Ok(())
}

/// Writes all that can change of the group itself.
pub(crate) async fn update(conn: &mut Conn, row: &GroupRow) -> Result<()> {
    on!(conn, c => sqlx::query(
        "UPDATE user_groups SET name = $3, name_key = $4, description = $5, updated_at = $6, version = $7
         WHERE tenant_id = $1 AND id = $2"
    )
    .bind(&row.tenant_id).bind(&row.id).bind(&row.name).bind(&row.name_key).bind(&row.description)
    .bind(row.updated_at).bind(row.version)
    .execute(c).await.map(drop))?;
    Ok(())
}

/// Removes a group; its members lose what it gave them.
pub(crate) async fn delete(conn: &mut Conn, tenant: &str, id: &str) -> Result<()> {
    for statement in [
        "DELETE FROM group_members WHERE tenant_id = $1 AND group_id = $2",
        "DELETE FROM role_holders WHERE tenant_id = $1 AND holder_id = $2",
        "DELETE FROM user_groups WHERE tenant_id = $1 AND id = $2",
    ] {
        on!(conn, c => sqlx::query(statement).bind(tenant).bind(id).execute(c).await.map(drop))?;
    }
    Ok(())
}

/// Users and keys in the group.
pub(crate) async fn members(conn: &mut Conn, tenant: &str, id: &str) -> Result<Vec<String>> {
    let rows: Vec<(String,)> = on!(conn, c => sqlx::query_as(
        "SELECT member_id FROM group_members WHERE tenant_id = $1 AND group_id = $2"
    ).bind(tenant).bind(id).fetch_all(c).await)?;
    Ok(rows.into_iter().map(|row| row.0).collect())
}

/// Keys in the group, in the order of their ids, `limit` at most.
pub(crate) async fn keys(conn: &mut Conn, tenant: &str, id: &str, limit: i64) -> Result<Vec<String>> {
    Ok(on!(conn, c => sqlx::query_scalar(
        "SELECT member_id FROM group_members WHERE tenant_id = $1 AND group_id = $2
           AND member_id LIKE 'key%' ORDER BY member_id LIMIT $3"
    ).bind(tenant).bind(id).bind(limit).fetch_all(c).await)?)
}

/// The groups that a user or key is in.
pub(crate) async fn joined_by(conn: &mut Conn, tenant: &str, member: &str) -> Result<Vec<String>> {
    let rows: Vec<(String,)> = on!(conn, c => sqlx::query_as(
        "SELECT group_id FROM group_members WHERE tenant_id = $1 AND member_id = $2 ORDER BY group_id"
    ).bind(tenant).bind(member).fetch_all(c).await)?;
    Ok(rows.into_iter().map(|row| row.0).collect())
}

/// Puts a member into exactly these groups.
pub(crate) async fn replace_joined(
    conn: &mut Conn,
    tenant: &str,
    member: &str,
    groups: &[String],
) -> Result<()> {
    on!(conn, c => sqlx::query("DELETE FROM group_members WHERE tenant_id = $1 AND member_id = $2")
        .bind(tenant).bind(member).execute(c).await.map(drop))?;
    for group in groups {
        join(conn, tenant, group, member).await?;
    }
    Ok(())
}

/// Adds a member who is not one yet.
pub(crate) async fn join(conn: &mut Conn, tenant: &str, group: &str, member: &str) -> Result<()> {
    on!(conn, c => sqlx::query(
        "INSERT INTO group_members (tenant_id, member_id, group_id) VALUES ($1, $2, $3)
         ON CONFLICT DO NOTHING"
    ).bind(tenant).bind(member).bind(group).execute(c).await.map(drop))?;
    Ok(())
}

/// Removes a member; says whether there was one.
pub(crate) async fn leave(conn: &mut Conn, tenant: &str, group: &str, member: &str) -> Result<bool> {
    let count = on!(conn, c => sqlx::query(
        "DELETE FROM group_members WHERE tenant_id = $1 AND group_id = $2 AND member_id = $3"
    ).bind(tenant).bind(group).bind(member).execute(c).await.map(|done| done.rows_affected()))?;
    Ok(count > 0)
}
