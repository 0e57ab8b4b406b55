//! The decision about a session: its own limits, the user's and tenant's state, and everything that
//! would stop the key it came from (SQ8, SES-3, SES-4).

use super::{
    CACHE_SECONDS, Code, Decision, KeyFacts, Now, Request, Step, Verdicts, deny, explain, is_before,
    judge_key,
};
use crate::key::{Owner, OwnerState, Tenant};
use crate::right::RightSet;
use crate::session::Session;

/// Everything known about a session whose token was presented rightly.
#[derive(Clone, Copy)]
pub struct SessionFacts<'a> {
    /// The session.
    pub session: &'a Session,
    /// Whether instance and tenant allow the way it began.
    pub allowed: bool,
    /// The user; none where a workspace key logged in.
    pub owner: Option<&'a Owner>,
    /// The tenant.
    pub tenant: &'a Tenant,
    /// The user's live rights, or those of the key that it came from.
    pub rights: &'a RightSet,
    /// Whether these rights administer, which makes the limits stricter.
    pub is_admin: bool,
    /// The key that it came from, with the secret that logged in.
    pub key: Option<KeyFacts<'a>>,
}

type Check = fn(&SessionFacts<'_>, &Request<'_>, Now) -> bool;

/// The checks in order of precedence; each says whether the request passes it.
const OWN_CHECKS: [(Code, Check); 9] = [
    (Code::Revoked, |f, _, _| !f.session.ended),
    (Code::TenantSuspended, |f, _, _| !f.tenant.suspended),
    (Code::OwnerDeleted, |f, _, _| f.owner.is_none_or(|o| o.state != OwnerState::Deleted)),
    (Code::OwnerSuspended, |f, _, _| f.owner.is_none_or(|o| o.state != OwnerState::Suspended)),
    (Code::ClassDisabled, |f, _, _| f.allowed),
    (Code::Expired, |f, _, now| is_before(now.unix_ms, Some(ends_at(f)))),
    (Code::Idle, |f, _, now| is_before(now.unix_ms, Some(idle_at(f)))),
    // Last of the session's own: one that fails nothing else may still add what it lacks.
    (Code::SecondFactorMissing, |f, _, _| !lacks_factor(f)),
    (Code::InsufficientRights, |f, request, _| request.rights.iter().all(|r| f.rights.covers(r))),
];

/// The first reason of session and key together wins.
pub(super) fn judge(facts: &SessionFacts<'_>, request: &Request<'_>, now: Now) -> Decision {
    let own = OWN_CHECKS.iter().find(|(_, passes)| !passes(facts, request, now)).map(|(code, _)| *code);
    let through = facts.key.as_ref().map(|key| judge_key(key, request, now));
    match (own, through) {
        (Some(own), Some(Decision::Deny { code, .. })) => deny(own.min(code)),
        (Some(own), _) => deny(own),
        (None, Some(Decision::Allow { expires_at, cache_seconds, limits })) => Decision::Allow {
            expires_at: Some(expires_at.map_or(ends_at(facts), |end| end.min(ends_at(facts)))),
            cache_seconds,
            limits,
        },
        (None, Some(refused)) => refused,
        (None, None) => Decision::Allow {
            expires_at: Some(ends_at(facts)),
            cache_seconds: CACHE_SECONDS,
            limits: Verdicts::default(),
        },
    }
}

/// Every check with its outcome, in order of precedence. Spends nothing.
#[must_use]
pub fn explain_session(facts: &SessionFacts<'_>, request: &Request<'_>, now: Now) -> Vec<Step> {
    let mut steps: Vec<Step> = OWN_CHECKS
        .iter()
        .map(|(check, passes)| Step { check: *check, passed: passes(facts, request, now) })
        .collect();
    for step in facts.key.as_ref().map(|key| explain(key, request, now)).unwrap_or_default() {
        match steps.iter_mut().find(|own| own.check == step.check) {
            Some(own) => own.passed &= step.passed,
            None => steps.push(step),
        }
    }
    steps.sort_by_key(|step| step.check);
    steps
}

fn lacks_factor(facts: &SessionFacts<'_>) -> bool {
    let session = facts.session;
    facts.tenant.policy.login.lacks_factor(session.method, session.second_factor, facts.is_admin)
}

/// The absolute end.
fn ends_at(facts: &SessionFacts<'_>) -> i64 {
    ends(facts).1
}

/// The end without further use.
fn idle_at(facts: &SessionFacts<'_>) -> i64 {
    ends(facts).0
}

fn ends(facts: &SessionFacts<'_>) -> (i64, i64) {
    let session = facts.session;
    let times = (session.started_at, session.last_seen_at);
    facts.tenant.policy.login.ends(facts.is_admin, times, session.ends_at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::{Finding, decide};
    use crate::key::{Conditions, Features, Key, KeyClass, SecretVersion, Switch};
    use crate::policy::{Policy, Whom};
    use crate::right::Right;
    use crate::secret::Pepper;
    use crate::session::Method;

    const MINUTE: i64 = 60_000;
    const START: i64 = 1_000_000 * MINUTE;

    /// Owned facts, from which a test borrows.
    #[derive(Clone)]
    struct World {
        session: Session,
        allowed: bool,
        owner: Option<Owner>,
        tenant: Tenant,
        rights: RightSet,
        is_admin: bool,
        key: Option<(Key, SecretVersion)>,
    }

    type Change = fn(&mut World);

    fn world() -> World {
        World {
            session: Session {
                method: Method::Password,
                second_factor: true,
                ended: false,
                started_at: START,
                last_seen_at: START,
                ends_at: None,
            },
            allowed: true,
            owner: Some(Owner {
                state: OwnerState::Active,
                last_login_at: START,
                login_window_minutes: None,
            }),
            tenant: Tenant { suspended: false, features: Features::default(), policy: Policy::default() },
            rights: ["a/**:read"].iter().map(|r| r.parse().expect("a right")).collect(),
            is_admin: false,
            key: None,
        }
    }

    fn key() -> (Key, SecretVersion) {
        let key = Key {
            class: KeyClass::Member,
            switch: Switch::On,
            not_before: None,
            expires_at: Some(START + 30 * MINUTE),
            idle_seconds: None,
            conditions: None,
            awaits_approval: false,
        };
        let hash = Pepper::new(1, &[0; 32]).hash("x");
        let secret = SecretVersion { generation: 1, pepper: 1, hash, created_at: 0, retires_at: None };
        (key, secret)
    }

    impl World {
        fn with(&self, change: impl FnOnce(&mut World)) -> World {
            let mut world = self.clone();
            change(&mut world);
            world
        }

        fn ask(&self, rights: &[Right], minute: i64) -> Decision {
            let request = Request { rights, ..Request::default() };
            let now = Now { unix_ms: START + minute * MINUTE, monotonic_ns: 1 };
            decide(&Finding::Session(self.facts()), &request, now)
        }

        fn facts(&self) -> SessionFacts<'_> {
            SessionFacts {
                session: &self.session,
                allowed: self.allowed,
                owner: self.owner.as_ref(),
                tenant: &self.tenant,
                rights: &self.rights,
                is_admin: self.is_admin,
                key: self.key.as_ref().map(|(key, secret)| KeyFacts {
                    key,
                    secret,
                    owner: self.owner.as_ref(),
                    tenant: &self.tenant,
                    rights: &self.rights,
                    last_used_at: None,
                    limits: &[],
                    credits: [None; 2],
                }),
            }
        }
    }

    #[test]
    fn ses_3_idle_and_absolute_limits_are_stricter_for_who_administers() {
        let fresh = world();
        let admin = fresh.with(|w| w.is_admin = true);
        for (world, minute, code) in [
            (&fresh, 59, "ok"),
            (&fresh, 60, "idle"),
            (&fresh.with(|w| w.session.last_seen_at = START + 1430 * MINUTE), 1439, "ok"),
            (&fresh.with(|w| w.session.last_seen_at = START + 1439 * MINUTE), 1440, "expired"),
            (&admin, 14, "ok"),
            (&admin, 15, "idle"),
            (&admin.with(|w| w.session.last_seen_at = START + 719 * MINUTE), 719, "ok"),
            (&admin.with(|w| w.session.last_seen_at = START + 719 * MINUTE), 720, "expired"),
            // An administrator is never given more than everybody.
            (&admin.with(|w| w.tenant.policy.login.idle_minutes = 5), 5, "idle"),
            (&fresh.with(|w| w.tenant.policy.login.idle_minutes = 90), 89, "ok"),
        ] {
            assert_eq!(world.ask(&[], minute).code(), code, "minute {minute}");
        }
    }

    #[test]
    fn ses_4_sq_8_the_first_reason_of_session_user_tenant_and_key_wins() {
        let base = world().with(|w| w.key = Some(key()));
        let right: Right = "b:read".parse().expect("a right");
        assert_eq!(base.ask(&[], 1).code(), "ok");
        assert_eq!(base.ask(std::slice::from_ref(&right), 1).code(), "insufficient_rights");
        let steps: [(&str, Change); 9] = [
            ("condition_failed", |w| {
                let path = Conditions { paths: vec!["/x".into()], ..Conditions::default() };
                w.key.as_mut().expect("a key").0.conditions = Some(std::sync::Arc::new(path));
            }),
            ("idle", |w| w.tenant.policy.login.idle_minutes = 1),
            ("expired", |w| w.key.as_mut().expect("a key").0.expires_at = Some(START)),
            ("class_disabled", |w| w.allowed = false),
            ("owner_suspended", |w| w.owner.as_mut().expect("an owner").state = OwnerState::Suspended),
            ("owner_deleted", |w| w.owner.as_mut().expect("an owner").state = OwnerState::Deleted),
            ("tenant_suspended", |w| w.tenant.suspended = true),
            ("retired_secret", |w| w.key.as_mut().expect("a key").1.retires_at = Some(START)),
            ("revoked", |w| w.session.ended = true),
        ];
        let mut world = base;
        for (code, change) in steps {
            change(&mut world);
            assert_eq!(world.ask(&[], 2).code(), code);
        }
    }

    #[test]
    fn aut_4_a_session_without_the_factor_that_the_tenant_asks_for_is_refused_last() {
        let right: Right = "b:read".parse().expect("a right");
        let admin = world().with(|w| {
            w.is_admin = true;
            w.session.second_factor = false;
        });
        assert_eq!(admin.ask(&[], 1).code(), "second_factor_missing");
        assert_eq!(admin.ask(&[right], 1).code(), "second_factor_missing");
        assert_eq!(admin.ask(&[], 15).code(), "idle", "what ended a session comes first");
        assert_eq!(admin.with(|w| w.session.second_factor = true).ask(&[], 1).code(), "ok");
        assert_eq!(admin.with(|w| w.session.method = Method::Key).ask(&[], 1).code(), "ok", "never a key");
        let user = admin.with(|w| w.is_admin = false);
        assert_eq!(user.ask(&[], 1).code(), "ok");
        let everybody = |w: &mut World| w.tenant.policy.login.require_second_factor = Whom::Everybody;
        assert_eq!(user.with(everybody).ask(&[], 1).code(), "second_factor_missing");
        let nobody = |w: &mut World| w.tenant.policy.login.require_second_factor = Whom::Nobody;
        assert_eq!(admin.with(nobody).ask(&[], 1).code(), "ok");
    }

    #[test]
    fn sq_8_a_session_ends_with_its_key_and_a_password_session_does_not() {
        let through = world().with(|w| w.key = Some(key()));
        let Decision::Allow { expires_at, .. } = through.ask(&[], 1) else { panic!("allowed") };
        assert_eq!(expires_at, Some(START + 30 * MINUTE), "the key's end comes first");
        assert_eq!(through.ask(&[], 30).code(), "expired");
        let Decision::Allow { expires_at, .. } = world().ask(&[], 30) else { panic!("allowed") };
        assert_eq!(expires_at, Some(START + 1440 * MINUTE));
        let lapsed = |w: &mut World| w.owner.as_mut().expect("an owner").last_login_at = 0;
        assert_eq!(through.with(lapsed).ask(&[], 1).code(), "owner_login_lapsed");
        assert_eq!(
            world().with(lapsed).ask(&[], 1).code(),
            "ok",
            "the login itself is what the window asks for"
        );
    }

    #[test]
    fn x_2_an_explanation_has_each_check_once_in_order() {
        let through = world().with(|w| w.key = Some(key()));
        let now = Now { unix_ms: START + 61 * MINUTE, monotonic_ns: 1 };
        let steps = explain_session(&through.facts(), &Request::default(), now);
        assert!(steps.windows(2).all(|pair| pair[0].check < pair[1].check));
        let failed: Vec<_> = steps.iter().filter(|step| !step.passed).map(|step| step.check).collect();
        assert_eq!(failed, [Code::Expired, Code::Idle]);
        assert_eq!(explain_session(&world().facts(), &Request::default(), now).len(), OWN_CHECKS.len());
    }
}
