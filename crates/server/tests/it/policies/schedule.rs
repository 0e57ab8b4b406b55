//! Drafts that are applied at a moment.

use serde_json::{Value, json};

use super::draft;
use crate::api::{all, built_in, inside, person, tenant, worker};
use crate::logins::{ask_for_no_factor, session, somebody};
use crate::notifications::kinds;
use crate::support::{Caller, Server, text, wait_until};

/// A day from now.
fn later() -> Value {
    let at = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(24);
    json!({ "starts_at": at.to_string() })
}

/// The moment has come.
fn come_due(server: &Server) {
    assert!(server.place.sql("UPDATE policy_drafts SET starts_at = 1 WHERE state = 'scheduled'") > 0);
}

fn state(caller: &Caller, path: &str) -> String {
    text(&caller.get(path).ok()["state"])
}

#[test]
fn x_5_a_scheduled_draft_is_applied_once_by_whichever_node_as_who_scheduled_it() {
    let server = Server::start();
    let _node = server.second_node();
    let root = server.root();
    let ada = worker(&server, &root, "ada", &["policies:*", "audit:read"]);
    let drafted = draft(&ada, json!({ "max_keys_per_user": 6 }));
    let me = ada.get("/v1/me").ok()["key"]["id"].clone();
    let scheduled = ada.post(&format!("{drafted}/apply"), later()).ok();
    assert_eq!((&scheduled["state"], &scheduled["scheduled_by"]), (&json!("scheduled"), &me));
    assert_eq!(root.get("/v1/policies").ok()["version"], 1, "not before its time");
    come_due(&server);
    wait_until(|| state(&root, &drafted) != "scheduled");
    let done = root.get(&drafted).ok();
    assert_eq!((&done["state"], &done["applied_version"]), (&json!("applied"), &json!(2)));
    assert_eq!(root.get("/v1/policies").ok()["max_keys_per_user"], 6);
    let event = root.get("/v1/audit-events?action=policy.apply").ok();
    assert_eq!(event["data"].as_array().map(Vec::len), Some(1));
    assert_eq!((&event["data"][0]["actor"]["id"], &event["data"][0]["key_id"]), (&me, &me));
    assert_eq!(root.get("/v1/policies/versions/2").ok()["applied_by"], me);
}

#[test]
fn x_5_what_is_deleted_or_rebased_is_not_applied_and_times_are_checked() {
    let server = Server::start();
    let root = server.root();
    let (deleted, rebased) = (draft(&root, json!({})), draft(&root, json!({ "max_keys_per_user": 6 })));
    for (at, code) in [
        ("2020-01-01T00:00:00Z", "out_of_range"),
        ("2999-01-01T00:00:00Z", "out_of_range"),
        ("x", "bad_time"),
    ] {
        let refused = root.post(&format!("{deleted}/apply"), json!({ "starts_at": at }));
        assert_eq!(crate::keys::fault(&refused.refused(422, "invalid_value")), ("/starts_at", code));
    }
    for path in [&deleted, &rebased] {
        root.post(&format!("{path}/apply"), later()).expect(200);
    }
    come_due(&server);
    // Quicker than the job, or the job was first; then nothing is to be seen here.
    let done = root.delete(&deleted).status;
    assert!([204, 409].contains(&done));
    let next = draft(&root, json!({ "max_keys_per_user": 7 }));
    root.post(&format!("{next}/apply"), later()).expect(200);
    let after = root.post(&format!("{next}/rebase"), json!({})).ok();
    assert_eq!(
        (&after["state"], &after["starts_at"], &after["scheduled_by"]),
        (&json!("draft"), &Value::Null, &Value::Null)
    );
    assert_ne!(root.get("/v1/policies").ok()["max_keys_per_user"], 7);
}

#[test]
fn az_10_x_5_who_may_not_any_more_applies_nothing_and_administrators_are_told() {
    let server = Server::start();
    let root = server.root();
    let (bob_id, bob) = root.member("bob", &["**:*"]);
    root.put(&format!("/v1/groups/{}/members/{bob_id}", built_in(&root, "groups", "Administrators")))
        .expect(204);
    let bob = server.caller(&text(&bob["secret"]));
    let ada = worker(&server, &root, "ada", &["policies:*"]);
    let key = ada.get("/v1/me").ok()["key"]["id"].clone();
    let by_key = draft(&ada, json!({ "max_keys_per_user": 6 }));
    ada.post(&format!("{by_key}/apply"), later()).expect(200);
    root.post(&format!("/v1/keys/{}/revoke", text(&key)), json!({})).expect(200);
    come_due(&server);
    wait_until(|| state(&root, &by_key) == "failed");
    let failed = root.get(&by_key).ok();
    assert_eq!(failed["failure"]["code"], "insufficient_rights");
    assert_eq!(root.get("/v1/policies").ok()["version"], 1);
    let event = &root.get("/v1/audit-events?action=policy.draft_fail").ok()["data"][0];
    assert_eq!(
        (&event["outcome"], &event["reason"], &event["actor"]["id"]),
        (&json!("refused"), &json!("insufficient_rights"), &key)
    );
    wait_until(|| kinds(&bob).contains(&"policy".to_owned()));
    // Somebody who may applies the same later.
    root.post(&format!("{by_key}/apply"), later()).expect(200);
    come_due(&server);
    wait_until(|| state(&root, &by_key) == "applied");
    assert_eq!(root.get(&by_key).ok()["failure"], Value::Null);
}

#[test]
fn az_10_x_5_a_user_whose_role_was_taken_or_who_was_suspended_applies_nothing() {
    let server = Server::start();
    let root = server.root();
    ask_for_no_factor(&root);
    let grace = somebody(&server, "grace", &["policies:*"]);
    let mia = somebody(&server, "mia", &["policies:*"]);
    let otto = somebody(&server, "otto", &["policies:*"]);
    let schedule = |name: &str, keys: i64| {
        let own = session(&server.url, name);
        let path = draft(&own, json!({ "max_keys_per_user": keys }));
        own.post(&format!("{path}/apply"), later()).expect(200);
        path
    };
    let (by_grace, by_mia) = (schedule("grace", 50), schedule("mia", 60));
    root.patch(&format!("/v1/users/{grace}"), json!({ "role_ids": [] })).expect(200);
    root.post(&format!("/v1/users/{mia}/suspend"), json!({})).expect(200);
    come_due(&server);
    wait_until(|| state(&root, &by_grace) == "failed" && state(&root, &by_mia) == "failed");
    assert_eq!(root.get("/v1/policies").ok()["max_keys_per_user"], 2);
    // Whose session is over may still: it was a person who wanted it.
    let by_otto = schedule("otto", 70);
    root.delete(&format!("/v1/users/{otto}/sessions")).expect(204);
    come_due(&server);
    wait_until(|| state(&root, &by_otto) == "applied");
    assert_eq!(root.get("/v1/policies").ok()["max_keys_per_user"], 70);
}

#[test]
fn az_11_x_5_no_scheduled_draft_locks_everybody_out_and_a_stale_one_is_not_applied() {
    let server = Server::start();
    let (_, admin) = tenant(&server, "acme");
    let locks = draft(&admin, json!({ "workspace": { "max_age_days": 30 } }));
    admin.post(&format!("{locks}/apply"), later()).expect(200);
    server.place.sql("UPDATE key_secrets SET created_at = created_at - 2678400000");
    come_due(&server);
    wait_until(|| state(&admin, &locks) == "failed");
    assert_eq!(admin.get(&locks).ok()["failure"]["code"], "last_administrator");
    let stale = draft(&admin, json!({ "max_keys_per_user": 6 }));
    admin.post(&format!("{stale}/apply"), later()).expect(200);
    admin.patch("/v1/policies", json!({ "max_keys_per_user": 7 })).expect(200);
    come_due(&server);
    wait_until(|| state(&admin, &stale) == "failed");
    assert_eq!(admin.get(&stale).ok()["failure"]["code"], "stale_draft");
    let policy = admin.get("/v1/policies").ok();
    assert_eq!((&policy["max_keys_per_user"], &policy["version"]), (&json!(7), &json!(2)));
    assert_eq!(all(&admin, "/v1/policies/versions").len(), 2);
}

#[test]
fn x_5_az_10_a_visitor_applies_at_once_or_not_at_all() {
    let server = Server::start();
    let root = server.root();
    let (acme, admin) = tenant(&server, "acme");
    let (_, _, mia) = person(&server, &admin, "mia", &["me:read", "me/keys:*"]);
    let drafted = draft(&admin, json!({ "max_keys_per_user": 6 }));
    let apply = format!("{drafted}/apply");
    inside(&root, &acme, "POST", &apply, &later()).refused(403, "visitor");
    assert_eq!(state(&admin, &drafted), "draft");
    mia.post(&apply, later()).refused(403, "insufficient_rights");
    inside(&root, &acme, "POST", &apply, &json!({})).expect(200);
    assert_eq!(admin.get("/v1/policies").ok()["max_keys_per_user"], 6);
}
