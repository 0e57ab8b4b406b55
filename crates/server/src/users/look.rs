//! How the console looks to a user, in whichever browser.

use crate::app::{Actor, App};
use crate::audit::Audited;
use crate::error::Result;
use crate::store::users::{self, Look};

/// Keeps it with the actor. That is nobody else's business: the audit log does not tell of it.
pub(crate) async fn keep(app: &App, actor: &Actor, look: &Look<'_>) -> Result<()> {
    let Some(user) = actor.user_id() else { return Ok(()) };
    app.write(actor, async |tx| {
        tx.must_hold("me:read")?;
        let tenant = tx.tenant().to_owned();
        users::set_look(tx.conn(), &tenant, user, look).await?;
        Ok(Audited::many((), Vec::new()))
    })
    .await
}
