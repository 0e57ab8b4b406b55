//! Setting and changing passwords.

use serde_json::{Value, json};

use super::{PASSWORD, log_in, post, session, set_password, somebody};
use crate::api::{person, tenant};
use crate::support::{Answer, Server, text, wait_until};

#[test]
fn aut_3_a_fresh_instance_has_no_password_at_all() {
    let server = Server::start();
    for username in ["root", "admin", "keyward", ""] {
        for password in ["root", "password", "changeme", &server.operator()] {
            let body = json!({ "username": username, "password": password });
            log_in(&server.url, body).refused(401, "invalid_login");
        }
    }
}

#[test]
fn aut_5_ver_7_a_link_sets_a_password_once_and_logs_nobody_in() {
    let server = Server::start();
    let root = server.root();
    let user = root.user("grace", &[]);
    let at = format!("/v1/users/{user}/password-reset");
    let first = root.post(&at, json!({})).ok();
    assert_eq!((&first["kind"], &first["username"]), (&json!("invitation"), &json!("grace")));
    let second = root.post(&at, json!({})).ok();
    let redeem = |token: &serde_json::Value, password: &str| {
        post(&server.url, "/v1/auth/password-reset", json!({ "token": token, "password": password }))
    };
    redeem(&first["token"], PASSWORD).refused(401, "invalid_link");
    // A bad password does not use the link up.
    redeem(&second["token"], "short").refused(422, "invalid_value");
    log_in(&server.url, json!({ "username": "grace", "password": PASSWORD })).refused(401, "invalid_login");
    let done = redeem(&second["token"], PASSWORD).expect(204);
    assert!(done.text.is_empty() && done.header("set-cookie").is_empty());
    redeem(&second["token"], PASSWORD).refused(401, "invalid_link");
    session(&server.url, "grace").get("/v1/me").expect(200);
    let third = root.post(&at, json!({})).ok();
    assert_eq!(third["kind"], "reset");
    server.place.sql("UPDATE password_links SET expires_at = created_at + 1");
    redeem(&third["token"], "eleven cold spoons in a drawer").refused(401, "invalid_link");
    for made_up in ["", "kwl_x", &server.operator()] {
        redeem(&json!(made_up), PASSWORD).refused(401, "invalid_link");
    }
    session(&server.url, "grace").get("/v1/me").expect(200);
}

#[test]
fn ver_7_many_who_redeem_at_once_are_one() {
    let server = Server::start();
    let root = server.root();
    let user = root.user("grace", &[]);
    let link = root.post(&format!("/v1/users/{user}/password-reset"), json!({})).ok();
    let redeem = |number: usize| {
        let body = json!({ "token": link["token"], "password": format!("{PASSWORD} {number}") });
        post(&server.url, "/v1/auth/password-reset", body).status
    };
    let statuses: Vec<_> = std::thread::scope(|scope| {
        let running: Vec<_> = (0..6).map(|number| scope.spawn(move || redeem(number))).collect();
        running.into_iter().map(|thread| thread.join().expect("no panic")).collect()
    });
    assert_eq!(statuses.iter().filter(|status| **status == 204).count(), 1, "{statuses:?}");
    assert_eq!(statuses.iter().filter(|status| **status == 401).count(), 5, "{statuses:?}");
}

#[test]
fn aut_5_an_administrator_starts_a_reset_and_cannot_choose_the_password() {
    let server = Server::start();
    let root = server.root();
    let user = root.user("grace", &[]);
    let at = format!("/v1/users/{user}");
    root.post(&format!("{at}/password-reset"), json!({ "password": PASSWORD }))
        .refused(400, "malformed_request");
    root.patch(&at, json!({ "password": PASSWORD })).refused(400, "malformed_request");
    root.post("/v1/users", json!({ "username": "eve", "password": PASSWORD }))
        .refused(400, "malformed_request");
    let link = root.post(&format!("{at}/password-reset"), json!({})).ok();
    let made = jiff(&link["expires_at"]) - now();
    assert!((3_500..=3_600).contains(&made), "{made}");
    // Nobody resets the password of who may do more (AZ-6).
    let (_, _, low) = person(&server, &root, "low", &["users:write"]);
    let admin = root.get("/v1/users?username=root").ok()["data"][0]["id"].clone();
    let path = format!("/v1/users/{}/password-reset", text(&admin));
    low.post(&path, json!({})).refused(403, "above_caller");
    low.post(&format!("{at}/password-reset"), json!({})).expect(200);
    // Another tenant's user is none.
    let (_, stranger) = tenant(&server, "acme");
    stranger.post(&format!("{at}/password-reset"), json!({})).refused(404, "not_found");
}

fn now() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    i64::try_from(since.expect("after 1970").as_secs()).expect("fits")
}

/// Seconds of an RFC 3339 time of today or tomorrow, by `date`.
fn jiff(at: &serde_json::Value) -> i64 {
    let output =
        std::process::Command::new("date").args(["-u", "+%s", "-d", &text(at)]).output().expect("date");
    String::from_utf8_lossy(&output.stdout).trim().parse().expect("a number")
}

#[test]
fn aut_6_the_address_of_a_link_comes_from_the_configuration() {
    let server = Server::with_config("server: {public_url: 'https://keys.example.org/base'}");
    let user = server.root().user("grace", &[]);
    let request = server.root().request("POST", &format!("/v1/users/{user}/password-reset"));
    let request = request.header("x-forwarded-host", "evil.example").header("origin", "https://evil.example");
    let link = crate::support::Answer::read(request.json(&json!({})).send().expect("an answer")).ok();
    assert_eq!(link["redeem_url"], "https://keys.example.org/base/console/password");
}

#[test]
fn aut_1_aut_2_a_bad_new_password_is_refused_with_the_reason() {
    let server = Server::start();
    let user = somebody(&server, "grace", &["me:read"]);
    let link = server.root().post(&format!("/v1/users/{user}/password-reset"), json!({})).ok();
    let set = |password: &str| {
        let body = json!({ "token": link["token"], "password": password });
        post(&server.url, "/v1/auth/password-reset", body)
    };
    for (password, code) in [
        ("fourteen chars", "too_short"),
        ("qwertyuiop12345678", "too_common"),
        ("grace grace keyward", "too_obvious"),
        (&"x y".repeat(400), "bad_length"),
    ] {
        let told = set(password).refused(422, "invalid_value");
        assert_eq!(told.body["errors"][0]["code"], code, "{}", told.text);
        assert_eq!(told.body["errors"][0]["pointer"], "/password");
        assert!(!told.text.contains(password), "it is not repeated");
    }
    set(&"x".repeat(1 << 20)).refused(413, "body_too_large");
    session(&server.url, "grace").get("/v1/me").expect(200);
    let wide = "ｎｉｎｅ ｗａｒｍ ｓｔｏｎｅｓ";
    set(wide).expect(204);
    let plain = json!({ "username": "grace", "password": "nine warm stones" });
    log_in(&server.url, plain).expect(200);
}

#[test]
fn aut_7_ses_4_a_changed_password_ends_every_other_session() {
    let server = Server::start();
    let node = server.second_node();
    somebody(&server, "grace", &["me:read", "me/keys:*"]);
    let (own, other) = (session(&server.url, "grace"), session(&node.url, "grace"));
    let key = own.key(json!({ "class": "member", "label": "kept" }));
    for caller in [&own, &other] {
        caller.get("/v1/me").expect(200);
    }
    let new = "eleven cold spoons in a drawer";
    let change = |old: &str, new: &str| {
        own.post("/v1/auth/password", json!({ "old_password": old, "new_password": new }))
    };
    change("something else entirely", new).refused(401, "invalid_login");
    change(PASSWORD, "short").refused(422, "invalid_value");
    other.get("/v1/me").expect(200);
    let opened = change(PASSWORD, new).ok();
    let renewed = server.caller(&text(&opened["token"]));
    renewed.get("/v1/me").expect(200);
    own.get("/v1/me").refused(401, "invalid_key");
    wait_until(|| other.get("/v1/me").status == 401);
    other.get("/v1/me").refused(401, "revoked");
    log_in(&server.url, json!({ "username": "grace", "password": PASSWORD })).refused(401, "invalid_login");
    log_in(&node.url, json!({ "username": "grace", "password": new })).expect(200);
    server.caller(&text(&key["secret"])).get("/v1/me").expect(200);
}

#[test]
fn aut_6_ses_4_a_reset_ends_every_session() {
    let server = Server::start();
    let user = somebody(&server, "grace", &["me:read"]);
    let before = session(&server.url, "grace");
    before.get("/v1/me").expect(200);
    set_password(&server.root(), &user, "eleven cold spoons in a drawer");
    before.get("/v1/me").refused(401, "revoked");
    log_in(&server.url, json!({ "username": "grace", "password": PASSWORD })).refused(401, "invalid_login");
}

#[test]
fn va_2_password_login_is_switched_off_by_the_instance_without_touching_keys() {
    let server = Server::with_config("login: {passwords: false}");
    let root = server.root();
    let (user, key) = root.member("grace", &[]);
    let body = json!({ "username": "grace", "password": PASSWORD });
    log_in(&server.url, body).refused(403, "password_login_off");
    root.post(&format!("/v1/users/{user}/password-reset"), json!({})).refused(403, "password_login_off");
    let (access_key, secret) = (text(&key["access_key"]), text(&key["secret"]));
    server.caller(&secret).get("/v1/me").expect(200);
    let opened = log_in(&server.url, json!({ "username": access_key, "password": secret })).ok();
    server.caller(&text(&opened["token"])).get("/v1/me").expect(200);
}

#[test]
fn va_2_ses_4_a_policy_ends_password_logins_and_their_sessions_without_touching_keys() {
    let server = Server::start();
    let node = server.second_node();
    somebody(&server, "grace", &["me:read", "me/keys:*"]);
    let own = session(&node.url, "grace");
    let key = own.key(json!({ "class": "member", "label": "kept" }));
    let root = server.root();
    let set =
        |allowed: bool| root.patch("/v1/policies", json!({ "login": { "passwords": allowed } })).expect(200);
    set(false);
    wait_until(|| own.get("/v1/me").status == 401);
    own.get("/v1/me").refused(401, "class_disabled");
    let body = json!({ "username": "grace", "password": PASSWORD });
    log_in(&server.url, body.clone()).refused(401, "invalid_login");
    server.caller(&text(&key["secret"])).get("/v1/me").expect(200);
    let pair = json!({ "username": key["access_key"], "password": key["secret"] });
    log_in(&server.url, pair).expect(200);
    set(true);
    log_in(&server.url, body).expect(200);
    for login in [json!({ "idle_minutes": 0 }), json!({ "max_minutes": 43_201 }), json!({ "passwort": true })]
    {
        let status = root.patch("/v1/policies", json!({ "login": login })).status;
        assert!([400, 422].contains(&status), "{login}");
    }
}

#[test]
fn sto_4_sto_5_sto_7_a_password_is_kept_as_a_sealed_hash_of_its_user() {
    let server = Server::start();
    let users = [somebody(&server, "grace", &["me:read"]), somebody(&server, "heidi", &["me:read"])];
    let log_in_as =
        |name: &str| log_in(&server.url, json!({ "username": name, "password": PASSWORD })).status;
    assert_eq!((log_in_as("grace"), log_in_as("heidi")), (200, 200));
    let dump = server.place.dump();
    assert!(dump.contains(&users[0]) && !dump.contains("argon2") && !dump.contains(PASSWORD));
    // Two users' hashes change places: both were hashed from the same password, and neither opens.
    server.place.sql("CREATE TABLE kept AS SELECT user_id, sealed FROM passwords");
    let swap = "UPDATE passwords SET sealed = (SELECT kept.sealed FROM kept WHERE kept.user_id <> passwords.user_id)";
    assert_eq!(server.place.sql(swap), 2);
    assert_eq!((log_in_as("grace"), log_in_as("heidi")), (500, 500));
    assert_eq!(log_in_as("nobody"), 401, "who is not there is not damaged");
    set_password(&server.root(), &users[0], PASSWORD);
    assert_eq!(log_in_as("grace"), 200);
}

#[test]
fn users_of_other_tenants_log_in_by_naming_the_tenant() {
    let server = Server::start();
    let (id, admin) = tenant(&server, "acme");
    let user = admin.user("grace", &[]);
    set_password(&admin, &user, PASSWORD);
    for named in ["acme", &id] {
        let body = json!({ "tenant": named, "username": "grace", "password": PASSWORD });
        let opened = log_in(&server.url, body).ok();
        assert_eq!((&opened["tenant_id"], &opened["user_id"]), (&json!(id), &json!(user)));
    }
    for named in [json!(null), json!("primary"), json!("nowhere"), json!("")] {
        let body = json!({ "tenant": named, "username": "grace", "password": PASSWORD });
        log_in(&server.url, body).refused(401, "invalid_login");
    }
}

#[test]
fn az_6_a_link_dies_with_its_maker_and_when_the_user_may_do_more() {
    let server = Server::start();
    let root = server.root();
    let (maker_id, _, maker) = person(&server, &root, "desk", &["users:write", "me:read", "me/*:*"]);
    let role = root.role("editor", &["models/**:write"]);
    let link = |user: &str| maker.post(&format!("/v1/users/{user}/password-reset"), json!({})).ok();
    let redeem = |link: &Value| {
        post(&server.url, "/v1/auth/password-reset", json!({ "token": link["token"], "password": PASSWORD }))
    };
    let (promoted, plain, late) =
        (root.user("promoted", &[]), root.user("plain", &[]), root.user("late", &[]));
    let (first, second, third) = (link(&promoted), link(&plain), link(&late));
    root.patch(&format!("/v1/users/{promoted}"), json!({ "role_ids": [role] })).expect(200);
    redeem(&first).refused(401, "invalid_link");
    redeem(&second).expect(204);
    root.post(&format!("/v1/users/{maker_id}/suspend"), json!({})).expect(200);
    redeem(&third).refused(401, "invalid_link");
    // What is tried out makes no link, and shows none.
    let tried = root.post(&format!("/v1/users/{late}/password-reset?validate_only=true"), json!({})).ok();
    assert_eq!((&tried["token"], &tried["secret_state"]), (&Value::Null, &json!("not_made")));
}

#[test]
fn sto_4_sto_5_a_repeatable_request_leaves_no_plain_hash_of_a_password() {
    use sha2::Digest as _;
    let server = Server::start();
    somebody(&server, "grace", &["me:read"]);
    let own = session(&server.url, "grace");
    let body = json!({ "password": PASSWORD }).to_string();
    let request = own.request("POST", "/v1/auth/step-up").header("Content-Type", "application/json");
    let request = request.header("Idempotency-Key", "one-step").body(body.clone());
    Answer::read(request.send().expect("an answer")).expect(200);
    let plain = sha2::Sha256::digest([b"/v1/auth/step-up\0".as_slice(), body.as_bytes()].concat());
    let plain: String = plain.iter().map(|byte| format!("{byte:02x}")).collect();
    let dump = server.place.dump();
    assert!(dump.contains("one-step"), "the request is remembered");
    assert!(!dump.contains(&plain));
}
