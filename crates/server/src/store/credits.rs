//! Credits of keys and of users: granted, leased to nodes, given back (X6).

use keyward_core::credit::{Purse, Refill};

use super::{Conn, on};
use crate::error::{Error, Result};

/// The columns about credits, which keys and users have alike.
#[derive(Clone, Debug, Default, sqlx::FromRow)]
pub(crate) struct CreditRow {
    #[sqlx(rename = "credits_granted")]
    pub(crate) granted: Option<i64>,
    #[sqlx(rename = "credits_left")]
    left: Option<i64>,
    #[sqlx(rename = "credits_granted_at")]
    pub(crate) granted_at: Option<i64>,
    #[sqlx(rename = "credit_refill")]
    refill: Option<String>,
    #[sqlx(rename = "credits_room")]
    room: i64,
    #[sqlx(rename = "credits_period")]
    period: i64,
}

impl CreditRow {
    /// The columns after a grant.
    pub(crate) fn of_grant(credits: Option<i64>, refill: Option<&Refill>, now: i64) -> Result<Self> {
        let Some(granted) = credits else { return Ok(Self::default()) };
        let refill = refill.map(serde_json::to_string).transpose().map_err(Error::internal)?;
        let Purse { left, room, period } = Purse::granted(granted, now);
        Ok(Self { granted: Some(granted), left: Some(left), granted_at: Some(now), refill, room, period })
    }

    /// What nobody has taken.
    pub(crate) fn purse(&self) -> Purse {
        Purse { left: self.left.unwrap_or(0), room: self.room, period: self.period }
    }

    /// How they come back.
    pub(crate) fn refill(&self) -> Result<Option<Refill>> {
        self.refill.as_deref().map(serde_json::from_str).transpose().map_err(Error::internal)
    }
}

/// Whose credits.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Holder<'a> {
    Key(&'a str),
    User(&'a str),
}

impl<'a> Holder<'a> {
    fn id(self) -> &'a str {
        match self {
            Self::Key(id) | Self::User(id) => id,
        }
    }

    /// The text about the table of this holder.
    fn text(self, keys: &'static str, users: &'static str) -> &'static str {
        match self {
            Self::Key(_) => keys,
            Self::User(_) => users,
        }
    }
}

/// The same statement about keys and about users.
macro_rules! about {
    ($holder:expr, $before:literal, $after:literal) => {
        $holder.text(concat!($before, "keys", $after), concat!($before, "users", $after))
    };
}

/// Writes a grant: earlier leases are void.
pub(crate) async fn grant(conn: &mut Conn, tenant: &str, holder: Holder<'_>, row: &CreditRow) -> Result<()> {
    let text = about!(
        holder,
        "UPDATE ",
        " SET credits_granted = $3, credits_left = $4, credits_granted_at = $5, credit_refill = $6,
            credits_room = $7, credits_period = $8
          WHERE tenant_id = $1 AND id = $2"
    );
    on!(conn, c => sqlx::query(text)
        .bind(tenant).bind(holder.id()).bind(row.granted).bind(row.left).bind(row.granted_at)
        .bind(&row.refill).bind(row.room).bind(row.period).execute(c).await.map(drop))?;
    Ok(())
}

/// The credits of a grant; `None` when there is another one by now, or none.
pub(crate) async fn find(
    conn: &mut Conn,
    tenant: &str,
    holder: Holder<'_>,
    granted_at: i64,
) -> Result<Option<CreditRow>> {
    let text = about!(
        holder,
        "SELECT credits_granted, credits_left, credits_granted_at, credit_refill, credits_room, credits_period
         FROM ",
        " WHERE tenant_id = $1 AND id = $2 AND credits_granted_at = $3"
    );
    Ok(on!(conn, c => sqlx::query_as(text)
        .bind(tenant).bind(holder.id()).bind(granted_at).fetch_optional(c).await)?)
}

/// Changes what is left, and the rule; false when another node was faster.
pub(crate) async fn replace(
    conn: &mut Conn,
    tenant: &str,
    holder: Holder<'_>,
    before: &CreditRow,
    (after, refill): (Purse, Option<&Refill>),
) -> Result<bool> {
    let text = about!(
        holder,
        "UPDATE ",
        " SET credits_left = $4, credits_room = $5, credits_period = $6, credit_refill = $7
          WHERE tenant_id = $1 AND id = $2 AND credits_granted_at = $3
            AND credits_left = $8 AND credits_room = $9 AND credits_period = $10"
    );
    let refill = refill.map(serde_json::to_string).transpose().map_err(Error::internal)?;
    let count = on!(conn, c => sqlx::query(text)
        .bind(tenant).bind(holder.id()).bind(before.granted_at)
        .bind(after.left).bind(after.room).bind(after.period).bind(refill)
        .bind(before.left).bind(before.room).bind(before.period)
        .execute(c).await.map(|done| done.rows_affected()))?;
    Ok(count == 1)
}
