//! Ending a key: what would stop, before the button.

use askama::Template;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::IntoResponse as _;
use serde::Deserialize;

use super::form::Form;
use super::frame::Frame;
use super::gate::Visit;
use super::key::{line, may};
use super::keys::{KeyLine, class_name};
use super::{Shown, go};
use crate::http::json::Query;
use crate::keys::wire::UsageOut;
use crate::keys::{lifecycle, usage};
use crate::sessions::lists;
use crate::store::page::Page;

/// A day and a week.
const HOURS: (i64, i64) = (24, 168);

#[derive(Template)]
#[template(path = "key_revoke.html")]
struct RevokePage<'a> {
    f: &'a Frame,
    line: &'a KeyLine,
    class: &'static str,
    day: UsageOut,
    week: UsageOut,
    /// Secrets that work now.
    secrets: usize,
    rights: usize,
    /// Sessions that began with the key; not all of them if there are very many.
    sessions: usize,
    may_deactivate: bool,
    form: &'a ReasonForm,
    is_wrong_name: bool,
}

impl RevokePage<'_> {
    /// A key that is in use asks for its name.
    fn asks_name(&self) -> bool {
        self.day.total.allowed > 0
    }

    /// What is ticked at first: that which can be undone.
    fn ends(&self) -> bool {
        self.is_wrong_name || !self.may_deactivate || self.form.how.as_deref() == Some("revoke")
    }
}

/// Why, and whether for good.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct ReasonForm {
    pub(super) reason: Option<String>,
    /// `deactivate` or `revoke`.
    how: Option<String>,
    /// The name of the key, where it is asked for.
    label: Option<String>,
}

/// The page, filled in from the query, so that a link can prepare it.
pub(crate) async fn ask(visit: Visit, Path(id): Path<String>, Query(form): Query<ReasonForm>) -> Shown {
    confirm(&visit, &id, &form, false).await
}

async fn confirm(visit: &Visit, id: &str, form: &ReasonForm, is_wrong_name: bool) -> Shown {
    let (frame, line) = (&visit.frame, line(visit, id).await?);
    let page = Page::read(Some(200), None, "sessions of a key")?;
    let sessions = lists::list_of_key(&visit.app, &visit.actor, id, &page).await?;
    let own = line.key.owner_id.is_some() && line.key.owner_id.as_deref() == visit.actor.user_id();
    super::page(&RevokePage {
        f: frame,
        class: class_name(frame, line.key.class),
        day: usage::show(&visit.app, &visit.actor, id, Some(HOURS.0)).await?,
        week: usage::show(&visit.app, &visit.actor, id, Some(HOURS.1)).await?,
        secrets: line.key.secrets.iter().filter(|secret| secret.live).count(),
        rights: line.key.effective_rights.as_ref().map_or(0, Vec::len),
        sessions: sessions.data.len(),
        may_deactivate: may(frame, own, "edit"),
        line: &line,
        form,
        is_wrong_name,
    })
}

pub(crate) async fn revoke(visit: Visit, Path(id): Path<String>, Form(form): Form<ReasonForm>) -> Shown {
    let reason = form.reason.as_deref();
    if form.how.as_deref() != Some("revoke") {
        lifecycle::deactivate(&visit.app, &visit.actor, &id, reason).await?;
        return go(&format!("/console/keys/{id}"), "deactivated");
    }
    let line = line(&visit, &id).await?;
    let calls = usage::show(&visit.app, &visit.actor, &id, Some(HOURS.0)).await?.total.allowed;
    if calls > 0 && form.label.as_deref().map(str::trim) != Some(&*line.key.label) {
        let page = confirm(&visit, &id, &form, true).await?;
        return Ok((StatusCode::UNPROCESSABLE_ENTITY, page).into_response());
    }
    lifecycle::revoke(&visit.app, &visit.actor, &id, reason).await?;
    go(&format!("/console/keys/{id}"), "revoked")
}
