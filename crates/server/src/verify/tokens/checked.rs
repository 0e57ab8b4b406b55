//! What a token says, once its signature was found to be true, and what it may do now.

use std::sync::{Arc, Weak};

use arc_swap::ArcSwapOption;
use keyward_core::id::{KeyId, TenantId, TokenId, TrustedId, UserId};
use keyward_core::jwt::{Claims, Compact};
use keyward_core::right::RightSet;
use keyward_core::token::AccessKey;

use super::budget::Budget;
use crate::verify::facts::{Effective, Grant, TenantRecord, UserRecord};
use crate::verify::trusted::TrustedRecord;

/// A token whose signature is true.
pub(crate) struct Checked {
    pub(crate) claims: Claims,
    pub(crate) id: TokenId,
    pub(crate) tenant: TenantId,
    pub(crate) subject: Subject,
    pub(crate) client: Client,
    /// What the first token on its way was asked for with.
    pub(super) root: Client,
    /// Ids of the tokens that it came of.
    pub(super) parents: Vec<TokenId>,
    pub(super) budget: Option<Budget>,
    pub(super) kid: String,
    rights: RightSet,
    /// Its rights as they are now, for as long as nothing behind them changes.
    memo: ArcSwapOption<Memo>,
}

/// Whom a token speaks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Subject {
    User(UserId),
    /// A workspace key.
    Key(KeyId),
}

impl std::fmt::Display for Subject {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::User(id) => id.fmt(f),
            Self::Key(id) => id.fmt(f),
        }
    }
}

/// What asked for a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Client {
    Trusted(TrustedId),
    Key(AccessKey),
}

impl Client {
    fn parse(text: &str) -> Option<Self> {
        text.parse().map(Self::Trusted).ok().or_else(|| AccessKey::parse(text).map(Self::Key))
    }
}

/// What the effective rights of a token were made of.
pub(super) struct Memo {
    tenant: Weak<TenantRecord>,
    behind: Behind,
    pub(super) effective: Arc<Effective>,
    /// The secret behind it would still give it: to this user, for these audiences (IMP-1).
    pub(super) reached: bool,
}

/// What bounds the rights of a token besides its own.
pub(super) enum Behind {
    Trusted(Arc<Grant>, Weak<TrustedRecord>),
    Key(Arc<Effective>),
}

impl Checked {
    /// What a true token says, if it makes sense.
    pub(super) fn of(token: &Compact<'_>) -> Option<Self> {
        let claims = token.claims()?;
        let subject = match claims.sub.parse() {
            Ok(user) => Subject::User(user),
            Err(_) => Subject::Key(claims.sub.parse().ok()?),
        };
        let root = claims.root.as_ref().unwrap_or(&claims.client_id);
        Some(Self {
            id: claims.jti.parse().ok()?,
            tenant: claims.tenant.parse().ok()?,
            rights: claims.rights()?,
            subject,
            client: Client::parse(&claims.client_id)?,
            root: Client::parse(root)?,
            parents: claims.parents.iter().map(|id| id.parse().ok()).collect::<Option<_>>()?,
            budget: claims.budget.map(Budget::new),
            kid: token.kid.clone(),
            memo: ArcSwapOption::empty(),
            claims,
        })
    }

    /// The token's rights ∩ what is behind them, computed once for each state of that.
    pub(super) fn effective(
        &self,
        tenant: &Arc<TenantRecord>,
        owner: Option<&UserRecord>,
        behind: Behind,
    ) -> Arc<Memo> {
        if let Some(memo) = self.memo.load_full().filter(|memo| memo.is_of(tenant, &behind)) {
            return memo;
        }
        let (rights, reached) = match &behind {
            Behind::Trusted(grant, record) => {
                let live = self.rights.intersect(&tenant.rights_of(grant));
                let record = record.upgrade();
                let ceiling = record.as_ref().map(|record| &record.ceiling);
                let audience = &self.claims.aud.0;
                let reached = ceiling.zip(owner).is_some_and(|(c, owner)| c.holds(tenant, owner, audience));
                let rights = match ceiling.and_then(|ceiling| ceiling.rights.as_ref()) {
                    Some(most) => live.intersect(most),
                    None => live,
                };
                (rights, reached)
            }
            Behind::Key(effective) => (self.rights.intersect(&effective.rights), true),
        };
        let effective = Arc::new(Effective::new(rights));
        let memo = Arc::new(Memo { tenant: Arc::downgrade(tenant), behind, effective, reached });
        self.memo.store(Some(memo.clone()));
        memo
    }
}

impl Memo {
    fn is_of(&self, tenant: &Arc<TenantRecord>, behind: &Behind) -> bool {
        // What is held weakly keeps its address, so that equal addresses are the same record.
        let same = match (&self.behind, behind) {
            (Behind::Trusted(grant, record), Behind::Trusted(other_grant, other)) => {
                Arc::ptr_eq(grant, other_grant) && Weak::ptr_eq(record, other)
            }
            (Behind::Key(effective), Behind::Key(other)) => Arc::ptr_eq(effective, other),
            _ => false,
        };
        same && self.tenant.as_ptr() == Arc::as_ptr(tenant)
    }
}
