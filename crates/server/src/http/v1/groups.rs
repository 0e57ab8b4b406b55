//! `/v1/groups`.

use std::sync::Arc;

use axum::extract::{Path, State};
use serde::{Deserialize, Serialize};

use crate::app::App;
use crate::error::Result;
use crate::groups::{self, GroupIn, GroupOut, GroupPatch};
use crate::http::answer::{Answer, Answered};
use crate::http::guard::Caller;
use crate::http::json::{Json, Query};
use crate::http::openapi::{Operation, shape};
use crate::names::like_pattern;
use crate::store::page::Page;
use crate::users::UserOut;

const TAG: &str = "groups";

pub(crate) const LIST: Operation =
    Operation::list("list_groups", TAG, "List groups", &["q"], shape::<GroupOut>());
pub(crate) const CREATE: Operation = Operation::create(
    "create_group",
    TAG,
    "Make a group",
    (shape::<GroupIn>(), r#"{"name": "Analysts", "description": "Read the models"}"#),
    shape::<GroupOut>(),
);
pub(crate) const SHOW: Operation = Operation::show("show_group", TAG, "Show a group", shape::<GroupOut>());
pub(crate) const EDIT: Operation = Operation::act(
    "edit_group",
    TAG,
    "Edit a group; every member is touched at once",
    (shape::<GroupPatch>(), r#"{"description": "Read and comment"}"#),
    shape::<GroupOut>(),
);
pub(crate) const DELETE: Operation = Operation::plain("delete_group", TAG, "Delete a group");
pub(crate) const MEMBERS: Operation =
    Operation::list("list_group_members", TAG, "List the users in a group", &[], shape::<UserOut>());
pub(crate) const ADD_MEMBER: Operation =
    Operation::plain("add_group_member", TAG, "Put a user or workspace key into a group");
pub(crate) const REMOVE_MEMBER: Operation =
    Operation::plain("remove_group_member", TAG, "Take a user or workspace key out of a group");

/// Lists that are narrowed by a text alone.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ListQuery {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) q: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) limit: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cursor: Option<String>,
}

impl ListQuery {
    pub(crate) fn pattern(&self) -> Option<String> {
        self.q.as_deref().map(like_pattern)
    }

    pub(crate) fn page(&self) -> Result<Page> {
        Page::read(self.limit, self.cursor.as_deref(), self.q.as_deref().unwrap_or_default())
    }
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct PageQuery {
    limit: Option<i64>,
    pub(crate) cursor: Option<String>,
}

impl PageQuery {
    /// The page of the list that `scope` names.
    pub(crate) fn page(&self, scope: &str) -> Result<Page> {
        Page::read(self.limit, self.cursor.as_deref(), scope)
    }
}

pub(crate) async fn list(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
    Query(query): Query<ListQuery>,
) -> Answered {
    Answer::ok(&groups::list(&app, &actor, query.pattern().as_deref(), &query.page()?).await?)
}

pub(crate) async fn create(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
    Json(input): Json<GroupIn>,
) -> Answered {
    let group = groups::create(&app, &actor, input).await?;
    Answer::created(&group, format!("/v1/groups/{}", group.id))
}

pub(crate) async fn show(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
    Path(id): Path<String>,
) -> Answered {
    answer(&groups::show(&app, &actor, &id).await?)
}

pub(crate) async fn edit(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
    Path(id): Path<String>,
    Json(patch): Json<GroupPatch>,
) -> Answered {
    answer(&groups::edit(&app, &actor, &id, patch).await?)
}

pub(crate) async fn delete(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
    Path(id): Path<String>,
) -> Answered {
    groups::delete(&app, &actor, &id).await?;
    Answer::nothing()
}

pub(crate) async fn members(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
    Path(id): Path<String>,
    Query(query): Query<PageQuery>,
) -> Answered {
    let page = query.page(&id)?;
    Answer::ok(&groups::members(&app, &actor, &id, &page).await?)
}

pub(crate) async fn add_member(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
    Path((id, member)): Path<(String, String)>,
) -> Answered {
    groups::add_member(&app, &actor, &id, &member).await?;
    Answer::nothing()
}

pub(crate) async fn remove_member(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
    Path((id, member)): Path<(String, String)>,
) -> Answered {
    groups::remove_member(&app, &actor, &id, &member).await?;
    Answer::nothing()
}

fn answer(group: &GroupOut) -> Answered {
    Ok(Answer::ok(group)?.version(group.version))
}
