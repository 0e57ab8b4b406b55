//! Many keys changed together, each judged and told in the audit log by itself: what stands against one leaves
//! the others alone. What ends all that match a filter, or none of them, stands in `bulk.rs`.

use super::find;
use super::lifecycle::{Act, change_one};
use super::view::Viewer;
use super::wire::KeyOut;
use crate::app::{Actor, App, Tx};
use crate::audit::Audited;
use crate::error::{Error, Result};

/// Keys in one transaction: each costs several statements, and other writers get their turn in between.
const STEP: usize = 100;

/// One of the keys.
pub(crate) struct Judged {
    pub(crate) before: KeyOut,
    /// As it is afterwards, or what stands against that.
    pub(crate) after: Result<KeyOut>,
}

/// Changes those that may be changed, step by step; with `validate_only` it tells what would be. Keys that the
/// actor may not see are left out.
///
/// # Errors
/// What stands against all of them, as that the database cannot be used: steps before that one are done.
pub(crate) async fn change(
    app: &App,
    actor: &Actor,
    ids: &[String],
    act: Act,
    reason: Option<&str>,
) -> Result<Vec<Judged>> {
    let mut judged = Vec::with_capacity(ids.len());
    for step in ids.chunks(STEP) {
        let one_step = async |tx: &mut Tx<'_>| change_step(tx, step, act, reason).await;
        judged.extend(app.write(actor, one_step).await?);
    }
    Ok(judged)
}

async fn change_step(
    tx: &mut Tx<'_>,
    ids: &[String],
    act: Act,
    reason: Option<&str>,
) -> Result<Audited<Vec<Judged>>> {
    let actor = tx.actor;
    let mut viewer = Viewer::with(tx.directory().await?, tx.now);
    let mut all = Audited::many(Vec::with_capacity(ids.len()), Vec::new());
    for id in ids {
        let row = match find(tx.conn(), actor, id).await {
            Err(Error::NotFound) => continue,
            row => row?,
        };
        let before = viewer.render(tx.conn(), row, false).await?;
        let after = match change_one(tx, &mut viewer, id, act, reason).await {
            Ok(done) => {
                all.events.extend(done.events);
                all.changes.extend(done.changes);
                Ok(done.value)
            }
            Err(error) if is_about_one(&error) => Err(error),
            Err(error) => return Err(error),
        };
        all.value.push(Judged { before, after });
    }
    Ok(all)
}

/// Whether it says something about a key, and nothing about the others.
fn is_about_one(error: &Error) -> bool {
    matches!(
        error,
        Error::Invalid(_) | Error::Policy { .. } | Error::Conflict { .. } | Error::Forbidden { .. }
    )
}
