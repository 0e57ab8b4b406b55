//! `/v1/notifications`: what the caller is told, and wishes to be.

use std::sync::Arc;

use axum::extract::{Path, State};
use serde::Deserialize;

use crate::app::App;
use crate::error::Error;
use crate::http::answer::{Answer, Answered};
use crate::http::guard::Caller;
use crate::http::json::{Json, Query};
use crate::http::openapi::{Operation, shape};
use crate::notifications::kind::Kind;
use crate::notifications::{self, MarkedOut, NotificationOut, PreferencesOut, PreferencesPatch, UnreadOut};
use crate::store::page::Page;
use crate::wire::Nothing;

const TAG: &str = "notifications";

pub(crate) const LIST: Operation = Operation::list(
    "list_notifications",
    TAG,
    "List what one was told, the newest first",
    &["unread", "kind"],
    shape::<NotificationOut>(),
);
pub(crate) const UNREAD: Operation =
    Operation::show("count_notifications", TAG, "Count what one has not read", shape::<UnreadOut>());
pub(crate) const READ: Operation = Operation::act(
    "read_notification",
    TAG,
    "Mark one as read",
    (shape::<Nothing>(), "{}"),
    shape::<MarkedOut>(),
);
pub(crate) const READ_ALL: Operation = Operation::act(
    "read_all_notifications",
    TAG,
    "Mark all as read",
    (shape::<Nothing>(), "{}"),
    shape::<MarkedOut>(),
);
pub(crate) const PREFERENCES: Operation = Operation::show(
    "show_notification_preferences",
    TAG,
    "Show what one is told about, where, and in which language",
    shape::<PreferencesOut>(),
);
pub(crate) const PREFER: Operation = Operation::act(
    "edit_notification_preferences",
    TAG,
    "Change what one is told about, where, and in which language",
    (shape::<PreferencesPatch>(), r#"{"language": "en", "kinds": [{"kind": "key_expired", "mail": false}]}"#),
    shape::<PreferencesOut>(),
);

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ListQuery {
    unread: Option<bool>,
    kind: Option<String>,
    limit: Option<i64>,
    cursor: Option<String>,
}

pub(crate) async fn list(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
    Query(query): Query<ListQuery>,
) -> Answered {
    let scope = format!("{:?} {:?}", query.unread, query.kind);
    let page = Page::read(query.limit, query.cursor.as_deref(), &scope)?;
    let kind = query.kind.as_deref().map(|text| {
        Kind::parse(text).ok_or_else(|| Error::malformed("kind", "bad_value", "there is no such kind"))
    });
    Answer::ok(&notifications::list(&app, &actor, query.unread, kind.transpose()?, &page).await?)
}

pub(crate) async fn unread(State(app): State<Arc<App>>, Caller(actor): Caller) -> Answered {
    Answer::ok(&notifications::unread(&app, &actor).await?)
}

pub(crate) async fn read(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
    Path(id): Path<String>,
    Json(Nothing {}): Json<Nothing>,
) -> Answered {
    Answer::ok(&notifications::mark_read(&app, &actor, Some(&id)).await?)
}

pub(crate) async fn read_all(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
    Json(Nothing {}): Json<Nothing>,
) -> Answered {
    Answer::ok(&notifications::mark_read(&app, &actor, None).await?)
}

pub(crate) async fn preferences(State(app): State<Arc<App>>, Caller(actor): Caller) -> Answered {
    Answer::ok(&notifications::preferences(&app, &actor).await?)
}

pub(crate) async fn prefer(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
    Json(patch): Json<PreferencesPatch>,
) -> Answered {
    Answer::ok(&notifications::set_preferences(&app, &actor, patch).await?)
}
