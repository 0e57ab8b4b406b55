//! `/v1/roles`.

use std::sync::Arc;

use axum::extract::{Path, State};

use super::groups::ListQuery;
use crate::app::App;
use crate::http::answer::{Answer, Answered};
use crate::http::guard::Caller;
use crate::http::json::{Json, Query};
use crate::http::openapi::{Operation, shape};
use crate::roles::{self, RoleIn, RoleOut, RolePatch};

const TAG: &str = "roles";

pub(crate) const LIST: Operation =
    Operation::list("list_roles", TAG, "List roles", &["q"], shape::<RoleOut>());
pub(crate) const CREATE: Operation = Operation::create(
    "create_role",
    TAG,
    "Make a role",
    (shape::<RoleIn>(), r#"{"name": "analyst", "rights": ["models/emea/**:read", "models/*/reports:*"]}"#),
    shape::<RoleOut>(),
);
pub(crate) const SHOW: Operation = Operation::show("show_role", TAG, "Show a role", shape::<RoleOut>());
pub(crate) const EDIT: Operation = Operation::act(
    "edit_role",
    TAG,
    "Edit a role; everyone who holds it is touched at once",
    (shape::<RolePatch>(), r#"{"rights": ["models/**:read"]}"#),
    shape::<RoleOut>(),
);
pub(crate) const DELETE: Operation = Operation::plain("delete_role", TAG, "Delete a role");

pub(crate) async fn list(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
    Query(query): Query<ListQuery>,
) -> Answered {
    Answer::ok(&roles::list(&app, &actor, query.pattern().as_deref(), &query.page()?).await?)
}

pub(crate) async fn create(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
    Json(input): Json<RoleIn>,
) -> Answered {
    let role = roles::create(&app, &actor, input).await?;
    Answer::created(&role, format!("/v1/roles/{}", role.id))
}

pub(crate) async fn show(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
    Path(id): Path<String>,
) -> Answered {
    answer(&roles::show(&app, &actor, &id).await?)
}

pub(crate) async fn edit(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
    Path(id): Path<String>,
    Json(patch): Json<RolePatch>,
) -> Answered {
    answer(&roles::edit(&app, &actor, &id, patch).await?)
}

pub(crate) async fn delete(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
    Path(id): Path<String>,
) -> Answered {
    roles::delete(&app, &actor, &id).await?;
    Answer::nothing()
}

fn answer(role: &RoleOut) -> Answered {
    Ok(Answer::ok(role)?.version(role.version))
}
