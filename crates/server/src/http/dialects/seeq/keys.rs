//! Access keys: the member keys of users, in a shape of our own (SQ2, SQ6).

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Path, RawQuery, State};
use http::Method;
use http::header::HeaderMap;
use keyward_core::key::{KeyClass, Status};
use keyward_core::secret::Secret;
use serde::{Deserialize, Serialize};

use super::gate::Need;
use super::media::KINDS;
use super::{StatusMessage, Told, gate, tell};
use crate::app::{Actor, App, Call};
use crate::error::{Error, Result};
use crate::http::dialects::body::{self, Whole};
use crate::http::problems;
use crate::keys::wire::{KeyIn, KeyOut};
use crate::keys::{self, create as making, lifecycle};
use crate::store::keys::{KeyFilter, KeySort};
use crate::store::page::Page;

const LIST: Need = Need { operation: "list_keys", rights: &["keys:read", "me/keys:read"] };
const CREATE: Need = Need { operation: "create_key", rights: &["keys:create", "me/keys:create"] };
const DELETE: Need = Need { operation: "delete_key", rights: &["keys:revoke", "me/keys:revoke"] };

/// An access key, without its password.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AccessKeyOut<'a> {
    id: &'a str,
    access_key: &'a str,
    label: &'a str,
    user: Owner<'a>,
    created_at: &'a str,
    last_used_at: Option<&'a str>,
    /// Keys of the product have no end of their own.
    expires_at: Option<&'a str>,
    /// `active`, or why not.
    status: &'static str,
    is_admin: bool,
}

/// Whose it is.
#[derive(Serialize)]
struct Owner<'a> {
    id: Option<&'a str>,
    username: Option<&'a str>,
}

impl<'a> AccessKeyOut<'a> {
    fn of(key: &'a KeyOut) -> Self {
        Self {
            id: &key.id,
            access_key: &key.access_key,
            label: &key.label,
            user: Owner { id: key.owner_id.as_deref(), username: key.owner_username.as_deref() },
            created_at: &key.created_at,
            last_used_at: key.last_used_at.as_deref(),
            expires_at: key.expires_at.as_deref(),
            status: key.status.as_str(),
            is_admin: key.has_admin_rights,
        }
    }
}

/// An access key with its password: the only answer that holds one.
#[derive(Serialize)]
struct AccessKeyCreated<'a> {
    #[serde(flatten)]
    key: AccessKeyOut<'a>,
    password: Option<&'a str>,
}

/// A page of them.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AccessKeysOut<'a> {
    access_keys: Vec<AccessKeyOut<'a>>,
    next_cursor: Option<&'a str>,
}

/// `?all=true` is everybody's.
#[derive(Default, Deserialize)]
#[serde(default)]
struct ListQuery {
    all: bool,
    limit: Option<i64>,
    cursor: Option<String>,
}

impl ListQuery {
    /// Whose keys; nothing is everybody's.
    fn owner(&self, actor: &Actor) -> Result<Option<String>> {
        if !self.all {
            let no_user = || Error::forbidden("no_user", problems::detail("no_user"));
            return actor.user_id().map(|id| Some(id.to_owned())).ok_or_else(no_user);
        }
        if actor.may("keys:read") {
            return Ok(None);
        }
        Err(Error::forbidden("insufficient_rights", "the keys of all users need the right keys:read"))
    }
}

/// `GET api/access-keys`.
pub(super) async fn list(
    State(app): State<Arc<App>>,
    Extension(call): Extension<Call>,
    method: Method,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Told {
    let actor = gate::enter_with(&app, (&method, &headers), call, &LIST).await?;
    let query: ListQuery = body::query(query.as_deref().unwrap_or_default())?;
    let owner_id = gate::noted(&app, &actor, LIST.operation, query.owner(&actor))?;
    let page = Page::read(query.limit, query.cursor.as_deref(), &format!("access keys of {owner_id:?}"))?;
    let filter = KeyFilter { classes: Some(",member,".into()), owner_id, ..KeyFilter::default() };
    // What was deleted is gone.
    let living: Vec<Status> = Status::ALL.into_iter().filter(|status| *status != Status::Revoked).collect();
    let listed = keys::list(&app, &actor, filter, &living, KeySort::CreatedAt(true), &page).await?;
    tell(&AccessKeysOut {
        access_keys: listed.data.iter().map(AccessKeyOut::of).collect(),
        next_cursor: listed.next_cursor.as_deref(),
    })
}

/// `POST api/access-keys`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct CreateIn {
    /// What it is for.
    label: String,
    /// Whose it shall be; the caller's unless given.
    user_id: Option<String>,
}

impl CreateIn {
    /// A member key that lives as long as policy says, and may what its owner may.
    fn key(self) -> KeyIn {
        KeyIn { owner_id: self.user_id, ..KeyIn::new(KeyClass::Member, self.label) }
    }
}

pub(super) async fn create(
    State(app): State<Arc<App>>,
    Extension(call): Extension<Call>,
    method: Method,
    headers: HeaderMap,
    body: Whole,
) -> Told {
    let actor = gate::enter_with(&app, (&method, &headers), call, &CREATE).await?;
    let input: CreateIn = body.json(&headers, &KINDS)?;
    let made = making::create(&app, &actor, input.key()).await;
    let created = gate::noted(&app, &actor, CREATE.operation, made)?;
    tell(&AccessKeyCreated {
        key: AccessKeyOut::of(&created.key),
        password: created.secret.as_ref().map(Secret::expose),
    })
}

/// `DELETE api/access-keys/{id}`: for good. Keys of other classes, and what was deleted, are not there.
pub(super) async fn delete(
    State(app): State<Arc<App>>,
    Extension(call): Extension<Call>,
    method: Method,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Told {
    let actor = gate::enter_with(&app, (&method, &headers), call, &DELETE).await?;
    let key = keys::show(&app, &actor, &id).await?;
    if key.class != KeyClass::Member || key.status == Status::Revoked {
        return Err(Error::NotFound.into());
    }
    let ended = lifecycle::revoke(&app, &actor, &key.id, None).await;
    gate::noted(&app, &actor, DELETE.operation, ended)?;
    tell(&StatusMessage::new("the access key was deleted"))
}
