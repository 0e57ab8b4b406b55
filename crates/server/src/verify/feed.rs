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
use crate::store::changes::{self, ChangeKind, Entry, Position};

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
        if matches!(outcome, Ok(Err(Error::Outage(_)))) {
            app.db.close_idle();
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
    let health = &app.verifier.cache.health;
    // Taken before the query: what commits while it runs belongs to the next poll.
    let asked_ms = app.clock.monotonic_ms();
    let newest = changes::newest(&mut app.db.read().await?).await?;
    let applied = health.applied();
    if newest.seq > applied.seq {
        catch_up(app, newest).await?;
    } else if newest != applied {
        start_over(app, newest).await?;
    }
    let applied = health.applied();
    app.own_changes.lock().expect("never poisoned").retain(|seq| *seq > applied.seq);
    app.verifier.bulletin.reach(&applied);
    health.confirmed_ms.store(asked_ms, Ordering::Release);
    Ok(())
}

/// Applies what stands between the last entry applied and `newest`, page by page.
async fn catch_up(app: &App, newest: Position) -> Result<()> {
    let health = &app.verifier.cache.health;
    loop {
        let applied = health.applied();
        if newest.seq <= applied.seq {
            return Ok(());
        }
        // No connection is held while others are waited for: a reload takes one of its own.
        let entries = changes::entries(&mut app.db.read().await?, applied.seq, PAGE).await?;
        let Some(news) = behind(&applied, &entries) else { return start_over(app, newest).await };
        for entry in news {
            apply(app, entry).await?;
        }
    }
}

/// What comes behind the last entry applied, if it is still where it was. One without a mark is gone, or never was.
fn behind<'e>(applied: &Position, entries: &'e [Entry]) -> Option<&'e [Entry]> {
    let (first, rest) = entries.split_first()?;
    let news = if applied.mark.is_empty() && first.position.seq == applied.seq + 1 {
        entries
    } else {
        Some(rest).filter(|_| first.position == *applied)?
    };
    (!news.is_empty()).then_some(news)
}

async fn apply(app: &App, entry: &Entry) -> Result<()> {
    let cache = &app.verifier.cache;
    let is_own = app.own_changes.lock().expect("never poisoned").remove(&entry.position.seq);
    match &entry.change {
        Some(change) => {
            if !is_own {
                cache.apply(change);
            }
            // Own changes too: another node may have written between the change and its reload here.
            app.verifier.reload(change.kind).await?;
        }
        None => cache.expire_all(),
    }
    cache.health.go_on_from(&entry.position);
    // Told when it counts here, so that whoever is told and asks again gets the new answer.
    if let Some(change) = &entry.change {
        app.verifier.bulletin.add(&entry.position, change.clone());
    }
    Ok(())
}

/// Believes nothing of before, and goes on from `newest`: entries were pruned before they were read here, the last one
/// went with its tenant, or the database has another history than the one that was followed, as after a failover that
/// lost some.
async fn start_over(app: &App, newest: Position) -> Result<()> {
    let cache = &app.verifier.cache;
    tracing::warn!(
        applied = cache.health.applied_seq.load(Ordering::Acquire),
        newest = newest.seq,
        "the change feed does not go on from where it was read to; every fact is read anew"
    );
    // Their numbers may be those of other changes now.
    app.own_changes.lock().expect("never poisoned").clear();
    cache.expire_all();
    for kind in ChangeKind::SEALED {
        app.verifier.reload(kind).await?;
    }
    cache.health.go_on_from(&newest);
    app.verifier.bulletin.forget();
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
