//! `/v1/signing-keys`: what signs access tokens. For operators.

use std::sync::Arc;

use axum::extract::{Path, State};

use super::groups::PageQuery;
use crate::app::App;
use crate::http::answer::{Answer, Answered};
use crate::http::guard::Caller;
use crate::http::json::{Json, Query};
use crate::http::openapi::{Operation, shape};
use crate::signing_keys::{self, SigningKeyOut};
use crate::wire::Nothing;

const TAG: &str = "signing keys";

pub(crate) const LIST: Operation = Operation::list(
    "list_signing_keys",
    TAG,
    "List the keys that sign access tokens",
    &[],
    shape::<SigningKeyOut>(),
);
pub(crate) const ROTATE: Operation = Operation::act(
    "rotate_signing_key",
    TAG,
    "Publish a new signing key; it signs once everybody can know it",
    (shape::<Nothing>(), "{}"),
    shape::<SigningKeyOut>(),
);
pub(crate) const REMOVE: Operation = Operation::plain(
    "remove_signing_key",
    TAG,
    "Remove a signing key at once: every token that it signed is refused from now on",
);

pub(crate) async fn list(
    State(app): State<Arc<App>>,
    Caller(_): Caller,
    Query(query): Query<PageQuery>,
) -> Answered {
    Answer::ok(&signing_keys::list(&app, &query.page("signing keys")?).await?)
}

pub(crate) async fn rotate(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
    Json(Nothing {}): Json<Nothing>,
) -> Answered {
    Answer::ok(&signing_keys::rotate(&app, &actor).await?)
}

pub(crate) async fn remove(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
    Path(id): Path<String>,
) -> Answered {
    signing_keys::remove(&app, &actor, &id).await?;
    Answer::nothing()
}
