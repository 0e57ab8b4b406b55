//! Ending many keys at once: of a user, of a class, of the tenant (MO6, VA5), with a preview and an
//! explicit confirmation. An incident (X10) is the same with a memory.

use keyward_core::key::{KeyClass, Status};
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use super::view::{Viewer, brief};
use super::wire::{BulkFilter, BulkKey, BulkOut, BulkRevokeIn};
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

/// How keys are ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Ending {
    /// For good.
    Revoke,
    /// Switched off; they can be switched on again.
    Deactivate,
}

impl Ending {
    /// Its name.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Revoke => "revoke",
            Self::Deactivate => "deactivate",
        }
    }

    /// The right that it needs.
    pub(crate) fn right(self) -> &'static str {
        match self {
            Self::Revoke => "keys:revoke",
            Self::Deactivate => "keys:edit",
        }
    }

    fn action(self) -> &'static str {
        match self {
            Self::Revoke => "key.revoke",
            Self::Deactivate => "key.deactivate",
        }
    }
}

/// What a filter found, and what must be sent to end it.
pub(crate) struct Matched {
    pub(crate) rows: Vec<KeyRow>,
    /// Those that are off already, where they were to be switched off.
    pub(crate) off: Vec<KeyRow>,
    pub(crate) confirm: String,
    /// The keys in short, 1000 at most.
    pub(crate) shown: Vec<BulkKey>,
}

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
    let filter = Filter::read(&input.filter)?;
    app.write(actor, async |tx| {
        let matched = find(tx, &filter, Ending::Revoke).await?;
        let (count, confirm) = (matched.rows.len(), matched.confirm.clone());
        let answer = |revoked, keys| BulkOut { matched: count, revoked, confirm, keys };
        if input.preview || actor.validate_only {
            return Ok(Audited::many(answer(0, matched.shown), Vec::new()));
        }
        matched.must_be_confirmed(input.confirm.as_deref())?;
        let ended = end_rows(tx, matched.rows, Ending::Revoke, input.reason.as_deref()).await?;
        Ok(ended.map(|_| answer(count, matched.shown)))
    })
    .await
}

impl Matched {
    /// Refuses unless the phrase names as many keys as there are by now.
    pub(crate) fn must_be_confirmed(&self, phrase: Option<&str>) -> Result<()> {
        if phrase == Some(self.confirm.as_str()) {
            return Ok(());
        }
        let detail =
            format!("{} keys match; send confirm: \"{}\" to end them", self.rows.len(), self.confirm);
        Err(Error::conflict("not_confirmed", detail))
    }
}

/// The keys that match, if the actor may end all of them.
pub(crate) async fn find(tx: &mut Tx<'_>, filter: &Filter, ending: Ending) -> Result<Matched> {
    tx.must_hold(ending.right())?;
    let (mut rows, mut off) = (matching(tx, filter).await?, Vec::new());
    if ending == Ending::Deactivate {
        (rows, off) = rows.into_iter().partition(|row| row.switch == "on");
    }
    let shown = rows.iter().take(SHOWN).map(brief).collect::<Result<Vec<_>>>()?;
    Ok(Matched { confirm: format!("{} {}", ending.as_str(), rows.len()), rows, off, shown })
}

/// Ends rows one by one, each with its audit event; returns them as they are now.
pub(crate) async fn end_rows(
    tx: &mut Tx<'_>,
    rows: Vec<KeyRow>,
    ending: Ending,
    reason: Option<&str>,
) -> Result<Audited<Vec<KeyRow>>> {
    let mut audited = Audited::many(Vec::with_capacity(rows.len()), Vec::new());
    for mut row in rows {
        let before = json!({ "switch": row.switch });
        match ending {
            Ending::Revoke => lifecycle::mark_revoked(&mut row, &tx.actor.principal.id, reason, tx.now),
            Ending::Deactivate => row.switch = "off".into(),
        }
        lifecycle::touch(&mut row, tx);
        keys::update(tx.conn(), &row).await?;
        let event = Event::new(ending.action(), "key", &row.id, &row.label).before(&before).reason(reason);
        audited.events.push(event.after(&json!({ "switch": row.switch, "owner_id": row.owner_id })));
        audited = audited.touches_key(&row.tenant_id, &row.access_key);
        audited.value.push(row);
    }
    Ok(audited)
}

/// Notes that a key which is off was to be ended once more: from then on the undoing of what switched it off
/// leaves it alone.
pub(crate) async fn keep_off(tx: &mut Tx<'_>, mut row: KeyRow) -> Result<Audited<()>> {
    lifecycle::touch(&mut row, tx);
    keys::update(tx.conn(), &row).await?;
    Ok(Audited::many((), Vec::new()).touches_key(&row.tenant_id, &row.access_key))
}

/// The keys that match, all of them, and which the actor may end (AZ-6). The key that asks is
/// never among them: its answer must still reach the caller.
async fn matching(tx: &mut Tx<'_>, filter: &Filter) -> Result<Vec<KeyRow>> {
    let tenant = tx.tenant().to_owned();
    let now = tx.now;
    let mut viewer = Viewer::new(tx.conn(), &tenant, now).await?;
    let every = Page::unlimited();
    let sort = KeySort::CreatedAt(false);
    let (store, statuses) = (&filter.store, &filter.statuses);
    let mut rows = scan(tx.conn(), &mut viewer, &tenant, store, statuses, sort, &every).await?;
    if let Some(part) = &filter.label_contains {
        rows.retain(|row| row.label.to_lowercase().contains(part));
    }
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

/// Which keys are meant.
pub(crate) struct Filter {
    store: KeyFilter,
    statuses: Vec<Status>,
    /// Lower case.
    label_contains: Option<String>,
}

impl Filter {
    /// Reads what a client sent.
    pub(crate) fn read(filter: &BulkFilter) -> Result<Self> {
        let criteria = [
            filter.owner_id.is_some(),
            filter.class.is_some(),
            filter.status.is_some(),
            filter.label.is_some(),
            filter.label_contains.is_some(),
            filter.created_before.is_some(),
            filter.created_after.is_some(),
            filter.last_used_before.is_some(),
        ];
        if filter.all == criteria.contains(&true) {
            return Err(Error::invalid("/filter", "required", "give at least one criterion, or all alone"));
        }
        if filter.label_contains.as_deref() == Some("") {
            return Err(Error::invalid("/filter/label_contains", "bad_length", "this would be every key"));
        }
        let time = |name: &str, text: &Option<String>| {
            text.as_deref().map(|text| wire::time(&format!("/filter/{name}"), text)).transpose()
        };
        let statuses = filter.status.map_or_else(|| LIVING.to_vec(), |status| vec![status]);
        if statuses == [Status::Revoked] {
            return Err(Error::invalid("/filter/status", "bad_value", "revoked keys cannot be ended again"));
        }
        let store = KeyFilter {
            owner_id: filter.owner_id.clone(),
            classes: filter.class.map(|class: KeyClass| format!(",{},", class.as_str())),
            label: filter.label.clone(),
            created_before: time("created_before", &filter.created_before)?,
            created_after: time("created_after", &filter.created_after)?,
            last_used_before: time("last_used_before", &filter.last_used_before)?,
            switches: switches(&statuses),
            ..KeyFilter::default()
        };
        let label_contains = filter.label_contains.as_ref().map(|part| part.to_lowercase());
        Ok(Self { store, statuses, label_contains })
    }
}
