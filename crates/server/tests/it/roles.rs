//! `/v1/roles`: names and rights.

use serde_json::json;

use crate::api::{snapshot, tenant};
use crate::support::{Server, text};

#[test]
fn az_7_no_role_is_named_like_a_reserved_one() {
    let server = Server::start();
    let (_, admin) = tenant(&server, "acme");
    let own = format!("/v1/roles/{}", admin.role("analyst", &["a:read"]));
    let before = snapshot(&admin);
    let new = |name: &str| json!({ "name": name, "rights": ["a:read"] });
    for (name, status, code) in [
        ("admin", 409, "already_exists"),
        ("ADMIN", 409, "already_exists"),
        ("Member", 409, "already_exists"),
        ("ANALYST", 409, "already_exists"),
        ("root", 422, "invalid_value"),
        ("ROOT", 422, "invalid_value"),
        ("ROOT ", 422, "invalid_value"),
        (" root", 422, "invalid_value"),
        ("Operator", 422, "invalid_value"),
        ("system", 422, "invalid_value"),
        ("\u{430}dmin", 422, "invalid_value"),
        ("adm\u{131}n", 422, "invalid_value"),
        ("\u{ff41}dmin", 422, "invalid_value"),
        ("admin\u{200b}", 422, "invalid_value"),
        ("a/dmin", 422, "invalid_value"),
        ("", 422, "invalid_value"),
    ] {
        admin.post("/v1/roles", new(name)).refused(status, code);
        if name != "ANALYST" {
            admin.patch(&own, json!({ "name": name })).refused(status, code);
        }
    }
    admin.post("/v1/roles", new(&"x".repeat(65))).refused(422, "invalid_value");
    assert_eq!(snapshot(&admin), before);
    admin.patch(&own, json!({ "name": "Analyst 2.0_b-c" })).expect(200);
}

#[test]
fn az_7_rights_have_one_spelling() {
    let server = Server::start();
    let (_, admin) = tenant(&server, "acme");
    let before = snapshot(&admin);
    for right in [
        "",
        "a",
        "a:",
        ":read",
        "a:READ",
        "A b:read",
        "a//b:read",
        "/a:read",
        "a/:read",
        "**/a:read",
        "a:re*",
        "a*:read",
        "\u{430}:read",
        "a:read:write",
        " a:read",
    ] {
        let body = json!({ "name": "new", "rights": ["ok:read", right] });
        let refused = admin.post("/v1/roles", body).refused(422, "invalid_value");
        assert_eq!(refused.body["errors"][0]["pointer"], "/rights/1", "{right}");
    }
    let many: Vec<_> = (0..101).map(|number| format!("a{number}:read")).collect();
    admin.post("/v1/roles", json!({ "name": "new", "rights": many })).refused(422, "invalid_value");
    assert_eq!(snapshot(&admin), before);
}

#[test]
fn az_9_a_deleted_role_is_taken_from_everyone() {
    let server = Server::start();
    let (_, admin) = tenant(&server, "acme");
    let role = admin.role("reader", &["models/**:read"]);
    let user = admin.user("mia", &[&role]);
    let key = admin.key(json!({ "class": "workspace", "label": "x", "role_ids": [role] }));
    let group = admin.post("/v1/groups", json!({ "name": "G", "role_ids": [role] })).ok();
    let asks = || {
        let body = json!({ "credential": key["secret"], "rights": ["models/emea:read"] });
        text(&admin.post("/v1/verify", body).ok()["code"])
    };
    assert_eq!(asks(), "ok");
    admin.delete(&format!("/v1/roles/{role}")).expect(204);
    assert_eq!(asks(), "insufficient_rights");
    assert_eq!(admin.get(&format!("/v1/users/{user}")).ok()["rights"], json!([]));
    assert_eq!(admin.get(&format!("/v1/groups/{}", text(&group["id"]))).ok()["role_ids"], json!([]));
    // The key is left without anything; it does not become admin again.
    let shown = admin.get(&format!("/v1/keys/{}", text(&key["id"]))).ok();
    assert_eq!((&shown["effective_rights"], &shown["has_admin_rights"]), (&json!([]), &json!(false)));
    admin.delete(&format!("/v1/roles/{role}")).refused(404, "not_found");
}
