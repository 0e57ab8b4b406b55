//! Settings › Features › Revoke all tokens: every key of the tenant or of a class at once, behind a count,
//! a reason and a phrase to type (MO6).

use askama::Template;
use axum::http::StatusCode;
use axum::response::IntoResponse as _;
use keyward_core::key::KeyClass;
use serde::Deserialize;

use super::features::FEATURES;
use super::form::{Faults, Form};
use super::frame::Frame;
use super::gate::Visit;
use super::keys::class_name;
use super::{Shown, go};
use crate::error::{Error, Result};
use crate::http::json::Query;
use crate::keys::bulk;
use crate::keys::wire::{BulkFilter, BulkOut, BulkRevokeIn};

/// Keys that the page names, at most.
const NAMED: usize = 20;

#[derive(Template)]
#[template(path = "revoke_all.html")]
struct RevokeAllPage<'a> {
    f: &'a Frame,
    /// Value, name, and whether it is the one.
    classes: Vec<(&'static str, &'static str, bool)>,
    class: &'a str,
    /// Nothing where the visitor may not end them.
    found: Option<BulkOut>,
    reason: &'a str,
    faults: &'a Faults,
}

/// Which keys, why, and the phrase that shows that their number was read.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct RevokeAllForm {
    /// All of them unless given.
    class: Option<String>,
    reason: Option<String>,
    confirm: Option<String>,
}

impl RevokeAllForm {
    fn class(&self) -> Result<Option<KeyClass>> {
        // A word that is no class must never become all keys.
        let unknown = || Error::invalid("/class", "bad_value", "expected member, workspace or ingest");
        self.class.as_deref().map(|word| KeyClass::parse(word).ok_or_else(unknown)).transpose()
    }

    fn filter(&self) -> Result<BulkFilter> {
        let class = self.class()?;
        Ok(BulkFilter { all: class.is_none(), class, ..BulkFilter::default() })
    }
}

pub(crate) async fn ask(visit: Visit, Query(form): Query<RevokeAllForm>) -> Shown {
    confirm(&visit, &form, Faults::default()).await
}

async fn confirm(visit: &Visit, form: &RevokeAllForm, mut faults: Faults) -> Shown {
    let input = BulkRevokeIn { filter: form.filter()?, reason: None, preview: true, confirm: None };
    let found = match bulk::revoke(&visit.app, &visit.actor, input).await {
        Ok(mut found) => {
            found.keys.truncate(NAMED);
            Some(found)
        }
        Err(error) => {
            faults = Faults::of(error)?;
            None
        }
    };
    let frame = &visit.frame;
    let wanted = form.class()?;
    let class = |class: KeyClass| (class.as_str(), class_name(frame, class), wanted == Some(class));
    super::page(&RevokeAllPage {
        f: frame,
        classes: KeyClass::ALL.map(class).into(),
        class: wanted.map_or("", KeyClass::as_str),
        found,
        reason: form.reason.as_deref().unwrap_or_default(),
        faults: &faults,
    })
}

pub(crate) async fn revoke(visit: Visit, Form(form): Form<RevokeAllForm>) -> Shown {
    let input = BulkRevokeIn {
        filter: form.filter()?,
        reason: form.reason.clone(),
        preview: false,
        confirm: form.confirm.clone().map(|phrase| phrase.trim().to_owned()),
    };
    match bulk::revoke(&visit.app, &visit.actor, input).await {
        Ok(_) => go(FEATURES, "all-revoked"),
        Err(error) => {
            let error = match error {
                Error::Conflict { code: "not_confirmed", .. } => {
                    let detail =
                        visit.frame.t("That is not what was to be typed. Look at the number once more.");
                    Error::invalid("/confirm", "not_confirmed", detail)
                }
                other => other,
            };
            let page = confirm(&visit, &form, Faults::of(error)?).await?;
            Ok((StatusCode::UNPROCESSABLE_ENTITY, page).into_response())
        }
    }
}
