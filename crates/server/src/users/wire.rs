//! What callers send about users, and what they get.

use keyward_core::credit::Refill;
use keyward_core::policy::MAX_SESSION_MINUTES;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::credits::CreditsOut;
use crate::error::Result;
use crate::keys::rules::count;
use crate::names::{check_email, check_label};
use crate::wire::present;

/// A user to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct UserIn {
    /// Unique in the tenant, compared by PRECIS UsernameCaseMapped.
    pub(crate) username: String,
    /// Where notices go.
    pub(crate) email: Option<String>,
    /// A name for people.
    pub(crate) display_name: Option<String>,
    /// Roles; `member` unless given.
    pub(crate) role_ids: Option<Vec<String>>,
    /// Groups.
    #[serde(default)]
    pub(crate) group_ids: Vec<String>,
    /// Own window for the owner-login rule: minutes, -1 the tenant's, 0 keys unusable.
    pub(crate) owner_login_window_minutes: Option<i64>,
    /// Minutes until a session ends that the user or one of its keys opens by the protocol of Seeq, used or not and
    /// never later than policy has it; -1 as policy has it.
    pub(crate) session_minutes: Option<i64>,
    /// Whether trusted secrets may ask for tokens of this user; true unless given.
    pub(crate) trusted_tokens: Option<bool>,
    /// Uses that all keys of the user are good for together.
    pub(crate) credits: Option<i64>,
    /// How they come back: `{amount, every | every_seconds, cap}`, `every` one of hour, day, week, month.
    #[schema(value_type = Option<Object>)]
    pub(crate) credit_refill: Option<Refill>,
}

impl UserIn {
    /// Refuses values that no user can have.
    ///
    /// # Errors
    /// `Error::Invalid` with the field.
    pub(super) fn check(&self) -> Result<()> {
        check_texts(self.email.as_deref(), self.display_name.as_deref())?;
        check_minutes(self.owner_login_window_minutes, self.session_minutes)
    }
}

/// What can be edited; absent fields stay (RFC 7396).
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct UserPatch {
    /// A new name; the old one becomes free.
    pub(crate) username: Option<String>,
    #[serde(deserialize_with = "present")]
    pub(crate) email: Option<Option<String>>,
    #[serde(deserialize_with = "present")]
    pub(crate) display_name: Option<Option<String>>,
    /// Exactly these roles.
    pub(crate) role_ids: Option<Vec<String>>,
    /// Exactly these groups.
    pub(crate) group_ids: Option<Vec<String>>,
    /// Minutes; -1 or `null` is the tenant's window, 0 makes the user's keys unusable.
    #[serde(deserialize_with = "present")]
    pub(crate) owner_login_window_minutes: Option<Option<i64>>,
    /// Minutes until a session ends that is opened by the protocol of Seeq; -1 or `null` as policy has it.
    #[serde(deserialize_with = "present")]
    pub(crate) session_minutes: Option<Option<i64>>,
    /// Whether trusted secrets may ask for tokens of this user; false ends those that there are.
    pub(crate) trusted_tokens: Option<bool>,
    /// Grants so many uses anew, for all keys of the user together; `null` lifts the limit.
    #[serde(deserialize_with = "present")]
    pub(crate) credits: Option<Option<i64>>,
    /// How they come back from now on; `null` not at all.
    #[serde(deserialize_with = "present")]
    #[schema(value_type = Option<Object>)]
    pub(crate) credit_refill: Option<Option<Refill>>,
}

impl UserPatch {
    /// As [`UserIn::check`].
    ///
    /// # Errors
    /// `Error::Invalid` with the field.
    pub(super) fn check(&self) -> Result<()> {
        let (email, name) = (self.email.as_ref(), self.display_name.as_ref());
        check_texts(email.and_then(Option::as_deref), name.and_then(Option::as_deref))?;
        check_minutes(self.owner_login_window_minutes.flatten(), self.session_minutes.flatten())
    }
}

fn check_texts(email: Option<&str>, display_name: Option<&str>) -> Result<()> {
    email.map_or(Ok(()), check_email)?;
    display_name.map_or(Ok(()), |name| check_label("/display_name", name, 200))
}

fn check_minutes(window: Option<i64>, session: Option<i64>) -> Result<()> {
    count("/owner_login_window_minutes", window, -1..=5_256_000)?;
    // As policy has it.
    let session = session.filter(|minutes| *minutes != -1);
    count("/session_minutes", session, 1..=i64::from(MAX_SESSION_MINUTES))
}

/// When somebody logged in.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
#[schema(as = ForeignLogin)]
pub(crate) struct LoginIn {
    /// RFC 3339, not in the future; now unless given.
    pub(crate) at: Option<String>,
}

/// Which of a user's keys to revoke: all of them.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct RevokeKeysIn {
    /// Why, for the audit log.
    pub(crate) reason: Option<String>,
    /// Only tell what would be revoked.
    pub(crate) preview: bool,
    /// Must be true to revoke.
    pub(crate) confirm: bool,
}

/// A user.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct UserOut {
    pub(crate) id: String,
    pub(crate) tenant_id: String,
    pub(crate) username: String,
    pub(crate) email: Option<String>,
    pub(crate) display_name: Option<String>,
    /// `local`, or where the user comes from.
    pub(crate) origin: String,
    /// `active` or `suspended`.
    pub(crate) state: &'static str,
    pub(crate) role_ids: Vec<String>,
    pub(crate) group_ids: Vec<String>,
    /// What the user may do, through roles and groups.
    pub(crate) rights: Vec<String>,
    /// Last interactive login; a use of a key is none (SQ4).
    pub(crate) last_login_at: Option<String>,
    pub(crate) owner_login_window_minutes: Option<i64>,
    /// Minutes until a session ends that is opened by the protocol of Seeq; `null` as policy has it.
    pub(crate) session_minutes: Option<i64>,
    /// Whether trusted secrets may ask for tokens of this user.
    pub(crate) trusted_tokens: bool,
    /// Uses that all keys of the user are good for together, if they are counted.
    pub(crate) credits: Option<CreditsOut>,
    /// Keys that are not revoked.
    pub(crate) key_count: i64,
    pub(crate) created_at: String,
    pub(crate) created_by: String,
    pub(crate) updated_at: String,
    pub(crate) suspended_at: Option<String>,
    pub(crate) suspended_reason: Option<String>,
    pub(crate) version: i64,
}
