//! Settings › Features › API keys: the switches of each class, the ends of keys, and the end of all of
//! them (MO2, MO3, MO5, MO6).

use askama::Template;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::IntoResponse as _;
use keyward_core::key::KeyClass;
use serde::Deserialize;
use serde_json::{Value, json};

use super::form::{Faults, Form};
use super::frame::Frame;
use super::gate::Visit;
use super::keys::class_name;
use super::policy::tenant_of;
use super::{Shown, go, rule};
use crate::error::{Error, Result};
use crate::policies;
use crate::verify::trusted::is_allowed;

pub(super) const FEATURES: &str = "/console/settings/features";

/// Keys that a dry run counts, at most.
const COUNTED: usize = 1000;

/// One class of keys, and its rules.
struct ClassLine {
    word: &'static str,
    name: &'static str,
    /// The operator allows it.
    allowed: bool,
    /// The tenant's administrators have switched it on.
    on: bool,
    default_days: u32,
    max_days: Option<u32>,
    may_never: bool,
}

impl ClassLine {
    fn works(&self) -> bool {
        self.allowed && self.on
    }
}

#[derive(Template)]
#[template(path = "features.html")]
struct FeaturesPage<'a> {
    f: &'a Frame,
    classes: Vec<ClassLine>,
    trusted: bool,
}

pub(crate) async fn show(visit: Visit) -> Shown {
    let policy = policies::show(&visit.app, &visit.actor).await?.policy;
    let tenant = tenant_of(&visit).await?;
    let line = |class: KeyClass| {
        let rules = policy.class(class);
        ClassLine {
            word: class.as_str(),
            name: class_name(&visit.frame, class),
            allowed: tenant.tenant.features.allows(class),
            on: policy.switches.allows(class),
            default_days: rules.default_ttl_days,
            max_days: rules.max_ttl_days,
            may_never: rules.never_expire && rules.max_ttl_days.is_none(),
        }
    };
    super::page(&FeaturesPage {
        f: &visit.frame,
        classes: KeyClass::ALL.map(line).into(),
        trusted: is_allowed(&tenant),
    })
}

fn class_of(word: &str) -> Result<KeyClass> {
    KeyClass::parse(word).ok_or(Error::NotFound)
}

#[derive(Template)]
#[template(path = "features_switch.html")]
struct SwitchPage<'a> {
    f: &'a Frame,
    word: &'static str,
    name: &'static str,
    /// What it would be switched to.
    on: bool,
    would_stop: usize,
    /// There may be more than were counted.
    is_cut: bool,
    faults: &'a Faults,
}

/// What the class is switched to.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct SwitchForm {
    /// `yes` or `no`.
    on: Option<String>,
}

fn switch(class: KeyClass, on: bool) -> Value {
    let name = format!("{}_keys", class.as_str());
    json!({ "switches": { name: on } })
}

pub(crate) async fn ask_switch(visit: Visit, Path(class): Path<String>) -> Shown {
    visit.must_be_fresh()?;
    confirm_switch(&visit, class_of(&class)?).await
}

/// Tells the keys that would stop: by a dry run, which also finds what stands against it.
async fn confirm_switch(visit: &Visit, class: KeyClass) -> Shown {
    let policy = policies::show(&visit.app, &visit.actor).await?.policy;
    let on = !policy.switches.allows(class);
    let mut dry = visit.actor.clone();
    dry.validate_only = true;
    let (would_stop, faults) = match policies::edit(&visit.app, &dry, switch(class, on)).await {
        Ok(told) => (told.would_stop.map_or(0, |keys| keys.len()), Faults::default()),
        Err(error) => (0, Faults::of(error)?),
    };
    super::page(&SwitchPage {
        f: &visit.frame,
        word: class.as_str(),
        name: class_name(&visit.frame, class),
        on,
        would_stop,
        is_cut: would_stop >= COUNTED,
        faults: &faults,
    })
}

pub(crate) async fn set_switch(
    visit: Visit,
    Path(class): Path<String>,
    Form(form): Form<SwitchForm>,
) -> Shown {
    let (class, on) = (class_of(&class)?, form.on.as_deref() == Some("yes"));
    match policies::edit(&visit.app, &visit.actor, switch(class, on)).await {
        Ok(_) => go(FEATURES, if on { "class-on" } else { "class-off" }),
        Err(error) => {
            // The page finds the same in its dry run, and shows it.
            Faults::of(error)?;
            let page = confirm_switch(&visit, class).await?;
            Ok((StatusCode::UNPROCESSABLE_ENTITY, page).into_response())
        }
    }
}

#[derive(Template)]
#[template(path = "features_ends.html")]
struct EndsPage<'a> {
    f: &'a Frame,
    word: &'static str,
    name: &'static str,
    default_days: &'a str,
    max_days: &'a str,
    may_never: bool,
    default_fault: Option<&'a str>,
    max_fault: Option<&'a str>,
    faults: &'a Faults,
}

/// How long keys of a class live.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct EndsForm {
    default_ttl_days: Option<String>,
    max_ttl_days: Option<String>,
    never_expire: Option<String>,
}

impl EndsForm {
    fn patch(&self, class: KeyClass) -> Result<Value> {
        let word = class.as_str();
        let days =
            |name: &str, text: &Option<String>| rule::number(&format!("/{word}/{name}"), text.as_deref());
        Ok(json!({ word: {
            "default_ttl_days": days("default_ttl_days", &self.default_ttl_days)?,
            "max_ttl_days": days("max_ttl_days", &self.max_ttl_days)?,
            "never_expire": self.never_expire.is_some(),
        } }))
    }
}

pub(crate) async fn ask_ends(visit: Visit, Path(class): Path<String>) -> Shown {
    visit.must_be_fresh()?;
    let class = class_of(&class)?;
    let policy = policies::show(&visit.app, &visit.actor).await?.policy;
    let rules = policy.class(class);
    let form = EndsForm {
        default_ttl_days: Some(rules.default_ttl_days.to_string()),
        max_ttl_days: rules.max_ttl_days.map(|days| days.to_string()),
        never_expire: rules.never_expire.then(|| "yes".into()),
    };
    ends(&visit, class, &form, &Faults::default())
}

fn ends(visit: &Visit, class: KeyClass, form: &EndsForm, faults: &Faults) -> Shown {
    let word = class.as_str();
    super::page(&EndsPage {
        f: &visit.frame,
        word,
        name: class_name(&visit.frame, class),
        default_days: form.default_ttl_days.as_deref().unwrap_or_default(),
        max_days: form.max_ttl_days.as_deref().unwrap_or_default(),
        may_never: form.never_expire.is_some(),
        default_fault: faults.at(&format!("{word}/default_ttl_days")),
        max_fault: faults.at(&format!("{word}/max_ttl_days")),
        faults,
    })
}

pub(crate) async fn set_ends(visit: Visit, Path(class): Path<String>, Form(form): Form<EndsForm>) -> Shown {
    let class = class_of(&class)?;
    let edited = match form.patch(class) {
        Ok(patch) => policies::edit(&visit.app, &visit.actor, patch).await,
        Err(error) => Err(error),
    };
    match edited {
        Ok(_) => go(FEATURES, "edited"),
        Err(error) => {
            let page = ends(&visit, class, &form, &Faults::of(error)?)?;
            Ok((StatusCode::UNPROCESSABLE_ENTITY, page).into_response())
        }
    }
}
