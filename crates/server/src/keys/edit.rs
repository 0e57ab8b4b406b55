//! Editing a key: label, scopes, assignments, end, conditions, limits, credits.

use keyward_core::key::KeyClass;
use keyward_core::right::RightSet;

use super::create::{assignment_rights, conditions_json, must_have_room, must_have_room_in_class, to_json};
use super::lifecycle::touch;
use super::wire::{KeyOut, KeyPatch};
use super::{approval, find_to_change, rotation, rules};
use crate::app::{Actor, App, Tx};
use crate::audit::{Audited, Event};
use crate::credits;
use crate::error::{Error, Result};
use crate::names::check_label;
use crate::store::credits::Holder;
use crate::store::keys::{self, KeyRow};
use crate::store::{groups, roles};
use crate::verify::facts::TenantRecord;
use crate::verify::record;

/// Applies a merge patch.
pub(crate) async fn edit(app: &App, actor: &Actor, id: &str, patch: KeyPatch) -> Result<KeyOut> {
    check(&patch)?;
    app.write(actor, async |tx| {
        let (mut row, mut viewer) = find_to_change(tx, id, "edit").await?;
        if row.switch == "revoked" {
            return Err(Error::conflict("key_revoked", "the key is revoked for good"));
        }
        let (old, before) = (row.clone(), viewer.render(tx.conn(), row.clone(), true).await?);
        apply(tx, &viewer.tenant, &mut row, &patch).await?;
        let more = patch.credit_wish().widens(&old.credits)?;
        let asks = approval::ask_again(tx, &viewer.tenant, &old, &mut row, more)?;
        touch(&mut row, tx);
        keys::update(tx.conn(), &row).await?;
        let (wish, now) = (patch.credit_wish(), tx.now);
        credits::change(tx.conn(), &row.tenant_id, Holder::Key(&row.id), &row.credits, &wish, now).await?;
        let row = keys::find(tx.conn(), &row.tenant_id, &row.id).await?.ok_or(Error::NotFound)?;
        let access_key = row.access_key.clone();
        let after = viewer.render(tx.conn(), row, true).await?;
        let event = Event::new("key.edit", "key", &after.id, &after.label).before(&before).after(&after);
        let events = [event].into_iter().chain(asks.then(|| approval::requested(&after))).collect();
        Ok(Audited::many(after, events).touches_key(tx.tenant(), &access_key))
    })
    .await
}

fn check(patch: &KeyPatch) -> Result<()> {
    if let Some(label) = &patch.label {
        check_label("/label", label, 100)?;
    }
    patch.credit_wish().check()?;
    rules::count("/idle_seconds", patch.idle_seconds.flatten(), 60..=315_360_000)?;
    rules::limits(patch.limits.as_ref().and_then(Option::as_deref).unwrap_or_default())
}

async fn apply(tx: &mut Tx<'_>, directory: &TenantRecord, row: &mut KeyRow, patch: &KeyPatch) -> Result<()> {
    let class = record::class(row)?;
    if let Some(label) = patch.label.as_ref().filter(|label| **label != row.label) {
        rules::label_rule(tx, &directory.tenant.policy, class, label)?;
        row.label.clone_from(label);
    }
    let wish = rules::validity(patch.expires_at.as_deref(), patch.ttl_seconds, patch.expires.as_deref())?;
    if wish != keyward_core::policy::Validity::Default {
        set_end(tx, directory, row, class, wish).await?;
    }
    if let Some(conditions) = &patch.conditions {
        let conditions = conditions.clone().map(rules::conditions).transpose()?.flatten();
        rules::address_rule(&directory.tenant.policy, class, conditions.as_ref())?;
        row.conditions = conditions_json(conditions.as_ref())?;
    }
    if let Some(limits) = &patch.limits {
        row.limits = limits.as_ref().filter(|limits| !limits.is_empty()).map(to_json).transpose()?;
    }
    if let Some(idle) = patch.idle_seconds {
        row.idle_seconds = idle;
    }
    if patch.rotation.is_some() {
        rotation::set(row, rotation::schedule(directory, class, patch.rotation)?, tx.now);
    }
    assign(tx, directory, row, class, patch).await?;
    if let Some(scopes) = &patch.scopes {
        set_scopes(tx, directory, row, class, scopes.as_deref()).await?;
    }
    Ok(())
}

/// Moves the end of a key; also of one that is over (BM5), if its owner has room for it again.
pub(super) async fn set_end(
    tx: &mut Tx<'_>,
    directory: &TenantRecord,
    row: &mut KeyRow,
    class: KeyClass,
    wish: keyward_core::policy::Validity,
) -> Result<()> {
    let is_over = row.expires_at.is_some_and(|end| end <= tx.now);
    if let Some(owner_id) = row.owner_id.as_deref().filter(|_| is_over) {
        must_have_room(tx, directory, owner_id).await?;
    }
    if is_over {
        must_have_room_in_class(tx, directory, class).await?;
    }
    row.expires_at = rules::resolve_end(class, directory.tenant.policy.class(class), wish, tx.now)?;
    if row.expires_at.is_none() {
        tx.must_hold("keys/never-expire:create")?;
    }
    Ok(())
}

/// Gives a workspace key other roles and groups (BM6).
async fn assign(
    tx: &mut Tx<'_>,
    directory: &TenantRecord,
    row: &mut KeyRow,
    class: KeyClass,
    patch: &KeyPatch,
) -> Result<()> {
    if patch.role_ids.is_none() && patch.group_ids.is_none() {
        return Ok(());
    }
    if class != KeyClass::Workspace {
        return Err(Error::invalid("/role_ids", "not_allowed", "only workspace keys have roles and groups"));
    }
    tx.must_be_fresh()?;
    let none = Vec::new();
    let (role_ids, group_ids) =
        (patch.role_ids.as_ref().unwrap_or(&none), patch.group_ids.as_ref().unwrap_or(&none));
    assignment_rights(tx, directory, role_ids, group_ids).await?;
    if patch.role_ids.is_some() {
        roles::replace_held(tx.conn(), &row.tenant_id, &row.id, role_ids).await?;
        row.role_ids = Some(role_ids.join(","));
    }
    if patch.group_ids.is_some() {
        groups::replace_joined(tx.conn(), &row.tenant_id, &row.id, group_ids).await?;
        row.group_ids = Some(group_ids.join(","));
    }
    Ok(())
}

async fn set_scopes(
    tx: &mut Tx<'_>,
    directory: &TenantRecord,
    row: &mut KeyRow,
    class: KeyClass,
    scopes: Option<&[String]>,
) -> Result<()> {
    tx.must_be_fresh()?;
    let scopes = scopes.map(|texts| rules::rights("/scopes", texts)).transpose()?;
    let held = held_rights(tx, directory, row, class).await?;
    let given = match &scopes {
        Some(scopes) if !held.covers_all(scopes) => {
            return Err(Error::forbidden(
                "scope_exceeds_owner",
                "the scopes hold a right that the owner lacks",
            ));
        }
        Some(scopes) => scopes,
        None => &held,
    };
    tx.must_cover(given, "rights_exceed_caller", "the key could do more than you")?;
    row.scopes = scopes.as_ref().map(to_json).transpose()?;
    Ok(())
}

/// What the key could do without scopes, after the assignments of this transaction.
async fn held_rights(
    tx: &mut Tx<'_>,
    directory: &TenantRecord,
    row: &KeyRow,
    class: KeyClass,
) -> Result<RightSet> {
    if class == KeyClass::Ingest {
        return Ok(["ingest/**:*".parse().map_err(Error::internal)?].into_iter().collect());
    }
    let holder = row.owner_id.as_deref().unwrap_or(&row.id);
    let role_ids = roles::held_by(tx.conn(), &row.tenant_id, holder).await?;
    let group_ids = groups::joined_by(tx.conn(), &row.tenant_id, holder).await?;
    App::rights_of(directory, &role_ids, &group_ids)
}
