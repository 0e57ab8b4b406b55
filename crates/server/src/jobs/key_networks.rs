//! Tells in the audit log that a key came into use, and that it is used from a network that it was not used
//! from before (BM9). The usage flush writes where keys are used from; no verification waits for it.

use std::time::Duration;

use serde_json::json;

use crate::app::{Actor, App, Tx};
use crate::audit::{Audited, Event};
use crate::clock::rfc3339;
use crate::error::{Error, Result};
use crate::store::key_networks::{self, NetworkRow, UNKNOWN};
use crate::store::keys;

/// How often to look.
pub(super) const PAUSE: Duration = Duration::from_secs(1);
/// How many at a time: when a hundred thousand keys come into use at once, nobody else waits for that.
const MOST: i64 = 25;

/// Tells of some that are not told yet.
pub(super) async fn tell(app: &App) -> Result<()> {
    let rows = key_networks::untold(&mut app.read().await?, MOST).await?;
    for rows in rows.chunk_by(|one, next| one.tenant_id == next.tenant_id) {
        match tell_tenant(app, rows).await {
            // It was deleted.
            Ok(()) | Err(Error::NotFound) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

async fn tell_tenant(app: &App, rows: &[NetworkRow]) -> Result<()> {
    let actor = Actor::local(&rows[0].tenant_id, "usage");
    app.write(&actor, async |tx| {
        let mut events = Vec::new();
        for row in rows {
            events.extend(event(tx, row).await?);
        }
        Ok(Audited::many((), events))
    })
    .await
}

/// What there is to tell of a network: nothing, if another node did or there is nothing to compare it with.
async fn event(tx: &mut Tx<'_>, row: &NetworkRow) -> Result<Option<Event>> {
    let before = key_networks::told(tx.conn(), &row.tenant_id, &row.key_id).await?;
    if !key_networks::mark_told(tx.conn(), row).await? {
        return Ok(None);
    }
    let known = before.iter().any(|network| network != UNKNOWN);
    let action = match (before.is_empty(), known && row.network != UNKNOWN) {
        (true, _) => "key.first_used",
        (false, true) => "key.new_network",
        (false, false) => return Ok(None),
    };
    let Some(key) = keys::find(tx.conn(), &row.tenant_id, &row.key_id).await? else { return Ok(None) };
    let facts = json!({ "network": row.network, "used_at": rfc3339(row.seen_at) });
    let mut call = tx.actor.call.clone();
    call.address = row.address.as_deref().and_then(|address| address.parse().ok());
    call.agent.clone_from(&row.agent);
    Ok(Some(Event { call: Some(call), ..Event::new(action, "key", &row.key_id, &key.label).after(&facts) }))
}
