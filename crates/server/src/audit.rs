//! The audit trail (AUD-1 to AUD-5): what an event is, and how events form a chain.
//!
//! Each event is kept as the JSON text that was hashed; its hash covers the hash before it. The
//! chain is per tenant, so that a tenant can check and export its own.

pub(crate) mod chain;
pub(crate) mod ocsf;
pub(crate) mod personal;
pub(crate) mod segments;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use self::chain::chain_hash;
use self::personal::Withheld;
use crate::app::{Actor, Call, Principal};
use crate::clock::rfc3339;
use crate::error::Result;
use crate::store::audit::AuditRow;
use crate::store::changes::{Change, ChangeKind};
use crate::store::{Conn, audit, keys, segments as segments_store};

/// What an event is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Target {
    /// `key`, `user`, `group`, `role`, `tenant`, `policy`, `pepper`, …
    pub(crate) kind: String,
    /// Its id.
    pub(crate) id: String,
    /// Its name at the time.
    pub(crate) label: String,
}

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Outcome {
    /// Done.
    Success,
    /// Refused: the actor may not.
    Refused,
}

impl Outcome {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Refused => "refused",
        }
    }
}

/// An event before it has a place in the chain. `before` and `after` never hold secrets.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    pub(crate) action: &'static str,
    pub(crate) target: Target,
    pub(crate) outcome: Outcome,
    pub(crate) reason: Option<String>,
    pub(crate) before: Option<Value>,
    pub(crate) after: Option<Value>,
    /// The call that it is about, where that is not the actor's.
    pub(crate) call: Option<Call>,
}

impl Event {
    /// A successful change, or a successful look at something sensitive.
    pub(crate) fn new(action: &'static str, kind: &str, id: &str, label: &str) -> Self {
        Self {
            action,
            target: Target { kind: kind.into(), id: id.into(), label: label.into() },
            outcome: Outcome::Success,
            reason: None,
            before: None,
            after: None,
            call: None,
        }
    }

    /// The same with the object as it was.
    pub(crate) fn before(mut self, object: &impl Serialize) -> Self {
        self.before = serde_json::to_value(object).ok();
        self
    }

    /// The same with the object as it is now.
    pub(crate) fn after(mut self, object: &impl Serialize) -> Self {
        self.after = serde_json::to_value(object).ok();
        self
    }

    /// The same with the reason that was given.
    pub(crate) fn reason(mut self, reason: Option<&str>) -> Self {
        self.reason = reason.map(Into::into);
        self
    }
}

/// An event in the chain, as the API shows it and as its hash covers it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Recorded {
    pub(crate) id: String,
    pub(crate) seq: i64,
    pub(crate) tenant_id: String,
    pub(crate) at: String,
    pub(crate) actor: Principal,
    pub(crate) key_id: Option<String>,
    #[serde(default)]
    pub(crate) secret_generation: Option<u32>,
    pub(crate) action: String,
    pub(crate) target: Target,
    pub(crate) outcome: Outcome,
    pub(crate) reason: Option<String>,
    pub(crate) before: Option<Value>,
    pub(crate) after: Option<Value>,
    pub(crate) request_id: String,
    pub(crate) address: Option<String>,
    pub(crate) agent: Option<String>,
    /// What it does without, in the chain alone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) personal: Vec<Withheld>,
}

/// The value of a change together with its audit events: what `App::write` insists on, so that an
/// unaudited change does not compile.
#[derive(Debug)]
pub(crate) struct Audited<T> {
    pub(crate) value: T,
    pub(crate) events: Vec<Event>,
    pub(crate) changes: Vec<Change>,
}

impl<T> Audited<T> {
    /// One event for the change.
    pub(crate) fn new(value: T, event: Event) -> Self {
        Self { value, events: vec![event], changes: Vec::new() }
    }

    /// Several events; an operation that found nothing to change may have none.
    pub(crate) fn many(value: T, events: Vec<Event>) -> Self {
        Self { value, events, changes: Vec::new() }
    }

    /// The same with another value.
    pub(crate) fn map<U>(self, change: impl FnOnce(T) -> U) -> Audited<U> {
        Audited { value: change(self.value), events: self.events, changes: self.changes }
    }

    /// What came of another part of the same transaction too.
    pub(crate) fn and(mut self, other: Audited<()>) -> Self {
        self.events.extend(other.events);
        self.changes.extend(other.changes);
        self
    }

    /// The same with one more event, before the others.
    pub(crate) fn also(mut self, event: Event) -> Self {
        self.events.insert(0, event);
        self
    }

    /// Facts of a key changed; `access_key` is its 16 characters.
    pub(crate) fn touches_key(mut self, tenant: &str, access_key: &str) -> Self {
        self.push(ChangeKind::Key, tenant, access_key);
        self
    }

    /// Facts of a user changed.
    pub(crate) fn touches_user(mut self, tenant: &str, user: &str) -> Self {
        self.push(ChangeKind::User, tenant, user);
        self
    }

    /// A session began, got another token or ended; `handle` is the id inside its token.
    pub(crate) fn touches_session(mut self, tenant: &str, handle: &str) -> Self {
        self.push(ChangeKind::Session, tenant, handle);
        self
    }

    /// The same for several.
    pub(crate) fn touches_sessions(self, tenant: &str, handles: &[String]) -> Self {
        handles.iter().fold(self, |audited, handle| audited.touches_session(tenant, handle))
    }

    /// State, policy, roles or groups of a tenant changed.
    pub(crate) fn touches_tenant(mut self, tenant: &str) -> Self {
        self.push(ChangeKind::Tenant, tenant, tenant);
        self
    }

    /// The tenant is gone.
    pub(crate) fn removes_tenant(mut self) -> Self {
        self.push(ChangeKind::Tenants, crate::seal::INSTANCE, crate::seal::INSTANCE);
        // Its ways to imported keys go with it.
        self.touches_import_ways()
    }

    /// The peppers changed.
    pub(crate) fn touches_peppers(mut self) -> Self {
        self.push(ChangeKind::Pepper, crate::seal::INSTANCE, crate::seal::INSTANCE);
        self
    }

    /// Facts of a trusted secret changed; `access_key` is its 16 characters.
    pub(crate) fn touches_trusted(mut self, tenant: &str, access_key: &str) -> Self {
        self.push(ChangeKind::Trusted, tenant, access_key);
        self
    }

    /// A token was revoked.
    pub(crate) fn revokes_token(mut self, tenant: &str, subject: &str) -> Self {
        self.push(ChangeKind::Token, tenant, subject);
        self
    }

    /// The keys that sign access tokens changed.
    pub(crate) fn touches_signing_keys(mut self) -> Self {
        self.push(ChangeKind::SigningKeys, crate::seal::INSTANCE, crate::seal::INSTANCE);
        self
    }

    /// An imported credential is there, or is found by another handle.
    pub(crate) fn touches_imported(mut self, tenant: &str, handle: &str) -> Self {
        self.push(ChangeKind::Imported, tenant, handle);
        self
    }

    /// There is a new way to look imported credentials up.
    pub(crate) fn touches_import_ways(mut self) -> Self {
        self.push(ChangeKind::ImportWays, crate::seal::INSTANCE, crate::seal::INSTANCE);
        self
    }

    fn push(&mut self, kind: ChangeKind, tenant: &str, subject: &str) {
        self.changes.push(Change { kind, tenant_id: tenant.into(), subject: subject.into() });
    }
}

/// Puts an event at the end of its tenant's chain. The caller holds the lock of the change clock.
pub(crate) async fn append(conn: &mut Conn, actor: &Actor, event: Event, now: i64) -> Result<()> {
    let tenant = &actor.tenant_id;
    let (seq, previous_hash) = match audit::head(conn, tenant).await? {
        Some((seq, hash)) => (seq + 1, hash),
        // There may have been events that were closed.
        None => {
            let (seq, hash) = segments_store::end(conn, tenant).await?;
            (seq + 1, hash)
        }
    };
    let call = event.call.as_ref().unwrap_or(&actor.call);
    let mut recorded = Recorded {
        id: event_id(now, seq),
        seq,
        tenant_id: tenant.clone(),
        at: rfc3339(now),
        actor: actor.principal.clone(),
        key_id: actor.key_id.clone(),
        secret_generation: actor.secret_generation,
        action: event.action.into(),
        target: event.target,
        outcome: event.outcome,
        reason: event.reason,
        before: event.before,
        after: event.after,
        request_id: call.request_id.clone(),
        address: call.address.map(|address| address.to_string()),
        agent: call.agent.clone(),
        personal: Vec::new(),
    };
    let owner = match personal::lacks_owner(&recorded) {
        true => keys::owner(conn, tenant, &recorded.target.id).await?,
        false => None,
    };
    let personal = personal::withhold(&mut recorded, owner.as_deref())?;
    let body = serde_json::to_string(&recorded).map_err(crate::error::Error::internal)?;
    let row = AuditRow {
        tenant_id: tenant.clone(),
        seq,
        at: now,
        action: recorded.action,
        outcome: recorded.outcome.as_str().into(),
        actor_id: recorded.actor.id,
        target_id: recorded.target.id,
        hash: chain_hash(&previous_hash, &body),
        previous_hash,
        body,
        personal: None,
    };
    audit::append(conn, &row).await?;
    for texts in personal {
        audit::keep_texts(conn, tenant, seq, &texts).await?;
    }
    Ok(())
}

/// The id of an event holds its number, so that a look-up needs no index of its own.
fn event_id(at: i64, seq: i64) -> String {
    let bits = (u128::try_from(at).unwrap_or(0) << 80)
        | (0x8 << 76)
        | (0x2 << 62)
        | u128::try_from(seq).unwrap_or(0) & ((1 << 62) - 1);
    keyward_core::id::EventId::from_u128(bits).to_string()
}

/// The number inside an event id.
pub(crate) fn seq_of(id: &str) -> Option<i64> {
    let id: keyward_core::id::EventId = id.parse().ok()?;
    i64::try_from(id.as_u128() & ((1 << 62) - 1)).ok()
}
