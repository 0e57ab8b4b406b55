//! `/v1/webhooks`.

use std::sync::Arc;

use axum::extract::{Path, State};
use serde::Deserialize;

use super::groups::PageQuery;
use crate::app::App;
use crate::error::Error;
use crate::http::answer::{Answer, Answered};
use crate::http::guard::Caller;
use crate::http::json::{Json, Query};
use crate::http::openapi::{Operation, shape};
use crate::store::page::Page;
use crate::webhooks;
use crate::webhooks::wire::{
    DeliveryOut, WebhookIn, WebhookMade, WebhookOut, WebhookPatch, WebhookRotateIn, WebhookTestOut,
};
use crate::wire::Nothing;

const TAG: &str = "webhooks";

pub(crate) const LIST: Operation =
    Operation::list("list_webhooks", TAG, "List webhooks", &[], shape::<WebhookOut>());
pub(crate) const CREATE: Operation = Operation::create(
    "create_webhook",
    TAG,
    "Make a webhook; its secret is shown once. Takes audit:read too",
    (
        shape::<WebhookIn>(),
        r#"{"url": "https://hooks.example.com/keyward", "events": ["key.*", "user.delete"]}"#,
    ),
    shape::<WebhookMade>(),
);
pub(crate) const SHOW: Operation =
    Operation::show("show_webhook", TAG, "Show a webhook", shape::<WebhookOut>());
pub(crate) const EDIT: Operation = Operation::act(
    "edit_webhook",
    TAG,
    "Edit a webhook, switch it off or on. Takes audit:read too unless less is sent by it",
    (shape::<WebhookPatch>(), r#"{"events": ["*"], "enabled": true}"#),
    shape::<WebhookOut>(),
);
pub(crate) const DELETE: Operation =
    Operation::plain("delete_webhook", TAG, "Delete a webhook with its log and all that waits for it");
pub(crate) const ROTATE: Operation = Operation::act(
    "rotate_webhook_secret",
    TAG,
    "Make another secret; that before signs too for the overlap",
    (shape::<WebhookRotateIn>(), r#"{"overlap_seconds": 3600}"#),
    shape::<WebhookMade>(),
);
pub(crate) const TEST: Operation = Operation::act(
    "test_webhook",
    TAG,
    "Send an event webhook.test at once, tried once",
    (shape::<Nothing>(), "{}"),
    shape::<WebhookTestOut>(),
);
pub(crate) const DELIVERIES: Operation = Operation::list(
    "list_webhook_deliveries",
    TAG,
    "List what a webhook was sent in the last two weeks, the newest event first",
    &["state"],
    shape::<DeliveryOut>(),
);
pub(crate) const REPLAY: Operation = Operation::act(
    "replay_webhook_delivery",
    TAG,
    "Send a message again, under the same webhook-id",
    (shape::<Nothing>(), "{}"),
    shape::<DeliveryOut>(),
);

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct DeliveriesQuery {
    state: Option<String>,
    limit: Option<i64>,
    cursor: Option<String>,
}

pub(crate) async fn list(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
    Query(query): Query<PageQuery>,
) -> Answered {
    Answer::ok(&webhooks::list(&app, &actor, &query.page("webhooks")?).await?)
}

pub(crate) async fn create(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
    Json(input): Json<WebhookIn>,
) -> Answered {
    let made = webhooks::create(&app, &actor, input).await?;
    Answer::created(&made, format!("/v1/webhooks/{}", made.webhook.id))
}

pub(crate) async fn show(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
    Path(id): Path<String>,
) -> Answered {
    answer(&webhooks::show(&app, &actor, &id).await?)
}

pub(crate) async fn edit(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
    Path(id): Path<String>,
    Json(patch): Json<WebhookPatch>,
) -> Answered {
    answer(&webhooks::edit(&app, &actor, &id, patch).await?)
}

pub(crate) async fn delete(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
    Path(id): Path<String>,
) -> Answered {
    webhooks::delete(&app, &actor, &id).await?;
    Answer::nothing()
}

pub(crate) async fn rotate_secret(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
    Path(id): Path<String>,
    Json(input): Json<WebhookRotateIn>,
) -> Answered {
    Answer::ok(&webhooks::rotate_secret(&app, &actor, &id, &input).await?)
}

pub(crate) async fn test(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
    Path(id): Path<String>,
    Json(Nothing {}): Json<Nothing>,
) -> Answered {
    Answer::ok(&webhooks::test(&app, &actor, &id).await?)
}

pub(crate) async fn deliveries(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
    Path(id): Path<String>,
    Query(query): Query<DeliveriesQuery>,
) -> Answered {
    let state = query.state.as_deref();
    if state.is_some_and(|state| !["waiting", "delivered", "failed"].contains(&state)) {
        let detail = "expected waiting, delivered or failed";
        return Err(Error::malformed("state", "bad_value", detail).into());
    }
    let scope = format!("{id} {}", state.unwrap_or_default());
    let page = Page::read(query.limit, query.cursor.as_deref(), &scope)?;
    Answer::ok(&webhooks::deliveries(&app, &actor, &id, state, &page).await?)
}

pub(crate) async fn replay(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
    Path((id, delivery)): Path<(String, String)>,
    Json(Nothing {}): Json<Nothing>,
) -> Answered {
    Answer::ok(&webhooks::replay(&app, &actor, &id, &delivery).await?)
}

fn answer(webhook: &crate::webhooks::wire::WebhookOut) -> Answered {
    Ok(Answer::ok(webhook)?.version(webhook.version))
}
