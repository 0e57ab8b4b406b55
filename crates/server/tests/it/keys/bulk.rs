//! Revoking several keys, or all of them.

use serde_json::{Value, json};

use super::{path, rows};
use crate::support::{Server, text};

#[test]
fn mo_6_several_keys_end_after_a_preview_and_a_confirmation() {
    let server = Server::start();
    let root = server.root();
    let make = |class: &str, label: &str| root.key(json!({ "class": class, "label": label }));
    let (one, two, other) = (make("ingest", "a"), make("ingest", "b"), make("workspace", "c"));
    let ask = |extra: Value| {
        let mut body = json!({ "filter": { "class": "ingest" }, "reason": "retired" });
        body.as_object_mut().expect("an object").extend(extra.as_object().expect("an object").clone());
        root.post("/v1/keys/revoke", body)
    };
    let preview = ask(json!({ "preview": true })).ok();
    assert_eq!((&preview["matched"], &preview["revoked"]), (&json!(2), &json!(0)));
    assert_eq!(preview["confirm"], "revoke 2");
    let mut named: Vec<_> =
        rows(&json!({ "data": preview["keys"] })).iter().map(|key| text(&key["id"])).collect();
    named.sort();
    let mut expect = vec![text(&one["id"]), text(&two["id"])];
    expect.sort();
    assert_eq!(named, expect);
    ask(json!({})).refused(409, "not_confirmed");
    ask(json!({ "confirm": "revoke 3" })).refused(409, "not_confirmed");
    ask(json!({ "confirm": "yes" })).refused(409, "not_confirmed");
    assert_eq!([root.code(&text(&one["secret"])), root.code(&text(&two["secret"]))], ["ok", "ok"]);
    let done = ask(json!({ "confirm": "revoke 2" })).ok();
    assert_eq!((&done["matched"], &done["revoked"]), (&json!(2), &json!(2)));
    for key in [&one, &two] {
        assert_eq!(root.code(&text(&key["secret"])), "revoked");
        assert_eq!(root.get(&path(key)).ok()["revoked_reason"], "retired");
    }
    assert_eq!(root.code(&text(&other["secret"])), "ok");
    assert_eq!(ask(json!({ "preview": true })).ok()["matched"], 0);
}

#[test]
fn mo_6_all_keys_end_but_the_one_that_asks() {
    let server = Server::start();
    let root = server.root();
    let (_, key) = root.member("bob", &[]);
    let all = json!({ "filter": { "all": true }, "confirm": "revoke 1" });
    assert_eq!(root.post("/v1/keys/revoke", all).ok()["revoked"], 1);
    assert_eq!(root.code(&text(&key["secret"])), "revoked");
    assert_eq!(root.get("/v1/me").status, 200);
    let events = root.get("/v1/audit-events?action=key.revoke").ok();
    assert_eq!(rows(&events).len(), 1, "each key has its own event");
}

#[test]
fn mo_6_a_filter_must_say_what_it_means() {
    let server = Server::start();
    let root = server.root();
    let (bob, key) = root.member("bob", &[]);
    for filter in [json!({}), json!({ "all": true, "class": "member" }), json!({ "status": "revoked" })] {
        let refused = root.post("/v1/keys/revoke", json!({ "filter": filter, "confirm": "revoke 1" }));
        refused.refused(422, "invalid_value");
    }
    let body = json!({ "filter": { "owner": bob }, "confirm": "revoke 1" });
    root.post("/v1/keys/revoke", body).refused(400, "malformed_request");
    let body = json!({ "filter": { "owner_id": bob }, "confirm": "revoke 1" });
    let own = server.caller(&text(&key["secret"]));
    own.post("/v1/keys/revoke", body.clone()).refused(403, "insufficient_rights");
    assert_eq!(root.code(&text(&key["secret"])), "ok");
    assert_eq!(root.post("/v1/keys/revoke", body).ok()["revoked"], 1);
}

#[test]
fn va_5_mo_6_every_key_of_a_user_ends() {
    let server = Server::start();
    let root = server.root();
    let (bob, one) = root.member("bob", &[]);
    let two = root.key(json!({ "class": "member", "owner_id": bob, "label": "two" }));
    let (_, other) = root.member("alice", &[]);
    let at = format!("/v1/users/{bob}/revoke-keys");
    let preview = root.post(&at, json!({ "preview": true })).ok();
    assert_eq!((&preview["matched"], &preview["revoked"]), (&json!(2), &json!(0)));
    root.post(&at, json!({ "reason": "left" })).refused(409, "not_confirmed");
    let stranger = server.caller(&text(&other["secret"]));
    stranger.post(&at, json!({ "confirm": true })).refused(404, "not_found");
    assert_eq!(root.code(&text(&one["secret"])), "ok");
    let done = root.post(&at, json!({ "reason": "left", "confirm": true })).ok();
    assert_eq!(done["revoked"], 2);
    for key in [&one, &two] {
        assert_eq!(root.code(&text(&key["secret"])), "revoked");
    }
    assert_eq!(root.code(&text(&other["secret"])), "ok");
    assert_eq!(root.get(&format!("/v1/users/{bob}")).ok()["key_count"], 0);
    root.post("/v1/keys", json!({ "class": "member", "owner_id": bob, "label": "new" })).expect(201);
}

#[test]
fn va_5_a_user_ends_all_own_keys() {
    let server = Server::start();
    let root = server.root();
    let (bob, key) = root.member("bob", &[]);
    let own = server.caller(&text(&key["secret"]));
    let done = own.post(&format!("/v1/users/{bob}/revoke-keys"), json!({ "confirm": true })).ok();
    assert_eq!(done["revoked"], 1);
    own.get("/v1/me").refused(401, "revoked");
}
