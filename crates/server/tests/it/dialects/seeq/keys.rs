//! Access keys and their owners.

use serde_json::{Value, json};

use super::{Script, log_in, pair, read, refused, request, send, server};
use crate::api::tenant;
use crate::logins::{PASSWORD, somebody};
use crate::support::{Answer, Server, client, text, wait_until};

/// What a created access key logs in with.
fn made(created: &Value) -> Value {
    json!({ "username": created["accessKey"], "password": created["password"] })
}

fn labels(listed: &Value) -> Vec<&str> {
    listed["accessKeys"].as_array().expect("a list").iter().filter_map(|key| key["label"].as_str()).collect()
}

/// An administrator's script, logged in with a member key: those of workspaces have no user.
fn administrator(server: &Server) -> Script {
    let (_, key) = server.root().member("boss", &["**:*"]);
    Script::log_in(server, &pair(&key))
}

#[test]
fn sq_2_users_make_and_destroy_keys_of_their_own() {
    let server = server();
    let user = somebody(&server, "grace", &["me:read", "me/keys:*"]);
    let own = Script::log_in(&server, &json!({ "username": "grace", "password": PASSWORD }));
    assert_eq!(own.get("/api/access-keys").ok(), json!({ "accessKeys": [], "nextCursor": null }));
    let created = own.post("/api/access-keys", json!({ "label": "nightly export", "more": [1] })).expect(200);
    let (id, password) = (text(&created.body["id"]), text(&created.body["password"]));
    assert_eq!(created.body["user"], json!({ "id": user, "username": "grace" }));
    let listed = own.get("/api/access-keys").expect(200);
    let key = &listed.body["accessKeys"][0];
    assert_eq!((&key["id"], &key["label"]), (&json!(id), &json!("nightly export")));
    assert_eq!((&key["isAdmin"], &key["lastUsedAt"]), (&json!(false), &Value::Null));
    assert!(key["createdAt"].is_string() && key.get("password").is_none());
    assert!(!listed.text.contains(&password), "it is shown once");
    let script = Script::log_in(&server, &made(&created.body));
    for (body, words) in [
        (json!({}), "label"),
        (json!({ "label": "" }), "label"),
        (json!({ "label": 7 }), "label"),
        (json!({ "label": "x".repeat(101) }), "label"),
    ] {
        refused(&own.post("/api/access-keys", body), 400, words);
    }
    own.post("/api/access-keys", json!({ "label": "second" })).expect(200);
    refused(&own.post("/api/access-keys", json!({ "label": "third" })), 400, "2 keys");
    assert_eq!(labels(&own.get("/api/access-keys").ok()), ["second", "nightly export"]);
    // By the id, or by the access key itself.
    let gone = own.delete(&format!("/api/access-keys/{id}")).expect(200);
    assert_eq!(gone.body, json!({ "statusMessage": "the access key was deleted" }));
    refused(&own.delete(&format!("/api/access-keys/{id}")), 404, "");
    refused(&log_in(&server.url, &made(&created.body)), 401, "revoked");
    refused(&script.get("/api/users/me"), 401, "revoked");
    assert_eq!(labels(&own.get("/api/access-keys").ok()), ["second"]);
    let second = own.get("/api/access-keys").ok()["accessKeys"][0]["accessKey"].clone();
    own.delete(&format!("/api/access-keys/{}", text(&second))).expect(200);
    assert_eq!(labels(&own.get("/api/access-keys").ok()), Vec::<&str>::new());
}

#[test]
fn sq_2_nobody_handles_the_keys_of_others_without_the_right() {
    let server = server();
    let root = server.root();
    let (_, key) = root.member("grace", &[]);
    let (other, theirs) = root.member("heidi", &[]);
    let workspace = root.key(json!({ "class": "workspace", "label": "no access key" }));
    let (_, acme) = tenant(&server, "acme");
    let (_, foreign) = acme.member("ivan", &[]);
    let script = Script::log_in(&server, &pair(&key));
    assert_eq!(labels(&script.get("/api/access-keys").ok()), ["grace's key"]);
    refused(&script.get("/api/access-keys?all=true"), 403, "keys:read");
    refused(&script.get("/api/access-keys?all=perhaps"), 400, "");
    refused(&script.get("/api/access-keys?cursor=x"), 400, "cursor");
    refused(&script.post("/api/access-keys", json!({ "label": "x", "userId": other })), 404, "");
    let admin = administrator(&server);
    for key in [&theirs, &workspace, &foreign] {
        refused(&script.delete(&format!("/api/access-keys/{}", text(&key["id"]))), 404, "");
    }
    for key in [&workspace, &foreign] {
        refused(&admin.delete(&format!("/api/access-keys/{}", text(&key["id"]))), 404, "");
        assert_eq!(
            Answer::read(
                server.caller(&text(&key["secret"])).request("GET", "/v1/me").send().expect("an answer")
            )
            .status,
            200
        );
    }
    log_in(&server.url, &pair(&theirs)).expect(200);
    // A workspace key owns none.
    let list = request(&server.url, "GET", "/api/access-keys").bearer_auth(text(&workspace["secret"]));
    refused(&read(list), 403, "Only users");
    refused(&read(request(&server.url, "GET", "/api/access-keys")), 401, "not logged in");
}

#[test]
fn sq_6_administrators_see_and_delete_the_keys_of_all() {
    let server = server();
    let root = server.root();
    let (user, key) = root.member("grace", &[]);
    log_in(&server.url, &pair(&key)).expect(200);
    let admin = administrator(&server);
    let find = || {
        let listed = admin.get("/api/access-keys?all=true&limit=100").ok();
        let keys = listed["accessKeys"].as_array().expect("a list").clone();
        keys.into_iter().find(|item| item["id"] == key["id"]).expect("hers")
    };
    let found = find();
    assert_eq!(found["user"], json!({ "id": user, "username": "grace" }));
    assert_eq!([&found["label"], &found["status"]], ["grace's key", "active"]);
    assert!(found["createdAt"].is_string() && found["isAdmin"] == false);
    wait_until(|| find()["lastUsedAt"].is_string());
    let first = admin.get("/api/access-keys?all=true&limit=1").ok();
    assert_eq!(labels(&first), ["boss's key"]);
    let next =
        admin.get(&format!("/api/access-keys?all=true&limit=1&cursor={}", text(&first["nextCursor"]))).ok();
    assert_eq!((labels(&next), &next["nextCursor"]), (vec!["grace's key"], &Value::Null));
    assert_eq!(first["accessKeys"][0]["isAdmin"], true);
    // A key for somebody else: the password goes to whoever made it, once.
    let created = admin.post("/api/access-keys", json!({ "label": "for grace", "userId": user })).ok();
    assert_eq!(created["user"]["username"], "grace");
    log_in(&server.url, &made(&created)).expect(200);
    admin.delete(&format!("/api/access-keys/{}", text(&key["id"]))).expect(200);
    refused(&log_in(&server.url, &pair(&key)), 401, "revoked");
    let events = root.get(&format!("/v1/audit-events?action=key.revoke&target_id={}", text(&key["id"]))).ok();
    assert_eq!(events["data"][0]["actor"]["label"], "boss");
}

#[test]
fn sq_2_ses_6_a_login_of_long_ago_makes_no_key() {
    let server = server();
    let (_, key) = server.root().member("grace", &[]);
    let script = Script::log_in(&server, &pair(&key));
    server.place.sql("UPDATE sessions SET stepped_up_at = stepped_up_at - 601000");
    refused(&script.post("/api/access-keys", json!({ "label": "x" })), 403, "log in again");
    script.get("/api/access-keys").expect(200);
    Script::log_in(&server, &pair(&key)).post("/api/access-keys", json!({ "label": "x" })).expect(200);
}

#[test]
fn sq_3_a_key_may_what_its_owner_may_now_but_for_the_console() {
    let server = server();
    let root = server.root();
    let (user, key) = root.member("grace", &[]);
    let script = Script::log_in(&server, &pair(&key));
    assert_eq!(script.get("/api/users/me").ok()["isAdmin"], false);
    refused(&script.get("/api/access-keys?all=true"), 403, "keys:read");
    let boss = root.role("boss", &["**:*"]);
    root.patch(&format!("/v1/users/{user}"), json!({ "role_ids": [boss] })).expect(200);
    assert_eq!(script.get("/api/users/me").ok()["isAdmin"], true);
    script.get("/api/access-keys?all=true").expect(200);
    script.get("/api/system/configuration/options").expect(200);
    // The token is no login in a browser, and neither is the key.
    for credential in [script.token.clone(), text(&key["secret"])] {
        let page = client()
            .get(format!("{}/v1/me", server.url))
            .header("cookie", format!("__Host-keyward={credential}"));
        Answer::read(page.send().expect("an answer")).expect(401);
    }
    // A key with few scopes is no administrator, whoever owns it, and tells no more than a name.
    let body =
        json!({ "class": "member", "owner_id": user, "label": "narrow", "scopes": ["models/**:read"] });
    let narrow = log_in(&server.url, &pair(&root.key(body))).ok();
    assert_eq!((&narrow["isAdmin"], narrow.get("AccessKeyValidityDuration")), (&json!(false), None));
    root.patch(&format!("/v1/users/{user}"), json!({ "role_ids": [] })).expect(200);
    refused(&script.get("/api/access-keys"), 403, "me/keys:read");
}

#[test]
fn sq_7_sq_8_keys_and_what_they_opened_end_with_their_user() {
    let server = server();
    let root = server.root();
    let node = server.second_node();
    let (user, key) = root.member("grace", &[]);
    let script = Script::log_in(&server, &pair(&key));
    let there = Script { url: node.url.clone(), token: script.token.clone() };
    there.get("/api/users/me").expect(200);
    root.delete(&format!("/v1/users/{user}")).expect(204);
    assert_eq!(script.get("/api/users/me").status, 401);
    assert_eq!(log_in(&server.url, &pair(&key)).status, 401);
    wait_until(|| there.get("/api/users/me").status == 401);
    // Somebody of the same name has none of them.
    let next = root.user("grace", &[]);
    assert_ne!(next, user);
    assert_eq!(log_in(&server.url, &pair(&key)).status, 401);
    let listed = administrator(&server).get("/api/access-keys?all=true").ok();
    assert!(!listed["accessKeys"].as_array().expect("a list").iter().any(|item| item["user"]["id"] == next));
    assert!(!labels(&listed).contains(&"grace's key"));
}

#[test]
fn sq_9_a_reader_of_odata_authenticates_with_the_pair_at_the_gateway() {
    let server = server();
    let (_, key) = server.root().member("grace", &[]);
    let gateway = || client().get(format!("{}/authz", server.url));
    let (name, password) = (text(&key["access_key"]), text(&key["secret"]));
    let basic =
        Answer::read(gateway().basic_auth(&name, Some(&password)).send().expect("an answer")).expect(200);
    assert_eq!(basic.header("x-auth-key-id"), text(&key["id"]));
    let wrong = gateway().basic_auth(&name, Some("elsewhere")).send().expect("an answer");
    assert_eq!(wrong.status(), 401);
    // What a login gave is carried as the product carries it.
    let script = Script::log_in(&server, &pair(&key));
    let token = gateway().header("x-sq-auth", &script.token).send().expect("an answer");
    assert_eq!(token.status(), 200);
    send(request(&server.url, "POST", "/api/auth/logout").header("x-sq-auth", &script.token), &json!({}))
        .expect(200);
    let over = gateway().header("x-sq-auth", &script.token).send().expect("an answer");
    assert_eq!(over.status(), 401);
}
