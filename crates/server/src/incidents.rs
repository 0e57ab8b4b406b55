//! Incidents: many keys ended at once, remembered, and undone where that is possible (X10).

use keyward_core::id::Incident;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;

use crate::app::{Actor, App, Tx};
use crate::audit::{Audited, Event};
use crate::clock::rfc3339;
use crate::error::{Error, Result};
use crate::keys::bulk::{self, Ending, Filter};
use crate::keys::view::{Viewer, brief};
use crate::keys::wire::{BulkFilter, BulkKey};
use crate::keys::{lifecycle, must_be_above};
use crate::names::check_label;
use crate::random;
use crate::store::incidents::{self, IncidentRow};
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
    let (filter, action) = (Filter::read(&input.filter)?, input.action);
    app.write(actor, async |tx| {
        let matched = bulk::find(tx, &filter, action).await?;
        let (count, confirm) = (matched.rows.len(), matched.confirm.clone());
        let told = |id, ended, keys| IncidentDone {
            id,
            action: action.as_str(),
            matched: count,
            ended,
            confirm,
            keys,
        };
        if input.preview || actor.validate_only {
            return Ok(Audited::many(told(None, 0, matched.shown), Vec::new()));
        }
        tx.must_be_fresh()?;
        matched.must_be_confirmed(input.confirm.as_deref())?;
        let ended = bulk::end_rows(tx, matched.rows, action, input.reason.as_deref()).await?;
        let row = remember(tx, &input, &ended.value).await?;
        let ids = |rows: &[KeyRow]| rows.iter().map(|key| key.id.clone()).collect::<Vec<_>>();
        let (ids, off_before) = (ids(&ended.value), ids(&matched.off));
        let event = Event::new("incident.declare", "incident", &row.id, action.as_str())
            .after(&json!({ "action": action, "filter": input.filter, "key_ids": ids, "off_before": off_before }))
            .reason(input.reason.as_deref());
        let mut ended = ended.map(drop);
        for key in matched.off {
            ended = ended.and(bulk::keep_off(tx, key).await?);
        }
        Ok(ended.map(|()| told(Some(row.id), count, matched.shown)).also(event))
    })
    .await
}

async fn remember(tx: &mut Tx<'_>, input: &IncidentIn, ended: &[KeyRow]) -> Result<IncidentRow> {
    let row = IncidentRow {
        tenant_id: tx.tenant().into(),
        id: random::new_id::<Incident>(tx.now).to_string(),
        action: input.action.as_str().into(),
        filter: serde_json::to_string(&input.filter).map_err(Error::internal)?,
        reason: input.reason.clone(),
        matched: i64::try_from(ended.len()).map_err(Error::internal)?,
        created_at: tx.now,
        created_by: tx.actor.principal.id.clone(),
        undone_at: None,
        undone_by: None,
        reactivated: None,
    };
    incidents::insert(tx.conn(), &row).await?;
    for key in ended {
        incidents::insert_key(tx.conn(), &row.tenant_id, &row.id, &key.id, key.version).await?;
    }
    Ok(row)
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
    app.write(actor, async |tx| {
        tx.must_hold("keys:edit")?;
        let tenant = tx.tenant().to_owned();
        let mut row = incidents::find(tx.conn(), &tenant, id).await?.ok_or(Error::NotFound)?;
        must_be_undoable(&row)?;
        tx.must_be_fresh()?;
        let undone = reactivate(tx, id).await?;
        row.undone_at = Some(tx.now);
        row.undone_by = Some(tx.actor.principal.id.clone());
        row.reactivated = i64::try_from(undone.value.reactivated.len()).ok();
        incidents::set_undone(tx.conn(), &row).await?;
        let told = json!({ "reactivated": row.reactivated, "left": undone.value.left });
        Ok(undone.also(Event::new("incident.undo", "incident", id, &row.action).after(&told)))
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

async fn reactivate(tx: &mut Tx<'_>, incident: &str) -> Result<Audited<UndoneOut>> {
    let (tenant, now) = (tx.tenant().to_owned(), tx.now);
    let mut viewer = Viewer::new(tx.conn(), &tenant, now).await?;
    let undone = UndoneOut { id: incident.into(), reactivated: Vec::new(), left: Vec::new() };
    let mut audited = Audited::many(undone, Vec::new());
    for member in incidents::keys(tx.conn(), &tenant, incident).await? {
        let key = keys::find(tx.conn(), &tenant, &member.key_id).await?;
        let Some(mut row) = key.filter(|row| row.switch == "off" && row.version == member.version) else {
            audited.value.left.push(member.key_id);
            continue;
        };
        must_be_above(tx, &mut viewer, &row).await?;
        row.switch = "on".into();
        lifecycle::touch(&mut row, tx);
        keys::update(tx.conn(), &row).await?;
        let event = Event::new("key.activate", "key", &row.id, &row.label).reason(Some(incident));
        let after = json!({ "switch": "on", "owner_id": row.owner_id });
        audited.events.push(event.before(&json!({ "switch": "off" })).after(&after));
        audited = audited.touches_key(&tenant, &row.access_key);
        audited.value.reactivated.push(brief(&row)?);
    }
    Ok(audited)
}
