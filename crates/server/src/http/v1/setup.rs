//! `/v1/setup`: the claim on an instance without administrator.

use std::sync::Arc;

use axum::extract::State;

use crate::app::App;
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

pub(crate) async fn claim(State(app): State<Arc<App>>, Json(input): Json<SetupIn>) -> Answered {
    let done = setup::claim(&app, &input).await?;
    crate::serve::forget_token(&app.settings.data_dir);
    Answer::created(&done, "/v1/me".into())
}
