//! A passkey beside the password, in a step-up, and on the command line.

use serde_json::{Value, json};

use super::device::{Device, b64};
use super::{Added, add, enter, finish, somebody_with_passkey};
use crate::factors::{begin, enrol, give, newest, sessions_alive, unused};
use crate::logins::commands::run;
use crate::logins::{PASSWORD, log_in, post, session, somebody};
use crate::support::{Answer, Caller, Server, text};

/// The first half of a login; returns its answer.
#[track_caller]
fn half(server: &Server, name: &str) -> Value {
    let answer = log_in(&server.url, json!({ "username": name, "password": PASSWORD }));
    answer.refused(401, "second_factor_required").body
}

/// The second half.
fn answer(server: &Server, half: &Value, passkey: &Value) -> Answer {
    let body = json!({ "challenge": half["challenge"], "passkey": passkey });
    post(&server.url, "/v1/auth/login/factor", body)
}

#[test]
fn aut_4_ver_7_a_passkey_is_the_second_factor_of_a_password() {
    let server = Server::start();
    let (user, mut grace) = somebody_with_passkey(&server, "grace");
    let before = sessions_alive(&server);
    let begun = half(&server, "grace");
    assert_eq!(begun["factors"], json!(["passkey", "recovery_code"]));
    let asked = &begun["passkey"]["options"];
    assert_eq!(asked["allowCredentials"][0]["id"], b64(&grace.device.id));
    assert_eq!(asked["userVerification"], "preferred");
    // A plain security key, which verifies nobody and does not say whose it is, is enough here.
    (grace.device.verifies, grace.device.user) = (false, None);
    let answered = grace.device.get(asked);
    // It is worth nothing for another login, alone, or in a step-up.
    let other = half(&server, "grace");
    answer(&server, &other, &answered).refused(401, "invalid_passkey");
    finish(&server.url, &answered).refused(401, "invalid_passkey");
    let body = json!({ "passkey": answered });
    grace.session.post("/v1/auth/step-up", body).refused(401, "invalid_passkey");
    assert_eq!(sessions_alive(&server), before);
    let opened = answer(&server, &begun, &answered).ok();
    assert_eq!(opened["session"]["method"], "password");
    assert_eq!(opened["session"]["second_factor"], "passkey");
    assert_eq!(opened["user_id"], json!(user));
    answer(&server, &begun, &answered).refused(401, "invalid_challenge");
    crate::support::wait_until(|| newest(&server, "auth.factor")["reason"] == "wrong_challenge");
    // A recovery code is the way round a passkey that was lost.
    give(&server.url, &text(&half(&server, "grace")["challenge"]), &grace.codes[0]).ok();
}

#[test]
fn aut_4_the_passkey_of_another_user_is_no_second_factor() {
    let server = Server::start();
    let (_, grace) = somebody_with_passkey(&server, "grace");
    let (_, mut mallory) = somebody_with_passkey(&server, "mallory");
    let before = sessions_alive(&server);
    let begun = half(&server, "grace");
    for user in [mallory.device.user.clone(), grace.device.user.clone(), None] {
        mallory.device.user = user;
        let answered = mallory.device.get(&begun["passkey"]["options"]);
        answer(&server, &begun, &answered).refused(401, "invalid_passkey");
    }
    let body = json!({ "challenge": begun["challenge"] });
    post(&server.url, "/v1/auth/login/factor", body).refused(400, "malformed_request");
    let mut both = json!({ "challenge": begun["challenge"], "code": "123456" });
    both["passkey"] = mallory.device.get(&begun["passkey"]["options"]);
    post(&server.url, "/v1/auth/login/factor", both).refused(400, "malformed_request");
    assert_eq!(sessions_alive(&server), before);
}

#[test]
fn aut_4_ver_7_of_many_who_answer_for_one_password_one_gets_through() {
    let server = Server::start();
    somebody(&server, "grace", &["me:read"]);
    let mut grace = add(&session(&server.url, "grace"), Device::synchronized(&server.url));
    let begun = half(&server, "grace");
    let answered = grace.device.get(&begun["passkey"]["options"]);
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let running: Vec<_> =
            (0..6).map(|_| scope.spawn(|| answer(&server, &begun, &answered).status)).collect();
        running.into_iter().map(|thread| thread.join().expect("no panic")).collect()
    });
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 1, "{statuses:?}");
}

#[test]
fn aut_4_codes_and_passkeys_stand_side_by_side() {
    let server = Server::start();
    somebody(&server, "grace", &["me:read"]);
    let first = enrol(&session(&server.url, "grace"));
    let mut added = add(&first.session, Device::new(&server.url));
    unused(&server);
    let begun = half(&server, "grace");
    assert_eq!(begun["factors"], json!(["totp", "passkey", "recovery_code"]));
    give(&server.url, &text(&begun["challenge"]), &first.phone.code()).ok();
    let begun = half(&server, "grace");
    answer(&server, &begun, &added.device.get(&begun["passkey"]["options"])).ok();
    // Wrong codes lock codes, and nothing else.
    give(&server.url, &begin(&server.url, "grace"), "12345").refused(401, "invalid_code");
    server.place.sql("UPDATE login_attempts SET in_a_row = 100, last_at = 0");
    give(&server.url, &begin(&server.url, "grace"), &first.phone.code()).refused(401, "factor_locked");
    let begun = half(&server, "grace");
    answer(&server, &begun, &added.device.get(&begun["passkey"]["options"])).ok();
    enter(&server.url, &mut added.device).ok();
}

#[test]
fn ses_1_ses_6_a_passkey_makes_a_session_fresh_and_gives_it_another_token() {
    let server = Server::start();
    let Added { session, mut device, .. } = somebody_with_passkey(&server, "grace").1;
    let (_, mut other) = somebody_with_passkey(&server, "mallory");
    server.place.sql("UPDATE sessions SET stepped_up_at = stepped_up_at - 601000");
    let node = server.second_node();
    let old = Caller { url: node.url.clone(), secret: session.secret };
    let port = |url: &str| url.replace("127.0.0.1", "localhost");
    device.origin = port(&node.url);
    other.device.origin = port(&node.url);
    old.post("/v1/auth/factors/passkey", json!({})).refused(403, "step_up_required");
    let asked = || old.post("/v1/auth/step-up/options", json!({})).ok()["options"].clone();
    let prove = |passkey: &Value| old.post("/v1/auth/step-up", json!({ "passkey": passkey }));
    old.post("/v1/auth/step-up", json!({ "password": PASSWORD })).refused(401, "second_factor_required");
    prove(&other.device.get(&asked())).refused(401, "invalid_passkey");
    let theirs = other.session.post("/v1/auth/step-up/options", json!({})).ok()["options"].clone();
    prove(&device.get(&theirs)).refused(401, "invalid_passkey");
    let answered = device.get(&asked());
    let renewed = prove(&answered).ok();
    old.get("/v1/me").refused(401, "invalid_key");
    let own = node.caller(&text(&renewed["token"]));
    own.post("/v1/auth/step-up", json!({ "passkey": answered })).refused(401, "invalid_passkey");
    own.post("/v1/auth/factors/passkey", json!({})).ok();
    assert_eq!(newest(&server, "session.step_up")["outcome"], "success");
    somebody(&server, "plain", &["me:read"]);
    let plain = crate::logins::session(&server.url, "plain");
    plain.post("/v1/auth/step-up/options", json!({})).refused(409, "no_passkey");
    server.root().post("/v1/auth/step-up/options", json!({})).refused(403, "not_a_session");
}

#[test]
fn ses_6_a_session_that_a_passkey_began_asks_its_device_who_holds_it() {
    let server = Server::start();
    let (_, mut grace) = somebody_with_passkey(&server, "grace");
    let opened = enter(&server.url, &mut grace.device).ok();
    let own = server.caller(&text(&opened["token"]));
    let ask = || own.post("/v1/auth/step-up/options", json!({})).ok()["options"].clone();
    let asked = ask();
    assert_eq!(asked["userVerification"], "required");
    grace.device.verifies = false;
    let body = json!({ "passkey": grace.device.get(&asked) });
    own.post("/v1/auth/step-up", body).refused(401, "invalid_passkey");
    grace.device.verifies = true;
    own.post("/v1/auth/step-up", json!({ "passkey": grace.device.get(&ask()) })).ok();
}

#[test]
fn aut_4_the_command_line_lists_and_removes_passkeys() {
    let server = Server::start();
    let (_, grace) = somebody_with_passkey(&server, "grace");
    let told = run(&server, &["login", "--username", "grace"], PASSWORD, 2);
    assert!(told.err.contains("browser"), "{}", told.err);
    run(&server, &["login", "--username", "grace", "--code", &grace.codes[0]], PASSWORD, 0);
    let listed = run(&server, &["factors", "list"], "", 0);
    assert!(listed.out.contains("passkey") && listed.out.contains("laptop"), "{}", listed.out);
    let help = run(&server, &["factors", "--help"], "", 0);
    assert!(help.out.contains("browser"), "{}", help.out);
    run(&server, &["factors", "rename", &grace.id, "old laptop"], "", 0);
    let listed = run(&server, &["factors", "list"], "", 0);
    assert!(listed.out.contains("old laptop"), "{}", listed.out);
    run(&server, &["factors", "remove", &grace.id, "--yes"], "", 0);
    run(&server, &["login", "--username", "grace"], PASSWORD, 0);
}
