//! Refused attempts are in the log, and cannot fill it (AUD-1).

use serde_json::{Value, json};

use crate::process::Process;
use crate::support::{Caller, Place, Server, client, text, wait_until};

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

/// Entries of an action with how many attempts they count.
fn noticed(root: &Caller, action: &str) -> (Vec<Value>, i64) {
    let list = root.get(&format!("/v1/audit-events?action={action}")).ok();
    let events = list["data"].as_array().expect("a list").clone();
    let count = events.iter().filter_map(|event| event["after"]["attempts"].as_i64()).sum();
    (events, count)
}

#[test]
fn aud_1_failed_credentials_of_strangers_are_counted_in_few_entries() {
    let mut server = Server::start();
    let root = server.root();
    let before = root.get("/v1/audit-events?limit=1").ok()["data"][0]["seq"].clone();
    let mut wrong = root.secret[..20].to_owned();
    wrong.push_str(&"7".repeat(43));
    let wrong = crate::keys::resigned(&wrong);
    let tries = [&"kwm_nothing".to_owned(), &wrong].map(|secret| server.caller(secret));
    for caller in tries.iter().cycle().take(50) {
        caller.get("/v1/me").refused(401, "invalid_key");
        caller.get("/authz").refused(401, "invalid_key");
        caller.post("/v1/verify", json!({ "credential": "x" })).refused(401, "invalid_key");
    }
    let proxied = tries[0].request("GET", "/v1/me").header("X-Forwarded-For", "203.0.113.9");
    assert_eq!(proxied.send().expect("an answer").status(), 401);
    assert_eq!(client().get(format!("{}/v1/me", server.url)).send().expect("an answer").status(), 401);
    assert_eq!(root.get("/v1/audit-events?limit=1").ok()["data"][0]["seq"], before, "told later, in one");
    server.terminate();
    let server = server.restart();
    let (events, count) = noticed(&server.root(), "auth.failed");
    assert_eq!(count, 151, "who sends no credential tries none: {events:?}");
    assert!((2..=4).contains(&events.len()), "one for each source and minute: {events:?}");
    let local = events.iter().find(|event| event["address"] == "127.0.0.1").expect("the address is told");
    assert_eq!((&local["outcome"], &local["reason"]), (&json!("refused"), &json!("invalid_key")));
    assert_eq!(
        (&local["actor"]["kind"], &local["actor"]["id"]),
        (&json!("system"), &json!("authentication"))
    );
    assert_eq!(local["target"], json!({ "kind": "source", "id": "127.0.0.1", "label": "127.0.0.1" }));
    if events.len() == 2 {
        assert_eq!(local["after"], json!({ "attempts": 150, "by": { "authz": 50, "management": 100 } }));
    }
    let far = events.iter().find(|event| event["address"] == "203.0.113.9").expect("behind the proxy");
    assert_eq!(far["after"]["attempts"], 1);
    let text = server.root().get("/v1/audit-events/export").text;
    assert!(!text.contains("kwm_nothing") && !text.contains(&wrong), "and never what was tried");
}

#[test]
fn aud_1_wrong_setup_tokens_are_told_once_there_is_a_log() {
    let place = Place::new();
    let process = Process::start(&place, "", &[]);
    let claim = |token: &str| {
        let body = json!({ "token": token, "username": "root" });
        client().post(format!("{}/v1/setup", process.url())).json(&body).send().expect("an answer")
    };
    for _ in 0..3 {
        assert_eq!(claim("kwb_guessed").status(), 401);
    }
    let token = std::fs::read_to_string(place.data().join("setup-token")).expect("a token");
    let made: Value = claim(token.trim()).json().expect("JSON");
    process.terminate();
    let server = Server::serve(place, made, "");
    let (events, count) = noticed(&server.root(), "auth.failed");
    assert_eq!((events.len(), count), (1, 3), "{events:?}");
    assert_eq!(events[0]["after"]["by"], json!({ "setup": 3 }));
    assert_eq!(events[0]["tenant_id"], server.tenant().as_str());
}

#[test]
fn aud_1_reads_of_the_log_are_one_entry_for_reader_and_minute() {
    let mut server = Server::start();
    let (reader, key) = server.root().member("auditor", &["audit:read"]);
    let auditor = server.caller(&text(&key["secret"]));
    let first = auditor.get("/v1/audit-events").ok()["data"][0].clone();
    auditor.get("/v1/audit-events?action=key.create").expect(200);
    auditor.get(&format!("/v1/audit-events/{}", text(&first["id"]))).expect(200);
    auditor.get("/v1/audit-events?nonsense=1").expect(400);
    assert_eq!(auditor.get("/v1/audit-events?action=audit.read").ok()["data"], json!([]));
    server.terminate();
    let server = server.restart();
    let (events, _) = noticed(&server.root(), "audit.read");
    let reads: Vec<_> = events.iter().filter(|event| event["actor"]["id"] == reader).collect();
    assert!((1..=2).contains(&reads.len()), "{events:?}");
    let count: i64 = reads.iter().filter_map(|event| event["after"]["reads"].as_i64()).sum();
    assert_eq!(count, 4, "{reads:?}");
    assert_eq!((&reads[0]["key_id"], &reads[0]["address"]), (&key["id"], &json!("127.0.0.1")));
    if reads.len() == 1 {
        let by = json!({ "list_audit_events": 3, "show_audit_event": 1 });
        assert_eq!(reads[0]["after"]["by"], by);
    }
}

#[test]
fn aud_1_ver_4_who_is_told_to_wait_stands_in_the_log_too() {
    let mut server = Server::start();
    crate::logins::somebody(&server, "alice", &["me:read"]);
    let body = json!({ "username": "alice", "password": "eight cold plums in a row" });
    let statuses: Vec<u16> =
        (0..8).map(|_| crate::logins::log_in(&server.url, body.clone()).status).collect();
    assert_eq!(statuses, [401, 401, 401, 401, 401, 429, 429, 429]);
    server.terminate();
    let server = server.restart();
    assert_eq!(noticed(&server.root(), "auth.failed").1, 8);
}
