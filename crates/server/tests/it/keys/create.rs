//! Making keys: who may, for whom, with which end.

use serde_json::{Value, json};

use super::{built_in, count, fault, millis, path, rows, tenant};
use crate::support::{Answer, Server, client, text};

const DAY: i64 = 86_400_000;

#[test]
fn mo_5_bm_4_the_default_life_is_90_days_unless_policy_says_otherwise() {
    let server = Server::start();
    let root = server.root();
    let bob = root.user("bob", &[]);
    let life = |body: Value| {
        let key = root.key(body);
        millis(&key["expires_at"]) - millis(&key["created_at"])
    };
    let member = json!({ "class": "member", "owner_id": bob, "label": "a" });
    assert_eq!(life(member.clone()), 90 * DAY);
    assert_eq!(life(json!({ "class": "workspace", "label": "b" })), 90 * DAY);
    assert_eq!(life(json!({ "class": "ingest", "label": "c" })), 90 * DAY);
    root.patch("/v1/policies", json!({ "member": { "default_ttl_days": 7 } })).ok();
    assert_eq!(life(member), 7 * DAY);
    assert_eq!(life(json!({ "class": "workspace", "label": "d" })), 90 * DAY, "another class");
}

#[test]
fn bm_4_key_8_days_a_date_or_never_within_policy() {
    let server = Server::start();
    let root = server.root();
    let make = |end: Value| {
        let mut body = json!({ "class": "workspace", "label": "x" });
        body.as_object_mut().expect("an object").extend(end.as_object().expect("an object").clone());
        root.post("/v1/keys", body)
    };
    let days = make(json!({ "ttl_seconds": 5 * 86_400 })).expect(201).body;
    assert_eq!(millis(&days["expires_at"]) - millis(&days["created_at"]), 5 * DAY);
    let date = make(json!({ "expires_at": "2099-12-31T23:59:59Z" })).expect(201).body;
    assert_eq!(date["expires_at"], "2099-12-31T23:59:59.000Z");
    let never = make(json!({ "expires": "never" })).expect(201).body;
    assert_eq!((&never["expires_at"], &never["never_expires"]), (&Value::Null, &json!(true)));
    let flagged = root.get("/v1/keys?never_expires=true").ok();
    assert_eq!(rows(&flagged).iter().map(|key| &key["id"]).collect::<Vec<_>>(), [&never["id"]]);

    let rules = json!({ "workspace": { "max_ttl_days": 30, "default_ttl_days": 30 } });
    root.patch("/v1/policies", rules).ok();
    let before = count(&root);
    let beyond = make(json!({ "ttl_seconds": 30 * 86_400 + 60 })).refused(422, "policy_violation");
    assert_eq!(beyond.body["policy"], "workspace.max_ttl_days");
    let forbidden = make(json!({ "expires": "never" })).refused(422, "policy_violation");
    assert_eq!(forbidden.body["policy"], "workspace.never_expire");
    assert_eq!(count(&root), before, "a refused request makes nothing");
    make(json!({ "ttl_seconds": 30 * 86_400 })).expect(201);
}

#[test]
fn key_8_never_needs_a_right_of_its_own() {
    let server = Server::start();
    let root = server.root();
    let (_, key) = root.member("bob", &[]);
    let bob = server.caller(&text(&key["secret"]));
    let never = json!({ "class": "member", "label": "for ever", "expires": "never" });
    bob.post("/v1/keys", never.clone()).refused(403, "insufficient_rights");
    bob.patch(&path(&key), json!({ "expires": "never" })).refused(403, "insufficient_rights");
    assert_eq!(count(&bob), 1);
    assert!(bob.get(&path(&key)).ok()["expires_at"].is_string());
    let (_, key) = root.member("carol", &["keys/never-expire:create"]);
    let made = server.caller(&text(&key["secret"])).post("/v1/keys", never).expect(201).body;
    assert_eq!(made["never_expires"], true);
}

#[test]
fn key_10_the_owner_comes_from_the_caller() {
    let server = Server::start();
    let root = server.root();
    let (bob, key) = root.member("bob", &[]);
    let alice = root.user("alice", &[]);
    let body = |owner: &str| json!({ "class": "member", "owner_id": owner, "label": "stolen" });
    let anonymous = client().post(format!("{}/v1/keys", server.url)).json(&body(&alice)).send();
    Answer::read(anonymous.expect("an answer")).refused(401, "no_credential");
    let caller = server.caller(&text(&key["secret"]));
    let existing = caller.post("/v1/keys", body(&alice)).refused(404, "not_found");
    let unknown = caller.post("/v1/keys", body("user_00000000000000000000000000")).refused(404, "not_found");
    assert_eq!(existing.body["detail"], unknown.body["detail"]);
    assert_eq!(count(&root), 2, "nothing was made");
    let own = caller.post("/v1/keys", json!({ "class": "member", "label": "mine" })).expect(201).body;
    assert_eq!((text(&own["owner_id"]), text(&own["created_by"])), (bob.clone(), bob));
    let issuer = root.member("ida", &["keys/others:create"]).1;
    let issued = server.caller(&text(&issuer["secret"])).post("/v1/keys", body(&alice)).expect(201).body;
    assert_eq!(text(&issued["owner_id"]), alice);
}

#[test]
fn mo_1_workspace_keys_are_the_admins_and_act_as_admin() {
    let server = Server::start();
    let root = server.root();
    let (_, key) = root.member("bob", &[]);
    let bob = server.caller(&text(&key["secret"]));
    bob.post("/v1/keys", json!({ "class": "workspace", "label": "up" })).refused(403, "insufficient_rights");
    let key = root.key(json!({ "class": "workspace", "label": "automation" }));
    assert_eq!((&key["has_admin_rights"], &key["owner_id"]), (&json!(true), &Value::Null));
    bob.get(&path(&key)).refused(404, "not_found");
    bob.post(&format!("{}/revoke", path(&key)), json!({})).refused(404, "not_found");
    let automation = server.caller(&text(&key["secret"]));
    automation.user("made-by-key", &[]);
    automation.get("/v1/tenants").refused(403, "insufficient_rights");
    assert_eq!(root.get("/v1/users?username=made-by-key").ok()["data"][0]["created_by"], key["id"]);
}

#[test]
fn mo_2_an_admin_switches_member_keys_off_and_on() {
    let server = Server::start();
    let root = server.root();
    let (bob, key) = root.member("bob", &[]);
    let secret = text(&key["secret"]);
    assert_eq!(root.code(&secret), "ok");
    let body = json!({ "class": "member", "owner_id": bob, "label": "more" });
    root.patch("/v1/policies", json!({ "switches": { "member_keys": false } })).ok();
    assert_eq!(root.code(&secret), "class_disabled");
    let refused = root.post("/v1/keys", body.clone()).refused(422, "policy_violation");
    assert_eq!(refused.body["policy"], "switches");
    assert_eq!(root.get(&path(&key)).ok()["status_cause"], "class_disabled");
    root.patch("/v1/policies", json!({ "switches": { "member_keys": true } })).ok();
    assert_eq!(root.code(&secret), "ok");
    root.post("/v1/keys", body).expect(201);
}

#[test]
fn mo_3_the_operator_bars_a_tenant_from_workspace_keys() {
    let server = Server::start();
    let (id, admin) = tenant(&server, "acme", "ada");
    let made = admin.key(json!({ "class": "workspace", "label": "before" }));
    let at = format!("/v1/tenants/{id}");
    server.root().patch(&at, json!({ "features": { "workspace_keys": false } })).ok();
    assert_eq!(server.root().code(&text(&made["secret"])), "class_disabled");
    let again = json!({ "class": "workspace", "label": "after" });
    let refused = admin.post("/v1/keys", again.clone()).refused(422, "policy_violation");
    assert_eq!(refused.body["policy"], "features");
    let own = admin.patch(&at, json!({ "features": { "workspace_keys": true } }));
    assert_eq!(own.status, 403, "{}", own.text);
    admin.patch("/v1/policies", json!({ "switches": { "workspace_keys": true } })).ok();
    assert_eq!(server.root().code(&text(&made["secret"])), "class_disabled", "the plan is stronger");
    server.root().patch(&at, json!({ "features": { "workspace_keys": true } })).ok();
    admin.post("/v1/keys", again).expect(201);
}

#[test]
fn bm_3_an_ingest_key_ingests_and_nothing_else() {
    let server = Server::start();
    let root = server.root();
    let key = root.key(json!({ "class": "ingest", "label": "collector" }));
    let secret = text(&key["secret"]);
    assert!(secret.starts_with("kwi_"));
    let ask = |right: &str| {
        let answer = root.post("/v1/verify", json!({ "credential": secret, "rights": [right] })).ok();
        text(&answer["code"])
    };
    assert_eq!(ask("ingest/metrics:write"), "ok");
    assert_eq!(ask("keys:read"), "insufficient_rights");
    server.caller(&secret).get("/v1/me").refused(403, "wrong_class");
    server.caller(&secret).post("/v1/verify", json!({ "credential": secret })).refused(403, "wrong_class");
    let narrow = root.key(json!({ "class": "ingest", "label": "logs", "scopes": ["ingest/logs:write"] }));
    assert_eq!(narrow["effective_rights"], json!(["ingest/logs:write"]));
}

#[test]
fn bm_1_the_label_is_a_name_and_never_authenticates() {
    let server = Server::start();
    let root = server.root();
    let make = || root.key(json!({ "class": "workspace", "label": "twin" }));
    let (one, two) = (make(), make());
    assert_ne!(one["access_key"], two["access_key"]);
    assert_ne!(one["secret"], two["secret"]);
    server.caller("twin").get("/v1/me").refused(401, "invalid_key");
    let pair = json!({ "access_key": "twin", "secret": one["secret"] });
    assert_eq!(root.post("/v1/verify", pair).ok()["code"], "invalid_key");
    let crossed = json!({ "access_key": two["access_key"], "secret": one["secret"] });
    assert_eq!(root.post("/v1/verify", crossed).ok()["code"], "invalid_key");
    let own = json!({ "access_key": one["access_key"], "secret": one["secret"] });
    assert_eq!(root.post("/v1/verify", own).ok()["code"], "ok", "mo_4: two parts");
}

#[test]
fn sq_2_one_owner_and_a_label_that_owner_and_admins_see() {
    let server = Server::start();
    let root = server.root();
    let (bob, key) = root.member("bob", &[]);
    let (alice, other) = root.member("alice", &[]);
    let own = server.caller(&text(&key["secret"]));
    for caller in [&own, &root] {
        let shown = caller.get(&path(&key)).ok();
        assert_eq!((&shown["label"], &shown["owner_username"]), (&json!("bob's key"), &json!("bob")));
    }
    server.caller(&text(&other["secret"])).get(&path(&key)).refused(404, "not_found");
    let moved = root.patch(&path(&key), json!({ "owner_id": alice })).refused(400, "malformed_request");
    assert_eq!(fault(&moved), ("/owner_id", "unknown_field"));
    assert_eq!(text(&root.get(&path(&key)).ok()["owner_id"]), bob);
    own.delete(&path(&key)).expect(204);
    root.delete(&path(&other)).expect(204);
    assert_eq!(root.get(&path(&other)).ok()["status"], "revoked");
}

#[test]
fn bm_6_a_workspace_key_has_groups_and_roles_from_the_start_or_later() {
    let server = Server::start();
    let root = server.root();
    let reader = root.role("reader", &["reports:read"]);
    let writer = root.role("writer", &["reports:write"]);
    let group = text(&root.post("/v1/groups", json!({ "name": "press", "role_ids": [writer] })).ok()["id"]);
    let key = root.key(json!({ "class": "workspace", "label": "x", "role_ids": [reader] }));
    assert_eq!(key["effective_rights"], json!(["reports:read"]));
    assert_eq!(key["has_admin_rights"], false);
    let edited = root.patch(&path(&key), json!({ "group_ids": [group] })).ok();
    assert_eq!(edited["role_ids"], json!([reader]), "what is absent stays");
    let rights = edited["effective_rights"].as_array().expect("rights");
    assert!(rights.contains(&json!("reports:read")) && rights.contains(&json!("reports:write")));
    let verified = root.verify(&text(&key["secret"]));
    assert_eq!(verified["rights"], edited["effective_rights"], "bm_12: what is shown is what is told");
    let emptied = root.patch(&path(&key), json!({ "group_ids": [], "role_ids": [] })).ok();
    assert_eq!(emptied["effective_rights"], json!([]));
    let admin = built_in(&root, "admin");
    let limited = root.member("ida", &["keys:*", "keys/others:create"]).1;
    let give = json!({ "class": "workspace", "label": "up", "role_ids": [admin] });
    let caller = server.caller(&text(&limited["secret"]));
    caller.post("/v1/keys", give).refused(403, "rights_exceed_caller");
    caller.patch(&path(&key), json!({ "role_ids": [admin] })).refused(403, "rights_exceed_caller");
}
