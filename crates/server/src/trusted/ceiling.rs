//! How far a trusted secret reaches: for whom, to what, for how long and from where (IMP-1).

use std::net::IpAddr;

use keyward_core::address::Networks;
use keyward_core::policy::MAX_TOKEN_SECONDS;
use keyward_core::right::{Right, RightSet};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::error::{Error, Fault, Result};
use crate::policies::merge;
use crate::store::trusted::TrustedRow;
use crate::verify::facts::{TenantRecord, UserRecord, administers};

/// Entries of one list, at most.
const MAX_ENTRIES: usize = 100;

/// What to do with a user who may do more than the ceiling.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Exceeding {
    /// No token.
    #[default]
    Refuse,
    /// A token for what lies below the ceiling.
    Cut,
}

/// The ceiling. Empty lists are no bound.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Ceiling {
    /// No token holds more than these rights; `null` is whatever the user may do.
    #[schema(value_type = Option<Vec<String>>)]
    pub(crate) rights: Option<RightSet>,
    /// What becomes of a user who may do more: `refuse` or `cut`.
    pub(crate) exceeding: Exceeding,
    /// Tokens for users who may do everything, too.
    pub(crate) admins: bool,
    /// Only these users.
    pub(crate) user_ids: Vec<String>,
    /// And the members of these groups.
    pub(crate) group_ids: Vec<String>,
    /// Audiences that may be asked for.
    pub(crate) audiences: Vec<String>,
    /// Longest life of a token; the tenant's policy may bound it further.
    pub(crate) max_ttl_seconds: u32,
    /// Networks that requests may come from.
    #[schema(value_type = Vec<String>)]
    pub(crate) cidrs: Networks,
    /// Users may be made when a token is asked for somebody unknown.
    pub(crate) create_users: bool,
    /// Groups that such users may be put into; empty is any that lies below the ceiling.
    pub(crate) create_group_ids: Vec<String>,
    /// Tokens in a minute.
    pub(crate) per_minute: u32,
    /// Tokens of one user in a minute.
    pub(crate) per_user_per_minute: u32,
}

impl Default for Ceiling {
    fn default() -> Self {
        Self {
            rights: None,
            exceeding: Exceeding::Refuse,
            admins: false,
            user_ids: Vec::new(),
            group_ids: Vec::new(),
            audiences: Vec::new(),
            max_ttl_seconds: MAX_TOKEN_SECONDS,
            cidrs: Networks::default(),
            create_users: true,
            create_group_ids: Vec::new(),
            per_minute: 60_000,
            per_user_per_minute: 600,
        }
    }
}

impl Ceiling {
    /// That of a row.
    pub(crate) fn of(row: &TrustedRow) -> Result<Self> {
        serde_json::from_str(&row.ceiling).map_err(Error::internal)
    }

    /// This one with a merge patch applied (RFC 7396).
    pub(crate) fn patched(&self, patch: Option<Value>) -> Result<Self> {
        let Some(patch) = patch else { return Ok(self.clone()) };
        if !patch.is_object() {
            return Err(Error::invalid("/ceiling", "bad_type", "expected an object"));
        }
        let mut document = serde_json::to_value(self).map_err(Error::internal)?;
        merge(&mut document, patch);
        let ceiling: Self = serde_path_to_error::deserialize(document).map_err(|error| {
            let pointer = format!("/ceiling{}", crate::http::json::pointer(error.path()));
            Error::malformed(&pointer, "bad_value", error.into_inner().to_string())
        })?;
        let faults = ceiling.faults();
        if faults.is_empty() { Ok(ceiling) } else { Err(Error::Invalid(faults)) }
    }

    fn faults(&self) -> Vec<Fault> {
        let mut faults = Vec::new();
        let mut check = |name: &str, good: bool, detail: String| {
            if !good {
                faults.push(Fault::new(format!("/ceiling/{name}"), "out_of_range", detail));
            }
        };
        let lists = [
            ("user_ids", &self.user_ids),
            ("group_ids", &self.group_ids),
            ("audiences", &self.audiences),
            ("create_group_ids", &self.create_group_ids),
        ];
        for (name, list) in lists {
            let good = list.len() <= MAX_ENTRIES && list.iter().all(|entry| is_plain(entry));
            check(name, good, format!("at most {MAX_ENTRIES} texts of 1 to 200 visible ASCII characters"));
        }
        let rights = self.rights.as_ref().map_or(0, |rights| rights.iter().count());
        check("rights", rights <= MAX_ENTRIES, format!("at most {MAX_ENTRIES} rights"));
        let ttl = (1..=MAX_TOKEN_SECONDS).contains(&self.max_ttl_seconds);
        check("max_ttl_seconds", ttl, format!("must be from 1 to {MAX_TOKEN_SECONDS}"));
        for (name, count) in
            [("per_minute", self.per_minute), ("per_user_per_minute", self.per_user_per_minute)]
        {
            check(name, (1..=100_000_000).contains(&count), "must be from 1 to 100000000".into());
        }
        faults
    }

    /// Refuses users that are none and groups that are not the tenant's.
    pub(crate) fn check_ids(&self, directory: &TenantRecord) -> Result<()> {
        for (name, ids) in [("group_ids", &self.group_ids), ("create_group_ids", &self.create_group_ids)] {
            for (place, id) in ids.iter().enumerate() {
                // The primary tenant's secret reaches groups of others, which are not looked up here.
                let known = id.parse().is_ok_and(|id| directory.number == 0 || directory.group(id).is_some());
                if !known {
                    let pointer = format!("/ceiling/{name}/{place}");
                    return Err(Error::invalid(&pointer, "not_found", "there is no such id"));
                }
            }
        }
        for (place, id) in self.user_ids.iter().enumerate() {
            if id.parse::<keyward_core::id::UserId>().is_err() {
                let pointer = format!("/ceiling/user_ids/{place}");
                return Err(Error::invalid(&pointer, "not_found", "there is no such id"));
            }
        }
        Ok(())
    }

    /// What the tokens of a secret of this tenant may hold at most; only in the primary tenant there
    /// are rights about the instance.
    pub(crate) fn reach(&self, tenant: &TenantRecord) -> RightSet {
        let mut reach: Vec<Right> = self.rights.iter().flat_map(RightSet::iter).cloned().collect();
        if self.admins || self.rights.is_none() {
            reach.extend(RightSet::everything().iter().cloned());
        }
        if self.admins && self.rights.is_none() && tenant.number == 0 {
            reach.push("instance/**:*".parse().expect("a constant right parses"));
        }
        reach.into_iter().collect()
    }

    /// Whether requests may come from here.
    pub(crate) fn allows_address(&self, address: Option<IpAddr>) -> bool {
        self.cidrs.is_empty() || address.is_some_and(|address| self.cidrs.contains(address))
    }

    /// Refuses users whom the secret does not reach: those who are not listed, and administrators.
    pub(crate) fn check_user(&self, tenant: &TenantRecord, user: &UserRecord) -> Result<()> {
        let unbound = self.user_ids.is_empty() && self.group_ids.is_empty();
        let listed = unbound
            || self.user_ids.contains(&user.id.to_string())
            || user.grant.groups.iter().any(|group| self.group_ids.contains(&group.to_string()));
        let refuse = |detail: &str| Err(Error::forbidden("above_ceiling", detail));
        if !listed {
            return refuse("the ceiling of the trusted secret does not hold this user");
        }
        if !self.admins && administers(&tenant.rights_of(&user.grant)) {
            return refuse("administrators are above the ceiling of this secret");
        }
        Ok(())
    }

    /// What of a user's rights lies below, and whether that is less; or no token at all.
    pub(crate) fn bound(&self, live: RightSet) -> Result<(RightSet, bool)> {
        match &self.rights {
            Some(most) if !most.covers_all(&live) => match self.exceeding {
                Exceeding::Cut => Ok((live.intersect(most), true)),
                Exceeding::Refuse => {
                    let detail = "the user may do more than the ceiling of the trusted secret";
                    Err(Error::forbidden("above_ceiling", detail))
                }
            },
            _ => Ok((live, false)),
        }
    }

    /// Whether a token that is out would still be given: to this user, for these, by this ceiling (IMP-1).
    pub(crate) fn holds(&self, tenant: &TenantRecord, user: &UserRecord, audience: &[String]) -> bool {
        self.check_user(tenant, user).is_ok() && audience.iter().all(|text| self.allows_audience(text))
    }

    /// Whether this audience may be asked for.
    pub(crate) fn allows_audience(&self, audience: &str) -> bool {
        self.audiences.is_empty() || self.audiences.iter().any(|known| known == audience)
    }
}

/// Whether a text can stand in a list.
pub(crate) fn is_plain(text: &str) -> bool {
    (1..=200).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}
