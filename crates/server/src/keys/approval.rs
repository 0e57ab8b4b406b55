//! Keys that work only when somebody else has approved them (X5, AZ-6).

use serde_json::json;

use super::find_to_change;
use super::lifecycle::{mark_revoked, touch};
use super::view::Viewer;
use super::widening::widens;
use super::wire::KeyOut;
use crate::app::{Actor, App, Tx};
use crate::audit::{Audited, Event};
use crate::error::{Error, Result};
use crate::http::problems;
use crate::store::keys::{self, KeyRow};
use crate::verify::facts::TenantRecord;
use crate::verify::record;

/// Keys that made keys that made a key, as far as anybody asks who that was.
const MOST_MAKERS: usize = 100;

/// The event of a key that waits to be approved.
pub(super) fn requested(key: &KeyOut) -> Event {
    let facts = json!({ "class": key.class, "owner_id": key.owner_id, "owner_username": key.owner_username });
    Event::new("key.request_approval", "key", &key.id, &key.label).after(&facts)
}

/// A key that is to do more than somebody approved waits anew, where policy asks for an approval; true if so.
/// `more` tells that it is for another reason than its row shows.
pub(super) fn ask_again(
    tx: &Tx<'_>,
    directory: &TenantRecord,
    before: &KeyRow,
    row: &mut KeyRow,
    more: bool,
) -> Result<bool> {
    let rule = directory.tenant.policy.class(record::class(row)?).approval;
    if !rule || tx.is_local() || row.awaits_approval || !(more || widens(before, row)?) {
        return Ok(false);
    }
    row.awaits_approval = true;
    (row.approved_at, row.approved_by) = (None, None);
    Ok(true)
}

/// A key of the workspace was put into a group: the same as an edit of it.
pub(crate) async fn joined(tx: &mut Tx<'_>, directory: &TenantRecord, before: &KeyRow) -> Result<Vec<Event>> {
    let (tenant, now) = (before.tenant_id.clone(), tx.now);
    let mut row = keys::find(tx.conn(), &tenant, &before.id).await?.ok_or(Error::NotFound)?;
    if !ask_again(tx, directory, before, &mut row, false)? {
        return Ok(Vec::new());
    }
    touch(&mut row, tx);
    keys::update(tx.conn(), &row).await?;
    let key = Viewer::new(tx.conn(), &tenant, now).await?.render(tx.conn(), row, false).await?;
    Ok(vec![requested(&key)])
}

/// Notes who had a hand in a key that waits.
pub(super) fn note_hand(row: &mut KeyRow, who: &str) {
    if !row.awaits_approval {
        return;
    }
    let hands = row.hands.get_or_insert_default();
    if !hands.split(',').any(|known| known == who) {
        hands.push_str(if hands.is_empty() { "" } else { "," });
        hands.push_str(who);
    }
}

/// Lets a key work.
pub(crate) async fn approve(app: &App, actor: &Actor, id: &str) -> Result<KeyOut> {
    decide(app, actor, id, "key.approve", None, |tx, row| {
        row.awaits_approval = false;
        row.hands = None;
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
        must_be_somebody_else(tx, &row).await?;
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

/// Four eyes: a person, and neither who made or changed the key nor whose it is. Whoever made a key of the
/// workspace holds it, and what it does is theirs.
async fn must_be_somebody_else(tx: &mut Tx<'_>, row: &KeyRow) -> Result<()> {
    let actor = tx.actor;
    if actor.principal.kind != "user" {
        return Err(Error::forbidden("approval_by_key", problems::detail("approval_by_key")));
    }
    let own = |id: &String| *id == actor.principal.id || actor.key_id.as_ref() == Some(id);
    if makers(tx, row).await?.iter().any(own) {
        return Err(Error::forbidden("own_approval", problems::detail("own_approval")));
    }
    Ok(())
}

/// Everybody who had a hand in a key, those included who made the keys that did.
async fn makers(tx: &mut Tx<'_>, row: &KeyRow) -> Result<Vec<String>> {
    let tenant = row.tenant_id.clone();
    let hands = row.hands.iter().flat_map(|hands| hands.split(',')).map(str::to_owned);
    let mut makers: Vec<String> = [&row.created_by, &row.updated_by].into_iter().cloned().collect();
    makers.extend(row.owner_id.iter().cloned().chain(hands));
    makers.extend(keys::secret_makers(tx.conn(), &tenant, &row.id).await?);
    let mut at = 0;
    while let Some(id) = makers.get(at).filter(|_| at < MOST_MAKERS).cloned() {
        at += 1;
        if !id.starts_with("key_") || makers[..at - 1].contains(&id) {
            continue;
        }
        makers.extend(keys::find(tx.conn(), &tenant, &id).await?.map(|key| key.created_by));
        makers.extend(keys::secret_makers(tx.conn(), &tenant, &id).await?);
    }
    Ok(makers)
}
