//! The one decision (`design.md` §4, X1, X2, X4): may this credential do this, now?
//!
//! [`decide`] is pure and total. Every surface asks it, so that a key means the same everywhere.

mod session;
mod token;

use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use crate::key::{Conditions, Key, Owner, OwnerState, SecretVersion, Switch, Tenant};
use crate::limit::{RateLimit, Verdict};
use crate::right::{Right, RightSet};

pub use self::session::{SessionFacts, explain_session};
pub use self::token::{Origin, TokenFacts, TrustedFacts, explain_token};

/// Why a credential is refused, in order of precedence: the first that applies is told (X2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Code {
    /// Not a credential of this instance at all.
    Malformed,
    /// No such key.
    UnknownKey,
    /// The key exists, the secret is not one of its own.
    WrongSecret,
    /// Ended for good.
    Revoked,
    /// An older secret whose overlap is over.
    RetiredSecret,
    /// The tenant is suspended.
    TenantSuspended,
    /// The owner is gone.
    OwnerDeleted,
    /// The owner is barred.
    OwnerSuspended,
    /// Operator or tenant has switched the class off.
    ClassDisabled,
    /// Switched off.
    Inactive,
    /// Nobody has approved it yet. Before its start: that comes by itself, an approval does not.
    ApprovalPending,
    /// Before its start.
    NotYetValid,
    /// Past its end.
    Expired,
    /// The secret is older than the policy's maximum age.
    TooOld,
    /// Unused for longer than allowed.
    Idle,
    /// The owner has not logged in within the window.
    OwnerLoginLapsed,
    /// The owner's keys are made unusable by a window of 0.
    OwnerKeysDisabled,
    /// A token that is meant for somebody else.
    WrongAudience,
    /// The end client's address is not in the key's networks.
    AddressDenied,
    /// The session lacks a second factor that the policy asks for.
    SecondFactorMissing,
    /// A needed right is not held.
    InsufficientRights,
    /// A method, path or resource condition is not met.
    ConditionFailed,
    /// A rate limit is used up.
    RateLimited,
    /// The credits are used up.
    CreditsExhausted,
}

impl Code {
    /// Every code, in order of precedence.
    pub const ALL: [Self; 24] = [
        Self::Malformed,
        Self::UnknownKey,
        Self::WrongSecret,
        Self::Revoked,
        Self::RetiredSecret,
        Self::TenantSuspended,
        Self::OwnerDeleted,
        Self::OwnerSuspended,
        Self::ClassDisabled,
        Self::Inactive,
        Self::ApprovalPending,
        Self::NotYetValid,
        Self::Expired,
        Self::TooOld,
        Self::Idle,
        Self::OwnerLoginLapsed,
        Self::OwnerKeysDisabled,
        Self::WrongAudience,
        Self::AddressDenied,
        Self::SecondFactorMissing,
        Self::InsufficientRights,
        Self::ConditionFailed,
        Self::RateLimited,
        Self::CreditsExhausted,
    ];

    /// The exact code, for owners and admins.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::UnknownKey => "unknown_key",
            Self::WrongSecret => "wrong_secret",
            Self::Revoked => "revoked",
            Self::RetiredSecret => "retired_secret",
            Self::TenantSuspended => "tenant_suspended",
            Self::OwnerDeleted => "owner_deleted",
            Self::OwnerSuspended => "owner_suspended",
            Self::ClassDisabled => "class_disabled",
            Self::Inactive => "inactive",
            Self::ApprovalPending => "approval_pending",
            Self::NotYetValid => "not_yet_valid",
            Self::Expired => "expired",
            Self::TooOld => "too_old",
            Self::Idle => "idle",
            Self::OwnerLoginLapsed => "owner_login_lapsed",
            Self::OwnerKeysDisabled => "owner_keys_disabled",
            Self::WrongAudience => "wrong_audience",
            Self::AddressDenied => "address_denied",
            Self::SecondFactorMissing => "second_factor_missing",
            Self::InsufficientRights => "insufficient_rights",
            Self::ConditionFailed => "condition_failed",
            Self::RateLimited => "rate_limited",
            Self::CreditsExhausted => "credits_exhausted",
        }
    }

    /// The code as whoever presents a credential may hear it: one who does not hold the right
    /// secret learns nothing but `invalid_key` (KEY-4).
    #[must_use]
    pub fn public(self) -> &'static str {
        match self {
            Self::Malformed | Self::UnknownKey | Self::WrongSecret => "invalid_key",
            other => other.as_str(),
        }
    }
}

/// The moment of a decision. Expiry follows the wall clock, rate limits a clock that never jumps.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// Unix milliseconds.
    pub unix_ms: i64,
    /// Nanoseconds of a monotonic clock.
    pub monotonic_ns: u64,
}

/// What is asked of the key.
#[derive(Clone, Copy, Debug, Default)]
pub struct Request<'a> {
    /// Rights that must all be held.
    pub rights: &'a [Right],
    /// HTTP method, upper case.
    pub method: Option<&'a str>,
    /// Path without query.
    pub path: Option<&'a str>,
    /// The end client's address.
    pub address: Option<IpAddr>,
    /// Who asks: a token must be meant for it. Keys are meant for everybody.
    pub audience: Option<&'a str>,
    /// Units to spend from limits and credits.
    pub cost: u32,
}

/// A limit and its present state.
#[derive(Clone, Copy)]
pub struct LimitState<'a> {
    /// The rule.
    pub limit: &'a RateLimit,
    /// Theoretical arrival time, nanoseconds of the monotonic clock.
    pub arrival: u64,
}

/// The credits of a key or an owner, as far as they are at hand.
#[derive(Clone, Copy, Debug)]
pub struct CreditState {
    /// Credits that can be spent.
    pub left: i64,
    /// When more come by themselves, Unix milliseconds.
    pub refills_at: Option<i64>,
}

/// Everything known about a key whose secret was presented rightly.
#[derive(Clone, Copy)]
pub struct KeyFacts<'a> {
    /// The key.
    pub key: &'a Key,
    /// The version of the secret that was presented.
    pub secret: &'a SecretVersion,
    /// The owner of a member key.
    pub owner: Option<&'a Owner>,
    /// The tenant.
    pub tenant: &'a Tenant,
    /// Scopes ∩ owner's live rights, or the workspace key's own (X4).
    pub rights: &'a RightSet,
    /// Last use that was allowed.
    pub last_used_at: Option<i64>,
    /// Limits of key and owner, [`crate::limit::MAX_LIMITS`] at most of each.
    pub limits: &'a [LimitState<'a>],
    /// Credits of the key and of its owner, where they are counted.
    pub credits: [Option<CreditState>; 2],
}

/// What the look-up found.
#[derive(Clone, Copy)]
pub enum Finding<'a> {
    /// No credential of ours.
    Malformed,
    /// No such key.
    Unknown,
    /// A key, but not its secret.
    WrongSecret,
    /// A key and its secret.
    Key(KeyFacts<'a>),
    /// An access token whose signature is true.
    Token(TokenFacts<'a>),
    /// A session and its token.
    Session(SessionFacts<'a>),
}

/// The state of every limit after a decision, in the order of the facts; nothing is allocated
/// for up to two limits.
#[derive(Clone, Debug, Default)]
pub struct Verdicts(SmallVec<[Verdict; 2]>);

impl Verdicts {
    /// The verdicts.
    #[must_use]
    pub fn as_slice(&self) -> &[Verdict] {
        &self.0
    }
}

/// The answer.
#[derive(Clone, Debug)]
pub enum Decision {
    /// Yes.
    Allow {
        /// When this credential ends by itself, Unix milliseconds.
        expires_at: Option<i64>,
        /// How long a caller may keep this answer, seconds.
        cache_seconds: u32,
        /// The new state of each limit; the caller keeps it.
        limits: Verdicts,
    },
    /// No, for this reason.
    Deny {
        /// The first reason that applies.
        code: Code,
        /// Seconds after which a request beyond limits or credits may pass; 0 for other reasons.
        retry_after_seconds: u64,
    },
}

impl Decision {
    /// `ok`, or the code of the reason.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Allow { .. } => "ok",
            Self::Deny { code, .. } => code.as_str(),
        }
    }
}

/// Callers may keep an answer this long: the bound of X7.
pub const CACHE_SECONDS: u32 = 1;
/// When to ask again where credits do not come back by themselves: somebody may have granted more.
const NO_REFILL_SECONDS: u64 = 3600;

type Check = fn(&KeyFacts<'_>, &Request<'_>, Now) -> bool;

/// The checks in order of precedence; each says whether the request passes it.
const CHECKS: [(Code, Check); 17] = [
    (Code::Revoked, |f, _, _| f.key.switch != Switch::Revoked),
    (Code::RetiredSecret, |f, _, now| is_before(now.unix_ms, f.secret.retires_at)),
    (Code::TenantSuspended, |f, _, _| !f.tenant.suspended),
    (Code::OwnerDeleted, |f, _, _| f.owner.is_none_or(|o| o.state != OwnerState::Deleted)),
    (Code::OwnerSuspended, |f, _, _| f.owner.is_none_or(|o| o.state != OwnerState::Suspended)),
    (Code::ClassDisabled, |f, _, _| f.tenant.allows(f.key.class)),
    (Code::Inactive, |f, _, _| f.key.switch == Switch::On),
    (Code::ApprovalPending, |f, _, _| !f.key.awaits_approval),
    (Code::NotYetValid, |f, _, now| f.key.not_before.is_none_or(|start| start <= now.unix_ms)),
    (Code::Expired, |f, _, now| is_before(now.unix_ms, f.key.expires_at)),
    (Code::TooOld, |f, _, now| is_before(now.unix_ms, too_old_at(f))),
    (Code::Idle, |f, _, now| is_before(now.unix_ms, idle_at(f))),
    (Code::OwnerLoginLapsed, |f, _, now| is_before(now.unix_ms, login_lapses_at(f))),
    (Code::OwnerKeysDisabled, |f, _, _| login_window(f) != Some(0)),
    (Code::AddressDenied, |f, request, _| address_fits(f.key.conditions.as_deref(), request)),
    (Code::InsufficientRights, |f, request, _| request.rights.iter().all(|r| f.rights.covers(r))),
    (Code::ConditionFailed, |f, request, _| conditions_fit(f.key.conditions.as_deref(), request)),
];

/// The checks that depend on neither the request nor the key's own switch and times: what makes
/// a listed key *suspended*.
const STANDING: [Code; 8] = [
    Code::TenantSuspended,
    Code::OwnerDeleted,
    Code::OwnerSuspended,
    Code::ClassDisabled,
    Code::TooOld,
    Code::Idle,
    Code::OwnerLoginLapsed,
    Code::OwnerKeysDisabled,
];

/// Decides. The first reason in the order of [`Code`] wins.
#[must_use]
pub fn decide(finding: &Finding<'_>, request: &Request<'_>, now: Now) -> Decision {
    let facts = match finding {
        Finding::Malformed => return deny(Code::Malformed),
        Finding::Unknown => return deny(Code::UnknownKey),
        Finding::WrongSecret => return deny(Code::WrongSecret),
        Finding::Key(facts) => facts,
        Finding::Token(facts) => return token::decide(facts, request, now),
        Finding::Session(facts) => return session::judge(facts, request, now),
    };
    judge_key(facts, request, now)
}

#[inline]
fn judge_key(facts: &KeyFacts<'_>, request: &Request<'_>, now: Now) -> Decision {
    match first_fault(facts, request, now) {
        Some(code) => deny(code),
        None => meter(facts, request, now),
    }
}

/// The first reason that stops a key whatever is asked of it, its own switch and times included.
#[must_use]
pub fn lapse(facts: &KeyFacts<'_>, now: Now) -> Option<Code> {
    first_fault(facts, &Request::default(), now).filter(|code| *code < Code::WrongAudience)
}

/// The first check that a key does not pass.
fn first_fault(facts: &KeyFacts<'_>, request: &Request<'_>, now: Now) -> Option<Code> {
    CHECKS.iter().find(|(_, passes)| !passes(facts, request, now)).map(|(code, _)| *code)
}

/// Allows a key that passes every check, as far as its limits and credits go.
fn meter(facts: &KeyFacts<'_>, request: &Request<'_>, now: Now) -> Decision {
    let limits = match spend(facts.limits, request.cost, now) {
        Ok(verdicts) => verdicts,
        Err(wait_ns) => {
            let retry_after_seconds = wait_ns.div_ceil(1_000_000_000).max(1);
            return Decision::Deny { code: Code::RateLimited, retry_after_seconds };
        }
    };
    if let Some(retry_after_seconds) = short_of_credits(facts, request.cost, now) {
        return Decision::Deny { code: Code::CreditsExhausted, retry_after_seconds };
    }
    let metered = !facts.limits.is_empty() || facts.credits.iter().any(Option::is_some);
    let expires_at =
        [facts.key.expires_at, facts.secret.retires_at, too_old_at(facts), login_lapses_at(facts)]
            .into_iter()
            .flatten()
            .min();
    let cache_seconds = if metered { 0 } else { CACHE_SECONDS };
    Decision::Allow { expires_at, cache_seconds, limits }
}

/// Seconds until more credits come, if there are too few; an hour where none come by themselves.
fn short_of_credits(facts: &KeyFacts<'_>, cost: u32, now: Now) -> Option<u64> {
    let short = facts.credits.iter().flatten().filter(|credits| credits.left < i64::from(cost));
    let wait = |at: i64| u64::try_from(at.saturating_sub(now.unix_ms)).unwrap_or(0).div_ceil(1000).max(1);
    short.map(|credits| credits.refills_at.map_or(NO_REFILL_SECONDS, wait)).max()
}

/// One step of an explanation (X2).
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Step {
    /// The check, by the code it would refuse with.
    pub check: Code,
    /// Whether it passes.
    pub passed: bool,
}

/// Every check with its outcome, for the owner and for admins (X2). Spends nothing.
#[must_use]
pub fn explain(facts: &KeyFacts<'_>, request: &Request<'_>, now: Now) -> Vec<Step> {
    let mut steps: Vec<Step> = CHECKS
        .iter()
        .map(|(check, passes)| Step { check: *check, passed: passes(facts, request, now) })
        .collect();
    let cost = request.cost.max(1);
    steps.push(Step { check: Code::RateLimited, passed: spend(facts.limits, cost, now).is_ok() });
    let passed = short_of_credits(facts, cost, now).is_none();
    steps.push(Step { check: Code::CreditsExhausted, passed });
    steps
}

/// The first reason outside the key itself that stops it whatever is asked of it.
#[must_use]
pub fn standing_cause(facts: &KeyFacts<'_>, now: Now) -> Option<Code> {
    let request = Request::default();
    CHECKS
        .iter()
        .find(|(code, passes)| STANDING.contains(code) && !passes(facts, &request, now))
        .map(|(code, _)| *code)
}

fn deny(code: Code) -> Decision {
    Decision::Deny { code, retry_after_seconds: 0 }
}

fn is_before(now: i64, end: Option<i64>) -> bool {
    end.is_none_or(|end| now < end)
}

fn too_old_at(facts: &KeyFacts<'_>) -> Option<i64> {
    let days = facts.tenant.policy.class(facts.key.class).max_age_days?;
    Some(facts.secret.created_at.saturating_add(i64::from(days) * 86_400_000))
}

fn idle_at(facts: &KeyFacts<'_>) -> Option<i64> {
    let by_policy = facts.tenant.policy.class(facts.key.class).idle_days.map(|days| i64::from(days) * 86_400);
    let by_key = facts.key.idle_seconds.map(i64::from);
    let seconds = by_policy.into_iter().chain(by_key).min()?;
    // A fresh secret counts as a sign of life: rotation wakes an idle key.
    let since = facts.last_used_at.unwrap_or(facts.secret.created_at).max(facts.secret.created_at);
    Some(since.saturating_add(seconds.saturating_mul(1000)))
}

/// The window in minutes that binds this key: `None` is no rule (SQ4: the user's own wins).
fn login_window(facts: &KeyFacts<'_>) -> Option<i64> {
    let owner = facts.owner?;
    let minutes = match owner.login_window_minutes {
        Some(own) if own >= 0 => own,
        _ => facts.tenant.policy.owner_login_window_minutes,
    };
    (minutes >= 0).then_some(minutes)
}

fn login_lapses_at(facts: &KeyFacts<'_>) -> Option<i64> {
    match login_window(facts)? {
        // Has a code of its own, `owner_keys_disabled`.
        0 => None,
        minutes => Some(facts.owner?.last_login_at.saturating_add(minutes.saturating_mul(60_000))),
    }
}

fn address_fits(conditions: Option<&Conditions>, request: &Request<'_>) -> bool {
    conditions.is_none_or(|conditions| {
        conditions.cidrs.is_empty()
            || request.address.is_some_and(|address| conditions.cidrs.contains(address))
    })
}

fn conditions_fit(conditions: Option<&Conditions>, request: &Request<'_>) -> bool {
    let Some(conditions) = conditions else { return true };
    let method = conditions.methods.is_empty()
        || request.method.is_some_and(|method| conditions.methods.iter().any(|m| m == method));
    let path = conditions.paths.is_empty()
        || request.path.is_some_and(|path| conditions.paths.iter().any(|p| path_matches(p, path)));
    let resource = conditions.resources.is_empty()
        || (!request.rights.is_empty()
            && request.rights.iter().all(|r| conditions.resources.iter().any(|c| c.covers(r.resource()))));
    method && path && resource
}

/// Matches `/a/*` and `/a/**` against a path. A path that a server behind might read differently
/// (dot segments, empty segments, encoded slashes or dots, `;`, backslash) matches nothing.
#[must_use]
pub fn path_matches(pattern: &str, path: &str) -> bool {
    if !path.starts_with('/') || is_ambiguous(path) {
        return false;
    }
    let mut wanted = pattern.split('/');
    let mut given = path.split('/');
    loop {
        match (wanted.next(), given.next()) {
            (None, None) => return true,
            (Some("**"), _) => return true,
            (Some("*"), Some(segment)) if !segment.is_empty() => {}
            (Some(want), Some(segment)) if want == segment => {}
            _ => return false,
        }
    }
}

/// Whether servers are known to disagree about what the path means (HTTP-6).
#[must_use]
pub fn is_ambiguous(path: &str) -> bool {
    let lower = path.to_ascii_lowercase();
    path.contains("//")
        || path.contains(['\\', ';'])
        || ["%2e", "%2f", "%5c", "%00", "%3b", "%25"].iter().any(|code| lower.contains(code))
        || path.split('/').any(|segment| segment == "." || segment == "..")
}

/// All limits must agree before any is spent.
fn spend(limits: &[LimitState<'_>], cost: u32, now: Now) -> Result<Verdicts, u64> {
    let judge = |state: &LimitState<'_>| state.limit.judge(state.arrival, now.monotonic_ns, cost);
    let verdicts: SmallVec<[Verdict; 2]> = limits.iter().map(judge).collect();
    match verdicts.iter().filter(|verdict| !verdict.allowed).map(|verdict| verdict.wait_ns).max() {
        Some(wait_ns) => Err(wait_ns),
        None => Ok(Verdicts(verdicts)),
    }
}

#[cfg(test)]
mod tests;
