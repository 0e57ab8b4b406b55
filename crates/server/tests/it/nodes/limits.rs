//! Limits and credits (X6) across nodes and edits.

use serde_json::json;

use crate::support::{Caller, Server, text};

/// Verifies so many times; returns how often the answer was yes.
fn spend(caller: &Caller, secret: &str, times: usize) -> usize {
    (0..times).filter(|_| caller.code(secret) == "ok").count()
}

#[test]
fn x6_az_10_credits_are_exact_across_two_nodes() {
    let server = Server::start();
    let node = server.second_node();
    let (a, b) = (server.root(), node.caller(&server.operator()));
    let key = a.key(json!({ "class": "ingest", "label": "metered", "credits": 300 }));
    let secret = text(&key["secret"]);
    let mut accepted: usize = std::thread::scope(|scope| {
        let from = |caller: &Caller| {
            let (caller, secret) = (caller.clone(), secret.clone());
            scope.spawn(move || spend(&caller, &secret, 90))
        };
        let threads = [from(&a), from(&b), from(&a), from(&b)];
        threads.into_iter().map(|thread| thread.join().expect("no panic")).sum()
    });
    assert!(accepted <= 300, "{accepted} of 300 credits were spent");
    // What one node has leased, only it can spend.
    accepted += spend(&a, &secret, 10) + spend(&b, &secret, 10);
    assert_eq!(accepted, 300);
    assert_eq!((a.code(&secret), b.code(&secret)), ("credits_exhausted".into(), "credits_exhausted".into()));
    let shown = a.get(&format!("/v1/keys/{}", text(&key["id"]))).ok();
    assert_eq!(shown["credits"], json!({ "granted": 300, "remaining": 0 }));
    // A new grant is known everywhere, and only once.
    a.patch(&format!("/v1/keys/{}", text(&key["id"])), json!({ "credits": 5 })).ok();
    std::thread::sleep(std::time::Duration::from_secs(1));
    assert_eq!(spend(&a, &secret, 8) + spend(&b, &secret, 8), 5);
}

#[test]
fn x6_the_state_of_a_limit_survives_edits_of_the_key() {
    let server = Server::start();
    let node = server.second_node();
    let (a, b) = (server.root(), node.caller(&server.operator()));
    let limits = json!([{ "name": "slow", "requests": 5, "per_seconds": 3600 }]);
    let key = a.key(json!({ "class": "ingest", "label": "limited", "limits": limits }));
    let (secret, path) = (text(&key["secret"]), format!("/v1/keys/{}", text(&key["id"])));
    assert_eq!(spend(&a, &secret, 7), 5);
    assert_eq!(a.code(&secret), "rate_limited");
    a.patch(&path, json!({ "label": "renamed" })).ok();
    assert_eq!(a.code(&secret), "rate_limited", "an edit on this node gave the limit back");
    b.patch(&path, json!({ "conditions": { "cidrs": ["0.0.0.0/0", "::/0"] } })).ok();
    std::thread::sleep(std::time::Duration::from_millis(600));
    let asked = json!({ "credential": secret, "client_ip": "192.0.2.1" });
    assert_eq!(
        a.post("/v1/verify", asked).ok()["code"],
        "rate_limited",
        "an edit on the other node gave it back"
    );
    let rotated = text(&a.post(&format!("{path}/rotate"), json!({})).ok()["secret"]);
    let asked = json!({ "credential": rotated, "client_ip": "192.0.2.1" });
    assert_eq!(a.post("/v1/verify", asked).ok()["code"], "rate_limited", "a new secret gave the limit back");
}
