//! Settings › Policy: the rules that stand, their versions, and the way back to one (SQ4, X5).

use askama::Template;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::IntoResponse as _;
use serde::Deserialize;

use super::form::{Faults, Form};
use super::frame::Frame;
use super::gate::Visit;
use super::moment::Moment;
use super::policy_text::{self, Words};
use super::who;
use super::{Shown, go, rule};
use crate::error::{Error, Result};
use crate::http::json::Query;
use crate::policies;
use crate::policies::difference::{self, Difference};
use crate::policies::drafts::{self, DraftOut};
use crate::policies::impact::{self, SimulationOut};
use crate::policies::versions::{self, RollbackIn, VersionOut};
use crate::store::page::Page;
use crate::verify::facts::{self, TenantRecord};

pub(super) const POLICY: &str = "/console/settings/policy";

/// A rule that differs, in words.
pub(super) struct Change {
    pub(super) name: String,
    pub(super) before: String,
    pub(super) after: String,
}

/// Differences in words.
pub(super) fn changes(frame: &Frame, differences: &[Difference]) -> Vec<Change> {
    let change = |one: &Difference| Change {
        name: rule::full_name(frame, &one.path),
        before: rule::value_words(frame, &one.path, &one.before),
        after: rule::value_words(frame, &one.path, &one.after),
    };
    differences.iter().map(change).collect()
}

/// What the operator allows the tenant, and what it has.
pub(super) async fn tenant_of(visit: &Visit) -> Result<TenantRecord> {
    let mut conn = visit.app.read().await?;
    let id = visit.actor.tenant_id.parse().map_err(Error::internal)?;
    facts::load_tenant(&mut conn, id, 0).await?.ok_or(Error::NotFound)
}

struct DraftLine {
    draft: DraftOut,
    state: &'static str,
    created: Moment,
    starts: Option<Moment>,
}

struct VersionLine {
    version: VersionOut,
    applied: Moment,
    /// It is the one that stands.
    is_current: bool,
}

impl VersionLine {
    fn new(version: VersionOut, current: i64, frame: &Frame) -> Self {
        let applied = frame.moment(&version.applied_at);
        Self { is_current: version.version == current, applied, version }
    }
}

#[derive(Template)]
#[template(path = "policy.html")]
struct PolicyPage<'a> {
    f: &'a Frame,
    words: Vec<Words>,
    drafts: Vec<DraftLine>,
    versions: Vec<VersionLine>,
    older: Option<String>,
}

/// Which versions are shown.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct VersionsQuery {
    cursor: Option<String>,
}

pub(crate) async fn show(visit: Visit, Query(query): Query<VersionsQuery>) -> Shown {
    let frame = &visit.frame;
    let now = policies::show(&visit.app, &visit.actor).await?;
    let features = tenant_of(&visit).await?.tenant.features;
    let page = Page::read(Some(20), query.cursor.as_deref(), "policy versions")?;
    let mut listed = versions::list(&visit.app, &visit.actor, &page).await?;
    who::put_names(&visit, listed.data.iter_mut().map(|version| &mut version.applied_by).collect()).await;
    let version = |version| VersionLine::new(version, now.version, frame);
    super::page(&PolicyPage {
        f: frame,
        words: policy_text::of(frame, &now.policy, features),
        drafts: open_drafts(&visit).await?,
        older: listed.next_cursor.map(|cursor| format!("{POLICY}?cursor={cursor}#versions")),
        versions: listed.data.into_iter().map(version).collect(),
    })
}

/// Drafts that were not applied yet.
async fn open_drafts(visit: &Visit) -> Result<Vec<DraftLine>> {
    let all = Page::read(Some(100), None, "of a page")?;
    let mut lines = Vec::new();
    for state in ["scheduled", "failed", "draft"] {
        let found = drafts::list(&visit.app, &visit.actor, Some(state), &all).await?;
        lines.extend(found.data.into_iter().map(|draft| DraftLine {
            state: state_name(&visit.frame, &draft),
            created: visit.frame.moment(&draft.created_at),
            starts: draft.starts_at.as_deref().map(|at| visit.frame.moment(at)),
            draft,
        }));
    }
    Ok(lines)
}

/// The state of a draft in words.
pub(super) fn state_name(frame: &Frame, draft: &DraftOut) -> &'static str {
    match draft.state.as_str() {
        "scheduled" => frame.t("Waits for its time"),
        "applied" => frame.t("Applied"),
        "failed" => frame.t("Could not be applied"),
        _ => frame.t("Draft"),
    }
}

#[derive(Template)]
#[template(path = "policy_version.html")]
struct VersionPage<'a> {
    f: &'a Frame,
    line: VersionLine,
    changes: Vec<Change>,
}

pub(crate) async fn version(visit: Visit, Path(number): Path<String>) -> Shown {
    let frame = &visit.frame;
    let mut version = versions::show(&visit.app, &visit.actor, &number).await?;
    who::put_names(&visit, vec![&mut version.applied_by]).await;
    let now = policies::show(&visit.app, &visit.actor).await?;
    super::page(&VersionPage {
        f: frame,
        changes: changes(frame, version.differences.as_deref().unwrap_or_default()),
        line: VersionLine::new(version, now.version, frame),
    })
}

#[derive(Template)]
#[template(path = "policy_rollback.html")]
struct RollbackPage<'a> {
    f: &'a Frame,
    number: i64,
    /// The version that it would take the place of.
    current: i64,
    note: &'a str,
    changes: Vec<Change>,
    impact: SimulationOut,
    reasons: Vec<(&'static str, String)>,
    faults: &'a Faults,
}

/// Why, and which version stood when it was asked.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct RollbackForm {
    note: Option<String>,
    version: Option<String>,
}

pub(crate) async fn ask_rollback(visit: Visit, Path(number): Path<String>) -> Shown {
    visit.must_be_fresh()?;
    confirm_rollback(&visit, &number, None, &Faults::default()).await
}

async fn confirm_rollback(visit: &Visit, number: &str, note: Option<&str>, faults: &Faults) -> Shown {
    let old = versions::show(&visit.app, &visit.actor, number).await?;
    let now = policies::show(&visit.app, &visit.actor).await?;
    let impact = impact::of_version(&visit.app, &visit.actor, old.version).await?;
    let (before, after) = (rule::document(&now.policy)?, old.policy.unwrap_or_default());
    super::page(&RollbackPage {
        f: &visit.frame,
        number: old.version,
        current: now.version,
        note: note.unwrap_or_default(),
        changes: changes(&visit.frame, &difference::between(&before, &after)),
        reasons: reasons(&visit.frame, &impact),
        impact,
        faults,
    })
}

pub(crate) async fn roll_back(
    mut visit: Visit,
    Path(number): Path<String>,
    Form(form): Form<RollbackForm>,
) -> Shown {
    visit.actor.if_match = form.version.as_deref().and_then(|version| version.parse().ok());
    let input = RollbackIn { version: number.parse().unwrap_or(0), note: form.note.clone() };
    match versions::roll_back(&visit.app, &visit.actor, &input).await {
        Ok(_) => go(POLICY, "rolled-back"),
        Err(error) => {
            let faults = Faults::of(error)?;
            let page = confirm_rollback(&visit, &number, form.note.as_deref(), &faults).await?;
            Ok((StatusCode::UNPROCESSABLE_ENTITY, page).into_response())
        }
    }
}

/// Why keys would stop, and how many for each reason.
pub(super) fn reasons(frame: &Frame, impact: &SimulationOut) -> Vec<(&'static str, String)> {
    let told = |(code, count): (&&'static str, &u64)| (*code, frame.n("1 key|{} keys", count));
    impact.would_stop.by_code.iter().map(told).collect()
}
