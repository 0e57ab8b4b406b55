//! Nobody grants what they lack (AZ-5), through any door.

use serde_json::{Value, json};

use crate::api::{built_in, person, snapshot, tenant, worker};
use crate::support::{Answer, Caller, Server, text};

/// Every management verb, and one right over data.
const LIMITED: [&str; 8] = [
    "users:*",
    "groups:*",
    "roles:*",
    "keys:*",
    "keys/others:create",
    "me:read",
    "me/keys:*",
    "models/emea/**:read",
];

struct World {
    admin: Caller,
    limited: Caller,
    limited_user: String,
    strong_role: String,
    strong_group: String,
    weak_role: String,
    user: String,
}

fn world(server: &Server) -> World {
    let (_, admin) = tenant(server, "acme");
    let (limited_user, _, limited) = person(server, &admin, "limited", &LIMITED);
    let strong_role = admin.role("strong", &["models/emea/**:*"]);
    let strong_group = admin.post("/v1/groups", json!({ "name": "Strong", "role_ids": [strong_role] })).ok();
    let weak_role = admin.role("weak", &["models/emea/2026:read"]);
    let user = admin.user("mia", &[]);
    World {
        admin,
        limited,
        limited_user,
        strong_role,
        strong_group: text(&strong_group["id"]),
        weak_role,
        user,
    }
}

fn send(caller: &Caller, method: &str, path: &str, body: &Value) -> Answer {
    Answer::read(caller.request(method, path).json(body).send().expect("an answer"))
}

#[test]
fn az_5_no_door_gives_more_than_the_giver_holds() {
    let server = Server::start();
    let World { admin, limited, limited_user, strong_role, strong_group, weak_role, user } = world(&server);
    let admin_role = built_in(&admin, "roles", "admin");
    let group = text(&limited.post("/v1/groups", json!({ "name": "Own" })).ok()["id"]);
    let before = snapshot(&admin);
    let rights = [
        json!(["models/emea/**:*"]),
        json!(["models/**:read"]),
        json!(["**:*"]),
        json!(["models/emea/**:read", "policies:read"]),
    ];
    let mut doors: Vec<(&str, String, Value)> = Vec::new();
    for rights in rights {
        doors.push(("POST", "/v1/roles".into(), json!({ "name": "new", "rights": rights })));
        doors.push(("PATCH", format!("/v1/roles/{weak_role}"), json!({ "rights": rights })));
    }
    for role in [&strong_role, &admin_role] {
        doors.push(("POST", "/v1/users".into(), json!({ "username": "new", "role_ids": [weak_role, role] })));
        doors.push(("PATCH", format!("/v1/users/{user}"), json!({ "role_ids": [role] })));
        doors.push(("PATCH", format!("/v1/users/{limited_user}"), json!({ "role_ids": [role] })));
        doors.push(("POST", "/v1/groups".into(), json!({ "name": "New", "role_ids": [role] })));
        doors.push(("PATCH", format!("/v1/groups/{group}"), json!({ "role_ids": [role] })));
        doors.push((
            "POST",
            "/v1/keys".into(),
            json!({ "class": "workspace", "label": "x", "role_ids": [role] }),
        ));
    }
    doors.push(("POST", "/v1/users".into(), json!({ "username": "new", "group_ids": [strong_group] })));
    doors.push(("PATCH", format!("/v1/users/{user}"), json!({ "group_ids": [strong_group] })));
    doors.push((
        "POST",
        "/v1/keys".into(),
        json!({ "class": "workspace", "label": "x", "group_ids": [strong_group] }),
    ));
    // Without roles and groups a workspace key would be admin, and an ingest key may ingest.
    doors.push(("POST", "/v1/keys".into(), json!({ "class": "workspace", "label": "x" })));
    doors.push(("POST", "/v1/keys".into(), json!({ "class": "ingest", "label": "x" })));
    doors.push((
        "POST",
        "/v1/keys".into(),
        json!({ "class": "ingest", "label": "x", "scopes": ["ingest/a:write"] }),
    ));
    for (method, path, body) in &doors {
        let answer = send(&limited, method, path, body);
        answer.refused(403, "rights_exceed_caller");
    }
    limited.put(&format!("/v1/groups/{strong_group}/members/{user}")).refused(403, "above_caller");
    limited.put(&format!("/v1/groups/{strong_group}/members/{limited_user}")).refused(403, "above_caller");
    assert_eq!(snapshot(&admin), before);
}

#[test]
fn az_5_what_the_giver_holds_can_be_given() {
    let server = Server::start();
    let World { limited, weak_role, user, .. } = world(&server);
    limited.post("/v1/roles", json!({ "name": "new", "rights": ["models/emea/x:read"] })).expect(201);
    limited
        .patch(&format!("/v1/roles/{weak_role}"), json!({ "rights": ["models/emea/**:read"] }))
        .expect(200);
    limited.patch(&format!("/v1/users/{user}"), json!({ "role_ids": [weak_role] })).expect(200);
    let group =
        text(&limited.post("/v1/groups", json!({ "name": "New", "role_ids": [weak_role] })).ok()["id"]);
    limited.put(&format!("/v1/groups/{group}/members/{user}")).expect(204);
    let key = limited.key(json!({ "class": "workspace", "label": "x", "role_ids": [weak_role] }));
    assert_eq!(key["effective_rights"], json!(["models/emea/**:read"]));
    limited.key(json!({ "class": "member", "owner_id": user, "label": "x" }));
}

#[test]
fn az_5_a_narrow_key_makes_no_wider_key() {
    let server = Server::start();
    let (_, admin) = tenant(&server, "acme");
    let (_, _, wide) = person(&server, &admin, "ada", &["me:read", "me/keys:*", "models/**:read"]);
    let scopes = json!(["me/keys:*", "models/emea:read"]);
    let narrow = wide.key(json!({ "class": "member", "label": "narrow", "scopes": scopes }));
    let narrow = server.caller(&text(&narrow["secret"]));
    for scopes in [Value::Null, json!(["models/**:read"]), json!(["me:read"])] {
        let body = json!({ "class": "member", "label": "wider", "scopes": scopes });
        let code = narrow.post("/v1/keys", body).expect_client_error();
        assert!(["rights_exceed_caller", "quota_exceeded"].contains(&code.as_str()), "{code}");
    }
    let id = text(&wide.get("/v1/keys?label=narrow").ok()["data"][0]["id"]);
    narrow.patch(&format!("/v1/keys/{id}"), json!({ "scopes": null })).refused(403, "rights_exceed_caller");
    assert_eq!(wide.get(&format!("/v1/keys/{id}")).ok()["scopes"], json!(["me/keys:*", "models/emea:read"]));
}

#[test]
fn az_5_key_11_scopes_lie_within_the_owner() {
    let server = Server::start();
    let World { admin, user, weak_role, .. } = world(&server);
    admin.patch(&format!("/v1/users/{user}"), json!({ "role_ids": [weak_role] })).expect(200);
    let body =
        json!({ "class": "member", "owner_id": user, "label": "x", "scopes": ["models/emea/**:read"] });
    admin.post("/v1/keys", body).refused(403, "scope_exceeds_owner");
    let key = admin.key(json!({ "class": "member", "owner_id": user, "label": "x" }));
    let path = format!("/v1/keys/{}", text(&key["id"]));
    admin.patch(&path, json!({ "scopes": ["policies:read"] })).refused(403, "scope_exceeds_owner");
    assert_eq!(admin.get(&path).ok()["effective_rights"], json!(["models/emea/2026:read"]));
}

#[test]
fn az_5_roles_of_a_key_change_within_the_giver() {
    let server = Server::start();
    let World { admin, limited, strong_role, strong_group, weak_role, .. } = world(&server);
    let key = limited.key(json!({ "class": "workspace", "label": "x", "role_ids": [weak_role] }));
    let path = format!("/v1/keys/{}", text(&key["id"]));
    let admin_role = built_in(&admin, "roles", "admin");
    for body in [
        json!({ "role_ids": [strong_role] }),
        json!({ "role_ids": [admin_role] }),
        json!({ "group_ids": [strong_group] }),
    ] {
        limited.patch(&path, body).refused(403, "rights_exceed_caller");
    }
    assert_eq!(admin.get(&path).ok()["role_ids"], json!([weak_role]));
    admin.patch(&path, json!({ "role_ids": [strong_role], "scopes": ["models/emea/2026:read"] })).expect(200);
    limited.patch(&path, json!({ "scopes": null })).refused(403, "rights_exceed_caller");
}

#[test]
fn az_5_rights_of_the_instance_are_the_operators() {
    let server = Server::start();
    let (_, admin) = tenant(&server, "acme");
    let root = server.root();
    let body = |right: &str| json!({ "name": "new", "rights": [right] });
    for right in ["instance/tenants:enter", "instance/**:*"] {
        let refused = admin.post("/v1/roles", body(right)).expect_client_error();
        assert!(["rights_exceed_caller", "invalid_value"].contains(&refused.as_str()), "{refused}");
        // Not even the operator can put them into another tenant.
        crate::api::inside(&root, "acme", "POST", "/v1/roles", &body(right)).refused(422, "invalid_value");
    }
    // In the primary tenant everything is not the instance either.
    let all_but_instance = worker(&server, &root, "everything", &["**:*"]);
    all_but_instance.post("/v1/roles", body("instance/log:read")).refused(403, "rights_exceed_caller");
    all_but_instance.get("/v1/tenants").refused(403, "insufficient_rights");
    let operator = built_in(&root, "roles", "operator");
    let me = root.user("eve", &[]);
    all_but_instance
        .patch(&format!("/v1/users/{me}"), json!({ "role_ids": [operator] }))
        .refused(403, "rights_exceed_caller");
    root.patch(&format!("/v1/users/{me}"), json!({ "role_ids": [operator] })).expect(200);
}

impl Answer {
    /// The code of a refusal.
    #[track_caller]
    fn expect_client_error(self) -> String {
        assert!((400..500).contains(&self.status), "{}: {}", self.status, self.text);
        text(&self.body["code"])
    }
}
