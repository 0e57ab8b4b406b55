//! What takes nobody away is not refused; a rule that locks everybody out is.

use serde_json::{Value, json};

use super::send;
use crate::api::{built_in, inside, snapshot, tenant};
use crate::support::{Server, text};

#[test]
fn az_11_what_made_nobody_an_administrator_can_go() {
    let server = Server::start();
    let root = server.root();
    // A tenant in which there is nobody at all.
    let id = text(&root.post("/v1/tenants", json!({ "slug": "empty" })).ok()["id"]);
    let body = json!({ "name": "everything", "rights": ["**:*"] });
    let make = |body: &Value| text(&inside(&root, &id, "POST", "/v1/roles", body).ok()["id"]);
    let role = make(&body);
    let patch = json!({ "rights": ["a:read"] });
    inside(&root, &id, "PATCH", &format!("/v1/roles/{role}"), &patch).expect(200);
    let again = make(&json!({ "name": "again", "rights": ["**:*"] }));
    inside(&root, &id, "DELETE", &format!("/v1/roles/{again}"), &Value::Null).expect(204);
    // A tenant that keys administer, and no user.
    let (_, admin) = tenant(&server, "acme");
    let unused = admin.role("unused", &["**:*"]);
    admin.patch(&format!("/v1/roles/{unused}"), json!({ "description": "x" })).expect(200);
    admin.delete(&format!("/v1/roles/{unused}")).expect(204);
    let role = admin.role("everything", &["**:*"]);
    let group = json!({ "name": "Bosses", "role_ids": [role] });
    let group = text(&admin.post("/v1/groups", group).ok()["id"]);
    let ada = admin.user("ada", &[]);
    admin.put(&format!("/v1/groups/{group}/members/{ada}")).expect(204);
    admin.delete(&format!("/v1/groups/{group}/members/{ada}")).refused(409, "last_administrator");
    admin.user("bob", &[&built_in(&admin, "roles", "admin")]);
    admin.delete(&format!("/v1/groups/{group}/members/{ada}")).expect(204);
    admin.delete(&format!("/v1/groups/{group}")).expect(204);
    admin.delete(&format!("/v1/roles/{role}")).expect(204);
}

#[test]
fn az_11_the_last_key_that_administers_keeps_its_role() {
    let server = Server::start();
    let (_, first) = tenant(&server, "acme");
    let role = first.role("everything", &["**:*"]);
    let group = text(&first.post("/v1/groups", json!({ "name": "Bosses", "role_ids": [role] })).ok()["id"]);
    let key = first.key(json!({ "class": "workspace", "label": "only", "group_ids": [group] }));
    let only = server.caller(&text(&key["secret"]));
    let own = text(&first.get("/v1/me").ok()["key"]["id"]);
    only.post(&format!("/v1/keys/{own}/revoke"), json!({ "reason": "replaced" })).expect(200);
    let before = snapshot(&only);
    let ways = [
        ("DELETE", format!("/v1/roles/{role}"), Value::Null),
        ("PATCH", format!("/v1/roles/{role}"), json!({ "rights": ["a:read"] })),
        ("DELETE", format!("/v1/groups/{group}"), Value::Null),
        ("PATCH", format!("/v1/groups/{group}"), json!({ "role_ids": [] })),
        ("DELETE", format!("/v1/groups/{group}/members/{}", text(&key["id"])), Value::Null),
    ];
    for way in &ways {
        send(&only, way).refused(409, "last_administrator");
    }
    assert_eq!(snapshot(&only), before);
    only.key(json!({ "class": "workspace", "label": "another" }));
    send(&only, &ways[4]).expect(204);
    only.get("/v1/users").refused(403, "insufficient_rights");
}

/// Each rule must be refused and change nothing, also when it is only tried.
fn refuse(admin: &crate::support::Caller, rules: &[Value]) {
    let before = admin.get("/v1/policies").ok();
    for rule in rules {
        admin.patch("/v1/policies", rule.clone()).refused(409, "last_administrator");
        admin.patch("/v1/policies?validate_only=true", rule.clone()).refused(409, "last_administrator");
    }
    assert_eq!(admin.get("/v1/policies").ok(), before);
}

#[test]
fn az_11_no_rule_stops_every_key_that_administers() {
    let server = Server::start();
    let (_, first) = tenant(&server, "acme");
    let ada = first.user("ada", &[&built_in(&first, "roles", "admin")]);
    let key = first.key(json!({ "class": "member", "owner_id": ada, "label": "own" }));
    let own = text(&first.get("/v1/me").ok()["key"]["id"]);
    let admin = server.caller(&text(&key["secret"]));
    admin.post(&format!("/v1/keys/{own}/revoke"), json!({ "reason": "replaced" })).expect(200);
    // Others have keys, but may not do everything.
    admin.key(
        json!({ "class": "workspace", "label": "reader", "role_ids": [admin.role("reader", &["a:read"])] }),
    );
    server.place.sql("UPDATE users SET created_at = created_at - 864000000 WHERE username = 'ada'");
    server.place.sql(
        "UPDATE key_secrets SET created_at = created_at - 864000000
         WHERE key_id IN (SELECT id FROM keys WHERE label = 'own')",
    );
    let off = json!({ "switches": { "member_keys": false } });
    let rules = [
        off.clone(),
        json!({ "owner_login_window_minutes": 0 }),
        json!({ "owner_login_window_minutes": 60 }),
        json!({ "member": { "max_age_days": 9 } }),
    ];
    refuse(&admin, &rules);
    for good in [json!({ "member": { "max_age_days": 11 } }), json!({ "owner_login_window_minutes": 20_000 })]
    {
        admin.patch("/v1/policies", good).expect(200);
    }
    // With a key that the rule leaves alone it is a rule like any other.
    let spare = admin.key(json!({ "class": "workspace", "label": "spare" }));
    admin.patch("/v1/policies", off).expect(200);
    admin.get("/v1/me").refused(401, "class_disabled");
    server.caller(&text(&spare["secret"])).get("/v1/me").expect(200);
    // Where no key administers, none can be stopped.
    let id = text(&server.root().post("/v1/tenants", json!({ "slug": "empty" })).ok()["id"]);
    for rule in &rules[1..] {
        inside(&server.root(), &id, "PATCH", "/v1/policies", rule).expect(200);
    }
}
