use proptest::prelude::*;
use serde_json::json;

use super::*;

fn claims() -> Claims {
    Claims {
        iss: "https://keys.example.org".into(),
        sub: "user_01jd0000000000000000000000".into(),
        aud: Audience(vec!["https://api.example.org".into()]),
        client_id: "trusted_01jd0000000000000000000000".into(),
        iat: 1_800_000_000,
        exp: 1_800_000_300,
        jti: "token_01jd0000000000000000000000".into(),
        tenant: "tenant_01jd0000000000000000000000".into(),
        scope: "models/emea:read reports:*".into(),
        username: Some("ada".into()),
        act: Some(Actor { sub: "trusted_01jd0000000000000000000000".into(), act: None }),
        may_act: None,
        origin: "0123456789abcDEF.2".parse().expect("an origin"),
        root: None,
        via: Vec::new(),
        parents: Vec::new(),
        budget: None,
        epoch: 3,
        ext: Map::new(),
    }
}

fn token(claims: &Claims) -> String {
    finish(signing_input(Algorithm::EdDsa, "k1", claims), &[7; SIGNATURE_LEN])
}

/// A token with this header and payload, whatever they are.
fn forged(header: &Value, payload: &Value) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    finish(format!("{}.{}", part(header), part(payload)), &[7; SIGNATURE_LEN])
}

fn header() -> Value {
    json!({ "alg": "EdDSA", "typ": "at+jwt", "kid": "k1" })
}

fn payload() -> Value {
    serde_json::to_value(claims()).expect("plain data")
}

#[test]
fn oau_5_x_13_what_is_written_is_read_again() {
    for algorithm in Algorithm::ALL {
        let text = finish(signing_input(algorithm, "k1", &claims()), &[7; SIGNATURE_LEN]);
        assert!(is_compact(&text));
        let compact = Compact::parse(&text).expect("own output parses");
        assert_eq!((compact.algorithm, compact.kid.as_str()), (algorithm, "k1"));
        assert_eq!(compact.signature, [7; SIGNATURE_LEN]);
        assert!(text.starts_with(compact.signed));
        assert_eq!(compact.claims(), Some(claims()));
    }
    assert_eq!(payload()["aud"], "https://api.example.org");
    assert_eq!(claims().rights().map(|rights| rights.iter().count()), Some(2));
}

#[test]
fn oau_6_headers_that_are_not_ours_are_refused() {
    let with = |name: &str, value: Value| {
        let mut header = header();
        header[name] = value;
        forged(&header, &payload())
    };
    assert!(Compact::parse(&forged(&header(), &payload())).is_some());
    for (name, value) in [
        ("alg", json!("none")),
        ("alg", json!("None")),
        ("alg", json!("HS256")),
        ("alg", json!("RS256")),
        ("alg", json!("ES384")),
        ("alg", json!("eddsa")),
        ("alg", json!(null)),
        ("alg", json!(["EdDSA"])),
        ("typ", json!("JWT")),
        ("typ", json!("application/at+jwt")),
        ("typ", json!("AT+JWT")),
        ("kid", json!("")),
        ("kid", json!("k".repeat(65))),
        ("kid", json!(1)),
        ("crit", json!(["exp"])),
        ("crit", json!([])),
        ("jku", json!("https://evil.example/jwks.json")),
        ("x5u", json!("https://evil.example/cert.pem")),
        ("x5c", json!([])),
        ("jwk", json!({ "kty": "OKP" })),
        ("b64", json!(false)),
        ("zip", json!("DEF")),
        ("cty", json!("JWT")),
    ] {
        assert!(Compact::parse(&with(name, value.clone())).is_none(), "{name}: {value}");
    }
    for name in ["alg", "typ", "kid"] {
        let mut header = header();
        header.as_object_mut().expect("an object").remove(name);
        assert!(Compact::parse(&forged(&header, &payload())).is_none(), "without {name}");
    }
    let twice = URL_SAFE_NO_PAD.encode(r#"{"alg":"EdDSA","typ":"at+jwt","kid":"k1","alg":"EdDSA"}"#);
    let text = token(&claims());
    let rest = text.split_once('.').expect("a dot").1;
    assert!(Compact::parse(&format!("{twice}.{rest}")).is_none(), "a member twice");
}

#[test]
fn oau_5_oau_6_claims_that_lack_or_add_something_are_refused() {
    let read = |payload: &Value| Compact::parse(&forged(&header(), payload)).and_then(|c| c.claims());
    assert_eq!(read(&payload()), Some(claims()));
    let optional = ["username", "act", "ext"];
    let names: Vec<String> = payload().as_object().expect("an object").keys().cloned().collect();
    assert!(names.len() >= 13, "{names:?}");
    for name in names.iter().filter(|name| !optional.contains(&name.as_str())) {
        let mut payload = payload();
        payload.as_object_mut().expect("an object").remove(name);
        assert_eq!(read(&payload), None, "without {name}");
    }
    for (name, value) in [
        ("aud", json!([])),
        ("exp", json!(1_799_999_999)),
        ("exp", json!("1800000300")),
        ("exp", json!(1.5e300)),
        ("iat", json!(null)),
        ("origin", json!("0123456789abcDEF.02")),
        ("origin", json!("0123456789abcDEF")),
        ("origin", json!("short.1")),
        ("nbf", json!(1)),
        ("cnf", json!({})),
    ] {
        let mut payload = payload();
        payload[name] = value.clone();
        assert_eq!(read(&payload), None, "{name}: {value}");
    }
    let mut act = json!({ "sub": "key_0" });
    for number in 1..=MAX_ACTORS {
        let mut payload = payload();
        payload["act"] = act.clone();
        assert!(read(&payload).is_some(), "{number} actors");
        act = json!({ "sub": "key_0", "act": act });
    }
    let mut payload = payload();
    payload["act"] = act;
    assert_eq!(read(&payload), None, "a longer chain");
}

#[test]
fn oau_6_one_token_has_one_spelling() {
    let text = token(&claims());
    for cut in 0..text.len() {
        assert!(Compact::parse(&text[..cut]).is_none(), "cut at {cut}");
    }
    let parts: Vec<&str> = text.split('.').collect();
    for spelled in [
        format!("{text}="),
        format!("{text}."),
        format!(".{text}"),
        format!(" {text}"),
        format!("{text}\n"),
        format!("{}..{}", parts[0], parts[2]),
        format!("{}.{}.", parts[0], parts[1]),
        format!("{}.{}", parts[0], parts[1]),
        format!("{text}.{}", parts[2]),
        text.replace('_', "/").replace('-', "+") + "/",
        json!({ "protected": parts[0], "payload": parts[1], "signature": parts[2] }).to_string(),
        json!({ "payload": parts[1], "signatures": [{ "protected": parts[0], "signature": parts[2] }] })
            .to_string(),
    ] {
        let read = Compact::parse(&spelled).and_then(|compact| compact.claims());
        assert_eq!(read, None, "{spelled}");
    }
    // The last character of 64 bytes holds four stray bits.
    let stray = format!("{}x", &text[..text.len() - 1]);
    assert!(Compact::parse(&stray).is_none());
    assert!(Compact::parse(&"a".repeat(MAX_LEN + 1)).is_none());
}

#[test]
fn scopes_that_hold_no_rights_are_none() {
    let with = |scope: &str| Claims { scope: scope.into(), ..claims() }.rights();
    assert_eq!(with("").map(|rights| rights.is_empty()), Some(true));
    assert_eq!(with("openid"), None);
    assert_eq!(with("a:read openid"), None);
}

proptest! {
    #[test]
    fn any_claims_survive_the_way_there_and_back(
        sub in "\\PC{0,40}", aud in prop::collection::vec("\\PC{0,20}", 1..4), iat in 0_i64..1 << 40,
        life in 0_i64..1 << 20, epoch: i64, generation: u32, name in prop::option::of("\\PC{0,20}"),
    ) {
        let origin = Origin { generation, ..claims().origin };
        let mut ext = Map::new();
        ext.insert("region".into(), json!([sub, { "deep": epoch }]));
        let sent = Claims { sub, aud: Audience(aud), iat, exp: iat + life, epoch, origin, username: name, ext, ..claims() };
        let text = token(&sent);
        prop_assert_eq!(Compact::parse(&text).and_then(|compact| compact.claims()), Some(sent));
    }

    #[test]
    fn oau_6_no_bytes_make_it_panic(bytes: Vec<u8>, text in "[A-Za-z0-9_.{}\"-]{0,200}") {
        for text in [String::from_utf8_lossy(&bytes).into_owned(), text] {
            if let Some(compact) = Compact::parse(&text) {
                prop_assert!(is_compact(&text));
                let _ = compact.claims();
            }
        }
    }
}
