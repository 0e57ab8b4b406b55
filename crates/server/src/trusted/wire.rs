//! What the API takes and shows of trusted secrets and the tokens asked for with them.

use keyward_core::secret::Secret;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::ceiling::Ceiling;
use crate::clock::rfc3339;
use crate::error::Result;
use crate::store::trusted::TrustedRow;

/// Switching trusted authentication on.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct EnableIn {
    /// A name, unique in the tenant; `default` unless given.
    pub(crate) name: Option<String>,
    /// How far it reaches; what is left out has its default.
    #[schema(value_type = Option<Ceiling>)]
    pub(crate) ceiling: Option<Value>,
}

/// Switching it off.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct DisableIn {
    /// Which secret; the one named `default` unless given.
    pub(crate) id: Option<String>,
    /// Must be true: the secret and every token of it end at once, for good.
    pub(crate) confirm: bool,
}

/// Which secret to show once more.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct CopyIn {
    /// The one named `default` unless given.
    pub(crate) id: Option<String>,
}

/// What can be edited; absent fields stay (RFC 7396).
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct TrustedPatch {
    pub(crate) name: Option<String>,
    /// A merge patch of the ceiling; `null` brings a default back.
    #[schema(value_type = Option<Ceiling>)]
    pub(crate) ceiling: Option<Value>,
}

/// How to rotate.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct TrustedRotateIn {
    /// How long the generation before goes on; a day unless given, 0 ends it and its tokens at once.
    pub(crate) overlap_seconds: i64,
}

impl Default for TrustedRotateIn {
    fn default() -> Self {
        Self { overlap_seconds: 86_400 }
    }
}

/// A trusted secret without the secret.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct TrustedOut {
    pub(crate) id: String,
    pub(crate) tenant_id: String,
    pub(crate) name: String,
    /// `enabled` or `disabled`.
    pub(crate) state: &'static str,
    pub(crate) ceiling: Ceiling,
    /// Oldest first.
    pub(crate) generations: Vec<GenerationOut>,
    pub(crate) created_at: String,
    pub(crate) created_by: String,
    pub(crate) updated_at: String,
    pub(crate) updated_by: String,
    pub(crate) ended_at: Option<String>,
    pub(crate) ended_by: Option<String>,
    pub(crate) version: i64,
}

/// One generation of a trusted secret.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct GenerationOut {
    pub(crate) generation: i64,
    /// Its beginning and end.
    pub(crate) hint: String,
    pub(crate) created_at: String,
    pub(crate) retires_at: Option<String>,
    /// The last token that was asked for with it; written within a minute.
    pub(crate) last_seen_at: Option<String>,
    pub(crate) live: bool,
}

impl TrustedOut {
    /// As it is at `now`.
    pub(crate) fn of(row: TrustedRow, now: i64) -> Result<Self> {
        let generation = |row: crate::store::trusted::GenerationRow| GenerationOut {
            live: row.retires_at.is_none_or(|end| end > now),
            generation: row.generation,
            hint: row.hint,
            created_at: rfc3339(row.created_at),
            retires_at: row.retires_at.map(rfc3339),
            last_seen_at: row.seen_at.map(rfc3339),
        };
        Ok(Self {
            state: if row.ended_at.is_some() { "disabled" } else { "enabled" },
            ceiling: Ceiling::of(&row)?,
            generations: row.generation_rows()?.into_iter().map(generation).collect(),
            created_at: rfc3339(row.created_at),
            updated_at: rfc3339(row.updated_at),
            ended_at: row.ended_at.map(rfc3339),
            id: row.id,
            tenant_id: row.tenant_id,
            name: row.name,
            created_by: row.created_by,
            updated_by: row.updated_by,
            ended_by: row.ended_by,
            version: row.version,
        })
    }
}

/// A trusted secret with the secret: the answer to making, rotating and copying it.
#[derive(Serialize, ToSchema)]
pub(crate) struct TrustedSecret {
    #[serde(flatten)]
    pub(crate) trusted: TrustedOut,
    /// Keep it on a server: it must never reach a browser.
    #[serde(serialize_with = "exposed")]
    #[schema(value_type = Option<String>)]
    pub(crate) secret: Option<Secret>,
    /// `shown`, or `not_made` in a dry run.
    secret_state: &'static str,
}

impl TrustedSecret {
    /// With its secret, or in a dry run without.
    pub(crate) fn made(trusted: TrustedOut, secret: Secret, dry_run: bool) -> Self {
        let secret_state = if dry_run { "not_made" } else { "shown" };
        Self { trusted, secret: Some(secret).filter(|_| !dry_run), secret_state }
    }
}

fn exposed<S: Serializer>(secret: &Option<Secret>, serializer: S) -> Result<S::Ok, S::Error> {
    secret.as_ref().map(Secret::expose).serialize(serializer)
}

/// A request for a token. Without `rights`, `objects` and `claims` it is a full token of the user.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct TokenIn {
    /// Whom the token shall speak for …
    pub(crate) username: Option<String>,
    /// … or by id.
    pub(crate) user_id: Option<String>,
    /// The user's tenant, slug or id: with a secret of the primary tenant.
    pub(crate) tenant: Option<String>,
    /// The trusted secret, where it does not come as Bearer.
    #[schema(value_type = Option<String>)]
    pub(crate) secret_key: Option<String>,
    /// Validity; 300 unless given, cut to the longest that is allowed.
    pub(crate) ttl_seconds: Option<i64>,
    /// Only these of the user's rights.
    pub(crate) rights: Option<Vec<String>>,
    /// Only rights about these objects, as in `models/emea/2026` or `models/**`.
    pub(crate) objects: Option<Vec<String>>,
    /// Passed on in the token's claim `ext`.
    #[schema(value_type = Option<Object>)]
    pub(crate) claims: Option<Map<String, Value>>,
    /// Who shall accept the token; this server unless given.
    pub(crate) audience: Option<Vec<String>>,
    /// Make the user if there is none.
    pub(crate) auto_create: bool,
    /// Groups of a user who is made.
    pub(crate) group_ids: Vec<String>,
    /// E-mail address of a user who is made.
    pub(crate) email: Option<String>,
    /// Name for people of a user who is made.
    pub(crate) display_name: Option<String>,
    /// What a dialect brings along of the user beyond that.
    #[serde(skip)]
    pub(crate) provision: Provision,
}

/// What dialects provision with a request for a token, in the way of their products.
#[derive(Default)]
pub(crate) struct Provision {
    /// Ids or names of the user's groups, in the place of `group_ids`: those that are missing are made,
    /// without rights.
    pub(crate) groups: Option<Vec<String>>,
    /// With `auto_create`, a user who is there gets address, name and groups too, as far as they are given.
    pub(crate) update: bool,
}

/// A token.
#[derive(Serialize, ToSchema)]
pub(crate) struct TokenCreated<'a> {
    /// The token: send it as `Authorization: Bearer`.
    pub(crate) token: &'a str,
    /// `Bearer`.
    pub(crate) token_type: &'static str,
    /// `token_…`, for its revocation.
    pub(crate) token_id: &'a str,
    /// `full`, `object` or `custom`.
    pub(crate) kind: &'static str,
    pub(crate) expires_at: String,
    pub(crate) ttl_seconds: i64,
    /// The wished validity was longer than allowed.
    pub(crate) ttl_cut: bool,
    pub(crate) user_id: &'a str,
    pub(crate) username: &'a str,
    /// The user was made for this token.
    pub(crate) user_created: bool,
    pub(crate) tenant_id: &'a str,
    /// What the token may do while the user may.
    #[schema(value_type = Vec<String>)]
    pub(crate) rights: &'a keyward_core::right::RightSet,
    /// Something that was asked for, or that the user may do, lies beyond what the token may hold.
    pub(crate) rights_cut: bool,
    pub(crate) audience: &'a [String],
}

/// Which tokens to end.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct RevokeTokenIn {
    /// A token that this secret asked for …
    pub(crate) token: Option<String>,
    /// … or every token of a user.
    pub(crate) username: Option<String>,
    /// The user's tenant, slug or id: with a secret of the primary tenant.
    pub(crate) tenant: Option<String>,
    /// The trusted secret, where it does not come as Bearer.
    #[schema(value_type = Option<String>)]
    pub(crate) secret_key: Option<String>,
}

/// The token to look at.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ValidateTokenIn {
    pub(crate) token: String,
    /// The trusted secret, where it does not come as Bearer.
    #[schema(value_type = Option<String>)]
    pub(crate) secret_key: Option<String>,
}
