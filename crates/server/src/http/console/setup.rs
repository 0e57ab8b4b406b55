//! The first page of a new instance: its first administrator, by the setup token (OPS-1).

use std::sync::Arc;

use askama::Template;
use axum::Extension;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse as _;
use serde::Deserialize;

use super::Shown;
use super::form::{Faults, Form};
use super::frame::Frame;
use crate::app::{Actor, App, Call};
use crate::error::{Error, Result};
use crate::http::v1::setup as api;
use crate::passwords::links;
use crate::setup::{Bootstrapped, SetupIn};

#[derive(Template)]
#[template(path = "setup.html")]
struct SetupPage<'a> {
    f: &'a Frame,
    form: &'a SetupForm,
    file: String,
    faults: &'a Faults,
}

#[derive(Template)]
#[template(path = "setup_done.html")]
struct DonePage<'a> {
    f: &'a Frame,
    made: &'a Bootstrapped,
    username: &'a str,
    /// Sets the password of the administrator, once.
    link_token: Option<String>,
}

/// The claim.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct SetupForm {
    token: Option<String>,
    username: Option<String>,
    email: Option<String>,
}

pub(crate) async fn show(State(app): State<Arc<App>>, frame: Frame) -> Shown {
    must_be_new(&app).await?;
    super::page(&page(&app, &frame, &SetupForm::default(), &Faults::default()))
}

/// Once there is an administrator, there is no such page.
async fn must_be_new(app: &App) -> Result<()> {
    if app.is_set_up().await? { Err(Error::NotFound) } else { Ok(()) }
}

fn page<'a>(app: &App, frame: &'a Frame, form: &'a SetupForm, faults: &'a Faults) -> SetupPage<'a> {
    let file = app.settings.data_dir.join("setup-token").display().to_string();
    SetupPage { f: frame, form, file, faults }
}

pub(crate) async fn claim(
    State(app): State<Arc<App>>,
    Extension(call): Extension<Call>,
    frame: Frame,
    Form(form): Form<SetupForm>,
) -> Shown {
    must_be_new(&app).await?;
    let input = SetupIn {
        token: form.token.as_deref().unwrap_or_default().trim().to_owned(),
        username: form.username.clone().unwrap_or_default(),
        email: form.email.clone(),
    };
    let faults = match api::carry_out(&app, &call, &input).await {
        Ok(made) => {
            let link_token = password_link(&app, &made).await;
            return super::page(&DonePage { f: &frame, made: &made, username: &input.username, link_token });
        }
        Err(Error::Unauthenticated(_)) => {
            let detail = frame.t("This token is wrong or too old. Start the server again to get a new one.");
            Faults::of(Error::invalid("/token", "bad_value", detail))?
        }
        Err(error) => Faults::of(error)?,
    };
    let page = super::page(&page(&app, &frame, &form, &faults))?;
    Ok((StatusCode::UNPROCESSABLE_ENTITY, page).into_response())
}

/// What the administrator enters the console by; nothing where nobody logs in with a password.
async fn password_link(app: &App, made: &Bootstrapped) -> Option<String> {
    let actor = Actor::local(&made.tenant_id, "setup");
    links::start_reset(app, &actor, made.user_id.as_deref()?).await.ok()?.token
}
