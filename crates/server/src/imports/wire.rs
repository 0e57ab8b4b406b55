//! What clients send about keys to be brought along, and what they get.

use keyward_core::credit::Refill;
use keyward_core::key::KeyClass;
use keyward_core::limit::RateLimit;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::formats::Format;

/// Rows of one import; a large one comes in several requests of the same name.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ImportIn {
    /// The name of the import, as in `unkey`. A row is known again by it and its `external_id`.
    pub(crate) source: String,
    /// How the credentials were hashed: `sha256`, `sha512`, `hmac_sha256`, `bcrypt`, `argon2`, `django`,
    /// `plain`, or whose they are: `unkey`, `better_auth`, `drf_api_key`, `kong`.
    #[schema(value_type = String, example = "sha256")]
    pub(crate) format: Format,
    /// The key of `hmac_sha256`: text, or bytes as `hex:…` or `base64:…`. The same in all requests of an import.
    pub(crate) hmac_key: Option<String>,
    /// Skip rows that were imported already, instead of refusing them.
    #[serde(default)]
    pub(crate) resume: bool,
    /// 1 to 2000.
    pub(crate) rows: Vec<RowIn>,
}

/// One key.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RowIn {
    /// What the key is called elsewhere, 1 to 200 characters.
    pub(crate) external_id: String,
    /// Its hash, or itself where the format is `plain`.
    pub(crate) hash: String,
    /// The first characters of the credential, 4 to 64 of them, where the hash is slow: it is found by them.
    pub(crate) lookup_prefix: Option<String>,
    /// A few characters by which people know it again, shown in lists; never the whole.
    pub(crate) hint: Option<String>,
    /// A name for people; `external_id` unless given.
    pub(crate) label: Option<String>,
    /// `member` unless given.
    #[serde(default = "member")]
    #[schema(value_type = String, example = "member")]
    pub(crate) class: KeyClass,
    /// User name or id of the owner of a member key; the caller's own user unless given.
    pub(crate) owner: Option<String>,
    /// Rights to narrow the key to.
    pub(crate) scopes: Option<Vec<String>>,
    /// Names or ids of roles of a workspace key.
    #[serde(default)]
    pub(crate) roles: Vec<String>,
    /// Names or ids of groups of a workspace key.
    #[serde(default)]
    pub(crate) groups: Vec<String>,
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
    /// How they come back by themselves.
    #[schema(value_type = Option<Object>)]
    pub(crate) credit_refill: Option<Refill>,
    /// Ends after so many seconds without use.
    pub(crate) idle_seconds: Option<i64>,
}

fn member() -> KeyClass {
    KeyClass::Member
}

/// What became of the rows.
#[derive(Debug, Default, Serialize, ToSchema)]
#[schema(as = ImportReport)]
pub(crate) struct ImportOut {
    pub(crate) source: String,
    /// Rows that came.
    pub(crate) rows: usize,
    /// Keys that were made, or would be (`validate_only`).
    pub(crate) imported: usize,
    /// Rows that were imported before.
    pub(crate) skipped: usize,
    /// Rows that were refused, and changed nothing.
    pub(crate) failed: usize,
    pub(crate) errors: Vec<RowNote>,
    pub(crate) warnings: Vec<RowNote>,
}

/// A word about one row.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ImportNote)]
pub(crate) struct RowNote {
    /// Its place among the rows, from 0.
    pub(crate) row: usize,
    pub(crate) external_id: String,
    /// Stable word for programs.
    pub(crate) code: String,
    /// The member that it is about, as a JSON pointer into the row.
    pub(crate) pointer: Option<String>,
    pub(crate) detail: String,
}
