//! `/v1/users`: people, their names and what ends with them.

use serde_json::{Value, json};

use crate::api::{all, person, snapshot, tenant, told};
use crate::support::{Answer, Server, client, text};

#[test]
fn dir_3_sq_7_a_later_user_of_the_same_name_inherits_nothing() {
    let server = Server::start();
    let (_, admin) = tenant(&server, "acme");
    let (bob, role, old) = person(&server, &admin, "bob", &["me:read", "me/keys:*", "models/**:read"]);
    let group = text(&admin.post("/v1/groups", json!({ "name": "Readers", "role_ids": [role] })).ok()["id"]);
    admin.put(&format!("/v1/groups/{group}/members/{bob}")).expect(204);
    admin
        .patch(
            &format!("/v1/users/{bob}"),
            json!({ "owner_login_window_minutes": 5, "session_minutes": 5, "email": "bob@example.org" }),
        )
        .expect(200);
    admin.post(&format!("/v1/users/{bob}/record-login"), json!({})).expect(200);
    assert_eq!(admin.code(&old.secret), "ok");
    admin.delete(&format!("/v1/users/{bob}")).expect(204);
    let again = admin.post("/v1/users", json!({ "username": "bob", "role_ids": [] })).expect(201).body;
    let new = text(&again["id"]);
    assert_ne!(new, bob);
    for (field, empty) in [
        ("rights", json!([])),
        ("role_ids", json!([])),
        ("group_ids", json!([])),
        ("key_count", json!(0)),
        ("last_login_at", Value::Null),
        ("owner_login_window_minutes", Value::Null),
        ("session_minutes", Value::Null),
        ("email", Value::Null),
    ] {
        assert_eq!(again[field], empty, "{field}");
    }
    assert_ne!(admin.code(&old.secret), "ok", "a key of the earlier bob");
    old.get("/v1/me").expect(401);
    assert!(all(&admin, &format!("/v1/keys?owner_id={new}")).is_empty());
    assert!(all(&admin, &format!("/v1/audit-events?actor_id={new}")).is_empty());
    assert!(all(&admin, &format!("/v1/groups/{group}/members?")).is_empty());
    // Ids of the earlier bob stay dead for every operation.
    admin.get(&format!("/v1/users/{bob}")).refused(404, "not_found");
    admin.post(&format!("/v1/users/{bob}/resume"), json!({})).refused(404, "not_found");
    admin
        .post("/v1/keys", json!({ "class": "member", "owner_id": bob, "label": "x" }))
        .refused(404, "not_found");
    admin.put(&format!("/v1/groups/{group}/members/{bob}")).refused(404, "not_found");
}

#[test]
fn dir_6_one_name_in_every_spelling() {
    let server = Server::start();
    let (_, admin) = tenant(&server, "acme");
    admin.user("Admiral", &[]);
    admin.user("\u{c5}sa", &[]);
    let before = snapshot(&admin);
    for same in ["admiral", "ADMIRAL", "\u{ff21}dmiral", "\u{e5}sa", "A\u{30a}sa", "a\u{30a}sa"] {
        admin.post("/v1/users", json!({ "username": same })).refused(409, "already_exists");
    }
    // Cyrillic а and і, dotless ı: other letters that look the same.
    for alike in ["\u{430}dmiral", "adm\u{456}ral", "adm\u{131}ral", "admirai", "admira1"] {
        let answer = admin.post("/v1/users", json!({ "username": alike }));
        let answer =
            if alike == "admirai" { answer.expect(201) } else { answer.refused(409, "confusable_name") };
        if alike == "admirai" {
            admin.delete(&format!("/v1/users/{}", text(&answer.body["id"]))).expect(204);
        }
    }
    assert_eq!(snapshot(&admin), before);
    assert_eq!(all(&admin, "/v1/users?username=ADMIRAL").len(), 1);
}

#[test]
fn dir_6_az_7_names_that_cannot_be() {
    let server = Server::start();
    let (_, admin) = tenant(&server, "acme");
    let before = snapshot(&admin);
    let long = "x".repeat(129);
    let wide = "\u{e9}".repeat(65);
    for bad in [
        "",
        " ada",
        "ada ",
        "a da",
        "\u{fb01}nn",
        "ada\u{202e}nimda",
        "a\u{200b}da",
        "a\u{200d}da",
        "\u{feff}ada",
        "a\nda",
        "a\u{1b}[31m",
        "\u{301}ada",
        "\u{2066}ada",
        "ada\u{ad}",
        &long,
        &wide,
    ] {
        let refused = admin.post("/v1/users", json!({ "username": bad })).refused(422, "invalid_value");
        assert_eq!(refused.body["errors"][0]["pointer"], "/username", "{bad:?}");
    }
    for reserved in [
        "root",
        "ROOT",
        "r\u{43e}\u{43e}t",
        "ro\u{43e}t",
        "System",
        "\u{455}ystem",
        "sy\u{455}tem",
        "keyward",
        "Operator",
        "administrator",
    ] {
        let refused = admin.post("/v1/users", json!({ "username": reserved })).refused(422, "invalid_value");
        assert_eq!(refused.body["errors"][0]["code"], "reserved_name", "{reserved}");
    }
    assert_eq!(snapshot(&admin), before);
    for good in ["x".repeat(128), "j\u{f6}rg".into(), "\u{738b}\u{82b3}".into(), "mia@example.org".into()] {
        admin.post("/v1/users", json!({ "username": good })).expect(201);
    }
}

#[test]
fn dir_6_the_name_rules_hold_for_renaming() {
    let server = Server::start();
    let (_, admin) = tenant(&server, "acme");
    admin.user("ada", &[]);
    let bob = format!("/v1/users/{}", admin.user("bob", &[]));
    admin.patch(&bob, json!({ "username": "ADA" })).refused(409, "already_exists");
    admin.patch(&bob, json!({ "username": "\u{430}d\u{430}" })).refused(409, "confusable_name");
    admin.patch(&bob, json!({ "username": "Root" })).refused(422, "invalid_value");
    assert_eq!(admin.get(&bob).ok()["username"], "bob");
    admin.patch(&bob, json!({ "username": "robert" })).expect(200);
    admin.user("bob", &[]);
}

#[test]
fn va_5_all_keys_of_a_user_end_at_once_and_only_those() {
    let server = Server::start();
    let (_, admin) = tenant(&server, "acme");
    let (mia, _, first) = person(&server, &admin, "mia", &["me:read", "me/keys:*"]);
    let second = text(&first.key(json!({ "class": "member", "label": "second" }))["secret"]);
    let (_, _, other) = person(&server, &admin, "otto", &["me:read", "me/keys:*"]);
    let path = format!("/v1/users/{mia}/revoke-keys");
    assert_eq!(admin.post(&path, json!({ "preview": true })).ok()["matched"], 2);
    admin.post(&path, json!({ "reason": "left" })).refused(409, "not_confirmed");
    other.post(&path, json!({ "confirm": true })).refused(404, "not_found");
    assert_eq!((admin.code(&first.secret), admin.code(&second)), ("ok".into(), "ok".into()));
    let done = admin.post(&path, json!({ "reason": "left", "confirm": true })).ok();
    assert_eq!((&done["matched"], &done["revoked"]), (&json!(2), &json!(2)));
    assert_eq!((admin.code(&first.secret), admin.code(&second)), ("revoked".into(), "revoked".into()));
    assert_eq!(admin.code(&other.secret), "ok");
    let own = text(&other.get("/v1/me").ok()["principal"]["id"]);
    other.post(&format!("/v1/users/{own}/revoke-keys"), json!({ "confirm": true })).expect(200);
    assert_eq!(admin.code(&other.secret), "revoked");
}

#[test]
fn va_6_data_is_reachable_only_where_the_owner_has_the_right_for_it() {
    let server = Server::start();
    let (_, admin) = tenant(&server, "acme");
    let rights =
        ["me:read", "projects/apollo/**:read", "projects/*/models/budget:write", "workspaces/emea:*"];
    let (user, _, ada) = person(&server, &admin, "ada", &rights);
    let may = |right: &str| {
        let verified = admin.post("/v1/verify", json!({ "credential": ada.secret, "rights": [right] })).ok();
        let forward = client().get(format!("{}/authz", server.url)).bearer_auth(&ada.secret);
        let forward = Answer::read(forward.header("x-keyward-right", right).send().expect("an answer"));
        let answers = (verified["valid"] == true, forward.status == 200);
        assert_eq!(answers.0, answers.1, "verify and authz differ on {right}: {}", forward.text);
        assert_eq!(verified["code"], if answers.0 { "ok" } else { "insufficient_rights" });
        answers.0
    };
    for right in [
        "projects/apollo:read",
        "projects/apollo/models/budget:read",
        "projects/apollo/a/b/c:read",
        "projects/zeus/models/budget:write",
        "workspaces/emea:write",
        "workspaces/emea:read",
    ] {
        assert!(may(right), "{right}");
    }
    for right in [
        "projects/zeus:read",
        "projects/apollo:write",
        "projects/apollo2:read",
        "projects:read",
        "projects/zeus/models/budget:read",
        "projects/zeus/models/plan:write",
        "workspaces/apac:read",
        "workspaces/emea/models:read",
        "Projects/apollo:read",
    ] {
        assert!(!may(right), "{right}");
    }
    admin.patch(&format!("/v1/users/{user}"), json!({ "role_ids": [] })).expect(200);
    assert!(!may("projects/apollo:read"), "the owner lost it, live");
}

#[test]
fn az_2_a_member_sees_oneself_and_nobody_else() {
    let server = Server::start();
    let (_, admin) = tenant(&server, "acme");
    let (mia, _, member) = person(&server, &admin, "mia", &["me:read", "me/keys:*"]);
    let (otto, _, _) = person(&server, &admin, "otto", &["me:read"]);
    assert_eq!(member.get(&format!("/v1/users/{mia}")).ok()["username"], "mia");
    let hidden = told(&member.get(&format!("/v1/users/{otto}")));
    assert_eq!(hidden, told(&member.get("/v1/users/user_01000000000000000000000000")));
    member.get("/v1/users").refused(403, "insufficient_rights");
    let keys = all(&member, "/v1/keys?");
    assert_eq!(keys.len(), 1);
    assert_eq!(keys[0]["owner_id"], mia);
    // Naming somebody else as a filter shows one's own at most.
    assert!(all(&member, &format!("/v1/keys?owner_id={otto}")).iter().all(|key| key["owner_id"] == mia));
}
