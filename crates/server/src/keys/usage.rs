//! How a key has been used (MO7, X3): counts by hour, last use.

use super::find;
use super::wire::{UsageHour, UsageOut, UsageTotal};
use crate::app::{Actor, App};
use crate::clock::rfc3339;
use crate::error::Result;
use crate::keys::rules;
use crate::store::usage;

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
