//! Tokens where keys are verified too: `/v1/verify`, `/authz`, callers (OAU-6, IMP-2, IMP-3).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::{Portal, mint, token};
use crate::support::{Answer, client, text};

#[test]
fn imp_3_verify_tells_principal_actor_and_rights_of_a_token() {
    let portal = Portal::new();
    let got = mint(&portal.backend, json!({ "username": "ada" })).ok();
    let told = portal.ask(&text(&got["token"]), &["reports:read"]);
    assert_eq!((&told["valid"], &told["code"], &told["key"]), (&json!(true), &json!("ok"), &Value::Null));
    assert_eq!(
        (&told["principal"]["id"], &told["principal"]["username"]),
        (&json!(portal.ada), &json!("ada"))
    );
    assert_eq!(
        (&told["token"]["client_id"], &told["token"]["actor"]),
        (&json!(portal.id), &json!(portal.id))
    );
    assert_eq!((&told["token"]["id"], &told["expires_at"]), (&got["token_id"], &got["expires_at"]));
    assert_eq!(told["rights"], got["rights"]);
    let body = json!({ "credential": got["token"], "rights": ["secrets:read"], "explain": true });
    let told = portal.root.post("/v1/verify", body).ok();
    assert_eq!(told["code"], "insufficient_rights");
    let failed: Vec<_> =
        told["explain"].as_array().expect("steps").iter().filter(|step| step["passed"] == false).collect();
    assert_eq!(failed.len(), 1, "{failed:?}");
    let looked = portal.backend.post("/v1/trusted/tokens/validate", json!({ "token": got["token"] })).ok();
    assert_eq!((&looked["valid"], &looked["principal"]["id"]), (&json!(true), &json!(portal.ada)));
    let batch = json!({ "requests": [{ "credential": got["token"] }, { "credential": "a.b.c" }] });
    let batch = portal.root.post("/v1/verify/batch", batch).ok();
    assert_eq!(
        (&batch["results"][0]["code"], &batch["results"][1]["code"]),
        (&json!("ok"), &json!("invalid_key"))
    );
}

#[test]
fn imp_3_a_gateway_hears_whom_a_token_speaks_for_and_who_asked() {
    let portal = Portal::new();
    let got = token(&portal.backend, "ada");
    let ask = |right: &str| {
        let request = client().get(format!("{}/authz", portal.server.url)).bearer_auth(&got);
        Answer::read(request.header("x-keyward-right", right).send().expect("an answer"))
    };
    let passed = ask("models/emea:read").expect(200);
    assert_eq!((passed.header("x-auth-subject"), passed.header("x-auth-user")), (&*portal.ada, "ada"));
    assert_eq!((passed.header("x-auth-actor"), passed.header("x-auth-key-id")), (&*portal.id, &*portal.id));
    assert_eq!(passed.header("x-auth-rights"), "me:read models/**:read reports:read");
    assert!(passed.header("x-auth-expires-at").ends_with('Z') && passed.text.is_empty());
    let refused = ask("secrets:read").refused(403, "insufficient_rights");
    assert_eq!(refused.header("x-auth-subject"), "");
    portal.root.post(&format!("/v1/users/{}/suspend", portal.ada), json!({})).expect(200);
    assert_eq!(ask("models/emea:read").refused(401, "revoked").header("x-auth-user"), "");
}

/// Every way to alter a token, seen from outside.
#[test]
fn oau_6_tampered_tokens_are_refused_on_every_surface() {
    let portal = Portal::new();
    let good = token(&portal.backend, "ada");
    let other = Portal::new();
    let parts: Vec<&str> = good.split('.').collect();
    let (header, payload, signature) = (parts[0], parts[1], parts[2]);
    let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let decode = |text: &str| -> Value {
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).expect("base64")).expect("JSON")
    };
    let with_header = |name: &str, value: Value| {
        let mut changed = decode(header);
        changed[name] = value;
        format!("{}.{payload}.{signature}", encode(&changed))
    };
    let mut bad: Vec<String> = (0..good.len()).step_by(11).map(|cut| good[..cut].to_owned()).collect();
    for (name, value) in decode(payload).as_object().expect("claims") {
        let mut changed = decode(payload);
        changed[name] = match value {
            Value::Number(number) => (number.as_i64().expect("a number") + 1).into(),
            _ => json!("other"),
        };
        bad.push(format!("{header}.{}.{signature}", encode(&changed)));
    }
    let kid = decode(header)["kid"].clone();
    let set = client().get(format!("{}/.well-known/jwks.json", portal.server.url)).send().expect("an answer");
    let public = URL_SAFE_NO_PAD.decode(text(&Answer::read(set).ok()["keys"][0]["x"])).expect("base64");
    let hmac = encode(&json!({ "alg": "HS256", "typ": "at+jwt", "kid": kid }));
    let mac = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, &public);
    let tag = aws_lc_rs::hmac::sign(&mac, format!("{hmac}.{payload}").as_bytes());
    bad.push(format!("{hmac}.{payload}.{}", URL_SAFE_NO_PAD.encode(tag)));
    bad.extend([
        with_header("alg", json!("none")),
        format!("{}.{payload}.", encode(&json!({ "alg": "none", "typ": "at+jwt", "kid": kid }))),
        with_header("kid", json!("AAAAAAAAAAAAAAAA")),
        with_header("typ", json!("JWT")),
        with_header("crit", json!(["exp"])),
        with_header("jku", json!("https://evil.example/jwks.json")),
        format!("{header}.{payload}."),
        format!("{header}.{payload}.{}", "A".repeat(86)),
        format!("{good}="),
        token(&other.backend, "ada"),
    ]);
    assert_eq!(portal.ask(&good, &[])["code"], "ok");
    for forged in &bad {
        let told = portal.ask(forged, &[]);
        assert!(told["code"] == "invalid_key" && told["principal"].is_null(), "{forged}: {told}");
    }
    for forged in bad.iter().rev().take(12) {
        let authz = client()
            .get(format!("{}/authz", portal.server.url))
            .bearer_auth(forged)
            .send()
            .expect("an answer");
        assert_eq!((authz.status().as_u16(), authz.headers()["x-auth-user"].len()), (401, 0), "{forged}");
        portal.server.caller(forged).get("/v1/me").refused(401, "invalid_key");
    }
    assert_eq!(portal.ask(&good, &[])["code"], "ok");
}

#[test]
fn oau_7_a_token_ends_after_its_leeway() {
    let portal = Portal::new();
    let got = text(&mint(&portal.backend, json!({ "username": "ada", "ttl_seconds": 1 })).ok()["token"]);
    assert_eq!(portal.ask(&got, &[])["code"], "ok");
    // The row: its end and the leeway of five seconds, no longer.
    std::thread::sleep(std::time::Duration::from_millis(2_200));
    assert_eq!(portal.ask(&got, &[])["code"], "ok", "within the leeway");
    std::thread::sleep(std::time::Duration::from_millis(5_000));
    assert_eq!(portal.ask(&got, &[])["code"], "expired");
    let ended = portal.backend.post("/v1/trusted/tokens/revoke", json!({ "token": got })).expect(200);
    assert_eq!(ended.body["revoked"], false, "it is over anyway");
    assert_eq!(portal.root.get("/v1/audit-events?action=token.revoke").ok()["data"], json!([]));
    portal.server.caller(&got).get("/v1/me").refused(401, "expired");
}

#[test]
fn oau_8_tokens_of_a_removed_key_are_refused_at_once() {
    let portal = Portal::new();
    let got = token(&portal.backend, "ada");
    assert_eq!(portal.ask(&got, &[])["code"], "ok");
    let kid = text(&portal.root.get("/v1/signing-keys").ok()["data"][0]["id"]);
    portal.root.delete(&format!("/v1/signing-keys/{kid}")).expect(204);
    assert_eq!(portal.ask(&got, &[])["code"], "invalid_key", "also where its signature was remembered");
    assert_eq!(portal.ask(&token(&portal.backend, "ada"), &[])["code"], "ok");
}

#[test]
fn oau_8_tokens_outlive_a_rotation_and_a_restart() {
    let portal = Portal::with_config(&format!("{}\ntokens: {{jwks_cache: 1s}}", super::NAMED));
    let got = token(&portal.backend, "ada");
    portal.root.post("/v1/signing-keys/rotate", json!({})).expect(200);
    let kid = |token: &str| token.split('.').next().expect("a header").to_owned();
    assert_eq!(kid(&token(&portal.backend, "ada")), kid(&got), "published, but not signing yet");
    crate::support::wait_until(|| kid(&token(&portal.backend, "ada")) != kid(&got));
    assert_eq!(portal.ask(&got, &[])["code"], "ok");
    let server = portal.server.kill_and_restart();
    assert_eq!(server.root().code(&got), "ok");
}
