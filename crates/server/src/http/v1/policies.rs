//! `/v1/policies`: the policy document of the caller's tenant, its versions and drafts.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_DISPOSITION, HeaderValue};
use serde::Deserialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::app::{Actor, App};
use crate::csv;
use crate::error::{Error, Result};
use crate::http::answer::{Answer, Answered};
use crate::http::guard::Caller;
use crate::http::json::{Json, Query};
use crate::http::openapi::{Operation, shape};
use crate::http::problem::Problem;
use crate::http::stream::{self, Parts};
use crate::policies::drafts::{self, ApplyIn, DraftIn, DraftOut};
use crate::policies::impact::{self, Comparison, ImpactRow, SimulationOut};
use crate::policies::versions::{self, RollbackIn, VersionOut};
use crate::policies::{self, PolicyOut};
use crate::store::page::Page;
use crate::wire::Nothing;

const TAG: &str = "policies";

/// A merge patch of the policy document (RFC 7396); `null` brings a default back.
#[derive(ToSchema)]
#[schema(value_type = Object)]
pub(crate) struct PolicyPatch(#[expect(dead_code, reason = "names the schema")] Value);

pub(crate) const SHOW: Operation =
    Operation::show("show_policy", TAG, "Show the policy of the tenant", shape::<PolicyOut>());
pub(crate) const EDIT: Operation = Operation::act(
    "edit_policy",
    TAG,
    "Edit the policy; it binds keys already issued",
    (shape::<PolicyPatch>(), r#"{"member": {"default_ttl_days": 60, "max_ttl_days": 180}}"#),
    shape::<PolicyOut>(),
);
pub(crate) const VERSIONS: Operation = Operation::list(
    "list_policy_versions",
    TAG,
    "List every policy that the tenant had, the newest first",
    &[],
    shape::<VersionOut>(),
);
pub(crate) const VERSION: Operation =
    Operation::show("show_policy_version", TAG, "Show a policy with what it changed", shape::<VersionOut>());
pub(crate) const ROLL_BACK: Operation = Operation::act(
    "roll_back_policy",
    TAG,
    "Put the policy of an earlier version in place again",
    (shape::<RollbackIn>(), r#"{"version": 1, "note": "keys of the night jobs stopped"}"#),
    shape::<PolicyOut>(),
);
pub(crate) const DRAFTS: Operation = Operation::list(
    "list_policy_drafts",
    TAG,
    "List drafts, the newest first",
    &["state"],
    shape::<DraftOut>(),
);
pub(crate) const DRAFT: Operation = Operation::create(
    "draft_policy",
    TAG,
    "Draft a policy; nothing changes by it",
    (shape::<DraftIn>(), r#"{"patch": {"member": {"max_age_days": 180}}, "note": "older keys are rotated"}"#),
    shape::<DraftOut>(),
);
pub(crate) const SHOW_DRAFT: Operation =
    Operation::show("show_policy_draft", TAG, "Show a draft with what it would change", shape::<DraftOut>());
pub(crate) const DELETE_DRAFT: Operation =
    Operation::plain("delete_policy_draft", TAG, "Delete a draft, also one that is scheduled");
pub(crate) const REBASE: Operation = Operation::act(
    "rebase_policy_draft",
    TAG,
    "Make the changes of a draft to the policy that stands now",
    (shape::<Nothing>(), "{}"),
    shape::<DraftOut>(),
);
pub(crate) const SIMULATE: Operation = Operation::act(
    "simulate_policy_draft",
    TAG,
    "Count the keys that a draft would stop, by reason, and those that would work again",
    (shape::<Nothing>(), "{}"),
    shape::<SimulationOut>(),
);
pub(crate) const IMPACT: Operation = Operation::list(
    "list_policy_draft_impact",
    TAG,
    "List the keys that a draft would do something to; all of them with format=csv",
    &["code", "format"],
    shape::<ImpactRow>(),
);
pub(crate) const APPLY: Operation = Operation::act(
    "apply_policy_draft",
    TAG,
    "Apply a draft, at once or at a moment",
    (shape::<ApplyIn>(), "{}"),
    shape::<DraftOut>(),
);

pub(crate) async fn show(State(app): State<Arc<App>>, Caller(actor): Caller) -> Answered {
    answer(&policies::show(&app, &actor).await?)
}

pub(crate) async fn edit(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
    Json(patch): Json<Value>,
) -> Answered {
    answer(&policies::edit(&app, &actor, patch).await?)
}

fn answer(policy: &PolicyOut) -> Answered {
    Ok(Answer::ok(policy)?.version(policy.version))
}

/// A page of a list without filters.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct PageQuery {
    limit: Option<i64>,
    cursor: Option<String>,
}

pub(crate) async fn list_versions(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
    Query(query): Query<PageQuery>,
) -> Answered {
    let page = Page::read(query.limit, query.cursor.as_deref(), VERSIONS.id)?;
    Answer::ok(&versions::list(&app, &actor, &page).await?)
}

pub(crate) async fn show_version(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
    Path(version): Path<String>,
) -> Answered {
    Answer::ok(&versions::show(&app, &actor, &version).await?)
}

pub(crate) async fn roll_back(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
    Json(input): Json<RollbackIn>,
) -> Answered {
    answer(&versions::roll_back(&app, &actor, &input).await?)
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct DraftsQuery {
    state: Option<String>,
    limit: Option<i64>,
    cursor: Option<String>,
}

pub(crate) async fn list_drafts(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
    Query(query): Query<DraftsQuery>,
) -> Answered {
    let state = query.state.as_deref();
    if state.is_some_and(|state| !["draft", "scheduled", "applied", "failed"].contains(&state)) {
        let expected = "expected draft, scheduled, applied or failed";
        return Err(Error::malformed("state", "bad_value", expected).into());
    }
    let page = Page::read(query.limit, query.cursor.as_deref(), &format!("{} {state:?}", DRAFTS.id))?;
    Answer::ok(&drafts::list(&app, &actor, state, &page).await?)
}

pub(crate) async fn draft(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
    Json(input): Json<DraftIn>,
) -> Answered {
    let draft = drafts::create(&app, &actor, input).await?;
    Ok(Answer::created(&draft, format!("/v1/policies/drafts/{}", draft.id))?.version(draft.version))
}

pub(crate) async fn show_draft(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
    Path(id): Path<String>,
) -> Answered {
    of_draft(&drafts::show(&app, &actor, &id).await?)
}

pub(crate) async fn delete_draft(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
    Path(id): Path<String>,
) -> Answered {
    drafts::delete(&app, &actor, &id).await?;
    Answer::nothing()
}

pub(crate) async fn rebase(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
    Path(id): Path<String>,
    Json(_): Json<Nothing>,
) -> Answered {
    of_draft(&drafts::rebase(&app, &actor, &id).await?)
}

pub(crate) async fn simulate(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
    Path(id): Path<String>,
    Json(_): Json<Nothing>,
) -> Answered {
    Answer::ok(&impact::simulate(&app, &actor, &id).await?)
}

pub(crate) async fn apply(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
    Path(id): Path<String>,
    Json(input): Json<ApplyIn>,
) -> Answered {
    of_draft(&drafts::apply(&app, &actor, &id, &input).await?)
}

fn of_draft(draft: &DraftOut) -> Answered {
    Ok(Answer::ok(draft)?.version(draft.version))
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ImpactQuery {
    code: Option<String>,
    format: Option<String>,
    limit: Option<i64>,
    cursor: Option<String>,
}

pub(crate) async fn list_impact(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
    Path(id): Path<String>,
    Query(query): Query<ImpactQuery>,
) -> Result<Response, Problem> {
    match query.format.as_deref() {
        None | Some("json") => {
            let page = Page::read(query.limit, query.cursor.as_deref(), &format!("{id} {:?}", query.code))?;
            let listed = impact::list(&app, &actor, &id, query.code.as_deref(), &page).await?;
            Ok(Answer::ok(&listed)?.into_response())
        }
        Some("csv") => export(app, actor, id, query.code).await,
        Some(_) => Err(Error::malformed("format", "bad_value", "expected json or csv").into()),
    }
}

/// Streams all of it: a tenant may have more keys than fit into memory.
pub(crate) async fn export(
    app: Arc<App>,
    actor: Actor,
    id: String,
    code: Option<String>,
) -> Result<Response, Problem> {
    // What is wrong with the request is told before the stream begins.
    let comparison = impact::compare(&app, &mut app.read().await?, &actor.tenant_id, &id).await?;
    impact::begin_export(&app, &actor, &id).await?;
    let reader = app.clone();
    let kind = "text/csv; charset=utf-8";
    let mut response = stream::answer(&app, kind, move |parts| send_rows(reader, comparison, code, parts));
    let name = HeaderValue::from_static("attachment; filename=\"policy-impact.csv\"");
    response.headers_mut().insert(CONTENT_DISPOSITION, name);
    Ok(response)
}

const HEADER: &str = "id,access_key,label,class,owner_id,owner_username,code_now,code_then\r\n";

/// A connection for each part: whoever reads slowly keeps none from others.
async fn send_rows(
    app: Arc<App>,
    mut comparison: Comparison,
    code: Option<String>,
    parts: Parts,
) -> Result<()> {
    let (mut after, mut lines) = (String::new(), HEADER.to_owned());
    loop {
        let part = comparison.part(&mut app.read().await?, &after).await?;
        let wanted = part.rows.iter().filter(|row| code.as_ref().is_none_or(|code| row.code_then == code));
        lines.extend(wanted.map(line));
        let open = parts.send(std::mem::take(&mut lines)).await;
        let Some(last) = part.last.filter(|_| open) else { return Ok(()) };
        after = last;
    }
}

fn line(row: &ImpactRow) -> String {
    csv::line([
        row.id.as_str(),
        &row.access_key,
        &row.label,
        row.class.as_str(),
        row.owner_id.as_deref().unwrap_or_default(),
        row.owner_username.as_deref().unwrap_or_default(),
        row.code_now,
        row.code_then,
    ])
}
