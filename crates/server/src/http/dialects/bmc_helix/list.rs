//! Lists of access keys, by the number of the page.
//!
//! Keyward's own lists go on behind the last row of a page, and count nothing. Here a page has a number and the
//! whole a count, so the keys are read at once, up to a bound, and put in order in memory.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Path, State};
use axum::response::{IntoResponse as _, Response};
use http::{HeaderMap, Uri};
use keyward_core::key::Status;
use serde::{Deserialize, Serialize};

use super::JSON;
use super::door::{self, Need};
use super::record::{self, Record};
use super::wire::{Kind, Switch};
use crate::app::{Actor, App, Call};
use crate::error::{Error, Result};
use crate::http::answer::Answer;
use crate::http::dialects::body::{self, Whole};
use crate::http::problem::Problem;
use crate::keys;
use crate::store::keys::{KeyFilter, KeySort};
use crate::store::page::Page;

const LIST: Need = ("list_keys", &["keys:read", "me/keys:read"]);
/// Keys that are read for one answer, at most.
const MOST_KEYS: i64 = 10_000;
/// Records on a page unless asked otherwise.
const USUAL_SIZE: usize = 1_000;

/// Which page, and in which order.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Window {
    page: Option<usize>,
    size: Option<usize>,
    #[serde(rename = "orderBy")]
    order_by: Option<String>,
    #[serde(rename = "sortOrder")]
    sort_order: Option<String>,
    /// `TENANT` or `API`, in whichever case.
    #[serde(rename = "userType")]
    user_type: Option<String>,
}

#[derive(Serialize)]
struct Listed {
    records: Vec<Record>,
    #[serde(rename = "_metadata")]
    metadata: Metadata,
}

#[derive(Serialize)]
struct Metadata {
    page: usize,
    records_per_page: usize,
    page_count: usize,
    total_count: usize,
}

pub(super) async fn list(
    State(app): State<Arc<App>>,
    Extension(call): Extension<Call>,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response, Problem> {
    let actor = door::enter(&app, &headers, &call, LIST).await?;
    let window = window(&uri)?;
    let records = records(&app, &actor, KeyFilter::default()).await?;
    window.answer(records)
}

/// The keys of one user: one's own, or with the right to see all keys anybody's.
pub(super) async fn list_of_user(
    State(app): State<Arc<App>>,
    Extension(call): Extension<Call>,
    headers: HeaderMap,
    Path(user_id): Path<String>,
    uri: Uri,
) -> Result<Response, Problem> {
    let actor = door::enter(&app, &headers, &call, LIST).await?;
    if !actor.may("keys:read") && actor.user_id() != Some(user_id.as_str()) {
        return Err(Error::NotFound.into());
    }
    let window = window(&uri)?;
    let filter = KeyFilter { owner_id: Some(user_id), ..KeyFilter::default() };
    window.answer(records(&app, &actor, filter).await?)
}

/// What is looked for: each field that is given must fit. Names and descriptions fit by a part of them, in
/// whichever case.
#[derive(Default, Deserialize)]
#[serde(default)]
struct SearchIn {
    name: Option<String>,
    description: Option<String>,
    access_key: Option<String>,
    user_id: Option<String>,
    #[serde(rename = "type")]
    kind: Option<Kind>,
    status: Option<Switch>,
    #[serde(flatten)]
    window: Window,
}

impl SearchIn {
    fn fits(&self, found: &Record) -> bool {
        let status = self.status.map(|status| if status == Switch::Active { "ACTIVE" } else { "INACTIVE" });
        part(self.name.as_deref(), &found.name)
            && part(self.description.as_deref(), found.description.as_deref().unwrap_or_default())
            && self.access_key.as_ref().is_none_or(|key| *key == found.access_key)
            && self.user_id.as_ref().is_none_or(|id| *id == found.user_id)
            && self.kind.is_none_or(|kind| record::kind(kind.class()) == found.kind)
            && status.is_none_or(|status| status == found.status)
    }
}

fn part(wanted: Option<&str>, text: &str) -> bool {
    wanted.is_none_or(|wanted| text.to_lowercase().contains(&wanted.to_lowercase()))
}

/// The page is named in the query or in the body, which goes first.
pub(super) async fn search(
    State(app): State<Arc<App>>,
    Extension(call): Extension<Call>,
    headers: HeaderMap,
    uri: Uri,
    body: Whole,
) -> Result<Response, Problem> {
    let actor = door::enter(&app, &headers, &call, LIST).await?;
    let mut search: SearchIn = body.json(&headers, JSON)?;
    let window = std::mem::take(&mut search.window).or(window(&uri)?);
    let mut records = records(&app, &actor, KeyFilter::default()).await?;
    records.retain(|found| search.fits(found));
    window.answer(records)
}

fn window(uri: &Uri) -> Result<Window> {
    body::query(uri.query().unwrap_or_default())
}

/// The keys that the actor may see and that were not deleted, the oldest first.
async fn records(app: &App, actor: &Actor, filter: KeyFilter) -> Result<Vec<Record>> {
    let statuses: Vec<Status> = Status::ALL.into_iter().filter(|status| *status != Status::Revoked).collect();
    let (sort, all) = (KeySort::CreatedAt(false), Page::part(MOST_KEYS, None));
    let listed = keys::list(app, actor, filter, &statuses, sort, &all).await?;
    if listed.next_cursor.is_some() {
        let detail = format!("there are more than {MOST_KEYS} keys; list them by /v1/keys");
        return Err(Error::invalid("", "too_many", detail));
    }
    Ok(listed.data.iter().map(Record::of).collect())
}

impl Window {
    fn or(self, other: Self) -> Self {
        Self {
            page: self.page.or(other.page),
            size: self.size.or(other.size),
            order_by: self.order_by.or(other.order_by),
            sort_order: self.sort_order.or(other.sort_order),
            user_type: self.user_type.or(other.user_type),
        }
    }

    fn answer(&self, mut records: Vec<Record>) -> Result<Response, Problem> {
        let (page, size) = (self.page.unwrap_or(0), self.size.unwrap_or(USUAL_SIZE));
        if size == 0 {
            return Err(Error::malformed("size", "out_of_range", "must be 1 or more").into());
        }
        self.narrow(&mut records)?;
        self.sort(&mut records)?;
        let total_count = records.len();
        let metadata =
            Metadata { page, records_per_page: size, page_count: total_count.div_ceil(size), total_count };
        let records = records.into_iter().skip(page.saturating_mul(size)).take(size).collect();
        Ok(Answer::ok(&Listed { records, metadata })?.into_response())
    }

    fn narrow(&self, records: &mut Vec<Record>) -> Result<()> {
        let Some(word) = self.user_type.as_deref().map(str::to_ascii_uppercase) else { return Ok(()) };
        if !["TENANT", "API", "USER"].contains(&word.as_str()) {
            return Err(Error::malformed("userType", "bad_value", "expected TENANT, API or USER"));
        }
        records.retain(|found| found.kind == word);
        Ok(())
    }

    fn sort(&self, records: &mut [Record]) -> Result<()> {
        let by: fn(&Record) -> &str = match self.order_by.as_deref().unwrap_or("created_date_time") {
            "user_id" => |found| &found.user_id,
            "name" => |found| &found.name,
            "description" => |found| found.description.as_deref().unwrap_or_default(),
            "access_key" => |found| &found.access_key,
            "status" => |found| found.status,
            "expiry_enum" => |found| &found.expiry_enum,
            "created_date_time" | "created_date" => |found| &found.created_date,
            _ => {
                let detail = "expected user_id, name, description, access_key, status, expiry_enum or \
                              created_date_time";
                return Err(Error::malformed("orderBy", "bad_value", detail));
            }
        };
        // Stable: equals stay in the order of their making.
        records.sort_by(|a, b| by(a).cmp(by(b)));
        match self.sort_order.as_deref().unwrap_or("asc").to_ascii_lowercase().as_str() {
            "asc" => {}
            "desc" => records.reverse(),
            _ => return Err(Error::malformed("sortOrder", "bad_value", "expected asc or desc")),
        }
        Ok(())
    }
}
