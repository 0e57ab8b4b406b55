//! Incidents: the list of them, and ending many keys at once, with a look at them first (X10).

use askama::Template;
use axum::http::StatusCode;
use axum::response::IntoResponse as _;
use keyward_core::key::KeyClass;
use serde::Deserialize;

use super::audit::instant;
use super::form::{Faults, Form};
use super::frame::Frame;
use super::gate::Visit;
use super::keys::class_name;
use super::moment::Moment;
use super::{Shown, go};
use crate::error::{Error, Result};
use crate::http::json::Query;
use crate::incidents::{self, IncidentDone, IncidentIn, IncidentOut};
use crate::keys::bulk::Ending;
use crate::keys::wire::BulkFilter;
use crate::names::Username;
use crate::store::page::Page;
use crate::store::users::UserFilter;
use crate::users;

/// Keys that a page lists, at most.
pub(super) const LISTED: usize = 200;

/// An incident in the list.
struct Line {
    incident: IncidentOut,
    at: Moment,
    action: &'static str,
}

#[derive(Template)]
#[template(path = "incidents.html")]
struct ListPage<'a> {
    f: &'a Frame,
    lines: Vec<Line>,
    may_declare: bool,
    /// The next page, as a link.
    older: Option<String>,
}

/// Where the list goes on.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct ListQuery {
    cursor: Option<String>,
}

pub(crate) async fn list(visit: Visit, Query(query): Query<ListQuery>) -> Shown {
    let page = Page::read(None, query.cursor.as_deref(), "incidents")?;
    let listed = incidents::list(&visit.app, &visit.actor, &page).await?;
    let frame = &visit.frame;
    let line = |incident: IncidentOut| Line {
        at: frame.moment(&incident.created_at),
        action: action_name(frame, &incident.action),
        incident,
    };
    super::page(&ListPage {
        f: frame,
        lines: listed.data.into_iter().map(line).collect(),
        may_declare: frame.may("keys:revoke") || frame.may("keys:edit"),
        older: listed.next_cursor.map(|cursor| format!("/console/incidents?cursor={cursor}")),
    })
}

/// What was done to the keys, in words.
pub(super) fn action_name(frame: &Frame, action: &str) -> &'static str {
    match action {
        "revoke" => frame.t("Ended for good"),
        _ => frame.t("Switched off"),
    }
}

/// Which keys, and what becomes of them.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct IncidentForm {
    /// A user name, or an id.
    owner: Option<String>,
    class: Option<String>,
    label_contains: Option<String>,
    created_before: Option<String>,
    created_after: Option<String>,
    all: Option<String>,
    /// `deactivate` or `revoke`.
    action: Option<String>,
    reason: Option<String>,
    confirm: Option<String>,
}

impl IncidentForm {
    fn is_revoke(&self) -> bool {
        self.action.as_deref() == Some("revoke")
    }

    /// What was filled in, to be sent once more with the confirmation.
    fn kept(&self) -> Vec<(&'static str, &str)> {
        let fields = [
            ("owner", &self.owner),
            ("class", &self.class),
            ("label_contains", &self.label_contains),
            ("created_before", &self.created_before),
            ("created_after", &self.created_after),
            ("all", &self.all),
            ("action", &self.action),
            ("reason", &self.reason),
        ];
        fields.into_iter().filter_map(|(name, value)| Some((name, value.as_deref()?))).collect()
    }

    /// As the operation takes it.
    async fn input(&self, visit: &Visit, preview: bool) -> Result<IncidentIn> {
        let class = match self.class.as_deref() {
            Some(text) => {
                Some(KeyClass::parse(text).ok_or_else(|| bad("/filter/class", "there is no such class"))?)
            }
            None => None,
        };
        let filter = BulkFilter {
            owner_id: owner(visit, self.owner.as_deref()).await?,
            class,
            status: None,
            label: None,
            label_contains: self.label_contains.clone(),
            created_before: instant(self.created_before.as_deref(), "T00:00:00Z"),
            created_after: instant(self.created_after.as_deref(), "T00:00:00Z"),
            last_used_before: None,
            all: self.all.is_some(),
        };
        let action = if self.is_revoke() { Ending::Revoke } else { Ending::Deactivate };
        let confirm = self.confirm.as_deref().map(|phrase| phrase.trim().to_owned());
        Ok(IncidentIn { filter, action, reason: self.reason.clone(), preview, confirm })
    }
}

fn bad(pointer: &str, detail: &str) -> Error {
    Error::invalid(pointer, "bad_value", detail)
}

/// The id of the user who is named.
async fn owner(visit: &Visit, name: Option<&str>) -> Result<Option<String>> {
    let Some(name) = name.map(str::trim) else { return Ok(None) };
    if name.starts_with("user_") {
        return Ok(Some(name.to_owned()));
    }
    let nobody = || bad("/filter/owner_id", "there is no such user");
    if !visit.actor.may("users:read") {
        return Err(nobody());
    }
    let key = Username::parse_any(name).map_err(|_| nobody())?.key;
    let filter = UserFilter { username_key: Some(key), ..UserFilter::default() };
    let found = users::list(&visit.app, &visit.actor, &filter, &Page::read(Some(1), None, "one")?).await?;
    found.data.into_iter().next().map(|user| Some(user.id)).ok_or_else(nobody)
}

#[derive(Template)]
#[template(path = "incident_new.html")]
struct NewPage<'a> {
    f: &'a Frame,
    form: &'a IncidentForm,
    classes: Vec<(&'static str, &'static str)>,
    may_revoke: bool,
    may_deactivate: bool,
    faults: &'a Faults,
}

/// The form, filled in from the query, so that a link can prepare it.
pub(crate) async fn new(visit: Visit, Query(form): Query<IncidentForm>) -> Shown {
    visit.must_be_fresh()?;
    ask(&visit, &form, &Faults::default())
}

fn ask(visit: &Visit, form: &IncidentForm, faults: &Faults) -> Shown {
    let frame = &visit.frame;
    super::page(&NewPage {
        f: frame,
        form,
        classes: KeyClass::ALL.map(|class| (class.as_str(), class_name(frame, class))).to_vec(),
        may_revoke: frame.may("keys:revoke"),
        may_deactivate: frame.may("keys:edit"),
        faults,
    })
}

#[derive(Template)]
#[template(path = "incident_preview.html")]
struct PreviewPage<'a> {
    f: &'a Frame,
    form: &'a IncidentForm,
    told: IncidentDone,
    /// Keys that match and are not listed.
    unlisted: usize,
    faults: &'a Faults,
}

/// Which keys it would be, and how many.
pub(crate) async fn preview(visit: Visit, Query(form): Query<IncidentForm>) -> Shown {
    visit.must_be_fresh()?;
    match look(&visit, &form).await {
        Ok(told) => confirm(&visit, &form, told, &Faults::default()),
        Err(error) => {
            let page = ask(&visit, &form, &Faults::of(error)?)?;
            Ok((StatusCode::UNPROCESSABLE_ENTITY, page).into_response())
        }
    }
}

async fn look(visit: &Visit, form: &IncidentForm) -> Result<IncidentDone> {
    incidents::declare(&visit.app, &visit.actor, form.input(visit, true).await?).await
}

fn confirm(visit: &Visit, form: &IncidentForm, mut told: IncidentDone, faults: &Faults) -> Shown {
    told.keys.truncate(LISTED);
    let unlisted = told.matched.saturating_sub(told.keys.len());
    super::page(&PreviewPage { f: &visit.frame, form, told, unlisted, faults })
}

pub(crate) async fn declare(visit: Visit, Form(form): Form<IncidentForm>) -> Shown {
    let done = match form.input(&visit, false).await {
        Ok(input) => incidents::declare(&visit.app, &visit.actor, input).await,
        Err(error) => Err(error),
    };
    match done {
        Ok(done) => go(&format!("/console/incidents/{}", done.id.unwrap_or_default()), "incident"),
        Err(error) => {
            let faults = Faults::of(error)?;
            let page = match look(&visit, &form).await {
                Ok(told) => confirm(&visit, &form, told, &faults)?,
                Err(error) => ask(&visit, &form, &Faults::of(error)?)?,
            };
            Ok((StatusCode::UNPROCESSABLE_ENTITY, page).into_response())
        }
    }
}
