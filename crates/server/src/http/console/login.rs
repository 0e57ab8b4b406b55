//! Logging in and out (AUT-4, WEB-1, WEB-5).

use std::sync::Arc;

use askama::Template;
use axum::Extension;
use axum::extract::State;
use axum::response::{IntoResponse, Redirect, Response};
use http::header::{HeaderValue, SET_COOKIE};
use http::{HeaderMap, StatusCode};
use serde::Deserialize;

use super::form::{Form, is_own_path};
use super::frame::Frame;
use super::gate::Visit;
use super::{LOGIN, Shown};
use crate::app::{App, Call};
use crate::error::{Error, Result};
use crate::http::json::Query;
use crate::http::v1::auth;
use crate::http::{cookie, problem, problems};
use crate::logins::challenge::Challenge;
use crate::logins::{self, LoginFactorIn, LoginIn};
use crate::passwords::Password;
use crate::sessions::{self, SessionOpened};

/// The page of the login.
#[derive(Template)]
#[template(path = "login.html")]
struct LoginPage<'a> {
    f: &'a Frame,
    return_to: &'a str,
    tenant: &'a str,
    username: &'a str,
    fault: Option<String>,
}

/// The page of the second factor.
#[derive(Template)]
#[template(path = "login_factor.html")]
struct FactorPage<'a> {
    f: &'a Frame,
    return_to: &'a str,
    challenge: &'a str,
    takes_code: bool,
    /// What the browser is asked for, where there is a passkey.
    passkey: Option<String>,
    fault: Option<String>,
}

/// Where the login goes on to.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct LoginQuery {
    return_to: Option<String>,
    tenant: Option<String>,
}

/// Name and password.
#[derive(Deserialize)]
pub(crate) struct LoginForm {
    #[serde(default)]
    username: String,
    #[serde(default = "no_password")]
    password: Password,
    tenant: Option<String>,
    return_to: Option<String>,
}

fn no_password() -> Password {
    Password::empty()
}

/// What came from the page of the second factor.
#[derive(Deserialize)]
pub(crate) struct FactorForm {
    challenge: Password,
    code: Option<Password>,
    return_to: Option<String>,
}

pub(crate) async fn show(frame: Frame, Query(query): Query<LoginQuery>) -> Shown {
    let (return_to, tenant) = (query.return_to.unwrap_or_default(), query.tenant.unwrap_or_default());
    super::page(&LoginPage { f: &frame, return_to: &return_to, tenant: &tenant, username: "", fault: None })
}

pub(crate) async fn log_in(
    State(app): State<Arc<App>>,
    Extension(call): Extension<Call>,
    frame: Frame,
    headers: HeaderMap,
    Form(form): Form<LoginForm>,
) -> Shown {
    let return_to = form.return_to.unwrap_or_default();
    let input = LoginIn {
        tenant: form.tenant,
        username: form.username,
        password: form.password,
        cookie: true,
        lasts: None,
    };
    match logins::log_in(&app, call.clone(), &input).await {
        Ok(opened) => Ok(enter(&app, &headers, &call, opened, &return_to).await?),
        Err(Error::SecondFactor(challenge)) => ask_factor(&frame, &challenge, &return_to),
        Err(error) => {
            let fault = told(&frame, error)?;
            let (tenant, username) = (input.tenant.as_deref().unwrap_or_default(), &*input.username);
            let page = LoginPage { f: &frame, return_to: &return_to, tenant, username, fault: Some(fault) };
            refused(super::page(&page)?)
        }
    }
}

pub(crate) async fn give_factor(
    State(app): State<Arc<App>>,
    Extension(call): Extension<Call>,
    frame: Frame,
    headers: HeaderMap,
    Form(form): Form<FactorForm>,
) -> Shown {
    let return_to = form.return_to.unwrap_or_default();
    let input = LoginFactorIn { challenge: form.challenge, code: form.code, passkey: None, cookie: true };
    match logins::give_factor(&app, call.clone(), &input).await {
        Ok(opened) => Ok(enter(&app, &headers, &call, opened, &return_to).await?),
        Err(Error::Unauthenticated("invalid_challenge")) => Ok(Redirect::to(LOGIN).into_response()),
        Err(error) => {
            let fault = Some(told(&frame, error)?);
            let challenge = input.challenge.expose();
            let page = FactorPage {
                f: &frame,
                return_to: &return_to,
                challenge,
                takes_code: true,
                passkey: None,
                fault,
            };
            refused(super::page(&page)?)
        }
    }
}

fn ask_factor(frame: &Frame, asked: &Challenge, return_to: &str) -> Shown {
    super::page(&FactorPage {
        f: frame,
        return_to,
        challenge: &asked.challenge,
        takes_code: asked.factors.iter().any(|kind| kind != "passkey"),
        passkey: asked.passkey.as_ref().map(|asked| asked.options.to_string()),
        fault: None,
    })
}

/// What may be said about a failed login on its page.
fn told(frame: &Frame, error: Error) -> Result<String> {
    match &error {
        Error::Unauthenticated(_) => Ok(frame
            .t("That did not work. Check what you typed, and whether you are in the right tenant.")
            .into()),
        Error::RateLimited(seconds) => Ok(frame.n(
            "Too many attempts. Try again in 1 second.|Too many attempts. Try again in {} seconds.",
            seconds,
        )),
        Error::Forbidden { code: "not_interactive", .. } => Ok(problems::detail("not_interactive").into()),
        Error::Forbidden { .. } | Error::Malformed(_) => Ok(problem::detail(&error)),
        _ => Err(error),
    }
}

/// The same page, which a browser does not take for a success.
fn refused(mut page: Response) -> Shown {
    *page.status_mut() = StatusCode::UNPROCESSABLE_ENTITY;
    Ok(page)
}

/// The new session takes the place of the one that there was.
async fn enter(
    app: &App,
    headers: &HeaderMap,
    call: &Call,
    opened: SessionOpened,
    return_to: &str,
) -> Result<Response> {
    auth::end_before(app, headers, call).await?;
    Ok(in_session(app, opened, return_to))
}

/// Goes on with the cookie of a session.
pub(super) fn in_session(app: &App, mut opened: SessionOpened, return_to: &str) -> Response {
    let to = if is_own_path(return_to) { return_to } else { "/console" };
    let mut response = Redirect::to(to).into_response();
    if let Some(cookie) = auth::take_cookie(app, &mut opened)
        && let Ok(cookie) = HeaderValue::from_str(&cookie)
    {
        response.headers_mut().append(SET_COOKIE, cookie);
    }
    response
}

pub(crate) async fn log_out(visit: Visit, Form(_): Form<Nothing>) -> Shown {
    sessions::log_out(&visit.app, &visit.actor).await?;
    let mut response = Redirect::to(LOGIN).into_response();
    let server = &visit.app.settings.server;
    for cookie in [cookie::clear(server), cookie::clear_tenant(server)] {
        let cookie = HeaderValue::from_str(&cookie).map_err(Error::internal)?;
        response.headers_mut().append(SET_COOKIE, cookie);
    }
    Ok(response)
}

/// A form without fields.
#[derive(Deserialize)]
pub(crate) struct Nothing {}
