//! `/odata/v1`: keys, users, use and audit events for spreadsheets and reports (SQ9): OData 4.0, to be read only.
//!
//! The same lists as `/v1` has, behind the same rights; whoever reads has Basic, as Excel sends it, or anything
//! else that is good for `/v1`. Errors are told in the shape of OData.

mod feed;
mod filter;
mod metadata;
mod options;
mod rows;
mod sets;

use std::sync::Arc;

use axum::extract::{Path, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Json, Router};
use http::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{StatusCode, Uri};
use serde::ser::{SerializeMap as _, SerializeSeq as _};
use serde::{Serialize, Serializer};
use serde_json::{Value, json};

use self::feed::{Feed, PAGE};
use self::filter::Filter;
use self::options::{Options, read_format};
use self::sets::{Row, Set};
use super::caller::authenticate;
use super::guard;
use super::problem::{self, Problem};
use super::router::Need;
use crate::app::{App, Call};
use crate::error::{Error, Result};

/// Where all of it is.
const ROOT: &str = "/odata/v1";
/// Rights of which one opens the list of sets.
const ANY: &[&str] = &["keys:read", "me/keys:read", "users:read", "audit:read"];
const JSON: &str = "application/json;odata.metadata=minimal";
const VERSION: HeaderName = HeaderName::from_static("odata-version");
const MAX_VERSION: HeaderName = HeaderName::from_static("odata-maxversion");
const PREFER: HeaderName = HeaderName::from_static("prefer");
const APPLIED: HeaderName = HeaderName::from_static("preference-applied");
/// A wish for smaller pages (part 1, 8.2.8.5).
const PAGE_SIZE: &str = "odata.maxpagesize";

/// Adds the feed.
pub(crate) fn mount(router: Router<Arc<App>>, app: &Arc<App>) -> Router<Arc<App>> {
    let own = Router::new()
        .route(ROOT, get(service))
        .route("/odata/v1/", get(service))
        .route("/odata/v1/{*resource}", get(resource))
        .method_not_allowed_fallback(guard::method_not_allowed)
        .layer(axum::middleware::from_fn_with_state(app.clone(), shape));
    router.merge(own)
}

/// Tells what goes wrong in the shape of OData.
async fn shape(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let call = request.extensions().get::<Call>().cloned().unwrap_or_default();
    let checked = match check_version(request.headers()) {
        Ok(()) => app.must_be_set_up().await,
        refused => refused,
    };
    let response = match checked {
        Ok(()) => next.run(request).await,
        Err(error) => Problem(error).into_response(),
    };
    let mut response = problem::tell(response, &call.request_id, refuse);
    response.headers_mut().insert(VERSION, HeaderValue::from_static("4.0"));
    response
}

/// Clients of earlier versions understand nothing of this.
fn check_version(headers: &HeaderMap) -> Result<()> {
    let Some(most) = headers.get(MAX_VERSION) else { return Ok(()) };
    let major = most.to_str().unwrap_or_default().split('.').next().unwrap_or_default().trim().parse::<u32>();
    if major.is_ok_and(|major| major >= 4) {
        return Ok(());
    }
    Err(Error::malformed("OData-MaxVersion", "unsupported_version", "this is OData 4.0"))
}

/// An error as OData has it (JSON format 4.0, 19).
fn refuse(error: &Error) -> Response {
    let (code, message, target) = match error {
        Error::Malformed(faults) | Error::Invalid(faults) if !faults.is_empty() => {
            let fault = &faults[0];
            (fault.code, fault.detail.clone(), Some(fault.pointer.as_str()).filter(|place| !place.is_empty()))
        }
        other => (problem::code(other), problem::detail(other), None),
    };
    let mut told = json!({ "code": code, "message": message });
    if let Some(target) = target {
        told["target"] = target.into();
    }
    let mut response = (problem::status(error), Json(json!({ "error": told }))).into_response();
    let headers = response.headers_mut();
    match error {
        // Excel asks for user name and password when it sees this, and only this.
        Error::Unauthenticated(_) | Error::SecondFactor(_) => {
            let basic = HeaderValue::from_static("Basic realm=\"keyward\", charset=\"UTF-8\"");
            headers.insert(WWW_AUTHENTICATE, basic);
        }
        Error::Outage(_) | Error::NotSetUp => {
            headers.insert(RETRY_AFTER, HeaderValue::from_static("2"));
        }
        _ => {}
    }
    response
}

/// The service document: the sets that the caller may read.
async fn service(
    State(app): State<Arc<App>>,
    Extension(call): Extension<Call>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let actor = authenticate(&app, &headers, call).await?;
    guard::must_fit(&app, &actor, Need::OneOf(ANY), "read_odata")?;
    read_format(uri.query().unwrap_or_default(), options::JSON)?;
    // Whoever is no user owns nothing, whatever its rights.
    let opens = |right: &&str| actor.may(right) && (actor.user_id().is_some() || !right.starts_with("me/"));
    let may = |set: &&Set| set.rights.iter().any(opens);
    let sets: Vec<Value> = sets::ALL
        .into_iter()
        .filter(may)
        .map(|set| json!({ "name": set.name, "kind": "EntitySet", "url": set.name }))
        .collect();
    Ok(answer(&json!({ "@odata.context": format!("{}/$metadata", root(&app)), "value": sets }))?)
}

/// Everything below the service document.
async fn resource(
    State(app): State<Arc<App>>,
    Extension(call): Extension<Call>,
    Path(path): Path<String>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let actor = authenticate(&app, &headers, call).await?;
    let query = uri.query().unwrap_or_default();
    if path == "$metadata" {
        guard::must_fit(&app, &actor, Need::OneOf(ANY), "read_odata")?;
        read_format(query, options::XML)?;
        return Ok(text("application/xml", metadata::document().to_owned()));
    }
    let end = path.find(['(', '/']).unwrap_or(path.len());
    let set = sets::find(&path[..end]).ok_or(Error::NotFound)?;
    guard::must_fit(&app, &actor, Need::OneOf(set.rights), set.operation)?;
    let rest = &path[end..];
    let options =
        if rest.starts_with('(') { Options::of_one(set, query) } else { Options::read(set, query) }?;
    let feed = Feed { app: &app, actor: &actor, set, options: &options };
    match rest {
        "" => Ok(page(feed, &headers).await?),
        "/$count" => Ok(text("text/plain", feed.count().await?.to_string())),
        _ => {
            let key =
                rest.strip_prefix('(').and_then(|rest| rest.strip_suffix(')')).ok_or(Error::NotFound)?;
            let row = rows::one(&app, &actor, set, &Filter::of_key(set, key)?).await?;
            Ok(answer(&One {
                context: context(&app, set, &options, "/$entity"),
                set,
                options: &options,
                row,
            })?)
        }
    }
}

async fn page(feed: Feed<'_>, headers: &HeaderMap) -> Result<Response> {
    let wished = page_size(headers);
    let page = feed.page(wished.unwrap_or(PAGE)).await?;
    let shown = Shown {
        context: context(feed.app, feed.set, feed.options, ""),
        count: page.count,
        value: Rows { set: feed.set, options: feed.options, rows: &page.rows },
        next: page.next.map(|query| format!("{}/{}?{query}", root(feed.app), feed.set.name)),
    };
    let mut response = answer(&shown)?;
    // What is sorted comes on one page.
    if let Some(size) = wished
        && feed.options.order.is_empty()
        && let Ok(applied) = HeaderValue::from_str(&format!("{PAGE_SIZE}={size}"))
    {
        response.headers_mut().insert(APPLIED, applied);
    }
    Ok(response)
}

/// How many rows a page shall have, where the client would have fewer than usual.
fn page_size(headers: &HeaderMap) -> Option<usize> {
    let wishes = headers.get_all(PREFER).iter().filter_map(|value| value.to_str().ok());
    let mut sizes = wishes.flat_map(|value| value.split([',', ';'])).filter_map(|wish| {
        let (name, size) = wish.split_once('=')?;
        name.trim().eq_ignore_ascii_case(PAGE_SIZE).then(|| size.trim().parse::<usize>().ok())?
    });
    sizes.next().filter(|size| (1..=PAGE).contains(size))
}

fn root(app: &App) -> String {
    format!("{}{ROOT}", app.settings.server.base_url())
}

fn context(app: &App, set: &Set, options: &Options, end: &str) -> String {
    let select = options.select.as_ref().map(|names| format!("({names})")).unwrap_or_default();
    format!("{}/$metadata#{}{select}{end}", root(app), set.name)
}

fn answer(value: &impl Serialize) -> Result<Response> {
    Ok(text(JSON, serde_json::to_string(value).map_err(Error::internal)?))
}

fn text(kind: &'static str, body: String) -> Response {
    (StatusCode::OK, [(CONTENT_TYPE, HeaderValue::from_static(kind))], body).into_response()
}

/// A page of a set.
#[derive(Serialize)]
struct Shown<'r> {
    #[serde(rename = "@odata.context")]
    context: String,
    #[serde(rename = "@odata.count", skip_serializing_if = "Option::is_none")]
    count: Option<usize>,
    value: Rows<'r>,
    #[serde(rename = "@odata.nextLink", skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

struct Rows<'r> {
    set: &'static Set,
    options: &'r Options,
    rows: &'r [Row],
}

impl Serialize for Rows<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(Some(self.rows.len()))?;
        for row in self.rows {
            list.serialize_element(&Entity { set: self.set, options: self.options, row })?;
        }
        list.end()
    }
}

struct Entity<'r> {
    set: &'static Set,
    options: &'r Options,
    row: &'r Row,
}

impl Serialize for Entity<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_map(Some(self.options.shown.len()))?;
        for at in &self.options.shown {
            object.serialize_entry(self.set.columns[*at].name, &self.row[*at])?;
        }
        object.end()
    }
}

/// One entity.
struct One<'r> {
    context: String,
    set: &'static Set,
    options: &'r Options,
    row: Row,
}

impl Serialize for One<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_map(None)?;
        object.serialize_entry("@odata.context", &self.context)?;
        for at in &self.options.shown {
            object.serialize_entry(self.set.columns[*at].name, &self.row[*at])?;
        }
        object.end()
    }
}
