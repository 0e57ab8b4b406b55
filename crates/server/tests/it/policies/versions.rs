//! Every policy that a tenant had, and the way back.

use serde_json::{Value, json};

use super::stale_session;
use crate::api::{all, inside, snapshot, tenant, worker};
use crate::logins::session;
use crate::support::{Answer, Server, text};

#[test]
fn x_5_every_policy_is_kept_with_what_it_changed() {
    let server = Server::start();
    let root = server.root();
    assert_eq!(all(&root, "/v1/policies/versions").len(), 1, "the first one of the tenant");
    let first = root.get("/v1/policies/versions/1").ok();
    assert_eq!((&first["applied_by"], &first["differences"]), (&json!("system"), &json!([])));
    root.patch("/v1/policies", json!({ "member": { "idle_days": 30 }, "max_keys_per_user": 3 })).ok();
    root.patch("/v1/policies?validate_only=true", json!({ "max_keys_per_user": 9 })).ok();
    root.patch("/v1/policies", json!({ "member": { "idle_days": 0 } })).expect(422);
    let me = root.get("/v1/me").ok();
    let listed = all(&root, "/v1/policies/versions");
    assert_eq!(listed.iter().map(|one| one["version"].clone()).collect::<Vec<_>>(), [2, 1]);
    assert_eq!((&listed[0]["applied_by"], listed[0].get("policy")), (&me["key"]["id"], None));
    let second = root.get("/v1/policies/versions/2").ok();
    assert_eq!(
        second["differences"],
        json!([
            { "path": "max_keys_per_user", "before": 2, "after": 3 },
            { "path": "member.idle_days", "before": null, "after": 30 },
        ])
    );
    let mut stands = root.get("/v1/policies").ok();
    stands.as_object_mut().expect("an object").remove("version");
    assert_eq!(second["policy"], stands);
    let page = root.get("/v1/policies/versions?limit=1").ok();
    let next = root.get(&format!("/v1/policies/versions?limit=1&cursor={}", text(&page["next_cursor"]))).ok();
    assert_eq!((&next["data"][0]["version"], &next["next_cursor"]), (&json!(1), &Value::Null));
    root.get("/v1/policies/versions/3").refused(404, "not_found");
    root.get("/v1/policies/versions/x").refused(404, "not_found");
}

#[test]
fn x_5_a_rollback_is_a_new_version_with_the_old_policy() {
    let server = Server::start();
    let root = server.root();
    let key = root.key(json!({ "class": "ingest", "label": "x" }));
    let before = root.get("/v1/policies").ok();
    root.patch("/v1/policies", json!({ "switches": { "ingest_keys": false } })).ok();
    assert_eq!(root.code(&text(&key["secret"])), "class_disabled");
    let tried = root.post("/v1/policies/rollback?validate_only=true", json!({ "version": 1 })).ok();
    assert_eq!(tried["version"], 3);
    assert_eq!(root.code(&text(&key["secret"])), "class_disabled", "only tried");
    let back = root.post("/v1/policies/rollback", json!({ "version": 1, "note": "too early" })).expect(200);
    assert_eq!(back.header("etag"), "\"3\"");
    assert_eq!((&back.body["version"], &back.body["switches"]), (&json!(3), &before["switches"]));
    assert_eq!(root.code(&text(&key["secret"])), "ok", "it binds at once");
    let third = root.get("/v1/policies/versions/3").ok();
    assert_eq!(
        (&third["note"], third["differences"][0]["after"].clone()),
        (&json!("too early"), json!(true))
    );
    let event = root.get("/v1/audit-events?action=policy.rollback").ok()["data"][0].clone();
    assert_eq!(
        (
            &event["reason"],
            &event["after"]["switches"]["ingest_keys"],
            &event["before"]["switches"]["ingest_keys"]
        ),
        (&json!("too early"), &json!(true), &json!(false))
    );
    root.post("/v1/policies/rollback", json!({ "version": 99 })).refused(422, "invalid_value");
    root.post("/v1/policies/rollback", json!({ "version": 1, "note": "" })).refused(422, "invalid_value");
    root.post("/v1/policies/rollback", json!({ "version": "1" })).expect(400);
    let stale = root.request("POST", "/v1/policies/rollback").header("if-match", "\"2\"");
    Answer::read(stale.json(&json!({ "version": 1 })).send().expect("an answer"))
        .refused(412, "stale_version");
    assert_eq!(root.get("/v1/policies").ok()["version"], 3);
}

#[test]
fn x_5_az_1_az_2_ses_6_a_rollback_needs_the_right_a_fresh_proof_and_the_own_tenant() {
    let server = Server::start();
    let root = server.root();
    let (acme, admin) = tenant(&server, "acme");
    root.patch("/v1/policies", json!({ "max_keys_per_user": 7 })).ok();
    root.patch("/v1/policies", json!({ "max_keys_per_user": 8 })).ok();
    // The versions of another tenant are not there.
    admin.get("/v1/policies/versions/2").refused(404, "not_found");
    admin.post("/v1/policies/rollback", json!({ "version": 2 })).refused(422, "invalid_value");
    let reader = worker(&server, &root, "reader", &["policies:read"]);
    reader.get("/v1/policies/versions/2").expect(200);
    reader.post("/v1/policies/rollback", json!({ "version": 2 })).refused(403, "insufficient_rights");
    worker(&server, &root, "other", &["keys:read"]).get("/v1/policies/versions").expect(403);
    let stale = stale_session(&server, "grace", &["policies:*"]);
    let now = snapshot(&root);
    stale.post("/v1/policies/rollback", json!({ "version": 2 })).refused(403, "step_up_required");
    assert_eq!(snapshot(&root)[2], now[2]);
    let fresh = session(&server.url, "grace");
    fresh.post("/v1/policies/rollback?validate_only=true", json!({ "version": 2 })).expect(200);
    assert_eq!(root.get("/v1/policies").ok()["max_keys_per_user"], now[2]["max_keys_per_user"]);
    assert_eq!(inside(&root, &acme, "GET", "/v1/policies", &Value::Null).ok()["version"], 1);
}

#[test]
fn az_11_no_rollback_locks_everybody_out() {
    let server = Server::start();
    let (_, admin) = tenant(&server, "acme");
    admin.patch("/v1/policies", json!({ "workspace": { "max_age_days": 30 } })).ok();
    admin.patch("/v1/policies", json!({ "workspace": { "max_age_days": null } })).ok();
    server.place.sql("UPDATE key_secrets SET created_at = created_at - 2678400000");
    let before = admin.get("/v1/policies").ok();
    admin.post("/v1/policies/rollback", json!({ "version": 2 })).refused(409, "last_administrator");
    assert_eq!(admin.get("/v1/policies").ok(), before);
    assert_eq!(all(&admin, "/v1/policies/versions").len(), 3);
    admin.post("/v1/policies/rollback", json!({ "version": 1 })).expect(200);
}
