//! How far a trusted secret reaches (IMP-1, IMP-2).

use serde_json::{Value, json};

use super::{Portal, enable, mint, token};
use crate::api::built_in;
use crate::support::{Answer, client, text};

#[test]
fn imp_1_administrators_are_above_every_ceiling_unless_it_says_otherwise() {
    let portal = Portal::new();
    portal.root.user("boss", &[&built_in(&portal.root, "roles", "admin")]);
    mint(&portal.backend, json!({ "username": "boss" })).refused(403, "above_ceiling");
    mint(&portal.backend, json!({ "username": "root" })).refused(403, "above_ceiling");
    let narrow = json!({ "username": "boss", "rights": ["models/x:read"] });
    mint(&portal.backend, narrow).refused(403, "above_ceiling");
    let (wide, _) = enable(&portal.root, json!({ "name": "wide", "ceiling": { "admins": true } }));
    let got = mint(&wide, json!({ "username": "boss" })).ok();
    assert_eq!(portal.ask(&text(&got["token"]), &["anything:do"])["code"], "ok");
}

#[test]
fn imp_1_imp_2_rights_beyond_the_ceiling_are_refused_or_cut() {
    let portal = Portal::new();
    let path = format!("/v1/trusted/{}", portal.id);
    let before = token(&portal.backend, "ada");
    let set = |ceiling: Value| portal.root.patch(&path, json!({ "ceiling": ceiling })).expect(200);
    set(json!({ "rights": ["models/emea:read"] }));
    mint(&portal.backend, json!({ "username": "ada" })).refused(403, "above_ceiling");
    let less = json!({ "username": "ada", "rights": ["models/emea:read"] });
    mint(&portal.backend, less).refused(403, "above_ceiling");
    // A token that is out already is bound by the lower ceiling.
    assert_eq!(portal.ask(&before, &["models/emea:read"])["code"], "ok");
    assert_eq!(portal.ask(&before, &["reports:read"])["code"], "insufficient_rights");
    set(json!({ "exceeding": "cut" }));
    let got = mint(&portal.backend, json!({ "username": "ada" })).ok();
    assert_eq!((&got["rights"], &got["rights_cut"]), (&json!(["models/emea:read"]), &json!(true)));
    assert_eq!(portal.ask(&text(&got["token"]), &["models/apac:read"])["code"], "insufficient_rights");
    set(json!({ "rights": ["models/**:read", "reports:*", "me:read"], "exceeding": "refuse" }));
    assert_eq!(mint(&portal.backend, json!({ "username": "ada" })).ok()["rights_cut"], false);
    assert_eq!(portal.ask(&before, &["reports:read"])["code"], "ok", "and freed by a higher one");
}

#[test]
fn imp_2_a_token_holds_what_its_user_holds_now() {
    let portal = Portal::new();
    let got = token(&portal.backend, "ada");
    let role = |rights: &[&str]| {
        portal.root.patch(&format!("/v1/roles/{}", portal.role), json!({ "rights": rights })).expect(200);
    };
    role(&["me:read", "reports:read", "secrets:read"]);
    assert_eq!(portal.ask(&got, &["reports:read"])["code"], "ok");
    assert_eq!(portal.ask(&got, &["models/emea:read"])["code"], "insufficient_rights", "taken away since");
    assert_eq!(portal.ask(&got, &["secrets:read"])["code"], "insufficient_rights", "given since");
    role(&["me:read", "models/**:read"]);
    assert_eq!(portal.ask(&got, &["models/emea:read"])["code"], "ok");
    assert_eq!(portal.ask(&got, &[])["rights"], json!(["me:read", "models/**:read"]));
}

#[test]
fn imp_1_users_groups_audiences_and_addresses_bound_a_secret() {
    let portal = Portal::new();
    let group = text(&portal.root.post("/v1/groups", json!({ "name": "Guests" })).ok()["id"]);
    let bob = portal.root.user("bob", &[]);
    let path = format!("/v1/trusted/{}", portal.id);
    let set = |ceiling: Value| portal.root.patch(&path, json!({ "ceiling": ceiling })).expect(200);
    set(json!({ "user_ids": [portal.ada], "group_ids": [group] }));
    token(&portal.backend, "ada");
    mint(&portal.backend, json!({ "username": "bob" })).refused(403, "above_ceiling");
    portal.root.put(&format!("/v1/groups/{group}/members/{bob}")).expect(204);
    token(&portal.backend, "bob");
    set(json!({ "user_ids": null, "group_ids": null, "audiences": ["reports", "models"] }));
    let aud = |body: Value| mint(&portal.backend, body);
    assert_eq!(aud(json!({ "username": "ada" })).ok()["audience"], json!(["reports", "models"]));
    let models = aud(json!({ "username": "ada", "audience": ["models"] })).ok();
    assert_eq!(models["audience"], json!(["models"]));
    let foreign = text(&models["token"]);
    assert_eq!(portal.ask(&foreign, &[])["token"]["audience"], json!(["models"]), "who verifies decides");
    portal.server.caller(&foreign).get("/v1/me").refused(401, "wrong_audience");
    aud(json!({ "username": "ada", "audience": ["models", "other"] })).refused(403, "above_ceiling");
    set(json!({ "audiences": [], "cidrs": ["192.0.2.0/24"] }));
    mint(&portal.backend, json!({ "username": "ada" })).refused(403, "address_denied");
    let from = |address: &str| {
        let request = client().post(format!("{}/v1/trusted/tokens", portal.server.url));
        let request = request.bearer_auth(&portal.backend.secret).header("x-forwarded-for", address);
        Answer::read(request.json(&json!({ "username": "ada" })).send().expect("an answer")).status
    };
    assert_eq!((from("192.0.2.9"), from("198.51.100.9")), (200, 403));
    for (name, value) in [
        ("group_ids", json!(["group_01000000000000000000000000x"])),
        ("rights", json!("models:read")),
        ("cidrs", json!(["10.0.0.1/8"])),
        ("max_ttl_seconds", json!(0)),
        ("max_ttl_seconds", json!(86_401)),
        ("per_minute", json!(0)),
        ("exceeding", json!("ignore")),
        ("nonsense", json!(1)),
    ] {
        let answer = portal.root.patch(&path, json!({ "ceiling": { name: value } }));
        assert!(matches!(answer.status, 400 | 422), "{name}: {}", answer.text);
        assert!(answer.text.contains("/ceiling"), "{name}: {}", answer.text);
    }
}

/// Nothing in the management API moves for a token, whatever its user may do.
#[test]
fn imp_2_imp_9_no_route_of_management_is_open_to_a_token() {
    let portal = Portal::new();
    let all = portal.root.role("all", &["**:*"]);
    portal.root.user("chief", &[&all]);
    let (wide, _) = enable(&portal.root, json!({ "name": "wide", "ceiling": { "admins": true } }));
    let chief = portal.server.caller(&token(&wide, "chief"));
    let before = crate::api::snapshot(&portal.root);
    let document = crate::api::document(&portal.server);
    let mut refused = 0;
    for operation in crate::api::operations(&document).iter().filter(|operation| operation.secured) {
        let path = operation.at(&portal.ada, &portal.ada);
        let answer = operation.send(&chief, &path);
        match operation.id.as_str() {
            "who_am_i" | "verify" | "verify_batch" => assert_eq!(answer.status, 200, "{}", answer.text),
            _ => {
                answer.refused(403, "token_cannot_manage");
                refused += 1;
            }
        }
    }
    assert!(refused > 50, "{refused}");
    for path in ["/v1/trusted/tokens", "/v1/trusted/tokens/revoke", "/v1/trusted/tokens/validate"] {
        chief.post(path, json!({})).refused(401, "invalid_trusted_secret");
    }
    assert_eq!(crate::api::snapshot(&portal.root), before);
    let me = chief.get("/v1/me").ok();
    assert_eq!((&me["principal"]["username"], &me["key"]), (&json!("chief"), &Value::Null));
    let inside = chief.request("GET", "/v1/me").header("x-keyward-tenant", "elsewhere").send();
    Answer::read(inside.expect("an answer")).refused(404, "not_found");
}

/// Whatever is taken out of a ceiling ends with it, and comes back with it.
#[test]
fn imp_1_a_lower_ceiling_binds_users_audiences_and_life_of_tokens_already_out() {
    let portal = Portal::new();
    let bob = portal.root.user("bob", &[]);
    let path = format!("/v1/trusted/{}", portal.id);
    let set = |ceiling: Value| portal.root.patch(&path, json!({ "ceiling": ceiling })).expect(200);
    let got = mint(&portal.backend, json!({ "username": "ada", "audience": ["models"] })).ok();
    let out = text(&got["token"]);
    let code = || text(&portal.ask(&out, &[])["code"]);
    assert_eq!(code(), "ok");
    for (lower, higher) in [
        (json!({ "user_ids": [bob] }), json!({ "user_ids": [bob, portal.ada] })),
        (
            json!({ "audiences": ["reports"], "user_ids": null }),
            json!({ "audiences": ["reports", "models"] }),
        ),
    ] {
        set(lower.clone());
        assert_eq!(code(), "class_disabled", "{lower}");
        set(higher.clone());
        assert_eq!(code(), "ok", "{higher}");
    }
    set(json!({ "audiences": null }));
    let all = portal.root.role("all", &["**:*"]);
    let user = format!("/v1/users/{}", portal.ada);
    portal.root.patch(&user, json!({ "role_ids": [all] })).expect(200);
    assert_eq!(code(), "class_disabled", "an administrator is above the ceiling");
    portal.root.patch(&user, json!({ "role_ids": [portal.role] })).expect(200);
    assert_eq!(code(), "ok");
    set(json!({ "max_ttl_seconds": 60 }));
    let told = portal.ask(&out, &[]);
    assert_eq!(told["code"], "ok");
    assert!(text(&told["expires_at"]) < text(&got["expires_at"]), "{told}");
}
