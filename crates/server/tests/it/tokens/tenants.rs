//! Whose users a secret reaches (TS4).

use serde_json::json;

use super::{NAMED, Portal, enable, mint, token};
use crate::api::{tenant, worker};
use crate::support::{Answer, Server, text, wait_until};

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

/// A user's id is of the whole instance: that one lies in memory must tell no other tenant's secret.
#[test]
fn ts_4_az_2_az_3_a_user_of_another_tenant_is_no_user_whatever_lies_in_memory() {
    let server = Server::with_config(NAMED);
    let (acme, admin) = tenant(&server, "acme");
    let (_, other) = tenant(&server, "globex");
    let root = server.root();
    root.patch(&format!("/v1/tenants/{acme}"), json!({ "features": { "trusted_secrets": true } }))
        .expect(200);
    let (primary, _) = enable(&root, json!({}));
    let (own, _) = enable(&admin, json!({}));
    let (eve, ada) = (other.user("eve", &[]), admin.user("ada", &[]));
    let foreign = || mint(&primary, json!({ "user_id": eve, "tenant": "globex" }));
    for _ in 0..3 {
        let got = text(&foreign().expect(200).body["token"]);
        assert_eq!((other.code(&got), admin.code(&got)), ("ok".into(), "invalid_key".into()));
        mint(&own, json!({ "user_id": eve })).refused(404, "not_found");
        mint(&own, json!({ "user_id": eve, "tenant": "acme" })).refused(404, "not_found");
        mint(&primary, json!({ "user_id": eve, "tenant": "acme" })).refused(404, "not_found");
        mint(&primary, json!({ "user_id": ada })).refused(404, "not_found");
    }
    foreign().expect(200);
    mint(&own, json!({ "user_id": ada })).expect(200);
}

#[test]
fn ts_4_az_5_only_who_enters_every_tenant_handles_a_secret_of_the_primary_one() {
    let portal = Portal::new();
    let path = format!("/v1/trusted/{}", portal.id);
    let everything = worker(&portal.server, &portal.root, "everything", &["**:*"]);
    let instance = json!(["instance/**:*"]);
    for ceiling in [
        json!({}),
        json!({ "rights": ["models/**:read"] }),
        json!({ "admins": true }),
        json!({ "admins": true, "rights": instance }),
    ] {
        let body = json!({ "name": "mine", "ceiling": ceiling });
        everything.post("/v1/trusted/enable", body).refused(403, "rights_exceed_caller");
    }
    everything.patch(&path, json!({ "name": "mine" })).refused(403, "rights_exceed_caller");
    everything.post("/v1/trusted/copy", json!({})).refused(403, "rights_exceed_caller");
    everything.post(&format!("{path}/rotate"), json!({})).refused(403, "rights_exceed_caller");
    everything.post("/v1/trusted/disable", json!({ "confirm": true })).refused(403, "rights_exceed_caller");
    assert_eq!(portal.root.get("/v1/trusted").ok()["data"].as_array().map(Vec::len), Some(1));
    // Nor does one who enters make a secret that does more there than they do.
    let enters = worker(&portal.server, &portal.root, "enters", &["**:*", "instance/tenants:enter"]);
    for ceiling in [json!({ "admins": true }), json!({ "admins": true, "rights": instance })] {
        let body = json!({ "name": "mine", "ceiling": ceiling });
        enters.post("/v1/trusted/enable", body).refused(403, "rights_exceed_caller");
    }
    enable(&enters, json!({ "name": "mine" }));
    // In a tenant of its own an administrator needs nothing of the instance.
    let (acme, admin) = tenant(&portal.server, "acme");
    portal
        .root
        .patch(&format!("/v1/tenants/{acme}"), json!({ "features": { "trusted_secrets": true } }))
        .expect(200);
    enable(&admin, json!({ "ceiling": { "admins": true } }));
}

#[test]
fn imp_3_aud_1_a_refused_request_about_another_tenant_stands_in_both_logs() {
    let server = Server::with_config(NAMED);
    let (_, admin) = tenant(&server, "acme");
    let ada = admin.user("ada", &[]);
    admin.patch(&format!("/v1/users/{ada}"), json!({ "trusted_tokens": false })).expect(200);
    let (primary, id) = enable(&server.root(), json!({}));
    mint(&primary, json!({ "username": "ada", "tenant": "acme" })).refused(403, "minting_forbidden");
    for log in [&server.root(), &admin] {
        let refused = || log.get("/v1/audit-events?outcome=refused&action=mint_token").ok()["data"].clone();
        wait_until(|| refused().as_array().is_some_and(|events| !events.is_empty()));
        let event = &refused()[0];
        assert_eq!((&event["reason"], &event["actor"]["id"]), (&json!("minting_forbidden"), &json!(id)));
    }
}

/// A token is bound to its tenant whatever its user may do, and however it says so.
#[test]
fn az_3_imp_2_a_token_that_names_its_own_tenant_verifies_no_keys_of_others() {
    let portal = Portal::new();
    let (_, admin) = tenant(&portal.server, "acme");
    let key = text(&admin.key(json!({ "class": "ingest", "label": "x" }))["secret"]);
    let role = portal.root.role("all", &["**:*", "instance/**:*"]);
    portal.root.user("chief", &[&role]);
    let (wide, _) = enable(&portal.root, json!({ "name": "wide", "ceiling": { "admins": true } }));
    let chief = portal.server.caller(&token(&wide, "chief"));
    assert_eq!(portal.root.code(&key), "ok", "its user may");
    assert_eq!(chief.code(&key), "invalid_key");
    for name in [portal.server.tenant(), "primary".into()] {
        let request = chief.request("POST", "/v1/verify").header("x-keyward-tenant", name);
        let answer = request.json(&json!({ "credential": key })).send().expect("an answer");
        let told = Answer::read(answer);
        assert!(told.status == 404 || told.body["code"] == "invalid_key", "{}", told.text);
    }
}
