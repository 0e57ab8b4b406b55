//! Keys that work only when somebody else has approved them (X5, AZ-6).

use serde_json::json;

use super::find_to_change;
use super::lifecycle::{mark_revoked, touch};
use super::wire::KeyOut;
use crate::app::{Actor, App, Tx};
use crate::audit::{Audited, Event};
use crate::error::{Error, Result};
use crate::store::keys::{self, KeyRow};

/// The event of a key that waits to be approved.
pub(super) fn requested(key: &KeyOut) -> Event {
    let facts = json!({ "class": key.class, "owner_id": key.owner_id, "owner_username": key.owner_username });
    Event::new("key.request_approval", "key", &key.id, &key.label).after(&facts)
}

/// Lets a key work.
pub(crate) async fn approve(app: &App, actor: &Actor, id: &str) -> Result<KeyOut> {
    decide(app, actor, id, "key.approve", None, |tx, row| {
        row.awaits_approval = false;
        row.approved_at = Some(tx.now);
        row.approved_by = Some(tx.actor.principal.id.clone());
    })
    .await
}

/// Ends a key that waits to be approved.
pub(crate) async fn reject(app: &App, actor: &Actor, id: &str, reason: Option<&str>) -> Result<KeyOut> {
    decide(app, actor, id, "key.reject", reason, |tx, row| {
        mark_revoked(row, &tx.actor.principal.id, reason, tx.now);
    })
    .await
}

async fn decide(
    app: &App,
    actor: &Actor,
    id: &str,
    action: &'static str,
    reason: Option<&str>,
    change: impl FnOnce(&Tx<'_>, &mut KeyRow),
) -> Result<KeyOut> {
    app.write(actor, async |tx| {
        let (mut row, mut viewer) = find_to_change(tx, id, "approve").await?;
        must_wait(&row)?;
        must_be_somebody_else(actor, &row)?;
        tx.must_be_fresh()?;
        let before = viewer.render(tx.conn(), row.clone(), true).await?;
        change(tx, &mut row);
        touch(&mut row, tx);
        keys::update(tx.conn(), &row).await?;
        let access_key = row.access_key.clone();
        let after = viewer.render(tx.conn(), row, true).await?;
        let event =
            Event::new(action, "key", &after.id, &after.label).before(&before).after(&after).reason(reason);
        Ok(Audited::new(after, event).touches_key(tx.tenant(), &access_key))
    })
    .await
}

fn must_wait(row: &KeyRow) -> Result<()> {
    if row.switch == "revoked" {
        return Err(Error::conflict("key_revoked", "the key is revoked for good"));
    }
    if row.awaits_approval {
        return Ok(());
    }
    Err(Error::conflict("no_change", "the key does not wait for an approval"))
}

/// Four eyes: neither who made the key nor whose it is.
fn must_be_somebody_else(actor: &Actor, row: &KeyRow) -> Result<()> {
    let own = |id: &str| id == actor.principal.id || actor.key_id.as_deref() == Some(id);
    if own(&row.created_by) || row.owner_id.as_deref().is_some_and(own) {
        return Err(Error::forbidden("own_approval", crate::http::problems::detail("own_approval")));
    }
    Ok(())
}
