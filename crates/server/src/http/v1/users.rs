//! `/v1/users`.

use std::sync::Arc;

use axum::extract::{Path, State};
use serde::{Deserialize, Serialize};

use super::auth::ListQuery as SessionsQuery;
use crate::app::App;
use crate::error::{Error, Result};
use crate::http::answer::{Answer, Answered};
use crate::http::guard::Caller;
use crate::http::json::{Json, Query};
use crate::http::openapi::{Operation, shape};
use crate::keys::wire::BulkOut;
use crate::names::{Username, like_pattern};
use crate::passwords;
use crate::passwords::links::{self, LinkOut};
use crate::sessions::{self, SessionOut, lists};
use crate::store::page::Page;
use crate::store::users::UserFilter;
use crate::users::erasure::{self, EraseIn};
use crate::users::{self, LoginIn, RevokeKeysIn, UserIn, UserOut, UserPatch};
use crate::wire::{Nothing, ReasonIn};

const TAG: &str = "users";

pub(crate) const LIST: Operation = Operation::list(
    "list_users",
    TAG,
    "List users",
    &["state", "q", "username", "group_id", "role_id"],
    shape::<UserOut>(),
);
pub(crate) const CREATE: Operation = Operation::create(
    "create_user",
    TAG,
    "Make a user",
    (shape::<UserIn>(), r#"{"username": "grace", "email": "grace@example.org"}"#),
    shape::<UserOut>(),
);
pub(crate) const SHOW: Operation = Operation::show("show_user", TAG, "Show a user", shape::<UserOut>());
pub(crate) const EDIT: Operation = Operation::act(
    "edit_user",
    TAG,
    "Edit a user",
    (shape::<UserPatch>(), r#"{"display_name": "Grace Hopper", "owner_login_window_minutes": 10080}"#),
    shape::<UserOut>(),
);
pub(crate) const DELETE: Operation =
    Operation::plain("delete_user", TAG, "Delete a user and end the user's keys");
pub(crate) const SUSPEND: Operation = Operation::act(
    "suspend_user",
    TAG,
    "Bar a user; the user's keys stop at once",
    (shape::<ReasonIn>(), r#"{"reason": "on leave"}"#),
    shape::<UserOut>(),
);
pub(crate) const RESUME: Operation = Operation::act(
    "resume_user",
    TAG,
    "Let a user act again",
    (shape::<Nothing>(), "{}"),
    shape::<UserOut>(),
);
pub(crate) const ERASE: Operation = Operation {
    body: Some((shape::<EraseIn>(), r#"{"confirm": true}"#)),
    ..Operation::plain(
        "erase_user",
        TAG,
        "Erase who a deleted user was, also from the audit log, whose chain stays whole",
    )
};
pub(crate) const RECORD_LOGIN: Operation = Operation::act(
    "record_login",
    TAG,
    "Note an interactive login that happened elsewhere",
    (shape::<LoginIn>(), "{}"),
    shape::<UserOut>(),
);
pub(crate) const REVOKE_KEYS: Operation = Operation::act(
    "revoke_keys_of_user",
    TAG,
    "Revoke every key of a user",
    (shape::<RevokeKeysIn>(), r#"{"preview": true}"#),
    shape::<BulkOut>(),
);

pub(crate) const SESSIONS: Operation =
    Operation::list("list_sessions_of_user", TAG, "List the sessions of a user", &[], shape::<SessionOut>());
pub(crate) const END_SESSIONS: Operation =
    Operation::plain("end_sessions_of_user", TAG, "End every session of a user");
pub(crate) const RESET_PASSWORD: Operation = Operation::act(
    "reset_password",
    TAG,
    "Make a link by which the user sets a password, once and within an hour",
    (shape::<Nothing>(), "{}"),
    shape::<LinkOut>(),
);
pub(crate) const UNLOCK: Operation = Operation::act(
    "unlock_user",
    TAG,
    "Forget the failed logins of a user",
    (shape::<Nothing>(), "{}"),
    shape::<UserOut>(),
);

/// Filters of the list; the console uses the same words.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ListQuery {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) state: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) q: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) username: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) group_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) role_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) limit: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cursor: Option<String>,
}

impl ListQuery {
    pub(crate) fn filter(&self) -> Result<UserFilter> {
        if let Some(state) = self.state.as_deref().filter(|state| !matches!(*state, "active" | "suspended")) {
            return Err(Error::malformed(
                "state",
                "bad_value",
                format!("{state} is neither active nor suspended"),
            ));
        }
        // A name that cannot be one matches nobody.
        let key = |name: &String| Username::parse_any(name).map_or_else(|_| String::new(), |name| name.key);
        Ok(UserFilter {
            state: self.state.clone(),
            q: self.q.as_deref().map(like_pattern),
            username_key: self.username.as_ref().map(key),
            group_id: self.group_id.clone(),
            role_id: self.role_id.clone(),
        })
    }

    pub(crate) fn page(&self) -> Result<Page> {
        let scope = format!("{:?}", (&self.state, &self.q, &self.username, &self.group_id, &self.role_id));
        Page::read(self.limit, self.cursor.as_deref(), &scope)
    }
}

pub(crate) async fn list(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
    Query(query): Query<ListQuery>,
) -> Answered {
    Answer::ok(&users::list(&app, &actor, &query.filter()?, &query.page()?).await?)
}

pub(crate) async fn create(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
    Json(input): Json<UserIn>,
) -> Answered {
    let user = users::create(&app, &actor, input).await?;
    Answer::created(&user, format!("/v1/users/{}", user.id))
}

pub(crate) async fn show(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
    Path(id): Path<String>,
) -> Answered {
    answer(&users::show(&app, &actor, &id).await?)
}

pub(crate) async fn edit(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
    Path(id): Path<String>,
    Json(patch): Json<UserPatch>,
) -> Answered {
    answer(&users::edit(&app, &actor, &id, patch).await?)
}

pub(crate) async fn delete(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
    Path(id): Path<String>,
) -> Answered {
    users::delete(&app, &actor, &id).await?;
    Answer::nothing()
}

pub(crate) async fn suspend(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
    Path(id): Path<String>,
    Json(input): Json<ReasonIn>,
) -> Answered {
    answer(&users::suspend(&app, &actor, &id, input.checked()?).await?)
}

pub(crate) async fn erase(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
    Path(id): Path<String>,
    Json(input): Json<EraseIn>,
) -> Answered {
    erasure::erase(&app, &actor, &id, &input).await?;
    Answer::nothing()
}

pub(crate) async fn resume(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
    Path(id): Path<String>,
    Json(_): Json<Nothing>,
) -> Answered {
    answer(&users::resume(&app, &actor, &id).await?)
}

pub(crate) async fn record_login(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
    Path(id): Path<String>,
    Json(input): Json<LoginIn>,
) -> Answered {
    answer(&users::record_login(&app, &actor, &id, &input).await?)
}

pub(crate) async fn revoke_keys(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
    Path(id): Path<String>,
    Json(input): Json<RevokeKeysIn>,
) -> Answered {
    Answer::ok(&users::revoke_keys(&app, &actor, &id, &input).await?)
}

pub(crate) async fn sessions(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
    Path(id): Path<String>,
    Query(query): Query<SessionsQuery>,
) -> Answered {
    Answer::ok(&lists::list_of(&app, &actor, &id, &query.page(&id)?).await?)
}

pub(crate) async fn end_sessions(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
    Path(id): Path<String>,
) -> Answered {
    sessions::end_of(&app, &actor, &id).await?;
    Answer::nothing()
}

pub(crate) async fn reset_password(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
    Path(id): Path<String>,
    Json(_): Json<Nothing>,
) -> Answered {
    Answer::ok(&links::start_reset(&app, &actor, &id).await?)
}

pub(crate) async fn unlock(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
    Path(id): Path<String>,
    Json(_): Json<Nothing>,
) -> Answered {
    answer(&passwords::unlock(&app, &actor, &id).await?)
}

fn answer(user: &UserOut) -> Answered {
    Ok(Answer::ok(user)?.version(user.version))
}
