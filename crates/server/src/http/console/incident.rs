//! One incident: which keys were ended, and taking that back.

use askama::Template;
use axum::extract::Path;
use serde_json::Value;

use super::form::Form;
use super::frame::Frame;
use super::gate::Visit;
use super::incidents::{LISTED, action_name};
use super::login::Nothing;
use super::moment::Moment;
use super::who::name;
use super::{Shown, go};
use crate::incidents::{self, IncidentOut};

/// Keys whose names are looked up for the page.
const NAMED: usize = 50;

#[derive(Template)]
#[template(path = "incident.html")]
struct IncidentPage<'a> {
    f: &'a Frame,
    incident: IncidentOut,
    action: &'static str,
    by: String,
    at: Moment,
    undone: Option<(Moment, String)>,
    criteria: Vec<(&'static str, String)>,
    /// Id and name of the first of them.
    keys: Vec<(String, String)>,
    /// Keys that are not listed.
    unlisted: usize,
    may_undo: bool,
}

pub(crate) async fn show(visit: Visit, Path(id): Path<String>) -> Shown {
    let mut incident = incidents::show(&visit.app, &visit.actor, &id).await?;
    let frame = &visit.frame;
    let mut keys = Vec::new();
    let ids = incident.key_ids.take().unwrap_or_default();
    let unlisted = ids.len().saturating_sub(LISTED);
    for (place, key) in ids.into_iter().take(LISTED).enumerate() {
        let name = if place < NAMED { name(&visit, &key).await } else { key.clone() };
        keys.push((key, name));
    }
    let undone = match &incident.undone_at {
        Some(at) => {
            let by = incident.undone_by.clone().unwrap_or_default();
            Some((frame.moment(at), name(&visit, &by).await))
        }
        None => None,
    };
    super::page(&IncidentPage {
        f: frame,
        action: action_name(frame, &incident.action),
        by: name(&visit, &incident.created_by).await,
        at: frame.moment(&incident.created_at),
        may_undo: incident.action == "deactivate" && undone.is_none() && frame.may("keys:edit"),
        undone,
        criteria: criteria(&visit, &incident.filter).await,
        keys,
        unlisted,
        incident,
    })
}

/// The filter in words.
async fn criteria(visit: &Visit, filter: &Value) -> Vec<(&'static str, String)> {
    let frame = &visit.frame;
    let mut told = Vec::new();
    for (field, value) in filter.as_object().into_iter().flatten() {
        let text = value.as_str().unwrap_or_default();
        told.push(match field.as_str() {
            "owner_id" => (frame.t("Owner"), name(visit, text).await),
            "class" => (frame.t("Class"), text.to_owned()),
            "status" => (frame.t("Status"), text.to_owned()),
            "label" => (frame.t("Name"), text.to_owned()),
            "label_contains" => (frame.t("Name contains"), text.to_owned()),
            "created_before" => (frame.t("Made before"), frame.moment(text).exact),
            "created_after" => (frame.t("Made on or after"), frame.moment(text).exact),
            "last_used_before" => (frame.t("Not used since"), frame.moment(text).exact),
            "all" => (frame.t("Every key"), frame.t("Yes").to_owned()),
            _ => continue,
        });
    }
    told
}

pub(crate) async fn undo(visit: Visit, Path(id): Path<String>, Form(_): Form<Nothing>) -> Shown {
    incidents::undo(&visit.app, &visit.actor, &id).await?;
    go(&format!("/console/incidents/{id}"), "incident-undone")
}
