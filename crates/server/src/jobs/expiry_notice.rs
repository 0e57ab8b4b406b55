//! Notices of keys that end soon or have ended (BM8): written as events, which are told like all others.

use std::collections::HashSet;
use std::sync::Mutex;

use keyward_core::policy::NOTICE_DAYS;
use serde_json::json;

use crate::app::{Actor, App};
use crate::audit::{Audited, Event};
use crate::clock::rfc3339;
use crate::error::{Error, Result};
use crate::store::notifications::{self as store, Ending, EndingRow};

const DAY_MS: i64 = 86_400_000;
/// An end that nobody was told of for so long is no news any more.
const STALE_MS: i64 = 10 * DAY_MS;
/// All keys are looked at again so often: an end may have been moved to where it was looked already.
const ALL_MS: i64 = 3_600_000;
/// Rows that are read at once.
const PAGE: usize = 500;

/// Up to when this node has looked, and when at all keys.
#[derive(Default)]
pub(crate) struct Watch(Mutex<Option<(i64, i64)>>);

impl Watch {
    /// From when on to look for what has come due until `now`.
    fn since(&self, now: i64) -> i64 {
        let mut looked = self.0.lock().expect("no code panics while it holds this lock");
        let (since, all_at) = match *looked {
            // A clock that was set back looks at all.
            Some((until, all_at)) if until <= now && now - all_at < ALL_MS => (until, all_at),
            _ => (now - STALE_MS, now),
        };
        *looked = Some((now, all_at));
        since
    }

    fn forget(&self) {
        *self.0.lock().expect("no code panics while it holds this lock") = None;
    }
}

/// Writes an event for each key whose end has come so near, or has come, that its tenant wants a notice.
pub(super) async fn tell(app: &App) -> Result<()> {
    let now = app.clock.unix_ms();
    let since = app.expiry_watch.since(now);
    let told = tell_since(app, since, now).await;
    if told.is_err() {
        app.expiry_watch.forget();
    }
    told
}

async fn tell_since(app: &App, since: i64, now: i64) -> Result<()> {
    // The latest notice first: an end that is near already is not told of twice.
    let mut days = NOTICE_DAYS.map(i64::from);
    days.sort_unstable();
    let mut failure = None;
    for days in [0].into_iter().chain(days) {
        let lead = days * DAY_MS;
        let until = now + lead;
        // What ended is told for a while; what is to end must still do so.
        let from = if days == 0 { since } else { (since + lead).max(now + 1) };
        let stage = Ending { from, until, days, short_ms: lead };
        failure = tell_stage(app, stage).await.err().or(failure);
    }
    failure.map_or(Ok(()), Err)
}

/// A key whose tenant cannot be read does not keep others from being told of theirs: it is tried again.
async fn tell_stage(app: &App, stage: Ending) -> Result<()> {
    let mut last: Option<(i64, String)> = None;
    let (mut failure, mut failed) = (None, HashSet::new());
    loop {
        let after = last.as_ref().map(|(end, id)| (*end, id.as_str()));
        let limit = i64::try_from(PAGE).map_err(Error::internal)?;
        let keys = store::ending(&mut app.read().await?, stage, after, limit).await?;
        for key in &keys {
            if failed.contains(&key.tenant_id) {
                continue;
            }
            if let Err(error) = tell_if_wanted(app, key, stage.days).await {
                tracing::error!(tenant = key.tenant_id, key = key.id, %error, "nobody could be told of the end of a key");
                failed.insert(key.tenant_id.clone());
                failure = Some(error);
            }
        }
        match keys.last() {
            Some(key) if keys.len() == PAGE => last = Some((key.expires_at, key.id.clone())),
            _ => return failure.map_or(Ok(()), Err),
        }
    }
}

async fn tell_if_wanted(app: &App, key: &EndingRow, days: i64) -> Result<()> {
    if is_wanted(app, key, days).await? { tell_one(app, key, days).await } else { Ok(()) }
}

/// Whether the tenant's policy asks for this notice.
async fn is_wanted(app: &App, key: &EndingRow, days: i64) -> Result<bool> {
    let id = key.tenant_id.parse().map_err(Error::internal)?;
    let tenant = app.verifier.cache.wait_for(|cache, now| cache.tenant(id, now)).await?;
    let Some(tenant) = tenant else { return Ok(false) };
    let notices = &tenant.tenant.policy.notices;
    let listed = || notices.days_before_expiry.iter().any(|listed| i64::from(*listed) == days);
    Ok(if days == 0 { notices.after_expiry } else { listed() })
}

async fn tell_one(app: &App, key: &EndingRow, days: i64) -> Result<()> {
    let actor = Actor::local(&key.tenant_id, "expiry");
    let told = app.write(&actor, async |tx| {
        let now = tx.now;
        if !store::tell_end(tx.conn(), key, days, now).await? {
            return Ok(Audited::many((), Vec::new()));
        }
        let action = if days == 0 { "key.expired" } else { "key.expiring" };
        let facts = json!({ "expires_at": rfc3339(key.expires_at), "days": days });
        Ok(Audited::new((), Event::new(action, "key", &key.id, &key.label).after(&facts)))
    });
    match told.await {
        // The tenant was deleted meanwhile.
        Err(Error::NotFound) => Ok(()),
        told => told,
    }
}
