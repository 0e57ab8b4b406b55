//! Nobody edits their betters (AZ-6).

use serde_json::{Value, json};

use crate::api::{built_in, person, snapshot, tenant};
use crate::support::{Caller, Server, text};

/// What a help desk may do: every verb on people and keys, but far from everything.
const HELP_DESK: [&str; 9] = [
    "users:*",
    "keys:*",
    "keys/others:create",
    "keys/never-expire:create",
    "groups:*",
    "roles:*",
    "me:read",
    "me/keys:*",
    "me/sessions:*",
];

struct Desk {
    admin: Caller,
    helper: Caller,
    /// An administrator and a key of theirs.
    boss: String,
    boss_key: String,
    /// A member and a key of theirs.
    mia: String,
    mia_key: String,
    member_role: String,
}

fn desk(server: &Server) -> Desk {
    let (_, admin) = tenant(server, "acme");
    let (_, _, helper) = person(server, &admin, "helper", &HELP_DESK);
    let member_role = built_in(&admin, "roles", "member");
    let boss = admin.user("boss", &[&built_in(&admin, "roles", "admin")]);
    let mia = admin.user("mia", &[&member_role]);
    let key =
        |owner: &str| text(&admin.key(json!({ "class": "member", "owner_id": owner, "label": "own" }))["id"]);
    let (boss_key, mia_key) = (key(&boss), key(&mia));
    Desk { admin, helper, boss, boss_key, mia, mia_key, member_role }
}

/// Every way to touch a user.
const ON_USERS: [(&str, &str, &str); 12] = [
    ("PATCH", "", r#"{"display_name": "X"}"#),
    ("PATCH", "", r#"{"email": "mine@example.org"}"#),
    ("PATCH", "", r#"{"role_ids": []}"#),
    ("POST", "/record-login", "{}"),
    ("POST", "/revoke-keys", r#"{"preview": true}"#),
    ("POST", "/suspend", "{}"),
    ("POST", "/resume", "{}"),
    ("POST", "/password-reset", "{}"),
    ("POST", "/unlock", "{}"),
    ("DELETE", "/sessions", ""),
    ("DELETE", "/factors", ""),
    ("DELETE", "", ""),
];

/// Every way to touch a key.
const ON_KEYS: [(&str, &str, &str); 12] = [
    ("PATCH", "", r#"{"label": "X"}"#),
    ("PATCH", "", r#"{"scopes": ["me:read"]}"#),
    ("PATCH", "", r#"{"conditions": null}"#),
    ("POST", "/extend", "{}"),
    ("POST", "/rotate", r#"{"overlap_seconds": 60}"#),
    ("POST", "/rotate/abort", "{}"),
    ("POST", "/rotate", r#"{"overlap_seconds": 60}"#),
    ("POST", "/rotate/finish", "{}"),
    ("POST", "/secret", "{}"),
    ("POST", "/deactivate", "{}"),
    ("POST", "/activate", "{}"),
    ("POST", "/revoke", r#"{"reason": "x"}"#),
];

fn send(caller: &Caller, method: &str, path: &str, body: &str) -> crate::support::Answer {
    let body: Value = serde_json::from_str(body).unwrap_or(json!({}));
    crate::support::Answer::read(caller.request(method, path).json(&body).send().expect("an answer"))
}

#[test]
fn az_6_a_help_desk_cannot_touch_an_administrator() {
    let server = Server::start();
    let Desk { admin, helper, boss, mia, .. } = desk(&server);
    let before = snapshot(&admin);
    for (method, action, body) in ON_USERS {
        send(&helper, method, &format!("/v1/users/{boss}{action}"), body).refused(403, "above_caller");
    }
    assert_eq!(snapshot(&admin), before);
    for (method, action, body) in ON_USERS {
        send(&helper, method, &format!("/v1/users/{mia}{action}"), body).ok();
    }
}

#[test]
fn az_6_a_help_desk_cannot_touch_a_key_of_an_administrator() {
    let server = Server::start();
    let Desk { admin, helper, boss_key, mia_key, .. } = desk(&server);
    let workspace = text(&admin.key(json!({ "class": "workspace", "label": "admin key" }))["id"]);
    let before = snapshot(&admin);
    for key in [&boss_key, &workspace] {
        for (method, action, body) in ON_KEYS {
            send(&helper, method, &format!("/v1/keys/{key}{action}"), body).refused(403, "above_caller");
        }
        helper.delete(&format!("/v1/keys/{key}")).refused(403, "above_caller");
    }
    let all = json!({ "filter": { "all": true }, "preview": true });
    helper.post("/v1/keys/revoke", all).refused(403, "above_caller");
    assert_eq!(snapshot(&admin), before);
    for (method, action, body) in ON_KEYS {
        send(&helper, method, &format!("/v1/keys/{mia_key}{action}"), body).ok();
    }
}

#[test]
fn az_6_a_narrow_key_of_a_better_is_the_betters_still() {
    let server = Server::start();
    let Desk { admin, helper, boss, mia, .. } = desk(&server);
    let narrow = |owner: &str| json!({ "class": "member", "owner_id": owner, "label": "narrow", "scopes": ["me:read"] });
    let path = format!("/v1/keys/{}", text(&admin.key(narrow(&boss))["id"]));
    let before = snapshot(&admin);
    helper.post("/v1/keys", narrow(&boss)).refused(403, "above_caller");
    helper.patch(&path, json!({ "label": "renamed" })).refused(403, "above_caller");
    helper.patch(&path, json!({ "scopes": null })).refused(403, "above_caller");
    helper.post(&format!("{path}/secret"), json!({})).refused(403, "above_caller");
    assert_eq!(snapshot(&admin), before);
    helper.post("/v1/keys", narrow(&mia)).expect(201);
}

#[test]
fn az_6_groups_and_roles_above_the_caller_stay_as_they_are() {
    let server = Server::start();
    let Desk { admin, helper, boss, mia, member_role, .. } = desk(&server);
    let strong = admin.role("strong", &["secrets/**:read"]);
    let group = text(&admin.post("/v1/groups", json!({ "name": "Strong", "role_ids": [strong] })).ok()["id"]);
    let weak =
        text(&admin.post("/v1/groups", json!({ "name": "Weak", "role_ids": [member_role] })).ok()["id"]);
    let administrators = built_in(&admin, "groups", "Administrators");
    admin.put(&format!("/v1/groups/{weak}/members/{boss}")).expect(204);
    let before = snapshot(&admin);
    for (method, path, body) in [
        ("PATCH", format!("/v1/roles/{strong}"), r#"{"description": "x"}"#),
        ("PATCH", format!("/v1/roles/{strong}"), r#"{"rights": []}"#),
        ("DELETE", format!("/v1/roles/{strong}"), ""),
        ("PATCH", format!("/v1/groups/{group}"), r#"{"description": "x"}"#),
        ("PATCH", format!("/v1/groups/{group}"), r#"{"role_ids": []}"#),
        ("DELETE", format!("/v1/groups/{group}"), ""),
        ("PUT", format!("/v1/groups/{group}/members/{mia}"), ""),
        ("PUT", format!("/v1/groups/{administrators}/members/{mia}"), ""),
        // The group is within reach, its member is not.
        ("DELETE", format!("/v1/groups/{weak}/members/{boss}"), ""),
        ("PUT", format!("/v1/groups/{weak}/members/{boss}"), ""),
    ] {
        send(&helper, method, &path, body).refused(403, "above_caller");
    }
    assert_eq!(snapshot(&admin), before);
    helper.put(&format!("/v1/groups/{weak}/members/{mia}")).expect(204);
    helper.delete(&format!("/v1/groups/{weak}/members/{mia}")).expect(204);
}
