//! Tenants: the operator makes, suspends and deletes them; their admins name them (AZ-14, MO3).

use keyward_core::key::Features;
use keyward_core::policy::Policy;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::app::{Actor, App, Tx};
use crate::audit::{Audited, Event};
use crate::clock::rfc3339;
use crate::error::{Error, Result};
use crate::names::{check_label, check_slug};
use crate::policies::{merge, must_leave_a_way_in};
use crate::random;
use crate::store::Conn;
use crate::store::groups::{self, GroupRow};
use crate::store::page::{Listed, Page};
use crate::store::policies;
use crate::store::roles::{self, RoleRow};
use crate::store::tenants::{self, TenantRow};
use crate::store::webhooks;

/// A tenant to be made.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TenantIn {
    /// 2 to 40 characters of `a-z 0-9 -`; unique.
    pub(crate) slug: String,
    /// A name for people; the slug unless given.
    pub(crate) name: Option<String>,
    /// Classes of keys that the tenant may use.
    #[schema(value_type = Option<Object>)]
    pub(crate) features: Option<Features>,
}

/// What can be edited; absent fields stay (RFC 7396). Slug and features are the operator's.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct TenantPatch {
    pub(crate) slug: Option<String>,
    pub(crate) name: Option<String>,
    /// Those that are named change, `null` brings a default back.
    #[schema(value_type = Option<Object>)]
    pub(crate) features: Option<Value>,
}

/// A tenant.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TenantOut {
    pub(crate) id: String,
    /// A small integer; 0 is the primary tenant.
    pub(crate) number: i64,
    pub(crate) slug: String,
    pub(crate) name: String,
    /// `active` or `suspended`.
    pub(crate) state: &'static str,
    #[schema(value_type = Object)]
    pub(crate) features: Features,
    pub(crate) created_at: String,
    pub(crate) updated_at: String,
    pub(crate) suspended_at: Option<String>,
    pub(crate) suspended_reason: Option<String>,
    pub(crate) version: i64,
}

/// The tenant as the API shows it.
pub(crate) fn render(row: TenantRow) -> Result<TenantOut> {
    Ok(TenantOut {
        state: if row.suspended_at.is_some() { "suspended" } else { "active" },
        features: serde_json::from_str(&row.features).map_err(Error::internal)?,
        created_at: rfc3339(row.created_at),
        updated_at: rfc3339(row.updated_at),
        suspended_at: row.suspended_at.map(rfc3339),
        id: row.id,
        number: row.number,
        slug: row.slug,
        name: row.name,
        suspended_reason: row.suspended_reason,
        version: row.version,
    })
}

/// The tenant in the audit log: by number, so that nothing keeps the id of a deleted one (AZ-14).
fn noted(action: &'static str, tenant: &TenantOut) -> Event {
    Event::new(action, "tenant", &tenant.number.to_string(), &tenant.name)
}

/// What is noted of its fields.
fn fields(tenant: &TenantOut) -> Option<serde_json::Value> {
    let mut value = serde_json::to_value(tenant).ok()?;
    value.as_object_mut()?.remove("id");
    Some(value)
}

/// The tenant that `id` names, `current` being the actor's own. Others exist for operators only.
async fn find(conn: &mut Conn, actor: &Actor, id: &str) -> Result<TenantRow> {
    let id = if id == "current" { actor.tenant_id.as_str() } else { id };
    let own = id == actor.tenant_id && actor.may("tenants:read");
    if !own && !actor.may("instance/tenants:read") {
        return Err(Error::NotFound);
    }
    tenants::find(conn, id).await?.ok_or(Error::NotFound)
}

/// One tenant.
pub(crate) async fn show(app: &App, actor: &Actor, id: &str) -> Result<TenantOut> {
    render(find(&mut app.read().await?, actor, id).await?)
}

/// A page of all tenants, for operators.
pub(crate) async fn list(app: &App, q: Option<&str>, page: &Page) -> Result<Listed<TenantOut>> {
    let listed = tenants::list(&mut app.read().await?, q, page).await?;
    let data = listed.data.into_iter().map(render).collect::<Result<_>>()?;
    Ok(Listed { data, next_cursor: listed.next_cursor })
}

/// Makes a tenant with its built-in roles and group.
pub(crate) async fn create(app: &App, actor: &Actor, input: TenantIn) -> Result<TenantOut> {
    check_slug(&input.slug)?;
    let name = input.name.unwrap_or_else(|| input.slug.clone());
    check_label("/name", &name, 200)?;
    app.write(actor, async |tx| {
        tx.must_hold("instance/tenants:write")?;
        let now = tx.now;
        let id = random::new_id::<keyward_core::id::Tenant>(now).to_string();
        let number = tenants::next_number(tx.conn()).await?;
        let new = NewTenant { id: &id, number, slug: &input.slug, name: &name };
        let row = insert(tx.conn(), new, input.features.unwrap_or_default(), now).await?;
        let tenant = render(row)?;
        // In the log of the operator's tenant: the new one begins with an empty log of its own.
        let event = noted("tenant.create", &tenant).after(&fields(&tenant));
        Ok(Audited::new(tenant, event).touches_tenant(&id))
    })
    .await
}

/// Where the store keeps the number given last.
pub(crate) const NUMBER: &str = "tenant_number";

/// What names a new tenant.
pub(crate) struct NewTenant<'a> {
    pub(crate) id: &'a str,
    pub(crate) number: i64,
    pub(crate) slug: &'a str,
    pub(crate) name: &'a str,
}

/// What an auditor may do (AUD-6): read the log and what explains it. No right of theirs opens a route that
/// changes something.
const AUDITOR: &[&str] = &[
    "audit:read",
    "audit:export",
    "export:read",
    "groups:read",
    "jobs:read",
    "keys:read",
    "policies:read",
    "reports:read",
    "roles:read",
    "tenants:read",
    "trusted:read",
    "users:read",
    "webhooks:read",
];

/// Adds a tenant, the roles `admin`, `member` and `auditor` (in the primary tenant `operator`) and the group
/// Administrators.
pub(crate) async fn insert(
    conn: &mut Conn,
    new: NewTenant<'_>,
    features: Features,
    now: i64,
) -> Result<TenantRow> {
    let row = TenantRow {
        id: new.id.into(),
        number: new.number,
        slug: new.slug.into(),
        name: new.name.into(),
        suspended_at: None,
        suspended_reason: None,
        features: serde_json::to_string(&features).map_err(Error::internal)?,
        policy: serde_json::to_string(&Policy::default()).map_err(Error::internal)?,
        policy_version: 1,
        created_at: now,
        updated_at: now,
        version: 1,
    };
    tenants::insert(conn, &row).await?;
    policies::keep(conn, &row, "system", None).await?;
    let admin =
        built_in_role(conn, &row.id, "admin", "May do everything in the tenant", &["**:*"], now).await?;
    let own_keys = ["me:read", "me/keys:*", "me/sessions:*"];
    built_in_role(conn, &row.id, "member", "May see and manage own keys", &own_keys, now).await?;
    built_in_role(conn, &row.id, "auditor", "May see everything and change nothing", AUDITOR, now).await?;
    if row.number == 0 {
        let what = "May run the instance and enter any tenant";
        built_in_role(conn, &row.id, "operator", what, &["instance/**:*"], now).await?;
    }
    administrators(conn, &row.id, &admin, now).await?;
    Ok(row)
}

async fn built_in_role(
    conn: &mut Conn,
    tenant: &str,
    name: &str,
    description: &str,
    rights: &[&str],
    now: i64,
) -> Result<String> {
    let row = RoleRow {
        tenant_id: tenant.into(),
        id: random::new_id::<keyward_core::id::Role>(now).to_string(),
        name: name.into(),
        name_key: name.into(),
        description: description.into(),
        built_in: true,
        rights: serde_json::to_string(rights).map_err(Error::internal)?,
        created_at: now,
        updated_at: now,
        version: 1,
    };
    roles::insert(conn, &row).await?;
    Ok(row.id)
}

async fn administrators(conn: &mut Conn, tenant: &str, admin: &str, now: i64) -> Result<()> {
    let row = GroupRow {
        tenant_id: tenant.into(),
        id: random::new_id::<keyward_core::id::Group>(now).to_string(),
        name: "Administrators".into(),
        name_key: "administrators".into(),
        description: "Hold the role admin".into(),
        built_in: true,
        created_at: now,
        updated_at: now,
        version: 1,
        role_ids: None,
        member_count: 0,
    };
    groups::insert(conn, &row).await?;
    roles::grant(conn, tenant, &row.id, admin).await
}

/// Applies a merge patch.
pub(crate) async fn edit(app: &App, actor: &Actor, id: &str, patch: TenantPatch) -> Result<TenantOut> {
    if let Some(slug) = &patch.slug {
        check_slug(slug)?;
    }
    if let Some(name) = &patch.name {
        check_label("/name", name, 200)?;
    }
    change(app, actor, id, "tenant.edit", None, async |tx, row| {
        if patch.slug.is_some() || patch.features.is_some() {
            tx.must_hold("instance/tenants:write")?;
        } else if tx.must_hold("instance/tenants:write").is_err() {
            tx.must_hold("tenants:write")?;
        }
        if let Some(slug) = patch.slug {
            row.slug = slug;
        }
        if let Some(name) = patch.name {
            row.name = name;
        }
        if let Some(patch) = patch.features {
            let features = patched(&row.features, patch)?;
            if row.number == 0 {
                let policy = serde_json::from_str(&row.policy).map_err(Error::internal)?;
                must_leave_a_way_in(&policy, features)?;
            }
            row.features = serde_json::to_string(&features).map_err(Error::internal)?;
        }
        Ok(())
    })
    .await
}

/// Features with a merge patch applied (RFC 7396).
fn patched(features: &str, patch: Value) -> Result<Features> {
    if !patch.is_object() {
        return Err(Error::malformed("/features", "bad_type", "expected an object"));
    }
    let mut document = serde_json::from_str(features).map_err(Error::internal)?;
    merge(&mut document, patch);
    serde_path_to_error::deserialize(document).map_err(|error| {
        let pointer = format!("/features{}", crate::http::json::pointer(error.path()));
        Error::malformed(&pointer, "bad_value", error.into_inner().to_string())
    })
}

/// Stops every key of a tenant, without touching any.
pub(crate) async fn suspend(app: &App, actor: &Actor, id: &str, reason: Option<&str>) -> Result<TenantOut> {
    change(app, actor, id, "tenant.suspend", reason, async |tx, row| {
        tx.must_hold("instance/tenants:write")?;
        if row.number == 0 {
            return Err(Error::conflict("primary_tenant", "the primary tenant cannot be suspended"));
        }
        if row.suspended_at.is_some() {
            return Err(Error::conflict("no_change", "the tenant is suspended already"));
        }
        row.suspended_at = Some(tx.now);
        row.suspended_reason = reason.map(Into::into);
        Ok(())
    })
    .await
}

/// Lets a suspended tenant go on.
pub(crate) async fn resume(app: &App, actor: &Actor, id: &str) -> Result<TenantOut> {
    change(app, actor, id, "tenant.resume", None, async |tx, row| {
        tx.must_hold("instance/tenants:write")?;
        if row.suspended_at.is_none() {
            return Err(Error::conflict("no_change", "the tenant is active already"));
        }
        row.suspended_at = None;
        row.suspended_reason = None;
        // What was not tried for so long has not failed for so long.
        webhooks::forget_failures(tx.conn(), &row.id).await
    })
    .await
    .inspect(|_| app.outbox.wake())
}

async fn change(
    app: &App,
    actor: &Actor,
    id: &str,
    action: &'static str,
    reason: Option<&str>,
    apply: impl AsyncFnOnce(&mut Tx<'_>, &mut TenantRow) -> Result<()>,
) -> Result<TenantOut> {
    app.write(actor, async |tx| {
        let mut row = find(tx.conn(), actor, id).await?;
        actor.check_version(row.version)?;
        let before = render(row.clone())?;
        apply(tx, &mut row).await?;
        row.updated_at = tx.now;
        row.version += 1;
        tenants::update(tx.conn(), &row).await?;
        let id = row.id.clone();
        let after = render(row)?;
        let event = noted(action, &after).before(&fields(&before)).after(&fields(&after)).reason(reason);
        Ok(Audited::new(after, event).touches_tenant(&id))
    })
    .await
}

/// Removes a tenant and everything in it, for good; `confirm` must be its slug.
pub(crate) async fn delete(app: &App, actor: &Actor, id: &str, confirm: Option<&str>) -> Result<()> {
    let gone = app
        .write(actor, async |tx| {
            tx.must_hold("instance/tenants:write")?;
            let row = find(tx.conn(), actor, id).await?;
            actor.check_version(row.version)?;
            if row.number == 0 {
                return Err(Error::conflict("primary_tenant", "the primary tenant cannot be deleted"));
            }
            if row.id == actor.tenant_id {
                return Err(Error::conflict("own_tenant", "leave the tenant before you delete it"));
            }
            if confirm != Some(row.slug.as_str()) {
                let detail = format!("everything in it would be gone; confirm with ?confirm={}", row.slug);
                return Err(Error::conflict("not_confirmed", detail));
            }
            // Its own writers must be through, or they would leave rows behind (AZ-14).
            tx.lock_tenant(&row.id).await?;
            tenants::delete(tx.conn(), &row.id).await?;
            let before = render(row)?;
            let event = noted("tenant.delete", &before).before(&fields(&before));
            Ok(Audited::new(before.id, event).removes_tenant())
        })
        .await?;
    if let Err(error) = app.db.scrub(&gone).await {
        tracing::warn!(%error, "free space of the database may hold remains of the deleted tenant");
    }
    Ok(())
}
