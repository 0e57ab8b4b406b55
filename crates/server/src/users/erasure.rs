//! Erasing a deleted user: who they were, wherever it is kept (AUD-6). Ids stay, so that what happened can
//! still be told apart.

use serde::Deserialize;
use utoipa::ToSchema;

use crate::app::{Actor, App};
use crate::audit::{Audited, Event};
use crate::error::{Error, Result};
use crate::store::{changes, erasure, users};

/// Erases a user.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct EraseIn {
    /// `true`: it cannot be undone.
    pub(crate) confirm: bool,
}

/// Erases the personal data of a deleted user: name and address, what the audit log says of them, what
/// others were told about them, where their keys were used.
pub(crate) async fn erase(app: &App, actor: &Actor, id: &str, input: &EraseIn) -> Result<()> {
    let names = app
        .write(actor, async |tx| {
            tx.must_hold("users:erase")?;
            tx.must_be_fresh()?;
            let tenant = tx.tenant().to_owned();
            let row = users::load(tx.conn(), &tenant, id).await?.ok_or(Error::NotFound)?;
            actor.check_version(row.version)?;
            if row.deleted_at.is_none() {
                return Err(Error::conflict(
                    "not_deleted",
                    "delete the user first: a living one is not erased",
                ));
            }
            if row.erased_at.is_some() {
                return Err(Error::conflict("no_change", "the user is erased already"));
            }
            if !input.confirm {
                let detail = "nobody could tell any more who it was; send confirm: true to erase the user";
                return Err(Error::conflict("not_confirmed", detail));
            }
            // Events are appended behind this lock: what stands in the log now is what there is to erase,
            // and what comes later finds the user erased.
            changes::advance(tx.conn(), 0).await?;
            let now = tx.now;
            let events = erasure::erase(tx.conn(), &tenant, id, now).await?;
            let event =
                Event::new("user.erase", "user", id, "").after(&serde_json::json!({ "events": events }));
            Ok(Audited::new([Some(row.username), row.email, row.display_name], event)
                .touches_user(&tenant, id))
        })
        .await?;
    for name in names.into_iter().flatten() {
        if let Err(error) = app.db.scrub(&name).await {
            tracing::warn!(%error, "free space of the database may hold remains of the erased user");
        }
    }
    Ok(())
}
