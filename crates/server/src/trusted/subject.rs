//! Whom a token is asked for: found in memory where possible, or made (TS8, IMP-5).

use std::sync::Arc;

use keyward_core::id::{TenantId, UserId};
use keyward_core::key::{Owner, OwnerState};

use super::ceiling::Ceiling;
use super::firsts::Firsts;
use super::provisioning::{self, Groups};
use super::wire::TokenIn;
use crate::app::{Actor, App, Tx};
use crate::audit::{Audited, Event};
use crate::error::{Error, Result};
use crate::names::{Username, check_email, check_label};
use crate::random;
use crate::store::trusted::GenerationRow;
use crate::store::users::UserRow;
use crate::store::{groups, roles, tenants, trusted, users};
use crate::verify::facts::{self, Age, TenantRecord, UserRecord, administers};
use crate::verify::trusted::{Backend, Subjects, is_allowed};

/// Names that were looked up; more are looked up again.
const REMEMBERED: usize = 100_000;

/// What minting remembers between two tokens.
pub(crate) struct Memory {
    /// Which user a name stood for, and how that user's name was spelled then.
    names: quick_cache::sync::Cache<(TenantId, Box<str>), (UserId, Box<str>)>,
    slugs: quick_cache::sync::Cache<Box<str>, TenantId>,
    pub(super) subjects: Subjects,
    /// What secrets did for the first time.
    pub(crate) firsts: Firsts,
}

impl Default for Memory {
    fn default() -> Self {
        Self {
            names: quick_cache::sync::Cache::new(REMEMBERED),
            slugs: quick_cache::sync::Cache::new(REMEMBERED),
            subjects: Subjects::default(),
            firsts: Firsts::default(),
        }
    }
}

/// The tenant that a request is about: the secret's own, or with one of the primary tenant any (TS4).
///
/// # Errors
/// `Error::NotFound` for a tenant that is none, or none of this secret.
pub(crate) async fn tenant(
    app: &Arc<App>,
    backend: &Backend,
    wanted: Option<&str>,
) -> Result<Arc<TenantRecord>> {
    let own = &backend.tenant;
    let Some(wanted) = wanted.filter(|name| *name != &*own.slug && *name != own.id.to_string()) else {
        return Ok(own.clone());
    };
    if own.number != 0 {
        return Err(Error::NotFound);
    }
    if let Ok(id) = wanted.parse() {
        return load_tenant(app, id).await?.ok_or(Error::NotFound);
    }
    if let Some(id) = app.minting.slugs.get(wanted)
        && let Some(known) = load_tenant(app, id).await?.filter(|known| &*known.slug == wanted)
    {
        return Ok(known);
    }
    let slug = wanted.to_owned();
    let row =
        on_control(app, async move |app| tenants::find_by_slug(&mut app.read().await?, &slug).await).await?;
    let id: TenantId = row.ok_or(Error::NotFound)?.id.parse().map_err(Error::internal)?;
    app.minting.slugs.insert(wanted.into(), id);
    load_tenant(app, id).await?.ok_or(Error::NotFound)
}

async fn load_tenant(app: &Arc<App>, id: TenantId) -> Result<Option<Arc<TenantRecord>>> {
    app.verifier.cache.wait_for(|cache, now| cache.tenant(id, now)).await
}

/// The user that a request is about; `None` when there is none.
///
/// # Errors
/// `Error::Invalid` for what is no user name.
pub(super) async fn find(
    app: &Arc<App>,
    tenant: TenantId,
    input: &TokenIn,
) -> Result<Option<Arc<UserRecord>>> {
    match (&input.username, &input.user_id) {
        (Some(name), None) => by_name(app, tenant, name).await,
        (None, Some(id)) => {
            let found = by_id(app, tenant, id.parse().map_err(|_| Error::NotFound)?).await?;
            Ok(found.filter(|user| user.owner.state != OwnerState::Deleted))
        }
        _ => Err(Error::malformed("/username", "required", "give username or user_id")),
    }
}

async fn by_id(app: &Arc<App>, tenant: TenantId, id: UserId) -> Result<Option<Arc<UserRecord>>> {
    app.verifier.cache.wait_for(|cache, now| cache.user(tenant, id, now)).await
}

/// The living user of this name.
///
/// # Errors
/// `Error::Invalid` for what is no user name.
pub(crate) async fn by_name(app: &Arc<App>, tenant: TenantId, name: &str) -> Result<Option<Arc<UserRecord>>> {
    let key = Username::parse_any(name)?.key;
    let place = (tenant, Box::from(key.as_str()));
    if let Some((id, spelled)) = app.minting.names.get(&place)
        && let Some(user) = by_id(app, tenant, id).await?
        && user.username == spelled
        && user.owner.state != OwnerState::Deleted
    {
        return Ok(Some(user));
    }
    let found = on_control(app, async move |app| {
        users::find_id(&mut app.read().await?, &tenant.to_string(), &key).await
    });
    let Some(id) = found.await? else { return Ok(None) };
    let user = by_id(app, tenant, id.parse().map_err(Error::internal)?).await?;
    if let Some(user) = &user {
        app.minting.names.insert(place, (user.id, user.username.clone()));
    }
    Ok(user.filter(|user| user.owner.state != OwnerState::Deleted))
}

/// Runs where connections to the database belong.
pub(super) async fn on_control<T: Send + 'static, F>(
    app: &Arc<App>,
    work: impl FnOnce(Arc<App>) -> F,
) -> Result<T>
where
    F: Future<Output = Result<T>> + Send + 'static,
{
    app.control.spawn(work(app.clone())).await.map_err(Error::internal)?
}

/// A user who will be made, once a token for them is certain.
pub(super) struct Prospect {
    /// As the user will be.
    pub(super) record: Arc<UserRecord>,
    name: Username,
    email: Option<String>,
    display_name: Option<String>,
    groups: Groups,
}

/// The user whom a token is asked for as they would be made: below the ceiling of the secret. Whoever
/// is there already is left as they are, unless a dialect updates them (`provisioning.rs`).
pub(super) fn prospect(
    app: &App,
    backend: &Backend,
    tenant: &TenantRecord,
    input: &TokenIn,
    groups: Groups,
) -> Result<Prospect> {
    let name = Username::parse(input.username.as_deref().ok_or(Error::NotFound)?)?;
    if let Some(email) = &input.email {
        check_email(email)?;
    }
    if let Some(name) = &input.display_name {
        check_label("/display_name", name, 200)?;
    }
    groups.check(tenant, &backend.record.ceiling)?;
    let now = app.clock.unix_ms();
    let member = tenant.built_in_role("member").map(|role| role.to_string());
    let record = UserRecord {
        id: random::new_id(now),
        tenant_id: tenant.id,
        username: name.shown.as_str().into(),
        owner: Owner { state: OwnerState::Active, last_login_at: now, login_window_minutes: None },
        grant: facts::grant(member.as_deref(), Some(&groups.ids.join(",")))?,
        token_epoch: 0,
        trusted_tokens: true,
        arrivals: Default::default(),
        credits: None,
        age: Age::new(0),
    };
    Ok(Prospect {
        record: Arc::new(record),
        name,
        email: input.email.clone(),
        display_name: input.display_name.clone(),
        groups,
    })
}

/// Makes them; false if another request did so first.
pub(super) async fn create(app: &Arc<App>, backend: &Backend, actor: Actor, new: Prospect) -> Result<bool> {
    let backend = backend.clone();
    on_control(app, async move |app: Arc<App>| insert(&app, &backend, &actor, new).await).await
}

async fn insert(app: &App, backend: &Backend, actor: &Actor, new: Prospect) -> Result<bool> {
    app.write(actor, async |tx| {
        // All of it may have changed since it was looked at.
        let ceiling = must_live(tx, backend).await?;
        let directory = tx.directory().await?;
        if directory.tenant.suspended {
            return Err(Error::forbidden("subject_not_active", "the tenant is suspended"));
        }
        new.groups.check(&directory, &ceiling)?;
        ceiling.check_user(&directory, &new.record)?;
        ceiling.bound(directory.rights_of(&new.record.grant))?;
        let tenant = tx.tenant().to_owned();
        // No error: writers share commits, and this answer comes when that of the other one is done.
        if users::find_id(tx.conn(), &tenant, &new.name.key).await?.is_some() {
            return Ok(Audited::many(false, Vec::new()));
        }
        let made = provisioning::make(tx, &directory, &ceiling, &new.groups).await?;
        let member = roles::find_built_in(tx.conn(), &tenant, "member").await?;
        let role_ids: Vec<String> = member.into_iter().map(|role| role.id).collect();
        let row = row(tx, new, &role_ids, &made.value);
        users::insert(tx.conn(), &row).await?;
        roles::replace_held(tx.conn(), &tenant, &row.id, &role_ids).await?;
        groups::replace_joined(tx.conn(), &tenant, &row.id, &made.value).await?;
        let id = row.id.clone();
        let shown = crate::users::render(&directory, row, tx.now)?;
        let event = Event::new("user.create", "user", &id, &shown.username).after(&shown);
        let audited = made.map(drop).and(Audited::new((), event).touches_user(&tenant, &id));
        Ok(audited.map(|()| true))
    })
    .await
}

/// The ceiling as it is now, of a secret that still may ask for tokens and make users.
pub(super) async fn must_live(tx: &mut Tx<'_>, backend: &Backend) -> Result<Ceiling> {
    let disabled = || Error::Unauthenticated("trusted_disabled");
    let row = trusted::load(tx.conn(), backend.record.access_key.digits()).await?;
    let row = row.filter(|row| row.ended_at.is_none()).ok_or_else(disabled)?;
    let own = |generation: &GenerationRow| generation.generation == i64::from(backend.generation);
    let live = row.generation_rows()?.into_iter().find(own);
    if live.is_none_or(|generation| generation.retires_at.is_some_and(|end| end <= tx.now)) {
        return Err(Error::Unauthenticated("retired_secret"));
    }
    let tenant = facts::load_tenant(tx.conn(), backend.record.tenant_id, 0).await?.ok_or_else(disabled)?;
    if !is_allowed(&tenant) {
        return Err(disabled());
    }
    if tenant.tenant.suspended {
        return Err(Error::Unauthenticated("tenant_suspended"));
    }
    let ceiling = Ceiling::of(&row)?;
    if ceiling.create_users { Ok(ceiling) } else { Err(Error::NotFound) }
}

/// Refuses groups that the secret may not put anybody into.
pub(super) fn check_groups(directory: &TenantRecord, ceiling: &Ceiling, groups: &[String]) -> Result<()> {
    for (place, group) in groups.iter().enumerate() {
        check_group(directory, ceiling, group).map_err(|code| refuse_group(code, place))?;
    }
    Ok(())
}

/// A user who is made gets into no group above the ceiling, and never among the administrators.
fn check_group(directory: &TenantRecord, ceiling: &Ceiling, group: &str) -> Result<(), &'static str> {
    let rights = group.parse().ok().and_then(|id| directory.group(id)).ok_or("not_found")?;
    let listed = ceiling.create_group_ids.is_empty() || ceiling.create_group_ids.iter().any(|id| id == group);
    let below = ceiling.rights.as_ref().is_none_or(|most| most.covers_all(&rights));
    if listed && below && !administers(&rights) { Ok(()) } else { Err("above_ceiling") }
}

fn refuse_group(code: &'static str, place: usize) -> Error {
    if code == "not_found" {
        return Error::invalid(&format!("/group_ids/{place}"), "not_found", "there is no such id");
    }
    Error::forbidden("above_ceiling", "the trusted secret may not put anybody into this group")
}

fn row(tx: &Tx<'_>, new: Prospect, role_ids: &[String], group_ids: &[String]) -> UserRow {
    let place = (tx.tenant(), new.record.id.to_string());
    UserRow {
        email: new.email,
        display_name: new.display_name,
        role_ids: Some(role_ids.join(",")),
        group_ids: Some(group_ids.join(",")),
        ..UserRow::new(place, new.name, "jit", (&tx.actor.principal.id, tx.now))
    }
}
