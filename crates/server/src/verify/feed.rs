//! Following the change feed (X7): what other nodes wrote becomes known here.
//!
//! PostgreSQL wakes us by NOTIFY; SQLite is asked five times a second. The feed table is what
//! counts: a lost message costs at most one poll.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use sqlx::postgres::PgListener;

use crate::app::App;
use crate::error::{Error, Result};
use crate::store::changes::{self, ChangeKind};

const LONGEST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PATIENCE: Duration = Duration::from_millis(900);
/// Later than this behind its time a timer only fires if the process was stopped.
const STUTTER: Duration = Duration::from_millis(100);
const PAGE: i64 = 1000;

/// How often to ask, and how long one answer may take before the database counts as away.
struct Pace {
    pause: Duration,
    patience: Duration,
}

impl Pace {
    /// Both together stay below `max_staleness`: a database that hangs is known to be away before
    /// cached facts would have to be read again.
    fn within(max_staleness: Duration) -> Self {
        Self {
            pause: LONGEST_PAUSE.min(max_staleness / 5),
            patience: LONGEST_PATIENCE.min(max_staleness * 7 / 10),
        }
    }
}

/// Follows the feed for as long as the server runs.
pub(crate) async fn follow(app: Arc<App>) {
    let max_staleness = app.settings.verify.max_staleness;
    let pace = Pace::within(max_staleness);
    let health = &app.verifier.cache.health;
    let mut listener = None;
    loop {
        let asked = app.clock.monotonic_ms();
        let lag = Duration::from_millis(app.verifier.cache.lag_ms());
        let outcome = tokio::time::timeout(pace.patience, poll(&app)).await;
        let alive = matches!(outcome, Ok(Ok(())));
        let took = Duration::from_millis(app.clock.monotonic_ms().saturating_sub(asked));
        if !alive && took > pace.patience + STUTTER {
            // This process stood still; that says nothing about the database.
            continue;
        }
        if !alive && !health.down.load(Ordering::Acquire) {
            health.knew_all.store(lag <= max_staleness, Ordering::Release);
        }
        let was_down = health.down.swap(!alive, Ordering::AcqRel);
        match (alive, was_down) {
            (false, false) => tracing::error!(cause = %describe(outcome), "the database is away"),
            (true, true) => tracing::info!("the database is back"),
            _ => {}
        }
        if alive && listener.is_none() {
            listener = app.db.listener().await.unwrap_or_else(|error| {
                tracing::warn!(%error, "no wake-ups from the database; polling alone");
                None
            });
        }
        wait(&mut listener, pace.pause).await;
    }
}

/// Reads the feed to its end and applies what is new.
pub(crate) async fn poll(app: &App) -> Result<()> {
    let cache = &app.verifier.cache;
    // Taken before the query: what commits while it runs belongs to the next poll.
    let asked_ms = app.clock.monotonic_ms();
    let last = changes::last_seq(&mut app.db.read().await?).await?;
    loop {
        let applied = cache.health.applied_seq.load(Ordering::Acquire);
        if last <= applied {
            break;
        }
        // No connection is held while others are waited for: a reload takes one of its own.
        let entries = changes::since(&mut app.db.read().await?, applied, PAGE).await?;
        let gap = entries.first().is_none_or(|(seq, _)| *seq > applied + 1);
        if gap {
            // Entries were pruned before we read them, or written by a newer binary.
            cache.expire_all();
            for kind in ChangeKind::SEALED {
                app.verifier.reload(kind).await?;
            }
        }
        let mut reached = if entries.is_empty() { last } else { applied };
        for (seq, change) in &entries {
            reached = *seq;
            if !app.own_changes.lock().expect("never poisoned").remove(seq) {
                cache.apply(change);
            }
            // Own changes too: another node may have written between the change and its reload here.
            app.verifier.reload(change.kind).await?;
        }
        cache.health.applied_seq.fetch_max(reached, Ordering::AcqRel);
        // Told when it counts here, so that whoever is told and asks again gets the new answer.
        for (seq, change) in entries {
            app.verifier.bulletin.add(seq, change);
        }
    }
    let applied = cache.health.applied_seq.load(Ordering::Acquire);
    app.own_changes.lock().expect("never poisoned").retain(|seq| *seq > applied);
    app.verifier.bulletin.reach(applied);
    cache.health.confirmed_ms.store(asked_ms, Ordering::Release);
    Ok(())
}

async fn wait(listener: &mut Option<PgListener>, pause: Duration) {
    let Some(awake) = listener else { return tokio::time::sleep(pause).await };
    if let Ok(Err(_) | Ok(None)) = tokio::time::timeout(pause, awake.try_recv()).await {
        *listener = None;
        tokio::time::sleep(pause).await;
    }
}

fn describe(outcome: Result<Result<()>, tokio::time::error::Elapsed>) -> String {
    match outcome {
        Ok(Err(Error::Outage(cause) | Error::Internal(cause))) => cause.to_string(),
        Ok(Err(error)) => error.to_string(),
        Ok(Ok(())) => String::new(),
        Err(_) => "no answer in time".into(),
    }
}
