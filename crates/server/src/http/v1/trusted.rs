//! `/v1/trusted`: the tenant's trusted secrets. What is done with one stands in `http/trusted.rs`.

use std::sync::Arc;

use axum::extract::{Path, State};

use super::groups::PageQuery;
use crate::app::App;
use crate::http::answer::{Answer, Answered};
use crate::http::guard::Caller;
use crate::http::json::{Json, Query};
use crate::http::openapi::{Operation, shape};
use crate::http::verify::answer::VerifyOut;
use crate::tokens::RevokedOut;
use crate::trusted;
use crate::trusted::wire::{
    CopyIn, DisableIn, EnableIn, RevokeTokenIn, TokenCreated, TokenIn, TrustedOut, TrustedPatch,
    TrustedRotateIn, TrustedSecret, ValidateTokenIn,
};
use crate::wire::Nothing;

const TAG: &str = "trusted authentication";

pub(crate) const LIST: Operation =
    Operation::list("list_trusted_secrets", TAG, "List trusted secrets", &[], shape::<TrustedOut>());
pub(crate) const ENABLE: Operation = Operation::act(
    "enable_trusted",
    TAG,
    "Switch trusted authentication on: makes a secret that gets tokens for users",
    (
        shape::<EnableIn>(),
        r#"{"name": "portal", "ceiling": {"rights": ["models/**:read"], "exceeding": "cut", "cidrs": ["192.0.2.0/24"]}}"#,
    ),
    shape::<TrustedSecret>(),
);
pub(crate) const DISABLE: Operation = Operation::act(
    "disable_trusted",
    TAG,
    "Switch it off: the secret and all its tokens end at once, for good",
    (shape::<DisableIn>(), r#"{"confirm": true}"#),
    shape::<TrustedOut>(),
);
pub(crate) const COPY: Operation = Operation::act(
    "copy_trusted_secret",
    TAG,
    "Show the secret once more; every look is in the audit log",
    (shape::<CopyIn>(), "{}"),
    shape::<TrustedSecret>(),
);
pub(crate) const SHOW: Operation = Operation::show(
    "show_trusted_secret",
    TAG,
    "Show a trusted secret, without the secret",
    shape::<TrustedOut>(),
);
pub(crate) const EDIT: Operation = Operation::act(
    "edit_trusted_secret",
    TAG,
    "Edit name or ceiling; a lower ceiling binds tokens already out",
    (shape::<TrustedPatch>(), r#"{"ceiling": {"max_ttl_seconds": 900}}"#),
    shape::<TrustedOut>(),
);
pub(crate) const ROTATE: Operation = Operation::act(
    "rotate_trusted_secret",
    TAG,
    "Make another generation and let the one before work for an overlap",
    (shape::<TrustedRotateIn>(), r#"{"overlap_seconds": 3600}"#),
    shape::<TrustedSecret>(),
);
pub(crate) const ROTATE_FINISH: Operation = Operation::act(
    "finish_trusted_rotation",
    TAG,
    "Retire the older generation now; its tokens end with it",
    (shape::<Nothing>(), "{}"),
    shape::<TrustedOut>(),
);

const MINT: Operation = Operation::act(
    "mint_token",
    TAG,
    "Get a token for a user",
    (
        shape::<TokenIn>(),
        r#"{"username": "ada", "objects": ["models/emea/2026"], "ttl_seconds": 600, "claims": {"region": "emea"}}"#,
    ),
    shape::<TokenCreated<'static>>(),
);
const REVOKE: Operation = Operation::act(
    "revoke_trusted_token",
    TAG,
    "End a token of this secret, or all of a user",
    (shape::<RevokeTokenIn>(), r#"{"token": "not.a.token"}"#),
    shape::<RevokedOut>(),
);
const VALIDATE: Operation = Operation::act(
    "validate_token",
    TAG,
    "Is this token valid? Always 200",
    (shape::<ValidateTokenIn>(), r#"{"token": "not.a.token"}"#),
    shape::<VerifyOut<'static>>(),
);

/// The routes that are answered before the router, by `POST` with a trusted secret.
pub(crate) const HOT: [(&str, Operation); 3] = [
    ("/v1/trusted/tokens", MINT),
    ("/v1/trusted/tokens/revoke", REVOKE),
    ("/v1/trusted/tokens/validate", VALIDATE),
];

pub(crate) async fn list(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
    Query(query): Query<PageQuery>,
) -> Answered {
    Answer::ok(&trusted::list(&app, &actor, &query.page("trusted")?).await?)
}

pub(crate) async fn enable(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
    Json(input): Json<EnableIn>,
) -> Answered {
    Answer::ok(&trusted::enable(&app, &actor, input).await?)
}

pub(crate) async fn disable(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
    Json(input): Json<DisableIn>,
) -> Answered {
    Answer::ok(&trusted::disable(&app, &actor, &input).await?)
}

pub(crate) async fn copy(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
    Json(input): Json<CopyIn>,
) -> Answered {
    Answer::ok(&trusted::copy(&app, &actor, &input).await?)
}

pub(crate) async fn show(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
    Path(id): Path<String>,
) -> Answered {
    answer(&trusted::show(&app, &actor, &id).await?)
}

pub(crate) async fn edit(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
    Path(id): Path<String>,
    Json(patch): Json<TrustedPatch>,
) -> Answered {
    answer(&trusted::edit(&app, &actor, &id, patch).await?)
}

pub(crate) async fn rotate(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
    Path(id): Path<String>,
    Json(input): Json<TrustedRotateIn>,
) -> Answered {
    Answer::ok(&trusted::rotate(&app, &actor, &id, &input).await?)
}

pub(crate) async fn rotate_finish(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
    Path(id): Path<String>,
    Json(Nothing {}): Json<Nothing>,
) -> Answered {
    answer(&trusted::finish_rotation(&app, &actor, &id).await?)
}

fn answer(secret: &TrustedOut) -> Answered {
    Ok(Answer::ok(secret)?.version(secret.version))
}
