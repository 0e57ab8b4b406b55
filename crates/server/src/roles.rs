//! Roles: named sets of rights (VA6, AZ-5).

use keyward_core::right::RightSet;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::administrators::{Administered, administered, must_stay_administered};
use crate::app::{Actor, App, Tx};
use crate::audit::{Audited, Event};
use crate::clock::rfc3339;
use crate::error::{Error, Result};
use crate::keys::rules;
use crate::keys::view::texts;
use crate::names::{canonical, check_label, check_name};
use crate::random;
use crate::store::page::{Listed, Page};
use crate::store::roles::{self, RoleRow};

/// A role to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RoleIn {
    /// Unique in the tenant, case ignored.
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) description: String,
    /// `resource:action`, as in `models/emea/**:read`.
    pub(crate) rights: Vec<String>,
}

/// What can be edited; absent fields stay (RFC 7396).
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct RolePatch {
    pub(crate) name: Option<String>,
    pub(crate) description: Option<String>,
    /// Exactly these rights.
    pub(crate) rights: Option<Vec<String>>,
}

/// A role.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RoleOut {
    pub(crate) id: String,
    pub(crate) tenant_id: String,
    pub(crate) name: String,
    pub(crate) description: String,
    /// Made with the tenant; cannot be edited or deleted.
    pub(crate) built_in: bool,
    pub(crate) rights: Vec<String>,
    pub(crate) created_at: String,
    pub(crate) updated_at: String,
    pub(crate) version: i64,
}

fn render(row: RoleRow) -> Result<RoleOut> {
    Ok(RoleOut {
        rights: texts(&stored_rights(&row)?),
        created_at: rfc3339(row.created_at),
        updated_at: rfc3339(row.updated_at),
        id: row.id,
        tenant_id: row.tenant_id,
        name: row.name,
        description: row.description,
        built_in: row.built_in,
        version: row.version,
    })
}

fn stored_rights(row: &RoleRow) -> Result<RightSet> {
    serde_json::from_str(&row.rights).map_err(Error::internal)
}

/// One role.
pub(crate) async fn show(app: &App, actor: &Actor, id: &str) -> Result<RoleOut> {
    let mut conn = app.read().await?;
    render(roles::find(&mut conn, &actor.tenant_id, id).await?.ok_or(Error::NotFound)?)
}

/// A page of roles.
pub(crate) async fn list(app: &App, actor: &Actor, q: Option<&str>, page: &Page) -> Result<Listed<RoleOut>> {
    let mut conn = app.read().await?;
    let listed = roles::list(&mut conn, &actor.tenant_id, q, page).await?;
    let data = listed.data.into_iter().map(render).collect::<Result<_>>()?;
    Ok(Listed { data, next_cursor: listed.next_cursor })
}

/// Makes a role; nobody puts a right in it that they do not hold (AZ-5).
pub(crate) async fn create(app: &App, actor: &Actor, input: RoleIn) -> Result<RoleOut> {
    check_name("/name", &input.name)?;
    check_description(&input.description)?;
    let rights = rules::rights("/rights", &input.rights)?;
    app.write(actor, async |tx| {
        tx.must_hold("roles:write")?;
        must_be_grantable(tx, &rights).await?;
        let row = RoleRow {
            tenant_id: tx.tenant().into(),
            id: random::new_id::<keyward_core::id::Role>(tx.now).to_string(),
            name_key: canonical(&input.name),
            name: input.name,
            description: input.description,
            built_in: false,
            rights: serde_json::to_string(&rights).map_err(Error::internal)?,
            created_at: tx.now,
            updated_at: tx.now,
            version: 1,
        };
        roles::insert(tx.conn(), &row).await?;
        let role = render(row)?;
        let event = Event::new("role.create", "role", &role.id, &role.name).after(&role);
        Ok(Audited::new(role, event).touches_tenant(tx.tenant()))
    })
    .await
}

fn check_description(text: &str) -> Result<()> {
    if text.is_empty() { Ok(()) } else { check_label("/description", text, 500) }
}

/// Held by the actor, and rights of the instance in the primary tenant only.
async fn must_be_grantable(tx: &mut Tx<'_>, rights: &RightSet) -> Result<()> {
    if rights.iter().any(keyward_core::right::Right::is_reserved) && tx.directory().await?.number != 0 {
        return Err(Error::invalid(
            "/rights",
            "reserved",
            "rights below instance exist in the primary tenant only",
        ));
    }
    tx.must_cover(rights, "rights_exceed_caller", "this would give a right away")?;
    tx.must_be_fresh()
}

/// Applies a merge patch. Everyone who holds the role is touched at once.
pub(crate) async fn edit(app: &App, actor: &Actor, id: &str, patch: RolePatch) -> Result<RoleOut> {
    if let Some(name) = &patch.name {
        check_name("/name", name)?;
    }
    if let Some(text) = &patch.description {
        check_description(text)?;
    }
    let rights = patch.rights.as_deref().map(|texts| rules::rights("/rights", texts)).transpose()?;
    app.write(actor, async |tx| {
        let mut row = find_to_change(tx, id).await?;
        let before = render(row.clone())?;
        let by = administered_before(tx, &before).await?;
        if let Some(name) = patch.name {
            row.name_key = canonical(&name);
            row.name = name;
        }
        if let Some(text) = patch.description {
            row.description = text;
        }
        if let Some(rights) = &rights {
            must_be_grantable(tx, rights).await?;
            row.rights = serde_json::to_string(rights).map_err(Error::internal)?;
        }
        row.updated_at = tx.now;
        row.version += 1;
        roles::update(tx.conn(), &row).await?;
        tx.directory_changed();
        must_stay_administered(tx, by).await?;
        let after = render(row)?;
        let event = Event::new("role.edit", "role", id, &after.name).before(&before).after(&after);
        Ok(Audited::new(after, event).touches_tenant(tx.tenant()))
    })
    .await
}

/// Deletes a role and takes it from everyone.
pub(crate) async fn delete(app: &App, actor: &Actor, id: &str) -> Result<()> {
    app.write(actor, async |tx| {
        let row = find_to_change(tx, id).await?;
        let before = render(row)?;
        let by = administered_before(tx, &before).await?;
        let tenant = tx.tenant().to_owned();
        let holders = roles::holders(tx.conn(), &tenant, id).await?;
        roles::delete(tx.conn(), &tenant, id).await?;
        tx.directory_changed();
        must_stay_administered(tx, by).await?;
        let event = Event::new("role.delete", "role", id, &before.name).before(&before);
        Ok(touch_holders(tx, Audited::new((), event), &holders).await?.touches_tenant(&tenant))
    })
    .await
}

/// Notes users and keys whose grant changed; names of keys in the feed are their access keys.
pub(crate) async fn touch_holders<T>(
    tx: &mut Tx<'_>,
    mut audited: Audited<T>,
    holders: &[String],
) -> Result<Audited<T>> {
    let tenant = tx.tenant().to_owned();
    for holder in holders {
        if holder.starts_with("user_") {
            audited = audited.touches_user(&tenant, holder);
        } else if let Some(key) = crate::store::keys::find(tx.conn(), &tenant, holder).await? {
            audited = audited.touches_key(&tenant, &key.access_key);
        }
    }
    Ok(audited)
}

/// Who administers the tenant before a change of a role that may make administrators (AZ-11).
async fn administered_before(tx: &mut Tx<'_>, role: &RoleOut) -> Result<Administered> {
    if role.rights.iter().any(|right| right == "**:*") {
        return administered(tx).await;
    }
    Ok(Administered::Nobody)
}

/// A role that is not built in and gives nothing that the actor lacks (AZ-6).
async fn find_to_change(tx: &mut Tx<'_>, id: &str) -> Result<RoleRow> {
    let tenant = tx.tenant().to_owned();
    let row = roles::find(tx.conn(), &tenant, id).await?.ok_or(Error::NotFound)?;
    tx.must_hold("roles:write")?;
    tx.actor.check_version(row.version)?;
    if row.built_in {
        return Err(Error::conflict("built_in", "a built-in role cannot be changed"));
    }
    tx.must_cover(&stored_rights(&row)?, "above_caller", "the role gives more than you hold")?;
    Ok(row)
}
