//! `/auth/search` and `/auth/configure`: the trusted secrets of Orgs (TS3 to TS6), for administrators.

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use http::{HeaderMap, Method};
use keyward_core::secret::Secret;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::orgs::{self, OrgName};
use super::{JSON, answer, nothing};
use crate::app::{Actor, App, Call};
use crate::error::{Error, Result};
use crate::http::caller::{self, Identity};
use crate::http::dialects::body::Whole;
use crate::http::dialects::door::{self, JSESSIONID};
use crate::http::dialects::noted;
use crate::http::problem::Problem;
use crate::store::page::Page;
use crate::store::tenants;
use crate::trusted;
use crate::trusted::wire::{CopyIn, DisableIn, EnableIn, TrustedOut};
use crate::wire::time;

/// A right, and the operation that needs it as the audit log names it.
type Need = (&'static str, &'static str);

const COPY: Need = ("trusted:copy", "copy_trusted_secret");
const CONFIGURE: Need = ("trusted:write", "configure_trusted");

/// What to tell of.
#[derive(Deserialize)]
struct SearchRequest {
    auth_type: AuthType,
    #[serde(default)]
    scope: Option<Level>,
}

#[derive(Deserialize)]
enum AuthType {
    #[serde(rename = "TRUSTED_AUTH")]
    Trusted,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
enum Level {
    Cluster,
    Org,
}

/// `POST /auth/search`: the secrets in clear, each told as a copy in the audit log (TS5).
pub(super) async fn search(
    State(app): State<Arc<App>>,
    Extension(call): Extension<Call>,
    method: Method,
    headers: HeaderMap,
    body: Whole,
) -> Result<Response, Problem> {
    let place = (&method, &headers);
    let (identity, actor) = administrator(&app, place, &call, COPY).await?;
    let SearchRequest { auth_type: AuthType::Trusted, scope } = body.json(&headers, JSON)?;
    let is_primary = identity.tenant().number == 0;
    let told = noted(&app, &actor, COPY.1, preferences(&app, &actor, scope, is_primary).await)?;
    Ok(answer(&told))
}

async fn preferences(app: &App, actor: &Actor, scope: Option<Level>, is_primary: bool) -> Result<Value> {
    if scope == Some(Level::Cluster) && !is_primary {
        return Err(not_primary());
    }
    let preference = preference(app, actor).await?;
    let mut told = json!({ "auth_type": "TRUSTED_AUTH" });
    if scope != Some(Level::Cluster) {
        let mut own = preference.clone();
        let org = orgs::of(app, &actor.tenant_id).await?;
        own.insert("org".into(), json!({ "id": org.id, "name": org.name }));
        told["org_preferences"] = json!([own]);
    }
    if scope != Some(Level::Org) && is_primary {
        told["cluster_preferences"] = preference.into();
    }
    Ok(told)
}

/// Whether it is enabled, and the secrets.
async fn preference(app: &App, actor: &Actor) -> Result<Map<String, Value>> {
    let mut secrets = Vec::new();
    for enabled in enabled(app, actor).await? {
        let copied = trusted::copy(app, actor, &CopyIn { id: Some(enabled.id) }).await?;
        let made =
            copied.trusted.generations.last().map(|newest| time("", &newest.created_at)).transpose()?;
        let key = copied.secret.as_ref().map(Secret::expose);
        secrets.push(json!({ "key": key, "creation_time_in_millis": made }));
    }
    let mut told = Map::new();
    let status = if secrets.is_empty() { "DISABLED" } else { "ENABLED" };
    told.insert("auth_status".into(), status.into());
    if !secrets.is_empty() {
        told.insert("access_tokens".into(), secrets.into());
    }
    Ok(told)
}

async fn enabled(app: &App, actor: &Actor) -> Result<Vec<TrustedOut>> {
    let all = trusted::list(app, actor, &Page::unlimited()).await?.data;
    Ok(all.into_iter().filter(|secret| secret.state == "enabled").collect())
}

/// What to switch.
#[derive(Deserialize)]
struct ConfigureRequest {
    #[serde(rename = "auth_type")]
    _auth_type: AuthType,
    #[serde(default)]
    cluster_preferences: Option<ClusterPreference>,
    #[serde(default)]
    org_preferences: Option<Vec<OrgPreference>>,
}

#[derive(Deserialize)]
struct ClusterPreference {
    #[serde(default)]
    auth_status: Option<Status>,
}

#[derive(Deserialize)]
struct OrgPreference {
    org_identifier: OrgName,
    #[serde(default)]
    auth_status: Option<Status>,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
enum Status {
    Enabled,
    Disabled,
}

/// `POST /auth/configure`. A status says what shall be so: who sends `DISABLED` confirms it (TS6).
pub(super) async fn configure(
    State(app): State<Arc<App>>,
    Extension(call): Extension<Call>,
    method: Method,
    headers: HeaderMap,
    body: Whole,
) -> Result<Response, Problem> {
    let place = (&method, &headers);
    let (identity, actor) = administrator(&app, place, &call, CONFIGURE).await?;
    let ask: ConfigureRequest = body.json(&headers, JSON)?;
    if ask.cluster_preferences.is_none() && ask.org_preferences.is_none() {
        let detail = "give cluster_preferences or org_preferences";
        return Err(Error::malformed("", "required", detail).into());
    }
    let wanted = wanted(&app, &actor, &identity.tenant().slug, ask).await;
    for (actor, status) in noted(&app, &actor, CONFIGURE.1, wanted)? {
        noted(&app, &actor, CONFIGURE.1, switch(&app, &actor, status).await)?;
    }
    Ok(nothing())
}

/// What shall be so, each with the actor in its tenant.
async fn wanted(app: &App, actor: &Actor, slug: &str, ask: ConfigureRequest) -> Result<Vec<(Actor, Status)>> {
    let mut wanted = Vec::new();
    if let Some(status) = ask.cluster_preferences.and_then(|cluster| cluster.auth_status) {
        let primary = tenants::find_primary(&mut app.read().await?).await?.ok_or(Error::NotSetUp)?;
        wanted.push((enter(app, actor, slug, &primary.id).await?, status));
    }
    for preference in ask.org_preferences.unwrap_or_default() {
        let Some(status) = preference.auth_status else { continue };
        let tenant = orgs::place(app, Some(&preference.org_identifier)).await?.unwrap_or_default();
        wanted.push((enter(app, actor, slug, &tenant).await?, status));
    }
    Ok(wanted)
}

async fn switch(app: &App, actor: &Actor, status: Status) -> Result<()> {
    let enabled = enabled(app, actor).await?;
    match status {
        Status::Enabled if enabled.is_empty() => {
            match trusted::enable(app, actor, EnableIn::default()).await {
                // Somebody else was first: that secret is kept.
                Err(Error::Conflict { code: "already_enabled", .. }) => Ok(()),
                made => made.map(drop),
            }
        }
        Status::Enabled => Ok(()),
        Status::Disabled => {
            for secret in enabled {
                let input = DisableIn { id: Some(secret.id), confirm: true };
                trusted::disable(app, actor, &input).await?;
            }
            Ok(())
        }
    }
}

/// The actor in a tenant: at home, or where an operator may enter. To others there are no other Orgs.
async fn enter(app: &App, actor: &Actor, slug: &str, tenant: &str) -> Result<Actor> {
    let may_enter = actor.may("instance/tenants:enter");
    caller::enter(app, actor.clone(), slug, tenant).await.map_err(|error| match error {
        Error::NotFound if may_enter => {
            Error::malformed("/org_preferences", "not_found", "there is no such Org")
        }
        Error::NotFound => not_primary(),
        error => error,
    })
}

fn not_primary() -> Error {
    Error::forbidden("insufficient_rights", "other Orgs, and the cluster, are the operator's")
}

/// Who holds this right and proved it by a key or a login; no token manages anything (IMP-2).
async fn administrator(
    app: &App,
    place: (&Method, &HeaderMap),
    call: &Call,
    (right, operation): Need,
) -> Result<(Identity, Actor)> {
    let identity = door::identify(app, place, JSESSIONID, call).await?;
    let actor = identity.actor(call.clone());
    let by_key = actor.session.as_ref().is_some_and(|session| !session.method.is_interactive());
    let refused = match () {
        () if actor.by_token => {
            Some(("token_cannot_manage", "a token manages nothing: log in, or use a key"))
        }
        () if by_key => Some(("not_interactive", "log in with a password, or send the key itself")),
        () if !actor.may(right) => Some(("insufficient_rights", "this needs an administrator")),
        () => None,
    };
    let Some((code, detail)) = refused else { return Ok((identity, actor)) };
    app.refusals.note(&actor, operation, code);
    Err(Error::forbidden(code, detail))
}
