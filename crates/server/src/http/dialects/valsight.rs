//! Valsight: login with user name and API key (VA2, VA7).
//!
//! A key is one of a user's own. Nobody is looked up by the name that was given: the key finds its owner, who
//! must be called so. Guesses at names therefore find nothing, whoever exists.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use axum::{Extension, Json, Router};
use http::header::{HeaderMap, SET_COOKIE};
use http::{Method, StatusCode};
use serde::Deserialize;
use serde_json::json;

use super::Dialect;
use super::body::Whole;
use super::door::{self, JSESSIONID};
use crate::app::{Actor, App, Call};
use crate::error::{Error, Result};
use crate::failures;
use crate::http::problem::Problem;
use crate::http::{caller, cookie, problem};
use crate::logins;
use crate::names::{Username, canonical};
use crate::passwords::Password;
use crate::store::users;
use crate::verify::Presented;

pub(crate) const DIALECT: Dialect = Dialect {
    root: "/dialects/valsight",
    owns: &["/v1/apiKey"],
    is_on: |settings| settings.dialects.valsight.enabled && settings.api_key_auth.enabled,
    hosts_key: "dialects.valsight.hosts",
    hosts: |settings| &settings.dialects.valsight.hosts,
    routes,
    refuse,
};

fn routes() -> Router<Arc<App>> {
    Router::new().route("/v1/apiKey", post(log_in))
}

/// What the form holds.
#[derive(Deserialize)]
struct LoginForm {
    username: String,
    api_key: Password,
}

async fn log_in(
    State(app): State<Arc<App>>,
    Extension(call): Extension<Call>,
    headers: HeaderMap,
    body: Whole,
) -> Result<Response, Problem> {
    // A page of another site could log somebody in as somebody else.
    cookie::must_not_be_foreign(&Method::POST, &headers, &app.settings.server)?;
    let form: LoginForm = body.form(&headers)?;
    let presented = Presented::Secret(pasted(form.api_key.expose()));
    let identity = caller::identify_presented(&app, presented, &call).await?;
    let actor = identity.actor(call.clone());
    if let Some(reason) = mismatch(&app, &actor, &form.username).await? {
        return Err(refused(&app, &actor, reason).into());
    }
    let opened = logins::open_by_api_key(&app, call, &identity).await?;
    let token = opened.token.ok_or_else(|| Error::internal("a session without a token"))?;
    tracing::debug!(user = %actor.principal.id, session = %opened.session.id, "API key login");
    let is_secure = door::is_secure(&app.settings.server, &headers);
    let cookie = door::set_cookie(is_secure, JSESSIONID, &token);
    Ok((StatusCode::OK, [(SET_COOKIE, cookie)]).into_response())
}

/// A key without the quotes and blanks that come along when it is copied (VA4).
fn pasted(text: &str) -> &str {
    text.trim_matches(|c: char| c.is_whitespace() || "\"'`´«»“”„‟‘’‚‹›".contains(c))
}

/// Why what was presented is no key of the user who is named.
async fn mismatch(app: &App, actor: &Actor, username: &str) -> Result<Option<&'static str>> {
    if actor.by_token || actor.session.is_some() {
        return Ok(Some("not_a_key"));
    }
    let Some(owner) = actor.user_id() else { return Ok(Some("wrong_class")) };
    let mut conn = app.read().await?;
    let Some(user) = users::find(&mut conn, &actor.tenant_id, owner).await? else {
        return Ok(Some("wrong_user"));
    };
    let is_name = Username::parse_any(username).is_ok_and(|name| name.key == user.username_key);
    let is_mail = user.email.is_some_and(|email| canonical(&email) == canonical(username));
    Ok((!is_name && !is_mail).then_some("wrong_user"))
}

/// Counts a failure with a credential that is good for something else, as one with a wrong credential is
/// counted; the log of the tenant tells its administrators why.
fn refused(app: &App, actor: &Actor, reason: &'static str) -> Error {
    tracing::debug!(key = ?actor.key_id, reason, "API key login refused");
    app.metrics.refused_callers.inc();
    app.refusals.note(actor, "auth.login", reason);
    let wait = failures::note(app, None, "login", actor.call.address);
    wait.map_or(Error::Unauthenticated("invalid_login"), Error::RateLimited)
}

/// Whatever is wrong about name and key is told in the same words.
fn refuse(error: &Error, _request_id: &str) -> Response {
    let (status, code, message) = match error {
        Error::Forbidden { code: "cross_site", .. } => {
            (StatusCode::FORBIDDEN, "forbidden", problem::detail(error))
        }
        Error::Unauthenticated(_) | Error::SecondFactor(_) | Error::Forbidden { .. } => {
            let message = "user name and API key do not belong together, or cannot be used now";
            (StatusCode::UNAUTHORIZED, "unauthorized", message.to_owned())
        }
        Error::Malformed(_) => {
            let message = "send a form with the fields username and api_key, each once";
            (StatusCode::BAD_REQUEST, "bad_request", message.to_owned())
        }
        other => (problem::status(other), problem::code(other), problem::detail(other)),
    };
    (status, Json(json!({ "error": code, "message": message }))).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn va_4_what_surrounds_a_pasted_key_is_no_part_of_it() {
        for text in ["kwm_x", " kwm_x\r\n", "\"kwm_x\"", " 'kwm_x' ", "“kwm_x”", "`kwm_x`", "\u{a0}kwm_x\t"]
        {
            assert_eq!(pasted(text), "kwm_x", "{text:?}");
        }
        assert_eq!(pasted("\"\""), "");
        assert_eq!(pasted("kwm_\"x"), "kwm_\"x", "what stands inside stays");
    }
}
