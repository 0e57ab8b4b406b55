//! Keys that rotate by themselves (BM13): what callers wish, and the rotation when its time has come. The
//! new secret waits, sealed, until somebody with the right to rotate hands it over (X10).

use keyward_core::key::KeyClass;
use keyward_core::rotation::{Rotation, Schedule};
use keyward_core::token::AccessKey;
use serde::Serialize;
use utoipa::ToSchema;

use super::create::make_secret;
use super::lifecycle::touch;
use crate::app::{Actor, App, Tx};
use crate::audit::{Audited, Event};
use crate::clock::rfc3339;
use crate::error::{Error, Result};
use crate::handovers;
use crate::store::keys::{self, KeyRow};
use crate::verify::facts::TenantRecord;

/// How a key rotates.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct RotationOut {
    /// Days from one rotation to the next.
    pub(crate) every_days: i64,
    /// Days in which the older secret works on.
    pub(crate) grace_days: i64,
    /// The next one: midnight UTC.
    pub(crate) next_at: Option<String>,
}

impl RotationOut {
    /// That of a key; `None` when it never rotates by itself.
    pub(super) fn of(row: &KeyRow) -> Option<Self> {
        Some(Self {
            every_days: row.rotate_days?,
            grace_days: row.grace_days?,
            next_at: row.rotates_at.map(rfc3339),
        })
    }
}

/// The schedule that a new key gets: the wish, or what the policy has for its class.
pub(super) fn schedule(
    directory: &TenantRecord,
    class: KeyClass,
    wish: Option<Option<Rotation>>,
) -> Result<Option<Schedule>> {
    let Some(wish) = wish else {
        return Ok(directory.tenant.policy.rotation.ingest.schedule().filter(|_| class == KeyClass::Ingest));
    };
    let wish = wish.and_then(Rotation::schedule);
    if wish.is_some() && class != KeyClass::Ingest {
        return Err(Error::invalid("/rotation", "not_allowed", "only ingest keys rotate by themselves"));
    }
    if let Some(problem) = wish.as_ref().and_then(Schedule::problem) {
        return Err(Error::invalid("/rotation", "out_of_range", problem));
    }
    Ok(wish)
}

/// Puts a schedule on a row, counted from now.
pub(super) fn set(row: &mut KeyRow, schedule: Option<Schedule>, now: i64) {
    row.rotate_days = schedule.map(|schedule| i64::from(schedule.every_days));
    row.grace_days = schedule.map(|schedule| i64::from(schedule.grace_days));
    row.rotates_at = schedule.map(|schedule| schedule.next(now));
}

/// The schedule of a row.
fn of_row(row: &KeyRow) -> Option<Schedule> {
    let number = |days: Option<i64>| u32::try_from(days?).ok();
    Some(Schedule { every_days: number(row.rotate_days)?, grace_days: number(row.grace_days)? })
}

/// After any rotation the next one is a whole period away.
pub(super) fn put_off(row: &mut KeyRow, now: i64) {
    let schedule = of_row(row);
    set(row, schedule, now);
}

/// Rotates a key whose time has come, unless another node did or it was changed meanwhile.
pub(crate) async fn rotate_due(app: &App, tenant: &str, key: &str, due: i64) -> Result<()> {
    let actor = Actor::local(tenant, "rotation");
    app.write(&actor, async |tx| {
        let none = || Ok(Audited::many((), Vec::new()));
        let Some(mut row) = keys::find(tx.conn(), tenant, key).await? else { return none() };
        let Some(schedule) = of_row(&row).filter(|_| row.rotates_at == Some(due) && row.switch == "on")
        else {
            return none();
        };
        let generation = row.secret_rows()?.iter().map(|secret| secret.generation).max().unwrap_or(0) + 1;
        add_secret(app, tx, &row, generation, schedule).await?;
        let now = tx.now;
        set(&mut row, Some(schedule), now);
        touch_by_nobody(&mut row, now);
        keys::update(tx.conn(), &row).await?;
        let after = serde_json::json!({
            "generation": generation, "grace_ends_at": rfc3339(schedule.overlap_ends(now)),
            "next_at": row.rotates_at.map(rfc3339),
        });
        let event = Event::new("key.rotate_scheduled", "key", &row.id, &row.label).after(&after);
        Ok(Audited::new((), event).touches_key(tenant, &row.access_key))
    })
    .await
}

/// The new secret: kept as a hash as every other one, and sealed for whoever comes for it.
async fn add_secret(
    app: &App,
    tx: &mut Tx<'_>,
    row: &KeyRow,
    generation: i64,
    schedule: Schedule,
) -> Result<()> {
    let unreadable = || Error::internal("a stored key has an unreadable access key");
    let access_key = AccessKey::from_digits(&row.access_key).ok_or_else(unreadable)?;
    let (now, ends) = (tx.now, schedule.overlap_ends(tx.now));
    let class = crate::verify::record::class(row)?;
    let (secret, version) = make_secret(app, class, access_key, generation, now);
    keys::retire_secrets(tx.conn(), &row.tenant_id, &row.id, generation, ends).await?;
    keys::insert_secret(tx.conn(), &row.tenant_id, &row.id, &version, "rotation").await?;
    // Nobody misses the old secret before its grace is over; whoever comes later makes a new one.
    handovers::keep(app, tx, row, generation, &secret, ends.max(now + handovers::LONGEST_MS)).await.map(drop)
}

/// Whoever edited the key last is still the one to be told of it.
fn touch_by_nobody(row: &mut KeyRow, now: i64) {
    row.updated_at = now;
    row.version += 1;
}

/// After a secret was replaced by hand: the schedule begins anew.
pub(super) fn renewed(row: &mut KeyRow, tx: &Tx<'_>) {
    put_off(row, tx.now);
    touch(row, tx);
}
