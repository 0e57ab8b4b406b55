//! The check of a credential, the workspace, and the collections that no workspace has here.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Path, State};
use http::{HeaderMap, Uri};
use serde_json::{Value, json};

use super::guest::Guest;
use super::hal::{self, Told, Window, link};
use super::members;
use crate::app::{App, Call};
use crate::clock::rfc3339;
use crate::error::Error;
use crate::store::tenants;

/// `GET /api/verify`: what every key may ask about itself.
pub(super) async fn verify(
    State(app): State<Arc<App>>,
    Extension(call): Extension<Call>,
    headers: HeaderMap,
) -> Told {
    let guest = Guest::enter(&app, &headers, &call).await?;
    hal::ok(&json!({
        "workspace": guest.slug,
        "workspace_token": guest.actor.tenant_id,
        "api_key_scope": if guest.is_member() { "member" } else { "workspace" },
        "_links": { "self": link(&format!("/api/{}/api_keys/{}", guest.slug, guest.token)) },
    }))
}

/// `GET /api/account`: no key has an account, and clients know this answer.
pub(super) async fn account(
    State(app): State<Arc<App>>,
    Extension(call): Extension<Call>,
    headers: HeaderMap,
) -> Told {
    Guest::enter(&app, &headers, &call).await?;
    let detail = "this endpoint is unsupported for use with API keys";
    Err(Error::malformed("", "unsupported", detail).into())
}

/// `GET /api/{workspace}`, or the record of a user. The own workspace needs no right: whoever holds one of its
/// keys may know its name, as `/api/verify` tells its slug; nothing else of the tenant is told.
pub(super) async fn show(
    State(app): State<Arc<App>>,
    Extension(call): Extension<Call>,
    headers: HeaderMap,
    Path(name): Path<String>,
) -> Told {
    let guest = Guest::enter(&app, &headers, &call).await?;
    if name != guest.slug {
        let user = members::find(&app, &guest.actor, &name).await?;
        return hal::ok(&members::record(&guest.slug, &user));
    }
    let row = tenants::find(&mut app.read().await?, &guest.actor.tenant_id).await?.ok_or(Error::NotFound)?;
    let own = format!("/api/{}", row.slug);
    let below = |noun: &str| link(&format!("{own}/{noun}"));
    hal::ok(&json!({
        "token": row.id,
        "id": row.number.to_string(),
        "username": row.slug,
        "name": row.name,
        "created_at": rfc3339(row.created_at),
        "_links": {
            "self": link(&own),
            "api_keys": below("api_keys"),
            "memberships": below("memberships"),
            "memberships_lite": below("memberships/lite"),
            "audit_logs": below("audit_logs"),
            "spaces": below("spaces"),
        },
    }))
}

/// `GET /api/{workspace}/spaces`: none, so that clients which look for reports come to an end.
pub(super) async fn spaces(
    State(app): State<Arc<App>>,
    Extension(call): Extension<Call>,
    headers: HeaderMap,
    Path(workspace): Path<String>,
    uri: Uri,
) -> Told {
    Guest::enter_workspace(&app, &headers, &call, &workspace).await?;
    Window::read(&uri)?.answer(uri.path(), "spaces", &[] as &[Value])
}

/// What would be in one of them: nothing either.
pub(super) async fn below_space(
    State(app): State<Arc<App>>,
    Extension(call): Extension<Call>,
    headers: HeaderMap,
    Path((workspace, _, _)): Path<(String, String, String)>,
    uri: Uri,
) -> Told {
    Guest::enter_workspace(&app, &headers, &call, &workspace).await?;
    Window::read(&uri)?.answer(uri.path(), "spaces", &[] as &[Value])
}
