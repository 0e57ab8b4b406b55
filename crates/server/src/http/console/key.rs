//! One key: everything about it, and everything that can be done with it.

use askama::Template;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::IntoResponse as _;
use serde::Deserialize;
use serde_json::json;

use super::form::{Faults, Form, lines};
use super::frame::Frame;
use super::gate::Visit;
use super::key_new::{conditions, extension, merged, reveal};
use super::key_revoke::ReasonForm;
use super::keys::{KeyLine, class_name};
use super::login::Nothing;
use super::moment::Moment;
use super::who;
use super::{Shown, go};
use crate::error::Result;
use crate::http::idempotency::{self, Sent};
use crate::http::json::Query;
use crate::keys::wire::{KeyOut, KeyPatch, RotateIn, UsageOut};
use crate::keys::{self, edit as editing, lifecycle, usage};
use crate::random;

/// Hours of the chart: a week.
const HOURS: i64 = 168;
/// How often a page asks for the first call by itself: every three seconds, for five minutes.
const MOST_ASKED: i64 = 100;

/// A secret of a key, without the secret.
struct SecretLine {
    generation: i64,
    hint: String,
    live: bool,
    created: Moment,
    retires: Option<Moment>,
    last_seen: Option<Moment>,
}

/// A day of the chart.
struct Bar {
    day: String,
    allowed: i64,
    denied: i64,
    x: i64,
    /// Of 100.
    allowed_height: i64,
    denied_height: i64,
}

#[derive(Template)]
#[template(path = "key.html")]
struct KeyPage<'a> {
    f: &'a Frame,
    line: KeyLine,
    class: &'static str,
    secrets: Vec<SecretLine>,
    usage: UsageOut,
    bars: Vec<Bar>,
    own: bool,
    rights: Vec<String>,
    cidrs: Vec<String>,
    updated: Moment,
    approved: Option<Moment>,
    revoked: Option<Moment>,
    /// The form of a new key with what this one has.
    again: String,
}

impl KeyPage<'_> {
    fn is(&self, statuses: &str) -> bool {
        statuses.split(' ').any(|status| status == self.line.status)
    }

    /// Whether who looks may do this to the key.
    fn may(&self, verb: &str) -> bool {
        may(self.f, self.own, verb)
    }
}

/// Whether who looks may do this to a key that is its own, or is not.
pub(super) fn may(f: &Frame, own: bool, verb: &str) -> bool {
    f.may(&format!("keys:{verb}")) || own && f.may(&format!("me/keys:{verb}"))
}

pub(super) async fn line(visit: &Visit, id: &str) -> Result<KeyLine> {
    let key = keys::show(&visit.app, &visit.actor, id).await?;
    Ok(KeyLine::new(key, &visit.frame))
}

pub(crate) async fn show(visit: Visit, Path(id): Path<String>) -> Shown {
    let mut line = line(&visit, &id).await?;
    let key = &mut line.key;
    let (makers, enders) =
        ([&mut key.created_by, &mut key.updated_by], [&mut key.approved_by, &mut key.revoked_by]);
    who::put_names(&visit, makers.into_iter().chain(enders.into_iter().flatten()).collect()).await;
    let usage = usage::show(&visit.app, &visit.actor, &id, Some(HOURS)).await?;
    let frame = &visit.frame;
    let moment = |text: &Option<String>| text.as_deref().map(|text| frame.moment(text));
    let secrets = line.key.secrets.iter().rev().map(|secret| SecretLine {
        generation: secret.generation,
        hint: secret.hint.clone(),
        live: secret.live,
        created: frame.moment(&secret.created_at),
        retires: moment(&secret.retires_at),
        last_seen: moment(&secret.last_seen_at),
    });
    super::page(&KeyPage {
        f: frame,
        class: class_name(frame, line.key.class),
        secrets: secrets.collect(),
        bars: bars(&usage, frame.now),
        usage,
        own: line.key.owner_id.as_deref() == visit.actor.user_id(),
        rights: line.key.effective_rights.take().unwrap_or_default(),
        cidrs: line
            .key
            .conditions
            .iter()
            .flat_map(|known| known.cidrs.iter().map(ToString::to_string))
            .collect(),
        updated: frame.moment(&line.key.updated_at),
        approved: moment(&line.key.approved_at),
        revoked: moment(&line.key.revoked_at),
        again: again(&line.key),
        line,
    })
}

/// Where the form of a key like this one is.
fn again(key: &KeyOut) -> String {
    let mut fields = vec![("class", key.class.as_str().to_owned()), ("label", key.label.clone())];
    fields.extend(key.scopes.as_ref().map(|scopes| ("scopes", scopes.join("\n"))));
    fields.extend(key.owner_id.clone().map(|owner| ("owner_id", owner)));
    format!("/console/keys/new?{}", serde_html_form::to_string(&fields).unwrap_or_default())
}

/// What stands in the place of the first call while a page waits for it.
#[derive(Template)]
#[template(path = "key_first_call.html")]
struct FirstCall<'a> {
    f: &'a Frame,
    id: &'a str,
    generation: i64,
    /// How often the page has asked.
    asked: i64,
    /// So often that it asks no longer by itself.
    is_over: bool,
    seen: Option<Moment>,
    address: Option<&'a str>,
    agent: Option<&'a str>,
}

/// Which secret is waited for, the newest one unless given, and for how long already.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct FirstCallQuery {
    generation: Option<i64>,
    /// How often the page has asked before.
    asked: i64,
}

pub(crate) async fn first_call(
    visit: Visit,
    Path(id): Path<String>,
    Query(query): Query<FirstCallQuery>,
) -> Shown {
    let key = keys::show(&visit.app, &visit.actor, &id).await?;
    let usage = usage::show(&visit.app, &visit.actor, &id, Some(1)).await?;
    let generation = query.generation.unwrap_or_else(|| newest(&key));
    // Calls with an older secret prove nothing: it works on while it is rotated.
    let secret = key.secrets.iter().find(|secret| secret.generation == generation);
    let seen_at = secret.and_then(|secret| secret.last_seen_at.as_deref());
    let is_last = seen_at.is_some() && seen_at == usage.last_used_at.as_deref();
    super::page(&FirstCall {
        f: &visit.frame,
        id: &id,
        generation,
        asked: query.asked.saturating_add(1),
        is_over: query.asked >= MOST_ASKED,
        seen: seen_at.map(|at| visit.frame.moment(at)),
        address: usage.last_used_address.as_deref().filter(|_| is_last),
        agent: usage.last_used_agent.as_deref().filter(|_| is_last),
    })
}

/// The generation of the newest secret.
pub(super) fn newest(key: &KeyOut) -> i64 {
    key.secrets.last().map_or(1, |secret| secret.generation)
}

/// A week of uses by day, oldest first.
fn bars(usage: &UsageOut, now: i64) -> Vec<Bar> {
    let day_of =
        |at: i64| jiff::Timestamp::from_millisecond(at).unwrap_or_default().strftime("%Y-%m-%d").to_string();
    let days: Vec<String> = (0..7).rev().map(|back| day_of(now - back * 86_400_000)).collect();
    let sum = |day: &str, good: bool| -> i64 {
        let hours =
            usage.hours.iter().filter(|hour| hour.hour.starts_with(day) && (hour.outcome == "ok") == good);
        hours.map(|hour| hour.count).sum()
    };
    let counted: Vec<(String, i64, i64)> = days
        .into_iter()
        .map(|day| {
            let (good, bad) = (sum(&day, true), sum(&day, false));
            (day, good, bad)
        })
        .collect();
    let most = counted.iter().map(|(_, good, bad)| good + bad).max().unwrap_or(0).max(1);
    let bar = |(place, (day, allowed, denied)): (usize, (String, i64, i64))| Bar {
        x: i64::try_from(place).unwrap_or_default() * 40 + 4,
        allowed_height: allowed * 100 / most,
        denied_height: denied * 100 / most,
        day,
        allowed,
        denied,
    };
    counted.into_iter().enumerate().map(bar).collect()
}

/// A page that asks before a key is changed.
#[derive(Template)]
#[template(path = "key_edit.html")]
struct EditPage<'a> {
    f: &'a Frame,
    line: &'a KeyLine,
    form: &'a EditForm,
    faults: &'a Faults,
}

/// What can be edited on the page.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct EditForm {
    label: Option<String>,
    scopes: Option<String>,
    cidrs: Option<String>,
    methods: Option<String>,
    paths: Option<String>,
    version: Option<String>,
}

pub(crate) async fn edit(visit: Visit, Path(id): Path<String>) -> Shown {
    visit.must_be_fresh()?;
    let line = line(&visit, &id).await?;
    let known = line.key.conditions.as_ref();
    let text = |lines: Vec<String>| Some(lines.join("\n"));
    let form = EditForm {
        label: Some(line.key.label.clone()),
        scopes: line.key.scopes.clone().and_then(text),
        cidrs: known.and_then(|known| text(known.cidrs.iter().map(ToString::to_string).collect())),
        methods: known.and_then(|known| text(known.methods.clone())),
        paths: known.and_then(|known| text(known.paths.clone())),
        version: Some(line.key.version.to_string()),
    };
    super::page(&EditPage { f: &visit.frame, line: &line, form: &form, faults: &Faults::default() })
}

pub(crate) async fn save(mut visit: Visit, Path(id): Path<String>, Form(form): Form<EditForm>) -> Shown {
    let line = line(&visit, &id).await?;
    visit.actor.if_match = form.version.as_deref().and_then(|version| version.parse().ok());
    let scopes = lines(form.scopes.as_deref());
    // Resources are edited by the API; the page keeps them.
    let mut wanted = conditions(&form.cidrs, &form.methods, &form.paths);
    if let Some(known) = line.key.conditions.as_ref().filter(|known| !known.resources.is_empty()) {
        let resources = json!({ "resources": known.resources });
        wanted = Some(merged(wanted.unwrap_or_else(|| json!({})), resources));
    }
    let patch = KeyPatch {
        label: Some(form.label.clone().unwrap_or_default()),
        scopes: Some((!scopes.is_empty()).then_some(scopes)),
        conditions: Some(wanted),
        ..KeyPatch::default()
    };
    match editing::edit(&visit.app, &visit.actor, &id, patch).await {
        Ok(_) => go(&format!("/console/keys/{id}"), "edited"),
        Err(error) => {
            let faults = Faults::of(error)?;
            let page = super::page(&EditPage { f: &visit.frame, line: &line, form: &form, faults: &faults })?;
            Ok((StatusCode::UNPROCESSABLE_ENTITY, page).into_response())
        }
    }
}

#[derive(Template)]
#[template(path = "key_rotate.html")]
struct RotatePage<'a> {
    f: &'a Frame,
    line: &'a KeyLine,
    once: String,
}

/// How long the old secret goes on working.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct RotateForm {
    overlap_seconds: Option<i64>,
    once: Option<String>,
}

pub(crate) async fn ask_rotate(visit: Visit, Path(id): Path<String>) -> Shown {
    visit.must_be_fresh()?;
    let line = line(&visit, &id).await?;
    super::page(&RotatePage { f: &visit.frame, line: &line, once: random::hex::<16>() })
}

pub(crate) async fn rotate(mut visit: Visit, Path(id): Path<String>, Form(form): Form<RotateForm>) -> Shown {
    let location = format!("/console/keys/{id}");
    let mark = form.once.as_deref().unwrap_or_default();
    if let Sent::Before(location) = idempotency::send_once(&visit.app, &mut visit.actor, mark).await? {
        return go(&location, "delivered");
    }
    let wish = RotateIn { overlap_seconds: form.overlap_seconds.unwrap_or(86_400), handover: None };
    let made = lifecycle::rotate(&visit.app, &visit.actor, &id, &wish).await;
    idempotency::settle(&visit.app, &visit.actor, made.is_ok().then_some(&*location)).await?;
    reveal(&visit, &made?)
}

pub(crate) async fn finish_rotation(visit: Visit, Path(id): Path<String>, Form(_): Form<Nothing>) -> Shown {
    lifecycle::finish_rotation(&visit.app, &visit.actor, &id).await?;
    go(&format!("/console/keys/{id}"), "finished")
}

pub(crate) async fn abort_rotation(visit: Visit, Path(id): Path<String>, Form(_): Form<Nothing>) -> Shown {
    lifecycle::abort_rotation(&visit.app, &visit.actor, &id).await?;
    go(&format!("/console/keys/{id}"), "aborted")
}

#[derive(Template)]
#[template(path = "key_extend.html")]
struct ExtendPage<'a> {
    f: &'a Frame,
    line: &'a KeyLine,
    faults: &'a Faults,
}

/// Until when.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct ExtendForm {
    validity: Option<String>,
    expires_on: Option<String>,
}

pub(crate) async fn ask_extend(visit: Visit, Path(id): Path<String>) -> Shown {
    let line = line(&visit, &id).await?;
    super::page(&ExtendPage { f: &visit.frame, line: &line, faults: &Faults::default() })
}

pub(crate) async fn extend(visit: Visit, Path(id): Path<String>, Form(form): Form<ExtendForm>) -> Shown {
    let extended = match extension(form.validity.as_deref(), form.expires_on.as_deref()) {
        Ok(wish) => lifecycle::extend(&visit.app, &visit.actor, &id, &wish).await,
        Err(error) => Err(error),
    };
    match extended {
        Ok(_) => go(&format!("/console/keys/{id}"), "extended"),
        Err(error) => {
            let (faults, line) = (Faults::of(error)?, line(&visit, &id).await?);
            let page = super::page(&ExtendPage { f: &visit.frame, line: &line, faults: &faults })?;
            Ok((StatusCode::UNPROCESSABLE_ENTITY, page).into_response())
        }
    }
}

pub(crate) async fn activate(visit: Visit, Path(id): Path<String>, Form(_): Form<Nothing>) -> Shown {
    lifecycle::activate(&visit.app, &visit.actor, &id).await?;
    go(&format!("/console/keys/{id}"), "activated")
}

pub(crate) async fn deactivate(visit: Visit, Path(id): Path<String>, Form(form): Form<ReasonForm>) -> Shown {
    lifecycle::deactivate(&visit.app, &visit.actor, &id, form.reason.as_deref()).await?;
    go(&format!("/console/keys/{id}"), "deactivated")
}
