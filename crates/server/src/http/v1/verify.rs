//! `/v1/verify/batch`; the single form is answered in `http/verify.rs`, before the router.

use std::sync::Arc;

use axum::extract::{RawQuery, State};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use crate::app::App;
use crate::error::Error;
use crate::http::answer::{Answer, Answered};
use crate::http::guard::Caller;
use crate::http::json::Json;
use crate::http::openapi::{Operation, shape};
use crate::http::problem::Problem;
use crate::http::verify::{Reach, VerifyIn, VerifyOut, verify_into};

/// Verifications in one batch, at most.
const MAX_BATCH: usize = 100;
const TAG: &str = "verify";

/// Many verifications.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct BatchIn {
    /// 1 to 100.
    pub(crate) requests: Vec<VerifyIn>,
}

/// Their answers, in the same order.
#[derive(Serialize, ToSchema)]
pub(crate) struct BatchOut {
    #[schema(value_type = Vec<VerifyOut>)]
    pub(crate) results: Vec<Box<RawValue>>,
}

pub(crate) const VERIFY: Operation = Operation::act(
    "verify",
    TAG,
    "Is this credential valid, and for this? Always 200",
    (
        shape::<VerifyIn>(),
        r#"{"credential": "kwm_not-a-real-secret", "rights": ["models/emea:read"], "client_ip": "192.0.2.7"}"#,
    ),
    shape::<VerifyOut<'static>>(),
);
pub(crate) const BATCH: Operation = Operation::act(
    "verify_batch",
    TAG,
    "Verify up to 100 credentials at once",
    (shape::<BatchIn>(), r#"{"requests": [{"credential": "kwm_not-a-real-secret"}]}"#),
    shape::<BatchOut>(),
);

/// `POST /v1/verify?…`: there are no parameters.
pub(crate) async fn refuse_parameters(RawQuery(query): RawQuery) -> Problem {
    let query = query.unwrap_or_default();
    let name = query.split(['&', '=']).next().unwrap_or_default();
    Problem(Error::malformed(name, "unknown_field", "verify takes its input in the body alone"))
}

pub(crate) async fn batch(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
    Json(input): Json<BatchIn>,
) -> Answered {
    if input.requests.is_empty() || input.requests.len() > MAX_BATCH {
        return Err(
            Error::invalid("/requests", "bad_length", format!("send 1 to {MAX_BATCH} requests")).into()
        );
    }
    let tenant = actor.tenant_id.parse().map_err(Error::internal)?;
    let everywhere = !actor.visiting && actor.rights.covers(&app.rights.enter_tenants);
    let reach = Reach {
        tenant: (!everywhere).then_some(tenant),
        may_explain: actor.rights.covers(&app.rights.verify_explain),
    };
    let mut results = Vec::with_capacity(input.requests.len());
    for request in &input.requests {
        let mut out = Vec::with_capacity(512);
        verify_into(&app, request, reach, &mut out).await?;
        let text = String::from_utf8(out).map_err(Error::internal)?;
        results.push(RawValue::from_string(text).map_err(Error::internal)?);
    }
    Answer::ok(&BatchOut { results })
}
