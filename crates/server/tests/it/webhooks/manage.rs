//! `/v1/webhooks`: who may do what to them.

use serde_json::{Value, json};

use super::{ALLOW, actions, bring_about, deliveries, hook, path, scene, wait_for};
use crate::api::{all, worker};
use crate::logins::{PASSWORD, session, set_password};
use crate::support::{Answer, Server, text};

#[test]
fn out_1_a_webhook_from_beginning_to_end() {
    let (server, receiver) = scene();
    let root = server.root();
    let body =
        json!({ "url": receiver.url("/ok"), "events": ["key.*", "user.delete"], "description": "Chat" });
    let tried = root.post("/v1/webhooks?validate_only=true", body.clone()).expect(201).body;
    assert_eq!((&tried["secret"], &tried["secret_state"]), (&Value::Null, &json!("not_made")));
    assert!(all(&root, "/v1/webhooks").is_empty());
    let answer = root.post("/v1/webhooks", body).expect(201);
    let made = answer.body.clone();
    assert_eq!(answer.header("location"), path(&made));
    let shown = root.get(&path(&made)).expect(200);
    assert_eq!(shown.header("etag"), "\"1\"");
    let mut rest = made.clone();
    for name in ["secret", "secret_state"] {
        rest.as_object_mut().expect("an object").remove(name);
    }
    assert_eq!(shown.body, rest, "the same but for the secret");
    assert_eq!(all(&root, "/v1/webhooks"), [rest]);

    let edit = |tag: &str, patch: Value| {
        let request = root.request("PATCH", &path(&made)).header("if-match", tag).json(&patch);
        Answer::read(request.send().expect("an answer"))
    };
    edit("\"7\"", json!({ "description": null })).refused(412, "stale_version");
    let edited = edit("\"1\"", json!({ "description": null, "events": ["*"] })).ok();
    assert_eq!(
        (&edited["description"], &edited["events"], &edited["version"]),
        (&json!(""), &json!(["*"]), &json!(2))
    );
    // Off: nothing is sent but tests, which take the same way at once.
    root.patch(&path(&made), json!({ "enabled": false })).expect(200);
    bring_about(&root, "unheard");
    let test = root.post(&format!("{}/test", path(&made)), json!({})).ok();
    let sent = receiver.wait_for("/ok", 1).remove(0).json();
    assert_eq!((&sent["type"], &sent["data"]["request_id"]), (&json!("webhook.test"), &test["request_id"]));
    let row = wait_for(&root, &made, |row| row["state"] == "delivered");
    assert_eq!((&row["event"], &row["request_id"]), (&json!("webhook.test"), &test["request_id"]));
    root.post(&format!("{}/deliveries/{}/replay", path(&made), text(&row["id"])), json!({})).expect(200);
    let again = receiver.wait_for("/ok", 2);
    assert_eq!(again[0].id(), again[1].id());
    let expected = ["webhook.replay", "webhook.test", "webhook.edit", "webhook.edit", "webhook.create"];
    assert_eq!(actions(&root, &made), expected);
    assert_eq!(deliveries(&root, &made).len(), 1, "the unheard one is not kept for it");

    root.delete(&path(&made)).expect(204);
    root.get(&path(&made)).refused(404, "not_found");
    root.get(&format!("{}/deliveries", path(&made))).refused(404, "not_found");
    assert_eq!(actions(&root, &made)[0], "webhook.delete");
    for left in ["DELETE FROM webhook_secrets", "DELETE FROM webhook_deliveries", "DELETE FROM webhooks"] {
        assert_eq!(server.place.sql(left), 0, "nothing of it is left");
    }
}

#[test]
fn out_4_a_test_that_fails_is_tried_once() {
    let (server, receiver) = scene();
    let root = server.root();
    let made = hook(&root, &receiver.url("/fail"), &["key.create"]);
    root.post(&format!("{}/test", path(&made)), json!({})).expect(200);
    let row = wait_for(&root, &made, |row| row["state"] == "failed");
    assert_eq!((&row["attempts"], &row["status_code"]), (&json!(1), &json!(500)));
    // However often, it says nothing of the events that matter.
    let replay = format!("{}/deliveries/{}/replay", path(&made), text(&row["id"]));
    root.post(&replay, json!({})).expect(200);
    receiver.wait_for("/fail", 2);
    wait_for(&root, &made, |row| row["state"] == "failed");
    let after = root.get(&path(&made)).ok();
    assert_eq!((&after["enabled"], &after["failing_since"]), (&json!(true), &Value::Null));
}

#[test]
fn az_1_rights_and_bounds_of_webhooks() {
    let server = Server::with_config(ALLOW);
    let root = server.root();
    let url = "http://127.0.0.1:9/";
    let made = hook(&root, url, &["key.create"]);
    let reader = worker(&server, &root, "reader", &["webhooks:read"]);
    let writer = worker(&server, &root, "writer", &["webhooks:write", "audit:read"]);
    let body = json!({ "url": url, "events": ["*"] });
    reader.post("/v1/webhooks", body.clone()).refused(403, "insufficient_rights");
    reader.patch(&path(&made), json!({ "enabled": false })).refused(403, "insufficient_rights");
    reader.post(&format!("{}/rotate-secret", path(&made)), json!({})).refused(403, "insufficient_rights");
    reader.post(&format!("{}/test", path(&made)), json!({})).refused(403, "insufficient_rights");
    reader.delete(&path(&made)).refused(403, "insufficient_rights");
    assert_eq!(reader.get(&path(&made)).ok()["version"], 1);
    writer.get("/v1/webhooks").refused(403, "insufficient_rights");

    let refused = |events: Value| root.post("/v1/webhooks", json!({ "url": url, "events": events }));
    refused(json!([])).refused(422, "invalid_value");
    let unknown = refused(json!(["key.*", "key.creat"])).refused(422, "invalid_value");
    assert_eq!(unknown.body["errors"][0]["pointer"], "/events/1");
    assert!(text(&unknown.body["errors"][0]["detail"]).contains("did you mean key.create?"));
    root.patch(&path(&made), json!({ "events": ["keys.*"] })).refused(422, "invalid_value");
    root.post("/v1/webhooks", json!({ "url": url, "events": ["*"], "secret": "mine" })).expect(400);
    root.post("/v1/webhooks", json!({ "url": url, "events": ["*"], "description": "a\nb" })).expect(422);
    for _ in 1..20 {
        writer.post("/v1/webhooks", body.clone()).expect(201);
    }
    let full = writer.post("/v1/webhooks", body.clone()).refused(422, "quota_exceeded");
    assert_eq!(full.body["policy"], "max_webhooks");
    assert_eq!(all(&root, "/v1/webhooks").len(), 20);
    root.delete(&path(&made)).expect(204);
    writer.post("/v1/webhooks", body).expect(201);
}

#[test]
fn ses_6_what_leads_events_elsewhere_asks_for_another_proof() {
    let server = Server::with_config(ALLOW);
    let root = server.root();
    let role = root.role("of ada", &["webhooks:*", "audit:read"]);
    set_password(&root, &root.user("ada", &[&role]), PASSWORD);
    let ada = session(&server.url, "ada");
    let url = "http://127.0.0.1:9/";
    let made = hook(&ada, url, &["key.create"]);
    server.place.sql("UPDATE sessions SET stepped_up_at = stepped_up_at - 601000");
    let server = server.kill_and_restart();
    let stale = server.caller(&ada.secret);
    let before = stale.get(&path(&made)).ok();
    let body = json!({ "url": url, "events": ["*"] });
    stale.post("/v1/webhooks", body).refused(403, "step_up_required");
    stale.patch(&path(&made), json!({ "url": "http://127.0.0.1:10/" })).refused(403, "step_up_required");
    stale.post(&format!("{}/rotate-secret", path(&made)), json!({})).refused(403, "step_up_required");
    assert_eq!(stale.get(&path(&made)).ok(), before);
    assert_eq!(all(&stale, "/v1/webhooks").len(), 1);
    // What leads nothing elsewhere does not.
    stale.patch(&path(&made), json!({ "enabled": false })).expect(200);
    let fresh = stale.post("/v1/auth/step-up", json!({ "password": PASSWORD })).ok();
    let fresh = server.caller(&text(&fresh["token"]));
    fresh.patch(&path(&made), json!({ "url": "http://127.0.0.1:10/" })).expect(200);
}

#[test]
fn out_1_az_5_nobody_has_sent_what_they_may_not_read() {
    let (server, receiver) = scene();
    let root = server.root();
    let blind = worker(&server, &root, "blind", &["webhooks:*"]);
    let reader = worker(&server, &root, "reader", &["webhooks:*", "audit:read"]);
    let body = json!({ "url": receiver.url("/ok"), "events": ["key.*"] });
    for mode in ["", "?validate_only=true"] {
        let refused = blind.post(&format!("/v1/webhooks{mode}"), body.clone());
        let refused = refused.refused(403, "rights_exceed_caller");
        assert!(text(&refused.body["detail"]).contains("audit:read"), "{}", refused.text);
    }
    assert!(all(&root, "/v1/webhooks").is_empty(), "none was made");
    let made = reader.post("/v1/webhooks", body).expect(201).body;
    let before = root.get(&path(&made)).ok();
    for patch in [json!({ "events": ["*"] }), json!({ "url": receiver.url("/other") })] {
        blind.patch(&path(&made), patch).refused(403, "rights_exceed_caller");
    }
    assert_eq!(root.get(&path(&made)).ok(), before, "what is refused changes nothing");
    blind.patch(&path(&made), json!({ "description": "Chat", "enabled": false })).expect(200);
    blind.patch(&path(&made), json!({ "enabled": true })).refused(403, "rights_exceed_caller");
    assert_eq!(root.get(&path(&made)).ok()["enabled"], false);
    reader.patch(&path(&made), json!({ "enabled": true, "events": ["user.*"] })).expect(200);
    blind.delete(&path(&made)).expect(204);
}
