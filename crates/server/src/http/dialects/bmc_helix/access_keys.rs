//! Making, showing, editing and ending access keys.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Path, State};
use axum::response::{IntoResponse as _, Response};
use http::HeaderMap;
use keyward_core::key::{KeyClass, Status};
use keyward_core::token::AccessKey;

use super::door::{self, Need};
use super::names::{self, Names};
use super::record::{self, Created, Grants, Record};
use super::wire::{AccessKeyIn, AccessKeyPatch, RotationIn, Switch};
use super::{JSON, expiry};
use crate::app::{Actor, App, Call};
use crate::error::{Error, Result};
use crate::http::answer::Answer;
use crate::http::dialects::body::Whole;
use crate::http::dialects::noted;
use crate::http::problem::Problem;
use crate::keys::wire::{KeyOut, KeyPatch};
use crate::keys::{self, create as creating, edit as editing, lifecycle};
use crate::store::roles;

const CREATE: Need = ("create_key", &["keys:create", "me/keys:create"]);
const SHOW: Need = ("show_key", &["keys:read", "me/keys:read"]);
const EDIT: Need = ("edit_key", &["keys:edit", "me/keys:edit"]);
const ROTATE: Need = ("new_secret", &["keys:rotate", "me/keys:rotate"]);
const REVOKE: Need = ("delete_key", &["keys:revoke", "me/keys:revoke"]);

/// The role of a tenant key that was given none. In the product such a key may do nothing yet; Keyward would
/// make it an administrator's.
const LEAST_ROLE: &str = "member";

pub(super) async fn create(
    State(app): State<Arc<App>>,
    Extension(call): Extension<Call>,
    headers: HeaderMap,
    body: Whole,
) -> Result<Response, Problem> {
    let actor = door::enter(&app, &headers, &call, CREATE).await?;
    let input: AccessKeyIn = body.json(&headers, JSON)?;
    let class = input.class()?;
    let mut key = input.key(class, None)?;
    key.role_ids = names::role_ids(&app, &actor, input.roles).await?;
    key.group_ids = names::group_ids(&app, &actor, input.groups).await?;
    if class == KeyClass::Workspace && key.role_ids.is_empty() && key.group_ids.is_empty() {
        let least = roles::find_built_in(&mut app.read().await?, &actor.tenant_id, LEAST_ROLE).await?;
        key.role_ids.push(least.ok_or_else(|| Error::internal("the built-in role is missing"))?.id);
    }
    let created = creating::create(&app, &actor, key).await;
    Ok(Answer::ok(&Created::of(noted(&app, &actor, CREATE.0, created)?))?.into_response())
}

pub(super) async fn create_for_user(
    State(app): State<Arc<App>>,
    Extension(call): Extension<Call>,
    headers: HeaderMap,
    Path(user_id): Path<String>,
    body: Whole,
) -> Result<Response, Problem> {
    let actor = door::enter(&app, &headers, &call, CREATE).await?;
    let input: AccessKeyIn = body.json(&headers, JSON)?;
    if !(input.roles.is_empty() && input.groups.is_empty()) {
        let detail = "the key of a user acts with the roles and groups of the user";
        return Err(Error::invalid("roles", "not_allowed", detail).into());
    }
    let key = input.key(KeyClass::Member, Some(user_id))?;
    let created = creating::create(&app, &actor, key).await;
    Ok(Answer::ok(&Created::of(noted(&app, &actor, CREATE.0, created)?))?.into_response())
}

pub(super) async fn show(
    State(app): State<Arc<App>>,
    Extension(call): Extension<Call>,
    headers: HeaderMap,
    Path(access_key): Path<String>,
) -> Result<Response, Problem> {
    let actor = door::enter(&app, &headers, &call, SHOW).await?;
    let key = find(&app, &actor, id(&access_key)?).await?;
    answer(&app, &actor, &key).await
}

pub(super) async fn edit(
    State(app): State<Arc<App>>,
    Extension(call): Extension<Call>,
    headers: HeaderMap,
    Path(access_key): Path<String>,
    body: Whole,
) -> Result<Response, Problem> {
    let actor = door::enter(&app, &headers, &call, EDIT).await?;
    let patch: AccessKeyPatch = body.json(&headers, JSON)?;
    let key = apply(&app, &actor, id(&access_key)?, patch).await;
    let key = noted(&app, &actor, EDIT.0, key.map_err(gone))?;
    answer(&app, &actor, &key).await
}

/// Fields first, then the switch: it asks for the same rights, so what refuses the one refuses both and nothing
/// has changed.
async fn apply(app: &App, actor: &Actor, id: &str, patch: AccessKeyPatch) -> Result<KeyOut> {
    let before = find(app, actor, id).await?;
    let end = expiry::read(patch.expiry_enum.as_deref(), patch.expiry_time.as_deref())?;
    let moves_end = end.is_some();
    let end = end.unwrap_or_default();
    let role_ids = match patch.roles {
        Some(words) => Some(names::role_ids(app, actor, words).await?),
        None => None,
    };
    let group_ids = match patch.groups {
        Some(words) => Some(names::group_ids(app, actor, words).await?),
        None => None,
    };
    let fields = KeyPatch {
        label: relabelled(&before, patch.name.as_deref(), patch.description.as_deref()),
        role_ids,
        group_ids,
        expires_at: end.expires_at,
        ttl_seconds: end.ttl_seconds,
        expires: end.expires,
        rotation: patch.rotation.as_ref().and_then(RotationIn::wish),
        ..KeyPatch::default()
    };
    let edits = moves_end
        || fields.label.is_some()
        || fields.role_ids.is_some()
        || fields.group_ids.is_some()
        || fields.rotation.is_some();
    let mut key = before;
    if edits {
        // Name and description are one text: nobody else may have changed it since it was read.
        let seen = Actor { if_match: Some(key.version), ..actor.clone() };
        key = editing::edit(app, &seen, id, fields).await?;
    }
    let switched = match patch.status {
        Some(Switch::Active) => lifecycle::activate(app, actor, id).await,
        Some(Switch::Inactive) => lifecycle::deactivate(app, actor, id, None).await,
        None => return Ok(key),
    };
    match switched {
        // Clients send the status along with whatever they change.
        Err(Error::Conflict { code: "no_change", .. }) => Ok(key),
        switched => switched,
    }
}

/// The new label, if name or description are new.
fn relabelled(before: &KeyOut, name: Option<&str>, description: Option<&str>) -> Option<String> {
    let (old_name, old_description) = record::parts(&before.label);
    let label = record::label(name.unwrap_or(old_name), description.or(old_description));
    (label != before.label).then_some(label)
}

pub(super) async fn delete(
    State(app): State<Arc<App>>,
    Extension(call): Extension<Call>,
    headers: HeaderMap,
    Path(access_key): Path<String>,
) -> Result<Response, Problem> {
    let actor = door::enter(&app, &headers, &call, REVOKE).await?;
    let revoked = lifecycle::revoke(&app, &actor, id(&access_key)?, None).await;
    noted(&app, &actor, REVOKE.0, revoked.map_err(gone))?;
    Ok(Answer::nothing()?.into_response())
}

/// The old secret stops at once (BM10).
pub(super) async fn new_secret(
    State(app): State<Arc<App>>,
    Extension(call): Extension<Call>,
    headers: HeaderMap,
    Path(access_key): Path<String>,
) -> Result<Response, Problem> {
    let actor = door::enter(&app, &headers, &call, ROTATE).await?;
    let renewed = lifecycle::new_secret(&app, &actor, id(&access_key)?).await;
    let renewed = noted(&app, &actor, ROTATE.0, renewed.map_err(gone))?;
    Ok(Answer::ok(&Created::of(renewed))?.into_response())
}

/// Paths name keys by their access key alone.
fn id(access_key: &str) -> Result<&str> {
    AccessKey::parse(access_key).map(|_| access_key).ok_or(Error::NotFound)
}

/// A key that was deleted is gone, though Keyward remembers it.
async fn find(app: &App, actor: &Actor, id: &str) -> Result<KeyOut> {
    let key = keys::show(app, actor, id).await?;
    if key.status == Status::Revoked { Err(Error::NotFound) } else { Ok(key) }
}

/// The same of what an operation says about it.
fn gone(error: Error) -> Error {
    match error {
        Error::Conflict { code: "already_revoked" | "key_revoked", .. } => Error::NotFound,
        error => error,
    }
}

/// One key, with what it may do and by which roles and groups.
async fn answer(app: &App, actor: &Actor, key: &KeyOut) -> Result<Response, Problem> {
    let mut conn = app.read().await?;
    let role_ids = key.role_ids.iter().map(String::as_str);
    let roles = match actor.may("roles:read") {
        true => Names::of_roles(&mut conn, &actor.tenant_id).await?.tell(role_ids),
        false => key.role_ids.clone(),
    };
    let group_ids = key.group_ids.iter().map(String::as_str);
    let groups = match actor.may("groups:read") {
        true => Names::of_groups(&mut conn, &actor.tenant_id).await?.tell(group_ids),
        false => key.group_ids.clone(),
    };
    let permissions = key.effective_rights.clone().unwrap_or_default();
    let record = Record::of(key).with(Grants { roles, groups, permissions });
    Ok(Answer::ok(&record)?.into_response())
}
