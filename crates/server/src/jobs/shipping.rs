//! From the audit log to the syslog receiver, at least once: what it has taken is noted behind it, so that a
//! crash of either side repeats events and loses none. Of several nodes one does it, for as long as it lives.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::app::App;
use crate::audit::personal;
use crate::error::Result;
use crate::store::{audit, sinks};
use crate::syslog::Syslog;

/// The name of the sink in the store.
pub(crate) const SYSLOG: &str = "syslog";
/// How often to look for new events.
const LOOK: Duration = Duration::from_secs(1);
/// Pauses after failures, each longer than the one before.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// Beyond the time that a batch may take: a node that is silent for so long has lost the sink to another.
const GRACE: Duration = Duration::from_secs(5);
/// Events of one batch.
const BATCH: usize = 500;

/// Sends events for as long as the server runs.
pub(super) async fn run(app: Arc<App>) {
    if app.syslog.is_none() {
        return;
    }
    let mut pause = LOOK;
    loop {
        tokio::time::sleep(pause).await;
        let (this, sent) = (app.clone(), Arc::new(AtomicBool::new(false)));
        let done = sent.clone();
        let work = async move {
            done.store(catch_up(&this).await?, Ordering::Release);
            Ok(())
        };
        super::attempt(&app, SYSLOG, work).await;
        pause = if sent.load(Ordering::Acquire) { LOOK } else { (pause * 2).min(LONGEST_PAUSE) };
    }
}

/// Sends what there is, unless another node does; false when the receiver does not take it.
async fn catch_up(app: &App) -> Result<bool> {
    let Some(syslog) = &app.syslog else { return Ok(true) };
    loop {
        if sinks::behind(&mut app.read().await?, SYSLOG).await?.is_empty() || !hold(app, syslog).await? {
            return Ok(true);
        }
        // Whoever had it before may have moved on: only what is read while it is held counts.
        let behind = sinks::behind(&mut app.read().await?, SYSLOG).await?;
        let batch = Batch::read(app, syslog, behind).await?;
        let sent = syslog.send(&batch.messages).await;
        app.metrics.attempted(SYSLOG, sent.is_ok());
        if let Err(why) = sent {
            tracing::warn!(
                why,
                events = batch.messages.len(),
                "syslog does not take events; they will be sent again"
            );
            return Ok(false);
        }
        let mut tx = app.db.begin().await?;
        for (tenant, seq) in &batch.cursors {
            sinks::move_cursor(tx.conn(), tenant, SYSLOG, *seq).await?;
        }
        tx.commit().await?;
    }
}

async fn hold(app: &App, syslog: &Syslog) -> Result<bool> {
    let now = app.clock.unix_ms();
    let lease = app.settings.audit.syslog.timeout + GRACE;
    let until = now + i64::try_from(lease.as_millis()).unwrap_or(0);
    let mut tx = app.db.begin().await?;
    let held = sinks::hold(tx.conn(), SYSLOG, &syslog.holder, now, until).await?;
    tx.commit().await?;
    Ok(held)
}

/// Leaves the sink to whoever comes next.
pub(super) async fn release(app: &App) -> Result<()> {
    let Some(syslog) = &app.syslog else { return Ok(()) };
    let mut tx = app.db.begin().await?;
    sinks::release(tx.conn(), SYSLOG, &syslog.holder).await?;
    tx.commit().await
}

/// Messages that are sent together, and up to where they reach in each tenant's log.
#[derive(Default)]
struct Batch {
    messages: Vec<String>,
    cursors: Vec<(String, i64)>,
}

impl Batch {
    async fn read(app: &App, syslog: &Syslog, behind: Vec<(String, i64)>) -> Result<Self> {
        let mut batch = Self::default();
        for (tenant, from) in behind {
            let room = BATCH - batch.messages.len();
            if room == 0 {
                break;
            }
            let limit = i64::try_from(room).unwrap_or(1);
            let rows = audit::chain(&mut app.read().await?, &tenant, from, limit).await?;
            let Some(last) = rows.last().map(|row| row.seq) else { continue };
            let events = rows.iter().filter_map(personal::readable);
            batch.messages.extend(events.map(|event| syslog.message(&event)));
            batch.cursors.push((tenant, last));
        }
        Ok(batch)
    }
}
