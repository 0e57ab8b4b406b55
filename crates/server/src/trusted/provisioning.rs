//! Users and groups as a dialect brings them along with its request for a token (TS8, IMP-5): groups by name,
//! made where they are missing, and users who are there brought up to date. What may not be made by a
//! secret is not changed by it either: no administrator, and nobody above its ceiling.

use std::collections::BTreeSet;
use std::sync::Arc;

use keyward_core::id::GroupId;

use super::ceiling::Ceiling;
use super::subject::{check_groups, must_live, on_control};
use super::wire::TokenIn;
use crate::app::{Actor, App, Tx};
use crate::audit::{Audited, Event};
use crate::error::{Error, Result};
use crate::groups::GroupIn;
use crate::names::{canonical, check_email, check_label, check_name};
use crate::store::users::UserRow;
use crate::store::{Conn, groups as store, users};
use crate::verify::facts::{self, TenantRecord, UserRecord, administers};
use crate::verify::trusted::Backend;

/// Groups of one user in one request, at most.
const MOST: usize = 100;
/// A tenant that has so many gets no more on the way: whoever asks for tokens makes up names without end, and
/// all groups of a tenant are held in memory.
const MOST_IN_TENANT: i64 = 1000;

/// Groups that a user shall be in.
#[derive(Clone, Debug, Default)]
pub(super) struct Groups {
    /// Ids of those that are there.
    pub(super) ids: Vec<String>,
    /// Names of those that are made.
    missing: Vec<String>,
}

impl Groups {
    /// Refuses groups that the secret may not put anybody into.
    pub(super) fn check(&self, directory: &TenantRecord, ceiling: &Ceiling) -> Result<()> {
        check_groups(directory, ceiling, &self.ids)?;
        self.check_missing(ceiling)
    }

    fn check_missing(&self, ceiling: &Ceiling) -> Result<()> {
        if self.missing.is_empty() || ceiling.create_group_ids.is_empty() {
            return Ok(());
        }
        refuse("the trusted secret puts nobody into other groups than those of its ceiling")
    }
}

/// The groups that a request names.
///
/// # Errors
/// `Error::Invalid` for an id that is none, and for a name that no group can have.
pub(super) async fn groups(app: &Arc<App>, tenant: &TenantRecord, input: &TokenIn) -> Result<Groups> {
    let Some(named) = &input.provision.groups else {
        return Ok(Groups { ids: input.group_ids.clone(), missing: Vec::new() });
    };
    if named.len() > MOST {
        return Err(Error::invalid("/groups", "too_many", format!("at most {MOST} groups")));
    }
    let (tenant, named) = (tenant.id.to_string(), named.clone());
    on_control(app, async move |app: Arc<App>| look_up(&mut app.read().await?, &tenant, &named).await).await
}

async fn look_up(conn: &mut Conn, tenant: &str, named: &[String]) -> Result<Groups> {
    let mut found = Groups::default();
    for (place, name) in named.iter().enumerate() {
        let (name, pointer) = (name.trim(), format!("/groups/{place}"));
        let row = if name.parse::<GroupId>().is_ok() {
            let unknown = || Error::invalid(&pointer, "not_found", "there is no such id");
            Some(store::find(conn, tenant, name).await?.ok_or_else(unknown)?)
        } else {
            store::find_by_name(conn, tenant, &canonical(name)).await?
        };
        match row {
            Some(row) if found.ids.contains(&row.id) => {}
            Some(row) => found.ids.push(row.id),
            None => {
                check_name(&pointer, name)?;
                if !found.missing.iter().any(|known| canonical(known) == canonical(name)) {
                    found.missing.push(name.to_owned());
                }
            }
        }
    }
    Ok(found)
}

/// Makes the groups that are missing, without rights; the ids of all.
pub(super) async fn make(
    tx: &mut Tx<'_>,
    directory: &TenantRecord,
    ceiling: &Ceiling,
    groups: &Groups,
) -> Result<Audited<Vec<String>>> {
    let tenant = tx.tenant().to_owned();
    let mut all = Audited::many(groups.ids.clone(), Vec::new());
    for name in &groups.missing {
        // Another request may have been first, and somebody may have given the group rights since.
        if let Some(row) = store::find_by_name(tx.conn(), &tenant, &canonical(name)).await? {
            check_groups(directory, ceiling, std::slice::from_ref(&row.id))?;
            all.value.push(row.id);
            continue;
        }
        must_have_room(tx, &tenant).await?;
        let group = GroupIn { name: name.clone(), description: String::new(), role_ids: Vec::new() };
        let made = crate::groups::make(tx, group).await?;
        all.value.push(made.value.id.clone());
        all = all.and(made.map(drop));
    }
    Ok(all)
}

async fn must_have_room(tx: &mut Tx<'_>, tenant: &str) -> Result<()> {
    if store::count(tx.conn(), tenant).await? < MOST_IN_TENANT {
        return Ok(());
    }
    let detail = format!("the tenant has {MOST_IN_TENANT} groups: make more at /v1/groups, or delete some");
    Err(Error::invalid("/groups", "too_many", detail))
}

/// What changes of a user who is there.
pub(super) struct Renewal {
    /// As the user will be.
    pub(super) record: Arc<UserRecord>,
    email: Option<String>,
    display_name: Option<String>,
    /// Exactly these.
    groups: Option<Groups>,
}

/// What a request changes of a user who is there; `None` if nothing.
///
/// # Errors
/// 403 for a user whom the secret may not change.
pub(super) async fn renewal(
    app: &Arc<App>,
    backend: &Backend,
    tenant: &TenantRecord,
    input: &TokenIn,
    user: &UserRecord,
) -> Result<Option<Renewal>> {
    if let Some(email) = &input.email {
        check_email(email)?;
    }
    if let Some(name) = &input.display_name {
        check_label("/display_name", name, 200)?;
    }
    let groups = match &input.provision.groups {
        Some(_) => Some(groups(app, tenant, input).await?),
        None => None,
    };
    let (home, id) = (tenant.id.to_string(), user.id.to_string());
    let row =
        on_control(app, async move |app: Arc<App>| users::find(&mut app.read().await?, &home, &id).await);
    let mut row = row.await?.ok_or(Error::NotFound)?;
    let (email, display_name) = (input.email.clone(), input.display_name.clone());
    let mut renewal = Renewal { record: Arc::new(facts::user_record(&row, 0)?), email, display_name, groups };
    if !renewal.differs(&row) {
        return Ok(None);
    }
    renewal.check(tenant, &backend.record.ceiling, &row)?;
    if let Some(groups) = &renewal.groups {
        row.group_ids = Some(groups.ids.join(","));
        renewal.record = Arc::new(facts::user_record(&row, 0)?);
    }
    Ok(Some(renewal))
}

impl Renewal {
    fn differs(&self, row: &UserRow) -> bool {
        let is_new = |new: &Option<String>, old: &Option<String>| new.is_some() && new != old;
        let regroups = |groups: &Groups| {
            let wanted: BTreeSet<&str> = groups.ids.iter().map(String::as_str).collect();
            let before: BTreeSet<&str> = joined(row).into_iter().collect();
            !groups.missing.is_empty() || wanted != before
        };
        is_new(&self.email, &row.email)
            || is_new(&self.display_name, &row.display_name)
            || self.groups.as_ref().is_some_and(regroups)
    }

    /// Refuses users above the ceiling, and groups that the secret may put nobody into: it takes nobody
    /// out of them either.
    fn check(&self, directory: &TenantRecord, ceiling: &Ceiling, row: &UserRow) -> Result<()> {
        if !ceiling.create_users {
            return refuse("the trusted secret makes and changes no users");
        }
        let held = crate::users::rights(directory, row)?;
        if administers(&held) || ceiling.rights.as_ref().is_some_and(|most| !most.covers_all(&held)) {
            return refuse("the trusted secret changes nobody who may do more than its ceiling");
        }
        ceiling.check_user(directory, &facts::user_record(row, 0)?)?;
        let Some(groups) = &self.groups else { return Ok(()) };
        let before = joined(row);
        let added = groups.ids.iter().filter(|id| !before.contains(&id.as_str())).cloned();
        let left = before.iter().filter(|id| !groups.ids.iter().any(|kept| kept == **id));
        let touched: Vec<String> = added.chain(left.map(|id| (*id).to_owned())).collect();
        check_groups(directory, ceiling, &touched)?;
        groups.check_missing(ceiling)
    }
}

/// Ids of the groups that a user is in.
fn joined(row: &UserRow) -> Vec<&str> {
    row.group_ids.as_deref().unwrap_or_default().split(',').filter(|id| !id.is_empty()).collect()
}

fn refuse(detail: &str) -> Result<()> {
    Err(Error::forbidden("above_ceiling", detail))
}

/// Changes them.
pub(super) async fn update(app: &Arc<App>, backend: &Backend, actor: Actor, new: Renewal) -> Result<()> {
    let backend = backend.clone();
    on_control(app, async move |app: Arc<App>| write(&app, &backend, &actor, &new).await).await
}

async fn write(app: &App, backend: &Backend, actor: &Actor, new: &Renewal) -> Result<()> {
    app.write(actor, async |tx| {
        // All of it may have changed since it was looked at.
        let ceiling = must_live(tx, backend).await?;
        let directory = tx.directory().await?;
        let (tenant, id) = (tx.tenant().to_owned(), new.record.id.to_string());
        let mut row = users::find(tx.conn(), &tenant, &id).await?.ok_or(Error::NotFound)?;
        if directory.tenant.suspended || row.suspended_at.is_some() {
            return Err(Error::forbidden("subject_not_active", "the user or the tenant is suspended"));
        }
        new.check(&directory, &ceiling, &row)?;
        let before = crate::users::render(&directory, row.clone(), tx.now)?;
        let mut audited = Audited::many((), Vec::new());
        if let Some(groups) = &new.groups {
            let made = make(tx, &directory, &ceiling, groups).await?;
            store::replace_joined(tx.conn(), &tenant, &id, &made.value).await?;
            audited = made.map(drop);
        }
        row.email = new.email.clone().or(row.email);
        row.display_name = new.display_name.clone().or(row.display_name);
        row.updated_at = tx.now;
        row.version += 1;
        users::update(tx.conn(), &row).await?;
        let row = users::find(tx.conn(), &tenant, &id).await?.ok_or(Error::NotFound)?;
        let after = crate::users::render(&directory, row, tx.now)?;
        let event = Event::new("user.edit", "user", &id, &after.username).before(&before).after(&after);
        Ok(audited.and(Audited::new((), event).touches_user(&tenant, &id)))
    })
    .await
}
