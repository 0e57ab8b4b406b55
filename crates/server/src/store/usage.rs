//! Use of keys, written behind (X8, KEY-14).

use std::collections::HashMap;
use std::sync::LazyLock;

use super::bulk::Bulk;
use super::page::{Listed, Page, Position};
use super::{Conn, on};
use crate::error::Result;

/// Last use of one secret version.
#[derive(Clone, Debug)]
pub(crate) struct SeenRow {
    pub(crate) tenant_id: String,
    pub(crate) key_id: String,
    pub(crate) generation: i64,
    pub(crate) seen_at: i64,
    pub(crate) address: Option<String>,
    pub(crate) agent: Option<String>,
}

/// Uses of one key in one hour with one outcome.
#[derive(Clone, Debug, sqlx::FromRow)]
pub(crate) struct HourRow {
    pub(crate) tenant_id: String,
    pub(crate) key_id: String,
    pub(crate) hour: i64,
    pub(crate) outcome: String,
    pub(crate) uses: i64,
}

static MERGE: LazyLock<Bulk> = LazyLock::new(|| {
    Bulk::new(6, |values| {
        format!(
            "INSERT INTO key_seen (tenant_id, key_id, generation, seen_at, address, agent)
             SELECT v.* FROM (VALUES {values}) AS v
             WHERE EXISTS (SELECT 1 FROM tenants t WHERE t.id = v.column1)
             ON CONFLICT (tenant_id, key_id, generation) DO UPDATE SET
                seen_at = excluded.seen_at, address = excluded.address, agent = excluded.agent
             WHERE excluded.seen_at > key_seen.seen_at"
        )
    })
});

static ADD: LazyLock<Bulk> = LazyLock::new(|| {
    Bulk::new(5, |values| {
        format!(
            "INSERT INTO key_hours (tenant_id, key_id, hour, outcome, uses)
             SELECT v.* FROM (VALUES {values}) AS v
             WHERE EXISTS (SELECT 1 FROM tenants t WHERE t.id = v.column1)
             ON CONFLICT (tenant_id, key_id, hour, outcome) DO UPDATE SET uses = key_hours.uses + excluded.uses"
        )
    })
});

/// Keeps the later of the stored and the given last uses; no secret version may stand twice. Of a
/// tenant that was deleted meanwhile nothing is kept (AZ-14).
pub(crate) async fn merge_seen(conn: &mut Conn, rows: &[SeenRow]) -> Result<()> {
    for (text, rows) in MERGE.cut(conn, rows) {
        on!(conn, c => {
            let mut query = sqlx::query(text);
            for row in rows {
                query = query.bind(&row.tenant_id).bind(&row.key_id).bind(row.generation).bind(row.seen_at)
                    .bind(&row.address).bind(&row.agent);
            }
            query.execute(c).await.map(drop)
        })?;
    }
    Ok(())
}

/// Whether the first use of a secret since the key has its newest one was told; `place` is its
/// generation and the newest.
pub(crate) async fn is_told(conn: &mut Conn, tenant: &str, key: &str, place: (i64, i64)) -> Result<bool> {
    let told: Option<(i64,)> = on!(conn, c => sqlx::query_as(
        "SELECT generation FROM key_seen
         WHERE tenant_id = $1 AND key_id = $2 AND generation = $3 AND told_for >= $4"
    ).bind(tenant).bind(key).bind(place.0).bind(place.1).fetch_optional(c).await)?;
    Ok(told.is_some())
}

/// Notes that it is told; false when it was already, or when there is no such secret any more.
pub(crate) async fn mark_told(conn: &mut Conn, tenant: &str, key: &str, place: (i64, i64)) -> Result<bool> {
    let count = on!(conn, c => sqlx::query(
        "UPDATE key_seen SET told_for = $4 WHERE tenant_id = $1 AND key_id = $2 AND generation = $3
           AND (told_for IS NULL OR told_for < $4)"
    ).bind(tenant).bind(key).bind(place.0).bind(place.1)
    .execute(c).await.map(|done| done.rows_affected()))?;
    Ok(count == 1)
}

/// Adds to the counts of hours; no hour and outcome of a key may stand twice. Of a tenant that was
/// deleted meanwhile nothing is kept (AZ-14).
pub(crate) async fn add_uses(conn: &mut Conn, rows: &[HourRow]) -> Result<()> {
    for (text, rows) in ADD.cut(conn, rows) {
        on!(conn, c => {
            let mut query = sqlx::query(text);
            for row in rows {
                query = query.bind(&row.tenant_id).bind(&row.key_id).bind(row.hour).bind(&row.outcome)
                    .bind(row.uses);
            }
            query.execute(c).await.map(drop)
        })?;
    }
    Ok(())
}

/// Counts of a key since an hour, newest first.
pub(crate) async fn hours(conn: &mut Conn, tenant: &str, key: &str, since: i64) -> Result<Vec<HourRow>> {
    Ok(on!(conn, c => sqlx::query_as(
        "SELECT tenant_id, key_id, hour, outcome, uses FROM key_hours
         WHERE tenant_id = $1 AND key_id = $2 AND hour >= $3 ORDER BY hour DESC, outcome"
    ).bind(tenant).bind(key).bind(since).fetch_all(c).await)?)
}

/// What hours of many keys are narrowed by.
#[derive(Clone, Debug, Default)]
pub(crate) struct HourFilter {
    pub(crate) owner_id: Option<String>,
    pub(crate) key_id: Option<String>,
    /// The first and the last hour.
    pub(crate) since: Option<i64>,
    pub(crate) until: Option<i64>,
}

/// Counts of all keys, by key, hour and outcome.
pub(crate) async fn list(
    conn: &mut Conn,
    tenant: &str,
    filter: &HourFilter,
    page: &Page,
) -> Result<Listed<HourRow>> {
    let after = page.after.as_ref();
    let id = after.map_or("", |p| p.id.as_str());
    let hour = after.and_then(|p| p.number).unwrap_or(i64::MIN);
    let outcome = after.and_then(|p| p.text.as_deref()).unwrap_or_default();
    let rows: Vec<HourRow> = on!(conn, c => sqlx::query_as(
        "SELECT h.tenant_id, h.key_id, h.hour, h.outcome, h.uses FROM key_hours h
         WHERE h.tenant_id = $1 AND (h.key_id, h.hour, h.outcome) > ($2, $3, $4)
           AND ($5 IS NULL OR h.key_id = $5) AND ($6 IS NULL OR h.hour >= $6)
           AND ($7 IS NULL OR h.hour <= $7)
           AND ($8 IS NULL OR EXISTS (SELECT 1 FROM keys k WHERE k.tenant_id = h.tenant_id
                AND k.id = h.key_id AND k.owner_id = $8))
         ORDER BY h.key_id, h.hour, h.outcome LIMIT $9"
    )
    .bind(tenant).bind(id).bind(hour).bind(outcome).bind(&filter.key_id).bind(filter.since)
    .bind(filter.until).bind(&filter.owner_id).bind(page.limit + 1)
    .fetch_all(c).await)?;
    let place = |row: &HourRow| Position {
        number: Some(row.hour),
        text: Some(row.outcome.clone()),
        id: row.key_id.clone(),
    };
    Ok(page.finish(rows, place))
}

/// Time, address and agent of the last use.
pub(crate) async fn last_seen(
    conn: &mut Conn,
    tenant: &str,
    key: &str,
) -> Result<Option<(i64, Option<String>, Option<String>)>> {
    Ok(on!(conn, c => sqlx::query_as(
        "SELECT seen_at, address, agent FROM key_seen WHERE tenant_id = $1 AND key_id = $2
         ORDER BY seen_at DESC LIMIT 1"
    ).bind(tenant).bind(key).fetch_optional(c).await)?)
}

/// Address of the last use of each key from one id to another.
pub(crate) async fn last_addresses(
    conn: &mut Conn,
    tenant: &str,
    from: &str,
    to: &str,
) -> Result<HashMap<String, Option<String>>> {
    let rows: Vec<(String, Option<String>)> = on!(conn, c => sqlx::query_as(
        "SELECT s.key_id, s.address FROM key_seen s
         WHERE s.tenant_id = $1 AND s.key_id >= $2 AND s.key_id <= $3
         ORDER BY s.key_id, s.seen_at"
    ).bind(tenant).bind(from).bind(to).fetch_all(c).await)?;
    // Of one key the last counts.
    Ok(rows.into_iter().collect())
}
