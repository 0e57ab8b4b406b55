//! Every policy that the tenant ever had, and the way back to one (X5).

use keyward_core::policy::Policy;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::difference::{self, Difference};
use super::{PolicyOut, document, parse, policy_of, put};
use crate::app::{Actor, App};
use crate::clock::rfc3339;
use crate::error::{Error, Result};
use crate::names::check_label;
use crate::store::Conn;
use crate::store::page::{Listed, Page};
use crate::store::policies::{self as store, VersionRow};
use crate::store::tenants;

/// A policy that stands, or once stood.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct VersionOut {
    pub(crate) version: i64,
    pub(crate) applied_at: String,
    pub(crate) applied_by: String,
    pub(crate) note: Option<String>,
    /// The whole policy; on single reads.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub(crate) policy: Option<Value>,
    /// What it changed of the version before; on single reads.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) differences: Option<Vec<Difference>>,
}

/// Which version to go back to.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RollbackIn {
    /// Its number.
    pub(crate) version: i64,
    /// Why, for the list of versions and the audit log.
    pub(crate) note: Option<String>,
}

/// Versions, the newest first.
pub(crate) async fn list(app: &App, actor: &Actor, page: &Page) -> Result<Listed<VersionOut>> {
    let listed = store::list_versions(&mut app.read().await?, &actor.tenant_id, page).await?;
    Ok(listed.map(|row| shown(row, None, None)))
}

/// One version with what it changed.
pub(crate) async fn show(app: &App, actor: &Actor, version: &str) -> Result<VersionOut> {
    let mut conn = app.read().await?;
    let number = version.parse().unwrap_or(0);
    let row = store::find_version(&mut conn, &actor.tenant_id, number).await?.ok_or(Error::NotFound)?;
    let before = store::find_version(&mut conn, &actor.tenant_id, number - 1).await?;
    let policy = document(&row.policy)?;
    let differences = match before {
        Some(before) => difference::between(&document(&before.policy)?, &policy),
        None => Vec::new(),
    };
    Ok(shown(row, Some(policy), Some(differences)))
}

fn shown(row: VersionRow, policy: Option<Value>, differences: Option<Vec<Difference>>) -> VersionOut {
    VersionOut {
        version: row.version,
        applied_at: rfc3339(row.applied_at),
        applied_by: row.applied_by,
        note: row.note,
        policy,
        differences,
    }
}

/// Puts the policy of an earlier version in place again, as a new version.
pub(crate) async fn roll_back(app: &App, actor: &Actor, input: &RollbackIn) -> Result<PolicyOut> {
    if let Some(note) = &input.note {
        check_label("/note", note, 500)?;
    }
    app.write(actor, async |tx| {
        tx.must_hold("policies:write")?;
        tx.must_be_fresh()?;
        let row = tenants::find(tx.conn(), &actor.tenant_id).await?.ok_or(Error::NotFound)?;
        actor.check_version(row.policy_version)?;
        let old = store::find_version(tx.conn(), &actor.tenant_id, input.version).await?;
        let gone = || Error::invalid("/version", "not_found", "the policy never had this version");
        let policy = parse(document(&old.ok_or_else(gone)?.policy)?)?;
        put(tx, row, policy, "policy.rollback", input.note.as_deref()).await
    })
    .await
}

/// The policy that stands, and that of a version.
pub(super) async fn policies(conn: &mut Conn, tenant: &str, version: i64) -> Result<(Policy, Policy)> {
    let old = store::find_version(conn, tenant, version).await?.ok_or(Error::NotFound)?;
    let tenant = tenants::find(conn, tenant).await?.ok_or(Error::NotFound)?;
    Ok((policy_of(&tenant.policy)?, policy_of(&old.policy)?))
}
