//! Users: who one is, for how long access keys of one work (SQ4), and how long a login lasts.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Path, State};
use http::Method;
use http::header::HeaderMap;
use keyward_core::right::RightSet;
use serde::{Deserialize, Serialize};

use super::gate::Need;
use super::media::KINDS;
use super::{DIRECTORY, DIRECTORY_CLASS, Told, gate, tell};
use crate::app::{Actor, App, Call};
use crate::error::{Error, Result};
use crate::http::dialects::body::Whole;
use crate::store;
use crate::users::{self, UserOut, UserPatch};
use crate::verify::facts::administers;

const UPDATE: Need = Need { operation: "edit_user", rights: &["users:write"] };

/// As the product writes "the system's".
const OF_THE_SYSTEM: i64 = -1;

/// A user.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Person {
    id: String,
    #[serde(rename = "type")]
    kind: &'static str,
    username: String,
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    email: Option<String>,
    /// By the rights of whoever asks: a key with few scopes is no administrator.
    is_admin: bool,
    is_enabled: bool,
    datasource_class: &'static str,
    datasource_id: &'static str,
    /// Minutes; -1 is the system's, 0 makes keys unusable. Told to those who may read users.
    #[serde(rename = "AccessKeyValidityDuration", skip_serializing_if = "Option::is_none")]
    validity: Option<i64>,
    /// Minutes until a session ends; -1 is the system's. Told to the same.
    #[serde(rename = "SessionDuration", skip_serializing_if = "Option::is_none")]
    session: Option<i64>,
}

impl Person {
    fn new(id: String, username: String, is_admin: bool) -> Self {
        Self {
            id,
            kind: "User",
            name: username.clone(),
            username,
            email: None,
            is_admin,
            is_enabled: true,
            datasource_class: DIRECTORY_CLASS,
            datasource_id: DIRECTORY,
            validity: None,
            session: None,
        }
    }

    fn of(user: UserOut) -> Self {
        let rights: RightSet = user.rights.iter().filter_map(|right| right.parse().ok()).collect();
        let known = Self::new(user.id, user.username, administers(&rights));
        Self {
            name: user.display_name.unwrap_or_else(|| known.username.clone()),
            email: user.email,
            is_enabled: user.state == "active",
            validity: Some(user.owner_login_window_minutes.unwrap_or(OF_THE_SYSTEM)),
            session: Some(user.session_minutes.unwrap_or(OF_THE_SYSTEM)),
            ..known
        }
    }
}

/// Who the caller is. Its name is known to whoever has its key; what else is written about it takes the
/// right to read that.
pub(super) async fn own(app: &App, actor: &Actor) -> Result<Person> {
    let (principal, is_admin) = (&actor.principal, administers(&actor.rights));
    let Some(id) = actor.user_id() else {
        return Ok(Person::new(principal.id.clone(), principal.label.clone(), is_admin));
    };
    let mut conn = app.read().await?;
    let row = store::users::find(&mut conn, &actor.tenant_id, id).await?.ok_or(Error::NotFound)?;
    let known = Person::new(row.id, row.username, is_admin);
    let name = row.display_name.unwrap_or_else(|| known.username.clone());
    if !actor.may("me:read") && !actor.may("users:read") {
        return Ok(Person { name, ..known });
    }
    let validity = Some(row.login_window_minutes.unwrap_or(OF_THE_SYSTEM));
    let session = Some(row.session_minutes.unwrap_or(OF_THE_SYSTEM));
    Ok(Person { name, email: row.email, validity, session, ..known })
}

/// `GET api/users/me`.
pub(super) async fn me(
    State(app): State<Arc<App>>,
    Extension(call): Extension<Call>,
    method: Method,
    headers: HeaderMap,
) -> Told {
    let actor = gate::enter(&app, (&method, &headers), call).await?;
    tell(&own(&app, &actor).await?)
}

/// `POST api/users/{id}/update`.
#[derive(Deserialize)]
struct UpdateIn {
    #[serde(rename = "AccessKeyValidityDuration")]
    validity: Option<i64>,
    #[serde(rename = "SessionDuration")]
    session: Option<i64>,
}

impl UpdateIn {
    /// The two properties that there are.
    fn patch(&self) -> Result<UserPatch> {
        if self.validity.is_none() && self.session.is_none() {
            let detail = "give it in minutes, -1 for the system's, or 0 to make access keys unusable; \
                          or give SessionDuration in minutes, -1 for the system's";
            return Err(Error::invalid("/AccessKeyValidityDuration", "required", detail));
        }
        Ok(UserPatch {
            owner_login_window_minutes: self.validity.map(Some),
            session_minutes: self.session.map(Some),
            ..UserPatch::default()
        })
    }
}

pub(super) async fn update(
    State(app): State<Arc<App>>,
    Extension(call): Extension<Call>,
    method: Method,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Whole,
) -> Told {
    let actor = gate::enter_with(&app, (&method, &headers), call, &UPDATE).await?;
    let patch = body.json::<UpdateIn>(&headers, &KINDS)?.patch()?;
    let edited = users::edit(&app, &actor, &id, patch).await;
    tell(&Person::of(gate::noted(&app, &actor, UPDATE.operation, edited)?))
}
