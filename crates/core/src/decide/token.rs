//! The same decision about an access token (IMP-2, IMP-6, IMP-10, X12): it is good while its subject,
//! its tenant and the secret that it came of are, and never for more than all of them allow.

use super::{Code, Decision, KeyFacts, Now, Request, Step, Verdicts, deny, first_fault, meter};
use crate::jwt::{Audience, LEEWAY_SECONDS};
use crate::key::{Owner, OwnerState, Tenant};
use crate::right::RightSet;

/// Everything known about a token whose signature is true.
#[derive(Clone, Copy)]
pub struct TokenFacts<'a> {
    /// When it was issued, Unix seconds.
    pub issued_at: i64,
    /// When it ends, Unix seconds.
    pub expires_at: i64,
    /// It was revoked by its id, or a token that it came of was.
    pub revoked: bool,
    /// Why a key that acted on its way is no good any more.
    pub lapse: Option<Code>,
    /// Uses that are left, if they are counted.
    pub budget: Option<i64>,
    /// Who may accept it.
    pub audience: &'a Audience,
    /// The revocation epoch of its subject at the time of issue.
    pub epoch: i64,
    /// And now.
    pub epoch_now: i64,
    /// The user that it speaks for, if it is one.
    pub owner: Option<&'a Owner>,
    /// The tenant that it speaks in.
    pub tenant: &'a Tenant,
    /// The token's rights ∩ the subject's live ones ∩ the origin's ceiling.
    pub rights: &'a RightSet,
    /// What it was asked for with.
    pub origin: Origin<'a>,
}

/// What a token was asked for with, as it is now.
#[derive(Clone, Copy)]
pub enum Origin<'a> {
    /// A trusted secret.
    Trusted(TrustedFacts<'a>),
    /// A key: every check of the key is one of the token too. Its rights are the token's.
    Key(KeyFacts<'a>),
}

/// The facts about a trusted secret.
#[derive(Clone, Copy)]
pub struct TrustedFacts<'a> {
    /// It was disabled.
    pub ended: bool,
    /// When the generation that was used retires.
    pub retires_at: Option<i64>,
    /// The operator allows its tenant trusted secrets, or it is the primary tenant's.
    pub allowed: bool,
    /// Its own tenant.
    pub tenant: &'a Tenant,
}

type Check = fn(&TokenFacts<'_>, &Request<'_>, Now) -> bool;

/// The checks in order of precedence; each says whether the request passes it.
const CHECKS: [(Code, Check); 11] = [
    (Code::Revoked, |f, _, _| !f.revoked && f.epoch == f.epoch_now && trusted(f, |t| !t.ended)),
    (Code::RetiredSecret, |f, _, now| trusted(f, |t| t.retires_at.is_none_or(|end| now.unix_ms < end))),
    (Code::TenantSuspended, |f, _, _| !f.tenant.suspended && trusted(f, |t| !t.tenant.suspended)),
    (Code::OwnerDeleted, |f, _, _| f.owner.is_none_or(|o| o.state != OwnerState::Deleted)),
    (Code::OwnerSuspended, |f, _, _| f.owner.is_none_or(|o| o.state != OwnerState::Suspended)),
    (Code::ClassDisabled, |f, _, _| trusted(f, |t| t.allowed)),
    (Code::NotYetValid, |f, _, now| millis(f.issued_at - LEEWAY_SECONDS) <= now.unix_ms),
    (Code::Expired, |f, _, now| now.unix_ms < millis(f.expires_at + LEEWAY_SECONDS)),
    (Code::WrongAudience, |f, request, _| request.audience.is_none_or(|name| f.audience.holds(name))),
    (Code::InsufficientRights, |f, request, _| request.rights.iter().all(|r| f.rights.covers(r))),
    (Code::CreditsExhausted, |f, request, _| f.budget.is_none_or(|left| left >= i64::from(request.cost))),
];

/// Whether a trusted origin is as it should be; a key has its own checks.
fn trusted(facts: &TokenFacts<'_>, good: impl Fn(&TrustedFacts<'_>) -> bool) -> bool {
    match &facts.origin {
        Origin::Trusted(origin) => good(origin),
        Origin::Key(_) => true,
    }
}

fn millis(seconds: i64) -> i64 {
    seconds.saturating_mul(1000)
}

/// Decides about a token. Of its own reasons and those of the key behind it the first in the order of
/// [`Code`] wins.
pub(super) fn decide(facts: &TokenFacts<'_>, request: &Request<'_>, now: Now) -> Decision {
    let own = CHECKS.iter().find(|(_, passes)| !passes(facts, request, now)).map(|(code, _)| *code);
    let behind = match &facts.origin {
        Origin::Key(key) => first_fault(key, request, now),
        Origin::Trusted(_) => None,
    };
    if let Some(code) = own.into_iter().chain(behind).chain(facts.lapse).min() {
        return deny(code);
    }
    let end = millis(facts.expires_at);
    match &facts.origin {
        Origin::Trusted(_) => Decision::Allow {
            expires_at: Some(end),
            cache_seconds: uncounted(facts, super::CACHE_SECONDS),
            limits: Verdicts::default(),
        },
        Origin::Key(key) => match meter(key, request, now) {
            Decision::Allow { expires_at, cache_seconds, limits } => Decision::Allow {
                expires_at: expires_at.into_iter().chain([end]).min(),
                cache_seconds: uncounted(facts, cache_seconds),
                limits,
            },
            no => no,
        },
    }
}

/// Nobody keeps an answer where each use counts.
fn uncounted(facts: &TokenFacts<'_>, seconds: u32) -> u32 {
    if facts.budget.is_some() { 0 } else { seconds }
}

/// Every check of a token with its outcome. Spends nothing.
#[must_use]
pub fn explain_token(facts: &TokenFacts<'_>, request: &Request<'_>, now: Now) -> Vec<Step> {
    let own =
        CHECKS.iter().map(|(check, passes)| Step { check: *check, passed: passes(facts, request, now) });
    let mut steps: Vec<Step> = own.collect();
    if let Origin::Key(key) = &facts.origin {
        for step in super::explain(key, request, now) {
            match steps.iter_mut().find(|known| known.check == step.check) {
                Some(known) => known.passed &= step.passed,
                None => steps.push(step),
            }
        }
    }
    if let Some(lapse) = facts.lapse {
        match steps.iter_mut().find(|known| known.check == lapse) {
            Some(known) => known.passed = false,
            None => steps.push(Step { check: lapse, passed: false }),
        }
    }
    steps.sort_by_key(|step| step.check);
    steps
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::Features;
    use crate::policy::Policy;
    use crate::right::Right;

    const NOW: i64 = 1_800_000_000;

    fn at(ms: i64) -> Now {
        Now { unix_ms: ms, monotonic_ns: 0 }
    }

    fn code(facts: &TokenFacts<'_>, rights: &[Right], ms: i64) -> &'static str {
        decide(facts, &Request { rights, cost: 1, ..Request::default() }, at(ms)).code()
    }

    fn tenant(suspended: bool) -> Tenant {
        Tenant { suspended, features: Features::default(), policy: Policy::default() }
    }

    fn owner(state: OwnerState) -> Owner {
        Owner { state, last_login_at: 0, login_window_minutes: None }
    }

    /// A token that is good for ten seconds.
    fn minted<'a>(
        owner: &'a Owner,
        tenant: &'a Tenant,
        rights: &'a RightSet,
        audience: &'a Audience,
    ) -> TokenFacts<'a> {
        TokenFacts {
            issued_at: NOW,
            expires_at: NOW + 10,
            revoked: false,
            lapse: None,
            budget: None,
            audience,
            epoch: 0,
            epoch_now: 0,
            owner: Some(owner),
            tenant,
            rights,
            origin: Origin::Trusted(TrustedFacts { ended: false, retires_at: None, allowed: true, tenant }),
        }
    }

    #[test]
    fn imp_6_imp_10_each_reason_of_a_minted_token_in_order_of_precedence() {
        let (good, suspended) = (tenant(false), tenant(true));
        let (active, barred, gone) =
            (owner(OwnerState::Active), owner(OwnerState::Suspended), owner(OwnerState::Deleted));
        let rights: RightSet = ["models/**:read".parse().expect("a right")].into_iter().collect();
        let fine = TrustedFacts { ended: false, retires_at: None, allowed: true, tenant: &good };
        let audience = Audience(vec!["reports".into()]);
        let facts = TokenFacts {
            expires_at: NOW + 300,
            epoch: 2,
            epoch_now: 2,
            origin: Origin::Trusted(fine),
            ..minted(&active, &good, &rights, &audience)
        };
        let ms = NOW * 1000;
        let asked = ["models/emea:read".parse().expect("a right")];
        let more = ["models/emea:write".parse().expect("a right")];
        assert_eq!(code(&facts, &asked, ms), "ok");
        assert_eq!(code(&facts, &more, ms), "insufficient_rights");
        let from = |origin| TokenFacts { origin: Origin::Trusted(origin), ..facts };
        for (bad, expect) in [
            (TokenFacts { revoked: true, ..facts }, "revoked"),
            (TokenFacts { epoch_now: 3, ..facts }, "revoked"),
            (TokenFacts { lapse: Some(Code::Inactive), ..facts }, "inactive"),
            (from(TrustedFacts { ended: true, ..fine }), "revoked"),
            (from(TrustedFacts { retires_at: Some(ms), ..fine }), "retired_secret"),
            (from(TrustedFacts { tenant: &suspended, ..fine }), "tenant_suspended"),
            (TokenFacts { tenant: &suspended, ..facts }, "tenant_suspended"),
            (TokenFacts { owner: Some(&gone), ..facts }, "owner_deleted"),
            (TokenFacts { owner: Some(&barred), ..facts }, "owner_suspended"),
            (from(TrustedFacts { allowed: false, ..fine }), "class_disabled"),
        ] {
            assert_eq!(code(&bad, &more, ms), expect);
        }
        assert_eq!(code(&from(TrustedFacts { retires_at: Some(ms + 1), ..fine }), &asked, ms), "ok");
        let all_bad = TokenFacts {
            revoked: true,
            owner: Some(&gone),
            tenant: &suspended,
            expires_at: NOW - 100,
            origin: Origin::Trusted(TrustedFacts { retires_at: Some(0), allowed: false, ..fine }),
            ..facts
        };
        assert_eq!(code(&all_bad, &more, ms), "revoked");
        assert_eq!(code(&TokenFacts { revoked: false, ..all_bad }, &more, ms), "retired_secret");
        let steps = explain_token(&all_bad, &Request { rights: &more, ..Request::default() }, at(ms));
        assert_eq!(steps.iter().filter(|step| !step.passed).count(), 7, "{steps:?}");
    }

    #[test]
    fn oau_7_the_leeway_counts_to_the_millisecond() {
        let (good, active) = (tenant(false), owner(OwnerState::Active));
        let rights = RightSet::default();
        let audience = Audience::default();
        let facts = minted(&active, &good, &rights, &audience);
        let (start, end) = ((NOW - LEEWAY_SECONDS) * 1000, (NOW + 10 + LEEWAY_SECONDS) * 1000);
        for (ms, expect) in [
            (start - 1, "not_yet_valid"),
            (start, "ok"),
            (NOW * 1000, "ok"),
            (end - 1, "ok"),
            (end, "expired"),
            (end + 1000, "expired"),
        ] {
            assert_eq!(code(&facts, &[], ms), expect, "{ms}");
        }
        assert!((1..=60).contains(&LEEWAY_SECONDS));
        let allowed = decide(&facts, &Request::default(), at(NOW * 1000));
        let Decision::Allow { expires_at, .. } = allowed else { panic!("allowed") };
        assert_eq!(expires_at, Some((NOW + 10) * 1000), "told without the leeway");
    }

    #[test]
    fn x_12_audience_and_budget_of_a_token_and_the_keys_on_its_way() {
        let (good, active) = (tenant(false), owner(OwnerState::Active));
        let rights = RightSet::default();
        let audience = Audience(vec!["reports".into(), "billing".into()]);
        let facts = TokenFacts { budget: Some(2), ..minted(&active, &good, &rights, &audience) };
        let ask = |facts: &TokenFacts<'_>, audience, cost| {
            decide(facts, &Request { audience, cost, ..Request::default() }, at(NOW * 1000)).code()
        };
        assert_eq!((ask(&facts, None, 1), ask(&facts, Some("billing"), 2)), ("ok", "ok"));
        assert_eq!(ask(&facts, Some("bill"), 1), "wrong_audience");
        assert_eq!(ask(&facts, None, 3), "credits_exhausted");
        assert_eq!(ask(&TokenFacts { budget: None, ..facts }, None, 3), "ok");
        let lapsed = TokenFacts { lapse: Some(Code::Expired), ..facts };
        assert_eq!(ask(&lapsed, Some("bill"), 3), "expired");
        let asked = Request { audience: Some("bill"), ..Request::default() };
        let failed = explain_token(&lapsed, &asked, at(NOW * 1000));
        let failed: Vec<_> = failed.iter().filter(|step| !step.passed).map(|step| step.check).collect();
        assert_eq!(failed, [Code::Expired, Code::WrongAudience]);
        let Decision::Allow { cache_seconds, .. } = decide(&facts, &Request::default(), at(NOW * 1000))
        else {
            panic!("allowed")
        };
        assert_eq!(cache_seconds, 0, "an answer that is kept would not be counted");
    }
}
