//! Found a key?: what stands in a pasted text (X10). It is answered once, and neither kept nor shown again.

use askama::Template;
use axum::http::StatusCode;
use axum::response::IntoResponse as _;
use serde::Deserialize;

use super::Shown;
use super::form::{Faults, Form};
use super::frame::Frame;
use super::gate::Visit;
use super::keys::{badge, class_name};
use super::moment::Moment;
use crate::error::Error;
use crate::identify::wire::{FoundKey, FoundOut, IdentifyIn};
use crate::passwords::Password;

/// A key behind a find.
struct KeyCard {
    key: FoundKey,
    status: &'static str,
    badge: &'static str,
    class: &'static str,
    created: Moment,
    last_used: Option<Moment>,
}

/// A find.
struct Card {
    found: FoundOut,
    checksum: Option<&'static str>,
    secret: Option<&'static str>,
    key: Option<KeyCard>,
    /// Who looks may end the key.
    may_revoke: bool,
}

#[derive(Template)]
#[template(path = "identify.html")]
struct IdentifyPage<'a> {
    f: &'a Frame,
    /// `None` before anything was asked.
    cards: Option<Vec<Card>>,
    more: bool,
    faults: &'a Faults,
}

/// The text: held like a password, for it may be worth one.
#[derive(Deserialize)]
pub(crate) struct FoundForm {
    text: Option<Password>,
}

pub(crate) async fn ask(visit: Visit) -> Shown {
    let faults = Faults::default();
    super::page(&IdentifyPage { f: &visit.frame, cards: None, more: false, faults: &faults })
}

pub(crate) async fn identify(visit: Visit, Form(form): Form<FoundForm>) -> Shown {
    let frame = &visit.frame;
    let Some(text) = form.text else {
        let faults = Faults::of(Error::invalid("/text", "required", frame.t("Paste something first.")))?;
        let page = super::page(&IdentifyPage { f: frame, cards: None, more: false, faults: &faults })?;
        return Ok((StatusCode::UNPROCESSABLE_ENTITY, page).into_response());
    };
    let input = IdentifyIn { text: text.expose().to_owned() };
    let told = crate::identify::identify(&visit.app, &visit.actor, &input).await?;
    let cards = told.found.into_iter().map(|found| card(frame, found)).collect();
    super::page(&IdentifyPage { f: frame, cards: Some(cards), more: told.more, faults: &Faults::default() })
}

fn card(frame: &Frame, mut found: FoundOut) -> Card {
    let own = |key: &FoundKey| {
        frame.visitor.as_ref().is_some_and(|visitor| key.owner_id.as_deref() == Some(&*visitor.id))
    };
    let may = |key: &FoundKey| frame.may("keys:revoke") || own(key) && frame.may("me/keys:revoke");
    let is_revocable = found.links.iter().any(|link| link.rel == "revoke");
    let key = found.key.take();
    Card {
        may_revoke: is_revocable && key.as_ref().is_some_and(may),
        checksum: found.checksum.map(|state| match state {
            "right" => frame.t("It is right"),
            _ => frame.t("It is wrong: damaged or made up"),
        }),
        secret: found.secret.map(|state| match state {
            "live" => frame.t("It works"),
            "retired" => frame.t("It was rotated and works no more"),
            _ => frame.t("It is no secret of this key"),
        }),
        key: key.map(|key| KeyCard {
            status: key.status.as_str(),
            badge: badge(frame, key.status),
            class: class_name(frame, key.class),
            created: frame.moment(&key.created_at),
            last_used: key.last_used_at.as_deref().map(|at| frame.moment(at)),
            key,
        }),
        found,
    }
}
