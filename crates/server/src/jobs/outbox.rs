//! The outbox: jobs that leave the process, done at least once, also across a crash (R13).
//!
//! A job belongs to a lane: what goes to one place. Of each lane a few are done at a time, so that
//! one slow place holds up nobody else. A job that is taken is due again after a while; whoever
//! finishes it removes it before that, so that of several nodes one does it unless that one dies.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use keyward_core::id::Kind;
use serde::Serialize;
use tokio::sync::Notify;

use super::fan_out;
use crate::app::App;
use crate::error::{Error, Result};
use crate::mail::{self, Letter};
use crate::random;
use crate::store::Conn;
use crate::store::jobs::{self, JobRow};

/// How often to look for what is due, without a sign that there is something.
const LOOK: Duration = Duration::from_secs(1);
/// What comes together is worked on together.
const GATHER: Duration = Duration::from_millis(200);
/// How often to look for events that another node wrote and did not live to pass on.
const SWEEP: Duration = Duration::from_secs(15);
/// Jobs of one lane at a time.
const LANE: usize = 4;
/// And of all lanes.
const ALL: usize = 64;
/// After so long another node may take a job; nothing that is done takes longer.
const LEASE_MS: i64 = 90_000;
const LONGEST: Duration = Duration::from_secs(60);
/// Seconds until the next attempt, by the attempts so far; after the last a job is given up.
const MAIL_PAUSES: [i64; 8] = [30, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 86_400];

/// Marker of job ids.
#[derive(Clone, Copy)]
pub(crate) enum Job {}

impl Kind for Job {
    const PREFIX: &'static str = "job";
}

/// Something that is to leave the process.
pub(crate) enum Outgoing {
    /// A mail to a user.
    Mail(Letter),
}

impl Outgoing {
    /// Queues it in the transaction of the connection.
    pub(crate) async fn queue(self, conn: &mut Conn, tenant: &str, now: i64) -> Result<()> {
        let Self::Mail(letter) = self;
        let row = JobRow {
            tenant_id: tenant.into(),
            id: random::new_id::<Job>(now).to_string(),
            lane: format!("mail {tenant}"),
            kind: "mail".into(),
            payload: to_json(&letter)?,
            attempts: 0,
            due_at: now,
            failed_at: None,
            last_error: None,
            created_at: now,
        };
        jobs::insert(conn, &row).await
    }
}

fn to_json(payload: &impl Serialize) -> Result<String> {
    serde_json::to_string(payload).map_err(Error::internal)
}

/// Why a job was not done.
#[derive(Debug)]
pub(crate) enum Failure {
    /// It may work later.
    Later(String),
    /// It never will.
    Never(String),
}

/// What this node knows of the outbox.
#[derive(Default)]
pub(crate) struct Outbox {
    wake: Notify,
    /// Tenants where something happened.
    changed: Mutex<HashSet<String>>,
    /// Jobs that are being done, by lane.
    running: Mutex<HashMap<String, usize>>,
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

    fn running(&self) -> MutexGuard<'_, HashMap<String, usize>> {
        self.running.lock().expect("no code panics while it holds this lock")
    }

    /// How many more jobs of a lane may be done now.
    fn room(&self, lane: &str) -> usize {
        let running = self.running();
        let all: usize = running.values().sum();
        let own = running.get(lane).copied().unwrap_or(0);
        LANE.saturating_sub(own).min(ALL.saturating_sub(all))
    }

    fn end(&self, lane: &str) {
        let mut running = self.running();
        if let Some(count) = running.get_mut(lane) {
            *count -= 1;
            if *count == 0 {
                running.remove(lane);
            }
        }
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
        if let Err(error) = fan_out::catch_up(app, &tenant).await {
            app.outbox.changed(&tenant);
            return Err(error);
        }
    }
    start_due(app).await
}

/// Starts what is due, as far as there is room.
async fn start_due(app: &Arc<App>) -> Result<()> {
    let now = app.clock.unix_ms();
    let lanes = jobs::due_lanes(&mut app.read().await?, now, 1_000).await?;
    for lane in lanes {
        let room = app.outbox.room(&lane);
        if room == 0 {
            continue;
        }
        let mut tx = app.db.begin().await?;
        let room = i64::try_from(room).map_err(Error::internal)?;
        let claimed = jobs::claim(tx.conn(), &lane, now, now + LEASE_MS, room).await?;
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
        *app.outbox.running().entry(lane.into()).or_default() += 1;
        Self { app: app.clone(), lane: lane.into() }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.app.outbox.end(&self.lane);
        self.app.outbox.wake();
    }
}

async fn work(place: Place, job: JobRow) {
    let app = &place.app;
    let done = tokio::time::timeout(LONGEST, attempt(app, &job)).await;
    let done = done.unwrap_or_else(|_| Err(Failure::Later("it took longer than a minute".into())));
    app.metrics.attempted(&job.kind, done.is_ok());
    if let Err(error) = settle(app, &job, done).await {
        // It is due again when its lease is over.
        tracing::warn!(job = %job.id, %error, "the end of a job could not be written");
    }
}

async fn attempt(app: &App, job: &JobRow) -> Result<(), Failure> {
    match job.kind.as_str() {
        "mail" => mail::deliver(app, job).await,
        other => Err(Failure::Never(format!("this version knows no jobs of the kind {other}"))),
    }
}

async fn settle(app: &App, job: &JobRow, done: Result<(), Failure>) -> Result<()> {
    let mut tx = app.db.begin().await?;
    match done {
        Ok(()) => {
            jobs::delete(tx.conn(), &job.tenant_id, &job.id).await?;
        }
        Err(failure) => {
            let failed = after(job, failure, app.clock.unix_ms());
            tracing::warn!(
                job = %job.id, kind = %job.kind, attempts = job.attempts, given_up = failed.failed_at.is_some(),
                error = failed.last_error, "a job could not be done"
            );
            jobs::fail(tx.conn(), &failed).await?;
        }
    }
    tx.commit().await
}

/// A job after an attempt that failed.
fn after(job: &JobRow, failure: Failure, now: i64) -> JobRow {
    let place = usize::try_from(job.attempts - 1).unwrap_or(0);
    let (why, pause) = match failure {
        Failure::Later(why) => (why, MAIL_PAUSES.get(place).copied()),
        Failure::Never(why) => (why, None),
    };
    // A tenth more or less, so that what failed together does not come back together.
    let jitter = |seconds: i64| seconds * (900 + i64::from(random::below(201)));
    JobRow {
        due_at: pause.map_or(now, |seconds| now + jitter(seconds)),
        failed_at: pause.is_none().then_some(now),
        last_error: Some(why),
        ..job.clone()
    }
}
