//! `/v1/auth/factors`: one's own second factors; and those of a user, for administrators.

use std::sync::Arc;

use axum::extract::{Path, State};

use super::auth::take_cookie;
use crate::app::App;
use crate::factors::{
    self, CodesOut, ConfirmIn, ConfirmedOut, EnrolmentOut, FactorOut, FactorPatch, FactorsOut,
    PasskeyEnrolmentOut, PasskeyIn, TotpIn,
};
use crate::http::answer::{Answer, Answered};
use crate::http::guard::Caller;
use crate::http::json::Json;
use crate::http::openapi::{Operation, shape};
use crate::wire::Nothing;

const TAG: &str = "factors";

pub(crate) const LIST: Operation =
    Operation::show("list_own_factors", TAG, "List one's own second factors", shape::<FactorsOut>());
pub(crate) const START_TOTP: Operation = Operation::act(
    "start_totp",
    TAG,
    "Begin to add an authenticator; it counts once a code confirms it, within 10 minutes",
    (shape::<TotpIn>(), r#"{"name": "phone"}"#),
    shape::<EnrolmentOut>(),
);
pub(crate) const START_PASSKEY: Operation = Operation::act(
    "start_passkey",
    TAG,
    "Begin to add a passkey; it counts once what a browser made confirms it, within 5 minutes",
    (shape::<PasskeyIn>(), r#"{"name": "laptop"}"#),
    shape::<PasskeyEnrolmentOut>(),
);
pub(crate) const CONFIRM: Operation = Operation::act(
    "confirm_factor",
    TAG,
    "Confirm an authenticator by its first code, a passkey by what a browser made; other sessions end, this one gets another token",
    (shape::<ConfirmIn>(), r#"{"code": "123456"}"#),
    shape::<ConfirmedOut>(),
);
pub(crate) const REPLACE_CODES: Operation = Operation::act(
    "replace_recovery_codes",
    TAG,
    "Make new recovery codes; the old ones are worth nothing from now on",
    (shape::<Nothing>(), "{}"),
    shape::<CodesOut>(),
);
pub(crate) const EDIT: Operation = Operation::act(
    "edit_factor",
    TAG,
    "Give one of one's own second factors another name",
    (shape::<FactorPatch>(), r#"{"name": "old laptop"}"#),
    shape::<FactorOut>(),
);
pub(crate) const REMOVE: Operation =
    Operation::plain("remove_factor", TAG, "Remove one of one's own second factors; other sessions end");
pub(crate) const LIST_OF: Operation =
    Operation::show("list_factors_of_user", TAG, "List the second factors of a user", shape::<FactorsOut>());
pub(crate) const RESET: Operation = Operation::plain(
    "reset_factors_of_user",
    TAG,
    "Take every second factor of a user away, for who has lost them; every session ends",
);

pub(crate) async fn list(State(app): State<Arc<App>>, Caller(actor): Caller) -> Answered {
    Answer::ok(&factors::list_own(&app, &actor).await?)
}

pub(crate) async fn start_totp(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
    Json(input): Json<TotpIn>,
) -> Answered {
    Answer::ok(&factors::start_totp(&app, &actor, &input).await?)
}

pub(crate) async fn start_passkey(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
    Json(input): Json<PasskeyIn>,
) -> Answered {
    Answer::ok(&factors::passkeys::start(&app, &actor, &input).await?)
}

pub(crate) async fn confirm(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
    Path(id): Path<String>,
    Json(input): Json<ConfirmIn>,
) -> Answered {
    let mut confirmed = factors::confirm(&app, &actor, &id, &input).await?;
    let cookie = take_cookie(&app, &mut confirmed.opened);
    Ok(cookie.into_iter().fold(Answer::ok(&confirmed)?, Answer::cookie))
}

pub(crate) async fn replace_codes(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
    Json(_): Json<Nothing>,
) -> Answered {
    Answer::ok(&factors::replace_codes(&app, &actor).await?)
}

pub(crate) async fn edit(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
    Path(id): Path<String>,
    Json(patch): Json<FactorPatch>,
) -> Answered {
    Answer::ok(&factors::edit(&app, &actor, &id, &patch).await?)
}

pub(crate) async fn remove(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
    Path(id): Path<String>,
) -> Answered {
    factors::remove(&app, &actor, &id).await?;
    Answer::nothing()
}

pub(crate) async fn list_of(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
    Path(id): Path<String>,
) -> Answered {
    Answer::ok(&factors::list_of(&app, &actor, &id).await?)
}

pub(crate) async fn reset(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
    Path(id): Path<String>,
) -> Answered {
    factors::reset(&app, &actor, &id).await?;
    Answer::nothing()
}
