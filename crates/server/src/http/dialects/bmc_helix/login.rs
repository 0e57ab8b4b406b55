//! The login with access key and secret key, and new tokens out of its refresh token.

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use http::HeaderMap;
use keyward_core::token::{self, AccessKey};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{JSON, door};
use crate::app::{App, Call};
use crate::error::{Error, Result};
use crate::http::answer::Answer;
use crate::http::caller;
use crate::http::dialects::body::Whole;
use crate::http::problem::Problem;
use crate::logins;
use crate::oauth::Holder;
use crate::oauth::issue::{self, Wish};
use crate::passwords::Password;
use crate::store::tenants;
use crate::verify::{Presented, names_tenant};

/// How long a refresh token lives: a day.
const REFRESH_SECONDS: i64 = 86_400;
/// How long a JWT lives: 15 minutes.
const JWT_SECONDS: i64 = 900;

#[derive(Deserialize)]
struct LoginIn {
    access_key: String,
    access_secret_key: Password,
    tenant_id: Option<String>,
}

#[derive(Serialize)]
struct LoginOut<'a> {
    user_id: &'a str,
    principal_id: &'a str,
    tenant_id: &'a str,
    tenant_name: &'a str,
    /// The refresh token.
    token: &'a str,
    json_web_token: &'a str,
}

/// Tells a tenant that is not that of the key to whoever proved to hold the key, and to nobody else.
pub(super) async fn log_in(
    State(app): State<Arc<App>>,
    Extension(call): Extension<Call>,
    headers: HeaderMap,
    body: Whole,
) -> Result<Response, Problem> {
    let input: LoginIn = body.json(&headers, JSON)?;
    let presented = Presented::Pair(&input.access_key, input.access_secret_key.expose());
    let identity = caller::identify_presented(&app, presented, &call).await?;
    if input.tenant_id.as_deref().is_some_and(|named| !names_tenant(identity.tenant(), named)) {
        return Err(Error::NotFound.into());
    }
    let holder = identity.holder(call.clone()).ok_or_else(|| Error::internal("a login without a key"))?;
    let access_key = holder.access_key.to_string();
    let actor = holder.actor();
    let opened = logins::open_by_key(&app, call, &identity, Some(REFRESH_SECONDS)).await?;
    let tenant = tenants::find(&mut app.read().await?, &opened.tenant_id).await?.ok_or(Error::NotFound)?;
    let refresh = Zeroizing::new(opened.token.unwrap_or_default());
    let session = token::parse_other(&refresh, token::SESSION_PREFIX);
    let session = session.ok_or_else(|| Error::internal("a session without its token"))?;
    let jwt = token_of(&app, &holder, session).await?;
    let out = LoginOut {
        user_id: &actor.principal.id,
        principal_id: opened.user_id.as_ref().map_or(&access_key, |_| &actor.principal.label),
        tenant_id: &opened.tenant_id,
        tenant_name: &tenant.name,
        token: &refresh,
        json_web_token: &jwt,
    };
    Ok(Answer::ok(&out)?.into_response())
}

/// A token of the key itself, which counts as the key in this session of it, in this dialect. What the key may do
/// is looked up here, so one with more rights than a token has room for gets a token that names none: it may the
/// same here, and nothing elsewhere.
async fn token_of(app: &Arc<App>, holder: &Holder, session: AccessKey) -> Result<Zeroizing<String>> {
    let wish = Wish { expires_in: Some(JWT_SECONDS), ext: door::mark(session), ..Wish::default() };
    let issued = match issue::of_client(app, holder, &wish).await {
        Err(Error::Invalid(faults)) if faults.iter().any(|fault| fault.code == "token_too_large") => {
            issue::of_client(app, holder, &Wish { bare: true, ..wish }).await
        }
        issued => issued,
    };
    Ok(issued?.token)
}

#[derive(Deserialize)]
struct RefreshIn {
    token: Password,
}

#[derive(Serialize)]
struct RefreshOut<'a> {
    json_web_token: &'a str,
}

/// An `Authorization` header plays no part: clients send the JWT that is over in it.
pub(super) async fn refresh(
    State(app): State<Arc<App>>,
    Extension(call): Extension<Call>,
    headers: HeaderMap,
    body: Whole,
) -> Result<Response, Problem> {
    let input: RefreshIn = body.json(&headers, JSON)?;
    let identity = caller::identify_presented(&app, Presented::Secret(input.token.expose()), &call).await?;
    // A key is no refresh token, the session of a person belongs to that person, and a session of a key that
    // was opened without a stated end is none of this login.
    let session = identity.session().filter(|session| session.ends_at.is_some());
    let session = session.map(|session| session.handle);
    let (session, holder) =
        session.zip(identity.holder(call)).ok_or(Error::Unauthenticated("invalid_key"))?;
    let jwt = token_of(&app, &holder, session).await?;
    Ok(Answer::ok(&RefreshOut { json_web_token: &jwt })?.into_response())
}
