//! The proof that is asked for before what is dangerous (SES-6).

use askama::Template;
use axum::response::IntoResponse as _;
use http::StatusCode;
use serde::Deserialize;

use super::form::{Form, is_own_path};
use super::frame::Frame;
use super::gate::Visit;
use super::{Shown, login};
use crate::error::Error;
use crate::factors;
use crate::http::json::Query;
use crate::logins::{self, StepUpIn};
use crate::passwords::Password;

#[derive(Template)]
#[template(path = "step_up.html")]
struct StepUpPage<'a> {
    f: &'a Frame,
    return_to: &'a str,
    /// By code or passkey; else by password.
    by_factor: bool,
    has_passkey: bool,
    fault: Option<&'static str>,
}

/// Where to go on.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct StepUpQuery {
    return_to: Option<String>,
}

/// The proof.
#[derive(Deserialize)]
pub(crate) struct StepUpForm {
    password: Option<Password>,
    code: Option<Password>,
    return_to: Option<String>,
}

pub(crate) async fn show(visit: Visit, Query(query): Query<StepUpQuery>) -> Shown {
    ask(&visit, query.return_to.as_deref().unwrap_or_default(), None).await
}

pub(crate) async fn prove(visit: Visit, Form(form): Form<StepUpForm>) -> Shown {
    let input = StepUpIn { password: form.password, code: form.code, passkey: None };
    let return_to = form.return_to.unwrap_or_default();
    match logins::step_up(&visit.app, &visit.actor, &input).await {
        Ok(renewed) => Ok(login::in_session(&visit.app, renewed, &return_to)),
        Err(Error::Unauthenticated(_) | Error::Invalid(_)) => {
            let fault = visit.frame.t("That was not right. Try again.");
            let page = ask(&visit, &return_to, Some(fault)).await?;
            Ok((StatusCode::UNPROCESSABLE_ENTITY, page).into_response())
        }
        Err(error) => Err(error.into()),
    }
}

async fn ask(visit: &Visit, return_to: &str, fault: Option<&'static str>) -> Shown {
    let own = factors::list_own(&visit.app, &visit.actor).await?;
    let return_to = if is_own_path(return_to) { return_to } else { "/console" };
    super::page(&StepUpPage {
        f: &visit.frame,
        return_to,
        by_factor: !own.factors.is_empty(),
        has_passkey: own.factors.iter().any(|factor| factor.kind == "passkey"),
        fault,
    })
}
