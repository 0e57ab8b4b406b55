//! Sessions.

use super::keys::KeyRow;
use super::page::{Listed, Page, Position};
use super::{Conn, on};
use crate::error::Result;

/// A row of `sessions`.
#[derive(Clone, Debug, sqlx::FromRow)]
pub(crate) struct SessionRow {
    pub(crate) tenant_id: String,
    pub(crate) id: String,
    /// The 16 characters inside the token.
    pub(crate) handle: String,
    pub(crate) pepper_id: i64,
    pub(crate) hash: String,
    /// The user, or the workspace key that logged in.
    pub(crate) holder_id: String,
    pub(crate) method: String,
    /// What was given beside the password.
    pub(crate) second_factor: Option<String>,
    /// Its token counts in the cookie of a browser, or as bearer; never both (SES-7).
    pub(crate) in_cookie: bool,
    pub(crate) access_key: Option<String>,
    pub(crate) generation: Option<i64>,
    pub(crate) started_at: i64,
    pub(crate) stepped_up_at: i64,
    pub(crate) last_seen_at: i64,
    /// A stated end, in the place of the idle limit.
    pub(crate) ends_at: Option<i64>,
    pub(crate) address: Option<String>,
    pub(crate) agent: Option<String>,
    pub(crate) ended_at: Option<i64>,
}

/// Adds a session.
pub(crate) async fn insert(conn: &mut Conn, row: &SessionRow) -> Result<()> {
    on!(conn, c => sqlx::query(
        "INSERT INTO sessions (tenant_id, id, handle, pepper_id, hash, holder_id, method, in_cookie,
            access_key, generation, started_at, stepped_up_at, last_seen_at, address, agent, second_factor, ends_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)"
    )
    .bind(&row.tenant_id).bind(&row.id).bind(&row.handle).bind(row.pepper_id).bind(&row.hash)
    .bind(&row.holder_id).bind(&row.method).bind(row.in_cookie).bind(&row.access_key)
    .bind(row.generation).bind(row.started_at).bind(row.stepped_up_at).bind(row.last_seen_at)
    .bind(&row.address).bind(&row.agent).bind(&row.second_factor).bind(row.ends_at)
    .execute(c).await.map(drop))?;
    Ok(())
}

/// The session of a token, which names the tenant: for the cache.
pub(crate) async fn load(conn: &mut Conn, handle: &str) -> Result<Option<SessionRow>> {
    Ok(on!(conn, c => sqlx::query_as("SELECT * FROM sessions WHERE handle = $1")
        .bind(handle).fetch_optional(c).await)?)
}

/// One session that was not ended.
pub(crate) async fn find(conn: &mut Conn, tenant: &str, id: &str) -> Result<Option<SessionRow>> {
    Ok(on!(conn, c => sqlx::query_as(
        "SELECT * FROM sessions WHERE tenant_id = $1 AND id = $2 AND ended_at IS NULL"
    ).bind(tenant).bind(id).fetch_optional(c).await)?)
}

/// Whose sessions: those of a user or workspace key, perhaps only those that began with one key.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Whose<'a> {
    pub(crate) holder: &'a str,
    /// The 16 characters of an access key.
    pub(crate) access_key: Option<&'a str>,
}

impl<'a> Whose<'a> {
    /// Those that began with a key.
    pub(crate) fn of(key: &'a KeyRow) -> Self {
        Self { holder: key.owner_id.as_deref().unwrap_or(&key.id), access_key: Some(&key.access_key) }
    }
}

/// Sessions that began and were seen after these times, in the order of their making. The first of
/// the two bounds is about those that began with a password, the other about those of keys.
pub(crate) async fn list(
    conn: &mut Conn,
    tenant: &str,
    whose: Whose<'_>,
    [by_password, by_key]: [Alive; 2],
    page: &Page,
) -> Result<Listed<SessionRow>> {
    let after = page.after.as_ref().map(|p| p.id.as_str());
    let rows: Vec<SessionRow> = on!(conn, c => sqlx::query_as(
        "SELECT * FROM sessions
         WHERE tenant_id = $1 AND holder_id = $2 AND ended_at IS NULL
           AND started_at > (CASE WHEN access_key IS NULL THEN $3 ELSE $4 END)
           AND (ends_at IS NOT NULL OR last_seen_at > (CASE WHEN access_key IS NULL THEN $5 ELSE $6 END))
           AND (ends_at IS NULL OR ends_at > $10)
           AND ($7 IS NULL OR id > $7) AND ($8 IS NULL OR access_key = $8)
         ORDER BY id LIMIT $9"
    )
    .bind(tenant).bind(whose.holder).bind(by_password.started_after).bind(by_key.started_after)
    .bind(by_password.seen_after).bind(by_key.seen_after).bind(after).bind(whose.access_key)
    .bind(page.limit + 1).bind(by_key.now).fetch_all(c).await)?;
    Ok(page.finish(rows, |row| Position { number: None, text: None, id: row.id.clone() }))
}

/// Bounds of sessions that are neither expired nor idle.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Alive {
    pub(crate) now: i64,
    pub(crate) started_after: i64,
    pub(crate) seen_after: i64,
}

impl Alive {
    /// Whether a session is within the bounds.
    pub(crate) fn holds(&self, row: &SessionRow) -> bool {
        let used = row.ends_at.is_some() || row.last_seen_at > self.seen_after;
        row.started_at > self.started_after && used
    }
}

/// Ends one session; its handle if it was not ended before.
pub(crate) async fn end(conn: &mut Conn, tenant: &str, id: &str, now: i64) -> Result<Option<String>> {
    let row: Option<(String,)> = on!(conn, c => sqlx::query_as(
        "UPDATE sessions SET ended_at = $3 WHERE tenant_id = $1 AND id = $2 AND ended_at IS NULL
         RETURNING handle"
    ).bind(tenant).bind(id).bind(now).fetch_optional(c).await)?;
    Ok(row.map(|row| row.0))
}

/// Ends every session of a holder but one; returns their handles.
pub(crate) async fn end_all(
    conn: &mut Conn,
    tenant: &str,
    holder: &str,
    but: Option<&str>,
    now: i64,
) -> Result<Vec<String>> {
    let rows: Vec<(String,)> = on!(conn, c => sqlx::query_as(
        "UPDATE sessions SET ended_at = $4
         WHERE tenant_id = $1 AND holder_id = $2 AND ended_at IS NULL AND ($3 IS NULL OR id <> $3)
         RETURNING handle"
    ).bind(tenant).bind(holder).bind(but).bind(now).fetch_all(c).await)?;
    Ok(rows.into_iter().map(|row| row.0).collect())
}

/// Ends every session that began with a key; returns their handles.
pub(crate) async fn end_of_key(
    conn: &mut Conn,
    tenant: &str,
    whose: Whose<'_>,
    now: i64,
) -> Result<Vec<String>> {
    let rows: Vec<(String,)> = on!(conn, c => sqlx::query_as(
        "UPDATE sessions SET ended_at = $4
         WHERE tenant_id = $1 AND holder_id = $2 AND access_key = $3 AND ended_at IS NULL
         RETURNING handle"
    ).bind(tenant).bind(whose.holder).bind(whose.access_key).bind(now).fetch_all(c).await)?;
    Ok(rows.into_iter().map(|row| row.0).collect())
}

/// Ends all but the `most` sessions of a holder that were seen last; returns their handles.
pub(crate) async fn end_beyond(
    conn: &mut Conn,
    like: &SessionRow,
    most: i64,
    now: i64,
) -> Result<Vec<String>> {
    let rows: Vec<(String,)> = on!(conn, c => sqlx::query_as(
        "UPDATE sessions SET ended_at = $4 WHERE tenant_id = $1 AND id IN (
            SELECT id FROM sessions
            WHERE tenant_id = $1 AND holder_id = $2 AND access_key IS NOT DISTINCT FROM $5
              AND ended_at IS NULL
            ORDER BY last_seen_at DESC, id DESC LIMIT 1000000 OFFSET $3)
         RETURNING handle"
    )
    .bind(&like.tenant_id).bind(&like.holder_id).bind(most).bind(now).bind(&like.access_key)
    .fetch_all(c).await)?;
    Ok(rows.into_iter().map(|row| row.0).collect())
}

/// Gives a session another token; the old one is worth nothing from now on (SES-1).
pub(crate) async fn renew(conn: &mut Conn, row: &SessionRow) -> Result<()> {
    on!(conn, c => sqlx::query(
        "UPDATE sessions SET handle = $3, pepper_id = $4, hash = $5, stepped_up_at = $6, last_seen_at = $7,
            second_factor = $8
         WHERE tenant_id = $1 AND id = $2"
    )
    .bind(&row.tenant_id).bind(&row.id).bind(&row.handle).bind(row.pepper_id).bind(&row.hash)
    .bind(row.stepped_up_at).bind(row.last_seen_at).bind(&row.second_factor)
    .execute(c).await.map(drop))?;
    Ok(())
}

/// Notes a use.
pub(crate) async fn seen(conn: &mut Conn, tenant: &str, id: &str, at: i64) -> Result<()> {
    on!(conn, c => sqlx::query(
        "UPDATE sessions SET last_seen_at = $3 WHERE tenant_id = $1 AND id = $2 AND last_seen_at < $3"
    ).bind(tenant).bind(id).bind(at).execute(c).await.map(drop))?;
    Ok(())
}

/// Sessions that are not ended and whose token is hashed under this pepper.
pub(crate) async fn count_under_pepper(conn: &mut Conn, pepper: i64, started_after: i64) -> Result<i64> {
    let (count,): (i64,) = on!(conn, c => sqlx::query_as(
        "SELECT COUNT(*) FROM sessions WHERE pepper_id = $1 AND ended_at IS NULL AND started_at > $2"
    ).bind(pepper).bind(started_after).fetch_one(c).await)?;
    Ok(count)
}

/// Forgets sessions that ended, or began, before these times.
pub(crate) async fn prune(conn: &mut Conn, ended_before: i64, started_before: i64) -> Result<()> {
    on!(conn, c => sqlx::query("DELETE FROM sessions WHERE ended_at < $1 OR started_at < $2")
        .bind(ended_before).bind(started_before).execute(c).await.map(drop))?;
    Ok(())
}
