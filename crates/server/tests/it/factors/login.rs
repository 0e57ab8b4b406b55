//! Logging in with a second factor.

use serde_json::{Value, json};

use super::{Phone, begin, give, log_in_with, newest, sessions_alive, somebody_with_factor, unused, wrong};
use crate::api::{document, operations, told};
use crate::logins::{PASSWORD, log_in, post, session, set_password, somebody};
use crate::support::{Answer, Server, client, text};

#[test]
fn aut_4_who_has_a_factor_needs_it_beside_the_password() {
    let server = Server::start();
    let (user, enrolled) = somebody_with_factor(&server, "grace", &["me:read"]);
    let alive = sessions_alive(&server);
    let before = server.root().get(&format!("/v1/users/{user}")).ok()["last_login_at"].clone();
    let answer = log_in(&server.url, json!({ "username": "grace", "password": PASSWORD }));
    let half = answer.refused(401, "second_factor_required");
    assert_eq!(half.body["factors"], json!(["totp", "recovery_code"]));
    assert!(half.body.get("token").is_none() && half.body["challenge_expires_at"].is_string());
    assert_eq!(sessions_alive(&server), alive, "half a login opens nothing");
    assert_eq!(server.root().get(&format!("/v1/users/{user}")).ok()["last_login_at"], before);
    let challenge = text(&half.body["challenge"]);
    server.caller(&challenge).get("/v1/me").refused(401, "invalid_key");
    give(&server.url, &challenge, &wrong(&enrolled.phone)).refused(401, "invalid_code");
    assert_eq!(sessions_alive(&server), alive);
    let opened = give(&server.url, &challenge, &enrolled.phone.code()).ok();
    assert_eq!(opened["session"]["second_factor"], "totp");
    assert_eq!(opened["session"]["enrolment_only"], false);
    server.caller(&text(&opened["token"])).get("/v1/me").expect(200);
    assert_eq!(newest(&server, "auth.challenge")["actor"]["id"], json!(user));
    assert_eq!(newest(&server, "session.start")["after"]["second_factor"], "totp");
    assert!(!server.place.dump().contains(&challenge[4..]), "only its hash is kept");
}

#[test]
fn ver_1_ver_2_a_wrong_password_never_gets_as_far_as_a_challenge() {
    let server = Server::start();
    let (_, enrolled) = somebody_with_factor(&server, "grace", &["me:read"]);
    somebody(&server, "plain", &["me:read"]);
    let guess = |name: &str| {
        told(&log_in(&server.url, json!({ "username": name, "password": "seven wet hats on a rope" })))
    };
    let expected = guess("nobody");
    assert_eq!(expected.0, 401);
    assert_eq!((guess("grace"), guess("plain")), (expected.clone(), expected));
    // Nor does a challenge of nobody tell more than one that was used.
    let challenge = begin(&server.url, "grace");
    give(&server.url, &challenge, &enrolled.phone.code()).ok();
    let made_up = format!("kwf_{}", "0".repeat(65));
    let answers: Vec<_> = [challenge.as_str(), &made_up, "", "kwf_x", &enrolled.session.secret]
        .iter()
        .map(|challenge| told(&give(&server.url, challenge, "123456")))
        .collect();
    assert_eq!(answers[0].1["code"], "invalid_challenge");
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
}

#[test]
fn ver_7_a_code_works_once_whatever_its_spelling() {
    let server = Server::start();
    let (_, enrolled) = somebody_with_factor(&server, "grace", &["me:read"]);
    let code = enrolled.phone.code();
    let wide: String =
        code.chars().map(|c| char::from_u32(u32::from(c) + 0xfee0).expect("a digit")).collect();
    let spaced = format!(" {} {} ", &code[..3], &code[3..]);
    let hyphened = format!("{}-{}", &code[..3], &code[3..]);
    give(&server.url, &begin(&server.url, "grace"), &spaced).ok();
    for spelling in [&spaced, &code, &wide, &hyphened] {
        give(&server.url, &begin(&server.url, "grace"), spelling).refused(401, "invalid_code");
    }
    // A code of an earlier step than the one that was used is of no use either.
    give(&server.url, &begin(&server.url, "grace"), &enrolled.phone.code_at(-1)).refused(401, "invalid_code");
    unused(&server);
    server.place.sql("DELETE FROM login_attempts");
    log_in_with(&server.url, "grace", &wide).get("/v1/me").expect(200);
    crate::support::wait_until(|| newest(&server, "auth.factor")["reason"] == "used_code");
}

#[test]
fn ver_7_codes_of_one_step_around_are_good_and_of_two_are_not() {
    let server = Server::start();
    let (_, enrolled) = somebody_with_factor(&server, "grace", &["me:read"]);
    for steps in [-3, 3] {
        let code = enrolled.phone.code_at(steps);
        give(&server.url, &begin(&server.url, "grace"), &code).refused(401, "invalid_code");
    }
    for steps in [0, 1] {
        log_in_with(&server.url, "grace", &enrolled.phone.code_at(steps));
    }
    unused(&server);
    log_in_with(&server.url, "grace", &enrolled.phone.code());
}

#[test]
fn ver_7_of_many_who_send_a_code_at_once_one_gets_through() {
    let server = Server::start();
    let (_, enrolled) = somebody_with_factor(&server, "grace", &["me:read"]);
    let node = server.second_node();
    let code = enrolled.phone.code();
    // On two nodes, with one challenge and with several.
    let one = begin(&server.url, "grace");
    let challenges: Vec<_> = (0..3).map(|_| begin(&server.url, "grace")).chain([one.clone(), one]).collect();
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let send = |at: usize, challenge: &str| {
            give(if at.is_multiple_of(2) { &server.url } else { &node.url }, challenge, &code).status
        };
        let running: Vec<_> = challenges
            .iter()
            .enumerate()
            .map(|(at, challenge)| scope.spawn(move || send(at, challenge)))
            .collect();
        running.into_iter().map(|thread| thread.join().expect("no panic")).collect()
    });
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 1, "{statuses:?}");
    assert!(statuses.iter().all(|status| [200, 401].contains(status)), "{statuses:?}");
}

#[test]
fn ver_7_sto_1_a_recovery_code_works_once_and_is_kept_as_argon2id() {
    let server = Server::start();
    let (user, enrolled) = somebody_with_factor(&server, "grace", &["me:read"]);
    assert_eq!(enrolled.codes.len(), 10);
    let code = &enrolled.codes[3];
    let spelling = format!(" {} ", code.to_uppercase().replace('-', "  "));
    let opened = give(&server.url, &begin(&server.url, "grace"), &spelling).ok();
    assert_eq!(opened["session"]["second_factor"], "recovery_code");
    let own = server.caller(&text(&opened["token"]));
    assert_eq!(own.get("/v1/auth/factors").ok()["recovery_codes_left"], 9);
    let used = newest(&server, "user.use_recovery_code");
    assert_eq!((&used["actor"]["id"], &used["after"]["left"]), (&json!(user), &json!(9)));
    for again in [code.clone(), code.replace('-', "")] {
        give(&server.url, &begin(&server.url, "grace"), &again).refused(401, "invalid_code");
    }
    give(&server.url, &begin(&server.url, "grace"), &enrolled.codes[9]).ok();
    let dump = server.place.dump();
    for code in &enrolled.codes {
        assert!(!dump.contains(code.as_str()) && !dump.contains(&code.replace('-', "")));
    }
    // A hash of another row does not open (STO-5), and without it the code is worth nothing.
    server.place.sql(
        "UPDATE recovery_codes SET sealed = (SELECT other.sealed FROM recovery_codes other WHERE other.number = 1)
         WHERE number = 2",
    );
    let swapped = give(&server.url, &begin(&server.url, "grace"), &enrolled.codes[2]);
    assert_eq!(swapped.status, 500, "{}", swapped.text);
}

#[test]
fn sto_6_a_seed_is_sealed_for_its_row() {
    let server = Server::start();
    let (_, grace) = somebody_with_factor(&server, "grace", &["me:read"]);
    let (_, mallory) = somebody_with_factor(&server, "mallory", &["me:read"]);
    let begun = mallory.session.post("/v1/auth/factors/totp", json!({})).ok();
    let dump = server.place.dump();
    assert!(!dump.contains(&text(&begun["secret"])), "a seed stands nowhere in clear");
    log_in_with(&server.url, "grace", &grace.phone.code());
    unused(&server);
    // Somebody who writes to the database puts an own seed in the place of another's.
    server.place.sql(
        "UPDATE factors SET sealed = (SELECT f.sealed FROM factors f JOIN users u ON u.id = f.user_id
            WHERE u.username = 'mallory' AND f.confirmed_at IS NOT NULL)",
    );
    let answer = give(&server.url, &begin(&server.url, "grace"), &mallory.phone.code());
    assert_eq!(answer.status, 500, "{}", answer.text);
    log_in_with(&server.url, "mallory", &mallory.phone.code());
}

#[test]
fn aut_6_a_reset_of_the_password_does_not_get_past_the_factor() {
    let server = Server::start();
    let (user, enrolled) = somebody_with_factor(&server, "grace", &["me:read"]);
    let waiting = begin(&server.url, "grace");
    set_password(&server.root(), &user, PASSWORD);
    enrolled.session.get("/v1/me").refused(401, "revoked");
    give(&server.url, &waiting, &enrolled.phone.code()).refused(401, "invalid_challenge");
    log_in_with(&server.url, "grace", &enrolled.phone.code());
}

#[test]
fn ses_4_a_login_that_waits_ends_with_time_user_and_sessions() {
    let server = Server::start();
    let root = server.root();
    let (user, enrolled) = somebody_with_factor(&server, "grace", &["me:read"]);
    let code = || enrolled.phone.code();
    let late = begin(&server.url, "grace");
    server.place.sql("UPDATE login_challenges SET expires_at = expires_at - 301000");
    give(&server.url, &late, &code()).refused(401, "invalid_challenge");
    let ended = begin(&server.url, "grace");
    root.delete(&format!("/v1/users/{user}/sessions")).expect(204);
    give(&server.url, &ended, &code()).refused(401, "invalid_challenge");
    let barred = begin(&server.url, "grace");
    root.patch("/v1/policies", json!({ "login": { "passwords": false } })).expect(200);
    give(&server.url, &barred, &code()).refused(401, "invalid_challenge");
    root.patch("/v1/policies", json!({ "login": { "passwords": true } })).expect(200);
    let suspended = begin(&server.url, "grace");
    root.post(&format!("/v1/users/{user}/suspend"), json!({})).expect(200);
    give(&server.url, &suspended, &code()).refused(401, "invalid_challenge");
    root.post(&format!("/v1/users/{user}/resume"), json!({})).expect(200);
    give(&server.url, &suspended, &code()).refused(401, "invalid_challenge");
    log_in_with(&server.url, "grace", &code());
}

#[test]
fn ses_2_ses_7_a_browser_gets_its_cookie_with_the_second_half() {
    let server = Server::start();
    let (_, enrolled) = somebody_with_factor(&server, "grace", &["me:read"]);
    let send = |path: &str, site: &str, body: Value| {
        let request = client().post(format!("{}{path}", server.url)).header("Sec-Fetch-Site", site);
        Answer::read(request.json(&body).send().expect("an answer"))
    };
    let login = json!({ "username": "grace", "password": PASSWORD, "cookie": true });
    let half = send("/v1/auth/login", "same-origin", login).refused(401, "second_factor_required");
    assert_eq!(half.header("set-cookie"), "");
    let body = json!({ "challenge": half.body["challenge"], "code": enrolled.phone.code(), "cookie": true });
    send("/v1/auth/login/factor", "cross-site", body.clone()).refused(403, "cross_site");
    let whole = send("/v1/auth/login/factor", "same-origin", body).expect(200);
    assert_eq!((&whole.body["token"], &whole.body["secret_state"]), (&Value::Null, &json!("in_cookie")));
    assert!(whole.header("set-cookie").contains("HttpOnly"), "{}", whole.header("set-cookie"));
}

#[test]
fn ses_1_ses_6_a_step_up_takes_the_factor_and_not_the_password() {
    let server = Server::start();
    let (_, enrolled) = somebody_with_factor(&server, "grace", &["me:read"]);
    let own = &enrolled.session;
    let step_up = |body: Value| own.post("/v1/auth/step-up", body);
    step_up(json!({ "password": PASSWORD })).refused(401, "second_factor_required");
    step_up(json!({ "code": wrong(&enrolled.phone) })).refused(401, "invalid_code");
    own.get("/v1/me").expect(200);
    server.place.sql("UPDATE sessions SET stepped_up_at = stepped_up_at - 601000");
    let renewed = step_up(json!({ "code": enrolled.phone.code() })).ok();
    own.get("/v1/me").refused(401, "invalid_key");
    let renewed = server.caller(&text(&renewed["token"]));
    let again = json!({ "code": enrolled.phone.code() });
    renewed.post("/v1/auth/step-up", again).refused(401, "invalid_code");
    renewed.post("/v1/auth/factors/recovery-codes", json!({})).expect(200);
    // Who has none proves the password, and is told so.
    somebody(&server, "plain", &["me:read"]);
    let plain = session(&server.url, "plain");
    plain.post("/v1/auth/step-up", json!({ "code": "123456" })).refused(422, "invalid_value");
    plain.post("/v1/auth/step-up", json!({ "password": PASSWORD })).expect(200);
}

#[test]
fn sq_5_a_key_is_never_asked_for_a_factor() {
    let server = Server::start();
    let root = server.root();
    root.patch("/v1/policies", json!({ "login": { "require_second_factor": "everybody" } })).expect(200);
    let (_, key) = root.member("grace", &["me:read", "me/sessions:*"]);
    server.caller(&text(&key["secret"])).get("/v1/me").expect(200);
    let pair = json!({ "username": key["access_key"], "password": key["secret"] });
    let opened = log_in(&server.url, pair).ok();
    assert_eq!(opened["session"]["enrolment_only"], false);
    let own = server.caller(&text(&opened["token"]));
    own.get("/v1/auth/sessions").expect(200);
    // Nor does it have one: what it adds would be the user's.
    for path in ["/v1/auth/factors/totp", "/v1/auth/factors/recovery-codes"] {
        own.post(path, json!({})).refused(403, "not_interactive");
    }
    own.get("/v1/auth/factors").refused(403, "not_interactive");
}

#[test]
fn x_13_the_examples_about_factors_work_on_a_live_server() {
    let server = Server::start();
    let document = document(&server);
    let mut done = Vec::new();
    for mut operation in operations(&document).into_iter().filter(|o| o.path.contains("/factor")) {
        let name = format!("user{}", done.len());
        let (user, enrolled) = somebody_with_factor(&server, &name, &["me:read"]);
        let begun = enrolled.session.post("/v1/auth/factors/totp", json!({})).ok();
        let phone = Phone::new(&text(&begun["secret"]));
        let id = match operation.id.as_str() {
            "confirm_factor" => text(&begun["id"]),
            "remove_factor" | "edit_factor" => enrolled.id.clone(),
            _ => user,
        };
        match operation.id.as_str() {
            "confirm_factor" => operation.example = Some(json!({ "code": phone.code() })),
            "log_in_with_factor" => {
                let example = operation.example.as_mut().expect("an example");
                example["challenge"] = begin(&server.url, &name).into();
                example["code"] = enrolled.phone.code().into();
            }
            _ => {}
        }
        let caller = if operation.session { enrolled.session } else { server.root() };
        let answer = operation.send(&caller, &operation.at(&id, ""));
        assert_eq!(answer.status, operation.status, "{}: {}", operation.id, answer.text);
        done.push(operation.id);
    }
    assert_eq!(done.len(), 10, "{done:?}");
}

#[test]
fn an_unknown_field_of_the_second_half_is_refused() {
    let server = Server::start();
    let (_, enrolled) = somebody_with_factor(&server, "grace", &["me:read"]);
    let challenge = begin(&server.url, "grace");
    let body = json!({ "challenge": challenge, "code": enrolled.phone.code(), "kode": 1 });
    post(&server.url, "/v1/auth/login/factor", body).refused(400, "malformed_request");
    give(&server.url, &challenge, &enrolled.phone.code()).ok();
}
