//! `/v1/setup`: the claim on an instance without administrator.

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;

use crate::app::{App, Call};
use crate::error::{Error, Result};
use crate::failures;
use crate::http::answer::{Answer, Answered};
use crate::http::json::Json;
use crate::http::openapi::{Operation, shape};
use crate::setup::{self, Bootstrapped, SetupIn};

const EXAMPLE: &str = r#"{"token": "kwb_the-token-in-the-file-setup-token", "username": "ada"}"#;

pub(crate) const CLAIM: Operation = Operation::create(
    "set_up",
    "setup",
    "Make the first administrator with the setup token",
    (shape::<SetupIn>(), EXAMPLE),
    shape::<Bootstrapped>(),
);

pub(crate) async fn claim(
    State(app): State<Arc<App>>,
    Extension(call): Extension<Call>,
    Json(input): Json<SetupIn>,
) -> Answered {
    Answer::created(&carry_out(&app, &call, &input).await?, "/v1/me".into())
}

/// Carries out a claim; the file of the token goes with it.
pub(crate) async fn carry_out(app: &App, call: &Call, input: &SetupIn) -> Result<Bootstrapped> {
    let done = setup::claim(app, input).await.map_err(|error| refused(app, call, error))?;
    crate::serve::forget_token(&app.settings.data_dir);
    Ok(done)
}

/// A wrong token is a failed credential like any other.
fn refused(app: &App, call: &Call, error: Error) -> Error {
    if !matches!(error, Error::Unauthenticated(_)) {
        return error;
    }
    failures::note(app, None, "setup", call.address).map_or(error, Error::RateLimited)
}
