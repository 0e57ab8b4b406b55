//! `/v1/keys`.

use std::sync::Arc;

use axum::extract::{Path, State};
use keyward_core::decide;
use keyward_core::key::{KeyClass, Status};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::auth;
use crate::app::App;
use crate::error::{Error, Result};
use crate::http::answer::{Answer, Answered};
use crate::http::guard::Caller;
use crate::http::json::{Json, Query, suggestion};
use crate::http::openapi::{Operation, shape};
use crate::keys::wire::{
    BulkOut, BulkRevokeIn, ExtendIn, KeyCreated, KeyIn, KeyOut, KeyPatch, RotateIn, UsageOut,
};
use crate::keys::{
    self, approval, bulk, create, edit as editing, explain as explaining, lifecycle, usage as used,
};
use crate::names::like_pattern;
use crate::sessions::{self, SessionOut, lists};
use crate::store::keys::{KeyFilter, KeySort};
use crate::store::page::Page;
use crate::wire::{Nothing, ReasonIn, time};

const TAG: &str = "keys";
const FILTERS: &[&str] = &[
    "status",
    "class",
    "owner_id",
    "q",
    "label",
    "created_by",
    "created_before",
    "created_after",
    "expires_before",
    "expires_after",
    "last_used_before",
    "never_expires",
    "unused",
    "awaits_approval",
    "sort",
];

pub(crate) const LIST: Operation = Operation::list("list_keys", TAG, "List keys", FILTERS, shape::<KeyOut>());
pub(crate) const CREATE: Operation = Operation::create(
    "create_key",
    TAG,
    "Make a key; its secret is shown once",
    (
        shape::<KeyIn>(),
        r#"{"class": "workspace", "label": "nightly export", "scopes": ["keys:read", "verify:call"], "ttl_seconds": 2592000, "conditions": {"cidrs": ["192.0.2.0/24", "127.0.0.0/8"]}, "limits": [{"name": "minute", "requests": 600, "per_seconds": 60}]}"#,
    ),
    shape::<KeyCreated>(),
);
pub(crate) const BULK_REVOKE: Operation = Operation::act(
    "revoke_keys",
    TAG,
    "Revoke many keys by a filter, with a preview and a confirmation",
    (
        shape::<BulkRevokeIn>(),
        r#"{"filter": {"class": "ingest"}, "reason": "collector retired", "preview": true}"#,
    ),
    shape::<BulkOut>(),
);
pub(crate) const SHOW: Operation =
    Operation::show("show_key", TAG, "Show a key with its effective rights", shape::<KeyOut>());
pub(crate) const EDIT: Operation = Operation::act(
    "edit_key",
    TAG,
    "Edit a key",
    (shape::<KeyPatch>(), r#"{"label": "weekly export", "idle_seconds": 2592000}"#),
    shape::<KeyOut>(),
);
pub(crate) const DELETE: Operation =
    Operation::plain("delete_key", TAG, "Revoke a key; the row stays for the retention time");
pub(crate) const USAGE: Operation = Operation {
    query: &["hours"],
    ..Operation::show("show_key_usage", TAG, "Show how a key was used", shape::<UsageOut>())
};
pub(crate) const SESSIONS: Operation = Operation::list(
    "list_sessions_of_key",
    TAG,
    "List the sessions that began with a key",
    &[],
    shape::<SessionOut>(),
);
pub(crate) const END_SESSIONS: Operation =
    Operation::plain("end_sessions_of_key", TAG, "End every session that began with a key");
pub(crate) const EXPLAIN: Operation = Operation::act(
    "explain_key",
    TAG,
    "Tell every check that a request with this key would meet",
    (shape::<ExplainIn>(), r#"{"rights": ["models/emea:read"], "client_ip": "192.0.2.7"}"#),
    shape::<ExplainOut>(),
);
pub(crate) const APPROVE: Operation = Operation::act(
    "approve_key",
    TAG,
    "Approve a key that somebody else made, so that it works",
    (shape::<Nothing>(), "{}"),
    shape::<KeyOut>(),
);
pub(crate) const REJECT: Operation = Operation::act(
    "reject_key",
    TAG,
    "Reject a key that waits for an approval; it is revoked",
    (shape::<ReasonIn>(), r#"{"reason": "a token of the gateway is enough"}"#),
    shape::<KeyOut>(),
);
pub(crate) const REVOKE: Operation = Operation::act(
    "revoke_key",
    TAG,
    "End a key for good",
    (shape::<ReasonIn>(), r#"{"reason": "found in a repository"}"#),
    shape::<KeyOut>(),
);
pub(crate) const ACTIVATE: Operation =
    Operation::act("activate_key", TAG, "Switch a key on", (shape::<Nothing>(), "{}"), shape::<KeyOut>());
pub(crate) const DEACTIVATE: Operation = Operation::act(
    "deactivate_key",
    TAG,
    "Switch a key off for now",
    (shape::<ReasonIn>(), r#"{"reason": "looked odd"}"#),
    shape::<KeyOut>(),
);
pub(crate) const EXTEND: Operation = Operation::act(
    "extend_key",
    TAG,
    "Move the end of a key, also of one that is over",
    (shape::<ExtendIn>(), r#"{"ttl_seconds": 7776000}"#),
    shape::<KeyOut>(),
);
pub(crate) const ROTATE: Operation = Operation::act(
    "rotate_key",
    TAG,
    "Make another secret and let the older ones work for an overlap",
    (shape::<RotateIn>(), r#"{"overlap_seconds": 3600}"#),
    shape::<KeyCreated>(),
);
pub(crate) const ROTATE_FINISH: Operation = Operation::act(
    "finish_rotation",
    TAG,
    "Retire the older secrets now",
    (shape::<Nothing>(), "{}"),
    shape::<KeyOut>(),
);
pub(crate) const ROTATE_ABORT: Operation = Operation::act(
    "abort_rotation",
    TAG,
    "Drop the newest secret; the one before it stays",
    (shape::<Nothing>(), "{}"),
    shape::<KeyOut>(),
);
pub(crate) const NEW_SECRET: Operation = Operation::act(
    "new_secret",
    TAG,
    "Make a new secret; the older ones die at once",
    (shape::<Nothing>(), "{}"),
    shape::<KeyCreated>(),
);

/// Filters and sort of the list; console and CLI use the same words.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ListQuery {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) status: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) class: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) owner_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) q: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) label: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) created_by: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) created_before: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) created_after: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) expires_before: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) expires_after: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) last_used_before: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) never_expires: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) unused: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) awaits_approval: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) sort: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) limit: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cursor: Option<String>,
}

impl ListQuery {
    pub(crate) fn statuses(&self) -> Result<Vec<Status>> {
        let words = self.status.as_deref().unwrap_or_default().split(',').filter(|word| !word.is_empty());
        words
            .map(|word| {
                Status::parse(word).ok_or_else(|| unknown("status", word, &Status::ALL.map(Status::as_str)))
            })
            .collect()
    }

    pub(crate) fn filter(&self) -> Result<KeyFilter> {
        let at = |name: &str, text: &Option<String>| {
            text.as_deref().map(|text| time(name, text)).transpose().map_err(as_query)
        };
        let classes = self.class.as_deref().map(|words| {
            let known = KeyClass::ALL.map(KeyClass::as_str);
            match words.split(',').find(|word| KeyClass::parse(word).is_none()) {
                Some(word) => Err(unknown("class", word, &known)),
                None => Ok(format!(",{words},")),
            }
        });
        Ok(KeyFilter {
            classes: classes.transpose()?,
            switches: None,
            owner_id: self.owner_id.clone(),
            // Access keys are kept without what all of them begin with.
            q: self.q.as_deref().map(|text| like_pattern(text.strip_prefix("kwa_").unwrap_or(text))),
            label: self.label.clone(),
            created_by: self.created_by.clone(),
            created_before: at("created_before", &self.created_before)?,
            created_after: at("created_after", &self.created_after)?,
            expires_before: at("expires_before", &self.expires_before)?,
            expires_after: at("expires_after", &self.expires_after)?,
            last_used_before: at("last_used_before", &self.last_used_before)?,
            never_expires: self.never_expires,
            unused: self.unused,
            awaits_approval: self.awaits_approval,
        })
    }

    pub(crate) fn sort(&self) -> Result<KeySort> {
        let text = self.sort.as_deref().unwrap_or("-created_at");
        let (down, name) = text.strip_prefix('-').map_or((false, text), |name| (true, name));
        match name {
            "created_at" => Ok(KeySort::CreatedAt(down)),
            "label" => Ok(KeySort::Label(down)),
            "expires_at" => Ok(KeySort::ExpiresAt(down)),
            "last_used_at" => Ok(KeySort::LastUsedAt(down)),
            _ => Err(unknown("sort", name, &["created_at", "label", "expires_at", "last_used_at"])),
        }
    }

    /// The cursor is bound to everything but itself and the limit.
    pub(crate) fn page(&self) -> Result<Page> {
        let scope = format!(
            "{:?}",
            (
                (&self.status, &self.class, &self.owner_id, &self.q, &self.label, &self.created_by),
                (&self.created_before, &self.created_after, &self.expires_before, &self.expires_after),
                (&self.last_used_before, self.never_expires, self.unused, self.awaits_approval, self.sort()?),
            )
        );
        Page::read(self.limit, self.cursor.as_deref(), &scope)
    }
}

fn unknown(parameter: &str, word: &str, known: &[&str]) -> Error {
    Error::malformed(parameter, "bad_value", suggestion(word, known))
}

/// A fault of a parameter is a malformed request, not an unacceptable value.
fn as_query(error: Error) -> Error {
    match error {
        Error::Invalid(faults) => Error::Malformed(faults),
        other => other,
    }
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct UsageQuery {
    hours: Option<i64>,
}

/// A request to be explained.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ExplainIn {
    pub(crate) rights: Vec<String>,
    pub(crate) method: Option<String>,
    pub(crate) path: Option<String>,
    #[schema(value_type = Option<String>)]
    pub(crate) client_ip: Option<std::net::IpAddr>,
}

/// Every check with its outcome.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ExplainOut {
    pub(crate) valid: bool,
    /// `ok`, or the reason that would be told.
    pub(crate) code: &'static str,
    #[schema(value_type = Vec<Object>)]
    pub(crate) steps: Vec<decide::Step>,
}

pub(crate) async fn list(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
    Query(query): Query<ListQuery>,
) -> Answered {
    let (filter, statuses, sort, page) = (query.filter()?, query.statuses()?, query.sort()?, query.page()?);
    Answer::ok(&keys::list(&app, &actor, filter, &statuses, sort, &page).await?)
}

pub(crate) async fn create(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
    Json(input): Json<KeyIn>,
) -> Answered {
    let created = create::create(&app, &actor, input).await?;
    Ok(Answer::created(&created, format!("/v1/keys/{}", created.key.id))?.version(created.key.version))
}

pub(crate) async fn bulk_revoke(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
    Json(input): Json<BulkRevokeIn>,
) -> Answered {
    Answer::ok(&bulk::revoke(&app, &actor, input).await?)
}

pub(crate) async fn show(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
    Path(id): Path<String>,
) -> Answered {
    answer(&keys::show(&app, &actor, &id).await?)
}

pub(crate) async fn edit(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
    Path(id): Path<String>,
    Json(patch): Json<KeyPatch>,
) -> Answered {
    answer(&editing::edit(&app, &actor, &id, patch).await?)
}

pub(crate) async fn delete(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
    Path(id): Path<String>,
) -> Answered {
    lifecycle::revoke(&app, &actor, &id, None).await?;
    Answer::nothing()
}

pub(crate) async fn usage(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
    Path(id): Path<String>,
    Query(query): Query<UsageQuery>,
) -> Answered {
    Answer::ok(&used::show(&app, &actor, &id, query.hours).await?)
}

pub(crate) async fn sessions(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
    Path(id): Path<String>,
    Query(query): Query<auth::ListQuery>,
) -> Answered {
    Answer::ok(&lists::list_of_key(&app, &actor, &id, &query.page(&id)?).await?)
}

pub(crate) async fn end_sessions(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
    Path(id): Path<String>,
) -> Answered {
    sessions::end_of_key(&app, &actor, &id).await?;
    Answer::nothing()
}

pub(crate) async fn explain(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
    Path(id): Path<String>,
    Json(input): Json<ExplainIn>,
) -> Answered {
    Answer::ok(&explaining::explain(&app, &actor, &id, &input).await?)
}

pub(crate) async fn approve(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
    Path(id): Path<String>,
    Json(_): Json<Nothing>,
) -> Answered {
    answer(&approval::approve(&app, &actor, &id).await?)
}

pub(crate) async fn reject(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
    Path(id): Path<String>,
    Json(input): Json<ReasonIn>,
) -> Answered {
    answer(&approval::reject(&app, &actor, &id, input.checked()?).await?)
}

pub(crate) async fn revoke(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
    Path(id): Path<String>,
    Json(input): Json<ReasonIn>,
) -> Answered {
    answer(&lifecycle::revoke(&app, &actor, &id, input.checked()?).await?)
}

pub(crate) async fn activate(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
    Path(id): Path<String>,
    Json(_): Json<Nothing>,
) -> Answered {
    answer(&lifecycle::activate(&app, &actor, &id).await?)
}

pub(crate) async fn deactivate(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
    Path(id): Path<String>,
    Json(input): Json<ReasonIn>,
) -> Answered {
    answer(&lifecycle::deactivate(&app, &actor, &id, input.checked()?).await?)
}

pub(crate) async fn extend(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
    Path(id): Path<String>,
    Json(input): Json<ExtendIn>,
) -> Answered {
    answer(&lifecycle::extend(&app, &actor, &id, &input).await?)
}

pub(crate) async fn rotate(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
    Path(id): Path<String>,
    Json(input): Json<RotateIn>,
) -> Answered {
    renewed(&lifecycle::rotate(&app, &actor, &id, &input).await?)
}

pub(crate) async fn rotate_finish(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
    Path(id): Path<String>,
    Json(_): Json<Nothing>,
) -> Answered {
    answer(&lifecycle::finish_rotation(&app, &actor, &id).await?)
}

pub(crate) async fn rotate_abort(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
    Path(id): Path<String>,
    Json(_): Json<Nothing>,
) -> Answered {
    answer(&lifecycle::abort_rotation(&app, &actor, &id).await?)
}

pub(crate) async fn new_secret(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
    Path(id): Path<String>,
    Json(_): Json<Nothing>,
) -> Answered {
    renewed(&lifecycle::new_secret(&app, &actor, &id).await?)
}

fn answer(key: &KeyOut) -> Answered {
    Ok(Answer::ok(key)?.version(key.version))
}

fn renewed(created: &KeyCreated) -> Answered {
    Ok(Answer::ok(created)?.version(created.key.version))
}
