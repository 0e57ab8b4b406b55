//! Revoking many keys at once: of a user, of a class, of the tenant (MO6, VA5), with a preview and
//! an explicit confirmation.

use keyward_core::key::{KeyClass, Status};
use serde_json::json;

use super::view::{Viewer, brief};
use super::wire::{BulkFilter, BulkOut, BulkRevokeIn};
use super::{lifecycle, must_be_above, scan, switches};
use crate::app::{Actor, App, Tx};
use crate::audit::{Audited, Event};
use crate::error::{Error, Result};
use crate::names::check_label;
use crate::store::keys::{self, KeyFilter, KeyRow, KeySort};
use crate::store::page::Page;
use crate::wire;

/// Keys named in an answer, at most.
const SHOWN: usize = 1000;

/// Everything that is not revoked yet.
const LIVING: [Status; 7] = [
    Status::Pending,
    Status::Active,
    Status::Expiring,
    Status::Rotating,
    Status::Inactive,
    Status::Suspended,
    Status::Expired,
];

/// Revokes what the filter finds, or tells what it would be.
pub(crate) async fn revoke(app: &App, actor: &Actor, input: BulkRevokeIn) -> Result<BulkOut> {
    if let Some(reason) = &input.reason {
        check_label("/reason", reason, 500)?;
    }
    let (filter, statuses) = store_filter(&input.filter)?;
    app.write(actor, async |tx| {
        tx.must_hold("keys:revoke")?;
        let rows = matching(tx, &filter, &statuses).await?;
        let confirm = format!("revoke {}", rows.len());
        let shown = rows.iter().take(SHOWN).map(brief).collect::<Result<Vec<_>>>()?;
        let mut answer = BulkOut { matched: rows.len(), revoked: 0, confirm, keys: shown };
        if input.preview || actor.validate_only {
            return Ok(Audited::many(answer, Vec::new()));
        }
        if input.confirm.as_deref() != Some(answer.confirm.as_str()) {
            return Err(Error::conflict(
                "not_confirmed",
                format!("{} keys match; send confirm: \"{}\" to revoke them", answer.matched, answer.confirm),
            ));
        }
        answer.revoked = rows.len();
        let audited = revoke_rows(tx, rows, input.reason.as_deref()).await?;
        Ok(Audited { value: answer, events: audited.events, changes: audited.changes })
    })
    .await
}

/// Revokes rows one by one, each with its audit event.
pub(crate) async fn revoke_rows(
    tx: &mut Tx<'_>,
    rows: Vec<KeyRow>,
    reason: Option<&str>,
) -> Result<Audited<()>> {
    let mut audited = Audited::many((), Vec::new());
    for mut row in rows {
        let before = json!({ "switch": row.switch });
        lifecycle::mark_revoked(&mut row, &tx.actor.principal.id, reason, tx.now);
        row.updated_at = tx.now;
        row.updated_by.clone_from(&tx.actor.principal.id);
        row.version += 1;
        keys::update(tx.conn(), &row).await?;
        let event = Event::new("key.revoke", "key", &row.id, &row.label).before(&before).reason(reason);
        audited.events.push(event.after(&json!({ "switch": row.switch })));
        audited = audited.touches_key(&row.tenant_id, &row.access_key);
    }
    Ok(audited)
}

/// The keys that match, all of them, and which the actor may end (AZ-6). The key that asks is
/// never among them: its answer must still reach the caller.
async fn matching(tx: &mut Tx<'_>, filter: &KeyFilter, statuses: &[Status]) -> Result<Vec<KeyRow>> {
    let tenant = tx.tenant().to_owned();
    let now = tx.now;
    let mut viewer = Viewer::new(tx.conn(), &tenant, now).await?;
    let every = Page::unlimited();
    let sort = KeySort::CreatedAt(false);
    let mut rows = scan(tx.conn(), &mut viewer, &tenant, filter, statuses, sort, &every).await?;
    let asking = tx.actor.key_id.clone();
    rows.retain(|row| Some(&row.id) != asking.as_ref());
    for row in &rows {
        must_be_above(tx, &mut viewer, row).await?;
    }
    Ok(rows)
}

/// All keys of a user that are not revoked.
pub(crate) async fn owned_by(tx: &mut Tx<'_>, owner: &str) -> Result<Vec<KeyRow>> {
    let filter =
        KeyFilter { owner_id: Some(owner.into()), switches: switches(&LIVING), ..KeyFilter::default() };
    let tenant = tx.tenant().to_owned();
    keys::list(tx.conn(), &tenant, &filter, KeySort::CreatedAt(false), None, i64::MAX).await
}

fn store_filter(filter: &BulkFilter) -> Result<(KeyFilter, Vec<Status>)> {
    let criteria = [
        filter.owner_id.is_some(),
        filter.class.is_some(),
        filter.status.is_some(),
        filter.label.is_some(),
        filter.created_before.is_some(),
        filter.last_used_before.is_some(),
    ];
    if filter.all == criteria.contains(&true) {
        return Err(Error::invalid("/filter", "required", "give at least one criterion, or all alone"));
    }
    let time = |name: &str, text: &Option<String>| {
        text.as_deref().map(|text| wire::time(&format!("/filter/{name}"), text)).transpose()
    };
    let statuses = filter.status.map_or_else(|| LIVING.to_vec(), |status| vec![status]);
    if statuses == [Status::Revoked] {
        return Err(Error::invalid("/filter/status", "bad_value", "revoked keys cannot be revoked again"));
    }
    let store = KeyFilter {
        owner_id: filter.owner_id.clone(),
        classes: filter.class.map(|class: KeyClass| format!(",{},", class.as_str())),
        label: filter.label.clone(),
        created_before: time("created_before", &filter.created_before)?,
        last_used_before: time("last_used_before", &filter.last_used_before)?,
        switches: switches(&statuses),
        ..KeyFilter::default()
    };
    Ok((store, statuses))
}
