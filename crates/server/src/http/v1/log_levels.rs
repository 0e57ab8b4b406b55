//! `/v1/log-levels`: levels of named modules, changed at run time (VA9).

use std::sync::Arc;

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::app::{Actor, App};
use crate::audit::{Audited, Event};
use crate::error::{Error, Result};
use crate::http::answer::{Answer, Answered};
use crate::http::guard::Caller;
use crate::http::json::Json;
use crate::http::openapi::{Operation, shape};
use crate::logging::Filter;

const TAG: &str = "operation";

/// The filter of the logs.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct LogLevels {
    /// A level, and levels of modules: `info,keyward::verify=debug`.
    pub(crate) filter: String,
}

pub(crate) const SHOW: Operation =
    Operation::show("show_log_levels", TAG, "Show the levels of the logs", shape::<LogLevels>());
pub(crate) const EDIT: Operation = Operation::act(
    "edit_log_levels",
    TAG,
    "Change the levels of the logs on this node until it restarts",
    (shape::<LogLevels>(), r#"{"filter": "info,keyward::verify=debug"}"#),
    shape::<LogLevels>(),
);

pub(crate) async fn show(State(app): State<Arc<App>>, _: Caller) -> Answered {
    Answer::ok(&LogLevels { filter: app.log_levels.current() })
}

pub(crate) async fn edit(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
    Json(input): Json<LogLevels>,
) -> Answered {
    set(&app, &actor, &input).await?;
    Answer::ok(&input)
}

/// Sets the levels of this node.
pub(crate) async fn set(app: &App, actor: &Actor, input: &LogLevels) -> Result<()> {
    if actor.visiting {
        return Err(Error::NotFound);
    }
    let before = LogLevels { filter: app.log_levels.current() };
    let wanted = Filter::parse(&input.filter)?;
    let event = Event::new("log_levels.edit", "instance", "log_levels", "").before(&before).after(input);
    app.write(actor, async |_| Ok(Audited::new((), event))).await?;
    app.log_levels.set(wanted)
}
