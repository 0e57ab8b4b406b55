//! The keys of a workspace: seen, made and revoked by workspace keys alone (MO1, MO6, MO7).

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Path, State};
use axum::response::IntoResponse as _;
use http::header::LOCATION;
use http::{HeaderMap, HeaderValue, StatusCode, Uri};
use keyward_core::key::KeyClass;
use keyward_core::secret::Secret;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::guest::Guest;
use super::hal::{self, HAL, Told, Window, link};
use super::members;
use crate::app::{App, Call};
use crate::error::{Error, Result};
use crate::http::dialects::body::{self, Whole};
use crate::http::v1::keys::ListQuery;
use crate::http::who;
use crate::keys::wire::{BulkFilter, BulkKey, BulkRevokeIn, KeyIn, KeyOut};
use crate::keys::{self, bulk, create as creating, lifecycle, wire};
use crate::store::page::MAX_LIMIT;

/// Types of a body with JSON.
const KINDS: &[&str] = &["application/json", "application/hal+json"];

/// A key as Mode would show it: who made it, when it was last used, when it ends (MO7).
#[derive(Serialize)]
struct Record {
    token: String,
    token_name: String,
    id: String,
    /// `workspace` or `member`; `ingest` for a key of collectors, which Mode has not.
    api_key_scope: &'static str,
    /// `active`, `revoked`, `expired`, or another of our words.
    state: &'static str,
    member_username: Option<String>,
    /// A user name, or the name of the key that made it.
    created_by: String,
    created_at: String,
    last_used_at: Option<String>,
    expires_at: Option<String>,
    revoked_at: Option<String>,
    #[serde(rename = "_links")]
    links: Value,
}

/// The only answer with a secret.
#[derive(Serialize)]
struct Created {
    #[serde(flatten)]
    record: Record,
    #[serde(serialize_with = "wire::expose")]
    secret: Option<Secret>,
}

/// What the list is narrowed by.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Narrowing {
    api_key_scope: Option<String>,
    state: Option<String>,
}

/// `{"api_key": {…}}`, as Mode wraps what is written.
#[derive(Deserialize)]
struct Wrapped<T> {
    api_key: T,
}

#[derive(Deserialize)]
struct NewKey {
    token_name: String,
    /// `workspace` unless given.
    api_key_scope: Option<String>,
    /// User name of who a member key is for.
    member: Option<String>,
    /// RFC 3339; as policy says unless given (MO5).
    expires_at: Option<String>,
}

/// Which keys to revoke, all unless narrowed: a slip in a name must not make all of some, so unknown ones are
/// refused here.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Revocation {
    api_key_scope: Option<String>,
    member: Option<String>,
    token_name: Option<String>,
    reason: Option<String>,
    #[serde(default)]
    preview: bool,
    confirm: Option<String>,
}

/// `GET /api/{workspace}/api_keys`
pub(super) async fn list(
    State(app): State<Arc<App>>,
    Extension(call): Extension<Call>,
    headers: HeaderMap,
    Path(workspace): Path<String>,
    uri: Uri,
) -> Told {
    let guest = Guest::enter_with_workspace_key(&app, (&headers, &call), &workspace, "list_keys").await?;
    guest.must_hold(&app, "list_keys", &["keys:read"])?;
    let mut window = Window::read(&uri)?;
    let asked: Narrowing = body::query(uri.query().unwrap_or_default())?;
    let query = ListQuery {
        class: asked.api_key_scope,
        status: asked.state,
        limit: Some(MAX_LIMIT),
        ..ListQuery::default()
    };
    let found = window.fill("/v1/keys", |cursor| {
        let (app, actor) = (&app, &guest.actor);
        let query = ListQuery { cursor, ..query.clone() };
        async move {
            let (filter, statuses, sort, page) =
                (query.filter()?, query.statuses()?, query.sort()?, query.page()?);
            keys::list(app, actor, filter, &statuses, sort, &page).await
        }
    });
    let found = found.await?;
    let mut records = Vec::with_capacity(found.len());
    for key in found {
        records.push(record(&app, &guest, key).await);
    }
    window.answer(uri.path(), "api_keys", &records)
}

/// `GET /api/{workspace}/api_keys/{token}`: a member key sees those of its user.
pub(super) async fn show(
    State(app): State<Arc<App>>,
    Extension(call): Extension<Call>,
    headers: HeaderMap,
    Path((workspace, token)): Path<(String, String)>,
) -> Told {
    let guest = Guest::enter_workspace(&app, &headers, &call, &workspace).await?;
    let key = keys::show(&app, &guest.actor, &token).await?;
    hal::ok(&record(&app, &guest, key).await)
}

/// `POST /api/{workspace}/api_keys`
pub(super) async fn create(
    State(app): State<Arc<App>>,
    Extension(call): Extension<Call>,
    headers: HeaderMap,
    Path(workspace): Path<String>,
    body: Whole,
) -> Told {
    let guest = Guest::enter_with_workspace_key(&app, (&headers, &call), &workspace, "create_key").await?;
    let wish: Wrapped<NewKey> = body.json(&headers, KINDS)?;
    let input = guest.noted(&app, "create_key", input(&app, &guest, wish.api_key).await)?;
    let made = creating::create(&app, &guest.actor, input).await;
    let made = guest.noted(&app, "create_key", made)?;
    let place = self_href(&guest.slug, &made.key.access_key);
    let created = Created { record: record(&app, &guest, made.key).await, secret: made.secret };
    let mut response = hal::answer(StatusCode::CREATED, HAL, &created)?;
    if let Ok(place) = HeaderValue::from_str(&place) {
        response.headers_mut().insert(LOCATION, place);
    }
    Ok(response)
}

/// `DELETE /api/{workspace}/api_keys/{token}`: for good; the record stays to be seen.
pub(super) async fn revoke(
    State(app): State<Arc<App>>,
    Extension(call): Extension<Call>,
    headers: HeaderMap,
    Path((workspace, token)): Path<(String, String)>,
) -> Told {
    let guest = Guest::enter_with_workspace_key(&app, (&headers, &call), &workspace, "delete_key").await?;
    let revoked = lifecycle::revoke(&app, &guest.actor, &token, None).await;
    guest.noted(&app, "delete_key", revoked)?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// `POST /api/{workspace}/api_keys/revoke_all`: all or several, behind a phrase that shows that their number was
/// read (MO6). The key that asks goes on.
pub(super) async fn revoke_all(
    State(app): State<Arc<App>>,
    Extension(call): Extension<Call>,
    headers: HeaderMap,
    Path(workspace): Path<String>,
    body: Whole,
) -> Told {
    let guest = Guest::enter_with_workspace_key(&app, (&headers, &call), &workspace, "revoke_keys").await?;
    let asked: Wrapped<Revocation> = body.json(&headers, KINDS)?;
    let Revocation { reason, preview, confirm, .. } = &asked.api_key;
    let input = BulkRevokeIn {
        filter: filter(&app, &guest, &asked.api_key).await?,
        reason: reason.clone(),
        preview: *preview,
        confirm: confirm.clone(),
    };
    let done = guest.noted(&app, "revoke_keys", bulk::revoke(&app, &guest.actor, input).await)?;
    let keys: Vec<Value> = done.keys.iter().map(|key| brief(&guest.slug, key)).collect();
    hal::ok(&json!({
        "matched": done.matched,
        "revoked": done.revoked,
        "confirm": done.confirm,
        "_links": { "self": link(&format!("/api/{}/api_keys/revoke_all", guest.slug)) },
        "_embedded": { "api_keys": keys },
    }))
}

/// The key that Mode's words ask for.
async fn input(app: &App, guest: &Guest, wish: NewKey) -> Result<KeyIn> {
    let class = match wish.api_key_scope.as_deref() {
        None | Some("workspace") => KeyClass::Workspace,
        Some("member") => KeyClass::Member,
        Some(_) => return Err(Error::invalid("/class", "bad_value", "expected workspace or member")),
    };
    let owner_id = match &wish.member {
        Some(name) => Some(members::find(app, &guest.actor, name).await?.id),
        None => None,
    };
    Ok(KeyIn { owner_id, expires_at: wish.expires_at, ..KeyIn::new(class, wish.token_name) })
}

/// Which keys are meant.
async fn filter(app: &App, guest: &Guest, asked: &Revocation) -> Result<BulkFilter> {
    // A word that is no scope must never become all keys.
    let unknown = || Error::invalid("/class", "bad_value", "expected workspace, member or ingest");
    let scope = asked.api_key_scope.as_deref();
    let class = scope.map(|word| KeyClass::parse(word).ok_or_else(unknown)).transpose()?;
    let owner_id = match &asked.member {
        Some(name) => Some(members::find(app, &guest.actor, name).await?.id),
        None => None,
    };
    let label = asked.token_name.clone();
    let all = class.is_none() && owner_id.is_none() && label.is_none();
    Ok(BulkFilter { class, owner_id, label, all, ..BulkFilter::default() })
}

async fn record(app: &App, guest: &Guest, key: KeyOut) -> Record {
    let mut links = json!({ "self": link(&self_href(&guest.slug, &key.access_key)) });
    if let (Some(username), Some(id)) = (&key.owner_username, &key.owner_id) {
        links["member"] = link(&members::href(&guest.slug, username, id));
    }
    Record {
        created_by: who::name(app, &guest.actor, &key.created_by).await,
        token: key.access_key,
        token_name: key.label,
        id: key.id,
        api_key_scope: key.class.as_str(),
        state: key.status.as_str(),
        member_username: key.owner_username,
        created_at: key.created_at,
        last_used_at: key.last_used_at,
        expires_at: key.expires_at,
        revoked_at: key.revoked_at,
        links,
    }
}

/// A key in the answer about many.
fn brief(slug: &str, key: &BulkKey) -> Value {
    json!({
        "token": key.access_key,
        "token_name": key.label,
        "id": key.id,
        "api_key_scope": key.class.as_str(),
        "member_username": key.owner_username,
        "_links": { "self": link(&self_href(slug, &key.access_key)) },
    })
}

fn self_href(slug: &str, token: &str) -> String {
    format!("/api/{slug}/api_keys/{token}")
}
