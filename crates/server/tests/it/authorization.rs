//! Who may do what: every route declares it, and nothing goes around it.

use serde_json::{Value, json};

use crate::api::{Operation, document, operations, person, snapshot, tenant, told, worker};
use crate::support::{Answer, Caller, Server, client, text, wait_until};

/// The path with ids of the right form that were never given.
fn path_of_nothing(operation: &Operation) -> String {
    let kind = match operation.path.split('/').nth(2).expect("a kind") {
        "audit-events" => "event",
        "auth" => "session",
        plural => plural.trim_end_matches('s'),
    };
    operation.at(&format!("{kind}_01000000000000000000000000"), "user_01000000000000000000000000")
}

/// Operations behind a credential.
fn secured(server: &Server) -> Vec<Operation> {
    operations(&document(server)).into_iter().filter(|operation| operation.secured).collect()
}

#[test]
fn az_1_every_operation_declares_what_it_needs() {
    let server = Server::start();
    let operations = operations(&document(&server));
    assert!(operations.len() >= 45, "{}", operations.len());
    for operation in &operations {
        let declared = match operation.id.as_str() {
            "set_up"
            | "mint_token"
            | "revoke_trusted_token"
            | "validate_token"
            | "log_in"
            | "log_in_with_factor"
            | "begin_passkey_login"
            | "log_in_with_passkey"
            | "redeem_password_link"
            | "open_handover"
            | "oauth_token"
            | "oauth_introspect"
            | "oauth_revoke"
            | "report_leak"
            | "report_leak_github" => !operation.secured && !operation.session && operation.rights.is_empty(),
            _ if operation.session => operation.rights.is_empty(),
            "who_am_i" => operation.secured && operation.rights.is_empty(),
            _ => operation.secured && !operation.rights.is_empty(),
        };
        assert!(declared, "{}: {:?}", operation.id, operation.rights);
    }
}

#[test]
fn az_1_without_credential_401_without_right_403_and_nothing_changes() {
    let server = Server::start();
    let root = server.root();
    let nobody = worker(&server, &root, "nobody", &["nothing:read"]);
    let ingest = server.caller(&text(&root.key(json!({ "class": "ingest", "label": "ingest" }))["secret"]));
    let before = snapshot(&root);
    for operation in secured(&server) {
        let path = path_of_nothing(&operation);
        let method = operation.method.parse().expect("a method");
        let bare = client().request(method, format!("{}{path}", server.url));
        let bare = Answer::read(bare.json(&operation.example).send().expect("an answer"));
        assert_eq!(bare.refused(401, "no_credential").header("www-authenticate"), "Bearer realm=\"keyward\"");
        let answer = operation.send(&nobody, &path);
        if operation.rights.is_empty() {
            answer.expect(200);
        } else {
            let told = answer.refused(403, "insufficient_rights");
            assert!(text(&told.body["detail"]).contains(&operation.rights[0]), "{}", told.text);
        }
        operation.send(&ingest, &path).refused(403, "wrong_class");
    }
    assert_eq!(snapshot(&root), before);
}

#[test]
fn az_1_the_declared_right_alone_is_enough() {
    let server = Server::start();
    let root = server.root();
    for (number, operation) in secured(&server).iter().enumerate() {
        let Some(right) = operation.rights.first() else { continue };
        let holder = worker(&server, &root, &format!("holder {number}"), &[right]);
        let answer = operation.send(&holder, &path_of_nothing(operation));
        assert_ne!(answer.status, 401, "{} {}", operation.id, answer.text);
        assert_ne!(
            answer.body["code"], "insufficient_rights",
            "{} with {right}: {}",
            operation.id, answer.text
        );
        assert!(answer.status < 500, "{} {}", operation.id, answer.text);
    }
}

#[test]
fn az_13_aliases_carry_the_same_checks() {
    let server = Server::start();
    let (tenant_id, admin) = tenant(&server, "acme");
    let (_, _, member) = person(&server, &admin, "mia", &["me:read", "me/keys:*"]);
    let other = admin.key(json!({ "class": "workspace", "label": "other" }));
    let (id, alias) = (text(&other["id"]), text(&other["access_key"]));
    for operation in secured(&server).iter().filter(|operation| operation.path.starts_with("/v1/keys/{id}")) {
        let by_id = told(&operation.send(&member, &operation.at(&id, "")));
        // Nobody decides about the approval of what is their own.
        let reaches = operation.rights.iter().any(|right| right.starts_with("me/"));
        assert_eq!(by_id.0, if reaches { 404 } else { 403 }, "{}", operation.id);
        assert_eq!(told(&operation.send(&member, &operation.at(&alias, ""))), by_id, "{}", operation.id);
    }
    for operation in
        secured(&server).iter().filter(|operation| operation.path.starts_with("/v1/tenants/{id}"))
    {
        let by_id = told(&operation.send(&member, &operation.at(&tenant_id, "")));
        assert_eq!(by_id.0, 403, "{}", operation.id);
        assert_eq!(told(&operation.send(&member, &operation.at("current", ""))), by_id, "{}", operation.id);
    }
    // Other spellings of a route are no routes.
    for path in ["/v1/keys/", "/V1/keys", "/v1/Keys", "/v2/keys", "/keys", "/v1/keys.json", "/v1/verify/"] {
        admin.get(path).refused(404, "not_found");
    }
    for path in ["/v1//keys", "/v1/./keys", "/v1/users/../keys", "/v1/keys%2f", "/v1;x/keys"] {
        let raw = format!("GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\n\r\n", admin.secret);
        let answer = server.raw(raw.as_bytes());
        assert!(answer.starts_with("HTTP/1.1 400"), "{path}: {answer}");
    }
    assert_eq!(admin.code(&text(&other["secret"])), "ok");
}

/// Sends every field that the answer has and the request has not; each must be refused by name.
fn try_fields(caller: &Caller, method: &str, path: &str, shown: &Value, base: &Value, settable: &[&str]) {
    let mut tried = 0;
    for (name, value) in shown.as_object().expect("an object") {
        if settable.contains(&name.as_str()) {
            continue;
        }
        let mut body = base.clone();
        body[name] = value.clone();
        let answer = Answer::read(caller.request(method, path).json(&body).send().expect("an answer"));
        let answer = answer.refused(400, "malformed_request");
        assert_eq!(answer.body["errors"][0]["code"], "unknown_field", "{path} {name}: {}", answer.text);
        assert_eq!(answer.body["errors"][0]["pointer"], format!("/{name}"));
        tried += 1;
    }
    assert!(tried >= 4, "{path}: only {tried} fields of the answer are not settable");
}

#[test]
fn az_8_no_field_of_an_answer_can_be_assigned_unless_documented() {
    let server = Server::start();
    let (_, admin) = tenant(&server, "acme");
    let rights =
        ["me:read", "me/keys:*", "users:*", "groups:*", "roles:*", "tenants:*", "policies:*", "a:read"];
    let (user, role, low) = person(&server, &admin, "low", &rights);
    let group = text(&admin.post("/v1/groups", json!({ "name": "Low" })).ok()["id"]);
    let key = text(&low.get("/v1/me").ok()["key"]["id"]);
    let before = snapshot(&admin);
    let name = ["name", "description"];
    let user_fields = [
        "username",
        "email",
        "display_name",
        "role_ids",
        "group_ids",
        "owner_login_window_minutes",
        "session_minutes",
        "trusted_tokens",
        "credits",
    ];
    let key_fields = [
        "label",
        "scopes",
        "group_ids",
        "role_ids",
        "expires_at",
        "conditions",
        "limits",
        "credits",
        "idle_seconds",
        "rotation",
    ];
    let new_key_fields = [&key_fields[..], &["class", "owner_id", "not_before", "canary"]].concat();
    let rights_too = [&name[..], &["rights"]].concat();
    let roles_too = [&name[..], &["role_ids"]].concat();
    for (kind, id, settable, base, at_making) in [
        ("users", &user, &user_fields[..], json!({ "username": "new" }), &user_fields[..]),
        ("groups", &group, &roles_too, json!({ "name": "new" }), &roles_too),
        ("roles", &role, &rights_too, json!({ "name": "new", "rights": ["a:read"] }), &rights_too),
        ("keys", &key, &key_fields, json!({ "class": "member", "label": "new" }), &new_key_fields),
    ] {
        let path = format!("/v1/{kind}/{id}");
        let shown = low.get(&path).ok();
        try_fields(&low, "PATCH", &path, &shown, &json!({}), settable);
        try_fields(&low, "POST", &format!("/v1/{kind}"), &shown, &base, at_making);
    }
    let shown = low.get("/v1/tenants/current").ok();
    try_fields(&low, "PATCH", "/v1/tenants/current", &shown, &json!({}), &["slug", "name", "features"]);
    for body in [json!({ "slug": "mine" }), json!({ "features": { "workspace_keys": true } })] {
        low.patch("/v1/tenants/current", body).refused(403, "insufficient_rights");
    }
    low.patch("/v1/policies", json!({ "version": 9 })).refused(400, "malformed_request");
    assert_eq!(snapshot(&admin), before, "a refused field changed something");
    low.patch(&format!("/v1/users/{user}"), json!({ "display_name": "Low" })).expect(200);
}

#[test]
fn az_8_bodies_of_actions_take_nothing_unknown() {
    let server = Server::start();
    let root = server.root();
    let operations = secured(&server);
    let with_body =
        operations.iter().filter(|operation| operation.example.is_some() && operation.id != "edit_policy");
    for operation in with_body {
        let mut body = operation.example.clone().expect("an example");
        body["tenant_id"] = server.tenant().into();
        let path = path_of_nothing(operation);
        let answer =
            Answer::read(root.request(&operation.method, &path).json(&body).send().expect("an answer"));
        let answer = answer.refused(400, "malformed_request");
        assert_eq!(answer.body["errors"][0]["pointer"], "/tenant_id", "{}: {}", operation.id, answer.text);
    }
}

#[test]
fn az_9_a_changed_role_acts_on_the_next_request() {
    let server = Server::start();
    let (_, admin) = tenant(&server, "acme");
    let (user, role, ada) = person(&server, &admin, "ada", &["me:read", "users:read", "models/emea:read"]);
    let asks =
        |right: &str| admin.post("/v1/verify", json!({ "credential": ada.secret, "rights": [right] })).ok();
    let set =
        |rights: &[&str]| admin.patch(&format!("/v1/roles/{role}"), json!({ "rights": rights })).expect(200);
    for _ in 0..3 {
        assert_eq!(asks("models/emea:read")["code"], "ok");
        ada.get("/v1/users").expect(200);
        set(&["me:read"]);
        assert_eq!(asks("models/emea:read")["code"], "insufficient_rights");
        ada.get("/v1/users").refused(403, "insufficient_rights");
        set(&["me:read", "users:read", "models/emea:read"]);
    }
    admin.patch(&format!("/v1/users/{user}"), json!({ "role_ids": [] })).expect(200);
    assert_eq!(asks("models/emea:read")["code"], "insufficient_rights");
    let group = text(&admin.post("/v1/groups", json!({ "name": "Readers", "role_ids": [role] })).ok()["id"]);
    admin.put(&format!("/v1/groups/{group}/members/{user}")).expect(204);
    assert_eq!(asks("models/emea:read")["code"], "ok");
    admin.delete(&format!("/v1/groups/{group}/members/{user}")).expect(204);
    assert_eq!(asks("models/emea:read")["code"], "insufficient_rights");
    admin.post(&format!("/v1/users/{user}/suspend"), json!({})).expect(200);
    assert_eq!(asks("me:read")["code"], "owner_suspended");
    ada.get("/v1/me").refused(401, "owner_suspended");
}

#[test]
fn az_9_a_changed_role_acts_on_another_node_within_a_second() {
    let server = Server::start();
    let (_, admin) = tenant(&server, "acme");
    let (_, role, ada) = person(&server, &admin, "ada", &["me:read", "users:read"]);
    let node = server.second_node();
    let there = node.caller(&ada.secret);
    there.get("/v1/users").expect(200);
    admin.patch(&format!("/v1/roles/{role}"), json!({ "rights": ["me:read"] })).expect(200);
    let started = std::time::Instant::now();
    wait_until(|| there.get("/v1/users").status == 403);
    assert!(started.elapsed() < std::time::Duration::from_millis(1500), "{:?}", started.elapsed());
}
