//! What callers send and see of webhooks.

use keyward_core::secret::Secret;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::Value;
use utoipa::ToSchema;

use crate::clock::rfc3339;
use crate::error::{Error, Result};
use crate::outbound::guard::Destination;
use crate::store::webhooks::{DeliveryRow, SecretRow, WebhookRow};
use crate::wire::present;

/// Longest overlap of a rotation: 30 days.
pub(super) const MAX_OVERLAP: i64 = 30 * 86_400;

/// A webhook to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct WebhookIn {
    /// Where events are sent by POST: https:// on port 443 or 8443, at public addresses, unless the operator
    /// allows more.
    pub(crate) url: String,
    /// Which events: actions of the audit log such as `user.delete`, `key.*` for all of a kind, `*` for all.
    pub(crate) events: Vec<String>,
    /// What it is for.
    #[serde(default)]
    pub(crate) description: String,
    /// `false`: nothing is sent for now, but tests.
    #[serde(default = "yes")]
    pub(crate) enabled: bool,
}

fn yes() -> bool {
    true
}

/// What can be edited; absent fields stay (RFC 7396).
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct WebhookPatch {
    /// Another address; what waits goes there too. Needs a fresh session.
    pub(crate) url: Option<String>,
    /// Exactly these.
    pub(crate) events: Option<Vec<String>>,
    /// `null` is none.
    #[serde(deserialize_with = "present")]
    #[schema(value_type = Option<String>)]
    pub(crate) description: Option<Option<String>>,
    /// Switched on again, it begins as if it had never failed.
    pub(crate) enabled: Option<bool>,
}

/// How its secret is replaced.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct WebhookRotateIn {
    /// For so long messages carry the signatures of both; 86400 unless given, 0 to 2592000.
    #[serde(default = "a_day")]
    pub(crate) overlap_seconds: i64,
}

fn a_day() -> i64 {
    86_400
}

/// A webhook.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct WebhookOut {
    pub(crate) id: String,
    pub(crate) tenant_id: String,
    pub(crate) url: String,
    pub(crate) events: Vec<String>,
    pub(crate) description: String,
    pub(crate) enabled: bool,
    /// Why the server switched it off: `gone` (it answered 410) or `failing`.
    pub(crate) disabled_reason: Option<String>,
    /// Since when nothing was taken.
    pub(crate) failing_since: Option<String>,
    /// The secrets that sign, the newest first.
    pub(crate) secrets: Vec<WebhookSecretOut>,
    pub(crate) created_at: String,
    pub(crate) created_by: String,
    pub(crate) updated_at: String,
    pub(crate) updated_by: String,
    pub(crate) version: i64,
}

/// What is known of a secret of a webhook.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct WebhookSecretOut {
    pub(crate) generation: i64,
    /// `whpk_…`: checks the signatures `v1a` (Ed25519).
    pub(crate) public_key: String,
    pub(crate) created_at: String,
    /// When it signs no more.
    pub(crate) retires_at: Option<String>,
}

impl WebhookOut {
    pub(super) fn of(row: WebhookRow, secrets: Vec<SecretRow>) -> Result<Self> {
        Ok(Self {
            events: patterns(&row)?,
            id: row.id,
            tenant_id: row.tenant_id,
            url: row.url,
            description: row.description,
            enabled: row.enabled,
            disabled_reason: row.disabled_reason,
            failing_since: row.failing_since.map(rfc3339),
            secrets: secrets.into_iter().map(WebhookSecretOut::of).collect(),
            created_at: rfc3339(row.created_at),
            created_by: row.created_by,
            updated_at: rfc3339(row.updated_at),
            updated_by: row.updated_by,
            version: row.version,
        })
    }

    /// As the audit log has it: paths of webhooks are often secret.
    pub(super) fn audited(&self) -> Self {
        Self { url: origin(&self.url), ..self.clone() }
    }
}

impl WebhookSecretOut {
    fn of(row: SecretRow) -> Self {
        Self {
            generation: row.generation,
            public_key: row.public_key,
            created_at: rfc3339(row.created_at),
            retires_at: row.retires_at.map(rfc3339),
        }
    }
}

/// What a webhook asked for.
pub(super) fn patterns(row: &WebhookRow) -> Result<Vec<String>> {
    serde_json::from_str(&row.events).map_err(Error::internal)
}

/// What may be told of a URL to those who see no webhooks.
pub(super) fn origin(url: &str) -> String {
    Destination::parse(url).map_or_else(|_| "–".into(), |place| place.origin)
}

/// A webhook with its secret, shown once.
#[derive(Serialize, ToSchema)]
pub(crate) struct WebhookMade {
    #[serde(flatten)]
    pub(crate) webhook: WebhookOut,
    /// `whsec_…`: checks the signatures `v1` (HMAC-SHA-256). Nobody can show it again.
    #[serde(serialize_with = "exposed")]
    #[schema(value_type = Option<String>)]
    pub(crate) secret: Option<Secret>,
    /// `shown`, or `not_made` in a dry run.
    secret_state: &'static str,
}

impl WebhookMade {
    pub(super) fn new(webhook: WebhookOut, secret: Secret, dry_run: bool) -> Self {
        let secret_state = if dry_run { "not_made" } else { "shown" };
        Self { webhook, secret: Some(secret).filter(|_| !dry_run), secret_state }
    }
}

fn exposed<S: Serializer>(secret: &Option<Secret>, serializer: S) -> Result<S::Ok, S::Error> {
    secret.as_ref().map(Secret::expose).serialize(serializer)
}

/// A test that is on its way.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct WebhookTestOut {
    pub(crate) webhook_id: String,
    /// `webhook.test`.
    pub(crate) event: &'static str,
    /// The delivery with this request id tells how it went.
    pub(crate) request_id: String,
}

/// A message to a webhook, and how the last attempt went.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DeliveryOut {
    /// Its `webhook-id`, the same at each attempt.
    pub(crate) id: String,
    pub(crate) webhook_id: String,
    /// The type of the event.
    pub(crate) event: String,
    /// The event in the audit log.
    pub(crate) event_id: String,
    /// The request that brought the event about.
    pub(crate) request_id: Option<String>,
    /// `waiting`, `delivered` or `failed`.
    pub(crate) state: &'static str,
    /// Attempts so far.
    pub(crate) attempts: i64,
    /// What the endpoint answered last.
    pub(crate) status_code: Option<i64>,
    /// The first KiB of that, without control characters.
    pub(crate) response: Option<String>,
    /// Why it did not count.
    pub(crate) error: Option<String>,
    pub(crate) duration_ms: Option<i64>,
    pub(crate) created_at: String,
    pub(crate) attempted_at: Option<String>,
    pub(crate) delivered_at: Option<String>,
    /// When it is tried next, at the latest.
    pub(crate) next_attempt_at: Option<String>,
}

impl DeliveryOut {
    pub(super) fn of(row: DeliveryRow) -> Result<Self> {
        let body: Value = serde_json::from_str(&row.body).map_err(Error::internal)?;
        Ok(Self {
            state: match (row.due_at, row.delivered_at) {
                (Some(_), _) => "waiting",
                (None, Some(_)) => "delivered",
                (None, None) => "failed",
            },
            request_id: body["data"]["request_id"].as_str().map(ToOwned::to_owned),
            id: row.id,
            webhook_id: row.webhook_id,
            event: row.action,
            event_id: row.event_id,
            attempts: row.attempts,
            status_code: row.status_code,
            response: row.response,
            error: row.error,
            duration_ms: row.duration_ms,
            created_at: rfc3339(row.created_at),
            attempted_at: row.attempted_at.map(rfc3339),
            delivered_at: row.delivered_at.map(rfc3339),
            next_attempt_at: row.due_at.map(rfc3339),
        })
    }
}
