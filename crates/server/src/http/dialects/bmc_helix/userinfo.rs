//! Who am I?

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use http::HeaderMap;
use serde::Serialize;

use super::door::{self, Need};
use super::names::Names;
use crate::app::{Actor, App, Call};
use crate::error::{Error, Result};
use crate::http::answer::Answer;
use crate::http::problem::Problem;
use crate::keys::view::texts;
use crate::store::{Conn, keys, users};

const SHOW: Need = ("who_am_i", &[]);

#[derive(Serialize)]
struct UserInfo {
    user_id: String,
    full_name: String,
    principal_id: String,
    /// Whoever is not active is refused.
    user_status: &'static str,
    #[serde(rename = "type")]
    kind: &'static str,
    auth_type: &'static str,
    tenant_id: String,
    roles: Vec<String>,
    groups: Vec<String>,
    permissions: Vec<String>,
}

pub(super) async fn show(
    State(app): State<Arc<App>>,
    Extension(call): Extension<Call>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let actor = door::enter(&app, &headers, &call, SHOW).await?;
    let mut conn = app.read().await?;
    let person = Person::of(&mut conn, &actor).await?;
    let roles = Names::of_roles(&mut conn, &actor.tenant_id).await?;
    let groups = Names::of_groups(&mut conn, &actor.tenant_id).await?;
    let info = UserInfo {
        user_id: actor.principal.id,
        full_name: person.full_name,
        principal_id: person.principal_id,
        user_status: "ACTIVE",
        kind: person.kind,
        auth_type: if actor.access_key.is_some() { "ACCESS_KEY" } else { "LOCAL" },
        tenant_id: actor.tenant_id,
        roles: roles.tell(ids(&person.role_ids)),
        groups: groups.tell(ids(&person.group_ids)),
        permissions: texts(&actor.rights),
    };
    Ok(Answer::ok(&info)?.into_response())
}

/// The ids in a column of them.
fn ids(column: &Option<String>) -> impl Iterator<Item = &str> {
    column.as_deref().unwrap_or_default().split(',').filter(|id| !id.is_empty())
}

/// The user, or the key of the workspace.
struct Person {
    full_name: String,
    principal_id: String,
    kind: &'static str,
    role_ids: Option<String>,
    group_ids: Option<String>,
}

impl Person {
    async fn of(conn: &mut Conn, actor: &Actor) -> Result<Self> {
        if let Some(id) = actor.user_id() {
            let user = users::find(conn, &actor.tenant_id, id).await?.ok_or(Error::NotFound)?;
            return Ok(Self {
                full_name: user.display_name.unwrap_or_else(|| user.username.clone()),
                principal_id: user.username,
                kind: "USER",
                role_ids: user.role_ids,
                group_ids: user.group_ids,
            });
        }
        let key = keys::find(conn, &actor.tenant_id, &actor.principal.id).await?.ok_or(Error::NotFound)?;
        Ok(Self {
            full_name: key.label,
            principal_id: format!("kwa_{}", key.access_key),
            kind: "TENANT",
            role_ids: key.role_ids,
            group_ids: key.group_ids,
        })
    }
}
