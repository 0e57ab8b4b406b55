use proptest::prelude::*;

use super::*;

fn right(text: &str) -> Right {
    text.parse().expect("a valid right")
}

fn set(texts: &[&str]) -> RightSet {
    texts.iter().map(|text| right(text)).collect()
}

/// A small world of names, so that patterns meet often.
fn any_right() -> impl Strategy<Value = Right> {
    let segment = prop_oneof![Just("*"), Just("a"), Just("b"), Just("instance")];
    let action = prop_oneof![Just("*"), Just("read"), Just("write")];
    (prop::collection::vec(segment, 0..4), any::<bool>(), action).prop_filter_map(
        "a resource needs a segment or **",
        |(mut segments, rest, action)| {
            if rest {
                segments.push("**");
            }
            (!segments.is_empty()).then(|| right(&format!("{}:{action}", segments.join("/"))))
        },
    )
}

/// Concrete rights of the same world: the things that patterns stand for.
fn any_concrete() -> impl Strategy<Value = Right> {
    let segment = prop_oneof![Just("a"), Just("b"), Just("c"), Just("instance")];
    (prop::collection::vec(segment, 1..5), prop_oneof![Just("read"), Just("write")])
        .prop_map(|(segments, action)| right(&format!("{}:{action}", segments.join("/"))))
}

fn any_set() -> impl Strategy<Value = RightSet> {
    prop::collection::vec(any_right(), 0..5).prop_map(|rights| rights.into_iter().collect())
}

proptest! {
    #[test]
    fn parse_inverts_display(r in any_right()) {
        prop_assert_eq!(right(&r.to_string()), r);
    }

    #[test]
    fn covering_is_reflexive_and_transitive(a in any_right(), b in any_right(), c in any_right()) {
        prop_assert!(a.covers(&a));
        if a.covers(&b) && b.covers(&c) {
            prop_assert!(a.covers(&c));
        }
    }

    #[test]
    fn covering_means_matching_all_that_the_other_matches(
        a in any_right(), b in any_right(), x in any_concrete(),
    ) {
        if a.covers(&b) && b.covers(&x) {
            prop_assert!(a.covers(&x));
        }
    }

    #[test]
    fn x4_intersection_holds_exactly_what_both_hold(
        a in any_right(), b in any_right(), x in any_concrete(),
    ) {
        let both = a.covers(&x) && b.covers(&x);
        let met = a.intersect(&b).is_some_and(|meet| meet.covers(&x));
        prop_assert_eq!(both, met, "{} ∩ {} on {}", a, b, x);
    }

    #[test]
    fn x4_set_intersection_holds_exactly_what_both_sets_hold(
        a in any_set(), b in any_set(), x in any_concrete(),
    ) {
        prop_assert_eq!(a.covers(&x) && b.covers(&x), a.intersect(&b).covers(&x));
    }

    #[test]
    fn az_5_an_intersection_never_exceeds_either_side(a in any_set(), b in any_set()) {
        let meet = a.intersect(&b);
        prop_assert!(a.covers_all(&meet));
        prop_assert!(b.covers_all(&meet));
    }

    #[test]
    fn collecting_keeps_the_meaning(rights in prop::collection::vec(any_right(), 0..6), x in any_concrete()) {
        let held = rights.iter().any(|r| r.covers(&x));
        let collected: RightSet = rights.into_iter().collect();
        prop_assert_eq!(held, collected.covers(&x));
    }

    #[test]
    fn no_wildcard_reaches_the_reserved_root(r in any_right(), x in any_concrete()) {
        if x.is_reserved() && r.covers(&x) {
            prop_assert!(r.is_reserved());
        }
    }

    #[test]
    fn parse_never_panics(text in "\\PC{0,80}") {
        let _ = text.parse::<Right>();
    }
}

#[test]
fn va_6_matching_table() {
    for (held, wanted, expect) in [
        ("models/emea:read", "models/emea:read", true),
        ("models/emea:read", "models/apac:read", false),
        ("models/emea:read", "models/emea:write", false),
        ("models/*:read", "models/emea:read", true),
        ("models/*:read", "models/emea/2026:read", false),
        ("models/**:read", "models/emea/2026:read", true),
        ("models/**:read", "models:read", true),
        ("models/**:read", "modelsx:read", false),
        ("**:*", "models/emea:read", true),
        ("**:*", "instance/tenants:read", false),
        ("*/tenants:read", "instance/tenants:read", false),
        ("instance/**:*", "instance/tenants:read", true),
        ("Models:read", "models:read", false),
        ("a:*", "a:*", true),
        ("a:read", "a:*", false),
    ] {
        assert_eq!(right(held).covers(&right(wanted)), expect, "{held} over {wanted}");
    }
}

#[test]
fn what_does_not_parse() {
    for (text, why) in [
        ("models", InvalidRight::NoAction),
        ("models:", InvalidRight::BadSegment),
        (":read", InvalidRight::BadSegment),
        ("models//x:read", InvalidRight::BadSegment),
        ("models/..:read", InvalidRight::BadSegment),
        ("/models:read", InvalidRight::BadSegment),
        ("models/:read", InvalidRight::BadSegment),
        ("**/x:read", InvalidRight::RestNotLast),
        ("a**:read", InvalidRight::BadSegment),
        ("modèles:read", InvalidRight::BadSegment),
        ("models:READ", InvalidRight::BadSegment),
        ("models: read", InvalidRight::BadSegment),
        ("a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a:read", InvalidRight::TooDeep),
    ] {
        assert_eq!(text.parse::<Right>(), Err(why), "{text}");
    }
    assert_eq!(format!("{}:read", "x".repeat(65)).parse::<Right>(), Err(InvalidRight::BadSegment));
}

#[test]
fn redundant_members_disappear() {
    assert_eq!(set(&["a/b:read", "a/**:*", "a:read"]), set(&["a/**:*"]));
    assert_eq!(set(&["b:read", "a:read"]), set(&["a:read", "b:read"]));
}
