//! Webhooks, the secrets that sign what they are sent, and the log of that.

use super::page::{Listed, Page, Position};
use super::{Conn, on};
use crate::error::Result;

/// A row of `webhooks`.
#[derive(Clone, Debug, sqlx::FromRow)]
pub(crate) struct WebhookRow {
    pub(crate) tenant_id: String,
    pub(crate) id: String,
    pub(crate) url: String,
    pub(crate) events: String,
    pub(crate) description: String,
    pub(crate) enabled: bool,
    pub(crate) since_seq: i64,
    pub(crate) disabled_reason: Option<String>,
    pub(crate) failing_since: Option<i64>,
    pub(crate) failing_told_at: Option<i64>,
    pub(crate) created_at: i64,
    pub(crate) created_by: String,
    pub(crate) updated_at: i64,
    pub(crate) updated_by: String,
    pub(crate) version: i64,
}

/// A row of `webhook_secrets`.
#[derive(Clone, Debug, sqlx::FromRow)]
pub(crate) struct SecretRow {
    pub(crate) tenant_id: String,
    pub(crate) webhook_id: String,
    pub(crate) generation: i64,
    pub(crate) hmac: String,
    pub(crate) ed25519: String,
    pub(crate) public_key: String,
    pub(crate) created_at: i64,
    pub(crate) retires_at: Option<i64>,
}

/// A row of `webhook_deliveries`, with when its job is due.
#[derive(Clone, Debug, sqlx::FromRow)]
pub(crate) struct DeliveryRow {
    pub(crate) tenant_id: String,
    pub(crate) webhook_id: String,
    pub(crate) id: String,
    pub(crate) job_id: String,
    pub(crate) event_id: String,
    pub(crate) action: String,
    pub(crate) body: String,
    pub(crate) attempts: i64,
    pub(crate) created_at: i64,
    pub(crate) attempted_at: Option<i64>,
    pub(crate) first_failed_at: Option<i64>,
    pub(crate) delivered_at: Option<i64>,
    pub(crate) status_code: Option<i64>,
    pub(crate) response: Option<String>,
    pub(crate) error: Option<String>,
    pub(crate) duration_ms: Option<i64>,
    /// When it is tried next, as far as its webhook takes anything; `None` when it no longer waits.
    pub(crate) due_at: Option<i64>,
}

/// One webhook.
pub(crate) async fn find(conn: &mut Conn, tenant: &str, id: &str) -> Result<Option<WebhookRow>> {
    Ok(on!(conn, c => sqlx::query_as("SELECT * FROM webhooks WHERE tenant_id = $1 AND id = $2")
        .bind(tenant).bind(id).fetch_optional(c).await)?)
}

/// Webhooks in the order of their making.
pub(crate) async fn list(conn: &mut Conn, tenant: &str, page: &Page) -> Result<Listed<WebhookRow>> {
    let after = page.after.as_ref().map(|p| p.id.as_str());
    let rows: Vec<WebhookRow> = on!(conn, c => sqlx::query_as(
        "SELECT * FROM webhooks WHERE tenant_id = $1 AND ($2 IS NULL OR id > $2) ORDER BY id LIMIT $3"
    ).bind(tenant).bind(after).bind(page.limit + 1).fetch_all(c).await)?;
    Ok(page.finish(rows, |row| Position { number: None, text: None, id: row.id.clone() }))
}

/// How many a tenant has.
pub(crate) async fn count(conn: &mut Conn, tenant: &str) -> Result<i64> {
    let (count,): (i64,) = on!(conn, c => sqlx::query_as("SELECT COUNT(*) FROM webhooks WHERE tenant_id = $1")
        .bind(tenant).fetch_one(c).await)?;
    Ok(count)
}

/// Adds a webhook.
pub(crate) async fn insert(conn: &mut Conn, row: &WebhookRow) -> Result<()> {
    on!(conn, c => sqlx::query(
        "INSERT INTO webhooks (tenant_id, id, url, events, description, enabled, since_seq, created_at,
            created_by, updated_at, updated_by, version)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)"
    )
    .bind(&row.tenant_id).bind(&row.id).bind(&row.url).bind(&row.events).bind(&row.description)
    .bind(row.enabled).bind(row.since_seq).bind(row.created_at).bind(&row.created_by).bind(row.updated_at)
    .bind(&row.updated_by).bind(row.version)
    .execute(c).await.map(drop))?;
    Ok(())
}

/// Writes all that people can change of a webhook. What is off holds nothing back: what waits for it ends.
pub(crate) async fn update(conn: &mut Conn, row: &WebhookRow) -> Result<()> {
    on!(conn, c => sqlx::query(
        "UPDATE webhooks SET url = $3, events = $4, description = $5, enabled = $6, disabled_reason = $7,
            since_seq = $8, updated_at = $9, updated_by = $10, version = $11,
            probe_at = CASE WHEN $6 THEN probe_at END
         WHERE tenant_id = $1 AND id = $2"
    )
    .bind(&row.tenant_id).bind(&row.id).bind(&row.url).bind(&row.events).bind(&row.description)
    .bind(row.enabled).bind(&row.disabled_reason).bind(row.since_seq)
    .bind(row.updated_at).bind(&row.updated_by).bind(row.version)
    .execute(c).await.map(drop))?;
    Ok(())
}

/// Removes a webhook, its secrets, its log, and what waits to be sent.
pub(crate) async fn delete(conn: &mut Conn, tenant: &str, id: &str) -> Result<()> {
    // In the order in which the end of an attempt takes them: otherwise each could wait for the other.
    const STATEMENTS: &[&str] = &[
        "DELETE FROM webhook_deliveries WHERE tenant_id = $1 AND webhook_id = $2",
        "DELETE FROM webhook_secrets WHERE tenant_id = $1 AND webhook_id = $2",
        "DELETE FROM webhooks WHERE tenant_id = $1 AND id = $2",
        "DELETE FROM jobs WHERE tenant_id = $1
            AND lane IN ('webhook ' || $1 || ' ' || $2, 'webhook ' || $1 || ' ' || $2 || ' test')",
    ];
    for statement in STATEMENTS {
        on!(conn, c => sqlx::query(*statement).bind(tenant).bind(id).execute(c).await.map(drop))?;
    }
    Ok(())
}

/// A delivery failed: nothing has been taken since then, unless that was so before, and the next is not
/// sent before `probe_at`.
pub(crate) async fn note_failure(
    conn: &mut Conn,
    tenant: &str,
    id: &str,
    since: i64,
    probe_at: i64,
) -> Result<()> {
    on!(conn, c => sqlx::query(
        "UPDATE webhooks SET failing_since = COALESCE(failing_since, $3),
            probe_at = CASE WHEN enabled THEN $4 END
         WHERE tenant_id = $1 AND id = $2"
    ).bind(tenant).bind(id).bind(since).bind(probe_at).execute(c).await.map(drop))?;
    Ok(())
}

/// How many of `most` messages a webhook may be sent now: none while its tenant is suspended, and while
/// it takes nothing one when it is time. Whoever gets that one holds all others off until `until`.
pub(crate) async fn admit(
    conn: &mut Conn,
    tenant: &str,
    id: &str,
    (now, until): (i64, i64),
    most: i64,
) -> Result<i64> {
    let row: Option<(Option<i64>, Option<i64>)> = on!(conn, c => sqlx::query_as(
        "SELECT w.probe_at, t.suspended_at FROM webhooks w JOIN tenants t ON t.id = w.tenant_id
         WHERE w.tenant_id = $1 AND w.id = $2"
    ).bind(tenant).bind(id).fetch_optional(c).await)?;
    match row {
        Some((_, Some(_))) => Ok(0),
        Some((Some(_), None)) if most > 0 => {
            let moved = on!(conn, c => sqlx::query(
                "UPDATE webhooks SET probe_at = $4 WHERE tenant_id = $1 AND id = $2 AND probe_at <= $3"
            ).bind(tenant).bind(id).bind(now).bind(until).execute(c).await.map(|done| done.rows_affected()))?;
            Ok(i64::from(moved > 0))
        }
        _ => Ok(most),
    }
}

/// What is held back is tried now.
pub(crate) async fn probe_now(conn: &mut Conn, tenant: &str, id: &str, now: i64) -> Result<()> {
    on!(conn, c => sqlx::query(
        "UPDATE webhooks SET probe_at = $3 WHERE tenant_id = $1 AND id = $2 AND probe_at > $3"
    ).bind(tenant).bind(id).bind(now).execute(c).await.map(drop))?;
    Ok(())
}

/// Administrators know that nothing is taken.
pub(crate) async fn note_told(conn: &mut Conn, tenant: &str, id: &str, now: i64) -> Result<()> {
    on!(conn, c => sqlx::query("UPDATE webhooks SET failing_told_at = $3 WHERE tenant_id = $1 AND id = $2")
        .bind(tenant).bind(id).bind(now).execute(c).await.map(drop))?;
    Ok(())
}

/// A delivery was taken, or the webhook begins anew.
pub(crate) async fn note_success(conn: &mut Conn, tenant: &str, id: &str) -> Result<()> {
    on!(conn, c => sqlx::query(
        "UPDATE webhooks SET failing_since = NULL, failing_told_at = NULL, probe_at = NULL
         WHERE tenant_id = $1 AND id = $2 AND failing_since IS NOT NULL"
    ).bind(tenant).bind(id).execute(c).await.map(drop))?;
    Ok(())
}

/// All webhooks of a tenant begin anew.
pub(crate) async fn forget_failures(conn: &mut Conn, tenant: &str) -> Result<()> {
    on!(conn, c => sqlx::query(
        "UPDATE webhooks SET failing_since = NULL, failing_told_at = NULL, probe_at = NULL
         WHERE tenant_id = $1 AND failing_since IS NOT NULL"
    ).bind(tenant).execute(c).await.map(drop))?;
    Ok(())
}

/// The secrets of a webhook that sign at a time, the newest first.
pub(crate) async fn secrets(conn: &mut Conn, tenant: &str, id: &str, now: i64) -> Result<Vec<SecretRow>> {
    Ok(on!(conn, c => sqlx::query_as(
        "SELECT * FROM webhook_secrets
         WHERE tenant_id = $1 AND webhook_id = $2 AND (retires_at IS NULL OR retires_at > $3)
         ORDER BY generation DESC"
    ).bind(tenant).bind(id).bind(now).fetch_all(c).await)?)
}

/// Adds a secret.
pub(crate) async fn insert_secret(conn: &mut Conn, row: &SecretRow) -> Result<()> {
    on!(conn, c => sqlx::query(
        "INSERT INTO webhook_secrets (tenant_id, webhook_id, generation, hmac, ed25519, public_key, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7)"
    )
    .bind(&row.tenant_id).bind(&row.webhook_id).bind(row.generation).bind(&row.hmac).bind(&row.ed25519)
    .bind(&row.public_key).bind(row.created_at)
    .execute(c).await.map(drop))?;
    Ok(())
}

/// Gives every secret of a webhook an end, unless it has an earlier one.
pub(crate) async fn retire_secrets(conn: &mut Conn, tenant: &str, id: &str, end: i64) -> Result<()> {
    on!(conn, c => sqlx::query(
        "UPDATE webhook_secrets SET retires_at = $3
         WHERE tenant_id = $1 AND webhook_id = $2 AND (retires_at IS NULL OR retires_at > $3)"
    ).bind(tenant).bind(id).bind(end).execute(c).await.map(drop))?;
    Ok(())
}

/// Adds a delivery.
pub(crate) async fn insert_delivery(conn: &mut Conn, row: &DeliveryRow) -> Result<()> {
    on!(conn, c => sqlx::query(
        "INSERT INTO webhook_deliveries (tenant_id, webhook_id, id, job_id, event_id, action, body, attempts,
            created_at, error)
         VALUES ($1, $2, $3, $4, $5, $6, $7, 0, $8, $9)"
    )
    .bind(&row.tenant_id).bind(&row.webhook_id).bind(&row.id).bind(&row.job_id).bind(&row.event_id)
    .bind(&row.action).bind(&row.body).bind(row.created_at).bind(&row.error)
    .execute(c).await.map(drop))?;
    Ok(())
}

/// One delivery.
pub(crate) async fn find_delivery(
    conn: &mut Conn,
    tenant: &str,
    webhook: &str,
    id: &str,
) -> Result<Option<DeliveryRow>> {
    Ok(on!(conn, c => sqlx::query_as(
        "SELECT d.*, CASE WHEN w.probe_at > j.due_at THEN w.probe_at ELSE j.due_at END AS due_at
         FROM webhook_deliveries d LEFT JOIN webhooks w ON w.tenant_id = d.tenant_id AND w.id = d.webhook_id
         LEFT JOIN jobs j ON j.tenant_id = d.tenant_id AND j.id = d.job_id
         WHERE d.tenant_id = $1 AND d.webhook_id = $2 AND d.id = $3"
    ).bind(tenant).bind(webhook).bind(id).fetch_optional(c).await)?)
}

/// Deliveries of a webhook, the newest event first, all or those in one state.
pub(crate) async fn list_deliveries(
    conn: &mut Conn,
    tenant: &str,
    webhook: &str,
    state: Option<&str>,
    page: &Page,
) -> Result<Listed<DeliveryRow>> {
    let before = page.after.as_ref().map(|p| p.id.as_str());
    let rows: Vec<DeliveryRow> = on!(conn, c => sqlx::query_as(
        "SELECT d.*, CASE WHEN w.probe_at > j.due_at THEN w.probe_at ELSE j.due_at END AS due_at
         FROM webhook_deliveries d LEFT JOIN webhooks w ON w.tenant_id = d.tenant_id AND w.id = d.webhook_id
         LEFT JOIN jobs j ON j.tenant_id = d.tenant_id AND j.id = d.job_id
         WHERE d.tenant_id = $1 AND d.webhook_id = $2 AND ($3 IS NULL OR d.id < $3)
           AND ($4 IS NULL OR $4 = CASE WHEN j.id IS NOT NULL THEN 'waiting'
                                        WHEN d.delivered_at IS NOT NULL THEN 'delivered' ELSE 'failed' END)
         ORDER BY d.id DESC LIMIT $5"
    ).bind(tenant).bind(webhook).bind(before).bind(state).bind(page.limit + 1).fetch_all(c).await)?;
    Ok(page.finish(rows, |row| Position { number: None, text: None, id: row.id.clone() }))
}

/// Writes how an attempt went.
pub(crate) async fn note_attempt(conn: &mut Conn, row: &DeliveryRow) -> Result<()> {
    on!(conn, c => sqlx::query(
        "UPDATE webhook_deliveries SET attempts = $4, attempted_at = $5,
            first_failed_at = COALESCE(first_failed_at, $6), delivered_at = $7, status_code = $8,
            response = $9, error = $10, duration_ms = $11
         WHERE tenant_id = $1 AND webhook_id = $2 AND id = $3"
    )
    .bind(&row.tenant_id).bind(&row.webhook_id).bind(&row.id).bind(row.attempts).bind(row.attempted_at)
    .bind(row.first_failed_at).bind(row.delivered_at).bind(row.status_code).bind(&row.response)
    .bind(&row.error).bind(row.duration_ms)
    .execute(c).await.map(drop))?;
    Ok(())
}

/// Another job sends it once more, as if it were new.
pub(crate) async fn renew_delivery(conn: &mut Conn, row: &DeliveryRow, job: &str) -> Result<()> {
    on!(conn, c => sqlx::query(
        "UPDATE webhook_deliveries SET job_id = $4, attempts = 0, first_failed_at = NULL, delivered_at = NULL
         WHERE tenant_id = $1 AND webhook_id = $2 AND id = $3"
    ).bind(&row.tenant_id).bind(&row.webhook_id).bind(&row.id).bind(job).execute(c).await.map(drop))?;
    Ok(())
}

/// Forgets deliveries of all tenants that are older, unless they still wait, and secrets that are over.
pub(crate) async fn prune(conn: &mut Conn, before: i64, now: i64) -> Result<()> {
    on!(conn, c => sqlx::query(
        "DELETE FROM webhook_deliveries
         WHERE created_at < $1 AND NOT EXISTS (SELECT 1 FROM jobs j WHERE j.id = webhook_deliveries.job_id)"
    ).bind(before).execute(c).await.map(drop))?;
    on!(conn, c => sqlx::query("DELETE FROM webhook_secrets WHERE retires_at <= $1")
        .bind(now).execute(c).await.map(drop))?;
    Ok(())
}
