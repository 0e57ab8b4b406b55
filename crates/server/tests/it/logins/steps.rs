//! What needs a fresh proof, and what it gives.

use serde_json::{Value, json};

use super::{PASSWORD, ask_for_no_factor, id_of, session, somebody};
use crate::api::{Operation, document, operations};
use crate::support::{Answer, Server, text};

#[test]
fn ses_6_granting_exporting_and_login_rules_need_a_fresh_proof() {
    let server = Server::start();
    let root = server.root();
    ask_for_no_factor(&root);
    somebody(&server, "boss", &["**:*", "instance/**:*"]);
    let (role, user) = (root.role("reader", &["x:read"]), root.user("grace", &[]));
    let group = text(&root.post("/v1/groups", json!({ "name": "Readers" })).ok()["id"]);
    let trusted = text(&session(&server.url, "boss").post("/v1/trusted/enable", json!({})).ok()["id"]);
    let key = text(&root.key(json!({ "class": "workspace", "label": "old", "role_ids": [role] }))["id"]);
    let dangerous: [(&str, String, Value); 21] = [
        ("POST", "/v1/keys".into(), json!({ "class": "member", "label": "own" })),
        ("POST", "/v1/keys".into(), json!({ "class": "workspace", "label": "new", "role_ids": [role] })),
        ("POST", format!("/v1/keys/{key}/rotate"), json!({ "overlap_seconds": 60 })),
        ("POST", format!("/v1/keys/{key}/secret"), json!({})),
        ("PATCH", format!("/v1/keys/{key}"), json!({ "role_ids": [role] })),
        ("PATCH", format!("/v1/keys/{key}"), json!({ "scopes": ["x:read"] })),
        ("PATCH", format!("/v1/trusted/{trusted}"), json!({ "ceiling": { "admins": true } })),
        ("PATCH", format!("/v1/users/{user}"), json!({ "email": "grace@example.org" })),
        ("PATCH", format!("/v1/users/{user}"), json!({ "role_ids": [role] })),
        ("PATCH", format!("/v1/users/{user}"), json!({ "group_ids": [group] })),
        ("POST", "/v1/users".into(), json!({ "username": "new", "role_ids": [role] })),
        ("PUT", format!("/v1/groups/{group}/members/{user}"), json!({})),
        ("PATCH", format!("/v1/groups/{group}"), json!({ "role_ids": [role] })),
        ("PATCH", format!("/v1/roles/{role}"), json!({ "rights": ["y:read"] })),
        ("PATCH", "/v1/policies".into(), json!({ "login": { "idle_minutes": 30 } })),
        ("POST", format!("/v1/users/{user}/password-reset"), json!({})),
        ("DELETE", format!("/v1/users/{user}/factors"), json!({})),
        ("GET", "/v1/audit-events/export".into(), json!({})),
        ("POST", "/v1/trusted/enable".into(), json!({ "name": "second" })),
        ("POST", "/v1/trusted/copy".into(), json!({ "id": trusted })),
        ("POST", format!("/v1/trusted/{trusted}/rotate"), json!({})),
    ];
    // Both sessions are aged before they are known to the server; one proves itself again.
    let (stale, renewed) = (session(&server.url, "boss"), session(&server.url, "boss"));
    server.place.sql("UPDATE sessions SET stepped_up_at = stepped_up_at - 601000");
    let renewed = renewed.post("/v1/auth/step-up", json!({ "password": PASSWORD })).ok();
    let renewed = server.caller(&text(&renewed["token"]));
    for (method, path, body) in &dangerous {
        let send = |caller: &crate::support::Caller| {
            Answer::read(caller.request(method, path).json(body).send().expect("an answer"))
        };
        let before = root.get(&format!("/v1/users/{user}")).ok();
        send(&stale).refused(403, "step_up_required");
        assert_eq!(root.get(&format!("/v1/users/{user}")).ok(), before);
        send(&renewed).ok();
    }
    // What is harmless needs none, and a key proves itself each time.
    stale.patch(&format!("/v1/users/{user}"), json!({ "display_name": "Grace" })).expect(200);
    stale.post("/v1/users", json!({ "username": "plain" })).expect(201);
    root.patch(&format!("/v1/users/{user}"), json!({ "role_ids": [role] })).expect(200);
}

#[test]
fn ses_1_ses_6_a_step_up_gives_another_token_and_the_old_one_dies() {
    let server = Server::start();
    somebody(&server, "grace", &["me:read"]);
    let node = server.second_node();
    let own = session(&server.url, "grace");
    let id = id_of(&own);
    node.caller(&own.secret).get("/v1/me").expect(200);
    own.post("/v1/auth/step-up", json!({ "password": "seven wet hats on a rope" }))
        .refused(401, "invalid_login");
    own.get("/v1/me").expect(200);
    let opened = own.post("/v1/auth/step-up", json!({ "password": PASSWORD })).ok();
    let renewed = server.caller(&text(&opened["token"]));
    assert_ne!(renewed.secret, own.secret);
    assert_eq!(id_of(&renewed), id, "the session is the same");
    own.get("/v1/me").refused(401, "invalid_key");
    crate::support::wait_until(|| node.caller(&own.secret).get("/v1/me").status == 401);
    node.caller(&renewed.secret).get("/v1/me").expect(200);
    let started = |opened: &Value| opened["session"]["started_at"].clone();
    let again = renewed.post("/v1/auth/step-up", json!({ "password": PASSWORD })).ok();
    assert_eq!(started(&again), started(&opened), "it lives no longer for it");
}

#[test]
fn x_13_the_examples_about_sessions_work_on_a_live_server() {
    let server = Server::start();
    let document = document(&server);
    let all: Vec<Operation> = operations(&document);
    // Those about second factors and passkeys need them: they stand with the tests of factors.
    let about = all.iter().filter(|operation| operation.path.starts_with("/v1/auth/"));
    let others =
        |operation: &&Operation| !operation.path.contains("/factor") && !operation.id.contains("passkey");
    let about: Vec<_> = about.filter(others).collect();
    assert_eq!(about.len(), 8);
    somebody(&server, "grace", &["me:read", "me/sessions:*"]);
    for operation in about {
        let own = session(&server.url, "grace");
        let other = session(&server.url, "grace");
        let mut operation = operation.clone();
        if operation.id == "redeem_password_link" {
            let user = server.root().get("/v1/users?username=grace").ok()["data"][0]["id"].clone();
            let link =
                server.root().post(&format!("/v1/users/{}/password-reset", text(&user)), json!({})).ok();
            operation.example.as_mut().expect("an example")["token"] = link["token"].clone();
        }
        let path = operation.at(&id_of(&other), "");
        let answer = operation.send(&own, &path);
        assert_eq!(answer.status, operation.status, "{}: {}", operation.id, answer.text);
        if operation.id == "change_password" {
            let body = json!({ "old_password": "eleven cold spoons in a drawer", "new_password": PASSWORD });
            server.caller(&text(&answer.body["token"])).post("/v1/auth/password", body).expect(200);
        }
    }
}

#[test]
fn az_1_routes_about_the_session_that_asks_refuse_keys() {
    let server = Server::start();
    let document = document(&server);
    for operation in operations(&document).iter().filter(|operation| operation.session) {
        let path = &operation.path;
        let method: reqwest::Method = operation.method.parse().expect("a method");
        let bare = crate::support::client().request(method, format!("{}{path}", server.url));
        Answer::read(bare.json(&operation.example).send().expect("an answer")).refused(401, "no_credential");
        operation.send(&server.root(), path).refused(403, "not_a_session");
    }
}

#[test]
fn idempotent_replays_show_no_token_again() {
    let server = Server::start();
    let root = server.root();
    let user = root.user("grace", &[]);
    let send = || {
        let request = root.request("POST", &format!("/v1/users/{user}/password-reset"));
        let request = request.header("Idempotency-Key", "one-link").json(&json!({}));
        Answer::read(request.send().expect("an answer")).ok()
    };
    let first = send();
    let token = text(&first["token"]);
    let again = send();
    assert_eq!((&again["token"], &again["secret_state"]), (&Value::Null, &json!("delivered")));
    assert!(!server.place.dump().contains(&token[4..]));
}
