//! How a stored key looks to clients: status, effective rights, secrets without secrets.

use std::collections::HashMap;
use std::sync::Arc;

use keyward_core::decide::{self, Code, KeyFacts, Now, standing_cause};
use keyward_core::id::UserId;
use keyward_core::key::{OwnerState, Status, Tenant, status};
use keyward_core::policy::Policy;
use keyward_core::right::RightSet;
use keyward_core::token::AccessKey;

use super::rotation::RotationOut;
use super::wire::{BulkKey, ImportedOut, KeyOut, SecretOut};
use crate::clock::rfc3339;
use crate::credits::CreditsOut;
use crate::error::{Error, Result};
use crate::store::keys::{KeyRow, SecretRow};
use crate::store::{Conn, users};
use crate::verify::facts::{self, Effective, TenantRecord, UserRecord};
use crate::verify::record::{self, KeyRecord};

/// A tenant and the owners met so far, to render many keys with few queries.
pub(crate) struct Viewer {
    pub(crate) tenant: Arc<TenantRecord>,
    owners: HashMap<UserId, Option<Arc<UserRecord>>>,
    now: i64,
}

/// A key as it stands at one moment.
pub(crate) struct Standing {
    pub(crate) record: KeyRecord,
    pub(crate) status: Status,
    pub(crate) cause: Option<Code>,
    pub(crate) effective: Arc<Effective>,
}

impl Viewer {
    /// Reads the tenant once.
    pub(crate) async fn new(conn: &mut Conn, tenant: &str, now: i64) -> Result<Self> {
        let id = tenant.parse().map_err(Error::internal)?;
        let tenant = facts::load_tenant(conn, id, 0).await?.ok_or(Error::NotFound)?;
        Ok(Self::with(Arc::new(tenant), now))
    }

    /// Takes a tenant that was read already.
    pub(crate) fn with(tenant: Arc<TenantRecord>, now: i64) -> Self {
        Self { tenant, owners: HashMap::new(), now }
    }

    /// The same tenant as it would be under another policy, before anybody looked at it.
    pub(crate) fn under(&self, policy: Policy) -> Self {
        Self::with(Arc::new(self.tenant.under(policy)), self.now)
    }

    async fn owner(&mut self, conn: &mut Conn, id: Option<UserId>) -> Result<Option<Arc<UserRecord>>> {
        let Some(id) = id else { return Ok(None) };
        if let Some(known) = self.owners.get(&id) {
            return Ok(known.clone());
        }
        let owner = facts::load_user(conn, self.tenant.id, id, 0).await?.map(Arc::new);
        self.owners.insert(id, owner.clone());
        Ok(owner)
    }

    /// `active`, `suspended` or `deleted`.
    pub(crate) async fn owner_state(
        &mut self,
        conn: &mut Conn,
        owner: Option<UserId>,
    ) -> Result<Option<&'static str>> {
        let owner = self.owner(conn, owner).await?;
        Ok(owner.map(|owner| match owner.owner.state {
            OwnerState::Active => "active",
            OwnerState::Suspended => "suspended",
            OwnerState::Deleted => "deleted",
        }))
    }

    /// Reads the owners of all keys from one id to another with one query.
    pub(crate) async fn meet_owners(&mut self, conn: &mut Conn, from: &str, to: &str) -> Result<()> {
        for row in users::owners(conn, &self.tenant.id.to_string(), from, to).await? {
            let owner = facts::user_record(&row, 0)?;
            self.owners.insert(owner.id, Some(Arc::new(owner)));
        }
        Ok(())
    }

    /// The first reason that would stop a key, whose owner was met, under the rules of a tenant: its own
    /// switch and times included, whatever is asked of it.
    pub(crate) fn lapse(
        &self,
        tenant: &Tenant,
        record: &KeyRecord,
        last_used_at: Option<i64>,
    ) -> Option<Code> {
        let (key, secret) = (record.key(), record.current_secret(self.now)?);
        let owner = record.terms.owner_id.and_then(|id| self.owners.get(&id)?.as_deref());
        let facts = KeyFacts {
            key: &key,
            secret: &secret,
            owner: owner.map(|owner| &owner.owner),
            tenant,
            rights: &RightSet::default(),
            last_used_at,
            limits: &[],
            credits: [None; 2],
        };
        decide::lapse(&facts, Now { unix_ms: self.now, monotonic_ns: 0 })
    }

    /// What the owner of a key may do without it.
    pub(super) async fn owner_rights(&mut self, conn: &mut Conn, owner: Option<UserId>) -> Result<RightSet> {
        let owner = self.owner(conn, owner).await?;
        Ok(owner.map(|owner| self.tenant.rights_of(&owner.grant)).unwrap_or_default())
    }

    /// Derives state and rights of a key; the state comes from the one function in core.
    pub(crate) async fn standing(&mut self, conn: &mut Conn, row: &KeyRow) -> Result<Standing> {
        let record = KeyRecord::of(row, 0)?;
        let (key, terms) = (record.key(), &record.terms);
        let owner = self.owner(conn, terms.owner_id).await?;
        let grant = owner.as_ref().map_or(&terms.grant, |owner| &owner.grant);
        let effective = self.tenant.effective(terms.class, terms.scopes.as_ref(), grant);
        let live = record.secrets().filter(|s| s.retires_at.is_none_or(|end| end > self.now)).count();
        let cause = record.current_secret(self.now).and_then(|secret| {
            let facts = KeyFacts {
                key: &key,
                secret: &secret,
                owner: owner.as_ref().map(|owner| &owner.owner),
                tenant: &self.tenant.tenant,
                rights: &effective.rights,
                last_used_at: row.last_used_at,
                limits: &[],
                credits: [None; 2],
            };
            standing_cause(&facts, Now { unix_ms: self.now, monotonic_ns: 0 })
        });
        let status = status(&key, cause, live, self.now);
        Ok(Standing { record, status, cause, effective })
    }

    /// The key as the API shows it.
    pub(crate) async fn render(&mut self, conn: &mut Conn, row: KeyRow, with_rights: bool) -> Result<KeyOut> {
        let standing = self.standing(conn, &row).await?;
        let secrets = row.secret_rows()?.iter().map(|secret| self.secret(secret)).collect();
        let terms = &standing.record.terms;
        let suspended = standing.status == Status::Suspended;
        let awaits =
            (standing.status == Status::Pending && row.awaits_approval).then_some(Code::ApprovalPending);
        Ok(KeyOut {
            access_key: format!("kwa_{}", row.access_key),
            class: terms.class,
            status: standing.status,
            status_cause: standing.cause.filter(|_| suspended).or(awaits).map(Code::as_str),
            scopes: terms.scopes.as_deref().map(texts),
            role_ids: terms.grant.roles.iter().map(ToString::to_string).collect(),
            group_ids: terms.grant.groups.iter().map(ToString::to_string).collect(),
            effective_rights: with_rights.then(|| texts(&standing.effective.rights)),
            has_admin_rights: standing.effective.rights.covers_all(&RightSet::everything()),
            created_at: rfc3339(row.created_at),
            updated_at: rfc3339(row.updated_at),
            not_before: row.not_before.map(rfc3339),
            expires_at: row.expires_at.map(rfc3339),
            never_expires: row.expires_at.is_none(),
            revoked_at: row.revoked_at.map(rfc3339),
            last_used_at: row.last_used_at.map(rfc3339),
            conditions: terms.conditions.as_deref().cloned(),
            limits: terms.limits.to_vec(),
            credits: CreditsOut::of(&row.credits, self.now)?,
            idle_seconds: row.idle_seconds,
            secrets,
            exposed_at: row.exposed_at.map(rfc3339),
            canary: row.canary,
            rotation: RotationOut::of(&row),
            imported: row.imported_from.zip(row.imported_at).map(|(source, at)| ImportedOut {
                source,
                external_id: row.external_id.unwrap_or_default(),
                at: rfc3339(at),
            }),
            awaits_approval: row.awaits_approval,
            approved_at: row.approved_at.map(rfc3339),
            approved_by: row.approved_by,
            id: row.id,
            tenant_id: row.tenant_id,
            owner_id: row.owner_id,
            owner_username: row.owner_username,
            label: row.label,
            created_by: row.created_by,
            updated_by: row.updated_by,
            revoked_by: row.revoked_by,
            revoked_reason: row.revoked_reason,
            version: row.version,
        })
    }

    fn secret(&self, secret: &SecretRow) -> SecretOut {
        SecretOut {
            generation: secret.generation,
            hint: secret.hint.clone(),
            created_at: rfc3339(secret.created_at),
            retires_at: secret.retires_at.map(rfc3339),
            last_seen_at: secret.seen_at.map(rfc3339),
            live: secret.retires_at.is_none_or(|end| end > self.now),
        }
    }
}

/// The short form for lists of bulk operations.
pub(crate) fn brief(row: &KeyRow) -> Result<BulkKey> {
    Ok(BulkKey {
        id: row.id.clone(),
        access_key: AccessKey::from_digits(&row.access_key).map(|key| key.to_string()).unwrap_or_default(),
        label: row.label.clone(),
        class: record::class(row)?,
        owner_id: row.owner_id.clone(),
        owner_username: row.owner_username.clone(),
    })
}

/// The rights of a set, spelled.
pub(crate) fn texts(rights: &RightSet) -> Vec<String> {
    rights.iter().map(ToString::to_string).collect()
}
