//! A change whose audit record cannot be written does not happen (AUD-5).

use serde_json::{Value, json};

use crate::support::{Caller, Place, Server, engine, text};

/// Makes the database refuse every new audit event.
fn break_the_log(place: &Place) {
    match engine() {
        "postgres" => place.sql("ALTER TABLE audit_events ADD CONSTRAINT broken CHECK (seq < 0) NOT VALID"),
        _ => place.sql(
            "CREATE TRIGGER broken BEFORE INSERT ON audit_events BEGIN SELECT RAISE(ABORT, 'canary-of-the-trigger'); END",
        ),
    };
}

fn mend_the_log(place: &Place) {
    match engine() {
        "postgres" => place.sql("ALTER TABLE audit_events DROP CONSTRAINT broken"),
        _ => place.sql("DROP TRIGGER broken"),
    };
}

fn everything(root: &Caller) -> Vec<Value> {
    [
        "/v1/keys",
        "/v1/users",
        "/v1/roles",
        "/v1/groups",
        "/v1/policies",
        "/v1/tenants",
        "/v1/log-levels",
        "/v1/audit-events",
    ]
    .iter()
    .map(|path| super::without_use(root.get(path).ok()))
    .collect()
}

#[test]
fn aud_5_a_change_without_its_record_does_not_happen() {
    let server = Server::start();
    let root = server.root();
    let (user, key) = root.member("ada", &[]);
    let secret = text(&key["secret"]);
    let (key, role) = (format!("/v1/keys/{}", text(&key["id"])), root.role("analyst", &["a:read"]));
    assert_eq!(root.code(&secret), "ok");
    let before = everything(&root);
    break_the_log(&server.place);
    let put = |path: &str, body: Value| {
        let request = root.request("PUT", path).json(&body);
        crate::support::Answer::read(request.send().expect("an answer"))
    };
    for answer in [
        root.post("/v1/keys", json!({ "class": "workspace", "label": "unrecorded" })),
        root.post(&format!("{key}/revoke"), json!({ "reason": "x" })),
        root.post(&format!("{key}/secret"), json!({})),
        root.post(&format!("{key}/rotate"), json!({})),
        root.patch(&key, json!({ "label": "unrecorded" })),
        root.post("/v1/users", json!({ "username": "unrecorded" })),
        root.delete(&format!("/v1/users/{user}")),
        root.patch(&format!("/v1/roles/{role}"), json!({ "rights": ["**:*"] })),
        root.post("/v1/groups", json!({ "name": "unrecorded" })),
        root.patch("/v1/policies", json!({ "max_keys_per_user": 9 })),
        root.post("/v1/tenants", json!({ "slug": "unrecorded" })),
        put("/v1/log-levels", json!({ "filter": "trace" })),
    ] {
        assert!((500..600).contains(&answer.status), "{}: {}", answer.status, answer.text);
        for leak in ["secret", "kwm_", "kww_", "canary", "constraint", "trigger", "audit_events"] {
            assert!(!answer.text.contains(leak), "{leak}: {}", answer.text);
        }
    }
    let export = root.get("/v1/audit-events/export");
    assert!((500..600).contains(&export.status), "an export without a record neither: {}", export.status);
    assert_eq!(everything(&root), before);
    assert_eq!(root.code(&secret), "ok", "verification needs no record and goes on");
    mend_the_log(&server.place);
    root.post("/v1/keys", json!({ "class": "workspace", "label": "recorded" })).expect(201);
    assert_eq!(root.get("/v1/audit-events/verification").ok()["ok"], true);
}

#[test]
fn aud_5_a_key_that_was_not_recorded_leaves_no_trace_in_the_database() {
    let server = Server::start();
    break_the_log(&server.place);
    let refused =
        server.root().post("/v1/keys", json!({ "class": "workspace", "label": "unrecorded-marker" }));
    assert!(refused.status >= 500);
    let idempotent = server.root().request("POST", "/v1/keys").header("Idempotency-Key", "once");
    let idempotent = idempotent.json(&json!({ "class": "workspace", "label": "unrecorded-marker" })).send();
    assert!(idempotent.expect("an answer").status().is_server_error());
    mend_the_log(&server.place);
    assert!(!server.root().get("/v1/keys").text.contains("unrecorded-marker"));
    let again = server.root().request("POST", "/v1/keys").header("Idempotency-Key", "once");
    let again = again.json(&json!({ "class": "workspace", "label": "recorded" })).send().expect("an answer");
    assert_eq!(again.status(), 201, "the failed one did not keep the idempotency key");
}
