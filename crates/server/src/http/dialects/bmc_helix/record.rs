//! A key as the product shows it.

use keyward_core::key::{KeyClass, Status};
use keyward_core::secret::Secret;
use serde::Serialize;

use super::expiry;
use crate::keys::rotation::RotationOut as Schedule;
use crate::keys::wire::{KeyCreated, KeyOut, expose};

/// What stands between name and description in the label of a key, which is all the text that a key has here.
const BETWEEN: &str = " — ";

/// One access key.
#[derive(Serialize)]
pub(super) struct Record {
    /// The user, or the key itself where it is the tenant's.
    pub(super) user_id: String,
    pub(super) name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) description: Option<String>,
    pub(super) access_key: String,
    #[serde(rename = "type")]
    pub(super) kind: &'static str,
    pub(super) status: &'static str,
    pub(super) created_date: String,
    pub(super) expiry_enum: String,
    /// Absent is never.
    #[serde(skip_serializing_if = "Option::is_none")]
    expiry_time: Option<String>,
    key_expired: bool,
    non_deletable: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    rotation: Option<Rotation>,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    grants: Option<Grants>,
}

/// What a key may do and by what: of one key alone (BM6, BM12).
#[derive(Serialize)]
pub(super) struct Grants {
    pub(super) roles: Vec<String>,
    pub(super) groups: Vec<String>,
    pub(super) permissions: Vec<String>,
}

/// How an API key rotates, in days.
#[derive(Serialize)]
struct Rotation {
    rotation_period: i64,
    grace_period: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_rotation_date: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_rotation_date: Option<String>,
}

impl Record {
    /// The record of a key.
    pub(super) fn of(key: &KeyOut) -> Self {
        let (name, description) = parts(&key.label);
        Self {
            user_id: key.owner_id.clone().unwrap_or_else(|| key.id.clone()),
            name: name.to_owned(),
            description: description.map(ToOwned::to_owned),
            access_key: key.access_key.clone(),
            kind: kind(key.class),
            status: status(key.status),
            created_date: moment(&key.created_at),
            expiry_enum: expiry::word(key),
            expiry_time: key.expires_at.as_deref().map(moment),
            key_expired: key.status == Status::Expired,
            non_deletable: false,
            rotation: key.rotation.as_ref().map(|schedule| Rotation::of(schedule, key)),
            grants: None,
        }
    }

    /// The same with what it may do.
    pub(super) fn with(self, grants: Grants) -> Self {
        Self { grants: Some(grants), ..self }
    }
}

impl Rotation {
    fn of(schedule: &Schedule, key: &KeyOut) -> Self {
        let newest = key.secrets.iter().max_by_key(|secret| secret.generation);
        Self {
            rotation_period: schedule.every_days,
            grace_period: schedule.grace_days,
            last_rotation_date: newest
                .filter(|secret| secret.generation > 1)
                .map(|secret| moment(&secret.created_at)),
            next_rotation_date: schedule.next_at.as_deref().map(moment),
        }
    }
}

/// The word for a class of keys.
pub(super) fn kind(class: KeyClass) -> &'static str {
    match class {
        KeyClass::Member => "USER",
        KeyClass::Workspace => "TENANT",
        KeyClass::Ingest => "API",
    }
}

/// A key that is refused for now is not active, whoever switched it off. One that is over says so elsewhere.
fn status(status: Status) -> &'static str {
    match status {
        Status::Pending | Status::Inactive | Status::Suspended | Status::Revoked => "INACTIVE",
        Status::Active | Status::Expiring | Status::Rotating | Status::Expired => "ACTIVE",
    }
}

/// Times of the product have no zone: UTC.
pub(super) fn moment(rfc3339: &str) -> String {
    rfc3339.trim_end_matches('Z').to_owned()
}

/// Name and description in one label.
pub(super) fn label(name: &str, description: Option<&str>) -> String {
    match description.map(str::trim).filter(|text| !text.is_empty()) {
        Some(description) => format!("{}{BETWEEN}{description}", name.trim()),
        None => name.trim().to_owned(),
    }
}

/// Name and description out of a label.
pub(super) fn parts(label: &str) -> (&str, Option<&str>) {
    label.split_once(BETWEEN).map_or((label, None), |(name, description)| (name, Some(description)))
}

/// A key with its secret, the one time that it is told.
#[derive(Serialize)]
pub(super) struct Created {
    #[serde(flatten)]
    record: Record,
    tenant_id: String,
    #[serde(serialize_with = "expose")]
    access_secret_key: Option<Secret>,
    /// All of it in the line of BM11.
    #[serde(serialize_with = "expose")]
    copy: Option<Secret>,
}

impl Created {
    /// What is told of a key that was made or got a new secret.
    pub(super) fn of(created: KeyCreated) -> Self {
        Self {
            record: Record::of(&created.key),
            tenant_id: created.key.tenant_id,
            access_secret_key: created.secret,
            copy: created.copy,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bm_1_a_label_holds_name_and_description() {
        for (name, description) in [("nightly", None), ("nightly", Some("reads — and writes"))] {
            assert_eq!(parts(&label(name, description)), (name, description));
        }
        assert_eq!(label(" nightly ", Some("  ")), "nightly");
    }
}
