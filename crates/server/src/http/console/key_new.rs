//! Making a key: the form, and the one page that shows its secret (MO8, BM1 to BM4, KEY-5).

use askama::Template;
use axum::http::StatusCode;
use axum::response::IntoResponse as _;
use keyward_core::key::KeyClass;
use serde::Deserialize;
use serde_json::{Value, json};

use super::form::{Faults, Form, lines};
use super::frame::Frame;
use super::gate::Visit;
use super::key::newest;
use super::key_summary::{self, Summary};
use super::keys::class_name;
use super::moment::Moment;
use super::{Shown, go};
use crate::error::{Error, Result};
use crate::http::idempotency::{self, Sent};
use crate::http::json::Query;
use crate::keys::create as making;
use crate::keys::wire::{ExtendIn, KeyCreated, KeyIn, KeyOut};
use crate::random;
use crate::store::page::Page;
use crate::verify::facts;
use crate::{groups, roles};

/// Lives that the form offers, in days; those beyond the policy are left out.
const PRESETS: [u32; 5] = [7, 30, 90, 180, 365];

/// What the form of a new key holds.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct KeyForm {
    pub(super) class: Option<String>,
    pub(super) owner_id: Option<String>,
    label: Option<String>,
    pub(super) scopes: Option<String>,
    pub(super) role_ids: Vec<String>,
    pub(super) group_ids: Vec<String>,
    /// Days, `date` or `never`.
    pub(super) validity: Option<String>,
    pub(super) expires_on: Option<String>,
    pub(super) cidrs: Option<String>,
    methods: Option<String>,
    paths: Option<String>,
    requests_per_minute: Option<String>,
    credits: Option<String>,
    idle_days: Option<String>,
    /// Makes the second of two equal forms show what the first has made.
    once: Option<String>,
}

#[derive(Template)]
#[template(path = "key_new.html")]
struct NewPage<'a> {
    f: &'a Frame,
    form: &'a KeyForm,
    class: KeyClass,
    classes: Vec<(&'static str, &'static str)>,
    presets: Vec<u32>,
    validity: String,
    max_days: Option<u32>,
    may_never: bool,
    needs_address: bool,
    needs_approval: bool,
    roles: Vec<(String, String)>,
    groups: Vec<(String, String)>,
    once: String,
    summary: Summary,
    faults: &'a Faults,
}

impl NewPage<'_> {
    fn is(&self, class: &str) -> bool {
        self.class.as_str() == class
    }
}

#[derive(Template)]
#[template(path = "key_secret.html")]
pub(super) struct SecretPage<'a> {
    pub(super) f: &'a Frame,
    pub(super) key: &'a KeyOut,
    pub(super) secret: &'a str,
    pub(super) copy: &'a str,
    pub(super) url: &'a str,
    pub(super) expires: Option<Moment>,
    /// Of the secret: its first call is waited for.
    pub(super) generation: i64,
}

/// The form, filled in from the query, so that a link can prepare it.
pub(crate) async fn new(visit: Visit, Query(form): Query<KeyForm>) -> Shown {
    visit.must_be_fresh()?;
    ask(&visit, &form, &Faults::default()).await
}

async fn ask(visit: &Visit, form: &KeyForm, faults: &Faults) -> Shown {
    let actor = &visit.actor;
    let tenant = {
        let mut conn = visit.app.read().await?;
        let id = actor.tenant_id.parse().map_err(Error::internal)?;
        facts::load_tenant(&mut conn, id, 0).await?.ok_or(Error::NotFound)?
    };
    let frame = &visit.frame;
    let may_any = actor.may("keys:create");
    let wanted = form.class.as_deref().and_then(KeyClass::parse);
    let class = wanted.filter(|class| may_any || *class == KeyClass::Member).unwrap_or(KeyClass::Member);
    let classes = KeyClass::ALL.into_iter().filter(|class| may_any || *class == KeyClass::Member);
    let rules = tenant.tenant.policy.class(class);
    let reach = rules.max_ttl_days.unwrap_or(u32::MAX);
    let all = Page::read(Some(200), None, "of a form")?;
    let assigned = class == KeyClass::Workspace && may_any;
    let roles = match assigned && actor.may("roles:read") {
        true => roles::list(&visit.app, actor, None, &all).await?.data,
        false => Vec::new(),
    };
    let groups = match assigned && actor.may("groups:read") {
        true => groups::list(&visit.app, actor, None, &all).await?.data,
        false => Vec::new(),
    };
    let validity = form.validity.clone().unwrap_or_else(|| rules.default_ttl_days.to_string());
    super::page(&NewPage {
        f: frame,
        form,
        class,
        classes: classes.map(|class| (class.as_str(), class_name(frame, class))).collect(),
        presets: PRESETS.into_iter().filter(|days| *days <= reach).collect(),
        max_days: rules.max_ttl_days,
        may_never: rules.never_expire,
        needs_address: rules.required_cidrs,
        needs_approval: rules.approval,
        roles: roles.into_iter().map(|role| (role.id, role.name)).collect(),
        groups: groups.into_iter().map(|group| (group.id, group.name)).collect(),
        once: random::hex::<16>(),
        summary: key_summary::of(frame, &KeyForm { validity: Some(validity.clone()), ..form.clone() }),
        validity,
        faults,
    })
}

pub(crate) async fn create(mut visit: Visit, Form(form): Form<KeyForm>) -> Shown {
    let mark = form.once.as_deref().unwrap_or_default();
    if let Sent::Before(location) = idempotency::send_once(&visit.app, &mut visit.actor, mark).await? {
        return go(&location, "delivered");
    }
    let made = match form.input() {
        Ok(input) => making::create(&visit.app, &visit.actor, input).await,
        Err(error) => Err(error),
    };
    let location = made.as_ref().ok().map(|made| format!("/console/keys/{}", made.key.id));
    idempotency::settle(&visit.app, &visit.actor, location.as_deref()).await?;
    match made {
        Ok(made) => reveal(&visit, &made),
        Err(error) => {
            let faults = Faults::of(error)?;
            let page = ask(&visit, &form, &faults).await?;
            Ok((StatusCode::UNPROCESSABLE_ENTITY, page).into_response())
        }
    }
}

/// The one page that holds a secret: the answer to the form itself, which no address leads to (KEY-5).
pub(super) fn reveal(visit: &Visit, made: &KeyCreated) -> Shown {
    let (Some(secret), Some(copy)) = (&made.secret, &made.copy) else {
        return go(&format!("/console/keys/{}", made.key.id), "delivered");
    };
    super::page(&SecretPage {
        f: &visit.frame,
        key: &made.key,
        secret: secret.expose(),
        copy: copy.expose(),
        url: &visit.app.settings.server.base_url(),
        expires: made.key.expires_at.as_deref().map(|at| visit.frame.moment(at)),
        generation: newest(&made.key),
    })
}

impl KeyForm {
    /// As the operation takes it.
    fn input(&self) -> Result<KeyIn> {
        let number = |name: &str, text: &Option<String>| match text {
            None => Ok(None),
            Some(text) => text
                .trim()
                .parse::<i64>()
                .map(Some)
                .map_err(|_| Error::invalid(name, "bad_value", "expected a whole number")),
        };
        let per_minute = number("/requests_per_minute", &self.requests_per_minute)?;
        let limits =
            per_minute.map(|requests| json!([{ "name": "minute", "requests": requests, "per_seconds": 60 }]));
        let scopes = lines(self.scopes.as_deref());
        let input = json!({
            "class": self.class.as_deref().unwrap_or("member"),
            "owner_id": self.owner_id,
            "label": self.label.as_deref().unwrap_or_default(),
            "scopes": (!scopes.is_empty()).then_some(scopes),
            "role_ids": self.role_ids,
            "group_ids": self.group_ids,
            "conditions": conditions(&self.cidrs, &self.methods, &self.paths),
            "limits": limits,
            "credits": number("/credits", &self.credits)?,
            "idle_seconds": number("/idle_days", &self.idle_days)?.map(|days| days * 86_400),
        });
        let end = end(self.validity.as_deref(), self.expires_on.as_deref())?;
        serde_json::from_value(merged(input, end)).map_err(|error| bad_value(&error))
    }
}

fn bad_value(error: &serde_json::Error) -> Error {
    Error::malformed("", "bad_value", error.to_string())
}

/// Where and how a key may be used.
pub(super) fn conditions(
    cidrs: &Option<String>,
    methods: &Option<String>,
    paths: &Option<String>,
) -> Option<Value> {
    let mut object = serde_json::Map::new();
    for (name, text) in [("cidrs", cidrs), ("methods", methods), ("paths", paths)] {
        let found = lines(text.as_deref());
        if !found.is_empty() {
            object.insert(name.into(), json!(found));
        }
    }
    (!object.is_empty()).then_some(Value::Object(object))
}

/// When a key ends, in the fields of the API: days from now, the end of a day, or never.
fn end(validity: Option<&str>, on: Option<&str>) -> Result<Value> {
    match validity {
        None => Ok(json!({})),
        Some("never") => Ok(json!({ "expires": "never" })),
        Some("date") => match on {
            // The browser gives a day: the key is good until it is over.
            Some(day) => Ok(json!({ "expires_at": format!("{day}T23:59:59Z") })),
            None => Err(Error::invalid("/expires_at", "required", "choose the day on which the key ends")),
        },
        Some(days) => match days.parse::<i64>() {
            Ok(days) => Ok(json!({ "ttl_seconds": days.saturating_mul(86_400) })),
            Err(_) => Err(Error::invalid("/ttl_seconds", "bad_value", "expected a number of days")),
        },
    }
}

/// A new end, as the operation takes it.
pub(super) fn extension(validity: Option<&str>, on: Option<&str>) -> Result<ExtendIn> {
    serde_json::from_value(end(validity, on)?).map_err(Error::internal)
}

/// The fields of both.
pub(super) fn merged(mut one: Value, other: Value) -> Value {
    if let (Value::Object(fields), Value::Object(more)) = (&mut one, other) {
        fields.extend(more);
    }
    one
}
