//! Work behind the answers: writing what was gathered, signing, forgetting.

pub(crate) mod expiry_notice;
mod fan_out;
pub(crate) mod kept;
mod key_networks;
pub(crate) mod list;
pub(crate) mod outbox;
mod places;
mod rotation;
pub(crate) mod shipping;
pub(crate) mod wire;

use std::sync::Arc;
use std::time::Duration;

use self::kept::{
    DECIDED_MS, ENDED_MS, FAILED_MS, FEED_MS, IDEMPOTENCY_MS, LONGEST_SESSION_MS, MOST_NAMES,
    REVOKED_SECONDS, SENT_MS, TOLD_MS,
};
use crate::app::App;
use crate::audit::segments;
use crate::error::Result;
use crate::policies::schedule;
use crate::store::{
    attempts, changes, factors, handovers, idempotency, jobs, keys, notifications, passkeys, passwords,
    policies, revoked_tokens, sessions, token_budgets, webhooks,
};
use crate::trusted::firsts;
use crate::{checkpoints, refusals, signing_keys};

/// Keys written in one flush, at least; a larger backlog is spread over the flushes of
/// three quarters of a minute, so that nothing waits longer than that (KEY-14: 60 s at most).
const FLUSH_AT_LEAST: usize = 1_000;

/// How often to look whether all keys are to be read.
const REGISTER: Duration = Duration::from_secs(1);

/// How often to look for scheduled policies.
const DRAFTS: Duration = Duration::from_secs(2);

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);

/// Starts every job; each goes on for as long as the server runs.
pub(crate) fn start(app: &Arc<App>) {
    every(app, app.settings.verify.usage_flush, "usage", |app| async move { flush(&app).await });
    every(app, REGISTER, "register", |app| async move {
        app.verifier.cache.register.fill_when_wanted(&app.db).await
    });
    every(app, refusals::FLUSH, "refusals", |app| async move { app.flush_refusals().await });
    every(app, refusals::FLUSH, "notices", |app| async move { app.flush_notices().await });
    every(app, refusals::FLUSH, "canaries", |app| async move { app.flush_canaries().await });
    every(app, refusals::FLUSH, "mints", |app| async move { app.flush_mints().await });
    every(app, refusals::FLUSH, "firsts", |app| async move { firsts::tell(&app).await });
    every(app, key_networks::PAUSE, "key_networks", |app| async move { key_networks::tell(&app).await });
    every(app, MINUTE, "checkpoints", |app| async move { checkpoints::sign_heads(&app).await });
    every(app, MINUTE, "signing_keys", |app| async move { signing_keys::keep_up(&app).await });
    every(app, DRAFTS, "drafts", |app| async move { schedule::apply_due(&app).await });
    // At once: what came due while no server ran.
    repeat(app, Duration::ZERO, MINUTE, "expiry", |app| async move { expiry_notice::tell(&app).await });
    repeat(app, Duration::ZERO, HOUR, "segments", |app| async move { close_segments(&app).await });
    repeat(app, Duration::ZERO, MINUTE, "rotation", |app| async move { rotation::rotate(&app).await });
    tokio::spawn(outbox::run(app.clone()));
    tokio::spawn(shipping::run(app.clone()));
    every(app, MINUTE, "purge", |app| async move { purge(&app).await });
}

fn every<F>(app: &Arc<App>, pause: Duration, name: &'static str, job: impl Fn(Arc<App>) -> F + Send + 'static)
where
    F: Future<Output = Result<()>> + Send + 'static,
{
    repeat(app, pause, pause, name, job);
}

fn repeat<F>(
    app: &Arc<App>,
    first: Duration,
    pause: Duration,
    name: &'static str,
    job: impl Fn(Arc<App>) -> F + Send + 'static,
) where
    F: Future<Output = Result<()>> + Send + 'static,
{
    let app = app.clone();
    tokio::spawn(async move {
        let mut wait = first;
        loop {
            tokio::time::sleep(std::mem::replace(&mut wait, pause)).await;
            attempt(&app, name, job(app.clone())).await;
        }
    });
}

/// Does some work once. Neither an error nor a panic keeps it from being tried again.
async fn attempt(app: &App, job: &'static str, work: impl Future<Output = Result<()>> + Send + 'static) {
    match tokio::spawn(work).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => {
            let cause = std::error::Error::source(&error).map(ToString::to_string);
            tracing::warn!(job, %error, cause, "a job failed and will be tried again");
        }
        Err(panic) => {
            app.metrics.panics.inc();
            tracing::error!(job, %panic, "a job panicked and will be tried again");
        }
    }
}

/// Closes events that were kept for long enough; what is not yet told on is told first.
async fn close_segments(app: &App) -> Result<()> {
    if app.settings.audit.keep.is_none() {
        return Ok(());
    }
    for tenant in jobs::tenants_behind(&mut app.read().await?).await? {
        fan_out::catch_up(app, &tenant).await?;
    }
    segments::close_due(app).await
}

async fn flush(app: &App) -> Result<()> {
    rehash(app).await?;
    let pause = app.settings.verify.usage_flush.as_secs().max(1);
    let rounds = usize::try_from(45 / pause).unwrap_or(1).max(1);
    let most = FLUSH_AT_LEAST.max(app.verifier.usage.waiting() / rounds);
    app.verifier.seen.flush(&app.db).await?;
    flush_usage(app, most).await
}

async fn flush_usage(app: &App, most: usize) -> Result<()> {
    let written = app.verifier.usage.flush(&app.db, most, app.clock.unix_ms()).await.inspect_err(|_| {
        app.metrics.usage_failures.inc();
    })?;
    app.metrics.usage_flushed.inc_by(written as u64);
    crate::verify::trusted::write_uses(&app.verifier.cache, &app.db).await?;
    app.verifier.usage.first_uses.tell(app).await
}

/// Moves secrets that were used to the newest pepper (STO-3).
async fn rehash(app: &App) -> Result<()> {
    let waiting = app.verifier.cache.take_rehash();
    if waiting.is_empty() {
        return Ok(());
    }
    let mut tx = app.db.begin().await?;
    for item in &waiting {
        let (tenant, id) = (item.key.terms.tenant_id.to_string(), item.key.id.to_string());
        let (generation, pepper) = (i64::from(item.generation), i64::from(item.pepper));
        keys::rehash(tx.conn(), &tenant, &id, generation, pepper, &item.hash.to_hex()).await?;
    }
    tx.commit().await?;
    // The old hash stays true until its pepper is retired, so other nodes need not hear of it.
    for item in &waiting {
        item.key.age.expire();
    }
    Ok(())
}

async fn purge(app: &App) -> Result<()> {
    let now = app.clock.unix_ms();
    let mut tx = app.db.begin().await?;
    changes::prune(tx.conn(), now - FEED_MS).await?;
    idempotency::prune(tx.conn(), now - IDEMPOTENCY_MS).await?;
    let over = now / 1000 - REVOKED_SECONDS;
    revoked_tokens::prune(tx.conn(), over).await?;
    token_budgets::prune(tx.conn(), over).await?;
    sessions::prune(tx.conn(), now - ENDED_MS, now - LONGEST_SESSION_MS).await?;
    passwords::prune_links(tx.conn(), now).await?;
    factors::prune(tx.conn(), now, now - crate::factors::CONFIRM_MS).await?;
    passkeys::prune(tx.conn(), now).await?;
    attempts::prune(tx.conn(), MOST_NAMES).await?;
    jobs::prune(tx.conn(), now - FAILED_MS).await?;
    notifications::prune(tx.conn(), now - TOLD_MS).await?;
    notifications::prune_ends(tx.conn(), now - TOLD_MS).await?;
    handovers::prune(tx.conn(), now, now - TOLD_MS).await?;
    webhooks::prune(tx.conn(), now - SENT_MS, now).await?;
    policies::prune_drafts(tx.conn(), now - DECIDED_MS).await?;
    tx.commit().await?;
    app.verifier.cache.forget_revocations(over);
    app.verifier.cache.forget_sessions(now);
    Ok(())
}

/// Writes everything that is gathered in memory: at shutdown.
pub(crate) async fn finish(app: &App) -> Result<()> {
    while app.verifier.usage.waiting() > 0 {
        flush_usage(app, usize::MAX).await?;
    }
    app.verifier.seen.flush(&app.db).await?;
    app.verifier.cache.return_credits().await?;
    app.finish_refusals().await?;
    app.finish_notices().await?;
    app.finish_mints().await?;
    firsts::tell(app).await?;
    app.finish_canaries().await?;
    shipping::release(app).await?;
    checkpoints::sign_heads(app).await
}
