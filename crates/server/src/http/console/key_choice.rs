//! Keys that were ticked in the list: looked at together with their facts, then revoked, switched off or on. Each
//! goes through the operation for one key, so that each is judged, and told in the audit log, by itself.

use std::collections::HashSet;

use askama::Template;
use axum::http::StatusCode;
use axum::response::IntoResponse as _;
use keyward_core::key::Status;
use serde::Deserialize;

use super::form::{Faults, Form, is_own_path};
use super::frame::Frame;
use super::gate::Visit;
use super::keys::{KeyLine, badge};
use super::{Shown, go};
use crate::app::Actor;
use crate::error::{Error, Result};
use crate::http::problem;
use crate::keys::wire::KeyOut;
use crate::keys::{self, lifecycle, usage};
use crate::names::check_label;

/// Keys that one form may name.
const MOST: usize = 200;
/// More keys than this are not stopped without a phrase to type.
const MANY: usize = 10;
/// Use within so many hours counts as in use.
const HOURS: i64 = 24;

/// What is done to the keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Act {
    Revoke,
    Deactivate,
    Activate,
}

impl Act {
    fn parse(word: Option<&str>) -> Result<Self> {
        match word {
            Some("revoke") => Ok(Self::Revoke),
            Some("deactivate") => Ok(Self::Deactivate),
            Some("activate") => Ok(Self::Activate),
            _ => Err(Error::malformed("/action", "bad_value", "expected revoke, deactivate or activate")),
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Revoke => "revoke",
            Self::Deactivate => "deactivate",
            Self::Activate => "activate",
        }
    }

    async fn carry_out(self, visit: &Visit, actor: &Actor, id: &str, reason: Option<&str>) -> Result<KeyOut> {
        match self {
            Self::Revoke => lifecycle::revoke(&visit.app, actor, id, reason).await,
            Self::Deactivate => lifecycle::deactivate(&visit.app, actor, id, reason).await,
            Self::Activate => lifecycle::activate(&visit.app, actor, id).await,
        }
    }
}

/// What a form about several keys holds.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct ChoiceForm {
    id: Vec<String>,
    /// `revoke`, `deactivate` or `activate`.
    action: Option<String>,
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
}

/// One of the keys, with what speaks for it and against it.
struct Chosen {
    line: KeyLine,
    /// Calls that were accepted within a day.
    calls: i64,
    agent: Option<String>,
    address: Option<String>,
    works_now: bool,
    works_then: bool,
    /// Its status afterwards, and that in words.
    becomes: Option<(&'static str, &'static str)>,
    /// Why it stays as it is.
    against: Option<String>,
}

/// All of them.
struct Choice {
    act: Act,
    can: Vec<Chosen>,
    cannot: Vec<Chosen>,
}

impl Choice {
    fn is(&self, word: &str) -> bool {
        self.act.as_str() == word
    }

    fn is_empty(&self) -> bool {
        self.can.is_empty() && self.cannot.is_empty()
    }

    /// Keys that work now and would not afterwards.
    fn stops(&self) -> usize {
        self.can.iter().filter(|chosen| chosen.works_now && !chosen.works_then).count()
    }

    /// Keys that would work again.
    fn starts(&self) -> usize {
        self.can.iter().filter(|chosen| !chosen.works_now && chosen.works_then).count()
    }

    /// Keys that would stop and were used within a day.
    fn in_use(&self) -> usize {
        let is_used = |chosen: &&Chosen| chosen.works_now && !chosen.works_then && chosen.calls > 0;
        self.can.iter().filter(is_used).count()
    }

    fn calls(&self) -> i64 {
        self.can.iter().map(|chosen| chosen.calls).sum()
    }

    fn owners(&self) -> usize {
        let owners = self.can.iter().filter_map(|chosen| chosen.line.key.owner_id.as_deref());
        owners.collect::<HashSet<_>>().len()
    }

    /// Friction as the risk is: many keys, or keys in use that end for good.
    fn asks(&self) -> bool {
        match self.act {
            Act::Revoke => self.can.len() > MANY || self.in_use() > 0,
            Act::Deactivate => self.can.len() > MANY,
            Act::Activate => false,
        }
    }

    fn phrase(&self) -> String {
        format!("{} {}", self.act.as_str(), self.can.len())
    }

    /// What is wrong with what was filled in.
    fn check(&self, form: &ChoiceForm, frame: &Frame) -> Result<()> {
        if let Some(reason) = &form.reason {
            check_label("/reason", reason, 500)?;
        }
        let is_typed = form.confirm.as_deref().map(str::trim) == Some(&*self.phrase());
        if self.asks() && !is_typed {
            let detail = frame.t("That is not what was to be typed. Look at the number once more.");
            return Err(Error::invalid("/confirm", "not_confirmed", detail));
        }
        Ok(())
    }
}

/// Reads the keys, and asks the operation about each without doing anything.
async fn look(visit: &Visit, form: &ChoiceForm) -> Result<Choice> {
    let act = Act::parse(form.action.as_deref())?;
    let mut known = HashSet::new();
    let ids: Vec<&String> = form.id.iter().filter(|id| known.insert(id.as_str())).collect();
    if ids.len() > MOST {
        return Err(Error::malformed("/id", "too_long", "choose at most 200 keys at once"));
    }
    let looking = Actor { validate_only: true, idempotency: None, ..visit.actor.clone() };
    let mut choice = Choice { act, can: Vec::new(), cannot: Vec::new() };
    for id in ids {
        let key = match keys::show(&visit.app, &visit.actor, id).await {
            Err(Error::NotFound) => continue,
            key => key?,
        };
        let answer = told(act.carry_out(visit, &looking, id, None).await)?;
        let chosen = facts(visit, key, answer).await?;
        let place = if chosen.against.is_none() { &mut choice.can } else { &mut choice.cannot };
        place.push(chosen);
    }
    Ok(choice)
}

/// The key as an operation leaves it, or what stands against it; what is nobody's choice goes on as an error.
fn told(answer: Result<KeyOut>) -> Result<Result<KeyOut, String>> {
    match answer {
        Ok(key) => Ok(Ok(key)),
        Err(error @ Error::NotFound) => Ok(Err(problem::detail(&error))),
        Err(error) => {
            let faults = Faults::of(error)?.0;
            Ok(Err(faults.into_iter().map(|fault| fault.detail).next().unwrap_or_default()))
        }
    }
}

async fn facts(visit: &Visit, key: KeyOut, answer: Result<KeyOut, String>) -> Result<Chosen> {
    let frame = &visit.frame;
    let used = usage::show(&visit.app, &visit.actor, &key.id, Some(HOURS)).await?;
    let then = answer.as_ref().ok().map(|key| key.status);
    let works_now = works(key.status);
    Ok(Chosen {
        works_now,
        works_then: then.is_some_and(works),
        becomes: then.map(|status| (status.as_str(), badge(frame, status))),
        against: answer.err(),
        calls: used.total.allowed,
        agent: used.last_used_agent,
        address: used.last_used_address,
        line: KeyLine::new(key, frame),
    })
}

fn works(status: Status) -> bool {
    matches!(status, Status::Active | Status::Expiring | Status::Rotating)
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
    let choice = look(&visit, &form).await?;
    confirm(&visit, &form, &choice, &Faults::default())
}

fn confirm(visit: &Visit, form: &ChoiceForm, choice: &Choice, faults: &Faults) -> Shown {
    let back = form.back(&visit.frame);
    let page = super::page(&ChoicePage { f: &visit.frame, choice, form, back: &back, faults })?;
    let is_wrong = choice.is_empty() || !faults.is_empty();
    Ok(if is_wrong { (StatusCode::UNPROCESSABLE_ENTITY, page).into_response() } else { page })
}

#[derive(Template)]
#[template(path = "key_choice_done.html")]
struct DonePage<'a> {
    f: &'a Frame,
    done: usize,
    /// Those that stayed as they are, and why.
    left: Vec<(&'a KeyLine, String)>,
    back: &'a str,
}

pub(crate) async fn carry_out(visit: Visit, Form(form): Form<ChoiceForm>) -> Shown {
    let choice = look(&visit, &form).await?;
    if let Err(error) = choice.check(&form, &visit.frame) {
        return confirm(&visit, &form, &choice, &Faults::of(error)?);
    }
    let (mut done, mut left) = (0, Vec::new());
    for chosen in &choice.can {
        let id = &chosen.line.key.id;
        match told(choice.act.carry_out(&visit, &visit.actor, id, form.reason.as_deref()).await)? {
            Ok(_) => done += 1,
            Err(why) => left.push((&chosen.line, why)),
        }
    }
    for chosen in &choice.cannot {
        left.push((&chosen.line, chosen.against.clone().unwrap_or_default()));
    }
    let back = form.back(&visit.frame);
    if left.is_empty() && done > 0 {
        return go(&back, word(choice.act));
    }
    let page = super::page(&DonePage { f: &visit.frame, done, left, back: &back })?;
    let status = if done > 0 { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    Ok((status, page).into_response())
}

fn word(act: Act) -> &'static str {
    match act {
        Act::Revoke => "chosen-revoked",
        Act::Deactivate => "chosen-off",
        Act::Activate => "chosen-on",
    }
}
