//! The generations of a trusted secret: made sealed, and forgotten once they are dead.

use keyward_core::secret::Secret;
use keyward_core::token::{self, AccessKey, TRUSTED_PREFIX};

use crate::app::{App, Tx};
use crate::error::{Error, Result};
use crate::random;
use crate::seal;
use crate::store::trusted::{self, GenerationRow, TrustedRow};
use crate::verify::trusted::{digest, open, place, row_of};

/// Generations that are remembered, dead ones included.
const REMEMBERED: i64 = 10;

/// How many generations work.
pub(super) fn live(generations: &[GenerationRow], now: i64) -> usize {
    generations.iter().filter(|row| row.retires_at.is_none_or(|end| end > now)).count()
}

/// A fresh secret, sealed into its row (TS5: it can be copied again).
pub(super) async fn add_generation(
    app: &App,
    tx: &mut Tx<'_>,
    row: &TrustedRow,
    generation: i64,
) -> Result<Secret> {
    let access_key = AccessKey::from_digits(&row.access_key)
        .ok_or_else(|| Error::internal("a stored trusted secret has an unreadable id"))?;
    let secret = token::generate(TRUSTED_PREFIX, access_key, &mut random::fill);
    let (now, at) = (tx.now, row_of(&row.id, generation));
    let plain = secret.expose().as_bytes();
    let sealed = seal::seal(&app.root_key, tx.conn(), place(&row.tenant_id, &at), plain, now).await?;
    let made = GenerationRow {
        generation,
        sealed,
        hint: secret.hint(),
        created_at: now,
        retires_at: None,
        seen_at: None,
        digest: None,
    };
    let by = tx.actor.principal.id.clone();
    trusted::insert_generation(tx.conn(), &row.tenant_id, &row.id, &made, &by).await?;
    Ok(secret)
}

/// Takes the secrets of dead generations away: nobody needs them, and a stolen root key would show them.
/// What is left tells only whether a secret that comes was one of them.
pub(super) async fn bury(app: &App, tx: &mut Tx<'_>, row: &TrustedRow) -> Result<()> {
    let now = tx.now;
    let current = trusted::find(tx.conn(), &row.tenant_id, &row.id).await?.ok_or(Error::NotFound)?;
    let generations = current.generation_rows()?;
    let is_dead = |generation: &GenerationRow| {
        current.ended_at.is_some() || generation.retires_at.is_some_and(|end| end <= now)
    };
    for generation in generations.iter().filter(|known| known.digest.is_none() && is_dead(known)) {
        let plain = open(&app.root_key, tx.conn(), &current, generation).await?;
        trusted::bury(tx.conn(), &row.tenant_id, &row.id, generation.generation, &digest(&plain)).await?;
    }
    let newest = generations.last().map_or(0, |newest| newest.generation);
    trusted::forget(tx.conn(), &row.tenant_id, &row.id, newest - REMEMBERED).await
}
