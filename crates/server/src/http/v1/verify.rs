//! What the API document says of `/v1/verify` and its batch; both are answered in `http/verify.rs`,
//! before the router. And what changed, for those who keep their answers.

use std::sync::Arc;

use axum::extract::{RawQuery, State};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::app::App;
use crate::error::Error;
use crate::http::answer::{Answer, Answered};
use crate::http::guard::Caller;
use crate::http::json::Query;
use crate::http::openapi::{Operation, shape};
use crate::http::problem::Problem;
use crate::http::verify::answer::VerifyOut;
use crate::http::verify::question::{BatchIn, VerifyIn};
use crate::store::changes::{Change, ChangeKind};
use crate::verify::bulletin::{self, News, Place};

const TAG: &str = "verify";

/// Their answers, in the same order.
#[derive(ToSchema)]
pub(crate) struct BatchOut<'a> {
    #[expect(dead_code, reason = "the answer is written by hand; this is its description")]
    results: Vec<VerifyOut<'a>>,
}

const VERIFY: Operation = Operation::act(
    "verify",
    TAG,
    "Is this credential valid, and for this? Always 200",
    (
        shape::<VerifyIn<'static>>(),
        r#"{"credential": "kwm_not-a-real-secret", "rights": ["models/emea:read"], "client_ip": "192.0.2.7"}"#,
    ),
    shape::<VerifyOut<'static>>(),
);
const BATCH: Operation = Operation::act(
    "verify_batch",
    TAG,
    "Verify up to 100 credentials at once",
    (shape::<BatchIn<'static>>(), r#"{"requests": [{"credential": "kwm_not-a-real-secret"}]}"#),
    shape::<BatchOut<'static>>(),
);

pub(crate) const CHANGES: Operation = Operation {
    query: &["after"],
    ..Operation::show(
        "verify_changes",
        TAG,
        "Which answers of verify are old? Waits up to a second for something to tell",
        shape::<ChangesOut>(),
    )
};

/// The routes that are answered before the router, by `POST`.
pub(crate) const HOT: [(&str, Operation); 2] = [("/v1/verify", VERIFY), ("/v1/verify/batch", BATCH)];

/// With a query: there are no parameters.
pub(crate) async fn refuse_parameters(RawQuery(query): RawQuery) -> Problem {
    let query = query.unwrap_or_default();
    let name = query.split(['&', '=']).next().unwrap_or_default();
    Problem(Error::malformed(name, "unknown_field", "verify takes its input in the body alone"))
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ChangesQuery {
    after: Option<String>,
}

/// What changed since a position.
#[derive(Serialize, ToSchema)]
pub(crate) struct ChangesOut {
    /// Give it as `after` the next time.
    next: String,
    /// Up to which change this tells: answers of verify with a smaller `X-Keyward-Position` are old.
    position: i64,
    /// Forget every answer: there was no position, or too much happened behind it.
    start_over: bool,
    /// Whose answers to forget.
    changes: Vec<ChangeOut>,
}

/// Facts that changed; which ones, the next verification tells.
#[derive(Serialize, ToSchema)]
pub(crate) struct ChangeOut {
    /// `key`, `user` or `tenant`.
    kind: &'static str,
    /// The access key, or the id of the user or tenant.
    id: String,
}

impl ChangeOut {
    /// Only for the kinds that a bulletin tells.
    fn of(change: Change) -> Self {
        match change.kind {
            ChangeKind::Key => Self { kind: "key", id: format!("kwa_{}", change.subject) },
            ChangeKind::User => Self { kind: "user", id: change.subject },
            _ => Self { kind: "tenant", id: change.tenant_id },
        }
    }
}

impl From<News> for ChangesOut {
    fn from(news: News) -> Self {
        let News { next, start_over, changes } = news;
        let changes = changes.into_iter().map(ChangeOut::of).collect();
        Self { next: next.to_string(), position: next.seq, start_over, changes }
    }
}

pub(crate) async fn changes(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
    Query(query): Query<ChangesQuery>,
) -> Answered {
    let after = query.after.as_deref().map(str::parse::<Place>).transpose().map_err(Problem)?;
    Answer::ok(&ChangesOut::from(bulletin::follow(&app, &actor, after).await?))
}
