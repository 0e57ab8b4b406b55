//! What users are told, what they wish to be told, and which ends of keys were told.

use super::page::{Listed, Page, Position};
use super::{Conn, on};
use crate::error::Result;

/// A row of `notifications`.
#[derive(Clone, Debug, sqlx::FromRow)]
pub(crate) struct NotificationRow {
    pub(crate) tenant_id: String,
    pub(crate) user_id: String,
    pub(crate) id: String,
    pub(crate) kind: String,
    pub(crate) event_id: String,
    pub(crate) news: String,
    pub(crate) created_at: i64,
    pub(crate) read_at: Option<i64>,
}

/// A row of `notification_wishes`.
#[derive(Clone, Debug, sqlx::FromRow)]
pub(crate) struct WishRow {
    pub(crate) kind: String,
    pub(crate) bell: bool,
    pub(crate) mail: bool,
}

/// Tells a user of an event, once.
pub(crate) async fn insert(conn: &mut Conn, row: &NotificationRow) -> Result<()> {
    on!(conn, c => sqlx::query(
        "INSERT INTO notifications (tenant_id, user_id, id, kind, event_id, news, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING"
    )
    .bind(&row.tenant_id).bind(&row.user_id).bind(&row.id).bind(&row.kind).bind(&row.event_id)
    .bind(&row.news).bind(row.created_at).execute(c).await.map(drop))?;
    Ok(())
}

/// What a user was told, the newest first.
pub(crate) async fn list(
    conn: &mut Conn,
    tenant: &str,
    user: &str,
    unread: Option<bool>,
    kind: Option<&str>,
    page: &Page,
) -> Result<Listed<NotificationRow>> {
    let before = page.after.as_ref().map(|p| p.id.as_str());
    let rows: Vec<NotificationRow> = on!(conn, c => sqlx::query_as(
        "SELECT * FROM notifications
         WHERE tenant_id = $1 AND user_id = $2 AND ($3 IS NULL OR (read_at IS NULL) = $3)
           AND ($4 IS NULL OR kind = $4) AND ($5 IS NULL OR id < $5)
         ORDER BY id DESC LIMIT $6"
    )
    .bind(tenant).bind(user).bind(unread).bind(kind).bind(before).bind(page.limit + 1)
    .fetch_all(c).await)?;
    Ok(page.finish(rows, |row| Position { number: None, text: None, id: row.id.clone() }))
}

/// How many a user has not read.
pub(crate) async fn unread(conn: &mut Conn, tenant: &str, user: &str) -> Result<i64> {
    let (count,): (i64,) = on!(conn, c => sqlx::query_as(
        "SELECT COUNT(*) FROM notifications WHERE tenant_id = $1 AND user_id = $2 AND read_at IS NULL"
    ).bind(tenant).bind(user).fetch_one(c).await)?;
    Ok(count)
}

/// One of a user.
pub(crate) async fn find(
    conn: &mut Conn,
    tenant: &str,
    user: &str,
    id: &str,
) -> Result<Option<NotificationRow>> {
    Ok(on!(conn, c => sqlx::query_as(
        "SELECT * FROM notifications WHERE tenant_id = $1 AND user_id = $2 AND id = $3"
    ).bind(tenant).bind(user).bind(id).fetch_optional(c).await)?)
}

/// Marks one as read, or all of a user; returns how many were not.
pub(crate) async fn mark_read(
    conn: &mut Conn,
    tenant: &str,
    user: &str,
    id: Option<&str>,
    now: i64,
) -> Result<u64> {
    Ok(on!(conn, c => sqlx::query(
        "UPDATE notifications SET read_at = $4
         WHERE tenant_id = $1 AND user_id = $2 AND ($3 IS NULL OR id = $3) AND read_at IS NULL"
    ).bind(tenant).bind(user).bind(id).bind(now).execute(c).await.map(|done| done.rows_affected()))?)
}

/// Forgets those of all tenants that are older than a time.
pub(crate) async fn prune(conn: &mut Conn, before: i64) -> Result<()> {
    on!(conn, c => sqlx::query("DELETE FROM notifications WHERE created_at < $1")
        .bind(before).execute(c).await.map(drop))?;
    on!(conn, c => sqlx::query("DELETE FROM mail_pauses WHERE mailed_at < $1")
        .bind(before).execute(c).await.map(drop))?;
    Ok(())
}

/// What a user wishes to be told.
pub(crate) async fn wishes(conn: &mut Conn, tenant: &str, user: &str) -> Result<Vec<WishRow>> {
    Ok(on!(conn, c => sqlx::query_as(
        "SELECT kind, bell, mail FROM notification_wishes WHERE tenant_id = $1 AND user_id = $2"
    ).bind(tenant).bind(user).fetch_all(c).await)?)
}

/// Keeps a wish.
pub(crate) async fn wish(conn: &mut Conn, tenant: &str, user: &str, row: &WishRow) -> Result<()> {
    on!(conn, c => sqlx::query(
        "INSERT INTO notification_wishes (tenant_id, user_id, kind, bell, mail) VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (tenant_id, user_id, kind) DO UPDATE SET bell = excluded.bell, mail = excluded.mail"
    )
    .bind(tenant).bind(user).bind(&row.kind).bind(row.bell).bind(row.mail)
    .execute(c).await.map(drop))?;
    Ok(())
}

/// Whether a user may be sent a mail of a kind now; if so, no other is for `pause` milliseconds.
pub(crate) async fn may_mail(
    conn: &mut Conn,
    tenant: &str,
    user: &str,
    kind: &str,
    (now, pause): (i64, i64),
) -> Result<bool> {
    let noted = on!(conn, c => sqlx::query(
        "INSERT INTO mail_pauses (tenant_id, user_id, kind, mailed_at) VALUES ($1, $2, $3, $4)
         ON CONFLICT (tenant_id, user_id, kind) DO UPDATE SET mailed_at = excluded.mailed_at
         WHERE mail_pauses.mailed_at <= $5 OR mail_pauses.mailed_at > $4"
    )
    .bind(tenant).bind(user).bind(kind).bind(now).bind(now - pause)
    .execute(c).await.map(|done| done.rows_affected()))?;
    Ok(noted > 0)
}

/// A key whose end comes or came, as the watch over all tenants finds it.
#[derive(Clone, Debug, sqlx::FromRow)]
pub(crate) struct EndingRow {
    pub(crate) tenant_id: String,
    pub(crate) id: String,
    pub(crate) label: String,
    pub(crate) expires_at: i64,
}

/// A stretch of time in which keys end, and the notice that is due for those that do.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ending {
    /// The first end that is looked at, and the last.
    pub(crate) from: i64,
    pub(crate) until: i64,
    /// So many days before the end; 0 when it is over.
    pub(crate) days: i64,
    /// Keys that were made to live no longer than this need no notice before.
    pub(crate) short_ms: i64,
}

/// Keys of all tenants that end within the bounds and of whose end neither this nor a later notice was
/// given, in the order of their ends, behind the last one seen.
pub(crate) async fn ending(
    conn: &mut Conn,
    ending: Ending,
    after: Option<(i64, &str)>,
    limit: i64,
) -> Result<Vec<EndingRow>> {
    let (from, id) = after.unwrap_or((ending.from, ""));
    Ok(on!(conn, c => sqlx::query_as(
        "SELECT k.tenant_id, k.id, k.label, k.expires_at FROM keys k
         WHERE k.expires_at >= $1 AND k.expires_at <= $2 AND (k.expires_at > $1 OR k.id > $3)
           AND k.switch <> 'revoked' AND k.expires_at - k.created_at > $4
           AND NOT EXISTS (SELECT 1 FROM expiry_notices n
                           WHERE n.tenant_id = k.tenant_id AND n.key_id = k.id
                             AND n.expires_at = k.expires_at AND n.days <= $5)
         ORDER BY k.expires_at, k.id LIMIT $6"
    )
    .bind(from).bind(ending.until).bind(id).bind(ending.short_ms).bind(ending.days).bind(limit)
    .fetch_all(c).await)?)
}

/// Notes that the end of a key is told; says whether it was not before, and still is the end.
pub(crate) async fn tell_end(conn: &mut Conn, key: &EndingRow, days: i64, now: i64) -> Result<bool> {
    let told = on!(conn, c => sqlx::query(
        "INSERT INTO expiry_notices (tenant_id, key_id, expires_at, days, told_at)
         SELECT tenant_id, id, expires_at, $4, $5 FROM keys
         WHERE tenant_id = $1 AND id = $2 AND expires_at = $3 AND switch <> 'revoked'
         ON CONFLICT DO NOTHING"
    )
    .bind(&key.tenant_id).bind(&key.id).bind(key.expires_at).bind(days).bind(now)
    .execute(c).await.map(|done| done.rows_affected()))?;
    Ok(told > 0)
}

/// Forgets notices of all tenants about ends before a time.
pub(crate) async fn prune_ends(conn: &mut Conn, before: i64) -> Result<()> {
    on!(conn, c => sqlx::query("DELETE FROM expiry_notices WHERE expires_at < $1")
        .bind(before).execute(c).await.map(drop))?;
    Ok(())
}
