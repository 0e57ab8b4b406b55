//! When somebody leaves: every key of a user with its last use, before the keys or the user are ended
//! (SQ7, VA5).

use askama::Template;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;

use super::form::{Faults, Form};
use super::frame::Frame;
use super::gate::Visit;
use super::keys::KeyLine;
use super::user::{key_lines, session_lines};
use super::{Shown, go};
use crate::clock::parse_rfc3339;
use crate::error::{Error, Result};
use crate::http::problem::Problem;
use crate::users::{self, RevokeKeysIn, UserOut};

const DAY_MS: i64 = 86_400_000;
/// More keys than this are not ended without a second look.
const MANY: i64 = 10;

#[derive(Template)]
#[template(path = "user_leave.html")]
struct LeavePage<'a> {
    f: &'a Frame,
    user: &'a UserOut,
    /// The user goes too; else the keys alone.
    whole: bool,
    /// Keys that would end.
    matched: i64,
    /// Nothing where who looks may not see them; the first ones where there are very many.
    keys: Option<Vec<KeyLine>>,
    /// Keys that were used within a day.
    recent: usize,
    sessions: Option<usize>,
    reason: &'a str,
    is_wrong_name: bool,
    faults: &'a Faults,
}

impl LeavePage<'_> {
    /// Friction as the risk is: keys in use, or many of them, ask for the name of the user.
    fn asks_name(&self) -> bool {
        self.recent > 0 || self.matched > MANY
    }

    /// Keys that are not in the table.
    fn unlisted(&self) -> i64 {
        let listed = self.keys.as_ref().map_or(0, Vec::len);
        (self.matched - i64::try_from(listed).unwrap_or(self.matched)).max(0)
    }
}

/// Why, and the name of the user where it is asked for.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct LeaveForm {
    reason: Option<String>,
    username: Option<String>,
}

/// What the page shows, read once for asking and for doing.
struct Leaving {
    user: UserOut,
    matched: i64,
    keys: Option<Vec<KeyLine>>,
    recent: usize,
    sessions: Option<usize>,
}

async fn leaving(visit: &Visit, id: &str) -> Result<Leaving> {
    let user = users::show(&visit.app, &visit.actor, id).await?;
    let keys = key_lines(visit, id).await?.map(|listed| listed.data);
    let since = visit.frame.now - DAY_MS;
    let is_recent = |line: &&KeyLine| {
        line.key.last_used_at.as_deref().and_then(parse_rfc3339).is_some_and(|at| at >= since)
    };
    Ok(Leaving {
        matched: user.key_count,
        recent: keys.iter().flatten().filter(is_recent).count(),
        sessions: session_lines(visit, id).await?.map(|lines| lines.len()),
        keys,
        user,
    })
}

impl Leaving {
    fn page<'a>(
        &'a mut self,
        f: &'a Frame,
        (whole, is_wrong_name): (bool, bool),
        form: &'a LeaveForm,
        faults: &'a Faults,
    ) -> LeavePage<'a> {
        LeavePage {
            f,
            whole,
            matched: self.matched,
            keys: self.keys.take(),
            recent: self.recent,
            sessions: self.sessions,
            reason: form.reason.as_deref().unwrap_or_default(),
            is_wrong_name,
            faults,
            user: &self.user,
        }
    }
}

pub(crate) async fn ask_revoke_keys(visit: Visit, Path(id): Path<String>) -> Shown {
    let mut leaving = leaving(&visit, &id).await?;
    // Who may not end the keys learns it here, and the number is the one that the operation counts.
    let input = RevokeKeysIn { preview: true, ..RevokeKeysIn::default() };
    let preview = users::revoke_keys(&visit.app, &visit.actor, &id, &input).await?;
    leaving.matched = i64::try_from(preview.matched).unwrap_or(i64::MAX);
    let (form, faults) = (LeaveForm::default(), Faults::default());
    super::page(&leaving.page(&visit.frame, (false, false), &form, &faults))
}

pub(crate) async fn revoke_keys(visit: Visit, Path(id): Path<String>, Form(form): Form<LeaveForm>) -> Shown {
    if let Some(refusal) = wrong_name(&visit, &id, &form, false).await? {
        return Ok(refusal);
    }
    let input = RevokeKeysIn { reason: form.reason.clone(), preview: false, confirm: true };
    match users::revoke_keys(&visit.app, &visit.actor, &id, &input).await {
        Ok(_) => go(&format!("/console/users/{id}"), "keys-revoked"),
        Err(error) => refuse(&visit, &id, &form, false, error).await,
    }
}

pub(crate) async fn ask_delete(visit: Visit, Path(id): Path<String>) -> Shown {
    let mut leaving = leaving(&visit, &id).await?;
    let (form, faults) = (LeaveForm::default(), Faults::default());
    super::page(&leaving.page(&visit.frame, (true, false), &form, &faults))
}

pub(crate) async fn delete(visit: Visit, Path(id): Path<String>, Form(form): Form<LeaveForm>) -> Shown {
    if let Some(refusal) = wrong_name(&visit, &id, &form, true).await? {
        return Ok(refusal);
    }
    match users::delete(&visit.app, &visit.actor, &id).await {
        Ok(()) => go("/console/users", "user-deleted"),
        Err(error) => refuse(&visit, &id, &form, true, error).await,
    }
}

/// The page again, with what stands against it.
async fn refuse(visit: &Visit, id: &str, form: &LeaveForm, whole: bool, error: Error) -> Shown {
    let faults = Faults::of(error)?;
    let mut leaving = leaving(visit, id).await?;
    let page = super::page(&leaving.page(&visit.frame, (whole, false), form, &faults))?;
    Ok((StatusCode::UNPROCESSABLE_ENTITY, page).into_response())
}

/// The page again, if the name was asked for and is not that of the user.
async fn wrong_name(
    visit: &Visit,
    id: &str,
    form: &LeaveForm,
    whole: bool,
) -> Result<Option<Response>, Problem> {
    let mut leaving = leaving(visit, id).await?;
    let faults = Faults::default();
    let is_wrong = form.username.as_deref().map(str::trim) != Some(&*leaving.user.username);
    let page = leaving.page(&visit.frame, (whole, true), form, &faults);
    if !page.asks_name() || !is_wrong {
        return Ok(None);
    }
    let page = super::page(&page)?;
    Ok(Some((StatusCode::UNPROCESSABLE_ENTITY, page).into_response()))
}
