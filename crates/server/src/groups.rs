//! Groups: they hold users and keys, and carry roles.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::administrators::{Administered, administered, must_stay_administered};
use crate::app::{Actor, App, Tx};
use crate::audit::{Audited, Event};
use crate::clock::rfc3339;
use crate::error::{Error, Result};
use crate::keys::approval;
use crate::keys::create::assignment_rights;
use crate::keys::view::brief;
use crate::keys::wire::BulkKey;
use crate::names::{canonical, check_label, check_name};
use crate::random;
use crate::roles::touch_holders;
use crate::store::groups::{self, GroupRow};
use crate::store::keys::KeyRow;
use crate::store::page::{Listed, Page};
use crate::store::users::{self, UserFilter};
use crate::store::{keys, roles};
use crate::users::UserOut;
use crate::verify::facts::{self, TenantRecord, split_ids};

/// A group to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct GroupIn {
    /// Unique in the tenant, case ignored.
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) description: String,
    /// Roles that every member gets.
    #[serde(default)]
    pub(crate) role_ids: Vec<String>,
}

/// What can be edited; absent fields stay (RFC 7396).
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct GroupPatch {
    pub(crate) name: Option<String>,
    pub(crate) description: Option<String>,
    /// Exactly these roles.
    pub(crate) role_ids: Option<Vec<String>>,
}

/// A group.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct GroupOut {
    pub(crate) id: String,
    pub(crate) tenant_id: String,
    pub(crate) name: String,
    pub(crate) description: String,
    /// Made with the tenant; its name and roles cannot be changed.
    pub(crate) built_in: bool,
    pub(crate) role_ids: Vec<String>,
    /// Users and keys in it.
    pub(crate) member_count: i64,
    pub(crate) created_at: String,
    pub(crate) updated_at: String,
    pub(crate) version: i64,
}

fn render(row: GroupRow) -> Result<GroupOut> {
    let role_ids = split_ids::<keyward_core::id::RoleId>(row.role_ids.as_deref())?;
    Ok(GroupOut {
        role_ids: role_ids.iter().map(ToString::to_string).collect(),
        created_at: rfc3339(row.created_at),
        updated_at: rfc3339(row.updated_at),
        id: row.id,
        tenant_id: row.tenant_id,
        name: row.name,
        description: row.description,
        built_in: row.built_in,
        member_count: row.member_count,
        version: row.version,
    })
}

/// One group.
pub(crate) async fn show(app: &App, actor: &Actor, id: &str) -> Result<GroupOut> {
    let mut conn = app.read().await?;
    render(groups::find(&mut conn, &actor.tenant_id, id).await?.ok_or(Error::NotFound)?)
}

/// A page of groups.
pub(crate) async fn list(app: &App, actor: &Actor, q: Option<&str>, page: &Page) -> Result<Listed<GroupOut>> {
    let mut conn = app.read().await?;
    let listed = groups::list(&mut conn, &actor.tenant_id, q, page).await?;
    let data = listed.data.into_iter().map(render).collect::<Result<_>>()?;
    Ok(Listed { data, next_cursor: listed.next_cursor })
}

/// The users in a group.
pub(crate) async fn members(app: &App, actor: &Actor, id: &str, page: &Page) -> Result<Listed<UserOut>> {
    let mut conn = app.read().await?;
    groups::find(&mut conn, &actor.tenant_id, id).await?.ok_or(Error::NotFound)?;
    drop(conn);
    let filter = UserFilter { group_id: Some(id.into()), ..UserFilter::default() };
    crate::users::list(app, actor, &filter, page).await
}

/// The first keys in a group, for who may see keys.
pub(crate) async fn keys(app: &App, actor: &Actor, id: &str, limit: i64) -> Result<Vec<BulkKey>> {
    if !actor.may("keys:read") {
        return Ok(Vec::new());
    }
    let mut conn = app.read().await?;
    groups::find(&mut conn, &actor.tenant_id, id).await?.ok_or(Error::NotFound)?;
    let ids = groups::keys(&mut conn, &actor.tenant_id, id, limit).await?;
    let rows = keys::find_many(&mut conn, &actor.tenant_id, &ids).await?;
    rows.iter().map(brief).collect()
}

/// Makes a group; it may carry only roles whose rights the actor holds (AZ-5).
pub(crate) async fn create(app: &App, actor: &Actor, input: GroupIn) -> Result<GroupOut> {
    check_name("/name", &input.name)?;
    check_description(&input.description)?;
    app.write(actor, async |tx| {
        tx.must_hold("groups:write")?;
        let directory = tx.directory().await?;
        if !input.role_ids.is_empty() {
            tx.must_be_fresh()?;
        }
        assignment_rights(tx, &directory, &input.role_ids, &[]).await?;
        make(tx, input).await
    })
    .await
}

/// The same within a transaction, once it is known that the actor may.
pub(crate) async fn make(tx: &mut Tx<'_>, input: GroupIn) -> Result<Audited<GroupOut>> {
    let row = GroupRow {
        tenant_id: tx.tenant().into(),
        id: random::new_id::<keyward_core::id::Group>(tx.now).to_string(),
        name_key: canonical(&input.name),
        name: input.name,
        description: input.description,
        built_in: false,
        created_at: tx.now,
        updated_at: tx.now,
        version: 1,
        role_ids: Some(input.role_ids.join(",")),
        member_count: 0,
    };
    groups::insert(tx.conn(), &row).await?;
    roles::replace_held(tx.conn(), &row.tenant_id, &row.id, &input.role_ids).await?;
    let group = render(row)?;
    let event = Event::new("group.create", "group", &group.id, &group.name).after(&group);
    Ok(Audited::new(group, event).touches_tenant(tx.tenant()))
}

fn check_description(text: &str) -> Result<()> {
    if text.is_empty() { Ok(()) } else { check_label("/description", text, 500) }
}

/// Applies a merge patch. Every member is touched at once.
pub(crate) async fn edit(app: &App, actor: &Actor, id: &str, patch: GroupPatch) -> Result<GroupOut> {
    if let Some(name) = &patch.name {
        check_name("/name", name)?;
    }
    if let Some(text) = &patch.description {
        check_description(text)?;
    }
    app.write(actor, async |tx| {
        let (mut row, directory) = find_to_change(tx, id).await?;
        if row.built_in && (patch.name.is_some() || patch.role_ids.is_some()) {
            return Err(Error::conflict("built_in", "name and roles of a built-in group cannot be changed"));
        }
        let before = render(row.clone())?;
        if let Some(name) = patch.name {
            row.name_key = canonical(&name);
            row.name = name;
        }
        if let Some(text) = patch.description {
            row.description = text;
        }
        row.updated_at = tx.now;
        row.version += 1;
        groups::update(tx.conn(), &row).await?;
        if let Some(role_ids) = &patch.role_ids {
            tx.must_be_fresh()?;
            assignment_rights(tx, &directory, role_ids, &[]).await?;
            let by = administered_before(tx, &directory, &before).await?;
            roles::replace_held(tx.conn(), &row.tenant_id, id, role_ids).await?;
            must_stay_administered(tx, by).await?;
        }
        let row = groups::find(tx.conn(), &row.tenant_id, id).await?.ok_or(Error::NotFound)?;
        let after = render(row)?;
        let event = Event::new("group.edit", "group", id, &after.name).before(&before).after(&after);
        Ok(Audited::new(after, event).touches_tenant(tx.tenant()))
    })
    .await
}

/// Deletes a group; its members lose what it gave them.
pub(crate) async fn delete(app: &App, actor: &Actor, id: &str) -> Result<()> {
    app.write(actor, async |tx| {
        let (row, directory) = find_to_change(tx, id).await?;
        if row.built_in {
            return Err(Error::conflict("built_in", "a built-in group cannot be deleted"));
        }
        let before = render(row)?;
        let tenant = tx.tenant().to_owned();
        let members = groups::members(tx.conn(), &tenant, id).await?;
        let by = administered_before(tx, &directory, &before).await?;
        groups::delete(tx.conn(), &tenant, id).await?;
        must_stay_administered(tx, by).await?;
        let event = Event::new("group.delete", "group", id, &before.name).before(&before);
        Ok(touch_holders(tx, Audited::new((), event), &members).await?.touches_tenant(&tenant))
    })
    .await
}

/// Puts a user or a workspace key into a group: who does so must hold all that the group gives
/// (AZ-5).
pub(crate) async fn add_member(app: &App, actor: &Actor, id: &str, member: &str) -> Result<()> {
    app.write(actor, async |tx| {
        let (row, directory) = find_to_change(tx, id).await?;
        let key = find_member(tx, &directory, member).await?;
        tx.must_be_fresh()?;
        groups::join(tx.conn(), &row.tenant_id, id, member).await?;
        let event = Event::new("group.add_member", "group", id, &row.name)
            .after(&serde_json::json!({ "member_id": member }));
        let mut events = vec![event];
        if let Some(key) = key {
            events.extend(approval::joined(tx, &directory, &key).await?);
        }
        touch_holders(tx, Audited::many((), events), &[member.to_owned()]).await
    })
    .await
}

/// Takes a member out of a group.
pub(crate) async fn remove_member(app: &App, actor: &Actor, id: &str, member: &str) -> Result<()> {
    app.write(actor, async |tx| {
        let (row, directory) = find_to_change(tx, id).await?;
        find_member(tx, &directory, member).await?;
        let before = render(row)?;
        let tenant = tx.tenant().to_owned();
        let by = administered_before(tx, &directory, &before).await?;
        if !groups::leave(tx.conn(), &tenant, id, member).await? {
            return Err(Error::NotFound);
        }
        must_stay_administered(tx, by).await?;
        let event = Event::new("group.remove_member", "group", id, &before.name)
            .before(&serde_json::json!({ "member_id": member }));
        touch_holders(tx, Audited::new((), event), &[member.to_owned()]).await
    })
    .await
}

/// A member may be put in and taken out by those who may edit it (AZ-6). The key, if it is one.
async fn find_member(tx: &mut Tx<'_>, directory: &TenantRecord, member: &str) -> Result<Option<KeyRow>> {
    let tenant = tx.tenant().to_owned();
    let (role_ids, group_ids, key) = if member.starts_with("user_") {
        let user = users::find(tx.conn(), &tenant, member).await?.ok_or(Error::NotFound)?;
        (user.role_ids, user.group_ids, None)
    } else {
        let key = keys::find(tx.conn(), &tenant, member).await?.ok_or(Error::NotFound)?;
        if key.class != "workspace" {
            return Err(Error::conflict("not_assignable", "only users and workspace keys can be in a group"));
        }
        (key.role_ids.clone(), key.group_ids.clone(), Some(key))
    };
    let held = directory.rights_of(&*facts::grant(role_ids.as_deref(), group_ids.as_deref())?);
    tx.must_cover(&held, "above_caller", "the member may do more than you")?;
    Ok(key)
}

/// A group whose roles give nothing that the actor lacks (AZ-6).
async fn find_to_change(tx: &mut Tx<'_>, id: &str) -> Result<(GroupRow, Arc<TenantRecord>)> {
    let tenant = tx.tenant().to_owned();
    let row = groups::find(tx.conn(), &tenant, id).await?.ok_or(Error::NotFound)?;
    tx.must_hold("groups:write")?;
    tx.actor.check_version(row.version)?;
    let directory = tx.directory().await?;
    let given = directory.group(row.id.parse().map_err(Error::internal)?).unwrap_or_default();
    tx.must_cover(&given, "above_caller", "the group gives more than you hold")?;
    Ok((row, directory))
}

/// Who administers the tenant before a change of a group that may make administrators (AZ-11).
async fn administered_before(
    tx: &mut Tx<'_>,
    directory: &TenantRecord,
    group: &GroupOut,
) -> Result<Administered> {
    let admin_roles = directory.admin_roles();
    if group.role_ids.iter().any(|id| admin_roles.contains(id)) {
        return administered(tx).await;
    }
    Ok(Administered::Nobody)
}
