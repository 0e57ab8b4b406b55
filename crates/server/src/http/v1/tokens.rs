//! `/v1/tokens`: ending access tokens before their time.

use std::sync::Arc;

use axum::extract::State;

use crate::app::App;
use crate::http::answer::{Answer, Answered};
use crate::http::guard::Caller;
use crate::http::json::Json;
use crate::http::openapi::{Operation, shape};
use crate::tokens::{self, EndTokensIn, RevokedOut};

pub(crate) const REVOKE: Operation = Operation::act(
    "revoke_token",
    "tokens",
    "End an access token, or all of a user",
    (shape::<EndTokensIn>(), r#"{"token": "not.a.token"}"#),
    shape::<RevokedOut>(),
);

pub(crate) async fn revoke(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
    Json(input): Json<EndTokensIn>,
) -> Answered {
    Answer::ok(&tokens::revoke(&app, &actor, input).await?)
}
