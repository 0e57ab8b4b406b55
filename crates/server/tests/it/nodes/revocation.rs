//! What one node writes, the other knows within a second (X7, R2, R3).

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{Caller, Server, text};

/// The bound on every other node.
const BOUND: Duration = Duration::from_secs(1);
const TRIALS: usize = 20;

/// Asks until the answer is this code; it must be so within the bound, and stay so.
fn must_become(node: &Caller, question: &Value, code: &str, since: Instant) -> Duration {
    loop {
        let asked = since.elapsed();
        let answer = node.post("/v1/verify", question.clone()).ok();
        if answer["code"] == code {
            break;
        }
        assert!(asked <= BOUND, "still {} after {asked:?}, not {code}", answer["code"]);
    }
    let took = since.elapsed();
    for _ in 0..5 {
        assert_eq!(node.post("/v1/verify", question.clone()).ok()["code"], code, "it came back");
    }
    took
}

fn ask(secret: &str) -> Value {
    json!({ "credential": secret })
}

#[test]
fn x7_r2_ver_9_a_new_key_works_and_a_revoked_one_ends_on_every_node() {
    let server = Server::start();
    let node = server.second_node();
    let (a, b) = (server.root(), node.caller(&server.operator()));
    let mut slowest = Duration::ZERO;
    for trial in 0..TRIALS {
        let (from, to) = if trial % 2 == 0 { (&a, &b) } else { (&b, &a) };
        let key = from.key(json!({ "class": "ingest", "label": format!("trial {trial}") }));
        let secret = text(&key["secret"]);
        // At once, on the node that has never heard of it.
        assert_eq!((to.code(&secret), from.code(&secret)), ("ok".into(), "ok".into()));
        from.post(&format!("/v1/keys/{}/revoke", text(&key["id"])), json!({ "reason": "trial" })).ok();
        let answered = Instant::now();
        assert_eq!(from.code(&secret), "revoked", "the node that revoked it accepts it");
        slowest = slowest.max(must_become(to, &ask(&secret), "revoked", answered));
    }
    eprintln!("the slowest of {TRIALS} revocations reached the other node in {slowest:?}");
}

#[test]
fn x7_r3_a_suspended_or_deleted_user_ends_on_every_node() {
    let server = Server::start();
    let node = server.second_node();
    let (a, b) = (server.root(), node.caller(&server.operator()));
    for trial in 0..5 {
        let (user, key) = a.member(&format!("user-{trial}"), &[]);
        let secret = text(&key["secret"]);
        assert_eq!((b.code(&secret), a.code(&secret)), ("ok".into(), "ok".into()));
        a.post(&format!("/v1/users/{user}/suspend"), json!({})).ok();
        let answered = Instant::now();
        assert_eq!(a.code(&secret), "owner_suspended");
        must_become(&b, &ask(&secret), "owner_suspended", answered);
        b.post(&format!("/v1/users/{user}/resume"), json!({})).ok();
        let answered = Instant::now();
        assert_eq!(b.code(&secret), "ok");
        must_become(&a, &ask(&secret), "ok", answered);
        b.delete(&format!("/v1/users/{user}"));
        let answered = Instant::now();
        assert_ne!(b.code(&secret), "ok");
        let code = b.code(&secret);
        must_become(&a, &ask(&secret), &code, answered);
    }
}

#[test]
fn x7_r3_x4_key_11_a_changed_role_and_policy_count_on_every_node() {
    let server = Server::start();
    let node = server.second_node();
    let (a, b) = (server.root(), node.caller(&server.operator()));
    let role = a.role("readers", &["me:read", "reports:read"]);
    let user = a.user("reader", &[&role]);
    let key = a.key(json!({ "class": "member", "owner_id": user, "label": "reader" }));
    let question = json!({ "credential": key["secret"], "rights": ["reports:read"] });
    let code = |caller: &Caller| text(&caller.post("/v1/verify", question.clone()).ok()["code"]);
    let policy = |caller: &Caller, on: bool| {
        caller.patch("/v1/policies", json!({ "switches": { "member_keys": on } })).ok();
        Instant::now()
    };
    for _ in 0..5 {
        assert_eq!((code(&b), code(&a)), ("ok".into(), "ok".into()));
        a.patch(&format!("/v1/roles/{role}"), json!({ "rights": ["me:read"] })).ok();
        let answered = Instant::now();
        assert_eq!(code(&a), "insufficient_rights");
        must_become(&b, &question, "insufficient_rights", answered);
        b.patch(&format!("/v1/roles/{role}"), json!({ "rights": ["me:read", "reports:read"] })).ok();
        must_become(&a, &question, "ok", Instant::now());
        let answered = policy(&a, false);
        assert_eq!(code(&a), "class_disabled");
        must_become(&b, &question, "class_disabled", answered);
        let answered = policy(&b, true);
        assert_eq!(code(&b), "ok");
        must_become(&a, &question, "ok", answered);
    }
}

#[test]
fn x7_r3_a_suspended_tenant_ends_on_every_node() {
    let server = Server::start();
    let node = server.second_node();
    let (a, b) = (server.root(), node.caller(&server.operator()));
    let tenant = text(&a.post("/v1/tenants", json!({ "slug": "acme" })).expect(201).body["id"]);
    let inside = a.request("POST", "/v1/keys").header("x-keyward-tenant", "acme");
    let key = inside.json(&json!({ "class": "ingest", "label": "acme's" })).send().expect("an answer");
    let secret = text(&crate::support::Answer::read(key).ok()["secret"]);
    assert_eq!((b.code(&secret), a.code(&secret)), ("ok".into(), "ok".into()));
    a.post(&format!("/v1/tenants/{tenant}/suspend"), json!({ "reason": "unpaid" })).ok();
    let answered = Instant::now();
    assert_eq!(a.code(&secret), "tenant_suspended");
    must_become(&b, &ask(&secret), "tenant_suspended", answered);
}
