//! What one node issues or ends, the other knows within a second (IMP-6, R2, R3, X7).

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{Portal, mint, token};
use crate::reliability::signal;
use crate::support::{Caller, text};

const BOUND: Duration = Duration::from_secs(1);

/// Asks until the answer is this code; it must be so within the bound, and stay so.
fn must_become(node: &Caller, token: &str, code: &str, since: Instant) {
    loop {
        let asked = since.elapsed();
        let told = node.code(token);
        if told == code {
            break;
        }
        assert!(asked <= BOUND, "still {told} after {asked:?}, not {code}");
    }
    assert_eq!(node.code(token), code, "it came back");
}

#[test]
fn x_7_imp_6_r_2_every_end_of_a_token_reaches_the_other_node() {
    let portal = Portal::new();
    let node = portal.server.second_node();
    let (a, b) = (&portal.root, &node.caller(&portal.server.operator()));
    let there = node.caller(&portal.backend.secret);
    let check = |end: &dyn Fn(&str), code: &str| {
        let got = token(&there, "ada");
        assert_eq!((b.code(&got), a.code(&got)), ("ok".into(), "ok".into()), "both know the other's tokens");
        end(&got);
        let answered = Instant::now();
        assert_eq!(a.code(&got), code);
        must_become(b, &got, code, answered);
    };
    let user = format!("/v1/users/{}", portal.ada);
    for _ in 0..3 {
        check(&|got| drop(a.post("/v1/tokens/revoke", json!({ "token": got })).expect(200)), "revoked");
        check(
            &|_| drop(a.post("/v1/tokens/revoke", json!({ "user_id": portal.ada })).expect(200)),
            "revoked",
        );
    }
    check(&|_| drop(a.post(&format!("{user}/suspend"), json!({})).expect(200)), "revoked");
    a.post(&format!("{user}/resume"), json!({})).expect(200);
    let path = format!("/v1/trusted/{}", portal.id);
    wait(|| mint(&there, json!({ "username": "ada" })).status == 200);
    check(
        &|_| drop(a.post(&format!("{path}/rotate"), json!({ "overlap_seconds": 0 })).expect(200)),
        "retired_secret",
    );
}

fn wait(condition: impl FnMut() -> bool) {
    crate::support::wait_until(condition);
}

#[test]
fn x_7_ts_6_a_disabled_secret_is_dead_on_the_other_node() {
    let portal = Portal::new();
    let node = portal.server.second_node();
    let (b, there) = (node.caller(&portal.server.operator()), node.caller(&portal.backend.secret));
    let got = token(&there, "ada");
    assert_eq!(b.code(&got), "ok");
    portal.root.post("/v1/trusted/disable", json!({ "confirm": true })).expect(200);
    let answered = Instant::now();
    must_become(&b, &got, "revoked", answered);
    wait(|| mint(&there, json!({ "username": "ada" })).status == 401);
    assert!(answered.elapsed() < BOUND * 2, "{:?}", answered.elapsed());
}

/// A node that was away when the signing key was replaced in an emergency still knows new tokens.
#[test]
fn x_7_oau_8_a_node_that_missed_a_new_signing_key_reads_it_when_it_meets_it() {
    let portal = Portal::new();
    let node = portal.server.second_node();
    let there = node.caller(&portal.server.operator());
    assert_eq!(there.code(&token(&portal.backend, "ada")), "ok");
    signal(node.pid(), "STOP");
    let list: Value = portal.root.get("/v1/signing-keys").ok();
    portal.root.delete(&format!("/v1/signing-keys/{}", text(&list["data"][0]["id"]))).expect(204);
    let fresh = token(&portal.backend, "ada");
    signal(node.pid(), "CONT");
    assert_eq!(there.code(&fresh), "ok");
}

/// Asks a node that stands still, and lets it go on once the question lies in its socket: before it can
/// have read the feed.
fn ask_on_waking(node: &Caller, pid: u32, token: &str) -> String {
    std::thread::scope(|scope| {
        let asked = scope.spawn(|| node.code(token));
        std::thread::sleep(Duration::from_millis(20));
        signal(pid, "CONT");
        asked.join().expect("no panic")
    })
}

#[test]
fn x_7_r_2_oau_8_a_node_that_stood_still_refuses_tokens_of_a_removed_key() {
    let config = format!("{}\nverify: {{max_staleness: 300ms}}", super::NAMED);
    let portal = Portal::with_config(&config);
    let node = portal.server.second_node();
    let there = node.caller(&portal.server.operator());
    for trial in 0..10 {
        let got = token(&portal.backend, "ada");
        assert_eq!(there.code(&got), "ok");
        signal(node.pid(), "STOP");
        let list: Value = portal.root.get("/v1/signing-keys").ok();
        portal.root.delete(&format!("/v1/signing-keys/{}", text(&list["data"][0]["id"]))).expect(204);
        std::thread::sleep(Duration::from_millis(350));
        assert_eq!(ask_on_waking(&there, node.pid(), &got), "invalid_key", "trial {trial}");
        wait(|| there.code(&token(&portal.backend, "ada")) == "ok");
    }
}

/// What a token says of newer facts is a reason to read, not to refuse.
#[test]
fn x_7_a_node_that_heard_less_reads_what_a_newer_token_tells_of() {
    let portal = Portal::new();
    let node = portal.server.second_node();
    let there = node.caller(&portal.server.operator());
    let path = format!("/v1/trusted/{}/rotate", portal.id);
    for trial in 0..10 {
        let backend = Caller {
            secret: text(&portal.root.post("/v1/trusted/copy", json!({})).ok()["secret"]),
            ..portal.backend.clone()
        };
        wait(|| there.code(&token(&backend, "ada")) == "ok");
        std::thread::sleep(Duration::from_millis(120));
        signal(node.pid(), "STOP");
        let fresh = if trial % 2 == 0 {
            portal.root.post("/v1/tokens/revoke", json!({ "user_id": portal.ada })).expect(200);
            token(&backend, "ada")
        } else {
            let made = portal.root.post(&path, json!({ "overlap_seconds": 0 })).expect(200).body;
            token(&Caller { secret: text(&made["secret"]), ..backend }, "ada")
        };
        assert_eq!(ask_on_waking(&there, node.pid(), &fresh), "ok", "trial {trial}");
    }
}
