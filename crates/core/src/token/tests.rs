use std::collections::HashSet;

use proptest::prelude::*;

use super::*;

/// A deterministic source of bytes (xorshift): the tests need spread, not secrecy.
fn source(seed: u64) -> impl FnMut(&mut [u8]) {
    let mut state = seed | 1;
    move |out: &mut [u8]| {
        for byte in out {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            *byte = (state >> 24) as u8;
        }
    }
}

fn make(class: KeyClass, seed: u64) -> (AccessKey, Secret) {
    let mut fill = source(seed);
    let access_key = AccessKey::generate(&mut fill);
    let secret = generate(Prefixes::default().of(class), access_key, &mut fill);
    (access_key, secret)
}

fn any_class() -> impl Strategy<Value = KeyClass> {
    prop_oneof![Just(KeyClass::Member), Just(KeyClass::Workspace), Just(KeyClass::Ingest)]
}

proptest! {
    #[test]
    fn x9_parse_inverts_generate(class in any_class(), seed: u64) {
        let (access_key, secret) = make(class, seed);
        let parsed = parse(secret.expose(), &Prefixes::default()).expect("own secret parses");
        prop_assert_eq!(parsed.class, class);
        prop_assert_eq!(parsed.access_key, access_key);
    }

    #[test]
    fn key_7_one_word_under_128_characters(class in any_class(), seed: u64) {
        let (_, secret) = make(class, seed);
        prop_assert_eq!(secret.expose().len(), 69);
        prop_assert!(secret.expose().bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_'));
    }

    #[test]
    fn key_3_any_changed_character_is_malformed(
        class in any_class(), seed: u64, place in 0_usize..69, with in "[ -~]",
    ) {
        let (_, secret) = make(class, seed);
        let mut changed = secret.expose().to_owned();
        changed.replace_range(place..=place, &with);
        prop_assume!(changed != secret.expose());
        prop_assert!(parse(&changed, &Prefixes::default()).is_none());
    }

    #[test]
    fn truncated_and_extended_are_malformed(seed: u64, keep in 0_usize..69) {
        let (_, secret) = make(KeyClass::Member, seed);
        prop_assert!(parse(&secret.expose()[..keep], &Prefixes::default()).is_none());
        let longer = format!("{}0", secret.expose());
        prop_assert!(parse(&longer, &Prefixes::default()).is_none());
    }

    #[test]
    fn parse_never_panics(text in "\\PC*") {
        let _ = parse(&text, &Prefixes::default());
        let _ = AccessKey::parse(&text);
    }
}

#[test]
fn key_1_kind_and_prefix_are_one_to_one() {
    let prefixes = Prefixes::default();
    let distinct: HashSet<_> = KeyClass::ALL.iter().map(|&class| prefixes.of(class)).collect();
    assert_eq!(distinct.len(), KeyClass::ALL.len());
    for class in KeyClass::ALL {
        assert_eq!(prefixes.class_of(prefixes.of(class)), Some(class));
    }
    assert_eq!(prefixes.class_of("kwa"), None, "the public half never authenticates");
}

#[test]
fn key_2_a_hundred_thousand_secrets_never_repeat_and_spread_evenly() {
    let mut fill = source(42);
    let mut seen = HashSet::new();
    let mut counts = vec![[0_u32; 62]; RANDOM_LEN];
    for _ in 0..100_000 {
        let key = AccessKey::generate(&mut fill);
        let secret = generate("kwm", key, &mut fill);
        let random = &secret.expose()[4 + KEY_ID_LEN..][..RANDOM_LEN];
        for (place, byte) in random.bytes().enumerate() {
            let digit = ALPHABET.iter().position(|&c| c == byte).expect("base62");
            counts[place][digit] += 1;
        }
        assert!(seen.insert(random.to_owned()));
    }
    let expected = 100_000.0 / 62.0;
    for place in counts {
        let chi: f64 = place.iter().map(|&n| (f64::from(n) - expected).powi(2) / expected).sum();
        // 61 degrees of freedom: 140 lies beyond the 1e-7 quantile.
        assert!(chi < 140.0, "chi-square {chi}");
    }
}

#[test]
fn old_prefixes_stay_accepted() {
    let (_, secret) = make(KeyClass::Member, 5);
    let renamed =
        Prefixes::new(["acme".into(), "acmw".into(), "acmi".into()], vec![("kwm".into(), KeyClass::Member)]);
    assert!(parse(secret.expose(), &renamed).is_some());
    let forgotten = Prefixes::new(["acme".into(), "acmw".into(), "acmi".into()], Vec::new());
    assert!(parse(secret.expose(), &forgotten).is_none());
}

#[test]
fn non_ascii_is_malformed() {
    let (_, secret) = make(KeyClass::Member, 6);
    let text = secret.expose().replacen('_', "_é", 1);
    assert!(parse(&text, &Prefixes::default()).is_none());
    assert!(parse("kwm_", &Prefixes::default()).is_none());
    assert!(parse("", &Prefixes::default()).is_none());
}

#[test]
fn ts_2_a_trusted_secret_parses_as_nothing_else() {
    let access_key = AccessKey::from_digits("0123456789abcDEF").expect("16 digits");
    let secret = generate(TRUSTED_PREFIX, access_key, &mut |bytes| bytes.fill(7));
    assert_eq!(parse_trusted(secret.expose()), Some(access_key));
    assert!(parse(secret.expose(), &Prefixes::default()).is_none());
    for class in KeyClass::ALL {
        let key = generate(Prefixes::default().of(class), access_key, &mut |bytes| bytes.fill(7));
        assert!(parse_trusted(key.expose()).is_none());
    }
    for cut in 0..secret.expose().len() {
        assert!(parse_trusted(&secret.expose()[..cut]).is_none(), "cut at {cut}");
    }
}

#[test]
fn ses_1_a_session_token_is_written_like_a_secret_and_is_none() {
    let mut fill = source(7);
    let id = AccessKey::generate(&mut fill);
    let token = generate(SESSION_PREFIX, id, &mut fill);
    assert_eq!(parse_other(token.expose(), SESSION_PREFIX), Some(id));
    assert_eq!(parse_other(token.expose(), LINK_PREFIX), None);
    assert!(parse(token.expose(), &Prefixes::default()).is_none(), "it is no key");
    assert_eq!(parse_other(&token.expose()[..68], SESSION_PREFIX), None);
    let (_, secret) = make(KeyClass::Member, 7);
    assert_eq!(parse_other(secret.expose(), SESSION_PREFIX), None, "a key is no session");
}
