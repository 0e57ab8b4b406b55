//! `keyward audit verify --data-dir`: the check without a server.

use std::path::Path;

use serde_json::json;

use super::output::Output;
use super::{Exit, Global, Outcome, local};
use crate::checkpoints;
use crate::store::audit;

/// Checks the audit chains of the database in the folder: every tenant's.
pub(crate) async fn verify(folder: &Path, global: &Global) -> Outcome {
    let app = local::open(None, Some(folder)).await?;
    let mut conn = app.read().await.map_err(local::failure)?;
    let tenants = audit::tenants(&mut conn).await.map_err(local::failure)?;
    drop(conn);
    let (mut rows, mut whole) = (Vec::new(), true);
    for tenant in tenants {
        let outcome = checkpoints::verification(&app, &tenant).await.map_err(local::failure)?;
        whole &= outcome.ok;
        rows.push(json!({
            "tenant_id": tenant, "ok": outcome.ok, "checked": outcome.checked,
            "first_bad_seq": outcome.first_bad_seq, "reason": outcome.reason, "head": outcome.head,
        }));
    }
    let columns = ["tenant_id", "ok", "checked", "first_bad_seq", "reason"];
    Output::new(global).rows(&columns).all(rows)?;
    Ok(if whole { Exit::Ok } else { Exit::Integrity })
}
