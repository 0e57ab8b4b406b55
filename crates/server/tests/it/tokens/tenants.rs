//! Whose users a secret reaches (TS4).

use serde_json::json;

use super::{NAMED, enable, mint, token};
use crate::api::tenant;
use crate::support::{Server, text};

#[test]
fn ts_4_a_tenants_own_secret_is_the_operators_leave_and_ends_with_it() {
    let server = Server::with_config(NAMED);
    let (id, admin) = tenant(&server, "acme");
    let root = server.root();
    admin.user("ada", &[]);
    let refused = admin.post("/v1/trusted/enable", json!({})).refused(422, "policy_violation");
    assert_eq!(refused.body["policy"], "features.trusted_secrets");
    let path = format!("/v1/tenants/{id}");
    admin
        .patch(&path, json!({ "features": { "trusted_secrets": true } }))
        .refused(403, "insufficient_rights");
    root.patch(&path, json!({ "features": { "trusted_secrets": true } })).expect(200);
    let (backend, _) = enable(&admin, json!({}));
    let got = token(&backend, "ada");
    assert_eq!(admin.code(&got), "ok");
    root.patch(&path, json!({ "features": { "trusted_secrets": false } })).expect(200);
    mint(&backend, json!({ "username": "ada" })).refused(401, "trusted_disabled");
    assert_eq!(admin.code(&got), "class_disabled");
    root.patch(&path, json!({ "features": { "trusted_secrets": true } })).expect(200);
    assert_eq!(admin.code(&got), "ok", "the feature is a switch, the secret is not");
    root.post(&format!("{path}/suspend"), json!({})).expect(200);
    mint(&backend, json!({ "username": "ada" })).refused(401, "tenant_suspended");
    assert_eq!(root.code(&got), "tenant_suspended");
}

#[test]
fn ts_4_the_primary_tenants_secret_reaches_every_tenant_and_others_only_their_own() {
    let server = Server::with_config(NAMED);
    let (acme, admin) = tenant(&server, "acme");
    let (_, other) = tenant(&server, "globex");
    let ada = admin.user("ada", &[]);
    let root = server.root();
    root.patch(&format!("/v1/tenants/{acme}"), json!({ "features": { "trusted_secrets": true } }))
        .expect(200);
    let (primary, _) = enable(&root, json!({}));
    let (own, _) = enable(&admin, json!({}));
    for name in ["acme", &acme] {
        let got = mint(&primary, json!({ "username": "ada", "tenant": name })).ok();
        assert_eq!((&got["user_id"], &got["tenant_id"]), (&json!(ada), &json!(acme)));
        assert_eq!(admin.code(&text(&got["token"])), "ok");
        assert_eq!(
            other.code(&text(&got["token"])),
            "invalid_key",
            "tokens of others do not exist for a tenant"
        );
    }
    mint(&primary, json!({ "username": "ada" })).refused(404, "not_found");
    mint(&primary, json!({ "username": "ada", "tenant": "no-such" })).refused(404, "not_found");
    assert_eq!(mint(&own, json!({ "username": "ada", "tenant": "acme" })).status, 200);
    other.user("ada", &[]);
    for name in ["globex", "primary", &server.tenant()] {
        mint(&own, json!({ "username": "ada", "tenant": name })).refused(404, "not_found");
    }
    // The operator's secret does not depend on the tenant's leave; the tenant's state counts.
    let got = text(&mint(&primary, json!({ "username": "ada", "tenant": "acme" })).ok()["token"]);
    root.patch(&format!("/v1/tenants/{acme}"), json!({ "features": { "trusted_secrets": false } }))
        .expect(200);
    assert_eq!(admin.code(&got), "ok");
    root.post(&format!("/v1/tenants/{acme}/suspend"), json!({})).expect(200);
    mint(&primary, json!({ "username": "ada", "tenant": "acme" })).refused(403, "subject_not_active");
    assert_eq!(root.code(&got), "tenant_suspended");
}

#[test]
fn ts_4_az_14_a_deleted_tenant_takes_its_secrets_along() {
    let server = Server::with_config(NAMED);
    let (id, admin) = tenant(&server, "acme");
    let root = server.root();
    root.patch(&format!("/v1/tenants/{id}"), json!({ "features": { "trusted_secrets": true } })).expect(200);
    admin.user("ada", &[]);
    let (backend, secret_id) = enable(&admin, json!({}));
    let got = token(&backend, "ada");
    backend.post("/v1/trusted/tokens/revoke", json!({ "token": got })).expect(200);
    let got = token(&backend, "ada");
    root.delete(&format!("/v1/tenants/{id}?confirm=acme")).expect(204);
    mint(&backend, json!({ "username": "ada" })).refused(401, "invalid_trusted_secret");
    assert_eq!(root.code(&got), "invalid_key");
    let left = server.place.dump();
    assert!(!left.contains(&id) && !left.contains(&secret_id), "something of the tenant is left");
}
