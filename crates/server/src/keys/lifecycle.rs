//! Ending, pausing and renewing keys (MO6, BM5, BM10, BM12, X3, KEY-9).

use keyward_core::token::AccessKey;

use super::create::{make_secret, reveal};
use super::edit::set_end;
use super::view::Viewer;
use super::wire::{ExtendIn, KeyCreated, KeyOut, RotateIn};
use super::{approval, find_to_change, rotation, rules};
use crate::app::{Actor, App, Tx};
use crate::audit::{Audited, Event};
use crate::error::{Error, Result};
use crate::handovers::HandoverIn;
use crate::store::handovers;
use crate::store::keys::{self, KeyRow, SecretRow};
use crate::verify::record;

/// Secrets of one key that may be live at the same time.
const MAX_LIVE: usize = 3;
/// Longest overlap of a rotation: 90 days.
const MAX_OVERLAP: i64 = 90 * 86_400;

/// Ends a key for good.
pub(crate) async fn revoke(app: &App, actor: &Actor, id: &str, reason: Option<&str>) -> Result<KeyOut> {
    change(app, actor, id, "revoke", "key.revoke", reason, async |tx, row| {
        if row.switch == "revoked" {
            return Err(Error::conflict("already_revoked", "the key is revoked already"));
        }
        mark_revoked(row, &tx.actor.principal.id, reason, tx.now);
        Ok(())
    })
    .await
}

/// Puts the marks of revocation on a row.
pub(crate) fn mark_revoked(row: &mut KeyRow, by: &str, reason: Option<&str>, now: i64) {
    row.switch = "revoked".into();
    row.revoked_at = Some(now);
    row.revoked_by = Some(by.into());
    row.revoked_reason = reason.map(Into::into);
    row.rotates_at = None;
}

/// Switches a key on.
pub(crate) async fn activate(app: &App, actor: &Actor, id: &str) -> Result<KeyOut> {
    change(app, actor, id, "edit", "key.activate", None, async |_, row| switch(row, "off", "on")).await
}

/// Switches a key off; it can be switched on again.
pub(crate) async fn deactivate(app: &App, actor: &Actor, id: &str, reason: Option<&str>) -> Result<KeyOut> {
    change(app, actor, id, "edit", "key.deactivate", reason, async |_, row| switch(row, "on", "off")).await
}

fn switch(row: &mut KeyRow, from: &str, to: &str) -> Result<()> {
    must_live(row)?;
    if row.switch != from {
        let state = if to == "on" { "active" } else { "inactive" };
        return Err(Error::conflict("no_change", format!("the key is {state} already")));
    }
    row.switch = to.into();
    Ok(())
}

/// Moves the end of a key, also of one that is over (BM5).
pub(crate) async fn extend(app: &App, actor: &Actor, id: &str, input: &ExtendIn) -> Result<KeyOut> {
    let wish = rules::validity(input.expires_at.as_deref(), input.ttl_seconds, input.expires.as_deref())?;
    change(app, actor, id, "edit", "key.extend", None, async |tx, row| {
        must_live(row)?;
        let directory = tx.directory().await?;
        let class = record::class(row)?;
        // Without a wish: a whole default life from now.
        set_end(tx, &directory, row, class, wish).await
    })
    .await
}

/// Retires the older secrets of a rotation now.
pub(crate) async fn finish_rotation(app: &App, actor: &Actor, id: &str) -> Result<KeyOut> {
    change(app, actor, id, "rotate", "key.rotate_finish", None, async |tx, row| {
        let now = tx.now;
        let live = rotating(row, now)?;
        let newest = live[live.len() - 1].generation;
        keys::retire_secrets(tx.conn(), &row.tenant_id, &row.id, newest, now).await
    })
    .await
}

/// Drops the newest secret; the one before it stays, without an end.
pub(crate) async fn abort_rotation(app: &App, actor: &Actor, id: &str) -> Result<KeyOut> {
    change(app, actor, id, "rotate", "key.rotate_abort", None, async |tx, row| {
        let now = tx.now;
        let live = rotating(row, now)?;
        let (newest, older) = (live[live.len() - 1].generation, live[live.len() - 2].generation);
        // What waits to be handed over is the secret that is dropped.
        handovers::withdraw(tx.conn(), &row.tenant_id, &row.id, None).await?;
        keys::set_retirement(tx.conn(), &row.tenant_id, &row.id, newest, Some(now)).await?;
        keys::set_retirement(tx.conn(), &row.tenant_id, &row.id, older, None).await
    })
    .await
}

/// Live secrets, oldest first; more than one, or there is nothing to finish or abort.
fn rotating(row: &KeyRow, now: i64) -> Result<Vec<SecretRow>> {
    must_live(row)?;
    let live = live_secrets(row, now)?;
    if live.len() < 2 {
        return Err(Error::conflict("not_rotating", "the key has only one live secret"));
    }
    Ok(live)
}

fn live_secrets(row: &KeyRow, now: i64) -> Result<Vec<SecretRow>> {
    let mut secrets = row.secret_rows()?;
    secrets.retain(|secret| secret.retires_at.is_none_or(|end| end > now));
    Ok(secrets)
}

fn must_live(row: &KeyRow) -> Result<()> {
    if row.switch == "revoked" {
        return Err(Error::conflict("key_revoked", "the key is revoked for good"));
    }
    Ok(())
}

/// Adds a secret and lets the older ones work for the overlap (KEY-9).
pub(crate) async fn rotate(app: &App, actor: &Actor, id: &str, input: &RotateIn) -> Result<KeyCreated> {
    rules::count("/overlap_seconds", Some(input.overlap_seconds), 0..=MAX_OVERLAP)?;
    renew(app, actor, id, ("key.rotate", input.overlap_seconds), input.handover.as_ref()).await
}

/// A new secret; the older ones die at once (BM10).
pub(crate) async fn new_secret(app: &App, actor: &Actor, id: &str) -> Result<KeyCreated> {
    renew(app, actor, id, ("key.new_secret", 0), None).await
}

async fn renew(
    app: &App,
    actor: &Actor,
    id: &str,
    (action, overlap_seconds): (&'static str, i64),
    handover: Option<&HandoverIn>,
) -> Result<KeyCreated> {
    app.write(actor, async |tx| {
        let (mut row, mut viewer) = find_to_change(tx, id, "rotate").await?;
        must_live(&row)?;
        tx.must_be_fresh()?;
        if overlap_seconds > 0 && live_secrets(&row, tx.now)?.len() >= MAX_LIVE {
            return Err(Error::conflict("too_many_secrets", "finish the running rotation first"));
        }
        let class = record::class(&row)?;
        rules::class_is_on(&viewer.tenant.tenant, class)?;
        let generation = row.secret_rows()?.iter().map(|secret| secret.generation).max().unwrap_or(0) + 1;
        let access_key = AccessKey::from_digits(&row.access_key)
            .ok_or_else(|| Error::internal("a stored key has an unreadable access key"))?;
        let (secret, version) = make_secret(app, class, access_key, generation, tx.now);
        let retires_at = tx.now + overlap_seconds * 1000;
        keys::retire_secrets(tx.conn(), &row.tenant_id, &row.id, generation, retires_at).await?;
        keys::insert_secret(tx.conn(), &row.tenant_id, &row.id, &version, &actor.principal.id).await?;
        let before = generations(&row)?;
        rotation::renewed(&mut row, tx);
        keys::update(tx.conn(), &row).await?;
        // What waited of an older secret is of no use any more.
        handovers::withdraw(tx.conn(), &row.tenant_id, &row.id, None).await?;
        let link = match handover {
            Some(wish) => {
                Some(crate::handovers::keep_with_link(app, tx, &row, (generation, &secret), wish).await?)
            }
            None => None,
        };
        let key = reread(tx, &mut viewer, &row).await?;
        let event = Event::new(action, "key", &key.id, &key.label).before(&before).after(&key.secrets);
        let created = reveal(tx, KeyCreated::new(key, secret), link);
        Ok(Audited::new(created, event).touches_key(tx.tenant(), &row.access_key))
    })
    .await
}

/// The secrets before a rotation, as far as it changes them.
fn generations(row: &KeyRow) -> Result<Vec<serde_json::Value>> {
    let told = |secret: &SecretRow| {
        let retires_at = secret.retires_at.map(crate::clock::rfc3339);
        serde_json::json!({ "generation": secret.generation, "hint": secret.hint, "retires_at": retires_at })
    };
    Ok(row.secret_rows()?.iter().map(told).collect())
}

/// Notes who changed a row, and when.
pub(crate) fn touch(row: &mut KeyRow, tx: &Tx<'_>) {
    row.updated_at = tx.now;
    row.updated_by.clone_from(&tx.actor.principal.id);
    row.version += 1;
    approval::note_hand(row, &tx.actor.principal.id);
}

async fn reread(tx: &mut Tx<'_>, viewer: &mut Viewer, row: &KeyRow) -> Result<KeyOut> {
    let row = keys::find(tx.conn(), &row.tenant_id, &row.id).await?.ok_or(Error::NotFound)?;
    viewer.render(tx.conn(), row, true).await
}

/// Finds, changes, writes, audits: what all changes of one key without a new secret share.
async fn change(
    app: &App,
    actor: &Actor,
    id: &str,
    verb: &str,
    action: &'static str,
    reason: Option<&str>,
    apply: impl AsyncFnOnce(&mut Tx<'_>, &mut KeyRow) -> Result<()>,
) -> Result<KeyOut> {
    app.write(actor, async |tx| {
        let (mut row, mut viewer) = find_to_change(tx, id, verb).await?;
        let (old, before) = (row.clone(), viewer.render(tx.conn(), row.clone(), true).await?);
        apply(tx, &mut row).await?;
        let asks = approval::ask_again(tx, &viewer.tenant, &old, &mut row, false)?;
        touch(&mut row, tx);
        keys::update(tx.conn(), &row).await?;
        let after = reread(tx, &mut viewer, &row).await?;
        let event =
            Event::new(action, "key", &after.id, &after.label).before(&before).after(&after).reason(reason);
        let events = [event].into_iter().chain(asks.then(|| approval::requested(&after))).collect();
        Ok(Audited::many(after, events).touches_key(tx.tenant(), &row.access_key))
    })
    .await
}
