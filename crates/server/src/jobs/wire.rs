//! What callers see of jobs.

use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::clock::rfc3339;
use crate::error::{Error, Result};
use crate::store::jobs::JobRow;

/// Something that leaves the server: a mail, or an event to a webhook.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct JobOut {
    pub(crate) id: String,
    /// `mail` or `webhook`.
    pub(crate) kind: String,
    /// `waiting` or `failed`; what is done is gone.
    pub(crate) state: &'static str,
    /// What it is about: of a mail the user, the kind of news and the event; of an event to a webhook that
    /// and the delivery, whose log tells more.
    #[schema(value_type = Object)]
    pub(crate) about: Value,
    /// Attempts so far.
    pub(crate) attempts: i64,
    /// When it is tried next; `null` when it is given up.
    pub(crate) due_at: Option<String>,
    /// Since when it is given up.
    pub(crate) failed_at: Option<String>,
    /// Why the last attempt failed.
    pub(crate) last_error: Option<String>,
    pub(crate) created_at: String,
}

impl JobOut {
    pub(super) fn of(row: JobRow) -> Result<Self> {
        let payload: Value = serde_json::from_str(&row.payload).map_err(Error::internal)?;
        let news = payload.get("news").unwrap_or(&Value::Null);
        let about = match row.kind.as_str() {
            "webhook" => payload,
            _ => serde_json::json!({
                "user_id": payload.get("user_id"),
                "kind": news.get("kind"),
                "event_id": news.get("event_id"),
            }),
        };
        Ok(Self {
            about,
            id: row.id,
            kind: row.kind,
            state: if row.failed_at.is_some() { "failed" } else { "waiting" },
            attempts: row.attempts,
            due_at: row.failed_at.is_none().then(|| rfc3339(row.due_at)),
            failed_at: row.failed_at.map(rfc3339),
            last_error: row.last_error,
            created_at: rfc3339(row.created_at),
        })
    }
}
