//! Logging in with a passkey alone.

use serde_json::{Value, json};

use super::device::Device;
use super::{Added, add, enter, finish, options, somebody_with_passkey};
use crate::api::{document, inside, operations, tenant};
use crate::factors::{newest, sessions_alive};
use crate::logins::{PASSWORD, log_in, post, session, set_password, somebody};
use crate::support::{Answer, Caller, Server, client, text};

/// A name for nodes that listen on several ports.
const SITE: &str = "server: {public_url: 'https://keys.example.org'}";

#[test]
fn aut_4_a_passkey_alone_is_both_factors_of_an_administrator() {
    let server = Server::start();
    let id = text(&server.root["user_id"]);
    set_password(&server.root(), &id, PASSWORD);
    let half = session(&server.url, "root");
    half.get("/v1/users").refused(403, "second_factor_missing");
    let Added { session, mut device, .. } = add(&half, Device::new(&server.url));
    session.get("/v1/users").expect(200);
    let opened = enter(&server.url, &mut device).ok();
    assert_eq!((&opened["user_id"], &opened["session"]["method"]), (&json!(id), &json!("passkey")));
    assert_eq!(opened["session"]["enrolment_only"], false);
    assert_eq!(opened["session"]["second_factor"], Value::Null);
    let own = server.caller(&text(&opened["token"]));
    own.get("/v1/users").expect(200);
    assert_eq!(server.root().code(&own.secret), "ok");
    let event = newest(&server, "session.start");
    assert_eq!((&event["actor"]["id"], &event["after"]["method"]), (&json!(id), &json!("passkey")));
    let shown = own.get("/v1/auth/factors").ok();
    assert_eq!(shown["factors"][0]["kind"], "passkey");
    assert!(shown["factors"][0]["last_used_at"].is_string(), "{shown}");
    assert!(server.root().get(&format!("/v1/users/{id}")).ok()["last_login_at"].is_string());
}

#[test]
fn aut_4_a_synchronized_passkey_with_another_kind_of_key_logs_in_again_and_again() {
    let server = Server::start();
    let user = somebody(&server, "grace", &["me:read"]);
    let mut added = add(&session(&server.url, "grace"), Device::synchronized(&server.url));
    for _ in 0..3 {
        let opened = enter(&server.url, &mut added.device).ok();
        assert_eq!(opened["user_id"], json!(user));
    }
    let server = server.kill_and_restart();
    added.device.origin = server.url.replace("127.0.0.1", "localhost");
    enter(&server.url, &mut added.device).ok();
}

#[test]
fn ver_1_what_a_browser_is_asked_for_tells_nobody_who_is_there() {
    let server = Server::start();
    let ask = || {
        let answer = post(&server.url, "/v1/auth/login/options", json!({}));
        let mut body = answer.ok();
        let challenge = text(&body["options"]["challenge"]);
        body["options"]["challenge"].take();
        body["expires_at"].take();
        (challenge, body)
    };
    let (first, nobody) = ask();
    somebody_with_passkey(&server, "grace");
    let (second, there) = ask();
    assert_eq!(nobody, there);
    assert_ne!(first, second);
    assert_eq!(there["options"]["allowCredentials"], json!([]));
    assert_eq!(there["options"]["userVerification"], "required");
    assert_eq!(there["options"]["rpId"], "localhost");
    post(&server.url, "/v1/auth/login/options", json!({ "username": "grace" }))
        .refused(400, "malformed_request");
    assert_eq!(server.place.sql("UPDATE used_passkey_challenges SET id = id"), 0, "asking stores nothing");
}

#[test]
fn ver_7_an_answer_opens_one_session_however_often_it_is_sent() {
    let server = Server::with_config(SITE);
    let node = server.second_node();
    somebody(&server, "grace", &["me:read"]);
    let mut added = add(&session(&server.url, "grace"), Device::synchronized("https://keys.example.org"));
    let before = sessions_alive(&server);
    // What one node asks for is answered to the other.
    let answered = added.device.get(&options(&server.url));
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let urls = [&server.url, &node.url, &server.url, &node.url, &server.url, &node.url];
        let running: Vec<_> =
            urls.into_iter().map(|url| scope.spawn(|| finish(url, &answered).status)).collect();
        running.into_iter().map(|thread| thread.join().expect("no panic")).collect()
    });
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 1, "{statuses:?}");
    assert!(statuses.iter().all(|status| [200, 401].contains(status)), "{statuses:?}");
    finish(&node.url, &answered).refused(401, "invalid_passkey");
    assert_eq!(sessions_alive(&server), before + 1);
    let server = server.kill_and_restart();
    finish(&server.url, &answered).refused(401, "invalid_passkey");
    let answered = added.device.get(&options(&node.url));
    finish(&server.url, &answered).ok();
}

#[test]
fn ver_4_a_lock_of_the_password_does_not_bar_a_passkey() {
    let server = Server::start();
    let (_, mut added) = somebody_with_passkey(&server, "grace");
    let guess = json!({ "username": "grace", "password": "seven wet hats on a rope" });
    log_in(&server.url, guess).refused(401, "invalid_login");
    assert_eq!(server.place.sql("UPDATE login_attempts SET in_a_row = 100, last_at = 0"), 1);
    let right = json!({ "username": "grace", "password": PASSWORD });
    log_in(&server.url, right).refused(401, "login_locked");
    enter(&server.url, &mut added.device).ok();
    let right = json!({ "username": "grace", "password": PASSWORD });
    log_in(&server.url, right).refused(401, "login_locked");
}

#[test]
fn va_2_passwords_that_are_switched_off_leave_passkeys_alone() {
    let server = Server::start();
    let (_, mut added) = somebody_with_passkey(&server, "grace");
    let before = text(&enter(&server.url, &mut added.device).ok()["token"]);
    let off = json!({ "login": { "passwords": false } });
    server.root().patch("/v1/policies", off).expect(200);
    added.session.get("/v1/me").refused(401, "class_disabled");
    server.caller(&before).get("/v1/me").expect(200);
    let opened = enter(&server.url, &mut added.device).ok();
    let own = server.caller(&text(&opened["token"]));
    // Another proof needs the passkey, and never the password.
    own.post("/v1/auth/step-up", json!({ "password": PASSWORD })).refused(401, "second_factor_required");
    let asked = own.post("/v1/auth/step-up/options", json!({})).ok()["options"].clone();
    assert_eq!(asked["userVerification"], "required");
    own.post("/v1/auth/step-up", json!({ "passkey": added.device.get(&asked) })).ok();
}

#[test]
fn va_2_a_server_without_passwords_lets_passkeys_in() {
    let server = Server::with_config("login: {passwords: true}");
    let (_, mut added) = somebody_with_passkey(&server, "grace");
    let place = server.place.folder.path().join("config.yml");
    let mut server = server;
    server.terminate();
    let url = server.url.clone();
    let port: u16 = url.rsplit(':').next().and_then(|port| port.parse().ok()).expect("a port");
    std::fs::write(&place, "login: {passwords: false}").expect("written");
    let data = server.place.data();
    let args = ["serve", "--data-dir", data.to_str().expect("UTF-8"), "--listen"];
    let listen = format!("127.0.0.1:{port}");
    let config = place.to_str().expect("UTF-8");
    let mut child = server
        .place
        .keyward(&[&args[..], &[listen.as_str(), "--config", config]].concat())
        .spawn()
        .expect("the binary runs");
    let ready = || client().get(format!("{url}/readyz")).send().is_ok_and(|answer| answer.status() == 200);
    crate::support::wait_until(ready);
    let password = json!({ "username": "grace", "password": PASSWORD });
    log_in(&url, password).refused(403, "password_login_off");
    let entered = enter(&url, &mut added.device);
    child.kill().expect("killed");
    child.wait().expect("ended");
    entered.ok();
}

#[test]
fn dir_3_sq_7_a_passkey_ends_with_its_user_and_no_other_user_of_the_name_gets_it() {
    let server = Server::start();
    let root = server.root();
    let (user, mut added) = somebody_with_passkey(&server, "grace");
    let early = added.device.get(&options(&server.url));
    root.post(&format!("/v1/users/{user}/suspend"), json!({})).expect(200);
    finish(&server.url, &early).refused(401, "invalid_passkey");
    crate::support::wait_until(|| newest(&server, "auth.login")["reason"] == "owner_suspended");
    root.post(&format!("/v1/users/{user}/resume"), json!({})).expect(200);
    enter(&server.url, &mut added.device).ok();
    root.delete(&format!("/v1/users/{user}")).expect(204);
    enter(&server.url, &mut added.device).refused(401, "invalid_passkey");
    assert_eq!(server.place.sql("UPDATE factors SET name = name"), 0);
    let again = root.user("grace", &[]);
    enter(&server.url, &mut added.device).refused(401, "invalid_passkey");
    assert_eq!(root.get(&format!("/v1/users/{again}/factors")).ok()["factors"], json!([]));
    set_password(&root, &again, PASSWORD);
    log_in(&server.url, json!({ "username": "grace", "password": PASSWORD })).ok();
    // The same device may serve the new one, as a new passkey.
    let Added { mut device, .. } = add(&session(&server.url, "grace"), added.device);
    assert_eq!(enter(&server.url, &mut device).ok()["user_id"], json!(again));
}

#[test]
fn az_2_a_passkey_knows_its_tenant_and_rests_with_it() {
    let server = Server::start();
    let (id, admin) = tenant(&server, "acme");
    let user = admin.user("grace", &[]);
    set_password(&admin, &user, PASSWORD);
    let login = json!({ "tenant": "acme", "username": "grace", "password": PASSWORD });
    let own = Caller { url: server.url.clone(), secret: text(&log_in(&server.url, login).ok()["token"]) };
    let Added { mut device, .. } = add(&own, Device::new(&server.url));
    assert_eq!(enter(&server.url, &mut device).ok()["tenant_id"], json!(id));
    server.root().post(&format!("/v1/tenants/{id}/suspend"), json!({})).expect(200);
    enter(&server.url, &mut device).refused(401, "invalid_passkey");
    server.root().post(&format!("/v1/tenants/{id}/resume"), json!({})).expect(200);
    enter(&server.url, &mut device).ok();
    let removed = inside(&server.root(), &id, "GET", "/v1/users", &Value::Null);
    removed.expect(200);
    server.root().delete(&format!("/v1/tenants/{id}?confirm=acme")).expect(204);
    enter(&server.url, &mut device).refused(401, "invalid_passkey");
    assert_eq!(server.place.sql("UPDATE used_passkey_challenges SET id = id"), 0);
}

#[test]
fn ses_1_ses_2_ses_7_a_browser_gets_a_cookie_and_another_site_logs_nobody_in() {
    let server = Server::start();
    let (_, mut added) = somebody_with_passkey(&server, "grace");
    let send = |site: &str, cookie: &str, passkey: &Value| {
        let request = client().post(format!("{}/v1/auth/login/passkey", server.url));
        let request = request.header("Sec-Fetch-Site", site).header("Cookie", cookie);
        let body = json!({ "passkey": passkey, "cookie": true });
        Answer::read(request.json(&body).send().expect("an answer"))
    };
    let answered = added.device.get(&options(&server.url));
    let before = sessions_alive(&server);
    send("cross-site", "", &answered).refused(403, "cross_site");
    assert_eq!(sessions_alive(&server), before);
    let opened = send("same-origin", "", &answered).expect(200);
    assert_eq!((&opened.body["token"], &opened.body["secret_state"]), (&Value::Null, &json!("in_cookie")));
    let set = opened.header("set-cookie").to_owned();
    assert!(set.contains("; HttpOnly; SameSite=Lax"), "{set}");
    // A second login takes the place of the first.
    let first = set.split(';').next().expect("a cookie").to_owned();
    let again = send("same-origin", &first, &added.device.get(&options(&server.url))).expect(200);
    let ended = client().get(format!("{}/v1/me", server.url)).header("Cookie", &first);
    Answer::read(ended.send().expect("an answer")).refused(401, "revoked");
    let second = again.header("set-cookie").split(';').next().expect("a cookie").to_owned();
    let alive = client().get(format!("{}/v1/me", server.url)).header("Cookie", second);
    Answer::read(alive.send().expect("an answer")).expect(200);
}

#[test]
fn x_13_the_examples_about_passkeys_work_on_a_live_server() {
    let server = Server::start();
    let (_, mut added) = somebody_with_passkey(&server, "grace");
    let mut done = 0;
    for mut operation in operations(&document(&server)) {
        match operation.id.as_str() {
            "begin_passkey_login" | "begin_passkey_step_up" => {}
            "log_in_with_passkey" => {
                // Only what a device makes is missing from the example.
                let example = operation.example.as_mut().expect("an example");
                let made = added.device.get(&options(&server.url));
                let names = |value: &Value| {
                    value["response"].as_object().map(|fields| fields.keys().cloned().collect::<Vec<_>>())
                };
                assert_eq!(names(&example["passkey"]), names(&made));
                example["passkey"] = made;
            }
            _ => continue,
        }
        let answer = operation.send(&added.session, &operation.path);
        assert_eq!(answer.status, operation.status, "{}: {}", operation.id, answer.text);
        done += 1;
    }
    assert_eq!(done, 3);
}

#[test]
fn aut_3_a_fresh_server_knows_no_passkey() {
    let server = Server::start();
    let mut stranger = Device::new(&server.url);
    for user in [None, Some(text(&server.root["user_id"])), Some(String::new())] {
        stranger.user = user.map(|id| super::device::b64(id.as_bytes()));
        enter(&server.url, &mut stranger).refused(401, "invalid_passkey");
    }
    assert_eq!(sessions_alive(&server), 0);
}
