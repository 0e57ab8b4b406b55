//! Erasing what is known of a person, in whatever table it stands.

use super::{Conn, on};
use crate::error::Result;

/// Their own rows, and those of their keys.
const OWN: &[&str] = &[
    "UPDATE keys SET label = '[erased]' WHERE tenant_id = $1 AND owner_id = $2",
    "UPDATE key_seen SET address = NULL, agent = NULL WHERE tenant_id = $1 AND key_id IN
        (SELECT k.id FROM keys k WHERE k.tenant_id = $1 AND k.owner_id = $2)",
    "UPDATE handovers SET opened_from = NULL WHERE tenant_id = $1 AND key_id IN
        (SELECT k.id FROM keys k WHERE k.tenant_id = $1 AND k.owner_id = $2)",
    "DELETE FROM key_networks WHERE tenant_id = $1 AND key_id IN
        (SELECT k.id FROM keys k WHERE k.tenant_id = $1 AND k.owner_id = $2)",
    "DELETE FROM sessions WHERE tenant_id = $1 AND holder_id = $2",
    "DELETE FROM notification_wishes WHERE tenant_id = $1 AND user_id = $2",
    "DELETE FROM notifications WHERE tenant_id = $1 AND user_id = $2",
    "DELETE FROM mail_pauses WHERE tenant_id = $1 AND user_id = $2",
];

/// What was told of them and of their keys: texts that name either id. An operator is told of in other
/// tenants too.
const TOLD: &[&str] = &[
    "DELETE FROM notifications WHERE news LIKE '%' || $2 || '%' OR EXISTS (SELECT 1 FROM keys k
        WHERE k.tenant_id = $1 AND k.owner_id = $2 AND notifications.news LIKE '%' || k.id || '%')",
    "DELETE FROM webhook_deliveries WHERE body LIKE '%' || $2 || '%' OR EXISTS (SELECT 1 FROM keys k
        WHERE k.tenant_id = $1 AND k.owner_id = $2 AND webhook_deliveries.body LIKE '%' || k.id || '%')",
    "DELETE FROM jobs WHERE payload LIKE '%' || $2 || '%' OR EXISTS (SELECT 1 FROM keys k
        WHERE k.tenant_id = $1 AND k.owner_id = $2 AND jobs.payload LIKE '%' || k.id || '%')",
    "DELETE FROM idempotency WHERE body LIKE '%' || $2 || '%' OR EXISTS (SELECT 1 FROM keys k
        WHERE k.tenant_id = $1 AND k.owner_id = $2 AND idempotency.body LIKE '%' || k.id || '%')",
    // Whoever is deleted applies nothing any more.
    "UPDATE policy_drafts SET scheduled_by = NULL, starts_at = NULL,
        state = CASE WHEN state = 'scheduled' THEN 'draft' ELSE state END
     WHERE tenant_id = $1 AND scheduled_by LIKE '%' || $2 || '%'",
];

/// Erases a deleted user; returns how many events named them.
pub(crate) async fn erase(conn: &mut Conn, tenant: &str, id: &str, now: i64) -> Result<u64> {
    on!(conn, c => sqlx::query(
        "UPDATE users SET username = '[erased]', username_key = id, username_skeleton = id, email = NULL,
            display_name = NULL, suspended_reason = NULL, language = NULL, theme = NULL, zone = NULL,
            single_keys = NULL, erased_at = $3, updated_at = $3, version = version + 1
         WHERE tenant_id = $1 AND id = $2"
    ).bind(tenant).bind(id).bind(now).execute(c).await.map(drop))?;
    for statement in OWN.iter().chain(TOLD) {
        on!(conn, c => sqlx::query(*statement).bind(tenant).bind(id).execute(c).await.map(drop))?;
    }
    let events = on!(conn, c => sqlx::query("DELETE FROM audit_personal WHERE subject_id = $1")
        .bind(id).execute(c).await.map(|done| done.rows_affected()))?;
    Ok(events)
}
