//! `/v1/handovers`: secrets that wait for whoever shall have them.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Path, State};
use serde::Deserialize;

use crate::app::{App, Call};
use crate::handovers::{self, HandoverIn, HandoverLink, HandoverOut, OpenIn};
use crate::http::answer::{Answer, Answered};
use crate::http::guard::Caller;
use crate::http::json::{Json, Query};
use crate::http::openapi::{Operation, shape};
use crate::keys::wire::Revealed;
use crate::store::page::Page;

const TAG: &str = "hand-over";

pub(crate) const LIST: Operation = Operation::list(
    "list_handovers",
    TAG,
    "List secrets that wait or were handed over, the newest first",
    &["key_id"],
    shape::<HandoverOut>(),
);
pub(crate) const SHOW: Operation =
    Operation::show("show_handover", TAG, "Show whether a secret was handed over", shape::<HandoverOut>());
pub(crate) const LINK: Operation = Operation::act(
    "link_handover",
    TAG,
    "Make a link that opens the waiting secret of a key once; an earlier link is void",
    (shape::<HandoverIn>(), r#"{"ttl_seconds": 3600}"#),
    shape::<HandoverLink>(),
);
pub(crate) const OPEN: Operation = Operation::act(
    "open_handover",
    TAG,
    "Open a secret by the token of its link: once",
    (shape::<OpenIn>(), r#"{"token": "kwh_the-token-of-the-link"}"#),
    shape::<Revealed>(),
);

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ListQuery {
    key_id: Option<String>,
    limit: Option<i64>,
    cursor: Option<String>,
}

pub(crate) async fn list(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
    Query(query): Query<ListQuery>,
) -> Answered {
    let key = query.key_id.as_deref();
    let page = Page::read(query.limit, query.cursor.as_deref(), key.unwrap_or_default())?;
    Answer::ok(&handovers::list(&app, &actor, key, &page).await?)
}

pub(crate) async fn show(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
    Path(id): Path<String>,
) -> Answered {
    Answer::ok(&handovers::show(&app, &actor, &id).await?)
}

pub(crate) async fn link(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
    Path(key): Path<String>,
    Json(input): Json<HandoverIn>,
) -> Answered {
    Answer::ok(&handovers::link_waiting(&app, &actor, &key, &input).await?)
}

pub(crate) async fn open(
    State(app): State<Arc<App>>,
    Extension(call): Extension<Call>,
    Json(input): Json<OpenIn>,
) -> Answered {
    Answer::ok(&handovers::open(&app, call, &input).await?)
}
