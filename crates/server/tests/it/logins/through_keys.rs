//! Sessions that a key opened.

use serde_json::{Value, json};

use super::{PASSWORD, ask_for_no_factor, log_in, session, somebody};
use crate::api::{all, person, tenant};
use crate::support::{Answer, Caller, Server, text, wait_until};

fn pair(key: &Value) -> Value {
    json!({ "username": key["access_key"], "password": key["secret"] })
}

fn open(server: &Server, key: &Value) -> Caller {
    server.caller(&text(&log_in(&server.url, pair(key)).ok()["token"]))
}

#[test]
fn sq_5_a_login_with_access_key_and_secret() {
    let server = Server::start();
    let root = server.root();
    let (user, key) = root.member("grace", &["models/**:read"]);
    let opened = log_in(&server.url, pair(&key)).ok();
    assert_eq!((&opened["user_id"], &opened["session"]["method"]), (&json!(user), &json!("key")));
    assert_eq!(opened["session"]["access_key"], key["access_key"]);
    let own = server.caller(&text(&opened["token"]));
    let me = own.get("/v1/me").ok();
    assert_eq!((&me["principal"]["username"], &me["key"]["id"]), (&json!("grace"), &key["id"]));
    let told = root.verify(&own.secret);
    assert_eq!((&told["code"], &told["key"]["id"]), (&json!("ok"), &key["id"]));
    assert_eq!(told["session"]["method"], "key");
    let gateway = Answer::read(own.request("GET", "/authz").send().expect("an answer")).expect(200);
    assert_eq!(gateway.header("x-auth-key-id"), text(&key["id"]));
    // A workspace key speaks for the tenant.
    let workspace = root.key(json!({ "class": "workspace", "label": "nightly" }));
    let opened = log_in(&server.url, pair(&workspace)).ok();
    assert_eq!(opened["user_id"], Value::Null);
    let me = server.caller(&text(&opened["token"])).get("/v1/me").ok();
    assert_eq!((&me["principal"]["kind"], &me["principal"]["id"]), (&json!("workspace"), &workspace["id"]));
}

#[test]
fn sq_5_what_does_not_belong_together_opens_nothing() {
    let server = Server::start();
    let root = server.root();
    let (_, key) = root.member("grace", &[]);
    let (_, other) = root.member("heidi", &[]);
    let (access_key, secret) = (&key["access_key"], &key["secret"]);
    for body in [
        json!({ "username": other["access_key"], "password": secret }),
        json!({ "username": access_key, "password": other["secret"] }),
        json!({ "username": access_key, "password": PASSWORD }),
        json!({ "username": "kwa_0000000000000000", "password": secret }),
        json!({ "tenant": "elsewhere", "username": access_key, "password": secret }),
    ] {
        log_in(&server.url, body).refused(401, "invalid_key");
    }
    log_in(&server.url, json!({ "username": "grace", "password": secret })).refused(401, "invalid_login");
    let ingest = root.key(json!({ "class": "ingest", "label": "x" }));
    log_in(&server.url, pair(&ingest)).refused(403, "wrong_class");
    let (_, admin) = tenant(&server, "acme");
    let theirs = admin.key(json!({ "class": "workspace", "label": "x" }));
    log_in(&server.url, pair(&theirs)).expect(200);
    log_in(
        &server.url,
        json!({ "tenant": "acme", "username": theirs["access_key"], "password": theirs["secret"] }),
    )
    .expect(200);
    assert_eq!(server.place.sql("UPDATE sessions SET agent = agent"), 2, "two of these opened one");
}

#[test]
fn sq_5_x4_a_session_never_may_more_than_its_key() {
    let server = Server::start();
    let root = server.root();
    let (user, _) = root.member("grace", &["models/**:read"]);
    let body = json!({ "class": "member", "owner_id": user, "label": "narrow", "scopes": ["me:read", "models/emea:read"],
        "conditions": { "cidrs": ["127.0.0.0/8"] } });
    let own = open(&server, &root.key(body));
    let ask = |right: &str, address: &str| {
        let body = json!({ "credential": own.secret, "rights": [right], "client_ip": address });
        text(&root.post("/v1/verify", body).ok()["code"])
    };
    assert_eq!(ask("models/emea:read", "127.0.0.1"), "ok");
    assert_eq!(ask("models/apac:read", "127.0.0.1"), "insufficient_rights");
    assert_eq!(ask("models/emea:read", "192.0.2.1"), "address_denied", "conditions of the key hold");
    own.get("/v1/keys").refused(403, "insufficient_rights");
    let limit = json!([{ "name": "hour", "requests": 3, "per_seconds": 3600 }]);
    let limited = root.key(json!({ "class": "workspace", "label": "limited", "limits": limit }));
    let own = open(&server, &limited);
    assert_eq!(root.verify(&own.secret)["limits"][0]["remaining"], 1, "and its limits: the login was one");
    assert_eq!([root.code(&own.secret), root.code(&text(&limited["secret"]))], ["ok", "rate_limited"]);
}

#[test]
fn sq_8_ses_4_a_session_ends_with_its_key_on_every_node() {
    let server = Server::start();
    let root = server.root();
    let node = server.second_node();
    let there = node.caller(&root.secret);
    let ends: [(&str, &str, Value); 3] = [
        ("revoke", "revoked", json!({ "reason": "test" })),
        ("deactivate", "inactive", json!({})),
        ("secret", "retired_secret", json!({})),
    ];
    for (action, code, body) in ends {
        let key = root.key(json!({ "class": "workspace", "label": action }));
        let own = open(&server, &key);
        assert_eq!([root.code(&own.secret), there.code(&own.secret)], ["ok", "ok"]);
        root.post(&format!("/v1/keys/{}/{action}", text(&key["id"])), body).ok();
        assert_eq!(root.code(&own.secret), code, "{action}");
        wait_until(|| there.code(&own.secret) == code);
        own.get("/v1/me").expect(401);
    }
    // While a rotation overlaps both secrets work, and what the old one opened goes on for as long.
    let key = root.key(json!({ "class": "workspace", "label": "rotated" }));
    let own = open(&server, &key);
    let at = format!("/v1/keys/{}", text(&key["id"]));
    root.post(&format!("{at}/rotate"), json!({})).ok();
    assert_eq!(root.code(&own.secret), "ok");
    root.post(&format!("{at}/rotate/finish"), json!({})).ok();
    assert_eq!(root.code(&own.secret), "retired_secret");
}

#[test]
fn sq_8_ses_4_a_session_ends_with_user_tenant_and_policy() {
    let server = Server::start();
    let root = server.root();
    let (id, admin) = tenant(&server, "acme");
    let (user, key) = admin.member("grace", &[]);
    let own = open(&server, &key);
    let at = format!("/v1/tenants/{id}");
    root.post(&format!("{at}/suspend"), json!({})).expect(200);
    assert_eq!(root.code(&own.secret), "tenant_suspended");
    root.post(&format!("{at}/resume"), json!({})).expect(200);
    assert_eq!(root.code(&own.secret), "ok");
    admin.patch("/v1/policies", json!({ "switches": { "member_keys": false } })).expect(200);
    assert_eq!(root.code(&own.secret), "class_disabled");
    admin.patch("/v1/policies", json!({ "switches": { "member_keys": true } })).expect(200);
    admin.patch(&format!("/v1/users/{user}"), json!({ "owner_login_window_minutes": 0 })).expect(200);
    assert_eq!(root.code(&own.secret), "owner_keys_disabled");
    admin.patch(&format!("/v1/users/{user}"), json!({ "owner_login_window_minutes": -1 })).expect(200);
    assert_eq!(root.code(&own.secret), "ok");
    root.delete(&format!("{at}?confirm=acme")).expect(204);
    assert_eq!(root.code(&own.secret), "invalid_key");
    assert_eq!(server.place.sql("DELETE FROM sessions"), 0, "nothing of the tenant is left");
}

#[test]
fn sq_4_a_password_login_feeds_the_window_and_a_key_login_does_not() {
    let server = Server::start();
    let root = server.root();
    ask_for_no_factor(&root);
    let user = somebody(&server, "grace", &["me:read", "me/keys:*"]);
    let at = format!("/v1/users/{user}");
    let key = root.key(json!({ "class": "member", "owner_id": user, "label": "own" }));
    let secret = text(&key["secret"]);
    open(&server, &key);
    assert_eq!(root.get(&at).ok()["last_login_at"], Value::Null, "a key login is no login of a person");
    session(&server.url, "grace");
    assert!(root.get(&at).ok()["last_login_at"].is_string());
    // Neither can a key say that its owner logged in, nor spare its owner to.
    let boss = somebody(&server, "boss", &["**:*"]);
    let key_of_boss = session(&server.url, "boss").key(json!({ "class": "member", "label": "own" }));
    let acting = server.caller(&text(&key_of_boss["secret"]));
    acting.post(&format!("/v1/users/{boss}/record-login"), json!({})).refused(403, "own_owner");
    let never = json!({ "owner_login_window_minutes": -1 });
    acting.patch(&format!("/v1/users/{boss}"), never).refused(403, "own_owner");
    acting.post(&format!("{at}/record-login"), json!({})).expect(200);
    // Two weeks without a login of the person: the key stops, and so does what it opened.
    let own = open(&server, &key);
    server.place.sql("UPDATE users SET last_login_at = last_login_at - 1296000000, created_at = 0 WHERE last_login_at IS NOT NULL");
    root.patch(&at, json!({ "display_name": "Grace" })).expect(200);
    assert_eq!([root.code(&secret), root.code(&own.secret)], ["owner_login_lapsed", "owner_login_lapsed"]);
    log_in(&server.url, pair(&key)).refused(401, "owner_login_lapsed");
    session(&server.url, "grace");
    assert_eq!([root.code(&secret), root.code(&own.secret)], ["ok", "ok"]);
}

#[test]
fn sq_3_a_key_opens_no_interactive_session() {
    let server = Server::start();
    let root = server.root();
    let user = somebody(&server, "grace", &["me:read", "me/keys:*"]);
    let key = root.key(json!({ "class": "member", "owner_id": user, "label": "own" }));
    let own = open(&server, &key);
    let change = json!({ "old_password": PASSWORD, "new_password": "eleven cold spoons in a drawer" });
    own.post("/v1/auth/password", change.clone()).refused(403, "not_interactive");
    server.caller(&text(&key["secret"])).post("/v1/auth/password", change).refused(403, "not_a_session");
    session(&server.url, "grace").get("/v1/me").expect(200);
    assert_eq!(own.get("/v1/auth/session").ok()["method"], "key");
}

#[test]
fn ses_6_a_session_of_a_key_steps_up_with_the_secret_of_that_key_alone() {
    let server = Server::start();
    let root = server.root();
    let user = somebody(&server, "grace", &["me:read", "me/keys:*"]);
    let key = root.key(json!({ "class": "member", "owner_id": user, "label": "own" }));
    let other = root.key(json!({ "class": "member", "owner_id": user, "label": "other" }));
    let own = open(&server, &key);
    for wrong in [json!(PASSWORD), other["secret"].clone()] {
        own.post("/v1/auth/step-up", json!({ "password": wrong })).refused(401, "invalid_key");
    }
    let opened = own.post("/v1/auth/step-up", json!({ "password": key["secret"] })).ok();
    own.get("/v1/me").refused(401, "invalid_key");
    server.caller(&text(&opened["token"])).get("/v1/me").expect(200);
}

/// Sessions of this owner, by the access keys that they began with.
fn listed(caller: &Caller, path: &str) -> Vec<Value> {
    let mut keys: Vec<Value> = all(caller, path).iter().map(|item| item["access_key"].clone()).collect();
    keys.sort_by_key(ToString::to_string);
    keys
}

/// The limits of administrators bind what may administer, not everything that an administrator owns.
#[test]
fn ses_3_a_session_is_bound_and_listed_by_what_it_may_do_itself() {
    let server = Server::start();
    let root = server.root();
    ask_for_no_factor(&root);
    let boss = somebody(&server, "boss", &["**:*"]);
    let of = |scopes: Value| {
        root.key(json!({ "class": "member", "owner_id": boss, "label": "own", "scopes": scopes }))
    };
    let (narrow, wide) = (of(json!(["me:read", "me/sessions:read"])), of(Value::Null));
    let own = open(&server, &narrow);
    let (all_of_it, by_password) = (open(&server, &wide), session(&server.url, "boss"));
    let path = format!("/v1/users/{boss}/sessions");
    assert_eq!(all(&root, &path).len(), 3);
    // Twenty minutes without use: too long for an administrator, and for nobody else.
    let aged = "UPDATE sessions SET started_at = started_at - 1200000, last_seen_at = last_seen_at - 1200000";
    assert_eq!(server.place.sql(aged), 3);
    let server = server.kill_and_restart();
    let (root, own) = (server.root(), server.caller(&own.secret));
    assert_eq!(root.code(&own.secret), "ok");
    assert_eq!([root.code(&all_of_it.secret), root.code(&by_password.secret)], ["idle", "idle"]);
    assert_eq!(listed(&root, &path), [narrow["access_key"].clone()]);
    assert_eq!(listed(&own, "/v1/auth/sessions"), [narrow["access_key"].clone()]);
    let shown = own.get("/v1/auth/session").ok();
    let minutes = |name: &str| {
        let (from, to) = (text(&shown["started_at"]), text(&shown[name]));
        let time = |text: &str| text.parse::<jiff::Timestamp>().expect("a time").as_second();
        (time(&to) - time(&from)) / 60
    };
    assert_eq!(minutes("expires_at"), 24 * 60, "{shown}");
    assert!(minutes("idle_at") >= 60, "{shown}");
    assert_eq!(all(&own, "/v1/auth/sessions")[0]["expires_at"], shown["expires_at"]);
}

#[test]
fn ses_5_an_administrator_sees_and_ends_the_sessions_of_a_workspace_key() {
    let server = Server::start();
    let root = server.root();
    let node = server.second_node();
    let [key, other] = ["nightly", "hourly"].map(|label| {
        root.key(json!({ "class": "workspace", "label": label, "scopes": ["me:read", "models/**:read"] }))
    });
    let sessions = [open(&server, &key), open(&server, &key)];
    let bystander = open(&server, &other);
    let at = format!("/v1/keys/{}/sessions", text(&key["id"]));
    assert_eq!(listed(&root, &at), [key["access_key"].clone(), key["access_key"].clone()]);
    assert_eq!(listed(&root, &at.replace(&text(&key["id"]), &text(&key["access_key"]))).len(), 2);
    assert!(!all(&root, &at)[0].to_string().contains("kws_"));
    // Who may not, and who may do less than the key.
    let (_, _, nobody) = person(&server, &root, "nobody", &["me:read"]);
    nobody.get(&at).refused(403, "insufficient_rights");
    nobody.delete(&at).refused(403, "insufficient_rights");
    let (_, _, low) = person(&server, &root, "low", &["keys:read", "keys:revoke"]);
    assert_eq!(all(&low, &at).len(), 2);
    low.delete(&at).refused(403, "above_caller");
    let (_, stranger) = tenant(&server, "acme");
    stranger.get(&at).refused(404, "not_found");
    stranger.delete(&at).refused(404, "not_found");
    sessions[0].get("/v1/me").expect(200);
    root.delete(&at).expect(204);
    for own in &sessions {
        own.get("/v1/me").refused(401, "revoked");
        let there = node.caller(&own.secret);
        wait_until(|| there.get("/v1/me").status == 401);
    }
    assert!(listed(&root, &at).is_empty());
    server.caller(&text(&key["secret"])).get("/v1/me").expect(200);
    bystander.get("/v1/me").expect(200);
}

#[test]
fn ses_5_an_owner_ends_the_sessions_of_one_key_and_no_others() {
    let server = Server::start();
    let root = server.root();
    let user = somebody(&server, "grace", &["me:read", "me/keys:*", "me/sessions:*"]);
    let [one, two] =
        ["one", "two"].map(|label| root.key(json!({ "class": "member", "owner_id": user, "label": label })));
    let (lost, kept, own) = (open(&server, &one), open(&server, &two), session(&server.url, "grace"));
    let at = |key: &Value| format!("/v1/keys/{}/sessions", text(&key["id"]));
    assert_eq!(listed(&own, &at(&one)), [one["access_key"].clone()]);
    somebody(&server, "eve", &["me:read", "me/keys:*"]);
    session(&server.url, "eve").delete(&at(&one)).refused(404, "not_found");
    lost.get("/v1/me").expect(200);
    own.delete(&at(&one)).expect(204);
    lost.get("/v1/me").refused(401, "revoked");
    for caller in [kept, own] {
        caller.get("/v1/me").expect(200);
    }
}
