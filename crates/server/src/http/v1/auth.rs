//! `/v1/auth`: logging in and out, and one's own sessions and password.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Path, State};
use http::{HeaderMap, Method};
use serde::Deserialize;

use crate::app::{App, Call};
use crate::error::Result;
use crate::factors::OptionsOut;
use crate::http::answer::{Answer, Answered};
use crate::http::cookie;
use crate::http::guard::Caller;
use crate::http::json::{Json, Query};
use crate::http::openapi::{Operation, shape};
use crate::logins::passkey::{self, PasskeyLoginIn};
use crate::logins::{self, LoginFactorIn, LoginIn, StepUpIn};
use crate::passwords::links::{self, RedeemIn};
use crate::passwords::{self, ChangeIn};
use crate::sessions::lists;
use crate::sessions::{self, SessionOpened, SessionOut};
use crate::store::page::Page;
use crate::verify::Presented;
use crate::wire::Nothing;

const TAG: &str = "auth";

pub(crate) const LOG_IN: Operation = Operation::act(
    "log_in",
    TAG,
    "Open a session with user name and password, or with access key and secret",
    (shape::<LoginIn>(), r#"{"username": "grace", "password": "nine warm stones by the door"}"#),
    shape::<SessionOpened>(),
);
pub(crate) const GIVE_FACTOR: Operation = Operation::act(
    "log_in_with_factor",
    TAG,
    "Go on with a login that answered second_factor_required: challenge and a code or passkey open the session",
    (shape::<LoginFactorIn>(), r#"{"challenge": "kwf_the-challenge", "code": "123456"}"#),
    shape::<SessionOpened>(),
);
pub(crate) const LOGIN_OPTIONS: Operation = Operation::act(
    "begin_passkey_login",
    TAG,
    "Ask for a challenge to log in with a passkey alone: the same for everybody",
    (shape::<Nothing>(), "{}"),
    shape::<OptionsOut>(),
);
pub(crate) const LOG_IN_WITH_PASSKEY: Operation = Operation::act(
    "log_in_with_passkey",
    TAG,
    "Open a session with a passkey alone",
    (
        shape::<PasskeyLoginIn>(),
        r#"{"passkey": {"id": "AA", "rawId": "AA", "type": "public-key", "clientExtensionResults": {},
            "response": {"clientDataJSON": "AA", "authenticatorData": "AA", "signature": "AA", "userHandle": "AA"}}}"#,
    ),
    shape::<SessionOpened>(),
);
pub(crate) const STEP_UP_OPTIONS: Operation = Operation::act(
    "begin_passkey_step_up",
    TAG,
    "Ask for a challenge to prove one of one's own passkeys again",
    (shape::<Nothing>(), "{}"),
    shape::<OptionsOut>(),
);
pub(crate) const LOG_OUT: Operation = Operation {
    body: Some((shape::<Nothing>(), "{}")),
    ..Operation::plain("log_out", TAG, "End the session that asks")
};
pub(crate) const SHOW: Operation =
    Operation::show("show_session", TAG, "Show the session that asks", shape::<SessionOut>());
pub(crate) const LIST: Operation =
    Operation::list("list_own_sessions", TAG, "List one's own sessions", &[], shape::<SessionOut>());
pub(crate) const END: Operation = Operation::plain("end_own_session", TAG, "End one of one's own sessions");
pub(crate) const STEP_UP: Operation = Operation::act(
    "step_up",
    TAG,
    "Prove password, secret or second factor again, before what is dangerous; the session gets another token",
    (shape::<StepUpIn>(), r#"{"password": "nine warm stones by the door"}"#),
    shape::<SessionOpened>(),
);
pub(crate) const CHANGE_PASSWORD: Operation = Operation::act(
    "change_password",
    TAG,
    "Change one's own password; every other session ends, this one gets another token",
    (
        shape::<ChangeIn>(),
        r#"{"old_password": "nine warm stones by the door", "new_password": "eleven cold spoons in a drawer"}"#,
    ),
    shape::<SessionOpened>(),
);
pub(crate) const REDEEM: Operation = Operation {
    body: Some((
        shape::<RedeemIn>(),
        r#"{"token": "kwl_the-token-of-the-link", "password": "nine warm stones by the door"}"#,
    )),
    ..Operation::plain(
        "redeem_password_link",
        TAG,
        "Set a password with the token of a link; every session ends",
    )
};

/// A page of sessions.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ListQuery {
    limit: Option<i64>,
    cursor: Option<String>,
}

impl ListQuery {
    /// `scope` tells whose sessions they are.
    pub(super) fn page(&self, scope: &str) -> Result<Page> {
        Page::read(self.limit, self.cursor.as_deref(), &format!("sessions of {scope}"))
    }
}

pub(crate) async fn log_in(
    State(app): State<Arc<App>>,
    Extension(call): Extension<Call>,
    headers: HeaderMap,
    Json(input): Json<LoginIn>,
) -> Answered {
    must_be_same_origin(&app, &headers, input.cookie)?;
    let opened = logins::log_in(&app, call.clone(), &input).await?;
    replace(&app, &headers, &call, opened).await
}

pub(crate) async fn give_factor(
    State(app): State<Arc<App>>,
    Extension(call): Extension<Call>,
    headers: HeaderMap,
    Json(input): Json<LoginFactorIn>,
) -> Answered {
    must_be_same_origin(&app, &headers, input.cookie)?;
    let opened = logins::give_factor(&app, call.clone(), &input).await?;
    replace(&app, &headers, &call, opened).await
}

pub(crate) async fn login_options(State(app): State<Arc<App>>, Json(_): Json<Nothing>) -> Answered {
    Answer::ok(&passkey::options(&app)?)
}

pub(crate) async fn log_in_with_passkey(
    State(app): State<Arc<App>>,
    Extension(call): Extension<Call>,
    headers: HeaderMap,
    Json(input): Json<PasskeyLoginIn>,
) -> Answered {
    must_be_same_origin(&app, &headers, input.cookie)?;
    let opened = passkey::log_in(&app, call.clone(), &input).await?;
    replace(&app, &headers, &call, opened).await
}

pub(crate) async fn step_up_options(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
    Json(_): Json<Nothing>,
) -> Answered {
    Answer::ok(&passkey::step_up_options(&app, &actor).await?)
}

/// A page of another site logs nobody in.
fn must_be_same_origin(app: &App, headers: &HeaderMap, in_cookie: bool) -> Result<()> {
    let server = &app.settings.server;
    if !in_cookie {
        return Ok(());
    }
    cookie::must_be_same_origin(&Method::POST, headers, server)?;
    cookie::token(headers, server).map(drop)
}

/// The new session takes the place of the one whose cookie came along.
async fn replace(app: &App, headers: &HeaderMap, call: &Call, opened: SessionOpened) -> Answered {
    if opened.session.in_cookie {
        end_before(app, headers, call).await?;
    }
    answer(app, opened)
}

/// Ends the session whose cookie came along with a login.
pub(crate) async fn end_before(app: &App, headers: &HeaderMap, call: &Call) -> Result<()> {
    match cookie::token(headers, &app.settings.server)?.map(Presented::Cookie) {
        Some(before) => {
            sessions::end_by_token(app, before, ("login", "another login took its place"), call).await
        }
        None => Ok(()),
    }
}

fn answer(app: &App, mut opened: SessionOpened) -> Answered {
    let token = take_cookie(app, &mut opened);
    Ok(token.into_iter().fold(Answer::ok(&opened)?, Answer::cookie))
}

/// The token of a session that lives in a cookie goes there and nowhere else.
pub(crate) fn take_cookie(app: &App, opened: &mut SessionOpened) -> Option<String> {
    let token = opened.token.take_if(|_| opened.session.in_cookie)?;
    opened.secret_state = "in_cookie";
    Some(cookie::set(&app.settings.server, &token))
}

pub(crate) async fn log_out(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
    Json(_): Json<Nothing>,
) -> Answered {
    sessions::log_out(&app, &actor).await?;
    let ended = Answer::nothing()?;
    let in_cookie = actor.session.is_some_and(|session| session.in_cookie);
    Ok(if in_cookie { ended.cookie(cookie::clear(&app.settings.server)) } else { ended })
}

pub(crate) async fn show(State(app): State<Arc<App>>, Caller(actor): Caller) -> Answered {
    Answer::ok(&lists::show(&app, &actor).await?)
}

pub(crate) async fn list(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
    Query(query): Query<ListQuery>,
) -> Answered {
    let page = query.page(&actor.principal.id)?;
    Answer::ok(&lists::list_own(&app, &actor, &page).await?)
}

pub(crate) async fn end(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
    Path(id): Path<String>,
) -> Answered {
    sessions::end_own(&app, &actor, &id).await?;
    Answer::nothing()
}

pub(crate) async fn step_up(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
    Json(input): Json<StepUpIn>,
) -> Answered {
    answer(&app, logins::step_up(&app, &actor, &input).await?)
}

pub(crate) async fn change_password(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
    Json(input): Json<ChangeIn>,
) -> Answered {
    answer(&app, passwords::change(&app, &actor, &input).await?)
}

pub(crate) async fn redeem(
    State(app): State<Arc<App>>,
    Extension(call): Extension<Call>,
    Json(input): Json<RedeemIn>,
) -> Answered {
    links::redeem(&app, call, &input).await?;
    Answer::nothing()
}
