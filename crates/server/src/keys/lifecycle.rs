//! Ending, pausing and renewing keys (MO6, BM5, BM10, BM12, X3, KEY-9).

use keyward_core::policy::Validity;
use keyward_core::token::AccessKey;

use super::create::{make_secret, reveal};
use super::edit::set_end;
use super::view::Viewer;
use super::wire::{ExtendIn, KeyCreated, KeyOut, RotateIn};
use super::{approval, find_to_change, rotation, rules, to_change};
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

/// What is done to a key without a new secret for it: to one, or to many (`chosen.rs`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Act {
    /// Ends it for good.
    Revoke,
    /// Switches it off; it can be switched on again.
    Deactivate,
    /// Switches it on.
    Activate,
    /// Moves its end, also of one that is over (BM5). The default is a whole default life from now.
    Extend(Validity),
    /// Retires the older secrets of a rotation now.
    FinishRotation,
    /// Drops the newest secret; the one before it stays, without an end.
    AbortRotation,
}

impl Act {
    /// The right that it needs, below `keys` or `me/keys`.
    fn verb(self) -> &'static str {
        match self {
            Self::Revoke => "revoke",
            Self::Deactivate | Self::Activate | Self::Extend(_) => "edit",
            Self::FinishRotation | Self::AbortRotation => "rotate",
        }
    }

    fn action(self) -> &'static str {
        match self {
            Self::Revoke => "key.revoke",
            Self::Deactivate => "key.deactivate",
            Self::Activate => "key.activate",
            Self::Extend(_) => "key.extend",
            Self::FinishRotation => "key.rotate_finish",
            Self::AbortRotation => "key.rotate_abort",
        }
    }

    async fn apply(self, tx: &mut Tx<'_>, row: &mut KeyRow, reason: Option<&str>) -> Result<()> {
        match self {
            Self::Revoke if row.switch == "revoked" => {
                Err(Error::conflict("already_revoked", "the key is revoked already"))
            }
            Self::Revoke => {
                mark_revoked(row, &tx.actor.principal.id, reason, tx.now);
                Ok(())
            }
            Self::Deactivate => switch(row, "on", "off"),
            Self::Activate => switch(row, "off", "on"),
            Self::Extend(wish) => {
                must_live(row)?;
                let directory = tx.directory().await?;
                let class = record::class(row)?;
                set_end(tx, &directory, row, class, wish).await
            }
            Self::FinishRotation => retire_older(tx, row).await,
            Self::AbortRotation => drop_newest(tx, row).await,
        }
    }
}

/// Ends a key for good.
pub(crate) async fn revoke(app: &App, actor: &Actor, id: &str, reason: Option<&str>) -> Result<KeyOut> {
    change(app, actor, id, Act::Revoke, reason).await
}

/// Switches a key on.
pub(crate) async fn activate(app: &App, actor: &Actor, id: &str) -> Result<KeyOut> {
    change(app, actor, id, Act::Activate, None).await
}

/// Switches a key off; it can be switched on again.
pub(crate) async fn deactivate(app: &App, actor: &Actor, id: &str, reason: Option<&str>) -> Result<KeyOut> {
    change(app, actor, id, Act::Deactivate, reason).await
}

/// Moves the end of a key, also of one that is over (BM5).
pub(crate) async fn extend(app: &App, actor: &Actor, id: &str, input: &ExtendIn) -> Result<KeyOut> {
    change(app, actor, id, Act::Extend(input.wish()?), None).await
}

/// Retires the older secrets of a rotation now.
pub(crate) async fn finish_rotation(app: &App, actor: &Actor, id: &str) -> Result<KeyOut> {
    change(app, actor, id, Act::FinishRotation, None).await
}

/// Drops the newest secret; the one before it stays, without an end.
pub(crate) async fn abort_rotation(app: &App, actor: &Actor, id: &str) -> Result<KeyOut> {
    change(app, actor, id, Act::AbortRotation, None).await
}

async fn change(app: &App, actor: &Actor, id: &str, act: Act, reason: Option<&str>) -> Result<KeyOut> {
    app.write(actor, async |tx| {
        let (tenant, now) = (tx.tenant().to_owned(), tx.now);
        let mut viewer = Viewer::new(tx.conn(), &tenant, now).await?;
        change_one(tx, &mut viewer, id, act, reason).await
    })
    .await
}

/// Finds, changes, writes, audits. Whatever stands against it is told before anything is written.
pub(super) async fn change_one(
    tx: &mut Tx<'_>,
    viewer: &mut Viewer,
    id: &str,
    act: Act,
    reason: Option<&str>,
) -> Result<Audited<KeyOut>> {
    let mut row = to_change(tx, viewer, id, act.verb()).await?;
    let (old, before) = (row.clone(), viewer.render(tx.conn(), row.clone(), true).await?);
    act.apply(tx, &mut row, reason).await?;
    let asks = approval::ask_again(tx, &viewer.tenant, &old, &mut row, false)?;
    touch(&mut row, tx);
    keys::update(tx.conn(), &row).await?;
    let after = reread(tx, viewer, &row).await?;
    let event = Event::new(act.action(), "key", &after.id, &after.label);
    let event = event.before(&before).after(&after).reason(reason);
    let events = [event].into_iter().chain(asks.then(|| approval::requested(&after))).collect();
    Ok(Audited::many(after, events).touches_key(tx.tenant(), &row.access_key))
}

/// Puts the marks of revocation on a row.
pub(crate) fn mark_revoked(row: &mut KeyRow, by: &str, reason: Option<&str>, now: i64) {
    row.switch = "revoked".into();
    row.revoked_at = Some(now);
    row.revoked_by = Some(by.into());
    row.revoked_reason = reason.map(Into::into);
    row.rotates_at = None;
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

async fn retire_older(tx: &mut Tx<'_>, row: &KeyRow) -> Result<()> {
    let now = tx.now;
    let live = rotating(row, now)?;
    let newest = live[live.len() - 1].generation;
    keys::retire_secrets(tx.conn(), &row.tenant_id, &row.id, newest, now).await
}

async fn drop_newest(tx: &mut Tx<'_>, row: &KeyRow) -> Result<()> {
    let now = tx.now;
    let live = rotating(row, now)?;
    let (newest, older) = (live[live.len() - 1].generation, live[live.len() - 2].generation);
    // What waits to be handed over is the secret that is dropped.
    handovers::withdraw(tx.conn(), &row.tenant_id, &row.id, None).await?;
    keys::set_retirement(tx.conn(), &row.tenant_id, &row.id, newest, Some(now)).await?;
    keys::set_retirement(tx.conn(), &row.tenant_id, &row.id, older, None).await
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
