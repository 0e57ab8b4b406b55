//! Tokens that end before their time (IMP-6, R3).

use serde_json::json;

use super::{Portal, enable, token};
use crate::api::{person, worker};

#[test]
fn ts_8_imp_6_one_token_is_ended_by_the_secret_that_asked_for_it() {
    let portal = Portal::new();
    let (other, _) = enable(&portal.root, json!({ "name": "other" }));
    let (one, two) = (token(&portal.backend, "ada"), token(&portal.backend, "ada"));
    let revoke = |by: &crate::support::Caller, token: &str| {
        by.post("/v1/trusted/tokens/revoke", json!({ "token": token })).expect(200).body["revoked"] == true
    };
    assert!(!revoke(&other, &one), "another's token is nobody's");
    assert!(!revoke(&portal.backend, "not.a.token"));
    assert_eq!(portal.ask(&one, &[])["code"], "ok");
    assert!(revoke(&portal.backend, &one));
    assert_eq!(
        (portal.ask(&one, &[])["code"].clone(), portal.ask(&two, &[])["code"].clone()),
        (json!("revoked"), json!("ok"))
    );
    assert!(revoke(&portal.backend, &one), "twice is no fault");
    let server = portal.server.kill_and_restart();
    assert_eq!((server.root().code(&one), server.root().code(&two)), ("revoked".into(), "ok".into()));
}

#[test]
fn imp_6_r_3_all_tokens_of_a_user_end_together() {
    let portal = Portal::new();
    portal.root.user("bob", &[]);
    let tokens: Vec<String> = (0..5).map(|_| token(&portal.backend, "ada")).collect();
    let bobs = token(&portal.backend, "bob");
    portal.backend.post("/v1/trusted/tokens/revoke", json!({ "username": "Ada" })).expect(200);
    assert!(tokens.iter().all(|token| portal.ask(token, &[])["code"] == "revoked"));
    assert_eq!(portal.ask(&bobs, &[])["code"], "ok");
    let fresh = token(&portal.backend, "ada");
    assert_eq!(portal.ask(&fresh, &[])["code"], "ok");
    let helper = worker(
        &portal.server,
        &portal.root,
        "helper",
        &["tokens:revoke", "me:read", "models/**:read", "reports:read"],
    );
    helper.post("/v1/tokens/revoke", json!({ "user_id": portal.ada })).expect(200);
    assert_eq!(portal.ask(&fresh, &[])["code"], "revoked");
    helper.post("/v1/tokens/revoke", json!({ "token": bobs })).expect(200);
    assert_eq!(portal.ask(&bobs, &[])["code"], "revoked");
}

#[test]
fn az_6_az_2_nobody_ends_tokens_of_their_betters_or_of_others() {
    let portal = Portal::new();
    let got = token(&portal.backend, "ada");
    let weak = worker(&portal.server, &portal.root, "weak", &["tokens:revoke"]);
    weak.post("/v1/tokens/revoke", json!({ "user_id": portal.ada })).refused(403, "above_caller");
    let (_, _, nobody) = person(&portal.server, &portal.root, "nobody", &["me:read"]);
    nobody.post("/v1/tokens/revoke", json!({ "token": got })).refused(403, "insufficient_rights");
    let (_, stranger) = crate::api::tenant(&portal.server, "acme");
    let told = stranger.post("/v1/tokens/revoke", json!({ "token": got })).expect(200);
    assert_eq!(told.body["revoked"], false);
    stranger.post("/v1/tokens/revoke", json!({ "user_id": portal.ada })).refused(404, "not_found");
    // Nor does a secret end those of users whom it does not reach.
    let bob = portal.root.user("bob", &[]);
    let (small, _) = enable(&portal.root, json!({ "name": "small", "ceiling": { "user_ids": [bob] } }));
    let door = "/v1/trusted/tokens/revoke";
    small.post(door, json!({ "username": "ada" })).refused(403, "above_ceiling");
    small.post(door, json!({ "username": "bob" })).expect(200);
    let all = portal.root.role("all", &["**:*"]);
    portal.root.user("chief", &[&all]);
    portal.backend.post(door, json!({ "username": "chief" })).refused(403, "above_ceiling");
    let little = json!({ "rights": ["models/**:read"], "exceeding": "cut" });
    let (little, _) = enable(&portal.root, json!({ "name": "little", "ceiling": little }));
    token(&little, "ada");
    little.post(door, json!({ "username": "ada" })).refused(403, "above_ceiling");
    for body in [json!({}), json!({ "token": got, "user_id": portal.ada })] {
        portal.root.post("/v1/tokens/revoke", body).refused(400, "malformed_request");
    }
    assert_eq!(portal.ask(&got, &[])["code"], "ok");
}
