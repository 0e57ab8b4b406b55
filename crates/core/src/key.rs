//! What a key is: class, facts and the state that people see (`design.md` §2, §4).
//!
//! All times are Unix milliseconds, UTC.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::address::Networks;
use crate::decide::Code;
use crate::policy::Policy;
use crate::right::Resource;
use crate::secret::SecretHash;

/// The classes of keys that authenticate (MO1, MO2, BM3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyClass {
    /// Owned by a user, acts as that user within its scopes.
    Member = 0,
    /// Owned by the tenant, acts with its own roles and groups.
    Workspace = 1,
    /// Owned by the tenant, may only ingest data.
    Ingest = 2,
}

impl KeyClass {
    /// Every class, in the order of their numbers.
    pub const ALL: [Self; 3] = [Self::Member, Self::Workspace, Self::Ingest];

    /// The word of the API and the store.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Member => "member",
            Self::Workspace => "workspace",
            Self::Ingest => "ingest",
        }
    }

    /// Reads the word of the API and the store.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|class| class.as_str() == word)
    }
}

/// What was decided about a key by people; everything else about its state follows from time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Switch {
    /// In use.
    On,
    /// Switched off for now (BM12).
    Off,
    /// Ended for good.
    Revoked,
}

/// Where and how a key may be used (X6). An empty list is no condition.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Conditions {
    /// Networks of the end client.
    #[serde(skip_serializing_if = "Networks::is_empty")]
    pub cidrs: Networks,
    /// HTTP methods, upper case.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub methods: Vec<String>,
    /// Paths: `/reports/*` for one segment, `/reports/**` for the rest.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub paths: Vec<String>,
    /// Resources that every requested right must be about.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub resources: Vec<Resource>,
}

impl Conditions {
    /// Whether there is no condition at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// The facts about a logical key that the decision needs.
#[derive(Clone, Debug)]
pub struct Key {
    /// Its class.
    pub class: KeyClass,
    /// On, off or revoked.
    pub switch: Switch,
    /// Not valid before this time.
    pub not_before: Option<i64>,
    /// Not valid from this time on; `None` is never (BM4).
    pub expires_at: Option<i64>,
    /// Ends after so many seconds without use.
    pub idle_seconds: Option<u32>,
    /// Address, method, path and resource conditions.
    pub conditions: Option<Arc<Conditions>>,
    /// Nobody has approved it yet (X5).
    pub awaits_approval: bool,
}

/// One of a key's live or retired secrets (X3).
#[derive(Clone, Copy, Debug)]
pub struct SecretVersion {
    /// 1 for the first secret, one more with each rotation.
    pub generation: u32,
    /// The pepper the hash was made under.
    pub pepper: u32,
    /// The keyed hash.
    pub hash: SecretHash,
    /// When it was made; the policy's maximum age counts from here, so that rotation renews.
    pub created_at: i64,
    /// Not accepted from this time on.
    pub retires_at: Option<i64>,
}

/// Whether a person may act at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OwnerState {
    /// May act.
    Active,
    /// Barred for now.
    Suspended,
    /// Gone; the id is never used again (SQ7).
    Deleted,
}

/// The facts about a member key's owner.
#[derive(Clone, Copy, Debug)]
pub struct Owner {
    /// Active, suspended or deleted.
    pub state: OwnerState,
    /// The last interactive login; the making of the user counts as the first (SQ4).
    pub last_login_at: i64,
    /// Minutes; `None` and -1 follow the tenant, 0 makes the keys unusable (SQ4).
    pub login_window_minutes: Option<i64>,
}

/// The facts about the tenant of a key.
#[derive(Clone, Debug)]
pub struct Tenant {
    /// Every key of a suspended tenant is refused.
    pub suspended: bool,
    /// Classes that the operator allows (MO3).
    pub features: Features,
    /// The tenant's own rules.
    pub policy: Policy,
}

/// What the operator allows a tenant (MO3, TS4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Features {
    /// Member keys.
    pub member_keys: bool,
    /// Workspace keys.
    pub workspace_keys: bool,
    /// Ingest keys.
    pub ingest_keys: bool,
    /// Trusted secrets of its own; those of the primary tenant need no leave.
    pub trusted_secrets: bool,
}

impl Default for Features {
    fn default() -> Self {
        Self { member_keys: true, workspace_keys: true, ingest_keys: true, trusted_secrets: false }
    }
}

impl Features {
    /// Whether the class is allowed.
    #[must_use]
    pub fn allows(self, class: KeyClass) -> bool {
        match class {
            KeyClass::Member => self.member_keys,
            KeyClass::Workspace => self.workspace_keys,
            KeyClass::Ingest => self.ingest_keys,
        }
    }
}

/// Classes of keys that a tenant's own admins have switched on (MO2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Switches {
    /// Member keys.
    pub member_keys: bool,
    /// Workspace keys.
    pub workspace_keys: bool,
    /// Ingest keys.
    pub ingest_keys: bool,
}

impl Default for Switches {
    fn default() -> Self {
        Self { member_keys: true, workspace_keys: true, ingest_keys: true }
    }
}

impl Switches {
    /// Whether the class is on.
    #[must_use]
    pub fn allows(self, class: KeyClass) -> bool {
        match class {
            KeyClass::Member => self.member_keys,
            KeyClass::Workspace => self.workspace_keys,
            KeyClass::Ingest => self.ingest_keys,
        }
    }
}

impl Tenant {
    /// Whether operator and tenant both allow the class (MO2, MO3).
    #[must_use]
    pub fn allows(&self, class: KeyClass) -> bool {
        self.features.allows(class) && self.policy.switches.allows(class)
    }
}

/// A key counts as expiring when it ends within this time: 14 days.
pub const EXPIRING_MS: i64 = 14 * 86_400_000;

/// The state of a key as console, API and CLI show it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Not valid yet: its time has not come, or nobody has approved it.
    Pending,
    /// Valid.
    Active,
    /// Valid, and ends within 14 days.
    Expiring,
    /// Valid with more than one secret.
    Rotating,
    /// Switched off.
    Inactive,
    /// Refused for a reason outside the key; see the cause.
    Suspended,
    /// Past its end; can be extended (BM5).
    Expired,
    /// Ended for good.
    Revoked,
}

impl Status {
    /// Every status, in the order of the filters.
    pub const ALL: [Self; 8] = [
        Self::Pending,
        Self::Active,
        Self::Expiring,
        Self::Rotating,
        Self::Inactive,
        Self::Suspended,
        Self::Expired,
        Self::Revoked,
    ];

    /// The word of the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Active => "active",
            Self::Expiring => "expiring",
            Self::Rotating => "rotating",
            Self::Inactive => "inactive",
            Self::Suspended => "suspended",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
        }
    }

    /// Reads the word of the API.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == word)
    }
}

/// The status of a key at `now`, and why it is suspended if it is.
///
/// `cause` is the first standing reason outside the key itself (owner, tenant, class, policy), if
/// there is one; `live_secrets` counts secrets that are accepted at `now`.
#[must_use]
pub fn status(key: &Key, cause: Option<Code>, live_secrets: usize, now: i64) -> Status {
    if key.switch == Switch::Revoked {
        return Status::Revoked;
    }
    if key.expires_at.is_some_and(|end| end <= now) {
        return Status::Expired;
    }
    if key.switch == Switch::Off {
        return Status::Inactive;
    }
    if cause.is_some() {
        return Status::Suspended;
    }
    if key.awaits_approval || key.not_before.is_some_and(|start| start > now) {
        return Status::Pending;
    }
    if live_secrets > 1 {
        return Status::Rotating;
    }
    if key.expires_at.is_some_and(|end| end - now <= EXPIRING_MS) {
        return Status::Expiring;
    }
    Status::Active
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> Key {
        Key {
            class: KeyClass::Member,
            switch: Switch::On,
            not_before: None,
            expires_at: None,
            idle_seconds: None,
            conditions: None,
            awaits_approval: false,
        }
    }

    #[test]
    fn status_table() {
        let now = 100 * 86_400_000;
        let cause = Some(Code::OwnerSuspended);
        let soon = Some(now + 1);
        for (key, cause, live, expect) in [
            (key(), None, 1, Status::Active),
            (key(), None, 2, Status::Rotating),
            (key(), cause, 1, Status::Suspended),
            (Key { expires_at: soon, ..key() }, None, 1, Status::Expiring),
            (Key { expires_at: Some(now + EXPIRING_MS + 1), ..key() }, None, 1, Status::Active),
            (Key { expires_at: Some(now), ..key() }, cause, 1, Status::Expired),
            (Key { not_before: soon, ..key() }, None, 1, Status::Pending),
            (Key { awaits_approval: true, expires_at: soon, ..key() }, None, 2, Status::Pending),
            (Key { awaits_approval: true, expires_at: Some(now), ..key() }, None, 1, Status::Expired),
            (Key { awaits_approval: true, ..key() }, cause, 1, Status::Suspended),
            (Key { switch: Switch::Off, ..key() }, cause, 1, Status::Inactive),
            (Key { switch: Switch::Revoked, expires_at: Some(0), ..key() }, cause, 1, Status::Revoked),
        ] {
            assert_eq!(status(&key, cause, live, now), expect, "{key:?}");
        }
    }

    #[test]
    fn words_round_trip() {
        for class in KeyClass::ALL {
            assert_eq!(KeyClass::parse(class.as_str()), Some(class));
        }
        for status in Status::ALL {
            assert_eq!(Status::parse(status.as_str()), Some(status));
        }
        assert_eq!(KeyClass::parse("trusted"), None);
    }
}
