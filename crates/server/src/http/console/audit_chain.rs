//! The chain of the audit log: checking it, and taking it along (AUD-4).

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::IntoResponse as _;
use http::header::{CONTENT_DISPOSITION, HeaderValue};

use super::Shown;
use super::audit::instant;
use super::form::Faults;
use super::frame::Frame;
use super::gate::Visit;
use super::moment::Moment;
use crate::checkpoints::{self, VerificationOut};
use crate::http::guard::Caller;
use crate::http::json::Query;
use crate::http::v1::audit::{self as api, ExportQuery, KeptQuery};

#[derive(Template)]
#[template(path = "audit_chain.html")]
struct ChainPage<'a> {
    f: &'a Frame,
    /// Nothing was checked if what was asked for is wrong.
    found: Option<VerificationOut>,
    signed: Option<Moment>,
    is_compared: bool,
    seq: String,
    hash: String,
    faults: &'a Faults,
}

/// Checks the chain; with a checkpoint that was kept elsewhere also against that.
pub(crate) async fn show(visit: Visit, Query(query): Query<KeptQuery>) -> Shown {
    let seq = query.checkpoint_seq.map(|seq| seq.to_string()).unwrap_or_default();
    let hash = query.checkpoint_hash.clone().unwrap_or_default();
    let (kept, faults) = match query.kept() {
        Ok(kept) => (kept, Faults::default()),
        Err(error) => (None, Faults::of(error)?),
    };
    let found = match faults.is_empty() {
        true => Some(checkpoints::verification(&visit.app, &visit.actor.tenant_id, kept.as_ref()).await?),
        false => None,
    };
    let signed = found.as_ref().and_then(|found| found.checkpoint.as_ref());
    let page = super::page(&ChainPage {
        f: &visit.frame,
        signed: signed.map(|signed| visit.frame.moment(&signed.at)),
        is_compared: kept.is_some(),
        found,
        seq,
        hash,
        faults: &faults,
    })?;
    if faults.is_empty() { Ok(page) } else { Ok((StatusCode::UNPROCESSABLE_ENTITY, page).into_response()) }
}

#[derive(Template)]
#[template(path = "audit_export.html")]
struct ExportPage<'a> {
    f: &'a Frame,
}

/// The form of the export; the proof is asked for before it (SES-6).
pub(crate) async fn ask_export(visit: Visit) -> Shown {
    visit.must_be_fresh()?;
    super::page(&ExportPage { f: &visit.frame })
}

/// The export of `/v1`, of the tenant that is looked at.
pub(crate) async fn export(visit: Visit, Query(query): Query<ExportQuery>) -> Shown {
    let query = ExportQuery {
        since: instant(query.since.as_deref(), "T00:00:00Z"),
        until: instant(query.until.as_deref(), "T23:59:59.999Z"),
        format: query.format,
    };
    let mut response = api::export(State(visit.app), Caller(visit.actor), Query(query)).await?;
    let file = HeaderValue::from_static("attachment; filename=\"audit.jsonl\"");
    response.headers_mut().insert(CONTENT_DISPOSITION, file);
    Ok(response)
}
