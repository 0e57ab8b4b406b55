//! `/v1/jobs`: what waits to leave the server, and what was given up.

use std::sync::Arc;

use axum::extract::{Path, State};
use serde::Deserialize;

use crate::app::App;
use crate::error::Error;
use crate::http::answer::{Answer, Answered};
use crate::http::guard::Caller;
use crate::http::json::{Json, Query};
use crate::http::openapi::{Operation, shape};
use crate::jobs::list as jobs;
use crate::jobs::wire::JobOut;
use crate::store::page::Page;
use crate::wire::Nothing;

const TAG: &str = "jobs";

pub(crate) const LIST: Operation =
    Operation::list("list_jobs", TAG, "List jobs that wait or were given up", &["state"], shape::<JobOut>());
pub(crate) const SHOW: Operation = Operation::show("show_job", TAG, "Show a job", shape::<JobOut>());
pub(crate) const REPLAY: Operation = Operation::act(
    "replay_job",
    TAG,
    "Try a job again that was given up",
    (shape::<Nothing>(), "{}"),
    shape::<JobOut>(),
);
pub(crate) const DROP: Operation = Operation::plain("drop_job", TAG, "Drop a job: it will not be done");

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ListQuery {
    state: Option<String>,
    limit: Option<i64>,
    cursor: Option<String>,
}

pub(crate) async fn list(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
    Query(query): Query<ListQuery>,
) -> Answered {
    let failed = match query.state.as_deref() {
        None => None,
        Some("waiting") => Some(false),
        Some("failed") => Some(true),
        Some(_) => return Err(Error::malformed("state", "bad_value", "expected waiting or failed").into()),
    };
    let page = Page::read(query.limit, query.cursor.as_deref(), query.state.as_deref().unwrap_or_default())?;
    Answer::ok(&jobs::list(&app, &actor, failed, &page).await?)
}

pub(crate) async fn show(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
    Path(id): Path<String>,
) -> Answered {
    Answer::ok(&jobs::show(&app, &actor, &id).await?)
}

pub(crate) async fn replay(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
    Path(id): Path<String>,
    Json(Nothing {}): Json<Nothing>,
) -> Answered {
    Answer::ok(&jobs::replay(&app, &actor, &id).await?)
}

pub(crate) async fn drop_job(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
    Path(id): Path<String>,
) -> Answered {
    jobs::drop_job(&app, &actor, &id).await?;
    Answer::nothing()
}
