//! Which secret of a key was used, as the audit log tells it (KEY-9).

use serde_json::{Value, json};

use super::{path, rows};
use crate::support::{Caller, Server, text, wait_until};

fn newest(root: &Caller) -> Value {
    root.get("/v1/audit-events?limit=1").ok()["data"][0].clone()
}

fn first_uses(root: &Caller, key: &Value) -> Vec<(Value, Value)> {
    let query = format!("/v1/audit-events?action=key.secret_used&target_id={}", text(&key["id"]));
    let events = root.get(&query).ok();
    let told =
        |event: &Value| (event["after"]["generation"].clone(), event["after"]["newest_generation"].clone());
    rows(&events).iter().rev().map(told).collect()
}

#[test]
fn key_9_aud_1_each_event_tells_by_which_secret_the_caller_came() {
    let server = Server::start();
    let root = server.root();
    let key = root.key(json!({ "class": "workspace", "label": "x" }));
    let old = server.caller(&text(&key["secret"]));
    old.user("ada", &[]);
    assert_eq!((&newest(&root)["key_id"], &newest(&root)["secret_generation"]), (&key["id"], &json!(1)));
    let rotated = old.post(&format!("{}/rotate", path(&key)), json!({})).ok();
    let event = newest(&root);
    assert_eq!((&event["action"], &event["secret_generation"]), (&json!("key.rotate"), &json!(1)));
    let hint = &key["secrets"][0]["hint"];
    assert_eq!(event["before"], json!([{ "generation": 1, "hint": hint, "retires_at": null }]));
    let after: Vec<_> =
        event["after"].as_array().expect("secrets").iter().map(|s| &s["generation"]).collect();
    assert_eq!(after, [1, 2]);
    assert!(event["after"][0]["retires_at"].is_string() && event["after"][1]["retires_at"].is_null());
    let new = server.caller(&text(&rotated["secret"]));
    for (caller, name, generation) in [(&new, "bob", 2), (&old, "eve", 1)] {
        caller.user(name, &[]);
        assert_eq!(newest(&root)["secret_generation"], generation, "{name}");
    }
    root.post(&format!("{}/deactivate", path(&key)), json!({})).expect(200);
    new.get("/v1/me").refused(401, "inactive");
    let refused = || root.get("/v1/audit-events?action=auth.refused").ok();
    wait_until(|| !rows(&refused()).is_empty());
    assert_eq!(refused()["data"][0]["secret_generation"], 2);
    let local = root.get("/v1/audit-events?actor_id=bootstrap").ok();
    assert!(rows(&local).iter().all(|event| event["secret_generation"].is_null()));
}

#[test]
fn key_9_x_7_the_first_use_of_each_secret_after_a_rotation_is_told_once() {
    let server = Server::with_config("verify: {usage_flush: 1s}");
    let root = server.root();
    let node = server.second_node();
    let other = node.caller(&root.secret);
    let key = root.key(json!({ "class": "workspace", "label": "x" }));
    let (at, old) = (path(&key), text(&key["secret"]));
    assert_eq!(root.code(&old), "ok");
    let rotated = root.post(&format!("{at}/rotate"), json!({})).ok();
    let new = text(&rotated["secret"]);
    let body = json!({ "credential": new, "client_ip": "192.0.2.7", "user_agent": "nightly/2" });
    assert_eq!(root.post("/v1/verify", body).ok()["code"], "ok");
    wait_until(|| first_uses(&root, &key) == [(json!(2), json!(2))]);
    let event = newest(&root);
    assert_eq!((&event["key_id"], &event["secret_generation"]), (&key["id"], &json!(2)));
    assert_eq!((&event["address"], &event["agent"]), (&json!("192.0.2.7"), &json!("nightly/2")));
    assert_eq!((&event["actor"]["kind"], &event["target"]["label"]), (&json!("system"), &json!("x")));
    // The old one is still in use somewhere: that shows too.
    assert_eq!(other.code(&old), "ok");
    let both = [(json!(2), json!(2)), (json!(1), json!(2))];
    wait_until(|| first_uses(&root, &key) == both);
    for secret in [&old, &new] {
        assert_eq!([root.code(secret), other.code(secret)], ["ok", "ok"]);
    }
    let mut server = server;
    drop(node);
    server.terminate();
    let server = server.restart();
    let root = server.root();
    for secret in [&old, &new] {
        assert_eq!(root.code(secret), "ok");
    }
    let third = text(&root.post(&format!("{at}/rotate"), json!({})).ok()["secret"]);
    assert_eq!(root.code(&third), "ok");
    wait_until(|| first_uses(&root, &key).len() > 2);
    assert_eq!(first_uses(&root, &key), [&both[..], &[(json!(3), json!(3))]].concat(), "each once");
    let unrotated = text(&root.get("/v1/me").ok()["key"]["id"]);
    assert_eq!(first_uses(&root, &json!({ "id": unrotated })), [], "a key of one secret tells nothing");
}
