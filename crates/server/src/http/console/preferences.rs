//! My profile › Preferences: the language, and what one is told where (BM9).

use askama::Template;
use axum::http::StatusCode;
use axum::response::IntoResponse as _;
use serde::Deserialize;

use super::form::{Faults, Form};
use super::frame::Frame;
use super::gate::Visit;
use super::look;
use super::notifications::kind_name;
use super::words::Language;
use super::{Shown, go};
use crate::notifications::kind::Kind;
use crate::notifications::{self, PreferencesPatch, WishIn, WishOut};

pub(super) const PREFERENCES: &str = "/console/me/preferences";

/// A row of the matrix.
struct Line {
    wish: WishOut,
    word: &'static str,
    name: &'static str,
}

#[derive(Template)]
#[template(path = "preferences.html")]
struct PreferencesPage<'a> {
    f: &'a Frame,
    /// `en` or `de`.
    language: &'static str,
    lines: Vec<Line>,
    zones: Vec<String>,
    /// The zone in effect.
    zone: String,
    may_save: bool,
    faults: &'a Faults,
}

/// Language, and the kinds that were ticked.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct PreferencesForm {
    language: Option<String>,
    bell: Vec<String>,
    mail: Vec<String>,
}

pub(crate) async fn show(visit: Visit) -> Shown {
    ask(&visit, &Faults::default()).await
}

async fn ask(visit: &Visit, faults: &Faults) -> Shown {
    let known = notifications::preferences(&visit.app, &visit.actor).await?;
    let frame = &visit.frame;
    let line = |wish: WishOut| Line { word: wish.kind.as_str(), name: kind_name(frame, wish.kind), wish };
    super::page(&PreferencesPage {
        f: frame,
        language: known.language.as_str(),
        lines: known.kinds.into_iter().map(line).collect(),
        zones: look::zones(),
        zone: frame.look.zone.iana_name().unwrap_or("UTC").to_owned(),
        may_save: frame.may("me/keys:edit"),
        faults,
    })
}

pub(crate) async fn save(visit: Visit, Form(form): Form<PreferencesForm>) -> Shown {
    let known = notifications::preferences(&visit.app, &visit.actor).await?;
    let has = |list: &[String], kind: Kind| list.iter().any(|word| word == kind.as_str());
    // What stays as it is goes on following the defaults.
    let wish = |known: &WishOut| {
        let (bell, mail) = (has(&form.bell, known.kind), has(&form.mail, known.kind));
        let changes = !known.owed && (bell, mail) != (known.bell, known.mail);
        changes.then_some(WishIn { kind: known.kind, bell: Some(bell), mail: Some(mail) })
    };
    let patch = PreferencesPatch {
        kinds: known.kinds.iter().filter_map(wish).collect(),
        language: form.language.as_deref().and_then(Language::parse).map(Some),
    };
    match notifications::set_preferences(&visit.app, &visit.actor, patch).await {
        Ok(_) => go(PREFERENCES, "preferences"),
        Err(error) => {
            let page = ask(&visit, &Faults::of(error)?).await?;
            Ok((StatusCode::UNPROCESSABLE_ENTITY, page).into_response())
        }
    }
}
