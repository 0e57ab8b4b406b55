//! Rotation of the pepper, without re-issuing any key (STO-3).

use serde::Serialize;

use crate::app::{Actor, App};
use crate::audit::{Audited, Event};
use crate::clock::rfc3339;
use crate::error::{Error, Result};
use crate::seal;
use crate::store::{Conn, handovers, instance, keys, passwords, sessions};

/// Peppers in use at the same time, at most: each costs a hash per verification of an old key.
const MOST: usize = 3;

/// A pepper as `keyward pepper status` shows it.
#[derive(Debug, Serialize)]
pub(crate) struct PepperOut {
    pub(crate) id: i64,
    /// `current`, `old` or `retired`.
    pub(crate) state: &'static str,
    pub(crate) created_at: String,
    pub(crate) retired_at: Option<String>,
    /// Live secrets of keys, sessions and links hashed under it.
    pub(crate) secrets: i64,
}

/// All peppers, newest first.
pub(crate) async fn status(app: &App) -> Result<Vec<PepperOut>> {
    let mut conn = app.read().await?;
    let now = app.clock.unix_ms();
    let rows = instance::peppers(&mut conn).await?;
    let current = rows.iter().find(|row| row.retired_at.is_none()).map(|row| row.id);
    let mut peppers = Vec::new();
    for row in rows {
        peppers.push(PepperOut {
            id: row.id,
            state: match row.retired_at {
                Some(_) => "retired",
                None if Some(row.id) == current => "current",
                None => "old",
            },
            created_at: rfc3339(row.created_at),
            retired_at: row.retired_at.map(rfc3339),
            secrets: in_use(&mut conn, row.id, now).await?,
        });
    }
    Ok(peppers)
}

/// Makes a new pepper; secrets move to it as they are used. Returns its id.
pub(crate) async fn rotate(app: &App, actor: &Actor) -> Result<i64> {
    app.write(actor, async |tx| {
        let rows = instance::peppers(tx.conn()).await?;
        if rows.iter().filter(|row| row.retired_at.is_none()).count() >= MOST {
            return Err(Error::conflict("too_many_peppers", "retire the oldest pepper first"));
        }
        let id = rows.first().map_or(1, |row| row.id + 1);
        let now = tx.now;
        seal::add_pepper(&app.root_key, tx.conn(), id, now).await?;
        let event = Event::new("pepper.rotate", "pepper", &id.to_string(), "");
        Ok(Audited::new(id, event).touches_peppers())
    })
    .await
}

/// Ends an old pepper. Secrets still hashed under it would fail: refused unless forced.
pub(crate) async fn retire(app: &App, actor: &Actor, id: i64, force: bool) -> Result<i64> {
    app.write(actor, async |tx| {
        let rows = instance::peppers(tx.conn()).await?;
        let live: Vec<_> = rows.iter().filter(|row| row.retired_at.is_none()).collect();
        let known = live.iter().any(|row| row.id == id);
        if !known {
            return Err(Error::NotFound);
        }
        if live.first().is_some_and(|newest| newest.id == id) {
            return Err(Error::conflict("current_pepper", "rotate before you retire the current pepper"));
        }
        let now = tx.now;
        let left = in_use(tx.conn(), id, now).await?;
        if left > 0 && !force {
            let detail = format!("{left} live secrets are still hashed under pepper {id} and would fail");
            return Err(Error::conflict("pepper_in_use", detail));
        }
        instance::retire_pepper(tx.conn(), id, now).await?;
        let event = Event::new("pepper.retire", "pepper", &id.to_string(), "")
            .after(&serde_json::json!({ "secrets_that_fail": left }));
        Ok(Audited::new(left, event).touches_peppers())
    })
    .await
}

/// Secrets of keys, sessions that may still live, and open links, under a pepper.
async fn in_use(conn: &mut Conn, pepper: i64, now: i64) -> Result<i64> {
    let keys = keys::count_under_pepper(conn, pepper, now).await?;
    let longest = i64::from(keyward_core::policy::MAX_SESSION_MINUTES) * 60_000;
    let sessions = sessions::count_under_pepper(conn, pepper, now - longest).await?;
    let links = passwords::count_under_pepper(conn, pepper, now).await?;
    Ok(keys + sessions + links + handovers::count_pepper(conn, pepper, now).await?)
}
