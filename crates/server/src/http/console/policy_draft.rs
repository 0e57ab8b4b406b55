//! Drafts of the policy: filled in, looked at, applied or dropped (X5). Nothing changes before it is applied.

use std::collections::BTreeMap;

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
use super::policy::{Change, POLICY, changes, reasons, state_name};
use super::rule::{self, Section};
use super::who;
use super::{Shown, go};
use crate::error::Result;
use crate::http::v1::policies::export;
use crate::policies;
use crate::policies::drafts::{self, ApplyIn, DraftIn, DraftOut};
use crate::policies::impact::{SimulationOut, simulate};

/// The rules as they were filled in, by path; with `note` and `version`.
#[derive(Debug, Default, Deserialize)]
#[serde(transparent)]
pub(crate) struct PolicyForm(BTreeMap<String, String>);

#[derive(Template)]
#[template(path = "policy_edit.html")]
struct EditPage<'a> {
    f: &'a Frame,
    sections: Vec<Section>,
    note: &'a str,
    version: i64,
    faults: &'a Faults,
}

pub(crate) async fn edit(visit: Visit) -> Shown {
    let now = policies::show(&visit.app, &visit.actor).await?;
    let (document, faults) = (rule::document(&now.policy)?, Faults::default());
    super::page(&EditPage {
        f: &visit.frame,
        sections: rule::form(&visit.frame, &|path| rule::text(&document, path), &faults),
        note: "",
        version: now.version,
        faults: &faults,
    })
}

pub(crate) async fn draft(mut visit: Visit, Form(form): Form<PolicyForm>) -> Shown {
    let now = policies::show(&visit.app, &visit.actor).await?;
    // What was filled in is about the rules that the form showed.
    visit.actor.if_match = form.0.get("version").and_then(|version| version.parse().ok());
    visit.actor.check_version(now.version)?;
    visit.actor.if_match = None;
    let sent = |path: &str| form.0.get(path).cloned();
    let input = DraftIn { patch: Some(rule::patch(&sent)), policy: None, note: sent("note") };
    match drafts::create(&visit.app, &visit.actor, input).await {
        Ok(draft) => go(&format!("{POLICY}/drafts/{}", draft.id), "drafted"),
        Err(error) => {
            let faults = Faults::of(error)?;
            let value = |path: &str| sent(path).unwrap_or_default();
            let page = super::page(&EditPage {
                f: &visit.frame,
                sections: rule::form(&visit.frame, &value, &faults),
                note: form.0.get("note").map_or("", String::as_str),
                version: now.version,
                faults: &faults,
            })?;
            Ok((StatusCode::UNPROCESSABLE_ENTITY, page).into_response())
        }
    }
}

/// What a draft would do.
struct Effect {
    told: SimulationOut,
    reasons: Vec<(&'static str, String)>,
}

/// Nothing for those who may not stop keys, nor for what was applied.
async fn effect(visit: &Visit, draft: &DraftOut) -> Result<Option<Effect>> {
    if !visit.actor.may("policies:write") || draft.state == "applied" {
        return Ok(None);
    }
    let told = simulate(&visit.app, &visit.actor, &draft.id).await?;
    Ok(Some(Effect { reasons: reasons(&visit.frame, &told), told }))
}

#[derive(Template)]
#[template(path = "policy_draft.html")]
struct DraftPage<'a> {
    f: &'a Frame,
    draft: &'a DraftOut,
    state: &'static str,
    changes: Vec<Change>,
    effect: Option<Effect>,
    created: Moment,
    starts: Option<Moment>,
    is_open: bool,
}

pub(crate) async fn show(visit: Visit, Path(id): Path<String>) -> Shown {
    let mut draft = drafts::show(&visit.app, &visit.actor, &id).await?;
    who::put_names(&visit, vec![&mut draft.created_by]).await;
    let frame = &visit.frame;
    super::page(&DraftPage {
        f: frame,
        state: state_name(frame, &draft),
        changes: changes(frame, &draft.differences),
        effect: effect(&visit, &draft).await?,
        created: frame.moment(&draft.created_at),
        starts: draft.starts_at.as_deref().map(|at| frame.moment(at)),
        is_open: draft.state != "applied" && visit.actor.may("policies:write"),
        draft: &draft,
    })
}

/// Every key that a draft would do something to, as CSV.
pub(crate) async fn impact(visit: Visit, Path(id): Path<String>) -> Shown {
    export(visit.app, visit.actor, id, None).await
}

#[derive(Template)]
#[template(path = "policy_apply.html")]
struct ApplyPage<'a> {
    f: &'a Frame,
    draft: &'a DraftOut,
    changes: Vec<Change>,
    effect: Option<Effect>,
    form: &'a ApplyForm,
    faults: &'a Faults,
}

/// Now or at a moment.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct ApplyForm {
    /// `now` or `later`.
    when: Option<String>,
    /// As `datetime-local` gives it, in UTC.
    starts_at: Option<String>,
    version: Option<String>,
}

impl ApplyForm {
    fn is_later(&self) -> bool {
        self.when.as_deref() == Some("later")
    }

    fn starts_at(&self) -> Option<String> {
        // Browsers leave the seconds out.
        let text = self.starts_at.as_deref().unwrap_or_default();
        let seconds = if text.len() == "2027-01-31T12:00".len() { ":00" } else { "" };
        self.is_later().then(|| format!("{text}{seconds}Z"))
    }
}

pub(crate) async fn ask_apply(visit: Visit, Path(id): Path<String>) -> Shown {
    visit.must_be_fresh()?;
    confirm_apply(&visit, &id, &ApplyForm::default(), &Faults::default()).await
}

async fn confirm_apply(visit: &Visit, id: &str, form: &ApplyForm, faults: &Faults) -> Shown {
    let draft = drafts::show(&visit.app, &visit.actor, id).await?;
    super::page(&ApplyPage {
        f: &visit.frame,
        changes: changes(&visit.frame, &draft.differences),
        effect: effect(visit, &draft).await?,
        draft: &draft,
        form,
        faults,
    })
}

pub(crate) async fn apply(mut visit: Visit, Path(id): Path<String>, Form(form): Form<ApplyForm>) -> Shown {
    visit.actor.if_match = form.version.as_deref().and_then(|version| version.parse().ok());
    let input = ApplyIn { starts_at: form.starts_at() };
    match drafts::apply(&visit.app, &visit.actor, &id, &input).await {
        Ok(draft) if draft.state == "applied" => go(POLICY, "applied"),
        Ok(_) => go(&format!("{POLICY}/drafts/{id}"), "scheduled"),
        Err(error) => {
            let page = confirm_apply(&visit, &id, &form, &Faults::of(error)?).await?;
            Ok((StatusCode::UNPROCESSABLE_ENTITY, page).into_response())
        }
    }
}

pub(crate) async fn rebase(visit: Visit, Path(id): Path<String>, Form(_): Form<Nothing>) -> Shown {
    drafts::rebase(&visit.app, &visit.actor, &id).await?;
    go(&format!("{POLICY}/drafts/{id}"), "rebased")
}

pub(crate) async fn discard(visit: Visit, Path(id): Path<String>, Form(_): Form<Nothing>) -> Shown {
    drafts::delete(&visit.app, &visit.actor, &id).await?;
    go(POLICY, "discarded")
}
