//! What a draft would do to the keys that there are (X5): how many would stop and why, and which.

use std::collections::BTreeMap;
use std::sync::Arc;

use keyward_core::key::KeyClass;
use keyward_core::policy::Policy;
use serde::Serialize;
use utoipa::ToSchema;

use super::{drafts, versions};
use crate::app::{Actor, App};
use crate::audit::{Audited, Event};
use crate::error::Result;
use crate::keys::view::{Viewer, brief};
use crate::store::Conn;
use crate::store::keys;
use crate::store::page::{Listed, Page, Position};
use crate::verify::facts::TenantRecord;
use crate::verify::record::KeyRecord;

/// Rows read at a time.
const STEP: i64 = 1000;
/// Keys named in a simulation.
const SAMPLE: usize = 20;
/// What a key is told that is not stopped.
const OK: &str = "ok";

/// A key that would be told something else.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct ImpactRow {
    pub(crate) id: String,
    pub(crate) access_key: String,
    pub(crate) label: String,
    #[schema(value_type = String)]
    pub(crate) class: KeyClass,
    pub(crate) owner_id: Option<String>,
    pub(crate) owner_username: Option<String>,
    /// `ok`, or the reason that it is refused with now.
    pub(crate) code_now: &'static str,
    /// `ok`, or the reason that it would be refused with.
    pub(crate) code_then: &'static str,
}

/// Keys that would stop.
#[derive(Debug, Default, Serialize, ToSchema)]
pub(crate) struct StopsOut {
    pub(crate) count: u64,
    /// How many by the reason that they would be refused with.
    pub(crate) by_code: BTreeMap<&'static str, u64>,
}

/// What a draft would do.
#[derive(Debug, Default, Serialize, ToSchema)]
pub(crate) struct SimulationOut {
    /// Keys that work now and would be refused.
    pub(crate) would_stop: StopsOut,
    /// Keys that are refused now and would work again.
    pub(crate) would_start: u64,
    /// Keys that were looked at: all that are neither revoked nor switched off.
    pub(crate) looked_at: u64,
    /// Some of those that would stop, 20 at most; `impact` lists all.
    pub(crate) sample: Vec<ImpactRow>,
}

/// One tenant under two policies. Time and rights are the same for both, and no key costs a query.
pub(crate) struct Comparison {
    tenant: String,
    viewer: Viewer,
    now: Arc<TenantRecord>,
    then: Arc<TenantRecord>,
}

/// Some keys, as far as they were looked at.
pub(crate) struct Part {
    pub(crate) rows: Vec<ImpactRow>,
    pub(crate) looked_at: u64,
    /// The key that was looked at last; `None` when there are no more.
    pub(crate) last: Option<String>,
}

impl Comparison {
    /// The tenant under the policy `now` and under the policy `then`.
    pub(crate) async fn new(
        conn: &mut Conn,
        tenant: &str,
        unix_ms: i64,
        (now, then): (Policy, Policy),
    ) -> Result<Self> {
        let viewer = Viewer::new(conn, tenant, unix_ms).await?;
        let under = |policy| Arc::new(viewer.tenant.under(policy));
        let (now, then) = (under(now), under(then));
        Ok(Self { tenant: tenant.into(), viewer, now, then })
    }

    /// The keys behind `after` that would be told something else, a step at a time.
    pub(crate) async fn part(&mut self, conn: &mut Conn, after: &str) -> Result<Part> {
        let rows = keys::switched_on(conn, &self.tenant, after, STEP).await?;
        let (Some(first), Some(last)) = (rows.first(), rows.last()) else {
            return Ok(Part { rows: Vec::new(), looked_at: 0, last: None });
        };
        self.viewer.meet_owners(conn, &first.id, &last.id).await?;
        let (last, looked_at) = (Some(last.id.clone()), rows.len() as u64);
        let mut changed = Vec::new();
        for row in &rows {
            let record = KeyRecord::of(row, 0)?;
            let code = |tenant: &TenantRecord| {
                let lapse = self.viewer.lapse(&tenant.tenant, &record, row.last_used_at);
                lapse.map_or(OK, keyward_core::decide::Code::as_str)
            };
            let (code_now, code_then) = (code(&self.now), code(&self.then));
            if code_now != code_then {
                let key = brief(row)?;
                changed.push(ImpactRow {
                    id: key.id,
                    access_key: key.access_key,
                    label: key.label,
                    class: key.class,
                    owner_id: key.owner_id,
                    owner_username: key.owner_username,
                    code_now,
                    code_then,
                });
            }
        }
        Ok(Part { rows: changed, looked_at, last })
    }
}

impl ImpactRow {
    /// Whether it works now and would not.
    pub(crate) fn stops(&self) -> bool {
        self.code_now == OK
    }

    fn starts(&self) -> bool {
        self.code_then == OK
    }
}

/// Counts what a draft would do.
pub(crate) async fn simulate(app: &App, actor: &Actor, id: &str) -> Result<SimulationOut> {
    let mut conn = app.read().await?;
    let comparison = compare(app, &mut conn, &actor.tenant_id, id).await?;
    count(&mut conn, comparison).await
}

/// Counts what going back to a version would do.
pub(crate) async fn of_version(app: &App, actor: &Actor, version: i64) -> Result<SimulationOut> {
    let mut conn = app.read().await?;
    let both = versions::policies(&mut conn, &actor.tenant_id, version).await?;
    let comparison = Comparison::new(&mut conn, &actor.tenant_id, app.clock.unix_ms(), both).await?;
    count(&mut conn, comparison).await
}

async fn count(conn: &mut Conn, mut comparison: Comparison) -> Result<SimulationOut> {
    let mut out = SimulationOut::default();
    let mut after = String::new();
    loop {
        let part = comparison.part(conn, &after).await?;
        out.looked_at += part.looked_at;
        for row in part.rows {
            out.would_start += u64::from(row.starts());
            if row.stops() {
                out.would_stop.count += 1;
                *out.would_stop.by_code.entry(row.code_then).or_default() += 1;
                if out.sample.len() < SAMPLE {
                    out.sample.push(row);
                }
            }
        }
        let Some(last) = part.last else { return Ok(out) };
        after = last;
    }
}

/// The policy that stands beside that of a draft.
pub(crate) async fn compare(app: &App, conn: &mut Conn, tenant: &str, id: &str) -> Result<Comparison> {
    let both = drafts::policies(conn, tenant, id).await?;
    Comparison::new(conn, tenant, app.clock.unix_ms(), both).await
}

/// Notes in the audit log that all of them are taken away; a session must be fresh for it (SES-6).
pub(crate) async fn begin_export(app: &App, actor: &Actor, id: &str) -> Result<()> {
    let event = Event::new("report.read", "report", "policy-impact", id);
    app.write(actor, async |tx| {
        tx.must_hold("policies:write")?;
        tx.must_be_fresh()?;
        Ok(Audited::new((), event))
    })
    .await
}

/// A page of the keys that a draft would do something to, narrowed by the code that they would be told.
pub(crate) async fn list(
    app: &App,
    actor: &Actor,
    id: &str,
    code: Option<&str>,
    page: &Page,
) -> Result<Listed<ImpactRow>> {
    let mut conn = app.read().await?;
    let mut comparison = compare(app, &mut conn, &actor.tenant_id, id).await?;
    let wanted = usize::try_from(page.limit + 1).unwrap_or(usize::MAX);
    let mut after = page.after.as_ref().map(|position| position.id.clone()).unwrap_or_default();
    let mut found = Vec::new();
    while found.len() < wanted {
        let part = comparison.part(&mut conn, &after).await?;
        found.extend(part.rows.into_iter().filter(|row| code.is_none_or(|code| row.code_then == code)));
        let Some(last) = part.last else { break };
        after = last;
    }
    found.truncate(wanted);
    Ok(page.finish(found, |row| Position { number: None, text: None, id: row.id.clone() }))
}
