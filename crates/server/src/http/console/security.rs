//! My profile › Security: password, passkeys, authenticators and recovery codes (AUT-3, AUT-4).

use askama::Template;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use http::header::{HeaderValue, SET_COOKIE};
use qrcode::QrCode;
use qrcode::render::svg;
use serde::Deserialize;

use super::form::{Faults, Form};
use super::frame::Frame;
use super::gate::Visit;
use super::login::{self, Nothing};
use super::moment::Moment;
use super::{SECURITY, Shown, go};
use crate::error::{Error, Result};
use crate::factors::{self, ConfirmIn, FactorOut, TotpIn};
use crate::http::v1::auth;
use crate::passwords::{self, ChangeIn, Password};

struct FactorLine {
    factor: FactorOut,
    created: Moment,
    last_used: Option<Moment>,
}

#[derive(Template)]
#[template(path = "security.html")]
struct SecurityPage<'a> {
    f: &'a Frame,
    factors: Vec<FactorLine>,
    codes_left: i64,
    enrolment_only: bool,
    faults: Faults,
}

#[derive(Template)]
#[template(path = "security_totp.html")]
struct TotpPage<'a> {
    f: &'a Frame,
    id: &'a str,
    secret: &'a str,
    /// An SVG of our own making.
    picture: String,
}

#[derive(Template)]
#[template(path = "security_code.html")]
struct CodePage<'a> {
    f: &'a Frame,
    id: &'a str,
}

#[derive(Template)]
#[template(path = "security_codes.html")]
struct CodesPage<'a> {
    f: &'a Frame,
    codes: &'a [String],
}

pub(crate) async fn show(visit: Visit) -> Shown {
    super::page(&security(&visit, Faults::default()).await?)
}

async fn security(visit: &Visit, faults: Faults) -> Result<SecurityPage<'_>> {
    let own = factors::list_own(&visit.app, &visit.actor).await?;
    let frame = &visit.frame;
    let line = |factor: FactorOut| FactorLine {
        created: frame.moment(&factor.created_at),
        last_used: factor.last_used_at.as_deref().map(|at| frame.moment(at)),
        factor,
    };
    Ok(SecurityPage {
        f: frame,
        factors: own.factors.into_iter().map(line).collect(),
        codes_left: own.recovery_codes_left,
        enrolment_only: frame.visitor.as_ref().is_some_and(|visitor| visitor.enrolment_only),
        faults,
    })
}

pub(crate) async fn start_totp(visit: Visit, Form(_): Form<Nothing>) -> Shown {
    let made = factors::start_totp(&visit.app, &visit.actor, &TotpIn::default()).await?;
    let (Some(secret), Some(uri)) = (&made.secret, &made.uri) else { return go(SECURITY, "") };
    let code = QrCode::new(uri).map_err(Error::internal)?;
    let picture = code.render::<svg::Color>().min_dimensions(200, 200).build();
    // The declaration is for files of their own.
    let picture = picture.split_once("?>").map_or(picture.clone(), |(_, svg)| svg.to_owned());
    super::page(&TotpPage { f: &visit.frame, id: &made.id, secret, picture })
}

/// What the authenticator shows.
#[derive(Deserialize)]
pub(crate) struct CodeForm {
    code: Option<Password>,
}

pub(crate) async fn confirm(visit: Visit, Path(id): Path<String>, Form(form): Form<CodeForm>) -> Shown {
    let input = ConfirmIn { code: form.code, passkey: None };
    match factors::confirm(&visit.app, &visit.actor, &id, &input).await {
        Ok(mut confirmed) => {
            let cookie = auth::take_cookie(&visit.app, &mut confirmed.opened);
            let mut response = match &confirmed.recovery_codes {
                Some(codes) => super::page(&CodesPage { f: &visit.frame, codes })?,
                None => go(SECURITY, "added")?,
            };
            keep(&mut response, cookie)?;
            Ok(response)
        }
        Err(Error::Unauthenticated(_) | Error::Invalid(_)) => {
            let page = super::page(&CodePage { f: &visit.frame, id: &id })?;
            Ok((StatusCode::UNPROCESSABLE_ENTITY, page).into_response())
        }
        Err(error) => Err(error.into()),
    }
}

fn keep(response: &mut Response, cookie: Option<String>) -> Result<()> {
    if let Some(cookie) = cookie {
        let cookie = HeaderValue::from_str(&cookie).map_err(Error::internal)?;
        response.headers_mut().append(SET_COOKIE, cookie);
    }
    Ok(())
}

pub(crate) async fn replace_codes(visit: Visit, Form(_): Form<Nothing>) -> Shown {
    let made = factors::replace_codes(&visit.app, &visit.actor).await?;
    let codes = made.recovery_codes.unwrap_or_default();
    super::page(&CodesPage { f: &visit.frame, codes: &codes })
}

pub(crate) async fn remove(visit: Visit, Path(id): Path<String>, Form(_): Form<Nothing>) -> Shown {
    factors::remove(&visit.app, &visit.actor, &id).await?;
    go(SECURITY, "removed")
}

/// The old password and the new one.
#[derive(Deserialize)]
pub(crate) struct PasswordForm {
    old_password: Password,
    new_password: Password,
}

pub(crate) async fn change_password(visit: Visit, Form(form): Form<PasswordForm>) -> Shown {
    let input = ChangeIn { old_password: form.old_password, new_password: form.new_password };
    match passwords::change(&visit.app, &visit.actor, &input).await {
        Ok(renewed) => Ok(login::in_session(&visit.app, renewed, "/console/me/security?done=password")),
        Err(Error::Unauthenticated(_)) => {
            let detail = visit.frame.t("The present password is not right.");
            refuse(&visit, Error::invalid("old_password", "bad_value", detail)).await
        }
        Err(error) => refuse(&visit, error).await,
    }
}

async fn refuse(visit: &Visit, error: Error) -> Shown {
    let page = super::page(&security(visit, Faults::of(error)?).await?)?;
    Ok((StatusCode::UNPROCESSABLE_ENTITY, page).into_response())
}
