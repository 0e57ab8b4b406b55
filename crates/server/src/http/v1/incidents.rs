//! `/v1/incidents`.

use std::sync::Arc;

use axum::extract::{Path, State};
use serde::Deserialize;

use crate::app::App;
use crate::http::answer::{Answer, Answered};
use crate::http::guard::Caller;
use crate::http::json::{Json, Query};
use crate::http::openapi::{Operation, shape};
use crate::incidents::{self, IncidentDone, IncidentIn, IncidentOut, UndoneOut};
use crate::store::page::Page;
use crate::wire::Nothing;

const TAG: &str = "leaks";

pub(crate) const LIST: Operation =
    Operation::list("list_incidents", TAG, "List incidents, the newest first", &[], shape::<IncidentOut>());
pub(crate) const DECLARE: Operation = Operation::act(
    "declare_incident",
    TAG,
    "End many keys at once, with a preview and a confirmation, and remember which",
    (
        shape::<IncidentIn>(),
        r#"{"filter": {"label_contains": "nightly", "created_before": "2026-06-01T00:00:00Z"}, "action": "revoke", "reason": "backup stolen", "preview": true}"#,
    ),
    shape::<IncidentDone>(),
);
pub(crate) const SHOW: Operation =
    Operation::show("show_incident", TAG, "Show an incident with its keys", shape::<IncidentOut>());
pub(crate) const UNDO: Operation = Operation::act(
    "undo_incident",
    TAG,
    "Switch the keys of an incident on again, save those that were changed since",
    (shape::<Nothing>(), "{}"),
    shape::<UndoneOut>(),
);

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ListQuery {
    limit: Option<i64>,
    cursor: Option<String>,
}

pub(crate) async fn list(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
    Query(query): Query<ListQuery>,
) -> Answered {
    let page = Page::read(query.limit, query.cursor.as_deref(), "incidents")?;
    Answer::ok(&incidents::list(&app, &actor, &page).await?)
}

pub(crate) async fn declare(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
    Json(input): Json<IncidentIn>,
) -> Answered {
    Answer::ok(&incidents::declare(&app, &actor, input).await?)
}

pub(crate) async fn show(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
    Path(id): Path<String>,
) -> Answered {
    Answer::ok(&incidents::show(&app, &actor, &id).await?)
}

pub(crate) async fn undo(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
    Path(id): Path<String>,
    Json(_): Json<Nothing>,
) -> Answered {
    Answer::ok(&incidents::undo(&app, &actor, &id).await?)
}
