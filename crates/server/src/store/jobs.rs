//! Jobs that leave the process, and how far the audit log was turned into them.

use super::page::{Listed, Page, Position};
use super::{Conn, on};
use crate::error::Result;

/// A row of `jobs`.
#[derive(Clone, Debug, sqlx::FromRow)]
pub(crate) struct JobRow {
    pub(crate) tenant_id: String,
    pub(crate) id: String,
    pub(crate) lane: String,
    pub(crate) kind: String,
    pub(crate) payload: String,
    pub(crate) attempts: i64,
    pub(crate) due_at: i64,
    pub(crate) failed_at: Option<i64>,
    pub(crate) last_error: Option<String>,
    pub(crate) created_at: i64,
}

/// Adds a job.
pub(crate) async fn insert(conn: &mut Conn, row: &JobRow) -> Result<()> {
    on!(conn, c => sqlx::query(
        "INSERT INTO jobs (tenant_id, id, lane, kind, payload, attempts, due_at, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)"
    )
    .bind(&row.tenant_id).bind(&row.id).bind(&row.lane).bind(&row.kind).bind(&row.payload)
    .bind(row.attempts).bind(row.due_at).bind(row.created_at)
    .execute(c).await.map(drop))?;
    Ok(())
}

/// Lanes of all tenants that have something to do, the one that waits longest first. Those of webhooks that
/// are held back, because they take nothing or their tenant is suspended, are left out.
pub(crate) async fn due_lanes(conn: &mut Conn, now: i64, limit: i64) -> Result<Vec<String>> {
    // From lane to lane by the index `jobs_due`: what it costs depends on how many lanes there are, not on
    // how much waits in them.
    let rows: Vec<(String,)> = on!(conn, c => sqlx::query_as(
        "WITH RECURSIVE lanes (lane) AS (
            SELECT MIN(lane) FROM jobs WHERE failed_at IS NULL
            UNION ALL
            SELECT (SELECT MIN(j.lane) FROM jobs j WHERE j.failed_at IS NULL AND j.lane > lanes.lane)
            FROM lanes WHERE lanes.lane IS NOT NULL
         ), firsts (lane, due_at) AS (
            SELECT lane, (SELECT MIN(j.due_at) FROM jobs j WHERE j.failed_at IS NULL AND j.lane = lanes.lane)
            FROM lanes WHERE lane IS NOT NULL
         )
         SELECT lane FROM firsts
         WHERE due_at <= $1 AND lane NOT IN (
            SELECT 'webhook ' || tenant_id || ' ' || id FROM webhooks WHERE probe_at > $1
            UNION ALL
            SELECT 'webhook ' || w.tenant_id || ' ' || w.id FROM tenants t
            JOIN webhooks w ON w.tenant_id = t.id WHERE t.suspended_at IS NOT NULL)
         ORDER BY due_at LIMIT $2"
    ).bind(now).bind(limit).fetch_all(c).await)?;
    Ok(rows.into_iter().map(|row| row.0).collect())
}

/// Takes jobs of a lane; no other node gets them before `until`.
pub(crate) async fn claim(
    conn: &mut Conn,
    lane: &str,
    now: i64,
    until: i64,
    limit: i64,
) -> Result<Vec<JobRow>> {
    // The bounds stand twice: PostgreSQL looks at the outer ones again when two nodes meet.
    Ok(on!(conn, c => sqlx::query_as(
        "UPDATE jobs SET due_at = $3, attempts = attempts + 1
         WHERE id IN (SELECT id FROM jobs WHERE lane = $1 AND failed_at IS NULL AND due_at <= $2
                      ORDER BY due_at, id LIMIT $4)
           AND failed_at IS NULL AND due_at <= $2
         RETURNING *"
    ).bind(lane).bind(now).bind(until).bind(limit).fetch_all(c).await)?)
}

/// How many jobs of a lane wait.
pub(crate) async fn waiting(conn: &mut Conn, tenant: &str, lane: &str) -> Result<i64> {
    let (count,): (i64,) = on!(conn, c => sqlx::query_as(
        "SELECT COUNT(*) FROM jobs WHERE tenant_id = $1 AND lane = $2 AND failed_at IS NULL"
    ).bind(tenant).bind(lane).fetch_one(c).await)?;
    Ok(count)
}

/// A job is done.
pub(crate) async fn delete(conn: &mut Conn, tenant: &str, id: &str) -> Result<bool> {
    let count = on!(conn, c => sqlx::query("DELETE FROM jobs WHERE tenant_id = $1 AND id = $2")
        .bind(tenant).bind(id).execute(c).await.map(|done| done.rows_affected()))?;
    Ok(count > 0)
}

/// An attempt failed: when to try again, or since when it is given up.
pub(crate) async fn fail(conn: &mut Conn, row: &JobRow) -> Result<()> {
    on!(conn, c => sqlx::query(
        "UPDATE jobs SET due_at = $3, failed_at = $4, last_error = $5 WHERE tenant_id = $1 AND id = $2"
    )
    .bind(&row.tenant_id).bind(&row.id).bind(row.due_at).bind(row.failed_at).bind(&row.last_error)
    .execute(c).await.map(drop))?;
    Ok(())
}

/// One job.
pub(crate) async fn find(conn: &mut Conn, tenant: &str, id: &str) -> Result<Option<JobRow>> {
    Ok(on!(conn, c => sqlx::query_as("SELECT * FROM jobs WHERE tenant_id = $1 AND id = $2")
        .bind(tenant).bind(id).fetch_optional(c).await)?)
}

/// Jobs in the order of their making, all or those that failed or not.
pub(crate) async fn list(
    conn: &mut Conn,
    tenant: &str,
    failed: Option<bool>,
    page: &Page,
) -> Result<Listed<JobRow>> {
    let after = page.after.as_ref().map(|p| p.id.as_str());
    let rows: Vec<JobRow> = on!(conn, c => sqlx::query_as(
        "SELECT * FROM jobs
         WHERE tenant_id = $1 AND ($2 IS NULL OR (failed_at IS NOT NULL) = $2) AND ($3 IS NULL OR id > $3)
         ORDER BY id LIMIT $4"
    ).bind(tenant).bind(failed).bind(after).bind(page.limit + 1).fetch_all(c).await)?;
    Ok(page.finish(rows, |row| Position { number: None, text: None, id: row.id.clone() }))
}

/// Tries a job again from the start.
pub(crate) async fn replay(conn: &mut Conn, tenant: &str, id: &str, now: i64) -> Result<()> {
    on!(conn, c => sqlx::query(
        "UPDATE jobs SET failed_at = NULL, attempts = 0, due_at = $3 WHERE tenant_id = $1 AND id = $2"
    ).bind(tenant).bind(id).bind(now).execute(c).await.map(drop))?;
    Ok(())
}

/// Forgets jobs of all tenants that were given up before a time.
pub(crate) async fn prune(conn: &mut Conn, before: i64) -> Result<()> {
    on!(conn, c => sqlx::query("DELETE FROM jobs WHERE failed_at < $1").bind(before).execute(c).await.map(drop))?;
    Ok(())
}

/// Up to which event a tenant's log was turned into news.
pub(crate) async fn cursor(conn: &mut Conn, tenant: &str) -> Result<i64> {
    let row: Option<(i64,)> = on!(conn, c => sqlx::query_as(
        "SELECT seq FROM event_cursors WHERE tenant_id = $1"
    ).bind(tenant).fetch_optional(c).await)?;
    Ok(row.map_or(0, |row| row.0))
}

/// Moves the cursor, unless another node did so meanwhile.
pub(crate) async fn move_cursor(conn: &mut Conn, tenant: &str, from: i64, to: i64) -> Result<bool> {
    let moved = on!(conn, c => sqlx::query(
        "INSERT INTO event_cursors (tenant_id, seq)
         SELECT $1, $3 WHERE EXISTS (SELECT 1 FROM tenants WHERE id = $1)
         ON CONFLICT (tenant_id) DO UPDATE SET seq = excluded.seq WHERE event_cursors.seq = $2"
    ).bind(tenant).bind(from).bind(to).execute(c).await.map(|done| done.rows_affected()))?;
    Ok(moved > 0)
}

/// Tenants whose log goes on behind their cursor.
pub(crate) async fn tenants_behind(conn: &mut Conn) -> Result<Vec<String>> {
    let rows: Vec<(String,)> = on!(conn, c => sqlx::query_as(
        "SELECT t.id FROM tenants t
         WHERE COALESCE((SELECT MAX(e.seq) FROM audit_events e WHERE e.tenant_id = t.id), 0)
             > COALESCE((SELECT n.seq FROM event_cursors n WHERE n.tenant_id = t.id), 0)"
    ).fetch_all(c).await)?;
    Ok(rows.into_iter().map(|row| row.0).collect())
}
