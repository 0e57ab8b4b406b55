//! Keys: making, finding, editing. Ending and renewing them stands in `keys/lifecycle.rs`.

pub(crate) mod approval;
pub(crate) mod bulk;
pub(crate) mod chosen;
pub(crate) mod create;
pub(crate) mod edit;
pub(crate) mod explain;
pub(crate) mod lifecycle;
pub(crate) mod rotation;
pub(crate) mod rules;
pub(crate) mod stopped;
pub(crate) mod usage;
pub(crate) mod view;
mod widening;
pub(crate) mod wire;

use keyward_core::key::{EXPIRING_MS, Status};
use keyward_core::token::AccessKey;

use self::view::Viewer;
use self::wire::KeyOut;
use crate::app::{Actor, App, Tx};
use crate::error::{Error, Result};
use crate::store::Conn;
use crate::store::keys::{self, KeyFilter, KeyRow, KeySort};
use crate::store::page::{Listed, Page};

/// Rows read at once for one page, at first and at most, when the status filter drops most of them: each read
/// sorts all that are left.
const SCAN_STEPS: (i64, i64) = (500, 10_000);

/// The key of the actor's tenant that `id` names: `key_…` or its access key `kwa_…`.
///
/// # Errors
/// `Error::NotFound` alike for what does not exist, belongs to another tenant, or belongs to
/// somebody else and may not be seen (AZ-2, AZ-12).
pub(crate) async fn find(conn: &mut Conn, actor: &Actor, id: &str) -> Result<KeyRow> {
    let row = match AccessKey::parse(id) {
        Some(access_key) => {
            keys::load(conn, access_key.digits()).await?.filter(|row| row.tenant_id == actor.tenant_id)
        }
        None => keys::find(conn, &actor.tenant_id, id).await?,
    };
    row.filter(|row| may(actor, row, "read")).ok_or(Error::NotFound)
}

/// Whether the actor may do this to the key: to any key of the tenant, or to its own.
fn may(actor: &Actor, row: &KeyRow, verb: &str) -> bool {
    actor.may(&format!("keys:{verb}")) || (is_own(actor, row) && actor.may(&format!("me/keys:{verb}")))
}

fn is_own(actor: &Actor, row: &KeyRow) -> bool {
    actor.user_id().is_some() && actor.user_id() == row.owner_id.as_deref()
}

/// The key, to be changed: the actor may do `verb`, has seen its version, and holds all that the
/// key may do (AZ-6).
pub(crate) async fn find_to_change(tx: &mut Tx<'_>, id: &str, verb: &str) -> Result<(KeyRow, Viewer)> {
    let (tenant, now) = (tx.tenant().to_owned(), tx.now);
    let mut viewer = Viewer::new(tx.conn(), &tenant, now).await?;
    let row = to_change(tx, &mut viewer, id, verb).await?;
    Ok((row, viewer))
}

/// The same where the tenant was read already.
async fn to_change(tx: &mut Tx<'_>, viewer: &mut Viewer, id: &str, verb: &str) -> Result<KeyRow> {
    let actor = tx.actor;
    let row = find(tx.conn(), actor, id).await?;
    let right = if is_own(actor, &row) && !actor.may(&format!("keys:{verb}")) { "me/keys" } else { "keys" };
    tx.must_hold(&format!("{right}:{verb}"))?;
    actor.check_version(row.version)?;
    must_be_above(tx, viewer, &row).await?;
    Ok(row)
}

/// Refuses unless the actor holds all that the key may do and, if it is somebody else's, all that
/// its owner may do: who handles a key can act as its owner (AZ-6).
pub(super) async fn must_be_above(tx: &mut Tx<'_>, viewer: &mut Viewer, row: &KeyRow) -> Result<()> {
    let standing = viewer.standing(tx.conn(), row).await?;
    tx.must_cover(&standing.effective.rights, "above_caller", "the key may do more than you")?;
    if is_own(tx.actor, row) {
        return Ok(());
    }
    let held = viewer.owner_rights(tx.conn(), standing.record.terms.owner_id).await?;
    tx.must_cover(&held, "above_caller", "the owner of the key may do more than you")
}

/// One key with its effective rights.
pub(crate) async fn show(app: &App, actor: &Actor, id: &str) -> Result<KeyOut> {
    let mut conn = app.read().await?;
    let row = find(&mut conn, actor, id).await?;
    let mut viewer = Viewer::new(&mut conn, &row.tenant_id, app.clock.unix_ms()).await?;
    viewer.render(&mut conn, row, true).await
}

/// A page of the keys that the actor may see, narrowed by status after derivation.
pub(crate) async fn list(
    app: &App,
    actor: &Actor,
    mut filter: KeyFilter,
    statuses: &[Status],
    sort: KeySort,
    page: &Page,
) -> Result<Listed<KeyOut>> {
    let statuses = bound(app, actor, &mut filter, statuses)?;
    let mut conn = app.read().await?;
    let mut viewer = Viewer::new(&mut conn, &actor.tenant_id, app.clock.unix_ms()).await?;
    let rows = scan(&mut conn, &mut viewer, &actor.tenant_id, &filter, statuses, sort, page).await?;
    let listed = page.finish(rows, |row| row.position(sort));
    let mut data = Vec::with_capacity(listed.data.len());
    for row in listed.data {
        data.push(viewer.render(&mut conn, row, false).await?);
    }
    Ok(Listed { data, next_cursor: listed.next_cursor })
}

/// The ids of the keys that [`list`] would show on all its pages, `most` and a few more at most.
pub(crate) async fn ids(
    app: &App,
    actor: &Actor,
    mut filter: KeyFilter,
    statuses: &[Status],
    most: i64,
) -> Result<Vec<String>> {
    let statuses = bound(app, actor, &mut filter, statuses)?;
    let mut conn = app.read().await?;
    let mut viewer = Viewer::new(&mut conn, &actor.tenant_id, app.clock.unix_ms()).await?;
    let (tenant, page) = (&actor.tenant_id, Page::part(most, None));
    let rows = scan(&mut conn, &mut viewer, tenant, &filter, statuses, KeySort::Id, &page).await?;
    Ok(rows.into_iter().map(|row| row.id).collect())
}

/// Bounds a filter to what the actor may see, and leaves to the database what it can tell of the statuses;
/// returns those that remain to be derived.
fn bound<'s>(
    app: &App,
    actor: &Actor,
    filter: &mut KeyFilter,
    statuses: &'s [Status],
) -> Result<&'s [Status]> {
    if !actor.may("keys:read") {
        filter.owner_id = Some(actor.user_id().ok_or(Error::NotFound)?.to_owned());
    }
    filter.switches = switches(statuses);
    narrow(filter, statuses, app.clock.unix_ms());
    let left: &[Status] = if is_told_by_switch(statuses) { &[] } else { statuses };
    Ok(left)
}

/// Reads rows until a page is full: the status follows from facts and time, not from a column.
pub(super) async fn scan(
    conn: &mut Conn,
    viewer: &mut Viewer,
    tenant: &str,
    filter: &KeyFilter,
    statuses: &[Status],
    sort: KeySort,
    page: &Page,
) -> Result<Vec<KeyRow>> {
    let wanted = page.limit + 1;
    let mut step = if statuses.is_empty() { wanted } else { wanted.max(SCAN_STEPS.0) };
    let mut after = page.after.clone();
    let mut found = Vec::new();
    loop {
        let rows = keys::list(conn, tenant, filter, sort, after.as_ref(), step).await?;
        let last = i64::try_from(rows.len()).is_ok_and(|count| count < step);
        after = rows.last().map(|row| row.position(sort)).or(after);
        for row in rows {
            if statuses.is_empty() || statuses.contains(&viewer.standing(conn, &row).await?.status) {
                found.push(row);
            }
        }
        if last || i64::try_from(found.len()).is_ok_and(|count| count >= wanted) {
            return Ok(found);
        }
        step = (step * 4).min(SCAN_STEPS.1);
    }
}

/// Leaves it to the database to drop keys that end too late, where only those with a near end are asked for.
fn narrow(filter: &mut KeyFilter, statuses: &[Status], now: i64) {
    let latest = |status: &Status| match status {
        Status::Expired => Some(now + 1),
        Status::Expiring => Some(now + EXPIRING_MS + 1),
        _ => None,
    };
    let Some(ends) = statuses.iter().map(latest).collect::<Option<Vec<_>>>() else { return };
    if let Some(end) = ends.into_iter().max() {
        filter.expires_before = Some(filter.expires_before.map_or(end, |asked| asked.min(end)));
    }
}

/// Whether the switch alone tells which keys have these statuses: then no row is read in vain.
fn is_told_by_switch(statuses: &[Status]) -> bool {
    let is_living = |status: &Status| *status != Status::Revoked;
    statuses == [Status::Revoked] || Status::ALL.iter().all(|one| statuses.contains(one) == is_living(one))
}

/// The stored switch values that the statuses can have, so that the database drops the rest.
pub(super) fn switches(statuses: &[Status]) -> Option<String> {
    if statuses.is_empty() {
        return None;
    }
    let mut words = vec![""];
    for status in statuses {
        words.extend(match status {
            Status::Revoked => ["revoked"].as_slice(),
            Status::Inactive => &["off"],
            Status::Expired => &["on", "off"],
            _ => &["on"],
        });
    }
    words.push("");
    Some(words.join(","))
}
