//! Users.

use super::credits::CreditRow;
use super::page::{Listed, Page, Position};
use super::{Conn, on};
use crate::error::Result;
use crate::names::Username;

/// A row of `users` with the ids of what the user holds.
#[derive(Clone, Debug, sqlx::FromRow)]
pub(crate) struct UserRow {
    pub(crate) tenant_id: String,
    pub(crate) id: String,
    pub(crate) username: String,
    pub(crate) username_key: String,
    pub(crate) username_skeleton: String,
    pub(crate) email: Option<String>,
    pub(crate) display_name: Option<String>,
    pub(crate) origin: String,
    pub(crate) login_window_minutes: Option<i64>,
    /// How long a session lasts that is opened by the protocol of Seeq; as policy has it if none.
    pub(crate) session_minutes: Option<i64>,
    pub(crate) last_login_at: Option<i64>,
    pub(crate) suspended_at: Option<i64>,
    pub(crate) suspended_reason: Option<String>,
    pub(crate) deleted_at: Option<i64>,
    /// Nobody can tell any more who it was.
    pub(crate) erased_at: Option<i64>,
    pub(crate) created_at: i64,
    pub(crate) created_by: String,
    pub(crate) updated_at: i64,
    pub(crate) version: i64,
    /// Tokens of an earlier epoch are over.
    pub(crate) token_epoch: i64,
    /// Trusted secrets may ask for tokens of this user.
    pub(crate) trusted_tokens: bool,
    /// What the user is told things in; the usual one when it is none.
    pub(crate) language: Option<String>,
    /// `light`, `dark` or `system`, once it was chosen.
    pub(crate) theme: Option<String>,
    /// The zone that times are told in, by its IANA name, once it was chosen.
    pub(crate) zone: Option<String>,
    /// Whether single keys do something at the console, once it was chosen.
    pub(crate) single_keys: Option<bool>,
    #[sqlx(flatten)]
    pub(crate) credits: CreditRow,
    /// Ids of the roles held directly, separated by commas.
    pub(crate) role_ids: Option<String>,
    /// Ids of the groups, separated by commas.
    pub(crate) group_ids: Option<String>,
    /// Keys that are not revoked.
    pub(crate) key_count: i64,
}

impl UserRow {
    /// A user of this name who has nothing yet.
    pub(crate) fn new(
        (tenant, id): (&str, String),
        name: Username,
        origin: &str,
        (by, now): (&str, i64),
    ) -> Self {
        Self {
            tenant_id: tenant.into(),
            id,
            username: name.shown,
            username_key: name.key,
            username_skeleton: name.skeleton,
            email: None,
            display_name: None,
            origin: origin.into(),
            login_window_minutes: None,
            session_minutes: None,
            last_login_at: None,
            suspended_at: None,
            suspended_reason: None,
            deleted_at: None,
            erased_at: None,
            created_at: now,
            created_by: by.into(),
            updated_at: now,
            version: 1,
            token_epoch: 0,
            trusted_tokens: true,
            language: None,
            theme: None,
            zone: None,
            single_keys: None,
            credits: CreditRow::default(),
            role_ids: None,
            group_ids: None,
            key_count: 0,
        }
    }
}

/// Every read of users has these columns.
macro_rules! select_users {
    ($tail:literal) => {
        concat!(
            "SELECT u.*,
                (SELECT string_agg(h.role_id, ',') FROM role_holders h
                  WHERE h.tenant_id = u.tenant_id AND h.holder_id = u.id) AS role_ids,
                (SELECT string_agg(m.group_id, ',') FROM group_members m
                  WHERE m.tenant_id = u.tenant_id AND m.member_id = u.id) AS group_ids,
                (SELECT COUNT(*) FROM keys k
                  WHERE k.tenant_id = u.tenant_id AND k.owner_id = u.id AND k.switch <> 'revoked') AS key_count
             FROM users u ",
            $tail
        )
    };
}

/// How the console looks to a user.
pub(crate) struct Look<'a> {
    /// `light`, `dark` or `system`.
    pub(crate) theme: &'a str,
    /// An IANA name.
    pub(crate) zone: &'a str,
    /// Whether keys do something by themselves.
    pub(crate) single_keys: bool,
}

/// What a list of users is narrowed by.
#[derive(Clone, Debug, Default)]
pub(crate) struct UserFilter {
    /// `active` or `suspended`.
    pub(crate) state: Option<String>,
    /// `LIKE` pattern over name, e-mail and display name.
    pub(crate) q: Option<String>,
    /// Exact canonical user name.
    pub(crate) username_key: Option<String>,
    /// Members of this group.
    pub(crate) group_id: Option<String>,
    /// Direct holders of this role.
    pub(crate) role_id: Option<String>,
}

/// The language that a user is told things in.
pub(crate) async fn set_language(
    conn: &mut Conn,
    tenant: &str,
    id: &str,
    language: Option<&str>,
) -> Result<()> {
    on!(conn, c => sqlx::query("UPDATE users SET language = $3 WHERE tenant_id = $1 AND id = $2")
        .bind(tenant).bind(id).bind(language).execute(c).await.map(drop))?;
    Ok(())
}

/// Keeps how the console looks to a user.
pub(crate) async fn set_look(conn: &mut Conn, tenant: &str, id: &str, look: &Look<'_>) -> Result<()> {
    on!(conn, c => sqlx::query(
        "UPDATE users SET theme = $3, zone = $4, single_keys = $5 WHERE tenant_id = $1 AND id = $2"
    ).bind(tenant).bind(id)
        .bind(look.theme).bind(look.zone).bind(look.single_keys).execute(c).await.map(drop))?;
    Ok(())
}

/// One living user.
pub(crate) async fn find(conn: &mut Conn, tenant: &str, id: &str) -> Result<Option<UserRow>> {
    Ok(on!(conn, c => sqlx::query_as(select_users!(
        "WHERE u.tenant_id = $1 AND u.id = $2 AND u.deleted_at IS NULL"
    )).bind(tenant).bind(id).fetch_optional(c).await)?)
}

/// One user, living or deleted, by id alone: for the cache, which knows the tenant from the key.
pub(crate) async fn load(conn: &mut Conn, tenant: &str, id: &str) -> Result<Option<UserRow>> {
    Ok(on!(conn, c => sqlx::query_as(select_users!("WHERE u.tenant_id = $1 AND u.id = $2"))
        .bind(tenant).bind(id).fetch_optional(c).await)?)
}

/// Whether there is a user of any tenant with this id, living or deleted, who was not erased.
pub(crate) async fn is_known(conn: &mut Conn, id: &str) -> Result<bool> {
    let row: Option<(i64,)> = on!(conn, c => sqlx::query_as(
        "SELECT created_at FROM users WHERE id = $1 AND erased_at IS NULL"
    ).bind(id).fetch_optional(c).await)?;
    Ok(row.is_some())
}

/// The owners, living or deleted, of all keys from one id to another.
pub(crate) async fn owners(conn: &mut Conn, tenant: &str, from: &str, to: &str) -> Result<Vec<UserRow>> {
    Ok(on!(conn, c => sqlx::query_as(select_users!(
        "WHERE u.tenant_id = $1 AND u.id IN
           (SELECT o.owner_id FROM keys o WHERE o.tenant_id = $1 AND o.id >= $2 AND o.id <= $3)"
    )).bind(tenant).bind(from).bind(to).fetch_all(c).await)?)
}

/// The living user of this canonical name.
pub(crate) async fn find_by_name(conn: &mut Conn, tenant: &str, key: &str) -> Result<Option<UserRow>> {
    Ok(on!(conn, c => sqlx::query_as(select_users!(
        "WHERE u.tenant_id = $1 AND u.username_key = $2 AND u.deleted_at IS NULL"
    )).bind(tenant).bind(key).fetch_optional(c).await)?)
}

/// The same; another user who has a password where nobody has the name, so that either is as much to
/// read (VER-1). The caller tells by the name.
pub(crate) async fn find_by_name_or_any(conn: &mut Conn, tenant: &str, key: &str) -> Result<Option<UserRow>> {
    Ok(on!(conn, c => sqlx::query_as(select_users!(
        "WHERE u.tenant_id = $1 AND u.deleted_at IS NULL AND u.id = COALESCE(
            (SELECT n.id FROM users n WHERE n.tenant_id = $1 AND n.username_key = $2 AND n.deleted_at IS NULL),
            (SELECT p.user_id FROM passwords p WHERE p.tenant_id = $1 ORDER BY p.user_id LIMIT 1))"
    )).bind(tenant).bind(key).fetch_optional(c).await)?)
}

/// Notes an interactive login; only a later one counts (SQ4).
pub(crate) async fn note_login(conn: &mut Conn, tenant: &str, id: &str, at: i64) -> Result<()> {
    on!(conn, c => sqlx::query(
        "UPDATE users SET last_login_at = $3
         WHERE tenant_id = $1 AND id = $2 AND (last_login_at IS NULL OR last_login_at < $3)"
    ).bind(tenant).bind(id).bind(at).execute(c).await.map(drop))?;
    Ok(())
}

/// Living users in the order of their making.
pub(crate) async fn list(
    conn: &mut Conn,
    tenant: &str,
    filter: &UserFilter,
    page: &Page,
) -> Result<Listed<UserRow>> {
    let after = page.after.as_ref().map(|p| p.id.as_str());
    let rows: Vec<UserRow> = on!(conn, c => sqlx::query_as(select_users!(
        "WHERE u.tenant_id = $1 AND u.deleted_at IS NULL AND ($2 IS NULL OR u.id > $2)
           AND ($3 IS NULL OR ($3 = 'suspended') = (u.suspended_at IS NOT NULL))
           AND ($4 IS NULL OR u.username_key LIKE $4 OR lower(u.email) LIKE $4 OR lower(u.display_name) LIKE $4)
           AND ($5 IS NULL OR u.username_key = $5)
           AND ($6 IS NULL OR EXISTS (SELECT 1 FROM group_members m
                WHERE m.tenant_id = u.tenant_id AND m.member_id = u.id AND m.group_id = $6))
           AND ($7 IS NULL OR EXISTS (SELECT 1 FROM role_holders h
                WHERE h.tenant_id = u.tenant_id AND h.holder_id = u.id AND h.role_id = $7))
         ORDER BY u.id LIMIT $8"
    ))
    .bind(tenant).bind(after).bind(&filter.state).bind(&filter.q).bind(&filter.username_key)
    .bind(&filter.group_id).bind(&filter.role_id).bind(page.limit + 1)
    .fetch_all(c).await)?;
    Ok(page.finish(rows, |row| Position { number: None, text: None, id: row.id.clone() }))
}

/// The id of a living user with this canonical name.
pub(crate) async fn find_id(conn: &mut Conn, tenant: &str, username_key: &str) -> Result<Option<String>> {
    let row: Option<(String,)> = on!(conn, c => sqlx::query_as(
        "SELECT id FROM users WHERE tenant_id = $1 AND username_key = $2 AND deleted_at IS NULL"
    ).bind(tenant).bind(username_key).fetch_optional(c).await)?;
    Ok(row.map(|row| row.0))
}

/// Adds a user.
pub(crate) async fn insert(conn: &mut Conn, row: &UserRow) -> Result<()> {
    on!(conn, c => sqlx::query(
        "INSERT INTO users (tenant_id, id, username, username_key, username_skeleton, email, display_name,
            origin, login_window_minutes, last_login_at, created_at, created_by, updated_at, version,
            trusted_tokens, session_minutes)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)"
    )
    .bind(&row.tenant_id).bind(&row.id).bind(&row.username).bind(&row.username_key)
    .bind(&row.username_skeleton).bind(&row.email).bind(&row.display_name).bind(&row.origin)
    .bind(row.login_window_minutes).bind(row.last_login_at).bind(row.created_at).bind(&row.created_by)
    .bind(row.updated_at).bind(row.version).bind(row.trusted_tokens).bind(row.session_minutes)
    .execute(c).await.map(drop))?;
    Ok(())
}

/// Writes all that can change of the user itself.
pub(crate) async fn update(conn: &mut Conn, row: &UserRow) -> Result<()> {
    on!(conn, c => sqlx::query(
        "UPDATE users SET username = $3, username_key = $4, username_skeleton = $5, email = $6,
            display_name = $7, login_window_minutes = $8, last_login_at = $9, suspended_at = $10,
            suspended_reason = $11, deleted_at = $12, updated_at = $13, version = $14, token_epoch = $15,
            trusted_tokens = $16, session_minutes = $17
         WHERE tenant_id = $1 AND id = $2"
    )
    .bind(&row.tenant_id).bind(&row.id).bind(&row.username).bind(&row.username_key)
    .bind(&row.username_skeleton).bind(&row.email).bind(&row.display_name).bind(row.login_window_minutes)
    .bind(row.last_login_at).bind(row.suspended_at).bind(&row.suspended_reason).bind(row.deleted_at)
    .bind(row.updated_at).bind(row.version).bind(row.token_epoch).bind(row.trusted_tokens)
    .bind(row.session_minutes)
    .execute(c).await.map(drop))?;
    Ok(())
}

/// Living, unsuspended users who hold one of `roles` themselves or through a group.
pub(crate) async fn active_holders(conn: &mut Conn, tenant: &str, roles: &[String]) -> Result<Vec<String>> {
    let list = format!(",{},", roles.join(","));
    let rows: Vec<(String,)> = on!(conn, c => sqlx::query_as(
        "SELECT u.id FROM users u
         WHERE u.tenant_id = $1 AND u.deleted_at IS NULL AND u.suspended_at IS NULL AND EXISTS (
            SELECT 1 FROM role_holders h
            WHERE h.tenant_id = u.tenant_id AND $2 LIKE '%,' || h.role_id || ',%'
              AND (h.holder_id = u.id OR EXISTS (SELECT 1 FROM group_members m
                   WHERE m.tenant_id = u.tenant_id AND m.member_id = u.id AND m.group_id = h.holder_id)))
         LIMIT 10"
    ).bind(tenant).bind(list).fetch_all(c).await)?;
    Ok(rows.into_iter().map(|row| row.0).collect())
}
