//! Drafts that are applied at a moment, by whoever scheduled them: what they may do counts as it is then
//! (AZ-10), as if they did it at that moment.

use std::sync::Arc;

use keyward_core::key::Status;
use keyward_core::right::RightSet;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::drafts;
use crate::app::{Actor, App, Call, Principal, Tx};
use crate::audit::{Audited, Event, Outcome};
use crate::error::{Error, Result};
use crate::keys::view::Viewer;
use crate::random;
use crate::store::policies::{self as store, DraftRow};
use crate::store::{keys, tenants, users};

/// Who scheduled a draft, and with which key.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Scheduler {
    principal: Principal,
    /// The key that was used, or that the session began with: it must work still.
    key_id: Option<String>,
    secret_generation: Option<u32>,
}

impl Scheduler {
    pub(super) fn of(actor: &Actor) -> Result<Self> {
        if actor.visiting {
            let detail =
                "who only visits a tenant applies at once: nobody can look later whether they still may";
            return Err(Error::forbidden("visitor", detail));
        }
        Ok(Self {
            principal: actor.principal.clone(),
            key_id: actor.key_id.clone(),
            secret_generation: actor.secret_generation,
        })
    }

    pub(super) fn to_json(&self) -> Result<String> {
        serde_json::to_string(self).map_err(Error::internal)
    }

    fn read(text: &str) -> Result<Self> {
        serde_json::from_str(text).map_err(Error::internal)
    }

    fn actor(&self, tenant: &str) -> Actor {
        let call = Call { request_id: format!("schedule-{}", random::hex::<8>()), ..Call::default() };
        Actor {
            key_id: self.key_id.clone(),
            secret_generation: self.secret_generation,
            ..Actor::powerless(tenant, self.principal.clone(), call)
        }
    }

    /// What they may do by now: nothing, if their key does not work or they are gone.
    async fn rights(&self, tx: &mut Tx<'_>) -> Result<RightSet> {
        let (tenant, now) = (tx.tenant().to_owned(), tx.now);
        let mut viewer = Viewer::new(tx.conn(), &tenant, now).await?;
        if let Some(key) = &self.key_id {
            let Some(row) = keys::find(tx.conn(), &tenant, key).await? else {
                return Ok(RightSet::default());
            };
            let standing = viewer.standing(tx.conn(), &row).await?;
            let works = matches!(standing.status, Status::Active | Status::Expiring | Status::Rotating);
            return Ok(if works { standing.effective.rights.clone() } else { RightSet::default() });
        }
        match users::find(tx.conn(), &tenant, &self.principal.id).await? {
            Some(user) if user.suspended_at.is_none() && !viewer.tenant.tenant.suspended => {
                crate::users::rights(&viewer.tenant, &user)
            }
            _ => Ok(RightSet::default()),
        }
    }
}

/// The id of who scheduled a draft.
pub(super) fn who(text: &str) -> Result<String> {
    Ok(Scheduler::read(text)?.principal.id)
}

/// Applies what has come due. Of several nodes one does so: the others find it done.
pub(crate) async fn apply_due(app: &App) -> Result<()> {
    let now = app.clock.unix_ms();
    let due = store::due(&mut app.read().await?, now).await?;
    let mut outcome = Ok(());
    for (tenant, id) in due {
        // One that cannot be applied now does not keep the others from it.
        let applied = apply_one(app, &tenant, &id).await;
        outcome = outcome.and(applied);
    }
    outcome
}

async fn apply_one(app: &App, tenant: &str, id: &str) -> Result<()> {
    let row = store::find_draft(&mut app.read().await?, tenant, id).await?;
    let Some(text) = row.and_then(|row| row.scheduled_by) else { return Ok(()) };
    let scheduler = Scheduler::read(&text)?;
    let actor = scheduler.actor(tenant);
    let applied = app.write(&actor, async |tx| {
        let Some(row) = still_due(tx, id).await? else { return Ok(Audited::many((), Vec::new())) };
        tx.rights = Arc::new(scheduler.rights(tx).await?);
        tx.must_hold("policies:write")?;
        let tenant = tenants::find(tx.conn(), &row.tenant_id).await?.ok_or(Error::NotFound)?;
        Ok(drafts::apply_now(tx, row, tenant).await?.map(drop))
    });
    match applied.await {
        // The tenant was deleted meanwhile.
        Ok(()) | Err(Error::NotFound) => Ok(()),
        Err(error) => match refusal(&error) {
            Some(code) => fail(app, &actor, id, code, &error.to_string()).await,
            None => Err(error),
        },
    }
}

async fn still_due(tx: &mut Tx<'_>, id: &str) -> Result<Option<DraftRow>> {
    let (tenant, now) = (tx.tenant().to_owned(), tx.now);
    let row = store::find_draft(tx.conn(), &tenant, id).await?;
    Ok(row.filter(|row| row.state == "scheduled" && row.starts_at.is_some_and(|at| at <= now)))
}

/// The code of a refusal that will not go away by waiting.
fn refusal(error: &Error) -> Option<&'static str> {
    match error {
        Error::Forbidden { code, .. } | Error::Conflict { code, .. } => Some(code),
        Error::Malformed(_) | Error::Invalid(_) => Some("invalid_value"),
        Error::Policy { .. } => Some("policy_violation"),
        _ => None,
    }
}

/// Notes for all to see that a draft was refused when its time had come.
async fn fail(app: &App, actor: &Actor, id: &str, code: &'static str, detail: &str) -> Result<()> {
    app.write(actor, async |tx| {
        let Some(mut row) = still_due(tx, id).await? else { return Ok(Audited::many((), Vec::new())) };
        let tenant = tenants::find(tx.conn(), &row.tenant_id).await?.ok_or(Error::NotFound)?;
        row.state = "failed".into();
        (row.failure, row.failure_detail) = (Some(code.into()), Some(detail.into()));
        drafts::save(tx, &mut row).await?;
        let event = Event::new("policy.draft_fail", "policy", id, &tenant.slug).reason(Some(code));
        let event = event.after(&json!({ "note": row.note, "code": code, "detail": detail }));
        Ok(Audited::new((), Event { outcome: Outcome::Refused, ..event }))
    })
    .await
}
