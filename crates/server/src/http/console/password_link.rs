//! The page of a link that sets a password: the token stands behind `#`, which no browser sends, and
//! leaves the address at once (AUT-6).

use std::sync::Arc;

use askama::Template;
use axum::Extension;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse as _;
use serde::Deserialize;

use super::form::{Faults, Form};
use super::frame::Frame;
use super::{LOGIN, Shown, go};
use crate::app::{App, Call};
use crate::error::Error;
use crate::passwords::Password;
use crate::passwords::links::{self, RedeemIn};

#[derive(Template)]
#[template(path = "password_link.html")]
struct PasswordPage<'a> {
    f: &'a Frame,
    token: &'a str,
    faults: &'a Faults,
}

/// The token of the link, and the new password.
#[derive(Deserialize)]
pub(crate) struct PasswordForm {
    token: Password,
    password: Password,
}

pub(crate) async fn show(frame: Frame) -> Shown {
    super::page(&PasswordPage { f: &frame, token: "", faults: &Faults::default() })
}

pub(crate) async fn redeem(
    State(app): State<Arc<App>>,
    Extension(call): Extension<Call>,
    frame: Frame,
    Form(form): Form<PasswordForm>,
) -> Shown {
    let input = RedeemIn { token: form.token, password: form.password };
    let faults = match links::redeem(&app, call, &input).await {
        Ok(()) => return go(LOGIN, "password"),
        Err(Error::Unauthenticated(_)) => {
            let detail = frame.t("This link is used up, too old, or not whole. Ask for another one.");
            Faults::of(Error::invalid("token", "bad_value", detail))?
        }
        Err(error) => Faults::of(error)?,
    };
    let token = input.token.expose();
    let page = super::page(&PasswordPage { f: &frame, token, faults: &faults })?;
    Ok((StatusCode::UNPROCESSABLE_ENTITY, page).into_response())
}
