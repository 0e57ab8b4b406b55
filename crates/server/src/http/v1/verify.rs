//! What the API document says of `/v1/verify` and its batch; both are answered in `http/verify.rs`,
//! before the router.

use axum::extract::RawQuery;
use utoipa::ToSchema;

use crate::error::Error;
use crate::http::openapi::{Operation, shape};
use crate::http::problem::Problem;
use crate::http::verify::answer::VerifyOut;
use crate::http::verify::question::{BatchIn, VerifyIn};

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

/// The routes that are answered before the router, by `POST`.
pub(crate) const HOT: [(&str, Operation); 2] = [("/v1/verify", VERIFY), ("/v1/verify/batch", BATCH)];

/// With a query: there are no parameters.
pub(crate) async fn refuse_parameters(RawQuery(query): RawQuery) -> Problem {
    let query = query.unwrap_or_default();
    let name = query.split(['&', '=']).next().unwrap_or_default();
    Problem(Error::malformed(name, "unknown_field", "verify takes its input in the body alone"))
}
