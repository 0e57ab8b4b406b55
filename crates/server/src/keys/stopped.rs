//! The dry run of a policy (X5): which keys that work now would a rule stop?

use keyward_core::key::Status;
use keyward_core::policy::Policy;
use serde::Serialize;
use utoipa::ToSchema;

use super::view::{Viewer, brief};
use super::wire::BulkKey;
use crate::app::Tx;
use crate::error::Result;
use crate::store::keys::{self, KeyFilter, KeyRow, KeySort};

/// Keys named in an answer, at most.
const SHOWN: usize = 1000;
/// Rows read at a time.
const STEP: i64 = 500;

/// A key that a rule would stop.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct StoppedKey {
    #[serde(flatten)]
    pub(crate) key: BulkKey,
    /// The reason that it would be refused with.
    pub(crate) cause: &'static str,
}

/// Keys that work under the policy `before` and not under the one that stands in the transaction.
pub(crate) async fn stopped(tx: &mut Tx<'_>, before: &Policy) -> Result<Vec<StoppedKey>> {
    let (tenant, now) = (tx.tenant().to_owned(), tx.now);
    let mut new = Viewer::new(tx.conn(), &tenant, now).await?;
    let mut old = new.under(before.clone());
    let filter = KeyFilter { switches: Some(",on,".into()), ..KeyFilter::default() };
    let sort = KeySort::CreatedAt(false);
    let (mut found, mut after) = (Vec::new(), None);
    loop {
        let rows = keys::list(tx.conn(), &tenant, &filter, sort, after.as_ref(), STEP).await?;
        for row in &rows {
            found.extend(judge(tx, &mut old, &mut new, row).await?);
        }
        let Some(last) = rows.last().filter(|_| found.len() < SHOWN) else { break };
        after = Some(last.position(sort));
    }
    found.truncate(SHOWN);
    Ok(found)
}

async fn judge(
    tx: &mut Tx<'_>,
    old: &mut Viewer,
    new: &mut Viewer,
    row: &KeyRow,
) -> Result<Option<StoppedKey>> {
    let before = old.standing(tx.conn(), row).await?.status;
    if !matches!(before, Status::Active | Status::Expiring | Status::Rotating) {
        return Ok(None);
    }
    let Some(cause) = new.standing(tx.conn(), row).await?.cause else { return Ok(None) };
    Ok(Some(StoppedKey { key: brief(row)?, cause: cause.as_str() }))
}
