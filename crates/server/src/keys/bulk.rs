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
use crate::store::page::{Page, Position};
use crate::wire;

/// Keys named in an answer, at most.
pub(crate) const SHOWN: usize = 1000;
/// Keys that are looked at, and ended, in one transaction: whatever number there is, none takes long, and
/// other writers get their turn.
pub(crate) const STEP: usize = 500;

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

    /// Whether it ends a key that is not switched on.
    fn ends(self, row: &KeyRow) -> bool {
        self == Self::Revoke && row.switch != "revoked"
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
    pub(crate) ids: Vec<String>,
    /// Those that are off already, where they were to be switched off.
    pub(crate) off: Vec<String>,
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
    let matched = find(app, actor, &Filter::read(&input.filter)?, Ending::Revoke).await?;
    let mut answer = BulkOut {
        matched: matched.ids.len(),
        revoked: 0,
        confirm: matched.confirm.clone(),
        keys: Vec::new(),
    };
    if !input.preview && !actor.validate_only {
        matched.must_be_confirmed(input.confirm.as_deref())?;
        // The first step tells whoever repeats the request that it was committed.
        let mut acting = actor.clone();
        for step in steps(&matched.ids) {
            let reason = input.reason.as_deref();
            let end = async |tx: &mut Tx<'_>| end_step(tx, step, Ending::Revoke, reason).await;
            answer.revoked += app.write(&acting, end).await?.len();
            acting.idempotency = None;
        }
    }
    answer.keys = matched.shown;
    Ok(answer)
}

impl Matched {
    /// Refuses unless the phrase names as many keys as there are by now.
    pub(crate) fn must_be_confirmed(&self, phrase: Option<&str>) -> Result<()> {
        if phrase == Some(self.confirm.as_str()) {
            return Ok(());
        }
        let detail = format!("{} keys match; send confirm: \"{}\" to end them", self.ids.len(), self.confirm);
        Err(Error::conflict("not_confirmed", detail))
    }
}

/// The keys that match, if the actor may end all of them.
pub(crate) async fn find(app: &App, actor: &Actor, filter: &Filter, ending: Ending) -> Result<Matched> {
    let mut matched = Matched { ids: Vec::new(), off: Vec::new(), confirm: String::new(), shown: Vec::new() };
    // Nothing is kept of a look.
    let looking = Actor { validate_only: true, idempotency: None, ..actor.clone() };
    let mut after = None;
    loop {
        let look = async |tx: &mut Tx<'_>| {
            tx.must_hold(ending.right())?;
            Ok(Audited::many(matching(tx, filter, after.clone()).await?, Vec::new()))
        };
        let (rows, last) = app.write(&looking, look).await?;
        for row in rows {
            if ending == Ending::Deactivate && row.switch != "on" {
                matched.off.push(row.id);
                continue;
            }
            if matched.shown.len() < SHOWN {
                matched.shown.push(brief(&row)?);
            }
            matched.ids.push(row.id);
        }
        after = last;
        if after.is_none() {
            break;
        }
    }
    matched.confirm = format!("{} {}", ending.as_str(), matched.ids.len());
    Ok(matched)
}

/// What is ended in one transaction each; one of nothing where there is nothing.
pub(crate) fn steps(ids: &[String]) -> Vec<&[String]> {
    if ids.is_empty() { vec![ids] } else { ids.chunks(STEP).collect() }
}

/// Ends the keys of one step; those that ended meanwhile are left out.
pub(crate) async fn end_step(
    tx: &mut Tx<'_>,
    step: &[String],
    ending: Ending,
    reason: Option<&str>,
) -> Result<Audited<Vec<KeyRow>>> {
    tx.must_hold(ending.right())?;
    let rows = above(tx, step, |row| row.switch == "on" || ending.ends(row)).await?;
    end_rows(tx, rows, ending, reason).await
}

/// The keys of the ids that are still so, if the actor may end each of them (AZ-6).
pub(crate) async fn above(
    tx: &mut Tx<'_>,
    ids: &[String],
    is_so: impl Fn(&KeyRow) -> bool,
) -> Result<Vec<KeyRow>> {
    let (tenant, now) = (tx.tenant().to_owned(), tx.now);
    let mut rows = keys::find_many(tx.conn(), &tenant, ids).await?;
    rows.retain(is_so);
    let mut viewer = Viewer::new(tx.conn(), &tenant, now).await?;
    for row in &rows {
        must_be_above(tx, &mut viewer, row).await?;
    }
    Ok(rows)
}

/// Ends rows, each with its audit event; returns them as they are now.
pub(crate) async fn end_rows(
    tx: &mut Tx<'_>,
    mut rows: Vec<KeyRow>,
    ending: Ending,
    reason: Option<&str>,
) -> Result<Audited<Vec<KeyRow>>> {
    let mut audited = Audited::many((), Vec::with_capacity(rows.len()));
    for row in &mut rows {
        let before = json!({ "switch": row.switch });
        match ending {
            Ending::Revoke => lifecycle::mark_revoked(row, &tx.actor.principal.id, reason, tx.now),
            Ending::Deactivate => row.switch = "off".into(),
        }
        lifecycle::touch(row, tx);
        let event = Event::new(ending.action(), "key", &row.id, &row.label).before(&before).reason(reason);
        audited.events.push(event.after(&json!({ "switch": row.switch, "owner_id": row.owner_id })));
        audited = audited.touches_key(&row.tenant_id, &row.access_key);
    }
    keys::switch_many(tx.conn(), &rows).await?;
    Ok(audited.map(|()| rows))
}

/// Notes that keys which are off were to be ended once more: from then on the undoing of what switched them off
/// leaves them alone.
pub(crate) async fn keep_off(tx: &mut Tx<'_>, mut rows: Vec<KeyRow>) -> Result<Audited<()>> {
    let mut audited = Audited::many((), Vec::new());
    for row in &mut rows {
        lifecycle::touch(row, tx);
        audited = audited.touches_key(&row.tenant_id, &row.access_key);
    }
    keys::switch_many(tx.conn(), &rows).await?;
    Ok(audited)
}

/// Some of the keys that match, which the actor may end (AZ-6), and where the next begin. The key that asks is
/// never among them: its answer must still reach the caller.
async fn matching(
    tx: &mut Tx<'_>,
    filter: &Filter,
    after: Option<Position>,
) -> Result<(Vec<KeyRow>, Option<Position>)> {
    let (tenant, now) = (tx.tenant().to_owned(), tx.now);
    let mut viewer = Viewer::new(tx.conn(), &tenant, now).await?;
    let (limit, sort) = (i64::try_from(STEP).map_err(Error::internal)?, KeySort::Id);
    let (store, statuses, page) = (&filter.store, &filter.statuses, Page::part(limit, after));
    let mut rows = scan(tx.conn(), &mut viewer, &tenant, store, statuses, sort, &page).await?;
    let more = i64::try_from(rows.len()).is_ok_and(|count| count > limit);
    let last = rows.last().filter(|_| more).map(|row| row.position(sort));
    if let Some(part) = &filter.label_contains {
        rows.retain(|row| row.label.to_lowercase().contains(part));
    }
    let asking = tx.actor.key_id.clone();
    rows.retain(|row| Some(&row.id) != asking.as_ref());
    for row in &rows {
        must_be_above(tx, &mut viewer, row).await?;
    }
    Ok((rows, last))
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
