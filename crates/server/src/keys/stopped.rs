//! The dry run of a policy (X5): which keys that work now would a rule stop?

use keyward_core::policy::Policy;
use serde::Serialize;
use utoipa::ToSchema;

use super::wire::BulkKey;
use crate::app::Tx;
use crate::error::Result;
use crate::policies::impact::{Comparison, ImpactRow};

/// Keys named in an answer, at most.
const SHOWN: usize = 1000;

/// A key that a rule would stop.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct StoppedKey {
    #[serde(flatten)]
    pub(crate) key: BulkKey,
    /// The reason that it would be refused with.
    pub(crate) cause: &'static str,
}

/// Keys that work under the first policy and not under the second.
pub(crate) async fn stopped(tx: &mut Tx<'_>, policies: (Policy, Policy)) -> Result<Vec<StoppedKey>> {
    let (tenant, now) = (tx.tenant().to_owned(), tx.now);
    let mut comparison = Comparison::new(tx.conn(), &tenant, now, policies).await?;
    let (mut found, mut after) = (Vec::new(), String::new());
    loop {
        let part = comparison.part(tx.conn(), &after).await?;
        found.extend(part.rows.into_iter().filter(ImpactRow::stops).map(stopped_key));
        let Some(last) = part.last.filter(|_| found.len() < SHOWN) else { break };
        after = last;
    }
    found.truncate(SHOWN);
    Ok(found)
}

fn stopped_key(row: ImpactRow) -> StoppedKey {
    let key = BulkKey {
        id: row.id,
        access_key: row.access_key,
        label: row.label,
        class: row.class,
        owner_id: row.owner_id,
        owner_username: row.owner_username,
    };
    StoppedKey { key, cause: row.code_then }
}
