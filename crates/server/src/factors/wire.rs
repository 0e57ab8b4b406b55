//! What callers send about second factors, and what they get.

use passki::RegistrationCredential;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::clock::rfc3339;
use crate::passwords::Password;
use crate::sessions::SessionOpened;
use crate::store::factors::FactorRow;

/// An authenticator to be added.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct TotpIn {
    /// To tell it from others; `authenticator` unless given.
    pub(crate) name: Option<String>,
}

/// A passkey to be added.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct PasskeyIn {
    /// To tell it from others; `passkey` unless given.
    pub(crate) name: Option<String>,
}

/// What can be changed of a factor.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct FactorPatch {
    /// To tell it from others.
    pub(crate) name: Option<String>,
}

/// What confirms a new factor: a code, or for a passkey what the browser made.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ConfirmIn {
    /// What the authenticator shows now.
    #[schema(value_type = Option<String>)]
    pub(crate) code: Option<Password>,
    /// `toJSON()` of what `navigator.credentials.create` gave.
    #[schema(value_type = Option<Object>)]
    pub(crate) passkey: Option<RegistrationCredential>,
}

/// A second factor.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct FactorOut {
    pub(crate) id: String,
    /// `totp` or `passkey`.
    pub(crate) kind: String,
    pub(crate) name: String,
    pub(crate) created_at: String,
    pub(crate) last_used_at: Option<String>,
}

impl FactorOut {
    /// The factor as the API shows it.
    pub(super) fn of(row: &FactorRow) -> Self {
        Self {
            id: row.id.clone(),
            kind: row.kind.clone(),
            name: row.name.clone(),
            created_at: rfc3339(row.created_at),
            last_used_at: row.last_used_at.map(rfc3339),
        }
    }
}

/// The second factors of a user.
#[derive(Serialize, ToSchema)]
pub(crate) struct FactorsOut {
    pub(crate) factors: Vec<FactorOut>,
    pub(crate) recovery_codes_left: i64,
}

/// A factor that counts once it is confirmed.
#[derive(Serialize, ToSchema)]
pub(crate) struct EnrolmentOut {
    pub(crate) id: String,
    /// For an authenticator, to be typed (base32).
    pub(crate) secret: Option<String>,
    /// The same as an address, for a picture (`otpauth://totp/…`).
    pub(crate) uri: Option<String>,
    /// `shown_once`, or `delivered` in a replay.
    pub(crate) secret_state: &'static str,
    /// It must be confirmed before.
    pub(crate) expires_at: String,
}

/// A passkey that counts once the browser has made it.
#[derive(Serialize, ToSchema)]
pub(crate) struct PasskeyEnrolmentOut {
    pub(crate) id: String,
    /// For `PublicKeyCredential.parseCreationOptionsFromJSON`.
    #[schema(value_type = Object)]
    pub(crate) options: Value,
    /// It must be confirmed before.
    pub(crate) expires_at: String,
}

/// What a browser is asked for.
#[derive(Clone, Serialize, ToSchema)]
pub(crate) struct OptionsOut {
    /// For `PublicKeyCredential.parseRequestOptionsFromJSON`.
    #[schema(value_type = Object)]
    pub(crate) options: Value,
    /// The answer must come before.
    pub(crate) expires_at: String,
}

/// A factor that counts, and the session with its new token.
#[derive(Serialize, ToSchema)]
pub(crate) struct ConfirmedOut {
    pub(crate) factor: FactorOut,
    /// Shown once, with the first factor: each works once in its place.
    pub(crate) recovery_codes: Option<Vec<String>>,
    #[serde(flatten)]
    pub(crate) opened: SessionOpened,
}

/// New recovery codes.
#[derive(Serialize, ToSchema)]
pub(crate) struct CodesOut {
    /// Each works once in the place of a code of the authenticator.
    pub(crate) recovery_codes: Option<Vec<String>>,
    /// `shown_once`, or `delivered` in a replay.
    pub(crate) secret_state: &'static str,
}
