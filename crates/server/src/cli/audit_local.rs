//! `keyward audit verify --data-dir`: the check without a server.

use std::path::Path;

use super::checkpoint::KeptCheckpoint;
use super::output::Output;
use super::{Exit, Global, Outcome, local};
use crate::checkpoints;
use crate::store::audit;

/// Checks the audit chains of the database in the folder: every tenant's, and those that the kept
/// checkpoints are about.
pub(crate) async fn verify(folder: &Path, kept: &[KeptCheckpoint], global: &Global) -> Outcome {
    let app = local::open(None, Some(folder)).await?;
    let mut conn = app.read().await.map_err(local::failure)?;
    let mut tenants = audit::tenants(&mut conn).await.map_err(local::failure)?;
    tenants.extend(kept.iter().map(|kept| kept.tenant_id.clone()));
    tenants.sort();
    tenants.dedup();
    drop(conn);
    let (mut rows, mut whole) = (Vec::new(), true);
    for tenant in tenants {
        let kept = kept.iter().find(|kept| kept.tenant_id == tenant);
        let said = kept.map(KeptCheckpoint::said);
        let outcome =
            checkpoints::verification(&app, &tenant, said.as_ref()).await.map_err(local::failure)?;
        let mut row = serde_json::to_value(&outcome)?;
        if let Some(kept) = kept {
            kept.compare(&mut row);
        }
        whole &= row["ok"] == true;
        rows.push(row);
    }
    let columns = ["tenant_id", "ok", "checked", "closed_through", "first_bad_seq", "reason"];
    Output::new(global).rows(&columns).all(rows)?;
    Ok(if whole { Exit::Ok } else { Exit::Integrity })
}
