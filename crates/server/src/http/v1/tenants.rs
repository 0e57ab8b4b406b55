//! `/v1/tenants`.

use std::sync::Arc;

use axum::extract::{Path, State};
use serde::Deserialize;

use crate::app::App;
use crate::http::answer::{Answer, Answered};
use crate::http::guard::Caller;
use crate::http::json::{Json, Query};
use crate::http::openapi::{Operation, shape};
use crate::names::like_pattern;
use crate::store::page::Page;
use crate::tenants::{self, TenantIn, TenantOut, TenantPatch};
use crate::wire::{Nothing, ReasonIn};

const TAG: &str = "tenants";

pub(crate) const LIST: Operation =
    Operation::list("list_tenants", TAG, "List tenants", &["q"], shape::<TenantOut>());
pub(crate) const CREATE: Operation = Operation::create(
    "create_tenant",
    TAG,
    "Make a tenant",
    (shape::<TenantIn>(), r#"{"slug": "acme", "name": "Acme Ltd"}"#),
    shape::<TenantOut>(),
);
pub(crate) const SHOW: Operation =
    Operation::show("show_tenant", TAG, "Show a tenant; current is one's own", shape::<TenantOut>());
pub(crate) const EDIT: Operation = Operation::act(
    "edit_tenant",
    TAG,
    "Edit a tenant",
    (shape::<TenantPatch>(), r#"{"name": "Acme Limited"}"#),
    shape::<TenantOut>(),
);
pub(crate) const DELETE: Operation = Operation {
    query: &["confirm"],
    ..Operation::plain("delete_tenant", TAG, "Delete a tenant and everything in it")
};
pub(crate) const SUSPEND: Operation = Operation::act(
    "suspend_tenant",
    TAG,
    "Refuse every key of a tenant",
    (shape::<ReasonIn>(), r#"{"reason": "unpaid"}"#),
    shape::<TenantOut>(),
);
pub(crate) const RESUME: Operation = Operation::act(
    "resume_tenant",
    TAG,
    "Accept the keys of a tenant again",
    (shape::<Nothing>(), "{}"),
    shape::<TenantOut>(),
);

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ListQuery {
    q: Option<String>,
    limit: Option<i64>,
    cursor: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct DeleteQuery {
    confirm: Option<String>,
}

pub(crate) async fn list(State(app): State<Arc<App>>, _: Caller, Query(query): Query<ListQuery>) -> Answered {
    let page = Page::read(query.limit, query.cursor.as_deref(), query.q.as_deref().unwrap_or_default())?;
    let pattern = query.q.as_deref().map(like_pattern);
    Answer::ok(&tenants::list(&app, pattern.as_deref(), &page).await?)
}

pub(crate) async fn create(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
    Json(input): Json<TenantIn>,
) -> Answered {
    let tenant = tenants::create(&app, &actor, input).await?;
    Answer::created(&tenant, format!("/v1/tenants/{}", tenant.id))
}

pub(crate) async fn show(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
    Path(id): Path<String>,
) -> Answered {
    answer(&tenants::show(&app, &actor, &id).await?)
}

pub(crate) async fn edit(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
    Path(id): Path<String>,
    Json(patch): Json<TenantPatch>,
) -> Answered {
    answer(&tenants::edit(&app, &actor, &id, patch).await?)
}

pub(crate) async fn delete(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
    Path(id): Path<String>,
    Query(query): Query<DeleteQuery>,
) -> Answered {
    tenants::delete(&app, &actor, &id, query.confirm.as_deref()).await?;
    Answer::nothing()
}

pub(crate) async fn suspend(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
    Path(id): Path<String>,
    Json(input): Json<ReasonIn>,
) -> Answered {
    answer(&tenants::suspend(&app, &actor, &id, input.checked()?).await?)
}

pub(crate) async fn resume(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
    Path(id): Path<String>,
    Json(_): Json<Nothing>,
) -> Answered {
    answer(&tenants::resume(&app, &actor, &id).await?)
}

fn answer(tenant: &TenantOut) -> Answered {
    Ok(Answer::ok(tenant)?.version(tenant.version))
}
