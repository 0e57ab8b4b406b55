//! `/v1/audit-events`.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::Response;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::app::{Actor, App};
use crate::audit::segments::{self, SegmentOut};
use crate::audit::{self, Audited, Event, Recorded, ocsf, personal};
use crate::checkpoints::{self, CheckpointOut, Kept, VerificationOut};
use crate::error::{Error, Result};
use crate::http::answer::{Answer, Answered};
use crate::http::guard::Caller;
use crate::http::json::Query;
use crate::http::openapi::{Operation, Returns, shape};
use crate::http::problem::Problem;
use crate::http::stream::{self, Parts};
use crate::store::audit::{self as store, AuditFilter, AuditRow};
use crate::store::page::{Listed, Page};
use crate::wire::time;

const TAG: &str = "audit";

/// An audit event.
#[derive(ToSchema)]
#[schema(as = AuditEvent)]
#[expect(dead_code, reason = "names the schema of `Recorded`")]
pub(crate) struct EventOut {
    id: String,
    /// Place in the tenant's chain, from 1 without gaps.
    seq: i64,
    tenant_id: String,
    at: String,
    #[schema(value_type = Object)]
    actor: (),
    key_id: Option<String>,
    /// Which secret of the key: 1 for the first, one more with each rotation.
    secret_generation: Option<u32>,
    /// As in `key.create`.
    action: String,
    #[schema(value_type = Object)]
    target: (),
    /// `success` or `refused`.
    outcome: String,
    reason: Option<String>,
    #[schema(value_type = Option<Object>)]
    before: (),
    #[schema(value_type = Option<Object>)]
    after: (),
    request_id: String,
    address: Option<String>,
    agent: Option<String>,
}

pub(crate) const LIST: Operation = Operation::list(
    "list_audit_events",
    TAG,
    "List audit events, newest first",
    &["actor_id", "target_id", "action", "outcome", "since", "until"],
    shape::<EventOut>(),
);
pub(crate) const SHOW: Operation =
    Operation::show("show_audit_event", TAG, "Show an audit event", shape::<EventOut>());
pub(crate) const EXPORT: Operation = Operation {
    answer: Returns::Lines,
    query: &["since", "until", "format"],
    ..Operation::show(
        "export_audit_events",
        TAG,
        "Export the chain, a JSON object a line: jsonl with its hashes, or as ocsf writes events",
        shape::<EventOut>(),
    )
};
pub(crate) const VERIFICATION: Operation = Operation {
    query: &["checkpoint_seq", "checkpoint_hash"],
    ..Operation::show(
        "verify_audit_events",
        TAG,
        "Check the chain, also against a checkpoint that was kept elsewhere; names the first bad event",
        shape::<VerificationOut>(),
    )
};
pub(crate) const CHECKPOINTS: Operation = Operation::list(
    "list_audit_checkpoints",
    TAG,
    "List signed checkpoints of the chain, newest first",
    &[],
    shape::<CheckpointOut>(),
);

pub(crate) const SEGMENTS: Operation = Operation::list(
    "list_audit_segments",
    TAG,
    "List parts of the chain that were kept for long enough and closed, newest first",
    &[],
    shape::<SegmentOut>(),
);

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ListQuery {
    pub(crate) actor_id: Option<String>,
    pub(crate) target_id: Option<String>,
    pub(crate) action: Option<String>,
    pub(crate) outcome: Option<String>,
    pub(crate) since: Option<String>,
    pub(crate) until: Option<String>,
    pub(crate) limit: Option<i64>,
    pub(crate) cursor: Option<String>,
}

impl ListQuery {
    fn filter(&self) -> Result<AuditFilter> {
        let at = |name: &str, text: &Option<String>| text.as_deref().map(|text| time(name, text)).transpose();
        Ok(AuditFilter {
            actor_id: self.actor_id.clone(),
            target_id: self.target_id.clone(),
            action: self.action.clone(),
            outcome: self.outcome.clone(),
            since: at("since", &self.since)?,
            until: at("until", &self.until)?,
        })
    }

    fn page(&self) -> Result<Page> {
        let scope = format!(
            "{:?}",
            (&self.actor_id, &self.target_id, &self.action, &self.outcome, &self.since, &self.until)
        );
        Page::read(self.limit, self.cursor.as_deref(), &scope)
    }
}

/// A part of the chain by time.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ExportQuery {
    pub(crate) since: Option<String>,
    pub(crate) until: Option<String>,
    pub(crate) format: Option<String>,
}

/// How events are exported.
#[derive(Clone, Copy)]
pub(crate) enum Format {
    /// As they were hashed, with the hashes.
    Jsonl,
    /// OCSF, for those who gather the logs of many products.
    Ocsf,
}

impl Format {
    /// The line of an event; nothing where it cannot be read, which only the form as hashed can tell.
    fn line(self, row: &AuditRow) -> Option<String> {
        match self {
            Self::Jsonl => Some(segments::exported(row)),
            Self::Ocsf => Some(format!("{}\n", ocsf::render(&personal::readable(row)?))),
        }
    }
}

impl ExportQuery {
    fn format(&self) -> Result<Format> {
        match self.format.as_deref() {
            None | Some("jsonl") => Ok(Format::Jsonl),
            Some("ocsf") => Ok(Format::Ocsf),
            Some(other) => {
                Err(Error::malformed("format", "bad_value", format!("{other} is neither jsonl nor ocsf")))
            }
        }
    }

    fn range(&self) -> Result<std::ops::Range<i64>> {
        let at = |name: &str, text: &Option<String>| text.as_deref().map(|text| time(name, text)).transpose();
        Ok(at("since", &self.since)?.unwrap_or(i64::MIN)..at("until", &self.until)?.unwrap_or(i64::MAX))
    }
}

pub(crate) async fn list(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
    Query(query): Query<ListQuery>,
) -> Answered {
    Answer::ok(&events(&app, &actor, &query).await?)
}

/// A page of the log; that it was read is noted.
pub(crate) async fn events(app: &App, actor: &Actor, query: &ListQuery) -> Result<Listed<Recorded>> {
    let (filter, page) = (query.filter()?, query.page()?);
    app.notices.read(actor, LIST.id, app.clock.monotonic_ms());
    let listed = store::list(&mut app.read().await?, &actor.tenant_id, &filter, &page).await?;
    let data = listed.data.iter().filter_map(personal::readable).collect();
    Ok(Listed { data, next_cursor: listed.next_cursor })
}

pub(crate) async fn show(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
    Path(id): Path<String>,
) -> Answered {
    Answer::ok(&event(&app, &actor, &id).await?)
}

/// One event; that it was read is noted.
pub(crate) async fn event(app: &App, actor: &Actor, id: &str) -> Result<Recorded> {
    app.notices.read(actor, SHOW.id, app.clock.monotonic_ms());
    let seq = audit::seq_of(id).ok_or(Error::NotFound)?;
    let row = store::find(&mut app.read().await?, &actor.tenant_id, seq).await?.ok_or(Error::NotFound)?;
    let event = personal::read(&row)?;
    // The number alone does not make it the event that was asked for.
    if event.id == id { Ok(event) } else { Err(Error::NotFound) }
}

/// What a checkpoint says that the caller kept.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct KeptQuery {
    pub(crate) checkpoint_seq: Option<i64>,
    pub(crate) checkpoint_hash: Option<String>,
}

impl KeptQuery {
    /// The checkpoint, if one was given.
    pub(crate) fn kept(self) -> Result<Option<Kept>> {
        match (self.checkpoint_seq, self.checkpoint_hash) {
            (None, None) => Ok(None),
            (Some(seq), Some(hash)) if seq > 0 => Ok(Some(Kept { seq, hash })),
            _ => Err(Error::malformed(
                "checkpoint_seq",
                "bad_value",
                "give checkpoint_seq, above 0, and checkpoint_hash together",
            )),
        }
    }
}

pub(crate) async fn verification(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
    Query(query): Query<KeptQuery>,
) -> Answered {
    let kept = query.kept()?;
    Answer::ok(&checkpoints::verification(&app, &actor.tenant_id, kept.as_ref()).await?)
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct PageQuery {
    limit: Option<i64>,
    cursor: Option<String>,
}

pub(crate) async fn list_segments(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
    Query(query): Query<PageQuery>,
) -> Answered {
    let page = Page::read(query.limit, query.cursor.as_deref(), SEGMENTS.id)?;
    Answer::ok(&segments::list(&app, &actor.tenant_id, &page).await?)
}

pub(crate) async fn list_checkpoints(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
    Query(query): Query<PageQuery>,
) -> Answered {
    let page = Page::read(query.limit, query.cursor.as_deref(), CHECKPOINTS.id)?;
    Answer::ok(&checkpoints::list(&app, &actor.tenant_id, &page).await?)
}

/// Streams the chain in the order of its making; the export itself is audited first.
pub(crate) async fn export(
    State(app): State<Arc<App>>,
    Caller(actor): Caller,
    Query(query): Query<ExportQuery>,
) -> Result<Response, Problem> {
    let (range, format) = (query.range()?, query.format()?);
    let event = Event::new("audit.export", "tenant", &actor.tenant_id, "");
    app.write(&actor, async |tx| {
        tx.must_be_fresh()?;
        Ok(Audited::new((), event))
    })
    .await?;
    let reader = app.clone();
    Ok(stream::answer(&app, "application/jsonl", move |parts| async move {
        send_chain(&reader, &actor.tenant_id, format, &range, &parts).await.map(drop)
    }))
}

/// Sends the chain of a tenant; false when the client went away.
pub(crate) async fn send_chain(
    app: &App,
    tenant: &str,
    format: Format,
    range: &std::ops::Range<i64>,
    parts: &Parts,
) -> Result<bool> {
    let mut after = 0;
    loop {
        let rows = store::chain(&mut app.read().await?, tenant, after, 500).await?;
        let Some(last) = rows.last() else { return Ok(true) };
        after = last.seq;
        let wanted = rows.iter().filter(|row| range.contains(&row.at));
        if !parts.send(wanted.filter_map(|row| format.line(row)).collect()).await {
            return Ok(false);
        }
    }
}
