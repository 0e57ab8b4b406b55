//! Helpers for the JSON that clients send and get.

use serde::{Deserialize, Deserializer};

use crate::clock::parse_rfc3339;
use crate::error::{Error, Result};

/// For `Option<Option<T>>` in a merge patch (RFC 7396): absent is `None`, `null` is `Some(None)`.
pub(crate) fn present<'de, T, D>(deserializer: D) -> Result<Option<Option<T>>, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    Option::<T>::deserialize(deserializer).map(Some)
}

/// Reads an RFC 3339 time of a field.
pub(crate) fn time(pointer: &str, text: &str) -> Result<i64> {
    parse_rfc3339(text)
        .ok_or_else(|| Error::invalid(pointer, "bad_time", "expected RFC 3339, as in 2027-01-31T12:00:00Z"))
}

/// A body of an action that takes nothing.
#[derive(Debug, Default, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Nothing {}

/// A body that may give a reason.
#[derive(Debug, Default, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ReasonIn {
    /// Why, for the audit log; 1 to 500 characters.
    pub(crate) reason: Option<String>,
}

impl ReasonIn {
    /// The reason, checked.
    pub(crate) fn checked(&self) -> Result<Option<&str>> {
        if let Some(reason) = &self.reason {
            crate::names::check_label("/reason", reason, 500)?;
        }
        Ok(self.reason.as_deref())
    }
}
