//! Whom tokens are asked for: states, and users who are made on the way (TS8, IMP-5, IMP-10).

use serde_json::{Value, json};

use super::{Portal, enable, mint, token};
use crate::api::built_in;
use crate::support::text;

#[test]
fn imp_10_suspended_deleted_and_forbidden_users_get_none_and_lose_theirs() {
    let portal = Portal::new();
    let user = format!("/v1/users/{}", portal.ada);
    let ada = || mint(&portal.backend, json!({ "username": "ada" }));
    let first = token(&portal.backend, "ada");
    portal.root.post(&format!("{user}/suspend"), json!({})).expect(200);
    ada().refused(403, "subject_not_active");
    assert_eq!(portal.ask(&first, &[])["valid"], false);
    portal.root.post(&format!("{user}/resume"), json!({})).expect(200);
    assert_eq!(portal.ask(&first, &[])["code"], "revoked", "it does not come back with the user");
    let second = token(&portal.backend, "ada");
    assert_eq!(portal.root.patch(&user, json!({ "trusted_tokens": false })).ok()["trusted_tokens"], false);
    ada().refused(403, "minting_forbidden");
    assert_eq!(portal.ask(&second, &[])["code"], "revoked");
    portal.root.patch(&user, json!({ "trusted_tokens": true })).expect(200);
    let third = token(&portal.backend, "ada");
    assert_eq!(portal.ask(&third, &[])["code"], "ok");
    portal.root.delete(&user).expect(204);
    ada().refused(404, "not_found");
    mint(&portal.backend, json!({ "user_id": portal.ada })).refused(404, "not_found");
    assert_eq!(portal.ask(&third, &[])["code"], "owner_deleted");
    mint(&portal.backend, json!({ "username": "nobody" })).refused(404, "not_found");
}

#[test]
fn ts_8_imp_5_a_user_is_made_on_the_way_below_the_ceiling() {
    let portal = Portal::new();
    let readers = json!({ "name": "Readers", "role_ids": [portal.role] });
    let readers = text(&portal.root.post("/v1/groups", readers).ok()["id"]);
    let body = |name: &str, groups: &[&str]| json!({ "username": name, "auto_create": true, "group_ids": groups, "email": "eve@example.org" });
    let made = mint(&portal.backend, body("eve", &[&readers])).ok();
    assert_eq!((&made["user_created"], &made["kind"]), (&json!(true), &json!("full")));
    assert_eq!(portal.ask(&text(&made["token"]), &["models/emea:read"])["code"], "ok");
    let user = portal.root.get(&format!("/v1/users/{}", text(&made["user_id"]))).ok();
    assert_eq!(
        (&user["origin"], &user["created_by"], &user["group_ids"]),
        (&json!("jit"), &json!(portal.id), &json!([readers]))
    );
    let again = mint(&portal.backend, body("eve", &[])).ok();
    assert_eq!((&again["user_created"], &again["user_id"]), (&json!(false), &made["user_id"]));
    let events = portal.root.get(&format!("/v1/audit-events?action=user.create&actor_id={}", portal.id)).ok();
    assert_eq!(events["data"].as_array().map(Vec::len), Some(1));
    mint(&portal.backend, json!({ "username": "mallory" })).refused(404, "not_found");
}

#[test]
fn imp_5_what_a_secret_may_not_make_is_refused_and_nothing_is_left() {
    let portal = Portal::new();
    let admins = built_in(&portal.root, "groups", "Administrators");
    let strong = portal.root.role("strong", &["secrets/**:read"]);
    let group = |name: &str, roles: Value| {
        text(&portal.root.post("/v1/groups", json!({ "name": name, "role_ids": roles })).ok()["id"])
    };
    let (strong, weak) = (group("Strong", json!([strong])), group("Weak", json!([])));
    let make = |name: &str, groups: Value| {
        mint(&portal.backend, json!({ "username": name, "auto_create": true, "group_ids": groups }))
    };
    make("eve", json!([admins])).refused(403, "above_ceiling");
    make("eve", json!(["group_01000000000000000000000000"])).refused(422, "invalid_value");
    make("administrator", json!([])).refused(422, "invalid_value");
    make("аda", json!([])).refused(409, "confusable_name");
    let path = format!("/v1/trusted/{}", portal.id);
    let set = |ceiling: Value| portal.root.patch(&path, json!({ "ceiling": ceiling })).expect(200);
    set(json!({ "rights": ["me:*", "me/*:*", "models/**:read", "reports:read"] }));
    make("eve", json!([strong])).refused(403, "above_ceiling");
    set(json!({ "create_group_ids": [weak] }));
    let other = group("Other", json!([]));
    make("eve", json!([other])).refused(403, "above_ceiling");
    set(json!({ "create_users": false }));
    make("eve", json!([weak])).refused(404, "not_found");
    assert_eq!(portal.root.get("/v1/users?q=eve").ok()["data"], json!([]));
    set(json!({ "create_users": true }));
    make("eve", json!([weak])).expect(200);
    // Whoever is there is left alone, whatever is asked.
    let before = portal.root.get(&format!("/v1/users/{}", portal.ada)).ok();
    make("ada", json!([weak])).expect(200);
    assert_eq!(portal.root.get(&format!("/v1/users/{}", portal.ada)).ok(), before);
}

#[test]
fn imp_5_a_deleted_user_is_not_brought_back() {
    let portal = Portal::new();
    let old = token(&portal.backend, "ada");
    portal.root.delete(&format!("/v1/users/{}", portal.ada)).expect(204);
    let made = mint(&portal.backend, json!({ "username": "ada", "auto_create": true })).ok();
    assert_ne!(text(&made["user_id"]), portal.ada);
    assert_eq!(portal.ask(&old, &[])["code"], "owner_deleted");
    assert_eq!(portal.ask(&text(&made["token"]), &["models/emea:read"])["code"], "insufficient_rights");
}

#[test]
fn imp_5_two_who_ask_for_the_same_new_user_at_once_both_get_a_token() {
    let portal = Portal::new();
    for round in 0..10 {
        let ask = || {
            let body = json!({ "username": format!("eve-{round}"), "auto_create": true });
            mint(&portal.backend, body).ok()
        };
        let made: Vec<Value> = std::thread::scope(|scope| {
            let running: Vec<_> = (0..4).map(|_| scope.spawn(ask)).collect();
            running.into_iter().map(|thread| thread.join().expect("no panic")).collect()
        });
        assert!(made.iter().all(|token| token["user_id"] == made[0]["user_id"]), "{made:?}");
        let created = made.iter().filter(|token| token["user_created"] == true).count();
        assert_eq!(created, 1, "{made:?}");
    }
}

#[test]
fn ts_1_a_renamed_user_is_found_by_the_new_name_alone() {
    let portal = Portal::new();
    token(&portal.backend, "ada");
    portal.root.patch(&format!("/v1/users/{}", portal.ada), json!({ "username": "countess" })).expect(200);
    mint(&portal.backend, json!({ "username": "ada" })).refused(404, "not_found");
    let bob = portal.root.user("ada", &[]);
    assert_eq!(mint(&portal.backend, json!({ "username": "ada" })).ok()["user_id"], json!(bob));
    assert_eq!(mint(&portal.backend, json!({ "username": "countess" })).ok()["user_id"], json!(portal.ada));
    assert_eq!(mint(&portal.backend, json!({ "user_id": portal.ada })).ok()["username"], "countess");
    let (other, _) = enable(&portal.root, json!({ "name": "other" }));
    assert_eq!(mint(&other, json!({ "username": "countess" })).ok()["user_id"], json!(portal.ada));
}

#[test]
fn imp_5_a_refused_request_makes_no_user() {
    let portal = Portal::new();
    let path = format!("/v1/trusted/{}", portal.id);
    let guests = text(&portal.root.post("/v1/groups", json!({ "name": "Guests" })).ok()["id"]);
    let make = |more: &Value| {
        let mut body = json!({ "username": "eve", "auto_create": true });
        for (name, value) in more.as_object().expect("fields") {
            body[name] = value.clone();
        }
        mint(&portal.backend, body)
    };
    let long = json!({ "claims": { "x": "y".repeat(2000) } });
    for (ceiling, more, status, code) in [
        (json!({ "rights": ["models/**:read"] }), json!({}), 403, "above_ceiling"),
        (json!({}), json!({ "rights": ["secrets:read"] }), 403, "insufficient_rights"),
        (json!({}), json!({ "rights": ["no right"] }), 422, "invalid_value"),
        (json!({}), json!({ "objects": ["a//b"] }), 422, "invalid_value"),
        (json!({}), json!({ "ttl_seconds": 0 }), 422, "invalid_value"),
        (json!({}), json!({ "audience": [] }), 422, "invalid_value"),
        (json!({ "audiences": ["reports"] }), json!({ "audience": ["models"] }), 403, "above_ceiling"),
        (json!({}), long, 422, "invalid_value"),
        (json!({ "user_ids": [portal.ada] }), json!({}), 403, "above_ceiling"),
        (json!({ "group_ids": [guests] }), json!({}), 403, "above_ceiling"),
    ] {
        let clean = json!({ "rights": null, "audiences": null, "user_ids": null, "group_ids": null });
        portal.root.patch(&path, json!({ "ceiling": clean })).expect(200);
        portal.root.patch(&path, json!({ "ceiling": ceiling })).expect(200);
        make(&more).refused(status, code);
        let left = portal.root.get("/v1/users?q=eve").ok();
        assert_eq!(left["data"], json!([]), "{ceiling} {more}");
    }
    assert_eq!(make(&json!({ "group_ids": [guests] })).ok()["user_created"], true, "a member of the group");
    let (primary, _) = enable(&portal.root, json!({ "name": "other" }));
    let (id, admin) = crate::api::tenant(&portal.server, "acme");
    portal.root.post(&format!("/v1/tenants/{id}/suspend"), json!({})).expect(200);
    let body = json!({ "username": "eve", "auto_create": true, "tenant": "acme" });
    mint(&primary, body).refused(403, "subject_not_active");
    portal.root.post(&format!("/v1/tenants/{id}/resume"), json!({})).expect(200);
    assert_eq!(admin.get("/v1/users?q=eve").ok()["data"], json!([]));
}
