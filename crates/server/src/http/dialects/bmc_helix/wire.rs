//! What clients send about keys. Fields that are not known are let pass.

use keyward_core::key::KeyClass;
use keyward_core::rotation::{Never, Rotation, Schedule};
use serde::Deserialize;

use super::{expiry, record};
use crate::error::{Error, Result};
use crate::keys::wire::KeyIn;

/// A key to be made.
#[derive(Deserialize)]
pub(super) struct AccessKeyIn {
    name: String,
    description: Option<String>,
    #[serde(rename = "type")]
    kind: Option<Kind>,
    expiry_enum: Option<String>,
    expiry_time: Option<String>,
    rotation: Option<RotationIn>,
    #[serde(default)]
    pub(super) roles: Vec<String>,
    #[serde(default)]
    pub(super) groups: Vec<String>,
}

/// `TENANT` is for programs, `API` for ingestion alone (BM3).
#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub(super) enum Kind {
    /// For programs.
    Tenant,
    /// For ingestion.
    Api,
    /// That of a user.
    User,
}

impl Kind {
    /// The class of keys that it is.
    pub(super) fn class(self) -> KeyClass {
        match self {
            Self::Tenant => KeyClass::Workspace,
            Self::Api => KeyClass::Ingest,
            Self::User => KeyClass::Member,
        }
    }
}

/// Days from one rotation to the next, and days in which the older secret works on.
#[derive(Deserialize)]
pub(super) struct RotationIn {
    #[serde(default)]
    never_rotate: bool,
    rotation_period: Option<u32>,
    grace_period: Option<u32>,
}

impl RotationIn {
    /// The wish; the policy's schedule where nothing is said.
    pub(super) fn wish(&self) -> Option<Option<Rotation>> {
        let usual = Schedule::default();
        match (self.never_rotate, self.rotation_period, self.grace_period) {
            (true, ..) => Some(Some(Rotation::Never(Never::Never))),
            (false, None, None) => None,
            (false, every, grace) => Some(Some(Rotation::By(Schedule {
                every_days: every.unwrap_or(usual.every_days),
                grace_days: grace.unwrap_or(usual.grace_days),
            }))),
        }
    }
}

impl AccessKeyIn {
    /// The class that is asked for: that of programs unless told otherwise.
    ///
    /// # Errors
    /// `Error::Invalid` for that of a user, whose keys have a path of their own.
    pub(super) fn class(&self) -> Result<KeyClass> {
        match self.kind.unwrap_or(Kind::Tenant) {
            Kind::User => Err(Error::invalid("type", "bad_value", "expected TENANT or API")),
            kind => Ok(kind.class()),
        }
    }

    /// The key as operations take it, without roles and groups.
    ///
    /// # Errors
    /// As [`expiry::read`].
    pub(super) fn key(&self, class: KeyClass, owner_id: Option<String>) -> Result<KeyIn> {
        let end = expiry::read(self.expiry_enum.as_deref(), self.expiry_time.as_deref())?.unwrap_or_default();
        let label = record::label(&self.name, self.description.as_deref());
        Ok(KeyIn {
            owner_id,
            expires_at: end.expires_at,
            ttl_seconds: end.ttl_seconds,
            expires: end.expires,
            rotation: self.rotation.as_ref().and_then(RotationIn::wish),
            ..KeyIn::new(class, label)
        })
    }
}

/// What can be edited; absent fields stay.
#[derive(Deserialize)]
pub(super) struct AccessKeyPatch {
    pub(super) name: Option<String>,
    pub(super) description: Option<String>,
    pub(super) status: Option<Switch>,
    pub(super) expiry_enum: Option<String>,
    pub(super) expiry_time: Option<String>,
    pub(super) rotation: Option<RotationIn>,
    pub(super) roles: Option<Vec<String>>,
    pub(super) groups: Option<Vec<String>>,
}

/// Whether a key is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub(super) enum Switch {
    /// On.
    Active,
    /// Off for now.
    Inactive,
}
