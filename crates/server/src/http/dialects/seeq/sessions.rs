//! Logging in and out. A login with an access key is none of its owner's; one with a password is (SQ4).

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use http::header::{HeaderMap, HeaderValue, SET_COOKIE};
use http::{HeaderName, Method};
use keyward_core::right::RightSet;
use keyward_core::token::AccessKey;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::media::KINDS;
use super::{DIRECTORY, DIRECTORY_CLASS, StatusMessage, Told, gate, tell, users};
use crate::app::{Actor, App, Call, Principal};
use crate::error::{Error, Result};
use crate::http::dialects::body::Whole;
use crate::http::dialects::door;
use crate::http::problem::Problem;
use crate::http::{caller, cookie, problems};
use crate::logins;
use crate::names::Username;
use crate::passwords::Password;
use crate::random;
use crate::sessions::{self, SessionOpened};
use crate::store;
use crate::store::users::UserRow;
use crate::verify::Presented;

/// The item id of the one directory: items of the product have such ids.
const DIRECTORY_ID: &str = "00000000-0000-4000-8000-000000000001";

/// `POST api/auth/login`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct LoginIn {
    /// An access key, or a user name.
    username: String,
    /// Its secret, or the password.
    password: Password,
    auth_provider_class: Option<String>,
    auth_provider_id: Option<String>,
}

impl LoginIn {
    /// Keys and users are in the one directory alone.
    fn must_name_our_directory(&self) -> Result<()> {
        let is_ours = |named: &Option<String>, own: &str| {
            named.as_deref().is_none_or(|named| named.is_empty() || named == own)
        };
        if is_ours(&self.auth_provider_class, DIRECTORY_CLASS) && is_ours(&self.auth_provider_id, DIRECTORY) {
            return Ok(());
        }
        let detail =
            format!("there is no such directory: log in to {DIRECTORY_CLASS}/{DIRECTORY}, or name none");
        Err(Error::Http { status: 404, code: "not_found", detail })
    }
}

/// `GET api/auth/providers`: open.
pub(super) async fn providers() -> Told {
    tell(&json!({ "authProviders": [{
        "id": DIRECTORY_ID,
        "name": DIRECTORY,
        "datasourceClass": DIRECTORY_CLASS,
        "datasourceId": DIRECTORY,
        "type": "Datasource",
        "isArchived": false,
    }] }))
}

/// `POST api/auth/login`: open.
pub(super) async fn log_in(
    State(app): State<Arc<App>>,
    Extension(call): Extension<Call>,
    method: Method,
    headers: HeaderMap,
    body: Whole,
) -> Told {
    // Cookies are set: a page of another site logs nobody in.
    cookie::must_not_be_foreign(&method, &headers, &app.settings.server)?;
    let input: LoginIn = body.json(&headers, &KINDS)?;
    input.must_name_our_directory()?;
    let opened = match AccessKey::parse(input.username.trim()) {
        Some(_) => open_by_key(&app, call.clone(), &input).await?,
        None => open_by_password(&app, call.clone(), input).await?,
    };
    let person = users::own(&app, &holder(&opened, call)).await?;
    let is_secure = door::is_secure(&app.settings.server, &headers);
    with_session(is_secure, opened.token.as_deref().unwrap_or_default(), &person)
}

async fn open_by_key(app: &App, call: Call, input: &LoginIn) -> Result<SessionOpened> {
    let presented = Presented::Pair(input.username.trim(), input.password.expose());
    let identity = caller::identify_presented(app, presented, &call).await?;
    let actor = identity.actor(call.clone());
    let unowned = || Error::forbidden("wrong_class", "access keys are member keys: this key has no owner");
    let owner = gate::noted(app, &actor, "auth.refused", actor.user_id().ok_or_else(unowned))?;
    let owner = store::users::find(&mut app.read().await?, &actor.tenant_id, owner).await?;
    logins::open_by_key(app, call, &identity, owner.as_ref().and_then(stated)).await
}

/// How many seconds a session of the user lasts, where that is set; policy cuts what is longer than it allows.
fn stated(user: &UserRow) -> Option<i64> {
    user.session_minutes.map(|minutes| minutes.saturating_mul(60))
}

/// The same for a name before its password is looked at: as much to read for every name (VER-1).
async fn stated_for(app: &App, username: &str) -> Result<Option<i64>> {
    let Ok(name) = Username::parse_any(username) else { return Ok(None) };
    let mut conn = app.read().await?;
    let Some(home) = store::tenants::find_primary(&mut conn).await? else { return Ok(None) };
    let user = store::users::find_by_name_or_any(&mut conn, &home.id, &name.key).await?;
    Ok(user.filter(|user| user.username_key == name.key).as_ref().and_then(stated))
}

async fn open_by_password(app: &App, call: Call, input: LoginIn) -> Result<SessionOpened> {
    let wish = logins::LoginIn {
        lasts: stated_for(app, &input.username).await?,
        tenant: None,
        username: input.username,
        password: input.password,
        cookie: false,
    };
    let opened = logins::log_in(app, call.clone(), &wish).await?;
    if !opened.session.enrolment_only {
        return Ok(opened);
    }
    // Good for adding a second factor only, which nobody does here.
    let token = Presented::Secret(opened.token.as_deref().unwrap_or_default());
    sessions::end_by_token(app, token, ("login", "it lacked its second factor"), &call).await?;
    Err(Error::Unauthenticated("second_factor_missing"))
}

/// Whom a session was opened for, to read who that is.
fn holder(opened: &SessionOpened, call: Call) -> Actor {
    let id = opened.user_id.clone().unwrap_or_default();
    let principal = Principal { kind: "user".into(), id, label: String::new() };
    let rights: RightSet = opened.rights.iter().filter_map(|right| right.parse().ok()).collect();
    Actor { rights: Arc::new(rights), ..Actor::powerless(&opened.tenant_id, principal, call) }
}

/// The answer to a login: the token in a header and in a cookie, and beside it what a page sends along to
/// show that it can read its own cookies.
fn with_session(is_secure: bool, token: &str, person: &impl Serialize) -> Told {
    let csrf = random::hex::<16>();
    let cookies = [
        door::set_cookie(is_secure, door::SQ_AUTH_COOKIE, token),
        door::set_readable_cookie(is_secure, door::SQ_CSRF_COOKIE, &csrf),
    ];
    let mut response = tell(person)?;
    add(&mut response, door::SQ_AUTH, token)?;
    for cookie in cookies {
        add(&mut response, SET_COOKIE, &cookie)?;
    }
    Ok(response)
}

fn add(response: &mut Response, name: HeaderName, value: &str) -> Result<(), Problem> {
    let mut value = HeaderValue::from_str(value).map_err(Error::internal)?;
    value.set_sensitive(true);
    response.headers_mut().append(name, value);
    Ok(())
}

/// `POST api/auth/logout`: ends the session that asks.
pub(super) async fn log_out(
    State(app): State<Arc<App>>,
    Extension(call): Extension<Call>,
    method: Method,
    headers: HeaderMap,
) -> Told {
    let actor = gate::enter(&app, (&method, &headers), call).await?;
    if actor.session.is_none() {
        let code = "not_a_session";
        return Err(Error::forbidden(code, problems::detail(code)).into());
    }
    sessions::log_out(&app, &actor).await?;
    let mut response = tell(&StatusMessage::new("logged out"))?;
    let is_secure = door::is_secure(&app.settings.server, &headers);
    for name in [door::SQ_AUTH_COOKIE, door::SQ_CSRF_COOKIE] {
        add(&mut response, SET_COOKIE, &door::clear_cookie(is_secure, name))?;
    }
    Ok(response)
}

/// `GET api/auth/validate`: whether the credential works.
pub(super) async fn validate(
    State(app): State<Arc<App>>,
    Extension(call): Extension<Call>,
    method: Method,
    headers: HeaderMap,
) -> Told {
    gate::enter(&app, (&method, &headers), call).await?;
    tell(&StatusMessage::new("logged in"))
}
