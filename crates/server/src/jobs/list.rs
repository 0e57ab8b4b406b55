//! The jobs of a tenant as its administrators see them: what waits, and what was given up.

use super::wire::JobOut;
use crate::app::{Actor, App};
use crate::audit::{Audited, Event};
use crate::error::{Error, Result};
use crate::store::jobs;
use crate::store::page::{Listed, Page};

/// A page of jobs; `failed` narrows it to those that were given up, or were not.
pub(crate) async fn list(
    app: &App,
    actor: &Actor,
    failed: Option<bool>,
    page: &Page,
) -> Result<Listed<JobOut>> {
    let rows = jobs::list(&mut app.read().await?, &actor.tenant_id, failed, page).await?;
    let data = rows.data.into_iter().map(JobOut::of).collect::<Result<_>>()?;
    Ok(Listed { data, next_cursor: rows.next_cursor })
}

/// One job.
pub(crate) async fn show(app: &App, actor: &Actor, id: &str) -> Result<JobOut> {
    let row = jobs::find(&mut app.read().await?, &actor.tenant_id, id).await?;
    JobOut::of(row.ok_or(Error::NotFound)?)
}

/// Tries a job again now, as if it were new.
pub(crate) async fn replay(app: &App, actor: &Actor, id: &str) -> Result<JobOut> {
    let job = app.write(actor, async |tx| {
        tx.must_hold("jobs:write")?;
        let (tenant, now) = (tx.tenant().to_owned(), tx.now);
        let row = jobs::find(tx.conn(), &tenant, id).await?.ok_or(Error::NotFound)?;
        if row.failed_at.is_none() {
            return Err(Error::conflict("job_waiting", "the job was not given up; it is tried by itself"));
        }
        jobs::replay(tx.conn(), &tenant, id, now).await?;
        let event = Event::new("job.replay", "job", id, &row.kind);
        let row = jobs::find(tx.conn(), &tenant, id).await?.ok_or(Error::NotFound)?;
        Ok(Audited::new(JobOut::of(row)?, event))
    });
    let job = job.await?;
    app.outbox.wake();
    Ok(job)
}

/// Drops a job: it will not be done.
pub(crate) async fn drop_job(app: &App, actor: &Actor, id: &str) -> Result<()> {
    app.write(actor, async |tx| {
        tx.must_hold("jobs:write")?;
        let tenant = tx.tenant().to_owned();
        let row = jobs::find(tx.conn(), &tenant, id).await?.ok_or(Error::NotFound)?;
        jobs::delete(tx.conn(), &tenant, id).await?;
        Ok(Audited::new((), Event::new("job.drop", "job", id, &row.kind)))
    })
    .await
}
