//! Refused attempts are in the log, and cannot fill it (AUD-1).

use serde_json::{Value, json};

use crate::support::{Caller, Server, client, text, wait_until};

fn refused(root: &Caller) -> Vec<Value> {
    let list = root.get("/v1/audit-events?outcome=refused&limit=200").ok();
    list["data"].as_array().expect("a list").clone()
}

#[test]
fn aud_1_refused_attempts_name_who_what_and_why() {
    let server = Server::start();
    let root = server.root();
    let (user, key) = root.member("ada", &["groups:write"]);
    let ada = server.caller(&text(&key["secret"]));
    let before = root.get("/v1/users").ok()["data"].as_array().expect("a list").len();
    ada.post("/v1/users", json!({ "username": "eve" })).refused(403, "insufficient_rights");
    let administrators = &root.get("/v1/groups").ok()["data"][0];
    let path = format!("/v1/groups/{}/members/{user}", text(&administrators["id"]));
    ada.put(&path).refused(403, "above_caller");
    ada.post("/v1/verify", json!({ "credential": "x" })).refused(403, "insufficient_rights");
    root.post(&format!("/v1/keys/{}/deactivate", text(&key["id"])), json!({})).expect(200);
    ada.get("/v1/me").refused(401, "inactive");
    wait_until(|| refused(&root).len() == 4);
    let events = refused(&root);
    for (action, reason) in [
        ("create_user", "insufficient_rights"),
        ("add_group_member", "above_caller"),
        ("verify", "insufficient_rights"),
        ("auth.refused", "inactive"),
    ] {
        let event = events.iter().find(|event| event["action"] == action);
        let event = event.unwrap_or_else(|| panic!("{action} is not in {events:?}"));
        assert_eq!((&event["actor"]["id"], &event["key_id"]), (&json!(user), &key["id"]), "{action}");
        assert_eq!(
            (&event["reason"], &event["after"]),
            (&json!(reason), &json!({ "attempts": 1 })),
            "{action}"
        );
        assert_eq!(event["address"], "127.0.0.1");
        assert!(!text(&event["request_id"]).is_empty());
    }
    assert_eq!(root.get("/v1/users").ok()["data"].as_array().expect("a list").len(), before);
}

#[test]
fn aud_1_500_refusals_are_few_entries_with_a_count() {
    let mut server = Server::start();
    let (_, key) = server.root().member("ada", &[]);
    let agent = client();
    for _ in 0..500 {
        let request = agent.get(format!("{}/v1/users", server.url)).bearer_auth(text(&key["secret"]));
        assert_eq!(request.send().expect("an answer").status(), 403);
    }
    server.terminate();
    let server = server.restart();
    let events = refused(&server.root());
    let attempts: i64 =
        events.iter().map(|event| event["after"]["attempts"].as_i64().expect("a count")).sum();
    assert_eq!(attempts, 500, "none is forgotten");
    assert!(events.len() <= 20, "one entry for each five seconds, not {}", events.len());
    assert_eq!(server.root().get("/v1/audit-events/verification").ok()["ok"], true);
}

#[test]
fn aud_1_entries_per_minute_are_limited_and_the_rest_is_counted() {
    let mut server = Server::with_config("audit: {max_refusals_per_minute: 3}");
    let (_, key) = server.root().member("ada", &[]);
    let ada = server.caller(&text(&key["secret"]));
    for path in ["users", "groups", "roles", "policies", "audit-events", "tenants", "log-levels"] {
        ada.get(&format!("/v1/{path}")).expect(403);
        ada.get(&format!("/v1/{path}")).expect(403);
    }
    server.terminate();
    let server = server.restart();
    let events = refused(&server.root());
    let (beyond, named): (Vec<_>, Vec<_>) =
        events.iter().partition(|event| event["reason"] == "beyond_limit");
    let count =
        |events: &[&Value]| -> i64 { events.iter().filter_map(|e| e["after"]["attempts"].as_i64()).sum() };
    assert_eq!(count(&named) + count(&beyond), 14, "{events:?}");
    // A run that crosses the minute has the limit twice.
    assert!((3..=6).contains(&named.len()) && (1..=2).contains(&beyond.len()), "{events:?}");
}

#[test]
fn aud_1_strangers_are_counted_and_leave_no_entry() {
    let mut server = Server::start();
    let before = server.root().get("/v1/audit-events?limit=1").ok()["data"][0]["seq"].clone();
    for number in 0..50 {
        server.caller(&format!("kwm_nothing{number}")).get("/v1/me").refused(401, "invalid_key");
    }
    server.terminate();
    let server = server.restart();
    assert_eq!(server.root().get("/v1/audit-events?limit=1").ok()["data"][0]["seq"], before);
}
