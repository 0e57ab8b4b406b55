//! Keys that were ticked in the list, or all that it finds: looked at together with their facts, then revoked,
//! extended, switched off or on. Each is judged, and told in the audit log, by itself.

use std::collections::HashSet;

use askama::Template;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;

use super::form::{Faults, Form, is_own_path};
use super::frame::Frame;
use super::gate::Visit;
use super::key_facts::{Choice, LISTED, Wish, detail};
use super::key_new::extension;
use super::keys::MOST_MATCHING;
use super::{Shown, go};
use crate::app::Actor;
use crate::error::{Error, Result};
use crate::http::json::parse_query;
use crate::http::v1::keys::ListQuery;
use crate::keys::chosen;
use crate::keys::lifecycle::Act;
use crate::names::check_label;

/// Keys that one form may name.
const MOST: usize = 200;

/// What a form about several keys holds.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct ChoiceForm {
    id: Vec<String>,
    /// In place of ids: all that a list with this filter finds.
    matching: Option<String>,
    filter: Option<String>,
    /// What stands for those that the preview told would be changed.
    set: Option<String>,
    /// `revoke`, `extend`, `deactivate` or `activate`.
    action: Option<String>,
    /// Days, `date` or `never`, where they are extended.
    validity: Option<String>,
    expires_on: Option<String>,
    reason: Option<String>,
    /// The phrase, where it is asked for.
    confirm: Option<String>,
    /// The part of the list that the keys were chosen from.
    back: Option<String>,
}

impl ChoiceForm {
    /// Where the list is.
    fn back(&self, frame: &Frame) -> String {
        let whole = if frame.may("keys:read") { "/console/keys" } else { "/console/me/keys" };
        self.back.clone().filter(|path| is_own_path(path)).unwrap_or_else(|| whole.to_owned())
    }

    /// Which keys, each once.
    async fn keys(&self, visit: &Visit) -> Result<Vec<String>> {
        if self.matching.is_some() {
            let query: ListQuery = parse_query(self.filter.as_deref().unwrap_or_default())?;
            let ids = query.matching(visit).await?;
            let most = usize::try_from(MOST_MATCHING).map_err(Error::internal)?;
            return if ids.len() > most { Err(too_many(most)) } else { Ok(ids) };
        }
        let mut known = HashSet::new();
        let ids: Vec<&String> = self.id.iter().filter(|id| known.insert(id.as_str())).collect();
        if ids.len() > MOST { Err(too_many(MOST)) } else { Ok(ids.into_iter().cloned().collect()) }
    }

    fn is_extension(&self) -> bool {
        self.action.as_deref() == Some("extend")
    }

    fn wish(&self) -> Result<Wish> {
        let (name, done, act) = match self.action.as_deref() {
            Some("revoke") => ("revoke", "chosen-revoked", Act::Revoke),
            Some("deactivate") => ("deactivate", "chosen-off", Act::Deactivate),
            Some("activate") => ("activate", "chosen-on", Act::Activate),
            Some("extend") => {
                let end = extension(self.validity.as_deref(), self.expires_on.as_deref())?;
                ("extend", "chosen-extended", Act::Extend(end.wish()?))
            }
            _ => {
                let detail = "expected revoke, extend, deactivate or activate";
                return Err(Error::malformed("/action", "bad_value", detail));
            }
        };
        Ok(Wish { name, done, act })
    }

    /// What is wrong with what was filled in.
    fn check(&self, choice: &Choice, frame: &Frame) -> Result<()> {
        if let Some(reason) = &self.reason {
            check_label("/reason", reason, 500)?;
        }
        if self.matching.is_some() && self.set != Some(choice.mark()) {
            let detail = frame.t("By now other keys match. Look at them once more.");
            return Err(Error::invalid("/set", "not_confirmed", detail));
        }
        let is_typed = self.confirm.as_deref().map(str::trim) == Some(&*choice.phrase());
        if choice.asks() && !is_typed {
            let detail = frame.t("That is not what was to be typed. Look at the number once more.");
            return Err(Error::invalid("/confirm", "not_confirmed", detail));
        }
        Ok(())
    }
}

fn too_many(most: usize) -> Error {
    Error::malformed("/id", "too_long", format!("choose at most {most} keys at once"))
}

#[derive(Template)]
#[template(path = "key_choice_none.html")]
struct NonePage<'a> {
    f: &'a Frame,
    matching: bool,
    back: &'a str,
}

/// No key was chosen.
fn nothing(visit: &Visit, form: &ChoiceForm) -> Shown {
    let back = form.back(&visit.frame);
    unacceptable(super::page(&NonePage { f: &visit.frame, matching: form.matching.is_some(), back: &back })?)
}

fn unacceptable(page: Response) -> Shown {
    Ok((StatusCode::UNPROCESSABLE_ENTITY, page).into_response())
}

#[derive(Template)]
#[template(path = "key_choice_end.html")]
struct EndPage<'a> {
    f: &'a Frame,
    form: &'a ChoiceForm,
    keys: &'a [String],
    back: &'a str,
    faults: &'a Faults,
}

/// Until when they shall work: asked for before they are looked at.
fn ask_end(visit: &Visit, form: &ChoiceForm, keys: &[String], faults: &Faults) -> Shown {
    let back = form.back(&visit.frame);
    let page = super::page(&EndPage { f: &visit.frame, form, keys, back: &back, faults })?;
    if faults.is_empty() { Ok(page) } else { unacceptable(page) }
}

#[derive(Template)]
#[template(path = "key_choice.html")]
struct ChoicePage<'a> {
    f: &'a Frame,
    choice: &'a Choice,
    form: &'a ChoiceForm,
    back: &'a str,
    faults: &'a Faults,
}

/// Which keys it would be, and what that would do.
pub(crate) async fn preview(visit: Visit, Form(form): Form<ChoiceForm>) -> Shown {
    let keys = form.keys(&visit).await?;
    if keys.is_empty() {
        return nothing(&visit, &form);
    }
    if form.is_extension() && form.validity.is_none() {
        return ask_end(&visit, &form, &keys, &Faults::default());
    }
    let wish = match form.wish() {
        Err(error) if form.is_extension() => return ask_end(&visit, &form, &keys, &Faults::of(error)?),
        wish => wish?,
    };
    let choice = Choice::look(&visit, wish, &keys).await?;
    confirm(&visit, &form, &choice, &Faults::default())
}

fn confirm(visit: &Visit, form: &ChoiceForm, choice: &Choice, faults: &Faults) -> Shown {
    let back = form.back(&visit.frame);
    if choice.is_empty() {
        return nothing(visit, form);
    }
    let page = super::page(&ChoicePage { f: &visit.frame, choice, form, back: &back, faults })?;
    if faults.is_empty() { Ok(page) } else { unacceptable(page) }
}

/// A key that stayed as it is.
struct Left {
    id: String,
    label: String,
    why: String,
}

#[derive(Template)]
#[template(path = "key_choice_done.html")]
struct DonePage<'a> {
    f: &'a Frame,
    done: usize,
    left: Vec<Left>,
    /// Those of them that are not listed.
    unlisted: usize,
    back: &'a str,
}

pub(crate) async fn carry_out(visit: Visit, Form(form): Form<ChoiceForm>) -> Shown {
    let (keys, wish) = (form.keys(&visit).await?, form.wish()?);
    let choice = Choice::look(&visit, wish, &keys).await?;
    if let Err(error) = form.check(&choice, &visit.frame) {
        return confirm(&visit, &form, &choice, &Faults::of(error)?);
    }
    let can: Vec<String> = choice.can.iter().map(|chosen| chosen.line.key.id.clone()).collect();
    let acting = Actor { idempotency: None, ..visit.actor.clone() };
    let judged = chosen::change(&visit.app, &acting, &can, wish.act, form.reason.as_deref()).await?;
    let mut left = Vec::new();
    let done = judged.iter().filter(|key| key.after.is_ok()).count();
    for key in judged {
        if let Err(error) = key.after {
            left.push(Left { id: key.before.id, label: key.before.label, why: detail(error)? });
        }
    }
    for chosen in choice.cannot {
        let (key, why) = (chosen.line.key, chosen.against.unwrap_or_default());
        left.push(Left { id: key.id, label: key.label, why });
    }
    let back = form.back(&visit.frame);
    if left.is_empty() && done > 0 {
        return go(&back, wish.done);
    }
    let unlisted = left.len().saturating_sub(LISTED);
    left.truncate(LISTED);
    let page = super::page(&DonePage { f: &visit.frame, done, left, unlisted, back: &back })?;
    if done > 0 { Ok(page) } else { unacceptable(page) }
}
