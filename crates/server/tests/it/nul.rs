//! The character NUL, which one engine cannot keep, is refused at the door and by both alike.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::api::{all, document, operations, snapshot};
use crate::support::{Answer, Server};

/// Puts NUL into the first string that is found.
fn poison(value: &mut Value) -> bool {
    match value {
        Value::String(text) => {
            text.push('\0');
            true
        }
        Value::Array(items) => items.iter_mut().any(poison),
        Value::Object(fields) => fields.values_mut().any(poison),
        _ => false,
    }
}

#[test]
fn http_6_http_8_nul_in_a_parameter_or_body_is_the_clients_fault() {
    let server = Server::start();
    let root = server.root();
    let before = snapshot(&root);
    let (mut parameters, mut bodies) = (0, 0);
    for operation in operations(&document(&server)).iter().filter(|operation| operation.secured) {
        let path = operation.at("user_01000000000000000000000000", "user_01000000000000000000000000");
        for parameter in operation.entry["parameters"].as_array().expect("parameters") {
            if parameter["in"] == "query" {
                let name = parameter["name"].as_str().expect("a name");
                operation.send(&root, &format!("{path}?{name}=%00")).refused(400, "malformed_request");
                parameters += 1;
            }
        }
        let mut body = operation.example.clone().unwrap_or_default();
        if !operation.id.starts_with("verify") && poison(&mut body) {
            let request = root.request(&operation.method, &path).json(&body);
            Answer::read(request.send().expect("an answer")).refused(400, "malformed_request");
            bodies += 1;
        }
    }
    assert!(parameters > 30 && bodies > 15, "{parameters} {bodies}");
    // Whatever an end client presents gets an answer about the credential.
    assert_eq!(root.code("kwm_\0"), "invalid_key");
    let batch = root.post("/v1/verify/batch", json!({ "requests": [{ "credential": "kwm_\0" }] })).ok();
    assert_eq!(batch["results"][0]["code"], "invalid_key");
    assert_eq!(snapshot(&root), before);
}

#[test]
fn http_6_a_forged_cursor_is_the_clients_fault() {
    let server = Server::start();
    let root = server.root();
    for name in ["a", "b"] {
        root.user(name, &[]);
    }
    let page = root.get("/v1/users?limit=1").ok();
    let cursor = URL_SAFE_NO_PAD.decode(page["next_cursor"].as_str().expect("a cursor")).expect("base64");
    let mut cursor: Value = serde_json::from_slice(&cursor).expect("JSON");
    let forge = |cursor: &Value| {
        let text = URL_SAFE_NO_PAD.encode(cursor.to_string());
        root.get(&format!("/v1/users?limit=1&cursor={text}"))
    };
    forge(&cursor).expect(200);
    assert!(poison(&mut cursor), "{cursor}");
    forge(&cursor).refused(400, "malformed_request");
    forge(&json!({})).refused(400, "malformed_request");
    root.get("/v1/users?cursor=x").refused(400, "malformed_request");
    assert_eq!(all(&root, "/v1/users").len(), 3);
}
