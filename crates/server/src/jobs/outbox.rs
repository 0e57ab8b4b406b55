//! The outbox: jobs that leave the process, done at least once, also across a crash (R13).
//!
//! A job belongs to a lane: what goes to one place. Of each lane a few are done at a time, so that
//! one slow place holds up nobody else. A job that is taken is due again after a while; whoever
//! finishes it removes it before that, so that of several nodes one does it unless that one dies.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use keyward_core::id::Kind;
use serde::Serialize;
use tokio::sync::Notify;

use super::fan_out::{self, CaughtUp};
use super::places::{Places, tenant_of};
use crate::app::App;
use crate::error::{Error, Result};
use crate::mail::{self, Letter};
use crate::random;
use crate::store::Conn;
use crate::store::jobs::{self, JobRow};
use crate::store::webhooks;
use crate::webhooks::delivery::{self, Attempt, Report, Ticket};

/// How often to look for what is due, without a sign that there is something.
const LOOK: Duration = Duration::from_secs(1);
/// What comes together is worked on together.
const GATHER: Duration = Duration::from_millis(200);
/// How often to look for events that another node wrote and did not live to pass on.
const SWEEP: Duration = Duration::from_secs(15);
/// What takes longer is slow: its place is known as one in trouble from then on.
const SLOW: Duration = Duration::from_secs(5);
/// After so long another node may take a job; nothing that is done takes longer.
const LEASE_MS: i64 = 90_000;
const LONGEST: Duration = Duration::from_secs(60);
/// Seconds until the next attempt, by the attempts so far; after the last a job is given up.
const MAIL_PAUSES: [i64; 8] = [30, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 86_400];
/// The same of webhooks (OUT-4).
const WEBHOOK_PAUSES: [i64; 9] = [5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400];
const MAIL: &str = "mail";
const WEBHOOK: &str = "webhook";

/// Marker of job ids.
#[derive(Clone, Copy)]
pub(crate) enum Job {}

impl Kind for Job {
    const PREFIX: &'static str = "job";
}

/// Something that is to leave the process.
pub(crate) enum Outgoing {
    /// A mail to a user.
    Mail(Box<Letter>),
    /// An event to a webhook.
    Webhook(Ticket),
    /// A test of a webhook: it goes past what waits for it, and also to one that takes nothing.
    Test(Ticket),
}

impl Outgoing {
    /// Queues it in the transaction of the connection; returns the id of its job.
    pub(crate) async fn queue(self, conn: &mut Conn, tenant: &str, now: i64) -> Result<String> {
        // The tenant is the second word of a lane: `tenant_of` reads it.
        let (lane, kind, payload) = match &self {
            Self::Mail(letter) => (format!("{MAIL} {tenant}"), MAIL, to_json(letter)?),
            Self::Webhook(ticket) => (webhook_lane(tenant, &ticket.webhook_id), WEBHOOK, to_json(ticket)?),
            Self::Test(ticket) => {
                (webhook_lane(tenant, &ticket.webhook_id) + " test", WEBHOOK, to_json(ticket)?)
            }
        };
        let row = JobRow {
            tenant_id: tenant.into(),
            id: random::new_id::<Job>(now).to_string(),
            lane,
            kind: kind.into(),
            payload,
            attempts: 0,
            due_at: now,
            failed_at: None,
            last_error: None,
            created_at: now,
        };
        jobs::insert(conn, &row).await?;
        Ok(row.id)
    }
}

/// Where the events for a webhook wait. The statements of `store/` make the same text.
pub(crate) fn webhook_lane(tenant: &str, webhook: &str) -> String {
    format!("{WEBHOOK} {tenant} {webhook}")
}

/// The webhook whose events wait in a lane.
fn webhook_of(lane: &str) -> Option<&str> {
    let mut words = lane.split(' ');
    let webhook = words.next().filter(|kind| *kind == WEBHOOK).and_then(|_| words.nth(1));
    webhook.filter(|_| words.next().is_none())
}

/// Takes jobs of a lane, as far as what they go to may be sent any.
async fn claim(conn: &mut Conn, lane: &str, now: i64, most: i64) -> Result<Vec<JobRow>> {
    let until = now + LEASE_MS;
    let most = match webhook_of(lane) {
        Some(id) => webhooks::admit(conn, tenant_of(lane), id, (now, until), most).await?,
        None => most,
    };
    if most == 0 { Ok(Vec::new()) } else { jobs::claim(conn, lane, now, until, most).await }
}

fn to_json(payload: &impl Serialize) -> Result<String> {
    serde_json::to_string(payload).map_err(Error::internal)
}

/// Why a job was not done.
#[derive(Debug)]
pub(crate) enum Failure {
    /// It may work later.
    Later(String),
    /// The same, but not before so many seconds have passed.
    Wait(String, i64),
    /// It never will.
    Never(String),
}

/// What this node knows of the outbox.
#[derive(Default)]
pub(crate) struct Outbox {
    wake: Notify,
    /// Tenants where something happened.
    changed: Mutex<HashSet<String>>,
    places: Places,
}

impl Outbox {
    /// Something happened in a tenant.
    pub(crate) fn changed(&self, tenant: &str) {
        let mut changed = self.changed.lock().expect("no code panics while it holds this lock");
        if !changed.contains(tenant) {
            changed.insert(tenant.into());
            self.wake.notify_one();
        }
    }

    /// There may be jobs that are due.
    pub(crate) fn wake(&self) {
        self.wake.notify_one();
    }

    fn take_changed(&self) -> HashSet<String> {
        std::mem::take(&mut *self.changed.lock().expect("no code panics while it holds this lock"))
    }
}

/// Turns events into jobs and does those that are due, for as long as the server runs.
pub(super) async fn run(app: Arc<App>) {
    let mut swept_at = None;
    loop {
        let now = app.clock.monotonic_ms();
        let sweep = swept_at.is_none_or(|at| now.saturating_sub(at) >= SWEEP.as_millis() as u64);
        if sweep {
            swept_at = Some(now);
            app.outbox.places.forget(now);
        }
        let this = app.clone();
        super::attempt(&app, "outbox", async move { round(&this, sweep).await }).await;
        let _ = tokio::time::timeout(LOOK, app.outbox.wake.notified()).await;
        tokio::time::sleep(GATHER).await;
    }
}

async fn round(app: &Arc<App>, sweep: bool) -> Result<()> {
    let mut tenants = app.outbox.take_changed();
    if sweep {
        tenants.extend(jobs::tenants_behind(&mut app.read().await?).await?);
    }
    for tenant in tenants {
        match fan_out::catch_up(app, &tenant).await {
            Ok(CaughtUp::Whole) => {}
            Ok(CaughtUp::InPart) => app.outbox.changed(&tenant),
            // One tenant never keeps the others waiting; the next sweep tries it again.
            Err(error) => tracing::error!(tenant, %error, "events could not be turned into news"),
        }
    }
    start_due(app).await
}

/// Starts what is due, as far as there is room.
async fn start_due(app: &Arc<App>) -> Result<()> {
    let now = app.clock.unix_ms();
    let lanes = jobs::due_lanes(&mut app.read().await?, now, 1_000).await?;
    for lane in app.outbox.places.in_turn(lanes) {
        let room = app.outbox.places.room(&lane);
        if room == 0 {
            continue;
        }
        let mut tx = app.db.begin().await?;
        let room = i64::try_from(room).map_err(Error::internal)?;
        let claimed = claim(tx.conn(), &lane, now, room).await?;
        tx.commit().await?;
        for job in claimed {
            tokio::spawn(work(Place::take(app, &job.lane), job));
        }
    }
    Ok(())
}

/// A place in a lane, free again when it is dropped.
struct Place {
    app: Arc<App>,
    lane: String,
}

impl Place {
    fn take(app: &Arc<App>, lane: &str) -> Self {
        app.outbox.places.enter(lane);
        Self { app: app.clone(), lane: lane.into() }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.app.outbox.places.leave(&self.lane);
        self.app.outbox.wake();
    }
}

/// Does a job and those of its lane that come after it.
async fn work(place: Place, job: JobRow) {
    let mut next = Some(job);
    while let Some(job) = next.take() {
        next = match step(&place.app, &job).await {
            Ok(next) => next,
            Err(error) => {
                // It is due again when its lease is over.
                tracing::warn!(job = %job.id, %error, "the end of a job could not be written");
                None
            }
        };
    }
}

/// Does a job; returns the next of its lane.
async fn step(app: &App, job: &JobRow) -> Result<Option<JobRow>> {
    let begun = app.clock.monotonic_ms();
    let (done, report) = attempt_bounded(app, job).await;
    app.metrics.attempted(&job.kind, done.is_ok());
    let now = app.clock.monotonic_ms();
    let is_well = done.is_ok() && now.saturating_sub(begun) < SLOW.as_millis() as u64;
    let goes_on = app.outbox.places.ended(&job.lane, is_well, now);
    let failed = done.err().map(|failure| after(job, failure, app.clock.unix_ms()));
    if let (Some(failed), Some(report)) = (&failed, &report) {
        delivery::follow_up(app, report, failed.failed_at.is_some()).await?;
    }
    settle(app, job, failed, report.as_ref(), goes_on).await
}

async fn attempt_bounded(app: &App, job: &JobRow) -> Attempt {
    let mut attempt = std::pin::pin!(attempt(app, job));
    if let Ok(done) = tokio::time::timeout(SLOW, &mut attempt).await {
        return done;
    }
    app.outbox.places.slow(&job.lane, app.clock.monotonic_ms());
    let rest = tokio::time::timeout(LONGEST.saturating_sub(SLOW), attempt).await;
    rest.unwrap_or_else(|_| (Err(Failure::Later("it took longer than a minute".into())), None))
}

async fn attempt(app: &App, job: &JobRow) -> Attempt {
    match job.kind.as_str() {
        MAIL => (mail::deliver(app, job).await, None),
        WEBHOOK => delivery::deliver(app, job).await,
        other => (Err(Failure::Never(format!("this version knows no jobs of the kind {other}"))), None),
    }
}

/// Writes how a job ended, and takes the next of its lane, in one transaction.
async fn settle(
    app: &App,
    job: &JobRow,
    failed: Option<JobRow>,
    report: Option<&Report>,
    goes_on: bool,
) -> Result<Option<JobRow>> {
    let mut tx = app.db.begin().await?;
    if let Some(report) = report {
        delivery::note(tx.conn(), report, app.clock.unix_ms()).await?;
    }
    match failed {
        // The log of a webhook tells what was given up, and replays it.
        Some(failed) if failed.failed_at.is_none() || job.kind != WEBHOOK => {
            tracing::warn!(
                job = %job.id, kind = %job.kind, attempts = job.attempts, given_up = failed.failed_at.is_some(),
                error = failed.last_error, "a job could not be done"
            );
            jobs::fail(tx.conn(), &failed).await?;
        }
        _ => {
            jobs::delete(tx.conn(), &job.tenant_id, &job.id).await?;
        }
    }
    let now = app.clock.unix_ms();
    let limit = i64::from(goes_on);
    let next = claim(tx.conn(), &job.lane, now, limit).await?.pop();
    tx.commit().await?;
    Ok(next)
}

/// A job after an attempt that failed.
fn after(job: &JobRow, failure: Failure, now: i64) -> JobRow {
    let place = usize::try_from(job.attempts - 1).unwrap_or(0);
    let pauses = if job.kind == WEBHOOK { &WEBHOOK_PAUSES[..] } else { &MAIL_PAUSES[..] };
    let pause = pauses.get(place).copied();
    let (why, pause) = match failure {
        Failure::Later(why) => (why, pause.map(jitter)),
        Failure::Wait(why, least) => (why, pause.map(|seconds| jitter(seconds).max(jitter_up(least)))),
        Failure::Never(why) => (why, None),
    };
    JobRow {
        due_at: now + pause.unwrap_or(0),
        failed_at: pause.is_none().then_some(now),
        last_error: Some(why),
        ..job.clone()
    }
}

/// Milliseconds of a pause, a tenth more or less, so that what failed together does not come back together.
pub(crate) fn jitter(seconds: i64) -> i64 {
    seconds * (900 + i64::from(random::below(201)))
}

/// The same, never less.
pub(crate) fn jitter_up(seconds: i64) -> i64 {
    seconds * (1_000 + i64::from(random::below(101)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(kind: &str, attempts: i64) -> JobRow {
        JobRow {
            tenant_id: "tenant_1".into(),
            id: "job_1".into(),
            lane: "webhook tenant_1 webhook_1".into(),
            kind: kind.into(),
            payload: "{}".into(),
            attempts,
            due_at: 0,
            failed_at: None,
            last_error: None,
            created_at: 0,
        }
    }

    #[test]
    fn out_4_webhooks_are_tried_ten_times_in_three_days() {
        let minute = 60;
        let hour = 60 * minute;
        let told =
            [5, 5 * minute, 30 * minute, 2 * hour, 5 * hour, 10 * hour, 14 * hour, 20 * hour, 24 * hour];
        for (attempts, seconds) in (1..).zip(told) {
            let failed = after(&job(WEBHOOK, attempts), Failure::Later("x".into()), 0);
            let (least, most) = (seconds * 900, seconds * 1_100);
            assert!((least..=most).contains(&failed.due_at) && failed.failed_at.is_none(), "{failed:?}");
        }
        assert_eq!(after(&job(WEBHOOK, 10), Failure::Later("x".into()), 7).failed_at, Some(7));
        assert_eq!(after(&job(WEBHOOK, 1), Failure::Never("x".into()), 7).failed_at, Some(7));
        // Pauses differ, or all would come back at once.
        let due: HashSet<i64> =
            (0..50).map(|_| after(&job(WEBHOOK, 9), Failure::Later("x".into()), 0).due_at).collect();
        assert!(due.len() > 10);
        assert_eq!(after(&job(MAIL, 9), Failure::Later("x".into()), 7).failed_at, Some(7));
    }

    #[test]
    fn out_4_a_wish_to_be_left_alone_is_respected_but_does_not_shorten_the_pause() {
        let wait =
            |attempts, seconds| after(&job(WEBHOOK, attempts), Failure::Wait("x".into(), seconds), 0).due_at;
        for _ in 0..50 {
            assert!((600_000..=660_000).contains(&wait(1, 600)));
            assert!((1_620_000..=1_980_000).contains(&wait(3, 600)));
        }
    }
}
