//! Credits of keys and of users (X6): granting them, ruling how they come back, and what nodes take out
//! of the store.

use keyward_core::credit::{MAX_CREDITS, Refill, Taken};
use serde::Serialize;
use utoipa::ToSchema;

use crate::clock::rfc3339;
use crate::error::{Error, Result};
use crate::keys::rules;
use crate::store::Conn;
use crate::store::credits::{self, CreditRow, Holder};

/// Credits as the API shows them.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CreditsOut {
    pub(crate) granted: i64,
    /// What no node has taken yet; a node takes them by the hundredth.
    pub(crate) remaining: i64,
    /// How they come back by themselves.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub(crate) refill: Option<Refill>,
    /// When they do so next.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) refills_at: Option<String>,
}

impl CreditsOut {
    /// The credits of a row at a time, if they are counted.
    pub(crate) fn of(row: &CreditRow, now: i64) -> Result<Option<Self>> {
        let Some(granted) = row.granted else { return Ok(None) };
        let refill = row.refill()?;
        let purse = row.purse().refilled(refill.as_ref(), now);
        let refills_at = refill.map(|refill| rfc3339(refill.next(purse.period)));
        Ok(Some(Self { granted, remaining: purse.left, refill, refills_at }))
    }
}

/// What a merge patch asks of credits (RFC 7396).
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Wish {
    /// Grants so many anew; `null` counts no more.
    pub(crate) grant: Option<Option<i64>>,
    /// How they come back; `null` not at all.
    pub(crate) refill: Option<Option<Refill>>,
}

impl Wish {
    /// What a new holder is given.
    pub(crate) fn new(grant: Option<i64>, refill: Option<Refill>) -> Self {
        Self { grant: grant.map(Some), refill: refill.map(Some) }
    }

    /// Whether anything is asked.
    pub(crate) fn is_some(&self) -> bool {
        self.grant.is_some() || self.refill.is_some()
    }

    /// Whether it lets the holder do more than with what is left.
    pub(crate) fn widens(&self, row: &CreditRow) -> Result<bool> {
        if row.granted.is_none() {
            return Ok(false);
        }
        let more = self.grant.is_some_and(|grant| grant.is_none_or(|grant| grant > row.purse().left));
        let known = row.refill()?;
        Ok(more || self.refill.flatten().is_some_and(|refill| Some(refill) != known))
    }

    /// Refuses numbers that make no sense.
    pub(crate) fn check(&self) -> Result<()> {
        rules::count("/credits", self.grant.flatten(), 1..=MAX_CREDITS)?;
        match self.refill.flatten().and_then(|refill| refill.problem()) {
            Some((member, why)) => Err(Error::invalid(&format!("/credit_refill/{member}"), "bad_value", why)),
            None => Ok(()),
        }
    }

    /// The columns of somebody who has had none.
    pub(crate) fn first(&self, now: i64) -> Result<CreditRow> {
        self.granted_anew(self.grant.flatten(), None, now)
    }

    fn granted_anew(&self, credits: Option<i64>, kept: Option<Refill>, now: i64) -> Result<CreditRow> {
        let asked = self.refill.flatten();
        let Some(granted) = credits else {
            return if asked.is_some() { Err(needs_credits()) } else { Ok(CreditRow::default()) };
        };
        let refill = if self.refill.is_some() { asked } else { kept };
        CreditRow::of_grant(credits, refill.map(|refill| refill.capped(granted)).as_ref(), now)
    }
}

fn needs_credits() -> Error {
    Error::invalid(
        "/credit_refill",
        "needs_credits",
        "only credits that were granted come back: give credits",
    )
}

/// Does what a patch asks. A new rule alone takes nothing away: what came due under the old one is there.
pub(crate) async fn change(
    conn: &mut Conn,
    tenant: &str,
    holder: Holder<'_>,
    row: &CreditRow,
    wish: &Wish,
    now: i64,
) -> Result<()> {
    if let Some(credits) = wish.grant {
        let fresh = wish.granted_anew(credits, row.refill()?, now)?;
        return credits::grant(conn, tenant, holder, &fresh).await;
    }
    let Some(refill) = wish.refill else { return Ok(()) };
    let Some((granted, granted_at)) = row.granted.zip(row.granted_at) else {
        return refill.map_or(Ok(()), |_| Err(needs_credits()));
    };
    let refill = refill.map(|refill| refill.capped(granted));
    loop {
        let row = credits::find(conn, tenant, holder, granted_at).await?.ok_or(Error::NotFound)?;
        let purse = row.purse().refilled(row.refill()?.as_ref(), now).ruled_by(refill.as_ref(), now);
        if credits::replace(conn, tenant, holder, &row, (purse, refill.as_ref())).await? {
            return Ok(());
        }
    }
}

/// What a node got out of the store.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Drawn {
    pub(crate) taken: Taken,
    /// How many it left there.
    pub(crate) left: i64,
    /// When more come by themselves.
    pub(crate) refills_at: Option<i64>,
}

/// Gives back what a node holds and takes up to `wish` out of the same grant, never more than there are;
/// `None` when there is another grant by now.
pub(crate) async fn draw(
    conn: &mut Conn,
    (tenant, holder, granted_at): (&str, Holder<'_>, i64),
    back: Taken,
    wish: i64,
    now: i64,
) -> Result<Option<Drawn>> {
    loop {
        let Some(row) = credits::find(conn, tenant, holder, granted_at).await? else { return Ok(None) };
        let refill = row.refill()?;
        let mut purse = row.purse().refilled(refill.as_ref(), now);
        purse.give_back(back, refill.as_ref());
        let taken = purse.take(wish);
        if purse == row.purse()
            || credits::replace(conn, tenant, holder, &row, (purse, refill.as_ref())).await?
        {
            let refills_at = refill.map(|refill| refill.next(purse.period));
            return Ok(Some(Drawn { taken, left: purse.left, refills_at }));
        }
        // Another node was faster: what it left is looked at again.
    }
}
