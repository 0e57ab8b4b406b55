//! `/v1/identify`.

use std::sync::Arc;

use axum::extract::State;

use crate::app::App;
use crate::http::answer::{Answer, Answered};
use crate::http::guard::Caller;
use crate::http::json::Json;
use crate::http::openapi::{Operation, shape};
use crate::identify::wire::{IdentifyIn, IdentifyOut};

pub(crate) const IDENTIFY: Operation = Operation::act(
    "identify",
    "leaks",
    "Tell what stands in a found text: credentials and, where you may see them, the keys behind; nothing is kept",
    (shape::<IdentifyIn>(), r#"{"text": "export TOKEN=kwa_0123456789abcdef"}"#),
    shape::<IdentifyOut>(),
);

pub(crate) async fn identify(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
    Json(input): Json<IdentifyIn>,
) -> Answered {
    Answer::ok(&crate::identify::identify(&app, &actor, &input).await?)
}
