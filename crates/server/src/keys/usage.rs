//! How a key has been used (MO7, X3): counts by hour, last use.

use serde::Serialize;

use super::find;
use super::wire::{UsageHour, UsageOut, UsageTotal};
use crate::app::{Actor, App};
use crate::clock::rfc3339;
use crate::error::{Error, Result};
use crate::keys::rules;
use crate::store::page::{Listed, Page};
use crate::store::usage::{self, HourFilter};

/// Uses of the last `hours` hours, a week unless given.
pub(crate) async fn show(app: &App, actor: &Actor, id: &str, hours: Option<i64>) -> Result<UsageOut> {
    rules::count("hours", hours, 1..=8784)?;
    let since = app.clock.unix_ms() - hours.unwrap_or(168) * 3_600_000;
    let mut conn = app.read().await?;
    let row = find(&mut conn, actor, id).await?;
    let mut total = UsageTotal::default();
    let mut counted = Vec::new();
    for hour in usage::hours(&mut conn, &row.tenant_id, &row.id, since).await? {
        let sum = if hour.outcome == "ok" { &mut total.allowed } else { &mut total.denied };
        *sum += hour.uses;
        counted.push(UsageHour { hour: rfc3339(hour.hour), outcome: hour.outcome, count: hour.uses });
    }
    let last = usage::last_seen(&mut conn, &row.tenant_id, &row.id).await?;
    let (at, address, agent) =
        last.map_or((None, None, None), |(at, address, agent)| (Some(at), address, agent));
    Ok(UsageOut {
        total,
        last_used_at: at.map(rfc3339),
        last_used_address: address,
        last_used_agent: agent,
        hours: counted,
    })
}

/// Uses of one of many keys in one hour with one outcome.
#[derive(Debug, Serialize)]
pub(crate) struct KeyHourOut {
    pub(crate) key_id: String,
    #[serde(flatten)]
    pub(crate) hour: UsageHour,
}

/// A page of the uses of the keys that the actor may see, hour by hour.
pub(crate) async fn list(
    app: &App,
    actor: &Actor,
    mut filter: HourFilter,
    page: &Page,
) -> Result<Listed<KeyHourOut>> {
    if !actor.may("keys:read") {
        filter.owner_id = Some(actor.user_id().ok_or(Error::NotFound)?.to_owned());
    }
    let listed = usage::list(&mut app.read().await?, &actor.tenant_id, &filter, page).await?;
    Ok(listed.map(|row| KeyHourOut {
        key_id: row.key_id,
        hour: UsageHour { hour: rfc3339(row.hour), outcome: row.outcome, count: row.uses },
    }))
}
