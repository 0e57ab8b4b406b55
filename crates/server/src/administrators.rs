//! Whoever may do everything in a tenant: a change never takes the last one away (AZ-11).

use keyward_core::key::Status;
use keyward_core::policy::Policy;
use keyward_core::right::RightSet;

use crate::app::Tx;
use crate::error::{Error, Result};
use crate::keys::bulk::owned_by;
use crate::keys::view::Viewer;
use crate::store::keys::KeyRow;
use crate::store::{keys, roles, users};

/// Who administers a tenant, as it is inside a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Administered {
    /// Nobody inside; an operator may enter.
    Nobody,
    /// Workspace keys alone.
    Keys,
    /// Users, with or without keys.
    Users,
}

/// Who administers the tenant now.
pub(crate) async fn administered(tx: &mut Tx<'_>) -> Result<Administered> {
    let admin_roles = tx.directory().await?.admin_roles();
    let (tenant, now) = (tx.tenant().to_owned(), tx.now);
    if !users::active_holders(tx.conn(), &tenant, &admin_roles).await?.is_empty() {
        return Ok(Administered::Users);
    }
    let mut viewer = Viewer::new(tx.conn(), &tenant, now).await?;
    let keys = has_working_key(tx, &mut viewer, &admin_roles).await?;
    Ok(if keys { Administered::Keys } else { Administered::Nobody })
}

/// Refuses a change after which the tenant has nobody of the kind that administered it before.
/// Where nobody did, nothing is lost.
pub(crate) async fn must_stay_administered(tx: &mut Tx<'_>, before: Administered) -> Result<()> {
    if before == Administered::Nobody || administered(tx).await? >= before {
        return Ok(());
    }
    Err(Error::conflict("last_administrator", "this would leave the tenant without an administrator"))
}

/// Refuses a policy that stops every key by which the tenant is administered, if one works under
/// the policy `before`.
pub(crate) async fn must_leave_a_working_key(tx: &mut Tx<'_>, before: &Policy) -> Result<()> {
    let (tenant, now) = (tx.tenant().to_owned(), tx.now);
    let mut new = Viewer::new(tx.conn(), &tenant, now).await?;
    let admin_roles = new.tenant.admin_roles();
    let mut old = new.under(before.clone());
    if has_working_key(tx, &mut new, &admin_roles).await?
        || !has_working_key(tx, &mut old, &admin_roles).await?
    {
        return Ok(());
    }
    Err(Error::conflict(
        "last_administrator",
        "this would stop every key that administers the tenant; make or renew one that it does not stop first",
    ))
}

/// Whether a key that may do everything works, as the viewer sees the tenant; ends with the first.
async fn has_working_key(tx: &mut Tx<'_>, viewer: &mut Viewer, admin_roles: &[String]) -> Result<bool> {
    let tenant = tx.tenant().to_owned();
    for role in admin_roles {
        for holder in roles::holders(tx.conn(), &tenant, role).await? {
            let rows = if holder.starts_with("user_") {
                owned_by(tx, &holder).await?
            } else {
                keys::find(tx.conn(), &tenant, &holder).await?.into_iter().collect()
            };
            for row in rows {
                if administers(tx, viewer, &row).await? {
                    return Ok(true);
                }
            }
        }
    }
    Ok(false)
}

async fn administers(tx: &mut Tx<'_>, viewer: &mut Viewer, row: &KeyRow) -> Result<bool> {
    let standing = viewer.standing(tx.conn(), row).await?;
    let works = matches!(standing.status, Status::Active | Status::Expiring | Status::Rotating);
    Ok(works && !row.canary && standing.effective.rights.covers_all(&RightSet::everything()))
}
