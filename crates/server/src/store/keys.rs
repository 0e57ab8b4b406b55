//! Keys and their secrets.

use std::sync::LazyLock;

use super::bulk::Bulk;
use super::credits::CreditRow;
use super::page::Position;
use super::{Conn, on};
use crate::error::{Error, Result};

/// A row of `keys` with its secrets, holdings and last use.
#[derive(Clone, Debug, Default, sqlx::FromRow)]
pub(crate) struct KeyRow {
    pub(crate) tenant_id: String,
    pub(crate) id: String,
    pub(crate) access_key: String,
    pub(crate) class: String,
    pub(crate) owner_id: Option<String>,
    pub(crate) label: String,
    pub(crate) switch: String,
    pub(crate) scopes: Option<String>,
    pub(crate) not_before: Option<i64>,
    pub(crate) expires_at: Option<i64>,
    pub(crate) idle_seconds: Option<i64>,
    pub(crate) conditions: Option<String>,
    pub(crate) limits: Option<String>,
    #[sqlx(flatten)]
    pub(crate) credits: CreditRow,
    pub(crate) created_at: i64,
    pub(crate) created_by: String,
    pub(crate) updated_at: i64,
    pub(crate) updated_by: String,
    pub(crate) revoked_at: Option<i64>,
    pub(crate) revoked_by: Option<String>,
    pub(crate) revoked_reason: Option<String>,
    pub(crate) exposed_at: Option<i64>,
    pub(crate) canary: bool,
    /// Days between rotations by schedule, and days that the older secret works on.
    pub(crate) rotate_days: Option<i64>,
    pub(crate) grace_days: Option<i64>,
    pub(crate) rotates_at: Option<i64>,
    pub(crate) awaits_approval: bool,
    pub(crate) approved_at: Option<i64>,
    pub(crate) approved_by: Option<String>,
    /// Those who changed it since it began to wait, ids separated by commas.
    pub(crate) hands: Option<String>,
    pub(crate) version: i64,
    /// The import that brought it along.
    pub(crate) imported_from: Option<String>,
    pub(crate) imported_at: Option<i64>,
    /// What it is called there.
    pub(crate) external_id: Option<String>,
    /// Name of a living owner.
    pub(crate) owner_username: Option<String>,
    /// Ids of the roles, separated by commas.
    pub(crate) role_ids: Option<String>,
    /// Ids of the groups, separated by commas.
    pub(crate) group_ids: Option<String>,
    /// JSON objects separated by commas, each a [`SecretRow`].
    pub(crate) secrets: Option<String>,
    /// Last allowed use.
    pub(crate) last_used_at: Option<i64>,
}

/// One secret version, as the `secrets` column spells it.
#[derive(Clone, Debug, serde::Deserialize)]
pub(crate) struct SecretRow {
    pub(crate) generation: i64,
    pub(crate) pepper_id: i64,
    pub(crate) hash: String,
    pub(crate) hint: String,
    pub(crate) created_at: i64,
    pub(crate) retires_at: Option<i64>,
    pub(crate) seen_at: Option<i64>,
}

impl KeyRow {
    /// The secret versions, oldest first.
    pub(crate) fn secret_rows(&self) -> Result<Vec<SecretRow>> {
        let json = format!("[{}]", self.secrets.as_deref().unwrap_or_default());
        let mut rows: Vec<SecretRow> = serde_json::from_str(&json).map_err(crate::error::Error::internal)?;
        rows.sort_by_key(|row| row.generation);
        Ok(rows)
    }
}

/// Every read of keys has these columns: one query brings all facts of a key.
macro_rules! select_keys {
    ($($tail:literal),+) => {
        concat!(
            "SELECT k.*,
                (SELECT u.username FROM users u WHERE u.tenant_id = k.tenant_id AND u.id = k.owner_id
                  AND u.deleted_at IS NULL) AS owner_username,
                (SELECT string_agg(h.role_id, ',') FROM role_holders h
                  WHERE h.tenant_id = k.tenant_id AND h.holder_id = k.id) AS role_ids,
                (SELECT string_agg(m.group_id, ',') FROM group_members m
                  WHERE m.tenant_id = k.tenant_id AND m.member_id = k.id) AS group_ids,
                (SELECT string_agg('{\"generation\":' || CAST(s.generation AS TEXT)
                    || ',\"pepper_id\":' || CAST(s.pepper_id AS TEXT)
                    || ',\"hash\":\"' || s.hash || '\",\"hint\":\"'
                    || replace(replace(s.hint, '\\', '\\\\'), '\"', '\\\"')
                    || '\",\"created_at\":' || CAST(s.created_at AS TEXT)
                    || ',\"retires_at\":' || COALESCE(CAST(s.retires_at AS TEXT), 'null')
                    || ',\"seen_at\":' || COALESCE(CAST((SELECT x.seen_at FROM key_seen x
                         WHERE x.tenant_id = s.tenant_id AND x.key_id = s.key_id
                           AND x.generation = s.generation) AS TEXT), 'null') || '}', ',')
                  FROM key_secrets s WHERE s.tenant_id = k.tenant_id AND s.key_id = k.id) AS secrets,
                (SELECT MAX(x.seen_at) FROM key_seen x
                  WHERE x.tenant_id = k.tenant_id AND x.key_id = k.id) AS last_used_at
             FROM keys k ",
            $($tail),+
        )
    };
}

/// One key by id, or by the 16 characters of its access key.
pub(crate) async fn find(conn: &mut Conn, tenant: &str, id: &str) -> Result<Option<KeyRow>> {
    Ok(on!(conn, c => sqlx::query_as(select_keys!("WHERE k.tenant_id = $1 AND k.id = $2"))
        .bind(tenant).bind(id).fetch_optional(c).await)?)
}

/// Whose a key is, where it is a user's.
pub(crate) async fn owner(conn: &mut Conn, tenant: &str, id: &str) -> Result<Option<String>> {
    let row: Option<(Option<String>,)> = on!(conn, c => sqlx::query_as(
        "SELECT owner_id FROM keys WHERE tenant_id = $1 AND id = $2"
    ).bind(tenant).bind(id).fetch_optional(c).await)?;
    Ok(row.and_then(|row| row.0))
}

/// The key that an access key names, in whichever tenant: the one query of a cache miss.
pub(crate) async fn load(conn: &mut Conn, access_key: &str) -> Result<Option<KeyRow>> {
    Ok(on!(conn, c => sqlx::query_as(select_keys!("WHERE k.access_key = $1"))
        .bind(access_key).fetch_optional(c).await)?)
}

static SOME: LazyLock<Bulk> = LazyLock::new(|| {
    Bulk::new(2, |ids| {
        format!("{} WHERE (k.tenant_id, k.id) IN (VALUES {ids}) ORDER BY k.id", select_keys!(""))
    })
});

/// Those of the ids that there are.
pub(crate) async fn find_many(conn: &mut Conn, tenant: &str, ids: &[String]) -> Result<Vec<KeyRow>> {
    let mut found = Vec::with_capacity(ids.len());
    for (text, ids) in SOME.cut(conn, ids) {
        found.extend::<Vec<KeyRow>>(on!(conn, c => {
            let query = ids.iter().fold(sqlx::query_as(text), |query, id| query.bind(tenant).bind(id));
            query.fetch_all(c).await
        })?);
    }
    Ok(found)
}

/// Keys of a tenant in the order of their ids, those behind `after`.
pub(crate) async fn behind(conn: &mut Conn, tenant: &str, after: &str, limit: i64) -> Result<Vec<KeyRow>> {
    Ok(on!(conn, c => sqlx::query_as(select_keys!(
        "WHERE k.tenant_id = $1 AND k.id > $2 ORDER BY k.id LIMIT $3"
    )).bind(tenant).bind(after).bind(limit).fetch_all(c).await)?)
}

/// How many keys there are, in all tenants.
pub(crate) async fn count_all(conn: &mut Conn) -> Result<usize> {
    let (count,): (i64,) =
        on!(conn, c => sqlx::query_as("SELECT COUNT(access_key) FROM keys").fetch_one(c).await)?;
    usize::try_from(count).map_err(Error::internal)
}

/// The access keys of all tenants behind `after`, in order.
pub(crate) async fn access_keys(conn: &mut Conn, after: &str, limit: i64) -> Result<Vec<String>> {
    Ok(on!(conn, c => sqlx::query_scalar(
        "SELECT access_key FROM keys WHERE access_key > $1 ORDER BY access_key LIMIT $2"
    ).bind(after).bind(limit).fetch_all(c).await)?)
}

/// What a list of keys is narrowed by. Lists are words between commas, `,a,b,`.
#[derive(Clone, Debug, Default)]
pub(crate) struct KeyFilter {
    pub(crate) classes: Option<String>,
    /// Values of the switch that the wanted statuses need.
    pub(crate) switches: Option<String>,
    pub(crate) owner_id: Option<String>,
    /// `LIKE` pattern over label, access key, id and owner name, lower case.
    pub(crate) q: Option<String>,
    /// Exact label.
    pub(crate) label: Option<String>,
    pub(crate) created_by: Option<String>,
    pub(crate) created_before: Option<i64>,
    pub(crate) created_after: Option<i64>,
    pub(crate) expires_before: Option<i64>,
    pub(crate) expires_after: Option<i64>,
    pub(crate) last_used_before: Option<i64>,
    pub(crate) never_expires: Option<bool>,
    /// Never used at all.
    pub(crate) unused: Option<bool>,
    /// Nobody has approved it yet.
    pub(crate) awaits_approval: Option<bool>,
}

/// What a list of keys is sorted by; descending when the flag is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeySort {
    /// Ascending; for those who go through all.
    Id,
    CreatedAt(bool),
    Label(bool),
    ExpiresAt(bool),
    LastUsedAt(bool),
}

impl KeyRow {
    /// Where this row stands under a sort.
    pub(crate) fn position(&self, sort: KeySort) -> Position {
        let (number, text) = match sort {
            KeySort::Id => (None, None),
            KeySort::CreatedAt(_) => (Some(self.created_at), None),
            KeySort::ExpiresAt(_) => (Some(self.expires_at.unwrap_or(i64::MAX)), None),
            KeySort::LastUsedAt(_) => (Some(self.last_used_at.unwrap_or(0)), None),
            KeySort::Label(_) => (None, Some(self.label.clone())),
        };
        Position { number, text, id: self.id.clone() }
    }
}

/// The keys that a filter leaves over; `$head` may put it into a query around it.
macro_rules! filter_keys {
    ([$($head:literal)?], $($tail:literal),+) => {
        select_keys!(
            $($head,)?
            "WHERE k.tenant_id = $1
               AND ($2 IS NULL OR $2 LIKE '%,' || k.class || ',%')
               AND ($3 IS NULL OR $3 LIKE '%,' || k.switch || ',%')
               AND ($4 IS NULL OR k.owner_id = $4)
               AND ($5 IS NULL OR lower(k.label) LIKE $5 OR lower(k.access_key) LIKE $5 OR k.id LIKE $5
                    OR EXISTS (SELECT 1 FROM users o WHERE o.tenant_id = k.tenant_id AND o.id = k.owner_id
                               AND o.username_key LIKE $5))
               AND ($6 IS NULL OR k.label = $6)
               AND ($7 IS NULL OR k.created_by = $7)
               AND ($8 IS NULL OR k.created_at < $8)
               AND ($9 IS NULL OR k.created_at > $9)
               AND ($10 IS NULL OR k.expires_at < $10)
               AND ($11 IS NULL OR k.expires_at > $11)
               AND ($12 IS NULL OR NOT EXISTS (SELECT 1 FROM key_seen x WHERE x.tenant_id = k.tenant_id
                    AND x.key_id = k.id AND x.seen_at >= $12))
               AND ($13 IS NULL OR (k.expires_at IS NULL) = $13)
               AND ($14 IS NULL OR (NOT EXISTS (SELECT 1 FROM key_seen x WHERE x.tenant_id = k.tenant_id
                    AND x.key_id = k.id)) = $14)
               AND ($19 IS NULL OR k.awaits_approval = $19)
               AND (CAST($15 AS BIGINT) IS NULL OR CAST($16 AS TEXT) IS NULL)
               ",
            $($tail),+
        )
    };
}

/// One list statement: `$key` is the sort value, `$after` its bound, `$order` and `$cmp` the direction. Ids are
/// sorted alone: with all columns, an engine would gather them for keys that are never shown.
macro_rules! list_keys {
    ($key:literal, $after:literal, $order:literal, $cmp:literal) => {
        filter_keys!(
            ["WHERE k.tenant_id = $1 AND k.id IN (SELECT k.id FROM keys k "],
            "AND (",
            $after,
            " IS NULL OR (",
            $key,
            ", k.id) ",
            $cmp,
            " (",
            $after,
            ", $17)) ORDER BY ",
            $key,
            " ",
            $order,
            ", k.id ",
            $order,
            " LIMIT $18) ORDER BY ",
            $key,
            " ",
            $order,
            ", k.id ",
            $order
        )
    };
}

fn list_statement(sort: KeySort) -> &'static str {
    match sort {
        // Along the primary key: the quick way through all of them.
        KeySort::Id => filter_keys!([], "AND k.id > $17 ORDER BY k.id LIMIT $18"),
        KeySort::CreatedAt(false) => list_keys!("k.created_at", "$15", "ASC", ">"),
        KeySort::CreatedAt(true) => list_keys!("k.created_at", "$15", "DESC", "<"),
        KeySort::ExpiresAt(false) => {
            list_keys!("COALESCE(k.expires_at, 9223372036854775807)", "$15", "ASC", ">")
        }
        KeySort::ExpiresAt(true) => {
            list_keys!("COALESCE(k.expires_at, 9223372036854775807)", "$15", "DESC", "<")
        }
        KeySort::LastUsedAt(false) => list_keys!(
            "COALESCE((SELECT MAX(y.seen_at) FROM key_seen y WHERE y.tenant_id = k.tenant_id
              AND y.key_id = k.id), 0)",
            "$15",
            "ASC",
            ">"
        ),
        KeySort::LastUsedAt(true) => list_keys!(
            "COALESCE((SELECT MAX(y.seen_at) FROM key_seen y WHERE y.tenant_id = k.tenant_id
              AND y.key_id = k.id), 0)",
            "$15",
            "DESC",
            "<"
        ),
        KeySort::Label(false) => list_keys!("k.label", "$16", "ASC", ">"),
        KeySort::Label(true) => list_keys!("k.label", "$16", "DESC", "<"),
    }
}

/// Rows behind `after`, `limit` at most.
pub(crate) async fn list(
    conn: &mut Conn,
    tenant: &str,
    filter: &KeyFilter,
    sort: KeySort,
    after: Option<&Position>,
    limit: i64,
) -> Result<Vec<KeyRow>> {
    let number = after.and_then(|p| p.number);
    let text = after.and_then(|p| p.text.as_deref());
    let id = after.map_or("", |p| p.id.as_str());
    Ok(on!(conn, c => sqlx::query_as(list_statement(sort))
        .bind(tenant).bind(&filter.classes).bind(&filter.switches).bind(&filter.owner_id).bind(&filter.q)
        .bind(&filter.label).bind(&filter.created_by).bind(filter.created_before)
        .bind(filter.created_after).bind(filter.expires_before).bind(filter.expires_after)
        .bind(filter.last_used_before).bind(filter.never_expires).bind(filter.unused)
        .bind(number).bind(text).bind(id).bind(limit).bind(filter.awaits_approval)
        .fetch_all(c).await)?)
}

/// Living keys that a user owns, for the quota (BM2).
pub(crate) async fn count_owned(conn: &mut Conn, tenant: &str, owner: &str, now: i64) -> Result<i64> {
    let (count,): (i64,) = on!(conn, c => sqlx::query_as(
        "SELECT COUNT(*) FROM keys WHERE tenant_id = $1 AND owner_id = $2 AND switch <> 'revoked'
           AND (expires_at IS NULL OR expires_at > $3)"
    ).bind(tenant).bind(owner).bind(now).fetch_one(c).await)?;
    Ok(count)
}

/// Living keys of a class, for the quota of the tenant (X5).
pub(crate) async fn count_of_class(conn: &mut Conn, tenant: &str, class: &str, now: i64) -> Result<i64> {
    Ok(on!(conn, c => sqlx::query_scalar(
        "SELECT COUNT(*) FROM keys WHERE tenant_id = $1 AND class = $2 AND switch <> 'revoked'
           AND (expires_at IS NULL OR expires_at > $3)"
    ).bind(tenant).bind(class).bind(now).fetch_one(c).await)?)
}

/// Keys that are neither revoked nor switched off, behind `after` in the order of their ids: the quick way
/// through all of them.
pub(crate) async fn switched_on(
    conn: &mut Conn,
    tenant: &str,
    after: &str,
    limit: i64,
) -> Result<Vec<KeyRow>> {
    Ok(on!(conn, c => sqlx::query_as(select_keys!(
        "WHERE k.tenant_id = $1 AND k.id > $2 AND k.switch = 'on' ORDER BY k.id LIMIT $3"
    )).bind(tenant).bind(after).bind(limit).fetch_all(c).await)?)
}

/// Adds a key without secrets, holdings and credits.
pub(crate) async fn insert(conn: &mut Conn, row: &KeyRow) -> Result<()> {
    on!(conn, c => sqlx::query(
        "INSERT INTO keys (tenant_id, id, access_key, class, owner_id, label, switch, scopes, not_before,
            expires_at, idle_seconds, conditions, limits, created_at, created_by, updated_at, updated_by,
            version, canary, rotate_days, grace_days, rotates_at, imported_from, imported_at, external_id,
            awaits_approval)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20,
            $21, $22, $23, $24, $25, $26)"
    )
    .bind(&row.tenant_id).bind(&row.id).bind(&row.access_key).bind(&row.class).bind(&row.owner_id)
    .bind(&row.label).bind(&row.switch).bind(&row.scopes).bind(row.not_before).bind(row.expires_at)
    .bind(row.idle_seconds).bind(&row.conditions).bind(&row.limits).bind(row.created_at)
    .bind(&row.created_by).bind(row.updated_at).bind(&row.updated_by).bind(row.version).bind(row.canary)
    .bind(row.rotate_days).bind(row.grace_days).bind(row.rotates_at)
    .bind(&row.imported_from).bind(row.imported_at).bind(&row.external_id)
    .bind(row.awaits_approval)
    .execute(c).await.map(drop))?;
    Ok(())
}

/// Writes all that people can change of the key itself; leases of credits are not among it.
pub(crate) async fn update(conn: &mut Conn, row: &KeyRow) -> Result<()> {
    on!(conn, c => sqlx::query(
        "UPDATE keys SET label = $3, switch = $4, scopes = $5, not_before = $6, expires_at = $7,
            idle_seconds = $8, conditions = $9, limits = $10, updated_at = $11, updated_by = $12,
            revoked_at = $13, revoked_by = $14, revoked_reason = $15, exposed_at = $16, version = $17,
            rotate_days = $18, grace_days = $19, rotates_at = $20, awaits_approval = $21, approved_at = $22,
            approved_by = $23, hands = $24
         WHERE tenant_id = $1 AND id = $2"
    )
    .bind(&row.tenant_id).bind(&row.id).bind(&row.label).bind(&row.switch).bind(&row.scopes)
    .bind(row.not_before).bind(row.expires_at).bind(row.idle_seconds).bind(&row.conditions)
    .bind(&row.limits).bind(row.updated_at).bind(&row.updated_by).bind(row.revoked_at)
    .bind(&row.revoked_by).bind(&row.revoked_reason).bind(row.exposed_at).bind(row.version)
    .bind(row.rotate_days).bind(row.grace_days).bind(row.rotates_at)
    .bind(row.awaits_approval).bind(row.approved_at).bind(&row.approved_by).bind(&row.hands)
    .execute(c).await.map(drop))?;
    Ok(())
}

static END: LazyLock<Bulk> = LazyLock::new(|| {
    Bulk::new(11, |rows| {
        format!(
            "UPDATE keys SET switch = v.column3, updated_at = v.column4, updated_by = v.column5,
                revoked_at = v.column6, revoked_by = v.column7, revoked_reason = v.column8,
                rotates_at = v.column9, hands = v.column10, version = v.column11
             FROM (VALUES {rows}) AS v WHERE keys.tenant_id = v.column1 AND keys.id = v.column2"
        )
    })
});

/// Writes what ends keys, or switches them on again.
pub(crate) async fn switch_many(conn: &mut Conn, rows: &[KeyRow]) -> Result<()> {
    for (text, rows) in END.cut(conn, rows) {
        on!(conn, c => {
            let query = rows.iter().fold(sqlx::query(text), |query, row| {
                query.bind(&row.tenant_id).bind(&row.id).bind(&row.switch).bind(row.updated_at)
                    .bind(&row.updated_by).bind(row.revoked_at).bind(&row.revoked_by)
                    .bind(&row.revoked_reason).bind(row.rotates_at).bind(&row.hands).bind(row.version)
            });
            query.execute(c).await.map(drop)
        })?;
    }
    Ok(())
}

/// Adds a secret version.
pub(crate) async fn insert_secret(
    conn: &mut Conn,
    tenant: &str,
    key: &str,
    secret: &SecretRow,
    created_by: &str,
) -> Result<()> {
    on!(conn, c => sqlx::query(
        "INSERT INTO key_secrets (tenant_id, key_id, generation, pepper_id, hash, hint, created_at,
            created_by, retires_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)"
    )
    .bind(tenant).bind(key).bind(secret.generation).bind(secret.pepper_id).bind(&secret.hash)
    .bind(&secret.hint).bind(secret.created_at).bind(created_by).bind(secret.retires_at)
    .execute(c).await.map(drop))?;
    Ok(())
}

/// Who made the secrets of a key, and so has seen one.
pub(crate) async fn secret_makers(conn: &mut Conn, tenant: &str, key: &str) -> Result<Vec<String>> {
    Ok(on!(conn, c => sqlx::query_scalar(
        "SELECT DISTINCT created_by FROM key_secrets WHERE tenant_id = $1 AND key_id = $2"
    ).bind(tenant).bind(key).fetch_all(c).await)?)
}

/// Ends every live secret but `keep` at `at`, unless it ends sooner anyway.
pub(crate) async fn retire_secrets(
    conn: &mut Conn,
    tenant: &str,
    key: &str,
    keep: i64,
    at: i64,
) -> Result<()> {
    on!(conn, c => sqlx::query(
        "UPDATE key_secrets SET retires_at = $4 WHERE tenant_id = $1 AND key_id = $2
           AND generation <> $3 AND (retires_at IS NULL OR retires_at > $4)"
    ).bind(tenant).bind(key).bind(keep).bind(at).execute(c).await.map(drop))?;
    Ok(())
}

/// Sets or lifts the end of one secret.
pub(crate) async fn set_retirement(
    conn: &mut Conn,
    tenant: &str,
    key: &str,
    generation: i64,
    at: Option<i64>,
) -> Result<()> {
    on!(conn, c => sqlx::query(
        "UPDATE key_secrets SET retires_at = $4 WHERE tenant_id = $1 AND key_id = $2 AND generation = $3"
    ).bind(tenant).bind(key).bind(generation).bind(at).execute(c).await.map(drop))?;
    Ok(())
}

/// Re-hashes a secret under a newer pepper (STO-3), or an imported one, which is under none, for the first time.
pub(crate) async fn rehash(
    conn: &mut Conn,
    tenant: &str,
    key: &str,
    generation: i64,
    pepper: i64,
    hash: &str,
) -> Result<()> {
    on!(conn, c => sqlx::query(
        "UPDATE key_secrets SET pepper_id = $4, hash = $5
         WHERE tenant_id = $1 AND key_id = $2 AND generation = $3 AND pepper_id < $4
           AND (pepper_id = 0 OR pepper_id IN (SELECT id FROM peppers WHERE retired_at IS NULL))"
    ).bind(tenant).bind(key).bind(generation).bind(pepper).bind(hash).execute(c).await.map(drop))?;
    Ok(())
}

/// Live secrets of living keys that are hashed under a pepper.
pub(crate) async fn count_under_pepper(conn: &mut Conn, pepper: i64, now: i64) -> Result<i64> {
    let (count,): (i64,) = on!(conn, c => sqlx::query_as(
        "SELECT COUNT(*) FROM key_secrets s JOIN keys k ON k.tenant_id = s.tenant_id AND k.id = s.key_id
         WHERE s.pepper_id = $1 AND (s.retires_at IS NULL OR s.retires_at > $2) AND k.switch <> 'revoked'"
    ).bind(pepper).bind(now).fetch_one(c).await)?;
    Ok(count)
}
