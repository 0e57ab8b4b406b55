//! `/v1/me`, and what a key may do for its owner.

use serde_json::{Value, json};

use crate::keys::{path, rows, tenant};
use crate::support::{Answer, Server, client, text};

#[test]
fn mo_4_va_2_a_key_says_who_it_speaks_for_without_any_password() {
    let server = Server::start();
    let root = server.root();
    let (bob, key) = root.member("bob", &["reports:read"]);
    let caller = server.caller(&text(&key["secret"]));
    let me = caller.get("/v1/me").expect(200).body;
    assert_eq!(me["principal"], json!({ "kind": "user", "id": bob, "username": "bob" }));
    assert_eq!((&me["tenant"]["number"], text(&me["tenant"]["id"])), (&json!(0), server.tenant()));
    let expect = json!({
        "id": key["id"], "access_key": key["access_key"], "class": "member", "label": "bob's key",
    });
    assert_eq!(me["key"], expect);
    assert_eq!(me["rights"], root.get(&path(&key)).ok()["effective_rights"]);
    let basic = client().get(format!("{}/v1/me", server.url));
    let basic = basic.basic_auth(text(&key["access_key"]), Some(text(&key["secret"])));
    assert_eq!(Answer::read(basic.send().expect("an answer")).ok(), me);
    let workspace = root.get("/v1/me").ok();
    assert_eq!(workspace["principal"]["kind"], "workspace");
    assert_eq!(
        (&workspace["principal"]["username"], &workspace["key"]["class"]),
        (&Value::Null, &json!("workspace"))
    );
    Answer::read(client().get(format!("{}/v1/me", server.url)).send().expect("an answer"))
        .refused(401, "no_credential");
}

#[test]
fn sq_3_key_11_x_4_rights_are_the_owners_live() {
    let server = Server::start();
    let root = server.root();
    let reports = root.role("reports", &["me:read", "me/keys:*", "reports:read", "reports:write"]);
    let bob = root.user("bob", &[&reports]);
    let whole = root.key(json!({ "class": "member", "owner_id": bob, "label": "whole" }));
    let scopes = json!(["reports:read", "me/keys:read"]);
    let narrow = root.key(json!({ "class": "member", "owner_id": bob, "label": "narrow", "scopes": scopes }));
    let ask = |key: &Value, right: &str| {
        let body = json!({ "credential": key["secret"], "rights": [right] });
        text(&root.post("/v1/verify", body).ok()["code"])
    };
    assert_eq!([ask(&whole, "reports:write"), ask(&narrow, "reports:read")], ["ok", "ok"]);
    assert_eq!(ask(&narrow, "reports:write"), "insufficient_rights", "scopes narrow");
    root.patch(&format!("/v1/roles/{reports}"), json!({ "rights": ["me:read", "reports:write"] })).ok();
    assert_eq!([ask(&whole, "reports:read"), ask(&narrow, "reports:read")], ["insufficient_rights"; 2]);
    assert_eq!(ask(&whole, "reports:write"), "ok");
    assert_eq!(root.get(&path(&narrow)).ok()["effective_rights"], json!([]), "viewable");
    let extra = root.role("extra", &["models/emea:read"]);
    root.patch(&format!("/v1/users/{bob}"), json!({ "role_ids": [reports, extra] })).ok();
    assert_eq!(ask(&whole, "models/emea:read"), "ok", "what the owner gains, the key gains");
    assert_eq!(ask(&narrow, "models/emea:read"), "insufficient_rights");
    root.patch(&format!("/v1/users/{bob}"), json!({ "role_ids": [] })).ok();
    assert_eq!(root.verify(&text(&whole["secret"]))["rights"], json!([]));
    server.caller(&text(&whole["secret"])).get("/v1/keys").refused(403, "insufficient_rights");
}

#[test]
fn va_6_rights_are_per_resource() {
    let server = Server::start();
    let root = server.root();
    let (_, key) = root.member("bob", &["models/emea/**:read", "projects/*/data:write"]);
    for (right, code) in [
        ("models/emea/2026:read", "ok"),
        ("models/emea:read", "ok"),
        ("models/emea/2026:write", "insufficient_rights"),
        ("models/apac/2026:read", "insufficient_rights"),
        ("projects/x/data:write", "ok"),
        ("projects/x/y/data:write", "insufficient_rights"),
    ] {
        let answer = root.post("/v1/verify", json!({ "credential": key["secret"], "rights": [right] })).ok();
        assert_eq!(answer["code"], code, "{right}");
    }
    let both = json!(["models/emea/2026:read", "models/apac/2026:read"]);
    let answer = root.post("/v1/verify", json!({ "credential": key["secret"], "rights": both })).ok();
    assert_eq!(answer["code"], "insufficient_rights", "all of them must be held");
}

#[test]
fn mo_2_mo_8_a_member_does_what_its_user_may_and_no_more() {
    let server = Server::start();
    let root = server.root();
    let (bob, key) = root.member("bob", &[]);
    let caller = server.caller(&text(&key["secret"]));
    assert_eq!(text(&caller.get(&format!("/v1/users/{bob}")).ok()["username"]), "bob");
    let alice = root.user("alice", &[]);
    caller.get(&format!("/v1/users/{alice}")).refused(404, "not_found");
    for path in ["/v1/users", "/v1/groups", "/v1/roles", "/v1/policies", "/v1/tenants", "/v1/audit-events"] {
        caller.get(path).refused(403, "insufficient_rights");
    }
    caller.post("/v1/verify", json!({ "credential": key["secret"] })).refused(403, "insufficient_rights");
    caller.patch("/v1/policies", json!({ "max_keys_per_user": 9 })).refused(403, "insufficient_rights");
    assert_eq!(root.get("/v1/policies").ok()["max_keys_per_user"], 2);
    assert_eq!(rows(&caller.get("/v1/keys").ok()).len(), 1);
}

#[test]
fn az_3_the_tenant_header_must_fit_the_key() {
    let server = Server::start();
    let (id, ada) = tenant(&server, "acme", "ada");
    let me = |secret: &str, tenant: &str| {
        let request = client().get(format!("{}/v1/me", server.url)).bearer_auth(secret);
        Answer::read(request.header("x-keyward-tenant", tenant).send().expect("an answer"))
    };
    for own in ["acme", id.as_str()] {
        assert_eq!(me(&ada.secret, own).ok()["tenant"]["slug"], "acme");
    }
    for other in [server.tenant().as_str(), "primary", "nowhere"] {
        me(&ada.secret, other).refused(404, "not_found");
    }
    assert_eq!(me(&server.operator(), "acme").ok()["tenant"]["slug"], "acme", "an operator may enter");
    me(&server.operator(), "nowhere").refused(404, "not_found");
}
