//! Asking for tokens (TS7, TS8, IMP-3, IMP-4, IMP-8, OAU-5).

use serde_json::{Value, json};

use super::{Portal, claims, mint, token};
use crate::support::{Answer, client, text, wait_until};

#[test]
fn oau_5_imp_3_a_token_says_whom_it_speaks_for_and_who_asked() {
    let portal = Portal::new();
    let got = mint(&portal.backend, json!({ "username": "ADA" })).ok();
    let claims = claims(&text(&got["token"]));
    assert_eq!(claims["iss"], "https://keys.example.org");
    assert_eq!(claims["aud"], "https://keys.example.org");
    assert_eq!((&claims["sub"], &claims["username"]), (&json!(portal.ada), &json!("ada")));
    assert_eq!((&claims["client_id"], &claims["act"]["sub"]), (&json!(portal.id), &json!(portal.id)));
    assert_eq!(claims["tenant"], portal.server.tenant().as_str());
    assert_eq!(claims["scope"], "me:read models/**:read reports:read");
    assert_eq!(claims["exp"].as_i64().expect("a number") - claims["iat"].as_i64().expect("a number"), 300);
    assert_eq!(claims["jti"], got["token_id"]);
    assert_ne!(
        text(&mint(&portal.backend, json!({ "username": "ada" })).ok()["token_id"]),
        text(&got["token_id"])
    );
    assert_eq!(
        (&got["kind"], &got["rights_cut"], &got["ttl_cut"]),
        (&json!("full"), &json!(false), &json!(false))
    );
}

/// Checked as others do it: by the published keys alone.
#[test]
fn x_13_others_verify_a_token_by_the_published_keys() {
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, ED25519, UnparsedPublicKey};
    use base64::Engine as _;
    let decode = |text: &str| {
        base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(text).expect("base64url without padding")
    };
    for algorithm in ["EdDSA", "ES256"] {
        let portal = Portal::with_config(&format!("tokens: {{algorithm: {algorithm}, jwks_cache: 1s}}"));
        wait_until(|| {
            let newest = portal.root.get("/v1/signing-keys").ok()["data"][0].clone();
            newest["state"] == "current" && newest["algorithm"] == algorithm
        });
        let token = token(&portal.backend, "ada");
        let (signed, signature) = token.rsplit_once('.').expect("a signature");
        let header: Value =
            serde_json::from_slice(&decode(token.split('.').next().expect("a header"))).expect("JSON");
        assert_eq!((&header["alg"], &header["typ"]), (&json!(algorithm), &json!("at+jwt")));
        assert_eq!(header.as_object().map(serde_json::Map::len), Some(3));
        let at = format!("{}/.well-known/jwks.json", portal.server.url);
        let set = Answer::read(client().get(at).send().expect("an answer")).ok();
        let keys = set["keys"].as_array().expect("keys");
        let key = keys.iter().find(|key| key["kid"] == header["kid"]).expect("it is published");
        let point = |name: &str| decode(key[name].as_str().expect("a coordinate"));
        let verified = if algorithm == "EdDSA" {
            UnparsedPublicKey::new(&ED25519, point("x")).verify(signed.as_bytes(), &decode(signature))
        } else {
            let public = [vec![4], point("x"), point("y")].concat();
            UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, public)
                .verify(signed.as_bytes(), &decode(signature))
        };
        assert!(verified.is_ok(), "{algorithm}");
        assert_eq!(portal.ask(&token, &["reports:read"])["code"], "ok");
    }
}

#[test]
fn ts_8_object_and_custom_tokens_hold_less() {
    let portal = Portal::new();
    let object = mint(&portal.backend, json!({ "username": "ada", "objects": ["models/emea/2026"] })).ok();
    assert_eq!((&object["kind"], &object["rights"]), (&json!("object"), &json!(["models/emea/2026:read"])));
    let bound = text(&object["token"]);
    assert_eq!(portal.ask(&bound, &["models/emea/2026:read"])["code"], "ok");
    assert_eq!(portal.ask(&bound, &["models/emea/2025:read"])["code"], "insufficient_rights");
    assert_eq!(portal.ask(&bound, &["reports:read"])["code"], "insufficient_rights");
    let body = json!({
        "username": "ada", "rights": ["reports:read", "models/**:write"], "ttl_seconds": 60,
        "claims": { "region": "emea", "row": 7 }, "audience": ["https://api.example.org", "reports"],
    });
    let custom = mint(&portal.backend, body).ok();
    assert_eq!((&custom["kind"], &custom["rights"]), (&json!("custom"), &json!(["reports:read"])));
    assert_eq!((&custom["rights_cut"], &custom["ttl_seconds"]), (&json!(true), &json!(60)));
    let said = claims(&text(&custom["token"]));
    assert_eq!((&said["ext"]["region"], &said["aud"][1]), (&json!("emea"), &json!("reports")));
    let told = portal.ask(&text(&custom["token"]), &["reports:read"]);
    assert_eq!(
        (&told["token"]["claims"]["row"], &told["token"]["audience"][0]),
        (&json!(7), &json!("https://api.example.org"))
    );
    let nothing = json!({ "username": "ada", "rights": ["secrets:read"] });
    mint(&portal.backend, nothing).refused(403, "insufficient_rights");
    for (name, value) in [
        ("rights", json!(["no right"])),
        ("objects", json!(["a//b"])),
        ("ttl_seconds", json!(0)),
        ("audience", json!([])),
        ("audience", json!(["two words"])),
        ("claims", json!({ "x": "y".repeat(2000) })),
    ] {
        let mut body = json!({ "username": "ada" });
        body[name] = value;
        let refused = mint(&portal.backend, body).refused(422, "invalid_value");
        assert!(
            text(&refused.body["errors"][0]["pointer"]).starts_with(&format!("/{name}")),
            "{}",
            refused.text
        );
    }
    mint(&portal.backend, json!({ "username": "ada", "validity": 5 })).refused(400, "malformed_request");
    mint(&portal.backend, json!({})).refused(400, "malformed_request");
}

#[test]
fn imp_4_validity_is_cut_to_the_longest_and_the_answer_says_so() {
    let portal = Portal::new();
    let ttl = |wish: i64| {
        let got = mint(&portal.backend, json!({ "username": "ada", "ttl_seconds": wish })).ok();
        (got["ttl_seconds"].as_i64().expect("a number"), got["ttl_cut"] == true)
    };
    assert_eq!((ttl(3600), ttl(3601), ttl(i64::MAX)), ((3600, false), (3600, true), (3600, true)));
    portal.root.patch("/v1/policies", json!({ "token_max_ttl_seconds": 86_400 })).expect(200);
    assert_eq!((ttl(86_400), ttl(86_401)), ((86_400, false), (86_400, true)));
    portal
        .root
        .patch("/v1/policies", json!({ "token_max_ttl_seconds": 86_401 }))
        .refused(422, "invalid_value");
    portal
        .root
        .patch(&format!("/v1/trusted/{}", portal.id), json!({ "ceiling": { "max_ttl_seconds": 120 } }))
        .expect(200);
    assert_eq!(ttl(300), (120, true));
    let short = mint(&portal.backend, json!({ "username": "ada" })).ok();
    assert_eq!(
        (&short["ttl_seconds"], &short["ttl_cut"]),
        (&json!(120), &json!(false)),
        "the default is no wish"
    );
}

#[test]
fn imp_4_a_secret_and_each_of_its_users_have_a_rate() {
    let portal = Portal::new();
    portal.root.user("bob", &[]);
    let path = format!("/v1/trusted/{}", portal.id);
    portal.root.patch(&path, json!({ "ceiling": { "per_user_per_minute": 3 } })).expect(200);
    for _ in 0..3 {
        token(&portal.backend, "ada");
    }
    let refused = mint(&portal.backend, json!({ "username": "ada" })).refused(429, "rate_limited");
    assert!(refused.header("retry-after").parse::<u64>().is_ok_and(|seconds| seconds >= 1));
    token(&portal.backend, "bob");
    portal.root.patch(&path, json!({ "ceiling": { "per_minute": 1 } })).expect(200);
    let codes: Vec<u16> =
        (0..3).map(|_| mint(&portal.backend, json!({ "username": "bob" })).status).collect();
    assert!(codes.contains(&429), "{codes:?}");
}

#[test]
fn ts_7_imp_8_calls_from_a_browser_are_refused_and_noted() {
    let portal = Portal::new();
    let at = format!("{}/v1/trusted/tokens", portal.server.url);
    for (name, value) in [
        ("origin", "https://app.example.org"),
        ("origin", "null"),
        ("sec-fetch-site", "same-origin"),
        ("sec-fetch-dest", "empty"),
        ("cookie", "a=b"),
    ] {
        for path in ["", "/revoke", "/validate"] {
            let request = client().post(format!("{at}{path}")).bearer_auth(&portal.backend.secret);
            let request = request.header(name, value).json(&json!({}));
            let answer = Answer::read(request.send().expect("an answer")).refused(403, "browser_call");
            assert_eq!(answer.header("access-control-allow-origin"), "");
        }
    }
    // Node's fetch on a server sends this one alone; a browser never does.
    let request = client().post(&at).bearer_auth(&portal.backend.secret).header("sec-fetch-mode", "cors");
    Answer::read(request.json(&json!({ "username": "ada" })).send().expect("an answer")).expect(200);
    let preflight =
        client().request("OPTIONS".parse().expect("a method"), &at).header("origin", "https://a.b");
    let preflight = Answer::read(preflight.send().expect("an answer"));
    assert_eq!((preflight.status, preflight.header("access-control-allow-origin")), (405, ""));
    let refused = || portal.root.get("/v1/audit-events?outcome=refused").ok()["data"].clone();
    wait_until(|| refused().as_array().is_some_and(|events| events.len() >= 3));
    let event = &refused()[0];
    assert_eq!((&event["reason"], &event["actor"]["kind"]), (&json!("browser_call"), &json!("trusted")));
    assert_eq!(event["actor"]["id"], portal.id.as_str());
}

#[test]
fn imp_3_ts_1_the_audit_log_names_both_parties() {
    let mut portal = Portal::new();
    for _ in 0..7 {
        token(&portal.backend, "ada");
    }
    portal.server.terminate();
    let server = portal.server.restart();
    let events = server.root().get("/v1/audit-events?action=token.mint").ok();
    assert_eq!(events["data"].as_array().map(Vec::len), Some(1), "one entry a minute");
    let event = &events["data"][0];
    assert_eq!((&event["actor"]["kind"], &event["actor"]["id"]), (&json!("trusted"), &json!(portal.id)));
    assert_eq!((&event["target"]["id"], &event["after"]["tokens"]), (&json!(portal.ada), &json!(7)));
    assert_eq!((&event["key_id"], &event["secret_generation"]), (&json!(portal.id), &json!(1)));
}

#[test]
fn ver_5_guessed_trusted_secrets_are_throttled() {
    let portal = Portal::new();
    let mut random = 1_u64;
    let mut fill = move |bytes: &mut [u8]| {
        for byte in bytes {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            *byte = (random >> 56) as u8;
        }
    };
    wait_until(|| {
        let id = keyward_core::token::AccessKey::generate(&mut fill);
        let guess = keyward_core::token::generate(keyward_core::token::TRUSTED_PREFIX, id, &mut fill);
        let told = mint(&portal.server.caller(guess.expose()), json!({ "username": "ada" }));
        assert!(matches!(told.status, 401 | 429), "{}", told.text);
        told.status == 429
    });
    token(&portal.backend, "ada");
}

/// Whom a secret spoke for is not lost in a crowd.
#[test]
fn imp_3_every_user_and_secret_has_an_entry_of_their_own() {
    let mut portal = Portal::new();
    let (other, other_id) = super::enable(&portal.root, json!({ "name": "other" }));
    let users: Vec<String> = (0..45).map(|n| portal.root.user(&format!("user{n}"), &[])).collect();
    for user in &users {
        for backend in [&portal.backend, &other] {
            mint(backend, json!({ "user_id": user })).expect(200);
        }
    }
    portal.server.terminate();
    let server = portal.server.restart();
    let events = server.root().get("/v1/audit-events?action=token.mint&limit=200").ok();
    let events = events["data"].as_array().expect("a list");
    assert_eq!(events.len(), users.len() * 2);
    for (user, id) in users.iter().flat_map(|user| [(user, &portal.id), (user, &other_id)]) {
        let own = |event: &&Value| event["target"]["id"] == **user && event["actor"]["id"] == **id;
        let found: Vec<_> = events.iter().filter(own).collect();
        assert_eq!(found.len(), 1, "{user} {id}");
        assert_eq!(found[0]["after"]["tokens"], 1);
    }
    let calls: std::collections::HashSet<_> = events.iter().map(|event| text(&event["request_id"])).collect();
    assert_eq!(calls.len(), events.len(), "each tells of its own call");
}
