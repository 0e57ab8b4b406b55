//! Tokens by client credentials (RFC 6749 §4.4).

use serde_json::json;

use super::{Holder, World, form, refused};
use crate::support::{Answer, client, text};
use crate::tokens::claims;

#[test]
fn x_13_oau_5_a_member_key_gets_a_token_of_its_user() {
    let world = World::new();
    let answer = world.ada.credentials(&[]).expect(200);
    assert_eq!((answer.header("cache-control"), answer.header("pragma")), ("no-store", "no-cache"));
    assert_eq!(answer.header("content-type"), "application/json");
    let told = answer.body;
    assert_eq!(
        (&told["token_type"], &told["expires_in"], &told["scope"]),
        (&json!("Bearer"), &json!(300), &json!("models/**:read reports:read"))
    );
    assert!(told["refresh_token"].is_null() && told["issued_token_type"].is_null(), "{told}");
    let token = text(&told["access_token"]);
    let said = claims(&token);
    assert_eq!((&said["sub"], &said["client_id"]), (&json!(world.user), &json!(world.ada.client_id)));
    assert_eq!((&said["iss"], &said["aud"]), (&json!("https://keys.example.org"), &said["iss"]));
    assert_eq!(said["act"], json!({ "sub": world.ada.id }), "it can be told from a login of hers");
    assert_eq!(said["exp"].as_i64().expect("a time") - said["iat"].as_i64().expect("a time"), 300);
    assert_eq!((&said["scope"], &said["username"]), (&told["scope"], &json!("ada")));
    let seen = world.ask(&token, &["models/emea:read"]);
    assert_eq!((&seen["code"], &seen["principal"]["id"]), (&json!("ok"), &json!(world.user)));
    assert_eq!(seen["key"]["id"], json!(world.ada.id));
    let gate =
        client().get(format!("{}/authz", world.server.url)).bearer_auth(&token).send().expect("an answer");
    let gate = Answer::read(gate).expect(200);
    assert_eq!((gate.header("x-auth-key-id"), gate.header("x-auth-actor")), (&*world.ada.id, &*world.ada.id));
    // It manages nothing, and is no client itself (IMP-2).
    world.server.caller(&token).get("/v1/keys").refused(403, "token_cannot_manage");
    let posing = Holder { secret: token, ..world.ada.clone() };
    refused(posing.credentials(&[]), 401, "invalid_client");
}

#[test]
fn x_13_a_workspace_key_speaks_for_itself_by_post_too() {
    let world = World::new();
    let pairs = [
        ("grant_type", "client_credentials"),
        ("client_id", &world.gateway.client_id),
        ("client_secret", &world.gateway.secret),
        ("what", "nobody knows"),
    ];
    let request = client().post(format!("{}/oauth2/token", world.server.url));
    let request = request.header("content-type", "application/x-www-form-urlencoded; charset=UTF-8");
    let told = Answer::read(request.body(form(&pairs)).send().expect("an answer")).ok();
    let said = claims(&text(&told["access_token"]));
    assert_eq!(
        (&said["sub"], &said["client_id"]),
        (&json!(world.gateway.id), &json!(world.gateway.client_id))
    );
    assert_ne!(said["sub"], said["client_id"], "IMP-3: the two never collide");
    assert!(said["act"].is_null() && said["username"].is_null(), "{said}");
    let seen = world.ask(&text(&told["access_token"]), &["verify:call"]);
    assert_eq!((&seen["code"], &seen["principal"]["kind"]), (&json!("ok"), &json!("workspace")));
    world.server.caller(&text(&told["access_token"])).get("/v1/me").expect(200);
}

#[test]
fn x_13_scope_audience_and_life_only_ever_narrow() {
    let world = World::new();
    let got = world.ada.credentials(&[("scope", "models/emea:read secrets:read  models/**:*")]).ok();
    assert_eq!(got["scope"], "models/**:read");
    let token = text(&got["access_token"]);
    assert_eq!(world.ask(&token, &["reports:read"])["code"], "insufficient_rights");
    refused(world.ada.credentials(&[("scope", "secrets:read")]), 400, "invalid_scope");
    refused(world.ada.credentials(&[("scope", "no right")]), 400, "invalid_scope");
    let wide = world.ada.credentials(&[("expires_in", "86400")]).ok();
    assert_eq!(wide["expires_in"], 3600, "the policy's longest");
    world.root.patch("/v1/policies", json!({ "token_max_ttl_seconds": 120 })).expect(200);
    assert_eq!(world.ada.credentials(&[]).ok()["expires_in"], 120);
    assert_eq!(world.ada.credentials(&[("expires_in", "7")]).ok()["expires_in"], 7);
    for bad in ["0", "-1", "x", "1.5", "99999999999999999999"] {
        refused(world.ada.credentials(&[("expires_in", bad)]), 400, "invalid_request");
    }
    let brief = json!({ "class": "member", "owner_id": world.user, "label": "brief", "ttl_seconds": 60 });
    let brief = Holder::of(&world.server, &world.root.key(brief));
    let life = brief.credentials(&[]).ok()["expires_in"].as_i64().expect("seconds");
    assert!((50..=60).contains(&life), "{life}: no longer than the key");
    let both = [("audience", "reports"), ("audience", "billing"), ("resource", "https://api.example.org/")];
    assert_eq!(
        claims(&world.ada.token(&both))["aud"],
        json!(["reports", "billing", "https://api.example.org/"])
    );
    refused(world.ada.credentials(&[("resource", "reports")]), 400, "invalid_target");
    refused(world.ada.credentials(&[("audience", "two words")]), 400, "invalid_target");
}

#[test]
fn imp_6_x_12_a_token_ends_with_its_key_and_follows_its_owner() {
    let world = World::new();
    let token = world.ada.token(&[]);
    assert_eq!(world.code(&token), "ok");
    let set = |rights: &[&str]| {
        world.root.patch(&format!("/v1/roles/{}", world.role), json!({ "rights": rights })).expect(200)
    };
    set(&["reports:read"]);
    assert_eq!(world.ask(&token, &["models/emea:read"])["code"], "insufficient_rights");
    assert_eq!(world.ask(&token, &["reports:read"])["code"], "ok");
    let key = format!("/v1/keys/{}", world.ada.id);
    world.root.post(&format!("{key}/deactivate"), json!({})).expect(200);
    assert_eq!(world.code(&token), "inactive");
    refused(world.ada.credentials(&[]), 401, "invalid_client");
    world.root.post(&format!("{key}/activate"), json!({})).expect(200);
    assert_eq!(world.code(&token), "ok");
    let rotated = world.root.post(&format!("{key}/rotate"), json!({ "overlap_seconds": 0 })).ok();
    assert_eq!(world.code(&token), "retired_secret", "the secret that it was asked for with");
    let fresh = Holder { secret: text(&rotated["secret"]), ..world.ada.clone() };
    let token = fresh.token(&[]);
    world.root.post("/v1/tokens/revoke", json!({ "user_id": world.user })).expect(200);
    assert_eq!(world.code(&token), "revoked");
    let token = fresh.token(&[]);
    world.root.post(&format!("{key}/revoke"), json!({ "reason": "over" })).expect(200);
    assert_eq!(world.code(&token), "revoked");
    refused(fresh.credentials(&[]), 401, "invalid_client");
}
