//! Develop › Security settings: trusted authentication (TS1 to TS7).

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
use super::policy::tenant_of;
use super::trusted_ceiling::{self, Reach};
use super::who;
use super::{Shown, go};
use crate::error::Result;
use crate::http::idempotency::{self, Sent};
use crate::http::json::Query;
use crate::random;
use crate::store::page::Page;
use crate::trusted;
use crate::trusted::wire::{CopyIn, DisableIn, GenerationOut, TrustedOut, TrustedRotateIn, TrustedSecret};
use crate::verify::trusted::is_allowed;

pub(super) const SETTINGS: &str = "/console/develop/security";

/// One secret in a list.
struct SecretLine {
    secret: TrustedOut,
    enabled: bool,
    created: Moment,
    ended: Option<Moment>,
    last_used: Option<Moment>,
    /// Two generations work.
    rotating: bool,
}

impl SecretLine {
    fn new(secret: TrustedOut, frame: &Frame) -> Self {
        let seen = secret.generations.iter().filter_map(|known| known.last_seen_at.as_deref()).max();
        let enabled = secret.state == "enabled";
        Self {
            enabled,
            created: frame.moment(&secret.created_at),
            ended: secret.ended_at.as_deref().map(|at| frame.moment(at)),
            last_used: seen.map(|at| frame.moment(at)),
            rotating: enabled && secret.generations.iter().filter(|known| known.live).count() > 1,
            secret,
        }
    }
}

#[derive(Template)]
#[template(path = "trusted.html")]
struct SettingsPage<'a> {
    f: &'a Frame,
    lines: Vec<SecretLine>,
    /// The operator allows it.
    allowed: bool,
    /// Some secret works.
    on: bool,
    older: Option<String>,
}

/// Which part of the list is shown.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct PartQuery {
    cursor: Option<String>,
}

pub(crate) async fn list(visit: Visit, Query(query): Query<PartQuery>) -> Shown {
    let page = Page::read(None, query.cursor.as_deref(), "trusted")?;
    let found = trusted::list(&visit.app, &visit.actor, &page).await?;
    let frame = &visit.frame;
    let lines: Vec<SecretLine> =
        found.data.into_iter().map(|secret| SecretLine::new(secret, frame)).collect();
    super::page(&SettingsPage {
        f: frame,
        on: lines.iter().any(|line| line.enabled),
        lines,
        allowed: is_allowed(&tenant_of(&visit).await?),
        older: found.next_cursor.map(|cursor| format!("{SETTINGS}?cursor={cursor}")),
    })
}

/// One generation of a secret.
struct GenerationLine {
    known: GenerationOut,
    created: Moment,
    retires: Option<Moment>,
    last_seen: Option<Moment>,
}

#[derive(Template)]
#[template(path = "trusted_secret.html")]
struct SecretPage<'a> {
    f: &'a Frame,
    line: SecretLine,
    reach: Vec<Reach>,
    generations: Vec<GenerationLine>,
}

async fn line(visit: &Visit, id: &str) -> Result<SecretLine> {
    let mut secret = trusted::show(&visit.app, &visit.actor, id).await?;
    who::put_names(visit, vec![&mut secret.created_by]).await;
    Ok(SecretLine::new(secret, &visit.frame))
}

pub(crate) async fn show(visit: Visit, Path(id): Path<String>) -> Shown {
    let line = line(&visit, &id).await?;
    let frame = &visit.frame;
    let moment = |text: &Option<String>| text.as_deref().map(|text| frame.moment(text));
    let generation = |known: &GenerationOut| GenerationLine {
        created: frame.moment(&known.created_at),
        retires: moment(&known.retires_at),
        last_seen: moment(&known.last_seen_at),
        known: known.clone(),
    };
    super::page(&SecretPage {
        f: frame,
        reach: trusted_ceiling::words(&visit, &line.secret.ceiling).await?,
        generations: line.secret.generations.iter().rev().map(generation).collect(),
        line,
    })
}

#[derive(Template)]
#[template(path = "trusted_reveal.html")]
struct RevealPage<'a> {
    f: &'a Frame,
    secret: &'a TrustedOut,
    text: &'a str,
    url: &'a str,
}

/// The one page with the secret: the answer to the form itself, which no address leads to.
pub(super) fn reveal(visit: &Visit, made: &TrustedSecret) -> Shown {
    let Some(text) = &made.secret else { return go(SETTINGS, "") };
    super::page(&RevealPage {
        f: &visit.frame,
        secret: &made.trusted,
        text: text.expose(),
        url: &visit.app.settings.server.base_url(),
    })
}

#[derive(Template)]
#[template(path = "trusted_copy.html")]
struct CopyPage<'a> {
    f: &'a Frame,
    line: &'a SecretLine,
}

pub(crate) async fn ask_copy(visit: Visit, Path(id): Path<String>) -> Shown {
    visit.must_be_fresh()?;
    let line = line(&visit, &id).await?;
    super::page(&CopyPage { f: &visit.frame, line: &line })
}

pub(crate) async fn copy(visit: Visit, Path(id): Path<String>, Form(_): Form<Nothing>) -> Shown {
    let made = trusted::copy(&visit.app, &visit.actor, &CopyIn { id: Some(id) }).await?;
    reveal(&visit, &made)
}

#[derive(Template)]
#[template(path = "trusted_rotate.html")]
struct RotatePage<'a> {
    f: &'a Frame,
    line: &'a SecretLine,
    once: String,
    faults: &'a Faults,
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
    confirm_rotate(&visit, &id, &Faults::default()).await
}

async fn confirm_rotate(visit: &Visit, id: &str, faults: &Faults) -> Shown {
    let line = line(visit, id).await?;
    super::page(&RotatePage { f: &visit.frame, line: &line, once: random::hex::<16>(), faults })
}

pub(crate) async fn rotate(mut visit: Visit, Path(id): Path<String>, Form(form): Form<RotateForm>) -> Shown {
    let location = format!("{SETTINGS}/{id}");
    let mark = form.once.as_deref().unwrap_or_default();
    if let Sent::Before(location) = idempotency::send_once(&visit.app, &mut visit.actor, mark).await? {
        return go(&location, "trusted-delivered");
    }
    let wish = TrustedRotateIn { overlap_seconds: form.overlap_seconds.unwrap_or(86_400) };
    let made = trusted::rotate(&visit.app, &visit.actor, &id, &wish).await;
    idempotency::settle(&visit.app, &visit.actor, made.is_ok().then_some(&*location)).await?;
    match made {
        Ok(made) => reveal(&visit, &made),
        Err(error) => {
            let page = confirm_rotate(&visit, &id, &Faults::of(error)?).await?;
            Ok((StatusCode::UNPROCESSABLE_ENTITY, page).into_response())
        }
    }
}

pub(crate) async fn finish_rotation(visit: Visit, Path(id): Path<String>, Form(_): Form<Nothing>) -> Shown {
    trusted::finish_rotation(&visit.app, &visit.actor, &id).await?;
    go(&format!("{SETTINGS}/{id}"), "trusted-finished")
}

#[derive(Template)]
#[template(path = "trusted_disable.html")]
struct DisablePage<'a> {
    f: &'a Frame,
    line: &'a SecretLine,
    is_unconfirmed: bool,
    faults: &'a Faults,
}

/// The explicit yes (TS6).
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct DisableForm {
    confirm: Option<String>,
}

pub(crate) async fn ask_disable(visit: Visit, Path(id): Path<String>) -> Shown {
    confirm_disable(&visit, &id, false, &Faults::default()).await
}

async fn confirm_disable(visit: &Visit, id: &str, is_unconfirmed: bool, faults: &Faults) -> Shown {
    let line = line(visit, id).await?;
    super::page(&DisablePage { f: &visit.frame, line: &line, is_unconfirmed, faults })
}

pub(crate) async fn disable(visit: Visit, Path(id): Path<String>, Form(form): Form<DisableForm>) -> Shown {
    let faults = match form.confirm.is_some() {
        false => Faults::default(),
        true => {
            let input = DisableIn { id: Some(id.clone()), confirm: true };
            match trusted::disable(&visit.app, &visit.actor, &input).await {
                Ok(_) => return go(SETTINGS, "trusted-off"),
                Err(error) => Faults::of(error)?,
            }
        }
    };
    let page = confirm_disable(&visit, &id, form.confirm.is_none(), &faults).await?;
    Ok((StatusCode::UNPROCESSABLE_ENTITY, page).into_response())
}
