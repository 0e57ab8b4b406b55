use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::key::{Features, KeyClass};
use crate::policy::Policy;
use crate::secret::Pepper;

const DAY: i64 = 86_400_000;
const NOW: Now = Now { unix_ms: 1_000 * DAY, monotonic_ns: 1 };

/// Owned facts, from which a test borrows.
#[derive(Clone)]
struct World {
    key: Key,
    secret: SecretVersion,
    owner: Option<Owner>,
    tenant: Tenant,
    rights: RightSet,
    last_used_at: Option<i64>,
    limits: Vec<(RateLimit, u64)>,
    credits: [Option<CreditState>; 2],
}

fn world() -> World {
    World {
        key: Key {
            class: KeyClass::Member,
            switch: Switch::On,
            not_before: None,
            expires_at: Some(NOW.unix_ms + 80 * DAY),
            idle_seconds: None,
            conditions: None,
            awaits_approval: false,
        },
        secret: SecretVersion {
            generation: 1,
            pepper: 1,
            hash: Pepper::new(1, &[0; 32]).hash("x"),
            created_at: NOW.unix_ms - 10 * DAY,
            retires_at: None,
        },
        owner: Some(Owner {
            state: OwnerState::Active,
            last_login_at: NOW.unix_ms - DAY,
            login_window_minutes: None,
        }),
        tenant: Tenant { suspended: false, features: Features::default(), policy: Policy::default() },
        rights: ["models/**:read"].iter().map(|r| r.parse().expect("a right")).collect(),
        last_used_at: None,
        limits: Vec::new(),
        credits: [None; 2],
    }
}

impl World {
    fn with(&self, change: impl FnOnce(&mut World)) -> World {
        let mut world = self.clone();
        change(&mut world);
        world
    }

    fn ask(&self, request: &Request<'_>) -> Decision {
        self.facts(|facts| decide(&Finding::Key(facts), request, NOW))
    }

    fn facts<T>(&self, run: impl FnOnce(KeyFacts<'_>) -> T) -> T {
        let limits: Vec<_> =
            self.limits.iter().map(|(limit, arrival)| LimitState { limit, arrival: *arrival }).collect();
        run(KeyFacts {
            key: &self.key,
            secret: &self.secret,
            owner: self.owner.as_ref(),
            tenant: &self.tenant,
            rights: &self.rights,
            last_used_at: self.last_used_at,
            limits: &limits,
            credits: self.credits,
        })
    }

    fn code(&self, request: &Request<'_>) -> Option<Code> {
        match self.ask(request) {
            Decision::Allow { .. } => None,
            Decision::Deny { code, .. } => Some(code),
        }
    }
}

fn limit(requests: u32) -> RateLimit {
    RateLimit { name: "test".into(), requests, per_seconds: 60, burst: None }
}

fn conditions(change: impl FnOnce(&mut Conditions)) -> Option<Arc<Conditions>> {
    let mut conditions = Conditions::default();
    change(&mut conditions);
    Some(Arc::new(conditions))
}

/// Something that makes a check fail.
type Spoiler = fn(&mut World);

/// One way to trip each check, in order of precedence.
fn spoilers() -> Vec<(Code, Spoiler)> {
    vec![
        (Code::Revoked, |w| w.key.switch = Switch::Revoked),
        (Code::RetiredSecret, |w| w.secret.retires_at = Some(NOW.unix_ms)),
        (Code::TenantSuspended, |w| w.tenant.suspended = true),
        (Code::OwnerDeleted, |w| w.owner.as_mut().expect("owner").state = OwnerState::Deleted),
        (Code::OwnerSuspended, |w| w.owner.as_mut().expect("owner").state = OwnerState::Suspended),
        (Code::ClassDisabled, |w| w.tenant.features.member_keys = false),
        (Code::Inactive, |w| w.key.switch = Switch::Off),
        (Code::ApprovalPending, |w| w.key.awaits_approval = true),
        (Code::NotYetValid, |w| w.key.not_before = Some(NOW.unix_ms + 1)),
        (Code::Expired, |w| w.key.expires_at = Some(NOW.unix_ms)),
        (Code::TooOld, |w| w.tenant.policy.member.max_age_days = Some(10)),
        (Code::Idle, |w| w.key.idle_seconds = Some(60)),
        (Code::OwnerLoginLapsed, |w| w.owner.as_mut().expect("owner").last_login_at = NOW.unix_ms - 14 * DAY),
        (Code::OwnerKeysDisabled, |w| w.owner.as_mut().expect("owner").login_window_minutes = Some(0)),
        (Code::AddressDenied, |w| {
            let network = "192.0.2.0/24".parse().expect("a network");
            w.key.conditions = conditions(|c| c.cidrs = [network].into_iter().collect());
        }),
        (Code::InsufficientRights, |w| w.rights = RightSet::default()),
        (Code::ConditionFailed, |w| {
            let cidrs = w.key.conditions.take().map(|c| c.cidrs.clone()).unwrap_or_default();
            w.key.conditions = conditions(|c| {
                c.cidrs = cidrs;
                c.methods = vec!["PUT".into()];
            });
        }),
        (Code::RateLimited, |w| w.limits = vec![(limit(1), u64::MAX / 2)]),
        (Code::CreditsExhausted, |w| w.credits = [Some(CreditState { left: 0, refills_at: None }), None]),
    ]
}

fn needs() -> [Right; 1] {
    ["models/emea:read".parse().expect("a right")]
}

fn request(rights: &[Right]) -> Request<'_> {
    Request {
        rights,
        method: Some("GET"),
        path: Some("/models/emea"),
        address: Some("198.51.100.1".parse().expect("an address")),
        audience: None,
        cost: 1,
    }
}

#[test]
fn x2_each_reason_alone_gives_its_code() {
    let needs = needs();
    assert_eq!(world().code(&request(&needs)), None);
    for (code, spoil) in spoilers() {
        assert_eq!(world().with(spoil).code(&request(&needs)), Some(code));
    }
    for (finding, code) in [
        (Finding::Malformed, Code::Malformed),
        (Finding::Unknown, Code::UnknownKey),
        (Finding::WrongSecret, Code::WrongSecret),
    ] {
        let decision = decide(&finding, &request(&needs), NOW);
        assert!(matches!(decision, Decision::Deny { code: told, .. } if told == code));
    }
}

#[test]
fn codes_are_in_the_order_of_precedence() {
    assert!(Code::ALL.is_sorted());
    let mut codes: Vec<_> = CHECKS.iter().map(|(code, _)| *code).collect();
    assert!(codes.is_sorted());
    codes.splice(0..0, [Code::Malformed, Code::UnknownKey, Code::WrongSecret]);
    codes.extend([Code::RateLimited, Code::CreditsExhausted]);
    // A key is meant for everybody, and has no second factor.
    let others = [Code::WrongAudience, Code::SecondFactorMissing];
    let of_keys = Code::ALL.into_iter().filter(|code| !others.contains(code));
    assert_eq!(codes, of_keys.collect::<Vec<_>>());
}

proptest! {
    #[test]
    fn x2_the_first_reason_in_order_wins(picks in prop::collection::vec(any::<bool>(), 19)) {
        let spoilers = spoilers();
        let mut world = world();
        let mut expected = None;
        // From the last to the first: where two spoil one field, the earlier reason stands.
        for ((code, spoil), picked) in spoilers.iter().zip(&picks).rev() {
            if *picked {
                spoil(&mut world);
                expected = Some(*code);
            }
        }
        // A window of 0 has no moment to lapse at: the later code is then the true one.
        if expected == Some(Code::OwnerLoginLapsed) && picks[13] {
            expected = Some(Code::OwnerKeysDisabled);
        }
        let needs = needs();
        prop_assert_eq!(world.code(&request(&needs)), expected);
    }

    #[test]
    fn explain_agrees_with_decide(picks in prop::collection::vec(any::<bool>(), 19)) {
        let mut world = world();
        for ((_, spoil), picked) in spoilers().iter().zip(&picks) {
            if *picked {
                spoil(&mut world);
            }
        }
        let needs = needs();
        let request = request(&needs);
        let first = world.facts(|facts| explain(&facts, &request, NOW)).into_iter().find(|step| !step.passed);
        prop_assert_eq!(first.map(|step| step.check), world.code(&request));
    }
}

#[test]
fn sq_4_login_window_table() {
    let two_days_ago = NOW.unix_ms - 2 * DAY;
    for (own, tenant, expect) in [
        (None, 14 * 24 * 60, None),
        (None, 24 * 60, Some(Code::OwnerLoginLapsed)),
        (Some(-1), 24 * 60, Some(Code::OwnerLoginLapsed)),
        (Some(3 * 24 * 60), 24 * 60, None),
        (Some(60), 14 * 24 * 60, Some(Code::OwnerLoginLapsed)),
        (Some(0), 14 * 24 * 60, Some(Code::OwnerKeysDisabled)),
        (None, 0, Some(Code::OwnerKeysDisabled)),
        (Some(60), 0, Some(Code::OwnerLoginLapsed)),
        (None, -1, None),
    ] {
        let world = world().with(|w| {
            let owner = w.owner.as_mut().expect("owner");
            owner.last_login_at = two_days_ago;
            owner.login_window_minutes = own;
            w.tenant.policy.owner_login_window_minutes = tenant;
        });
        assert_eq!(world.code(&Request::default()), expect, "own {own:?}, tenant {tenant}");
    }
}

#[test]
fn workspace_keys_have_no_owner_to_lapse() {
    let world = world().with(|w| {
        w.key.class = KeyClass::Workspace;
        w.owner = None;
        w.tenant.policy.owner_login_window_minutes = 0;
    });
    assert_eq!(world.code(&Request::default()), None);
}

#[test]
fn x5_policy_binds_keys_already_issued() {
    let never = world().with(|w| w.key.expires_at = None);
    assert_eq!(never.code(&Request::default()), None);
    let aged = never.with(|w| w.tenant.policy.member.max_age_days = Some(9));
    assert_eq!(aged.code(&Request::default()), Some(Code::TooOld));
    let rotated = aged.with(|w| w.secret.created_at = NOW.unix_ms - DAY);
    assert_eq!(rotated.code(&Request::default()), None);
}

#[test]
fn idle_counts_from_the_last_use() {
    let idle = world().with(|w| w.tenant.policy.member.idle_days = Some(5));
    assert_eq!(idle.code(&Request::default()), Some(Code::Idle));
    let used = idle.with(|w| w.last_used_at = Some(NOW.unix_ms - DAY));
    assert_eq!(used.code(&Request::default()), None);
}

#[test]
fn x6_conditions_fail_closed_when_the_request_does_not_say() {
    let network = "192.0.2.0/24".parse().expect("a network");
    let by_address =
        world().with(|w| w.key.conditions = conditions(|c| c.cidrs = [network].into_iter().collect()));
    assert_eq!(by_address.code(&Request::default()), Some(Code::AddressDenied));
    let by_path = world().with(|w| w.key.conditions = conditions(|c| c.paths = vec!["/a/**".into()]));
    assert_eq!(by_path.code(&Request::default()), Some(Code::ConditionFailed));
    let by_resource = world().with(|w| {
        w.key.conditions = conditions(|c| c.resources = vec!["models/*".parse().expect("a resource")]);
    });
    assert_eq!(by_resource.code(&Request::default()), Some(Code::ConditionFailed));
    assert_eq!(by_resource.code(&request(&needs())), None);
}

#[test]
fn http_6_path_patterns() {
    for (pattern, path, expect) in [
        ("/a", "/a", true),
        ("/a", "/a/", false),
        ("/a/*", "/a/b", true),
        ("/a/*", "/a/", false),
        ("/a/*", "/a/b/c", false),
        ("/a/**", "/a/b/c", true),
        ("/a/**", "/a/", true),
        ("/a/**", "/a", true),
        ("/a/**", "/ab", false),
        ("/**", "/anything/at/all", true),
        ("/a/**", "/a/../b", false),
        ("/a/**", "/a//b", false),
        ("/a/**", "/a/%2e%2e/b", false),
        ("/a/**", "/a/%2Fb", false),
        ("/a/**", "/a/b;x", false),
        ("/a/**", "a/b", false),
    ] {
        assert_eq!(path_matches(pattern, path), expect, "{pattern} on {path}");
    }
}

#[test]
fn limits_of_key_and_owner_must_all_agree() {
    let both = world().with(|w| w.limits = vec![(limit(100), 0), (limit(1), u64::MAX / 2)]);
    assert_eq!(both.code(&request(&[])), Some(Code::RateLimited));
    let one = world().with(|w| w.limits = vec![(limit(100), 0)]);
    let Decision::Allow { limits, cache_seconds, .. } = one.ask(&request(&[])) else {
        panic!("within the limit");
    };
    assert_eq!(limits.as_slice()[0].remaining, 99);
    assert_eq!(cache_seconds, 0, "a metered answer must not be kept");
}

#[test]
fn the_answer_ends_with_whatever_ends_first() {
    let retiring = world().with(|w| w.secret.retires_at = Some(NOW.unix_ms + 5));
    let Decision::Allow { expires_at, .. } = retiring.ask(&Request::default()) else {
        panic!("still within the overlap");
    };
    assert_eq!(expires_at, Some(NOW.unix_ms + 5));
}

#[test]
fn key_4_strangers_hear_one_code() {
    let hidden = [Code::Malformed, Code::UnknownKey, Code::WrongSecret];
    for code in Code::ALL {
        assert_eq!(code.public() == "invalid_key", hidden.contains(&code));
    }
}

#[test]
fn x_6_credits_of_key_and_owner_must_both_last_and_the_refill_is_told() {
    let request = Request { cost: 3, ..Request::default() };
    let in_seconds = |seconds: i64| Some(NOW.unix_ms + seconds * 1000 - 1);
    let state = |left, refills_at| Some(CreditState { left, refills_at });
    for (credits, wait) in [
        ([None, None], None),
        ([state(3, None), state(3, in_seconds(9))], None),
        ([state(2, None), state(3, None)], Some(3600)),
        ([state(3, None), state(2, in_seconds(90))], Some(90)),
        ([state(2, in_seconds(60)), state(0, in_seconds(90))], Some(90)),
        ([state(2, in_seconds(60)), state(0, None)], Some(3600)),
        ([state(2, in_seconds(-60)), None], Some(1)),
    ] {
        let world = world().with(|w| w.credits = credits);
        match (world.ask(&request), wait) {
            (Decision::Allow { .. }, None) => {}
            (Decision::Deny { code: Code::CreditsExhausted, retry_after_seconds }, Some(wait)) => {
                assert_eq!(retry_after_seconds, wait, "{credits:?}");
            }
            (decision, _) => panic!("{credits:?}: {decision:?}"),
        }
    }
    let counted = world().with(|w| w.credits = [None, state(3, None)]);
    let Decision::Allow { cache_seconds, .. } = counted.ask(&request) else { panic!("allowed") };
    assert_eq!(cache_seconds, 0, "an answer that is kept would not be counted");
}
