//! `/v1/policies`: the policy document of the caller's tenant.

use std::sync::Arc;

use axum::extract::State;
use serde_json::Value;
use utoipa::ToSchema;

use crate::app::App;
use crate::http::answer::{Answer, Answered};
use crate::http::guard::Caller;
use crate::http::json::Json;
use crate::http::openapi::{Operation, shape};
use crate::policies::{self, PolicyOut};

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
