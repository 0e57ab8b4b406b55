//! Rules for new keys by class: how many, how they are called, who makes them.

use serde_json::{Value, json};

use crate::api::{person, snapshot, tenant, worker};
use crate::keys::path;
use crate::support::{Answer, Caller, Server, text};

fn rule(caller: &Caller, class: &str, rules: Value) {
    caller.patch("/v1/policies", json!({ class: rules })).expect(200);
}

#[track_caller]
fn against(answer: Answer, rule: &str) {
    assert_eq!(answer.refused(422, "policy_violation").body["policy"], rule);
}

#[test]
fn x_5_mo_3_a_tenant_has_so_many_keys_of_a_class() {
    let server = Server::start();
    let root = server.root();
    let (_, admin) = tenant(&server, "acme");
    rule(&admin, "ingest", json!({ "max_keys": 2 }));
    let new = |caller: &Caller| caller.post("/v1/keys", json!({ "class": "ingest", "label": "x" }));
    let (one, _) = (new(&admin).expect(201).body, new(&admin).expect(201));
    let before = snapshot(&admin);
    against(new(&admin), "ingest.max_keys");
    assert_eq!(snapshot(&admin), before);
    new(&root).expect(201);
    admin.key(json!({ "class": "workspace", "label": "another class" }));
    // What is switched off counts, what is revoked or over does not.
    admin.post(&format!("{}/deactivate", path(&one)), json!({})).expect(200);
    against(new(&admin), "ingest.max_keys");
    admin.post(&format!("{}/revoke", path(&one)), json!({})).expect(200);
    let third = new(&admin).expect(201).body;
    server.place.sql("UPDATE keys SET expires_at = 1000 WHERE class = 'ingest' AND switch = 'on'");
    let fourth = new(&admin).expect(201).body;
    new(&admin).expect(201);
    against(admin.post(&format!("{}/extend", path(&third)), json!({})), "ingest.max_keys");
    admin.post(&format!("{}/revoke", path(&fourth)), json!({})).expect(200);
    admin.post(&format!("{}/extend", path(&third)), json!({})).expect(200);
    // A quota below what there is stops nothing, and none at all bars new ones.
    rule(&admin, "ingest", json!({ "max_keys": 0 }));
    assert_eq!(admin.code(&text(&third["secret"])), "ok");
    against(new(&admin), "ingest.max_keys");
}

#[test]
fn x_5_az_10_the_quota_holds_when_two_make_the_last_key() {
    let server = Server::start();
    let node = server.second_node();
    let (a, b) = (server.root(), node.caller(&server.operator()));
    rule(&a, "ingest", json!({ "max_keys": 5 }));
    let made: usize = std::thread::scope(|scope| {
        let make = |caller: &Caller| {
            let caller = caller.clone();
            let body = json!({ "class": "ingest", "label": "x" });
            scope
                .spawn(move || (0..5).filter(|_| caller.post("/v1/keys", body.clone()).status == 201).count())
        };
        [make(&a), make(&b), make(&a)].into_iter().map(|thread| thread.join().expect("no panic")).sum()
    });
    assert_eq!(made, 5);
}

#[test]
fn x_5_labels_follow_the_pattern_of_their_class() {
    let server = Server::start();
    let root = server.root();
    let old = root.key(json!({ "class": "ingest", "label": "anything" }));
    rule(&root, "ingest", json!({ "label_pattern": "prod-*" }));
    let new = |label: &str| root.post("/v1/keys", json!({ "class": "ingest", "label": label }));
    against(new("test-1"), "ingest.label_pattern");
    let made = new("prod-1").expect(201).body;
    assert_eq!(root.code(&text(&old["secret"])), "ok", "a key that there is goes on");
    let relabel = |key: &Value, label: &str| root.patch(&path(key), json!({ "label": label }));
    against(relabel(&made, "mine"), "ingest.label_pattern");
    assert_eq!(root.get(&path(&made)).ok()["label"], "prod-1");
    relabel(&made, "prod-2").expect(200);
    relabel(&old, "anything").expect(200);
    against(relabel(&old, "else"), "ingest.label_pattern");
    root.patch(&path(&old), json!({ "idle_seconds": 600 })).expect(200);
    root.key(json!({ "class": "workspace", "label": "test-1" }));
    for bad in [String::new(), "x".repeat(101), "a\u{7}".into()] {
        root.patch("/v1/policies", json!({ "ingest": { "label_pattern": bad } }))
            .refused(422, "invalid_value");
    }
}

#[test]
fn x_5_mo_2_only_administrators_make_member_keys_where_policy_says_so() {
    let server = Server::start();
    let (_, admin) = tenant(&server, "acme");
    let (mia_id, _, mia) = person(&server, &admin, "mia", &["me:read", "me/keys:*"]);
    let limited =
        worker(&server, &admin, "limited", &["keys:*", "keys/others:create", "me:read", "me/keys:*"]);
    admin.patch("/v1/policies", json!({ "max_keys_per_user": 9 })).expect(200);
    let own = json!({ "class": "member", "label": "own" });
    let hers = json!({ "class": "member", "label": "hers", "owner_id": mia_id });
    mia.post("/v1/keys", own.clone()).expect(201);
    limited.post("/v1/keys", hers.clone()).expect(201);
    rule(&admin, "member", json!({ "who_may_create": "admins_only" }));
    let before = snapshot(&admin);
    against(mia.post("/v1/keys", own.clone()), "member.who_may_create");
    against(limited.post("/v1/keys", hers.clone()), "member.who_may_create");
    assert_eq!(snapshot(&admin), before);
    limited
        .post("/v1/keys", json!({ "class": "ingest", "label": "another class" }))
        .refused(403, "rights_exceed_caller");
    admin.post("/v1/keys", hers).expect(201);
    assert_eq!(admin.code(&mia.secret), "ok", "what there is goes on");
    let key = mia.get("/v1/me").ok()["key"]["id"].clone();
    mia.post(&format!("/v1/keys/{}/rotate", text(&key)), json!({})).expect(200);
    rule(&admin, "member", json!({ "who_may_create": "everybody" }));
    mia.post("/v1/keys", own).expect(201);
    admin.patch("/v1/policies", json!({ "member": { "who_may_create": "nobody" } })).expect(400);
}

#[test]
fn ops_2_x_5_no_rule_keeps_the_operator_of_the_machine_out() {
    let mut server = Server::start();
    let root = server.root();
    let strict = json!({
        "max_keys": 1, "label_pattern": "prod-*", "who_may_create": "admins_only", "approval": true,
    });
    root.patch("/v1/policies", json!({ "workspace": strict, "member": strict })).expect(200);
    server.terminate();
    let run = server.place.run(&["recover", "-o", "json"]);
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    let made: Value = serde_json::from_slice(&run.stdout).expect("JSON");
    let server = server.restart();
    server.caller(&text(&made["secret"])).get("/v1/keys").expect(200);
}
