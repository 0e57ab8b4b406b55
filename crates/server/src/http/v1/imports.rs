//! `/v1/imports`.

use std::sync::Arc;

use axum::extract::{FromRequest, Request, State};

use crate::app::App;
use crate::error::Result;
use crate::http::answer::{Answer, Answered};
use crate::http::body::{LARGE, read_body_up_to};
use crate::http::guard::Caller;
use crate::http::json;
use crate::http::openapi::{Operation, shape};
use crate::imports;
use crate::imports::wire::{ImportIn, ImportOut};

/// Values in a body: those of a few thousand rows.
const MAX_VALUES: usize = 200_000;

pub(crate) const RUN: Operation = Operation::act(
    "import_keys",
    "imports",
    "Bring keys of another system along by the hash of their credential",
    (
        shape::<ImportIn>(),
        r#"{"source": "unkey", "format": "sha256", "rows": [{"external_id": "key_3ZZ7", "hash": "XohImNooBHFR0OVvjcYpJ3NgPQ1qq73WKhHvch0VQtg=", "class": "ingest", "label": "billing", "ttl_seconds": 2592000}]}"#,
    ),
    shape::<ImportOut>(),
);

/// A body that may be larger and hold more than others.
pub(crate) struct Rows(ImportIn);

impl FromRequest<Arc<App>> for Rows {
    type Rejection = crate::http::problem::Problem;

    async fn from_request(request: Request, app: &Arc<App>) -> Result<Self, Self::Rejection> {
        json::check_kind(request.headers())?;
        let body = read_body_up_to(request.into_body(), &app.settings, LARGE).await?;
        Ok(Self(json::parse_up_to(&body, MAX_VALUES)?))
    }
}

pub(crate) async fn run(State(app): State<Arc<App>>, Caller(actor): Caller, Rows(input): Rows) -> Answered {
    Answer::ok(&imports::run(&app, &actor, input).await?)
}
