//! What cannot be made or edited, and how exactly that is said.

use serde_json::{Value, json};

use super::{count, fault, path};
use crate::support::{Caller, Server, text};

fn with(class: &str, fields: &Value) -> Value {
    let mut body = json!({ "class": class, "label": "x" });
    body.as_object_mut().expect("an object").extend(fields.as_object().expect("an object").clone());
    body
}

/// Fields of a body, the pointer and the code of the fault that they are refused with.
fn bad_fields() -> Vec<(Value, &'static str, &'static str)> {
    vec![
        (json!({ "expires_at": "2020-01-01T00:00:00Z" }), "/expires_at", "in_the_past"),
        (json!({ "expires_at": "tomorrow" }), "/expires_at", "bad_time"),
        (json!({ "ttl_seconds": 0 }), "/ttl_seconds", "in_the_past"),
        (json!({ "ttl_seconds": -5 }), "/ttl_seconds", "in_the_past"),
        (json!({ "ttl_seconds": i64::MAX }), "/ttl_seconds", "out_of_range"),
        (json!({ "expires": "soon" }), "/expires", "bad_value"),
        (json!({ "ttl_seconds": 60, "expires": "never" }), "/expires_at", "ambiguous"),
        (json!({ "ttl_seconds": 60, "expires_at": "2099-01-01T00:00:00Z" }), "/expires_at", "ambiguous"),
        (json!({ "scopes": ["keys:read", "no right"] }), "/scopes/1", "bad_right"),
        (json!({ "scopes": ["**/keys:read"] }), "/scopes/0", "bad_right"),
        (json!({ "conditions": { "cidrs": ["192.0.2.1/24"] } }), "/conditions/cidrs/0", "bad_value"),
        (json!({ "conditions": { "cidrs": ["2001:db8::/32", "x"] } }), "/conditions/cidrs/1", "bad_value"),
        (json!({ "conditions": { "methods": ["get"] } }), "/conditions/methods/0", "bad_value"),
        (json!({ "conditions": { "paths": ["reports"] } }), "/conditions/paths/0", "bad_value"),
        (json!({ "conditions": { "paths": ["/a/../b"] } }), "/conditions/paths/0", "bad_value"),
        (json!({ "conditions": { "paths": ["/a/**/b"] } }), "/conditions/paths/0", "bad_value"),
        (json!({ "conditions": { "cidr": [] } }), "/conditions/cidr", "unknown_field"),
        (json!({ "conditions": [] }), "/conditions", "bad_type"),
        (json!({ "label": "" }), "/label", "bad_length"),
        (json!({ "label": "x".repeat(101) }), "/label", "bad_length"),
        (json!({ "label": "a\nb" }), "/label", "bad_characters"),
        (json!({ "label": "a\u{1b}[31m" }), "/label", "bad_characters"),
        (json!({ "label": "a\u{202e}b" }), "/label", "bad_characters"),
        (json!({ "limits": [{ "name": "a", "requests": 0, "per_seconds": 1 }] }), "/limits/0", "bad_limit"),
        (json!({ "limits": [{ "name": "A b", "requests": 1, "per_seconds": 1 }] }), "/limits/0", "bad_limit"),
        (
            json!({ "limits": [{ "name": "a", "requests": 1, "per_seconds": 1, "burst": 2 }] }),
            "/limits/0",
            "bad_limit",
        ),
        (
            json!({ "limits": vec![json!({ "name": "a", "requests": 1, "per_seconds": 1 }); 2] }),
            "/limits/1",
            "duplicate",
        ),
        (
            json!({ "limits": vec![json!({ "name": "a", "requests": 1, "per_seconds": 1 }); 9] }),
            "/limits",
            "too_many",
        ),
        (json!({ "credits": 0 }), "/credits", "out_of_range"),
        (json!({ "idle_seconds": 59 }), "/idle_seconds", "out_of_range"),
        (json!({ "role_ids": ["role_00000000000000000000000000"] }), "/role_ids/0", "not_found"),
        (json!({ "group_ids": ["nonsense"] }), "/group_ids/0", "not_found"),
    ]
}

#[test]
fn key_8_x_5_x_6_bm_4_bad_values_are_named_and_change_nothing() {
    let server = Server::start();
    let root = server.root();
    let key = root.key(json!({ "class": "workspace", "label": "kept" }));
    let before = (count(&root), root.get(&path(&key)).ok());
    for (fields, pointer, code) in bad_fields() {
        for answer in
            [root.post("/v1/keys", with("workspace", &fields)), root.patch(&path(&key), fields.clone())]
        {
            let refused = answer.refused(422, "invalid_value");
            assert_eq!(fault(&refused), (pointer, code), "{fields}: {}", refused.text);
            assert_eq!(refused.header("content-type"), "application/problem+json");
        }
    }
    assert_eq!((count(&root), root.get(&path(&key)).ok()), before);
}

#[test]
fn bm_3_mo_1_mo_2_classes_and_what_they_cannot_have() {
    let server = Server::start();
    let root = server.root();
    let (bob, _) = root.member("bob", &[]);
    let role = root.role("reader", &["reports:read"]);
    let before = count(&root);
    for (class, fields, pointer, code) in [
        ("member", json!({ "owner_id": bob, "role_ids": [role] }), "/role_ids", "not_allowed"),
        ("member", json!({ "owner_id": bob, "group_ids": [role] }), "/group_ids", "not_allowed"),
        ("member", json!({}), "/owner_id", "required"),
        ("workspace", json!({ "owner_id": bob }), "/owner_id", "not_allowed"),
        ("ingest", json!({ "owner_id": bob }), "/owner_id", "not_allowed"),
        ("ingest", json!({ "role_ids": [role] }), "/role_ids", "not_allowed"),
        ("ingest", json!({ "scopes": ["keys:read"] }), "/scopes", "not_ingest"),
        ("ingest", json!({ "scopes": ["**:*"] }), "/scopes", "not_ingest"),
        (
            "workspace",
            json!({ "not_before": "2098-01-01T00:00:00Z", "expires_at": "2097-01-01T00:00:00Z" }),
            "/not_before",
            "after_end",
        ),
    ] {
        let refused = root.post("/v1/keys", with(class, &fields)).refused(422, "invalid_value");
        assert_eq!(fault(&refused), (pointer, code), "{class} {fields}: {}", refused.text);
    }
    let nobody = json!({ "owner_id": "user_00000000000000000000000000" });
    root.post("/v1/keys", with("member", &nobody)).refused(404, "not_found");
    assert_eq!(count(&root), before);
}

fn malformed(root: &Caller, body: &str) -> (String, String, String) {
    let request = root.request("POST", "/v1/keys").header("content-type", "application/json");
    let answer = crate::support::Answer::read(request.body(body.to_owned()).send().expect("an answer"));
    let answer = answer.refused(400, "malformed_request");
    let (pointer, code) = fault(&answer);
    (pointer.into(), code.into(), text(&answer.body["errors"][0]["detail"]))
}

#[test]
fn http_6_what_cannot_be_understood_is_400_with_a_suggestion() {
    let server = Server::start();
    let root = server.root();
    let before = count(&root);
    for (body, pointer, code) in [
        (r#"{"class":"trusted","label":"x"}"#, "/class", "bad_value"),
        (r#"{"class":"workspace"}"#, "/label", "required"),
        (r#"{"class":"workspace","label":7}"#, "/label", "bad_value"),
        (r#"{"class":"workspace","label":"x","ttl_seconds":1.5}"#, "/ttl_seconds", "bad_value"),
        (r#"{"class":"workspace","label":"x","label":"y"}"#, "", "bad_json"),
        (r#"{"class":"workspace","#, "", "bad_json"),
        (r#"{"class":"workspace","label":"x","scope":[]}"#, "/scope", "unknown_field"),
    ] {
        let (at, what, detail) = malformed(&root, body);
        assert_eq!((at.as_str(), what.as_str()), (pointer, code), "{body}: {detail}");
    }
    let (_, _, detail) = malformed(&root, r#"{"class":"workspace","label":"x","scope":[]}"#);
    assert!(detail.contains("did you mean scopes?"), "{detail}");
    assert_eq!(count(&root), before);
}

#[test]
fn az_5_x_4_nobody_makes_a_key_with_more_than_they_hold() {
    let server = Server::start();
    let root = server.root();
    let (bob, key) = root.member("bob", &["reports/**:*"]);
    let narrow = json!({
        "class": "member", "owner_id": bob, "label": "narrow", "scopes": ["me/keys:*", "reports/2026:read"],
    });
    let narrow = root.key(narrow);
    let caller = server.caller(&text(&narrow["secret"]));
    root.delete(&path(&key)).expect(204);
    let make =
        |scopes: Value| caller.post("/v1/keys", json!({ "class": "member", "label": "x", "scopes": scopes }));
    make(json!(["reports/2026:write"])).refused(403, "rights_exceed_caller");
    make(Value::Null).refused(403, "rights_exceed_caller");
    make(json!(["models:read"])).refused(403, "scope_exceeds_owner");
    caller.patch(&path(&narrow), json!({ "scopes": null })).refused(403, "rights_exceed_caller");
    assert_eq!(root.get(&path(&narrow)).ok()["scopes"], json!(["me/keys:*", "reports/2026:read"]));
    make(json!(["reports/2026:read"])).expect(201);
}
