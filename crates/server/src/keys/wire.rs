//! What clients send and get about keys.

use keyward_core::credit::Refill;
use keyward_core::key::{Conditions, KeyClass, Status};
use keyward_core::limit::RateLimit;
use keyward_core::policy::Validity;
use keyward_core::rotation::Rotation;
use keyward_core::secret::Secret;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::Value;
use utoipa::ToSchema;

use super::rotation::RotationOut;
use super::rules;
use crate::clock::rfc3339;
use crate::credits::{CreditsOut, Wish};
use crate::error::Result;
use crate::handovers::{HandoverIn, HandoverLink};
use crate::store::keys::KeyRow;
use crate::wire::present;

/// A key to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct KeyIn {
    /// `member`, `workspace` or `ingest`.
    #[schema(value_type = String, example = "member")]
    pub(crate) class: KeyClass,
    /// Owner of a member key; the caller's own user unless given.
    pub(crate) owner_id: Option<String>,
    /// A name for people, 1 to 100 characters. It never authenticates.
    pub(crate) label: String,
    /// Rights to narrow the key to; absent is all that its owner (or its roles) may do.
    pub(crate) scopes: Option<Vec<String>>,
    /// Groups of a workspace key.
    #[serde(default)]
    pub(crate) group_ids: Vec<String>,
    /// Roles of a workspace key; `admin` unless roles or groups are given.
    #[serde(default)]
    pub(crate) role_ids: Vec<String>,
    /// When it begins to be valid, RFC 3339.
    pub(crate) not_before: Option<String>,
    /// When it ends, RFC 3339.
    pub(crate) expires_at: Option<String>,
    /// Or: seconds from now.
    pub(crate) ttl_seconds: Option<i64>,
    /// Or: `never`, where policy allows it.
    pub(crate) expires: Option<String>,
    /// Where and how it may be used.
    #[schema(value_type = Option<Object>)]
    pub(crate) conditions: Option<Value>,
    /// Named rate limits.
    #[schema(value_type = Option<Vec<Object>>)]
    pub(crate) limits: Option<Vec<RateLimit>>,
    /// Uses that it is good for.
    pub(crate) credits: Option<i64>,
    /// How they come back: `{amount, every | every_seconds, cap}`, `every` one of hour, day, week, month.
    #[schema(value_type = Option<Object>)]
    pub(crate) credit_refill: Option<Refill>,
    /// Ends after so many seconds without use.
    pub(crate) idle_seconds: Option<i64>,
    /// A trap: whoever uses it is refused as with a wrong secret, and it is told.
    #[serde(default)]
    pub(crate) canary: bool,
    /// How an ingest key rotates by itself: `{every_days, grace_days}` or `never`; as the policy
    /// says unless given.
    #[serde(default, deserialize_with = "present")]
    #[schema(value_type = Option<Value>)]
    pub(crate) rotation: Option<Option<Rotation>>,
    /// Hands the secret over by a link that opens it once, in place of showing it.
    pub(crate) handover: Option<HandoverIn>,
}

impl KeyIn {
    /// One of which nothing but this is asked: policy and the caller's own user say the rest.
    pub(crate) fn new(class: KeyClass, label: impl Into<String>) -> Self {
        Self {
            class,
            owner_id: None,
            label: label.into(),
            scopes: None,
            group_ids: Vec::new(),
            role_ids: Vec::new(),
            not_before: None,
            expires_at: None,
            ttl_seconds: None,
            expires: None,
            conditions: None,
            limits: None,
            credits: None,
            credit_refill: None,
            idle_seconds: None,
            canary: false,
            rotation: None,
            handover: None,
        }
    }
}

/// What can be edited; absent fields stay (RFC 7396).
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct KeyPatch {
    /// A name for people.
    pub(crate) label: Option<String>,
    /// Rights to narrow the key to; `null` is all.
    #[serde(deserialize_with = "present")]
    pub(crate) scopes: Option<Option<Vec<String>>>,
    /// Groups of a workspace key.
    pub(crate) group_ids: Option<Vec<String>>,
    /// Roles of a workspace key.
    pub(crate) role_ids: Option<Vec<String>>,
    /// When it ends, RFC 3339.
    pub(crate) expires_at: Option<String>,
    /// Or: seconds from now.
    pub(crate) ttl_seconds: Option<i64>,
    /// Or: `never`, where policy allows it.
    pub(crate) expires: Option<String>,
    /// Where and how it may be used; `null` is anywhere.
    #[serde(deserialize_with = "present")]
    #[schema(value_type = Option<Object>)]
    pub(crate) conditions: Option<Option<Value>>,
    /// Named rate limits; `null` is none.
    #[serde(deserialize_with = "present")]
    #[schema(value_type = Option<Vec<Object>>)]
    pub(crate) limits: Option<Option<Vec<RateLimit>>>,
    /// Grants so many uses anew; `null` lifts the limit.
    #[serde(deserialize_with = "present")]
    pub(crate) credits: Option<Option<i64>>,
    /// How credits come back from now on; `null` not at all.
    #[serde(deserialize_with = "present")]
    #[schema(value_type = Option<Object>)]
    pub(crate) credit_refill: Option<Option<Refill>>,
    /// Ends after so many seconds without use; `null` lifts it.
    #[serde(deserialize_with = "present")]
    pub(crate) idle_seconds: Option<Option<i64>>,
    /// How an ingest key rotates by itself, counted from now; `never` or `null` not at all.
    #[serde(deserialize_with = "present")]
    #[schema(value_type = Option<Value>)]
    pub(crate) rotation: Option<Option<Rotation>>,
}

impl KeyPatch {
    /// What it asks of credits.
    pub(super) fn credit_wish(&self) -> Wish {
        Wish { grant: self.credits, refill: self.credit_refill }
    }
}

/// A new end of a key.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ExtendIn {
    /// When it ends, RFC 3339.
    pub(crate) expires_at: Option<String>,
    /// Or: seconds from now.
    pub(crate) ttl_seconds: Option<i64>,
    /// Or: `never`, where policy allows it.
    pub(crate) expires: Option<String>,
}

impl ExtendIn {
    /// What it asks for.
    pub(crate) fn wish(&self) -> Result<Validity> {
        rules::validity(self.expires_at.as_deref(), self.ttl_seconds, self.expires.as_deref())
    }
}

/// How to rotate.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct RotateIn {
    /// How long the older secrets go on working: 0 to 90 days in seconds, a day unless given.
    pub(crate) overlap_seconds: i64,
    /// Hands the new secret over by a link that opens it once, in place of showing it.
    pub(crate) handover: Option<HandoverIn>,
}

impl Default for RotateIn {
    fn default() -> Self {
        Self { overlap_seconds: 86_400, handover: None }
    }
}

/// Which keys to revoke, and whether to.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct BulkRevokeIn {
    /// Which keys.
    pub(crate) filter: BulkFilter,
    /// Why, for the audit log.
    pub(crate) reason: Option<String>,
    /// Only tell what would be revoked.
    #[serde(default)]
    pub(crate) preview: bool,
    /// `revoke N` with the number that the preview told.
    pub(crate) confirm: Option<String>,
}

/// At least one criterion, or `all`.
#[derive(Debug, Default, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct BulkFilter {
    /// Keys of this user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) owner_id: Option<String>,
    /// Keys of this class.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub(crate) class: Option<KeyClass>,
    /// Keys with this status.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub(crate) status: Option<Status>,
    /// Keys with exactly this label.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) label: Option<String>,
    /// Keys with this in their label, in whichever case.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) label_contains: Option<String>,
    /// Keys made before, RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) created_before: Option<String>,
    /// Keys made after, RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) created_after: Option<String>,
    /// Keys not used since, RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) last_used_before: Option<String>,
    /// Every key of the tenant but the one that asks.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(crate) all: bool,
}

/// A key.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct KeyOut {
    pub(crate) id: String,
    /// The public half; user name of Basic authentication. It never authenticates by itself.
    pub(crate) access_key: String,
    pub(crate) tenant_id: String,
    #[schema(value_type = String)]
    pub(crate) class: KeyClass,
    pub(crate) owner_id: Option<String>,
    pub(crate) owner_username: Option<String>,
    pub(crate) label: String,
    #[schema(value_type = String)]
    pub(crate) status: Status,
    /// The reason code when suspended, `approval_pending` when nobody has approved the key yet.
    pub(crate) status_cause: Option<&'static str>,
    pub(crate) scopes: Option<Vec<String>>,
    pub(crate) role_ids: Vec<String>,
    pub(crate) group_ids: Vec<String>,
    /// What the key may do right now; on single reads.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) effective_rights: Option<Vec<String>>,
    /// Whether that is everything in the tenant.
    pub(crate) has_admin_rights: bool,
    pub(crate) created_at: String,
    pub(crate) created_by: String,
    pub(crate) updated_at: String,
    pub(crate) updated_by: String,
    pub(crate) not_before: Option<String>,
    pub(crate) expires_at: Option<String>,
    pub(crate) never_expires: bool,
    pub(crate) revoked_at: Option<String>,
    pub(crate) revoked_by: Option<String>,
    pub(crate) revoked_reason: Option<String>,
    pub(crate) last_used_at: Option<String>,
    #[schema(value_type = Option<Object>)]
    pub(crate) conditions: Option<Conditions>,
    #[schema(value_type = Vec<Object>)]
    pub(crate) limits: Vec<RateLimit>,
    pub(crate) credits: Option<CreditsOut>,
    pub(crate) idle_seconds: Option<i64>,
    /// A trap: every use of it is refused, and told as `key.canary_used`.
    pub(crate) canary: bool,
    /// How it rotates by itself; `null` when it does not.
    pub(crate) rotation: Option<RotationOut>,
    /// Where it came from, when it was not made here.
    pub(crate) imported: Option<ImportedOut>,
    /// Nobody has approved it yet: it is refused until somebody does.
    pub(crate) awaits_approval: bool,
    pub(crate) approved_at: Option<String>,
    pub(crate) approved_by: Option<String>,
    /// Every secret that was ever made, oldest first.
    pub(crate) secrets: Vec<SecretOut>,
    /// When the secret was seen in a URL: replace it.
    pub(crate) exposed_at: Option<String>,
    pub(crate) version: i64,
}

/// Where an imported key came from.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ImportedOut {
    /// The name of the import.
    pub(crate) source: String,
    /// What the key is called there.
    pub(crate) external_id: String,
    pub(crate) at: String,
}

/// One secret version, without the secret.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SecretOut {
    /// 1 for the first, one more with each rotation.
    pub(crate) generation: i64,
    /// Prefix and last four characters.
    pub(crate) hint: String,
    pub(crate) created_at: String,
    pub(crate) retires_at: Option<String>,
    pub(crate) last_seen_at: Option<String>,
    /// Whether it is accepted right now, as far as the secret itself goes.
    pub(crate) live: bool,
}

/// A key with its secret: the only answer that ever holds one.
#[derive(Serialize, ToSchema)]
pub(crate) struct KeyCreated {
    #[serde(flatten)]
    pub(crate) key: KeyOut,
    /// Shown once. `null` when nothing was made or the answer is a replay.
    #[serde(serialize_with = "expose")]
    #[schema(value_type = Option<String>)]
    pub(crate) secret: Option<Secret>,
    /// `shown_once`, `handed_over` (by `handover`), `delivered` (a replay) or `not_made` (`validate_only`).
    pub(crate) secret_state: &'static str,
    /// Access key, secret and tenant in one line (BM11).
    #[schema(value_type = Option<String>)]
    #[serde(serialize_with = "expose")]
    pub(crate) copy: Option<Secret>,
    /// The link that opens the secret once, where that was wished.
    pub(crate) handover: Option<HandoverLink>,
}

/// A secret that was handed over, with all that its holder needs.
#[derive(Serialize, ToSchema)]
pub(crate) struct Revealed {
    pub(crate) key_id: String,
    pub(crate) access_key: String,
    /// Shown once.
    #[serde(serialize_with = "expose")]
    #[schema(value_type = Option<String>)]
    pub(crate) secret: Option<Secret>,
    /// `shown_once`.
    pub(crate) secret_state: &'static str,
    pub(crate) tenant_id: String,
    pub(crate) label: String,
    /// When the key ends; `null` is never.
    pub(crate) expires_at: Option<String>,
    /// Access key, secret and tenant in one line (BM11).
    #[schema(value_type = Option<String>)]
    #[serde(serialize_with = "expose")]
    pub(crate) copy: Option<Secret>,
}

impl Revealed {
    /// The secret of a key, told to whoever it was handed over to.
    pub(crate) fn new(key: &KeyRow, secret: Secret) -> Self {
        let access_key = format!("kwa_{}", key.access_key);
        let copy = copy_line(&access_key, &secret, &key.tenant_id);
        Self {
            key_id: key.id.clone(),
            secret: Some(secret),
            secret_state: "shown_once",
            tenant_id: key.tenant_id.clone(),
            label: key.label.clone(),
            expires_at: key.expires_at.map(rfc3339),
            copy: Some(copy),
            access_key,
        }
    }
}

/// The line of BM11.
fn copy_line(access_key: &str, secret: &Secret, tenant: &str) -> Secret {
    Secret::new(format!("key:{access_key}::{},tenant id: {tenant}", secret.expose()))
}

impl KeyCreated {
    /// The one time that the secret is told.
    pub(crate) fn new(key: KeyOut, secret: Secret) -> Self {
        let copy = copy_line(&key.access_key, &secret, &key.tenant_id);
        Self { key, secret: Some(secret), secret_state: "shown_once", copy: Some(copy), handover: None }
    }

    /// The same with a link in place of the secret.
    pub(crate) fn handed_over(self, link: HandoverLink) -> Self {
        Self { handover: Some(link), ..self.without_secret("handed_over") }
    }

    /// The same without the secret.
    pub(crate) fn without_secret(mut self, state: &'static str) -> Self {
        self.secret = None;
        self.copy = None;
        self.secret_state = state;
        self
    }
}

/// Writes a secret out: for the one answer that holds it.
pub(crate) fn expose<S: Serializer>(secret: &Option<Secret>, serializer: S) -> Result<S::Ok, S::Error> {
    secret.as_ref().map(Secret::expose).serialize(serializer)
}

/// A key in the list of a bulk operation.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct BulkKey {
    pub(crate) id: String,
    pub(crate) access_key: String,
    pub(crate) label: String,
    #[schema(value_type = String)]
    pub(crate) class: KeyClass,
    pub(crate) owner_id: Option<String>,
    pub(crate) owner_username: Option<String>,
}

/// What a bulk operation found and did.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct BulkOut {
    /// Keys that match.
    pub(crate) matched: usize,
    /// Keys that were revoked: 0 in a preview.
    pub(crate) revoked: usize,
    /// What to send as `confirm`.
    pub(crate) confirm: String,
    /// The keys that match, 1000 at most.
    pub(crate) keys: Vec<BulkKey>,
}

/// Use of a key.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct UsageOut {
    pub(crate) total: UsageTotal,
    pub(crate) last_used_at: Option<String>,
    pub(crate) last_used_address: Option<String>,
    pub(crate) last_used_agent: Option<String>,
    pub(crate) hours: Vec<UsageHour>,
}

/// Sums over the hours asked for.
#[derive(Debug, Default, Serialize, ToSchema)]
pub(crate) struct UsageTotal {
    pub(crate) allowed: i64,
    pub(crate) denied: i64,
}

/// Uses in one hour with one outcome.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct UsageHour {
    pub(crate) hour: String,
    /// `ok` or a reason code.
    pub(crate) outcome: String,
    pub(crate) count: i64,
}
