//! Keys that nobody should ever use.

use serde_json::{Value, json};

use super::{events, made_up};
use crate::api::{inside, person, tenant, told};
use crate::support::{Answer, Caller, Server, client, text, wait_until};

fn trap(root: &Caller, class: &str) -> Value {
    let key = root.key(json!({ "class": class, "label": format!("{class} trap"), "canary": true }));
    assert_eq!(key["canary"], true);
    key
}

/// An answer of the API or of a gateway's door, without what differs between any two.
fn asked(server: &Server, path: &str, secret: &str) -> (u16, Value) {
    let request =
        client().get(format!("{}{path}", server.url)).bearer_auth(secret).header("User-Agent", "thief/1");
    told(&Answer::read(request.send().expect("an answer")))
}

#[test]
fn leak_a_canary_is_refused_as_any_wrong_secret_and_told_within_seconds() {
    let server = Server::start();
    let root = server.root();
    let key = trap(&root, "workspace");
    let secret = text(&key["secret"]);
    let unknown = made_up("kww", "0000000000000000");
    for path in ["/v1/me", "/authz"] {
        let refused = asked(&server, path, &secret);
        assert_eq!((refused.0, &refused.1["code"]), (401, &json!("invalid_key")));
        assert_eq!(refused, asked(&server, path, &unknown), "{path}");
    }
    let verify = |secret: &str| {
        root.post("/v1/verify", json!({ "credential": secret, "client_ip": "192.0.2.9" })).ok()
    };
    assert_eq!(verify(&secret), verify(&unknown));
    let login = json!({ "username": key["access_key"], "password": secret });
    Answer::read(
        client().post(format!("{}/v1/auth/login", server.url)).json(&login).send().expect("an answer"),
    )
    .expect(401);
    wait_until(|| !events(&root, "key.canary_used").is_empty());
    let event = events(&root, "key.canary_used").remove(0);
    assert_eq!((&event["target"]["id"], &event["outcome"]), (&key["id"], &json!("refused")));
    assert_eq!((&event["actor"]["id"], &event["key_id"]), (&json!("canary"), &key["id"]));
    assert_eq!((&event["address"], &event["agent"]), (&json!("127.0.0.1"), &json!("thief/1")));
    assert!(event["after"]["attempts"].as_u64().is_some_and(|attempts| (1..=4).contains(&attempts)));
    let shown = root.get(&format!("/v1/keys/{}", text(&key["id"]))).ok();
    assert_eq!((&shown["last_used_at"], &shown["canary"]), (&Value::Null, &json!(true)));
    assert!(!event.to_string().contains(&secret[20..60]));
}

#[test]
fn leak_r_10_many_uses_of_a_canary_make_few_entries_and_lose_no_count() {
    let mut server = Server::start();
    let secret = text(&trap(&server.root(), "ingest")["secret"]);
    let many: Vec<_> =
        (0..100).map(|at| json!({ "credential": secret, "client_ip": format!("192.0.2.{at}") })).collect();
    for _ in 0..5 {
        server.root().post("/v1/verify/batch", json!({ "requests": many })).expect(200);
    }
    server.terminate();
    let server = server.restart();
    let told = events(&server.root(), "key.canary_used");
    assert!((1..=2).contains(&told.len()), "{}", told.len());
    let attempts: u64 = told.iter().filter_map(|event| event["after"]["attempts"].as_u64()).sum();
    assert_eq!(attempts, 500);
    let newest = told.last().expect("one");
    assert_eq!(newest["after"]["sources"].as_array().map(Vec::len), Some(10));
}

#[test]
fn leak_az_11_a_canary_administers_nothing() {
    let server = Server::start();
    let root = server.root();
    let (id, admin) = tenant(&server, "acme");
    person(&server, &admin, "mia", &["**:*"]);
    trap(&admin, "workspace");
    let own = text(&admin.get("/v1/me").ok()["key"]["id"]);
    inside(&root, &id, "POST", &format!("/v1/keys/{own}/revoke"), &json!({})).expect(200);
    let bar =
        || inside(&root, &id, "PATCH", "/v1/policies", &json!({ "switches": { "member_keys": false } }));
    bar().refused(409, "last_administrator");
    inside(&root, &id, "POST", "/v1/keys", &json!({ "class": "workspace", "label": "plain" })).expect(201);
    bar().expect(200);
}

#[test]
fn leak_a_canary_stays_one_until_it_ends() {
    let server = Server::start();
    let root = server.root();
    let key = trap(&root, "workspace");
    let path = format!("/v1/keys/{}", text(&key["id"]));
    root.patch(&path, json!({ "canary": false })).refused(400, "malformed_request");
    let rotated = root.post(&format!("{path}/rotate"), json!({})).ok();
    assert_eq!(root.code(&text(&rotated["secret"])), "invalid_key", "every secret of it is a trap");
    root.post(&format!("{path}/deactivate"), json!({})).expect(200);
    assert_eq!(root.code(&text(&key["secret"])), "inactive", "switched off, it is as any other");
    root.post(&format!("{path}/revoke"), json!({})).expect(200);
    assert_eq!(root.code(&text(&key["secret"])), "revoked");
    let plain = root.key(json!({ "class": "workspace", "label": "plain" }));
    assert_eq!((&plain["canary"], root.code(&text(&plain["secret"]))), (&json!(false), "ok".to_owned()));
}
