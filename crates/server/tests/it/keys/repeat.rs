//! Repeated and tried-out requests: `Idempotency-Key`, `validate_only`, `ETag` and `If-Match`.

use serde_json::{Value, json};

use super::{count, fault, path};
use crate::support::{Answer, Caller, Server, text};

fn post_once(caller: &Caller, path: &str, key: &str, body: &Value) -> Answer {
    let request = caller.request("POST", path).header("idempotency-key", key).json(body);
    Answer::read(request.send().expect("an answer"))
}

#[test]
fn key_5_a_repeated_request_gets_the_first_answer_without_its_secret() {
    let server = Server::start();
    let root = server.root();
    let body = json!({ "class": "workspace", "label": "once" });
    let first = post_once(&root, "/v1/keys", "a-1", &body).expect(201);
    let secret = text(&first.body["secret"]);
    let before = count(&root);
    let second = post_once(&root, "/v1/keys", "a-1", &body).expect(201);
    assert_eq!(
        (&second.body["id"], second.header("location")),
        (&first.body["id"], first.header("location"))
    );
    assert_eq!((&second.body["secret"], &second.body["copy"]), (&Value::Null, &Value::Null));
    assert_eq!(second.body["secret_state"], "delivered");
    assert!(!second.text.contains(&secret));
    assert!(!server.place.dump().contains(&secret));
    assert_eq!(count(&root), before);
    assert_eq!(root.code(&secret), "ok");
    let other = json!({ "class": "workspace", "label": "another" });
    post_once(&root, "/v1/keys", "a-1", &other).refused(422, "idempotency_key_reused");
    assert_eq!(count(&root), before);
    let principal = server.caller(&secret);
    post_once(&principal, "/v1/keys", "a-1", &other).expect(201);
    assert_eq!(count(&root), before + 1, "another principal has keys of its own");
}

#[test]
fn key_9_a_repeated_rotation_makes_one_secret() {
    let server = Server::start();
    let root = server.root();
    let key = root.key(json!({ "class": "workspace", "label": "x" }));
    let at = format!("{}/rotate", path(&key));
    let first = post_once(&root, &at, "r-1", &json!({})).expect(200).body;
    let again = post_once(&root, &at, "r-1", &json!({})).expect(200).body;
    assert_eq!((&again["secret"], &again["secret_state"]), (&Value::Null, &json!("delivered")));
    assert_eq!(again["secrets"], first["secrets"]);
    assert_eq!(root.get(&path(&key)).ok()["secrets"].as_array().expect("secrets").len(), 2);
}

#[test]
fn az_10_parallel_requests_with_one_idempotency_key_make_one_key() {
    let server = Server::start();
    let root = server.root();
    let before = count(&root);
    let body = json!({ "class": "workspace", "label": "one" });
    let answers: Vec<_> = std::thread::scope(|scope| {
        let running: Vec<_> =
            (0..12).map(|_| scope.spawn(|| post_once(&root, "/v1/keys", "p-1", &body))).collect();
        running.into_iter().map(|thread| thread.join().expect("no panic")).collect()
    });
    let secrets = answers.iter().filter(|answer| answer.body["secret"].is_string()).count();
    assert_eq!(secrets, 1, "the secret is told once");
    for answer in answers {
        match answer.status {
            201 => {}
            _ => drop(answer.refused(409, "request_in_progress")),
        }
    }
    assert_eq!(count(&root), before + 1);
}

#[test]
fn bm_2_a_refusal_frees_the_idempotency_key() {
    let server = Server::start();
    let root = server.root();
    let bad = json!({ "class": "workspace", "label": "x", "expires_at": "2020-01-01T00:00:00Z" });
    post_once(&root, "/v1/keys", "b-1", &bad).refused(422, "invalid_value");
    post_once(&root, "/v1/keys", "b-1", &json!({ "class": "workspace", "label": "x" })).expect(201);
    let long = "x".repeat(256);
    for bad in ["", "with blank", &long] {
        let refused = post_once(&root, "/v1/keys", bad, &json!({ "class": "workspace", "label": "x" }));
        refused.refused(400, "malformed_request");
    }
}

#[test]
fn key_8_validate_only_tells_and_makes_nothing() {
    let server = Server::start();
    let root = server.root();
    let before = count(&root);
    let body = json!({ "class": "workspace", "label": "tried" });
    let tried = root.post("/v1/keys?validate_only=true", body.clone()).ok();
    assert_eq!((&tried["secret"], &tried["secret_state"]), (&Value::Null, &json!("not_made")));
    let bad = json!({ "class": "workspace", "label": "" });
    root.post("/v1/keys?validate_only=true", bad).refused(422, "invalid_value");
    assert_eq!(count(&root), before);
    let key = root.key(body);
    let shown = root.get(&path(&key)).ok();
    let edited = root.patch(&format!("{}?validate_only=true", path(&key)), json!({ "label": "new" })).ok();
    assert_eq!(edited["label"], "new");
    for action in ["rotate", "revoke", "deactivate", "secret"] {
        root.post(&format!("{}/{action}?validate_only=true", path(&key)), json!({})).ok();
    }
    assert_eq!(root.get(&path(&key)).ok(), shown, "nothing was kept");
    let wrong = root.post("/v1/keys?validate_only=perhaps", json!({})).refused(400, "malformed_request");
    assert_eq!(fault(&wrong), ("validate_only", "bad_value"));
}

#[test]
fn bm_12_a_created_key_stands_where_location_says_with_an_etag() {
    let server = Server::start();
    let root = server.root();
    let created = root.post("/v1/keys", json!({ "class": "workspace", "label": "x" })).expect(201);
    assert_eq!(created.header("location"), path(&created.body));
    let shown = root.get(created.header("location")).expect(200);
    assert_eq!(shown.header("etag"), "\"1\"");
    assert_eq!(shown.body["id"], created.body["id"]);
    let by_access_key = root.get(&format!("/v1/keys/{}", text(&created.body["access_key"]))).ok();
    assert_eq!(by_access_key, shown.body);
}

fn if_match(caller: &Caller, method: &str, path: &str, tag: &str, body: &Value) -> Answer {
    let request = caller.request(method, path).header("if-match", tag).json(body);
    Answer::read(request.send().expect("an answer"))
}

#[test]
fn az_10_an_old_etag_is_refused_and_changes_nothing() {
    let server = Server::start();
    let root = server.root();
    let key = root.key(json!({ "class": "workspace", "label": "first" }));
    let at = path(&key);
    let edited = if_match(&root, "PATCH", &at, "\"1\"", &json!({ "label": "second" })).expect(200);
    assert_eq!(edited.header("etag"), "\"2\"");
    let before = root.get(&at).ok();
    if_match(&root, "PATCH", &at, "\"1\"", &json!({ "label": "third" })).refused(412, "stale_version");
    if_match(&root, "PATCH", &at, "W/\"2\"", &json!({ "label": "third" })).refused(412, "stale_version");
    if_match(&root, "DELETE", &at, "\"1\"", &json!({})).refused(412, "stale_version");
    for action in ["revoke", "deactivate", "rotate", "secret", "extend"] {
        if_match(&root, "POST", &format!("{at}/{action}"), "\"1\"", &json!({})).refused(412, "stale_version");
    }
    assert_eq!(root.get(&at).ok(), before);
    if_match(&root, "PATCH", &at, "*", &json!({ "label": "any" })).expect(200);
    if_match(&root, "POST", &format!("{at}/revoke"), "\"3\"", &json!({})).expect(200);
}
