//! What users are told about, and which events of the audit log are news of it (BM8, BM9, IMP-11, AUT-7).

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::audit::{Outcome, Recorded};

/// What a notification is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    /// A key ends soon.
    KeyExpiring,
    /// A key has ended.
    KeyExpired,
    /// Roles or groups of a key changed.
    KeyGrants,
    /// One's own roles or groups changed.
    OwnGrants,
    /// A new secret of a key came into use, or an old one still is.
    SecretUsed,
    /// A key rotated by its schedule, and its new secret waits to be handed over.
    SecretWaits,
    /// A key came into use.
    KeyUsed,
    /// A key is used from a network that it was not used from before.
    NewNetwork,
    /// A secret was seen where it must not be, or reported as leaked.
    Leak,
    /// Far more credentials were refused than usual.
    RefusedCalls,
    /// A trusted secret did what it did not do before.
    TrustedUse,
    /// A webhook takes nothing, or was switched off for that.
    Webhook,
    /// A key waits to be approved, or somebody decided about it.
    Approval,
    /// A scheduled policy could not be applied.
    Policy,
    /// Password, second factors or address of one's own account changed.
    Account,
}

/// Where a user is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Channels {
    pub(crate) bell: bool,
    pub(crate) mail: bool,
}

/// Who is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Audience {
    /// The members of Administrators, and those of [`Audience::KeyPeople`] (BM8).
    KeyStewards(String),
    /// Owner, creator and who modified the key last.
    KeyPeople(String),
    /// The members of Administrators.
    Administrators,
    /// One user.
    User(String),
}

impl Kind {
    /// Every kind.
    pub(crate) const ALL: [Self; 15] = [
        Self::KeyExpiring,
        Self::KeyExpired,
        Self::KeyGrants,
        Self::OwnGrants,
        Self::SecretUsed,
        Self::SecretWaits,
        Self::KeyUsed,
        Self::NewNetwork,
        Self::Leak,
        Self::RefusedCalls,
        Self::TrustedUse,
        Self::Webhook,
        Self::Approval,
        Self::Policy,
        Self::Account,
    ];

    /// As the API writes it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::KeyExpiring => "key_expiring",
            Self::KeyExpired => "key_expired",
            Self::KeyGrants => "key_grants",
            Self::OwnGrants => "own_grants",
            Self::SecretUsed => "secret_used",
            Self::SecretWaits => "secret_waits",
            Self::KeyUsed => "key_used",
            Self::NewNetwork => "new_network",
            Self::Leak => "leak",
            Self::RefusedCalls => "refused_calls",
            Self::TrustedUse => "trusted_use",
            Self::Webhook => "webhook",
            Self::Approval => "approval",
            Self::Policy => "policy",
            Self::Account => "account",
        }
    }

    /// Reads what [`Kind::as_str`] writes.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }

    /// Where users are told who wish nothing else.
    pub(crate) fn usual(self) -> Channels {
        let mail = !matches!(
            self,
            Self::KeyGrants | Self::OwnGrants | Self::SecretUsed | Self::KeyUsed | Self::NewNetwork
        );
        Channels { bell: true, mail }
    }

    /// Milliseconds between two mails of this kind to one user: who is attacked is not to be flooded with mail
    /// for it too. The bell tells of each.
    pub(crate) fn mail_pause(self) -> Option<i64> {
        (self == Self::RefusedCalls).then_some(3_600_000)
    }

    /// Nobody can be kept in the dark about their own account: an intruder would see to it (AUT-7).
    pub(crate) fn is_owed(self) -> bool {
        self == Self::Account
    }
}

/// What an event is news of, and to whom; `None` for what nobody is told.
pub(crate) fn of(event: &Recorded) -> Option<(Kind, Audience)> {
    // A refusal is news only where it is what the event is about.
    let of_refusals = [
        "auth.locked",
        "factor.clone_warning",
        "auth.failures_spike",
        "verify.failures_spike",
        "policy.draft_fail",
        "key.canary_used",
    ];
    if event.outcome != Outcome::Success && !of_refusals.contains(&event.action.as_str()) {
        return None;
    }
    let target = || event.target.id.clone();
    Some(match event.action.as_str() {
        "key.expiring" => (Kind::KeyExpiring, Audience::KeyStewards(target())),
        "key.expired" => (Kind::KeyExpired, Audience::KeyStewards(target())),
        "key.edit" if grants_differ(event) => (Kind::KeyGrants, Audience::KeyPeople(target())),
        "user.edit" if address_differs(event) => (Kind::Account, Audience::User(target())),
        "user.edit" if grants_differ(event) => (Kind::OwnGrants, Audience::User(target())),
        "group.add_member" => of_member(event.after.as_ref()?)?,
        "group.remove_member" => of_member(event.before.as_ref()?)?,
        "key.secret_used" => (Kind::SecretUsed, Audience::KeyPeople(target())),
        "key.first_used" => (Kind::KeyUsed, Audience::KeyPeople(target())),
        "key.new_network" => (Kind::NewNetwork, Audience::KeyPeople(target())),
        "session.leak_reported" => {
            let owner = event.after.as_ref()?.get("owner_id")?.as_str()?;
            (Kind::Leak, Audience::User(owner.into()))
        }
        "key.rotate_scheduled" => (Kind::SecretWaits, Audience::KeyStewards(target())),
        "key.request_approval" | "import.request_approval" => (Kind::Approval, Audience::Administrators),
        "key.approve" | "key.reject" => (Kind::Approval, Audience::KeyPeople(target())),
        "policy.draft_fail" => (Kind::Policy, Audience::Administrators),
        "key.exposed" | "key.leak_reported" | "key.canary_used" | "key.handover_reopened" => {
            (Kind::Leak, Audience::KeyStewards(target()))
        }
        "trusted.exposed" | "trusted.leak_reported" => (Kind::Leak, Audience::Administrators),
        "auth.failures_spike" | "verify.failures_spike" => (Kind::RefusedCalls, Audience::Administrators),
        "webhook.failing" | "webhook.disabled" => (Kind::Webhook, Audience::Administrators),
        "trusted.new_network" | "trusted.new_privileged" | "trusted.mint_spike" => {
            (Kind::TrustedUse, Audience::Administrators)
        }
        "auth.locked"
        | "user.set_password"
        | "user.change_password"
        | "user.reset_factors"
        | "user.use_recovery_code"
        | "user.replace_recovery_codes"
        | "factor.add"
        | "factor.clone_warning"
        | "factor.remove" => (Kind::Account, Audience::User(account_of(event))),
        _ => return None,
    })
}

/// Whose account changed: a factor is its own target, and only its user adds or removes it.
fn account_of(event: &Recorded) -> String {
    if event.target.kind == "user" { event.target.id.clone() } else { event.actor.id.clone() }
}

fn of_member(change: &Value) -> Option<(Kind, Audience)> {
    let member = change.get("member_id")?.as_str()?;
    Some(if member.starts_with("key_") {
        (Kind::KeyGrants, Audience::KeyPeople(member.into()))
    } else {
        (Kind::OwnGrants, Audience::User(member.into()))
    })
}

fn differs(event: &Recorded, field: &str) -> bool {
    let value = |object: &Option<Value>| object.as_ref().and_then(|object| object.get(field)).cloned();
    value(&event.before) != value(&event.after)
}

fn grants_differ(event: &Recorded) -> bool {
    differs(event, "role_ids") || differs(event, "group_ids")
}

/// Whether the address changed that news go to.
pub(crate) fn address_differs(event: &Recorded) -> bool {
    event.action == "user.edit" && differs(event, "email")
}
