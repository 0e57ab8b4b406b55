//! Incidents: many keys ended at once, remembered, and undone where that is possible (X10).

use std::collections::{HashMap, HashSet};

use keyward_core::id::Incident;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;

use crate::app::{Actor, App, Tx};
use crate::audit::{Audited, Event};
use crate::clock::rfc3339;
use crate::error::{Error, Result};
use crate::keys::bulk::{self, Ending, Filter, Matched};
use crate::keys::lifecycle;
use crate::keys::view::brief;
use crate::keys::wire::{BulkFilter, BulkKey};
use crate::names::check_label;
use crate::random;
use crate::store::incidents::{self, IncidentKeyRow, IncidentRow};
use crate::store::keys::{self, KeyRow};
use crate::store::page::{Listed, Page};

/// What to end, and how.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct IncidentIn {
    /// Which keys.
    pub(crate) filter: BulkFilter,
    /// `revoke` for good, or `deactivate`, which can be undone.
    #[schema(value_type = String)]
    pub(crate) action: Ending,
    /// Why, for the audit log and for each key.
    pub(crate) reason: Option<String>,
    /// Only tell which keys it would be.
    #[serde(default)]
    pub(crate) preview: bool,
    /// `revoke N` or `deactivate N` with the number that the preview told.
    pub(crate) confirm: Option<String>,
}

/// What was found and done.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct IncidentDone {
    /// `incident_…`; `null` in a preview.
    pub(crate) id: Option<String>,
    /// `revoke` or `deactivate`.
    pub(crate) action: &'static str,
    /// Keys that match.
    pub(crate) matched: usize,
    /// Keys that were ended: 0 in a preview.
    pub(crate) ended: usize,
    /// What to send as `confirm`.
    pub(crate) confirm: String,
    /// The keys that match, 1000 at most.
    pub(crate) keys: Vec<BulkKey>,
}

/// An incident.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct IncidentOut {
    pub(crate) id: String,
    /// `revoke` or `deactivate`.
    pub(crate) action: String,
    /// The filter as it was sent.
    #[schema(value_type = Object)]
    pub(crate) filter: Value,
    pub(crate) reason: Option<String>,
    /// Keys that were ended.
    pub(crate) matched: i64,
    pub(crate) created_at: String,
    pub(crate) created_by: String,
    pub(crate) undone_at: Option<String>,
    pub(crate) undone_by: Option<String>,
    /// Keys that the undoing switched on again.
    pub(crate) reactivated: Option<i64>,
    /// Ids of the keys; on single reads.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) key_ids: Option<Vec<String>>,
}

/// What undoing did.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct UndoneOut {
    pub(crate) id: String,
    /// Keys that were switched on again.
    pub(crate) reactivated: Vec<BulkKey>,
    /// Ids of keys that were changed since, or are gone: they stay as they are.
    pub(crate) left: Vec<String>,
}

/// Ends what the filter finds and remembers it, or tells what it would be.
pub(crate) async fn declare(app: &App, actor: &Actor, input: IncidentIn) -> Result<IncidentDone> {
    if let Some(reason) = &input.reason {
        check_label("/reason", reason, 500)?;
    }
    let action = input.action;
    let matched = bulk::find(app, actor, &Filter::read(&input.filter)?, action).await?;
    let mut done = IncidentDone {
        id: None,
        action: action.as_str(),
        matched: matched.ids.len(),
        ended: 0,
        confirm: matched.confirm.clone(),
        keys: Vec::new(),
    };
    if !input.preview && !actor.validate_only {
        matched.must_be_confirmed(input.confirm.as_deref())?;
        (done.id, done.ended) = end(app, actor, &input, &matched).await?;
        keep_off(app, actor, &matched.off).await?;
    }
    done.keys = matched.shown;
    Ok(done)
}

/// Ends what was found, step by step; returns the incident and how many it ended.
async fn end(
    app: &App,
    actor: &Actor,
    input: &IncidentIn,
    matched: &Matched,
) -> Result<(Option<String>, usize)> {
    let (mut id, mut ended) = (None, 0);
    let mut acting = actor.clone();
    for step in bulk::steps(&matched.ids) {
        let known: Option<String> = id.take();
        let done = app.write(&acting, async |tx| {
            let done = bulk::end_step(tx, step, input.action, input.reason.as_deref()).await?;
            let (id, more) = match known {
                Some(id) => (id.clone(), remember(tx, &id, &done.value).await?),
                None => begin(tx, input, matched, &done.value).await?,
            };
            let count = done.value.len();
            Ok(more.and(done.map(drop)).map(|()| (id, count)))
        });
        let (incident, count) = done.await?;
        (id, ended) = (Some(incident), ended + count);
        // The first step tells whoever repeats the request that it was committed.
        acting.idempotency = None;
    }
    Ok((id, ended))
}

/// Writes down an incident with the first keys that it ended.
async fn begin(
    tx: &mut Tx<'_>,
    input: &IncidentIn,
    matched: &Matched,
    ended: &[KeyRow],
) -> Result<(String, Audited<()>)> {
    tx.must_be_fresh()?;
    let row = IncidentRow {
        tenant_id: tx.tenant().into(),
        id: random::new_id::<Incident>(tx.now).to_string(),
        action: input.action.as_str().into(),
        filter: serde_json::to_string(&input.filter).map_err(Error::internal)?,
        reason: input.reason.clone(),
        matched: 0,
        created_at: tx.now,
        created_by: tx.actor.principal.id.clone(),
        undone_at: None,
        undone_by: None,
        reactivated: None,
    };
    incidents::insert(tx.conn(), &row).await?;
    let some = |ids: &[String]| ids.iter().take(bulk::SHOWN).cloned().collect::<Vec<_>>();
    let told = json!({
        "action": input.action, "filter": input.filter, "matched": matched.ids.len(),
        "key_ids": some(&matched.ids), "off_before": some(&matched.off),
    });
    let event = Event::new("incident.declare", "incident", &row.id, input.action.as_str())
        .after(&told)
        .reason(input.reason.as_deref());
    let audited = remember(tx, &row.id, ended).await?;
    Ok((row.id, audited.also(event)))
}

async fn remember(tx: &mut Tx<'_>, incident: &str, ended: &[KeyRow]) -> Result<Audited<()>> {
    let tenant = tx.tenant().to_owned();
    incidents::add_keys(tx.conn(), &tenant, incident, ended).await?;
    Ok(Audited::many((), Vec::new()))
}

/// Notes keys that were off before the incident as met by it.
async fn keep_off(app: &App, actor: &Actor, ids: &[String]) -> Result<()> {
    let acting = Actor { idempotency: None, ..actor.clone() };
    for step in ids.chunks(bulk::STEP) {
        let one_step = async |tx: &mut Tx<'_>| {
            tx.must_hold("keys:edit")?;
            let rows = bulk::above(tx, step, |row| row.switch == "off").await?;
            bulk::keep_off(tx, rows).await
        };
        app.write(&acting, one_step).await?;
    }
    Ok(())
}

/// A page of incidents, the newest first.
pub(crate) async fn list(app: &App, actor: &Actor, page: &Page) -> Result<Listed<IncidentOut>> {
    let listed = incidents::list(&mut app.read().await?, &actor.tenant_id, page).await?;
    let data = listed.data.into_iter().map(|row| render(row, None)).collect::<Result<_>>()?;
    Ok(Listed { data, next_cursor: listed.next_cursor })
}

/// One incident with its keys.
pub(crate) async fn show(app: &App, actor: &Actor, id: &str) -> Result<IncidentOut> {
    let mut conn = app.read().await?;
    let row = incidents::find(&mut conn, &actor.tenant_id, id).await?.ok_or(Error::NotFound)?;
    let keys = incidents::keys(&mut conn, &actor.tenant_id, id).await?;
    render(row, Some(keys.into_iter().map(|key| key.key_id).collect()))
}

fn render(row: IncidentRow, key_ids: Option<Vec<String>>) -> Result<IncidentOut> {
    Ok(IncidentOut {
        filter: serde_json::from_str(&row.filter).map_err(Error::internal)?,
        id: row.id,
        action: row.action,
        reason: row.reason,
        matched: row.matched,
        created_at: rfc3339(row.created_at),
        created_by: row.created_by,
        undone_at: row.undone_at.map(rfc3339),
        undone_by: row.undone_by,
        reactivated: row.reactivated,
        key_ids,
    })
}

/// Switches the keys of an incident on again, save those that somebody changed since.
pub(crate) async fn undo(app: &App, actor: &Actor, id: &str) -> Result<UndoneOut> {
    let mut undone = UndoneOut { id: id.into(), reactivated: Vec::new(), left: Vec::new() };
    let members = undoable(app, actor, id).await?;
    let steps = || members.chunks(bulk::STEP);
    // Whatever speaks against one key is told before any is on.
    let looking = Actor { validate_only: true, idempotency: None, ..actor.clone() };
    for step in steps() {
        app.write(&looking, async |tx| reactivate(tx, id, step).await).await?;
    }
    let acting = Actor { idempotency: None, ..actor.clone() };
    for step in steps() {
        let (on, left) = app.write(&acting, async |tx| reactivate(tx, id, step).await).await?;
        undone.reactivated.extend(on);
        undone.left.extend(left);
    }
    app.write(actor, async |tx| {
        let tenant = tx.tenant().to_owned();
        let mut row = incidents::find(tx.conn(), &tenant, id).await?.ok_or(Error::NotFound)?;
        must_be_undoable(&row)?;
        row.undone_at = Some(tx.now);
        row.undone_by = Some(tx.actor.principal.id.clone());
        row.reactivated = i64::try_from(undone.reactivated.len()).ok();
        incidents::set_undone(tx.conn(), &row).await?;
        let told = json!({ "reactivated": row.reactivated, "left": undone.left });
        let event = Event::new("incident.undo", "incident", id, &row.action).after(&told);
        Ok(Audited::new(undone, event))
    })
    .await
}

/// The keys of an incident that can be undone by the actor.
async fn undoable(app: &App, actor: &Actor, id: &str) -> Result<Vec<IncidentKeyRow>> {
    let looking = Actor { validate_only: true, idempotency: None, ..actor.clone() };
    app.write(&looking, async |tx| {
        tx.must_hold("keys:edit")?;
        let tenant = tx.tenant().to_owned();
        let row = incidents::find(tx.conn(), &tenant, id).await?.ok_or(Error::NotFound)?;
        must_be_undoable(&row)?;
        tx.must_be_fresh()?;
        Ok(Audited::many(incidents::keys(tx.conn(), &tenant, id).await?, Vec::new()))
    })
    .await
}

fn must_be_undoable(row: &IncidentRow) -> Result<()> {
    if row.action == Ending::Revoke.as_str() {
        let detail = format!("{} keys were revoked, which is for good: make new ones", row.matched);
        return Err(Error::conflict("cannot_be_undone", detail));
    }
    match row.undone_at {
        Some(at) => Err(Error::conflict("no_change", format!("it was undone at {}", rfc3339(at)))),
        None => Ok(()),
    }
}

/// Switches some on again; returns them, and the ids of those that stay as they are.
async fn reactivate(
    tx: &mut Tx<'_>,
    incident: &str,
    members: &[IncidentKeyRow],
) -> Result<Audited<(Vec<BulkKey>, Vec<String>)>> {
    tx.must_hold("keys:edit")?;
    let ids: Vec<String> = members.iter().map(|member| member.key_id.clone()).collect();
    let versions: HashMap<&str, i64> = members.iter().map(|key| (&*key.key_id, key.version)).collect();
    let untouched = |row: &KeyRow| row.switch == "off" && versions.get(&*row.id) == Some(&row.version);
    let mut rows = bulk::above(tx, &ids, untouched).await?;
    let on: HashSet<&str> = rows.iter().map(|row| &*row.id).collect();
    let left = ids.iter().filter(|id| !on.contains(id.as_str())).cloned().collect();
    let mut audited = Audited::many((Vec::new(), left), Vec::new());
    for row in &mut rows {
        row.switch = "on".into();
        lifecycle::touch(row, tx);
        let event = Event::new("key.activate", "key", &row.id, &row.label).reason(Some(incident));
        let after = json!({ "switch": "on", "owner_id": row.owner_id });
        audited.events.push(event.before(&json!({ "switch": "off" })).after(&after));
        audited = audited.touches_key(&row.tenant_id, &row.access_key);
        audited.value.0.push(brief(row)?);
    }
    keys::switch_many(tx.conn(), &rows).await?;
    Ok(audited)
}
