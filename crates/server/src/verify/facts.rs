//! Facts as the cache holds them: one record per key, user and tenant (`design.md` §5).
//!
//! A changed role touches the record of its tenant and nothing else: keys and users name their
//! roles and groups, the tenant's record says what those mean.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};

use keyward_core::decide::Now;
use keyward_core::id::{GroupId, RoleId, TenantId, UserId};
use keyward_core::key::{KeyClass, Owner, OwnerState, Tenant};
use keyward_core::limit::MAX_LIMITS;
use keyward_core::policy::Policy;
use keyward_core::right::{Right, RightSet};
use keyward_core::token::AccessKey;
use serde_json::value::RawValue;

use super::cache::Need;
use super::credits::Credits;
use super::pool::Pool;
use super::record::KeyRecord;
use crate::error::{Error, Result};
use crate::store::users::UserRow;
use crate::store::{Conn, groups, keys, roles, tenants, users};

/// Roles and groups that a user or key has been given. Equal grants share one allocation.
#[derive(Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Grant {
    pub(crate) roles: Vec<RoleId>,
    pub(crate) groups: Vec<GroupId>,
}

/// What is known about a user.
#[derive(Debug)]
pub(crate) struct UserRecord {
    pub(crate) id: UserId,
    pub(crate) tenant_id: TenantId,
    pub(crate) username: Box<str>,
    pub(crate) owner: Owner,
    pub(crate) grant: Arc<Grant>,
    /// Tokens of an earlier epoch are over.
    pub(crate) token_epoch: i64,
    /// Trusted secrets may ask for tokens of this user.
    pub(crate) trusted_tokens: bool,
    /// State of the policy's owner limits, by place.
    pub(crate) arrivals: [AtomicU64; MAX_LIMITS],
    /// What all keys of the user spend together.
    pub(crate) credits: Option<Box<Credits>>,
    pub(crate) age: Age,
}

impl UserRecord {
    /// Takes over what outlives a reload: the state of limits, credits in hand.
    pub(super) fn carry_on(&mut self, old: &Self) {
        for (from, to) in old.arrivals.iter().zip(&self.arrivals) {
            to.store(from.load(Ordering::Relaxed), Ordering::Relaxed);
        }
        if let (Some(before), Some(now)) = (&old.credits, &mut self.credits) {
            now.carry_on(before);
        }
    }
}

/// What is known about a tenant, its roles and groups included.
#[derive(Debug)]
pub(crate) struct TenantRecord {
    pub(crate) id: TenantId,
    pub(crate) number: i64,
    pub(crate) slug: Box<str>,
    pub(crate) tenant: Tenant,
    roles: HashMap<RoleId, RightSet>,
    /// Built-in roles by name.
    built_in: HashMap<Box<str>, RoleId>,
    groups: HashMap<GroupId, Vec<RoleId>>,
    /// Effective rights by (class, scopes, grant), each computed once.
    effective: papaya::HashMap<(KeyClass, usize, usize), Arc<Effective>>,
    pub(crate) age: Age,
}

/// Effective rights with the forms that answers need.
#[derive(Debug)]
pub(crate) struct Effective {
    pub(crate) rights: RightSet,
    /// Whether they cover the whole tenant, or reach the instance.
    pub(crate) is_admin: bool,
    /// A JSON array.
    pub(crate) json: Box<RawValue>,
    /// Separated by blanks, for the identity header.
    pub(crate) header: Box<str>,
    /// Holds what the memo key points to, so that an address is never used twice.
    _scopes: Option<Arc<RightSet>>,
    _grant: Option<Arc<Grant>>,
}

impl Effective {
    /// Rights with the forms that answers need.
    pub(crate) fn new(rights: RightSet) -> Self {
        Self {
            json: serde_json::value::to_raw_value(&rights).expect("rights are plain strings"),
            header: rights.to_string().into(),
            is_admin: administers(&rights),
            rights,
            _scopes: None,
            _grant: None,
        }
    }
}

/// Whether a record may still be used, and when it was read: milliseconds of the monotonic clock,
/// above a bit that says stale.
#[derive(Debug)]
pub(crate) struct Age(AtomicU64);

impl Age {
    pub(crate) fn new(loaded_ms: u64) -> Self {
        Self(AtomicU64::new(loaded_ms << 1))
    }

    /// The facts are known to have changed.
    pub(crate) fn expire(&self) {
        self.0.fetch_or(1, Ordering::Release);
    }

    pub(crate) fn is_stale(&self) -> bool {
        self.0.load(Ordering::Acquire) & 1 == 1
    }

    /// The facts are asked for again unless they were read within so many milliseconds: something tells
    /// of newer ones. Whatever tells it costs no more than a read in that time.
    pub(super) fn must_be_younger(&self, ms: u64, now: Now, need: Need) -> Result<(), Need> {
        let age_ms = (now.monotonic_ns / 1_000_000).saturating_sub(self.loaded_ms());
        if age_ms < ms { Ok(()) } else { Err(need) }
    }

    /// Milliseconds of the monotonic clock when the facts were read.
    pub(crate) fn loaded_ms(&self) -> u64 {
        self.0.load(Ordering::Relaxed) >> 1
    }
}

static GRANTS: LazyLock<Pool<Grant>> = LazyLock::new(Pool::default);
static EVERYTHING_INGEST: LazyLock<RightSet> = LazyLock::new(|| {
    ["ingest/**:*"].iter().map(|right| right.parse().expect("a constant right parses")).collect()
});

impl TenantRecord {
    /// The same tenant under another policy.
    pub(crate) fn under(&self, policy: Policy) -> Self {
        Self {
            id: self.id,
            number: self.number,
            slug: self.slug.clone(),
            tenant: Tenant { policy, ..self.tenant.clone() },
            roles: self.roles.clone(),
            built_in: self.built_in.clone(),
            groups: self.groups.clone(),
            effective: papaya::HashMap::new(),
            age: Age::new(self.age.loaded_ms()),
        }
    }

    /// What a user may do without any key in between.
    pub(crate) fn rights_of(&self, grant: &Grant) -> RightSet {
        let through_groups = grant.groups.iter().filter_map(|id| self.groups.get(id)).flatten();
        grant
            .roles
            .iter()
            .chain(through_groups)
            .filter_map(|role| self.roles.get(role))
            .flat_map(RightSet::iter)
            .cloned()
            .collect()
    }

    /// The built-in role of this name.
    pub(crate) fn built_in_role(&self, name: &str) -> Option<RoleId> {
        self.built_in.get(name).copied()
    }

    /// The rights of one role.
    pub(crate) fn role(&self, id: RoleId) -> Option<&RightSet> {
        self.roles.get(&id)
    }

    /// The rights that a group carries.
    pub(crate) fn group(&self, id: GroupId) -> Option<RightSet> {
        let roles = self.groups.get(&id)?.clone();
        Some(self.rights_of(&Grant { roles, groups: Vec::new() }))
    }

    /// Roles that alone make an administrator: they cover `**:*`.
    pub(crate) fn admin_roles(&self) -> Vec<String> {
        let everything = RightSet::everything();
        self.roles
            .iter()
            .filter(|(_, rights)| rights.covers_all(&everything))
            .map(|(id, _)| id.to_string())
            .collect()
    }

    /// Scopes ∩ what the class and the grant give (X4), computed once per combination.
    pub(crate) fn effective(
        &self,
        class: KeyClass,
        scopes: Option<&Arc<RightSet>>,
        grant: &Arc<Grant>,
    ) -> Arc<Effective> {
        let place =
            (class, scopes.map_or(0, |scopes| Arc::as_ptr(scopes) as usize), Arc::as_ptr(grant) as usize);
        let memo = self.effective.pin();
        if let Some(known) = memo.get(&place) {
            return known.clone();
        }
        let granted = match class {
            KeyClass::Ingest => EVERYTHING_INGEST.clone(),
            KeyClass::Member | KeyClass::Workspace => self.rights_of(grant),
        };
        let rights = scopes.map_or_else(|| granted.clone(), |scopes| scopes.intersect(&granted));
        let effective = Arc::new(Effective {
            _scopes: scopes.cloned(),
            _grant: Some(grant.clone()),
            ..Effective::new(rights)
        });
        memo.insert(place, effective.clone());
        effective
    }
}

/// Whether rights cover the whole tenant, or reach the instance.
pub(crate) fn administers(rights: &RightSet) -> bool {
    rights.covers_all(&RightSet::everything()) || rights.iter().any(Right::is_reserved)
}

/// Reads the facts of a key; `None` when there is no such key.
pub(crate) async fn load_key(
    conn: &mut Conn,
    access_key: AccessKey,
    now_ms: u64,
) -> Result<Option<KeyRecord>> {
    let Some(row) = keys::load(conn, access_key.digits()).await? else { return Ok(None) };
    KeyRecord::of(&row, now_ms).map(Some)
}

/// Reads the facts of a user, living or deleted.
pub(crate) async fn load_user(
    conn: &mut Conn,
    tenant: TenantId,
    id: UserId,
    now_ms: u64,
) -> Result<Option<UserRecord>> {
    let row = users::load(conn, &tenant.to_string(), &id.to_string()).await?;
    row.map(|row| user_record(&row, now_ms)).transpose()
}

/// The record of a row.
pub(crate) fn user_record(row: &UserRow, now_ms: u64) -> Result<UserRecord> {
    Ok(UserRecord {
        id: row.id.parse().map_err(Error::internal)?,
        tenant_id: row.tenant_id.parse().map_err(Error::internal)?,
        username: row.username.as_str().into(),
        owner: Owner {
            state: match (row.deleted_at, row.suspended_at) {
                (Some(_), _) => OwnerState::Deleted,
                (None, Some(_)) => OwnerState::Suspended,
                (None, None) => OwnerState::Active,
            },
            last_login_at: row.last_login_at.unwrap_or(row.created_at),
            login_window_minutes: row.login_window_minutes,
        },
        grant: grant(row.role_ids.as_deref(), row.group_ids.as_deref())?,
        token_epoch: row.token_epoch,
        trusted_tokens: row.trusted_tokens,
        arrivals: Default::default(),
        credits: Credits::of(&row.credits)?,
        age: Age::new(now_ms),
    })
}

/// Reads the facts of a tenant with its roles and groups.
pub(crate) async fn load_tenant(conn: &mut Conn, id: TenantId, now_ms: u64) -> Result<Option<TenantRecord>> {
    let text = id.to_string();
    let Some(row) = tenants::find(conn, &text).await? else { return Ok(None) };
    let (mut rights, mut built_in) = (HashMap::new(), HashMap::new());
    for role in roles::all(conn, &text).await? {
        let id: RoleId = role.id.parse().map_err(Error::internal)?;
        if role.built_in {
            built_in.insert(role.name_key.into(), id);
        }
        rights.insert(id, serde_json::from_str(&role.rights).map_err(Error::internal)?);
    }
    let mut carried = HashMap::new();
    for group in groups::all(conn, &text).await? {
        let id: GroupId = group.id.parse().map_err(Error::internal)?;
        carried.insert(id, split_ids(group.role_ids.as_deref())?);
    }
    Ok(Some(TenantRecord {
        id,
        number: row.number,
        slug: row.slug.into(),
        tenant: Tenant {
            suspended: row.suspended_at.is_some(),
            features: serde_json::from_str(&row.features).map_err(Error::internal)?,
            policy: serde_json::from_str(&row.policy).map_err(Error::internal)?,
        },
        roles: rights,
        built_in,
        groups: carried,
        effective: papaya::HashMap::new(),
        age: Age::new(now_ms),
    }))
}

/// The grant that two lists of ids spell.
pub(crate) fn grant(roles: Option<&str>, groups: Option<&str>) -> Result<Arc<Grant>> {
    Ok(GRANTS.share(Grant { roles: split_ids(roles)?, groups: split_ids(groups)? }))
}

/// The ids in a text like `role_…,role_…`, sorted.
pub(crate) fn split_ids<T>(list: Option<&str>) -> Result<Vec<T>>
where
    T: std::str::FromStr + Ord,
    T::Err: std::error::Error + Send + Sync + 'static,
{
    let parts = list.unwrap_or_default().split(',').filter(|part| !part.is_empty());
    let mut ids: Vec<T> = parts.map(str::parse).collect::<Result<_, _>>().map_err(Error::internal)?;
    ids.sort();
    Ok(ids)
}

/// A column of JSON.
pub(super) fn parse_json<T: serde::de::DeserializeOwned>(text: Option<&str>) -> Result<Option<T>> {
    text.map(serde_json::from_str).transpose().map_err(Error::internal)
}

/// A stored key that makes no sense.
pub(super) fn unreadable(what: &str) -> Error {
    Error::internal(format!("a stored key has an unreadable {what}"))
}
