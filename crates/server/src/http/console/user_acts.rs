//! What is done to one user: barring, letting back in, and help for who cannot log in (AUT-5, SES-5).

use askama::Template;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::IntoResponse as _;
use serde::Deserialize;

use super::form::{Faults, Form};
use super::frame::Frame;
use super::gate::Visit;
use super::login::Nothing;
use super::moment::Moment;
use super::user::{factor_lines, session_lines};
use super::{Shown, go};
use crate::factors;
use crate::http::idempotency::{self, Sent};
use crate::passwords::{self, links};
use crate::random;
use crate::sessions;
use crate::users::{self, UserOut};
use crate::wire::ReasonIn;

/// Why somebody is barred.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct WhyForm {
    reason: Option<String>,
}

#[derive(Template)]
#[template(path = "user_suspend.html")]
struct SuspendPage<'a> {
    f: &'a Frame,
    user: &'a UserOut,
    /// Nothing where who looks may not see them.
    sessions: Option<usize>,
    reason: &'a str,
    faults: &'a Faults,
}

pub(crate) async fn ask_suspend(visit: Visit, Path(id): Path<String>) -> Shown {
    confirm_suspend(&visit, &id, "", &Faults::default()).await
}

async fn confirm_suspend(visit: &Visit, id: &str, reason: &str, faults: &Faults) -> Shown {
    let user = users::show(&visit.app, &visit.actor, id).await?;
    let sessions = session_lines(visit, id).await?.map(|lines| lines.len());
    super::page(&SuspendPage { f: &visit.frame, user: &user, sessions, reason, faults })
}

pub(crate) async fn suspend(visit: Visit, Path(id): Path<String>, Form(form): Form<WhyForm>) -> Shown {
    let input = ReasonIn { reason: form.reason };
    let suspended = match input.checked() {
        Ok(reason) => users::suspend(&visit.app, &visit.actor, &id, reason).await,
        Err(error) => Err(error),
    };
    match suspended {
        Ok(_) => go(&format!("/console/users/{id}"), "user-suspended"),
        Err(error) => {
            let faults = Faults::of(error)?;
            let reason = input.reason.as_deref().unwrap_or_default();
            let page = confirm_suspend(&visit, &id, reason, &faults).await?;
            Ok((StatusCode::UNPROCESSABLE_ENTITY, page).into_response())
        }
    }
}

pub(crate) async fn resume(visit: Visit, Path(id): Path<String>, Form(_): Form<Nothing>) -> Shown {
    users::resume(&visit.app, &visit.actor, &id).await?;
    go(&format!("/console/users/{id}"), "user-resumed")
}

pub(crate) async fn unlock(visit: Visit, Path(id): Path<String>, Form(_): Form<Nothing>) -> Shown {
    passwords::unlock(&visit.app, &visit.actor, &id).await?;
    go(&format!("/console/users/{id}"), "user-unlocked")
}

pub(crate) async fn end_sessions(visit: Visit, Path(id): Path<String>, Form(_): Form<Nothing>) -> Shown {
    sessions::end_of(&visit.app, &visit.actor, &id).await?;
    go(&format!("/console/users/{id}"), "sessions-ended")
}

#[derive(Template)]
#[template(path = "user_factors.html")]
struct FactorsPage<'a> {
    f: &'a Frame,
    user: &'a UserOut,
    factors: usize,
    codes_left: i64,
    sessions: usize,
}

pub(crate) async fn ask_reset(visit: Visit, Path(id): Path<String>) -> Shown {
    visit.must_be_fresh()?;
    let user = users::show(&visit.app, &visit.actor, &id).await?;
    let (factors, codes_left) = factor_lines(&visit, &id).await?;
    let sessions = session_lines(&visit, &id).await?;
    super::page(&FactorsPage {
        f: &visit.frame,
        user: &user,
        factors: factors.map_or(0, |lines| lines.len()),
        codes_left,
        sessions: sessions.map_or(0, |lines| lines.len()),
    })
}

pub(crate) async fn reset_factors(visit: Visit, Path(id): Path<String>, Form(_): Form<Nothing>) -> Shown {
    factors::reset(&visit.app, &visit.actor, &id).await?;
    go(&format!("/console/users/{id}"), "factors-reset")
}

#[derive(Template)]
#[template(path = "user_link_new.html")]
struct AskLinkPage<'a> {
    f: &'a Frame,
    user: &'a UserOut,
    once: String,
}

#[derive(Template)]
#[template(path = "user_link.html")]
struct LinkPage<'a> {
    f: &'a Frame,
    id: &'a str,
    username: &'a str,
    /// With the token behind `#`, which no browser sends.
    link: &'a str,
    /// The user had no password before.
    is_first: bool,
    expires: Moment,
}

/// The mark of a form that makes something once.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct OnceForm {
    once: Option<String>,
}

pub(crate) async fn ask_link(visit: Visit, Path(id): Path<String>) -> Shown {
    visit.must_be_fresh()?;
    let user = users::show(&visit.app, &visit.actor, &id).await?;
    super::page(&AskLinkPage { f: &visit.frame, user: &user, once: random::hex::<16>() })
}

/// Answers with the link itself, which no address leads to.
pub(crate) async fn make_link(mut visit: Visit, Path(id): Path<String>, Form(form): Form<OnceForm>) -> Shown {
    let location = format!("/console/users/{id}");
    let mark = form.once.as_deref().unwrap_or_default();
    if let Sent::Before(location) = idempotency::send_once(&visit.app, &mut visit.actor, mark).await? {
        return go(&location, "link-shown");
    }
    let made = links::start_reset(&visit.app, &visit.actor, &id).await;
    idempotency::settle(&visit.app, &visit.actor, made.is_ok().then_some(&*location)).await?;
    let made = made?;
    let Some(token) = &made.token else { return go(&location, "link-shown") };
    let link = format!("{}/console/password#{token}", visit.app.settings.server.base_url());
    super::page(&LinkPage {
        f: &visit.frame,
        id: &id,
        username: &made.username,
        link: &link,
        is_first: made.kind == "invitation",
        expires: visit.frame.moment(&made.expires_at),
    })
}
