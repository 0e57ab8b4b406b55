//! Guessing a code.

use serde_json::json;

use super::{begin, give, log_in_with, newest, somebody_with_factor, wrong};
use crate::logins::{PASSWORD, post};
use crate::support::{Server, text, wait_until};

#[test]
fn ver_4_wrong_codes_cost_a_growing_delay_whatever_their_spelling() {
    let server = Server::start();
    let (user, enrolled) = somebody_with_factor(&server, "grace", &["me:read"]);
    let guess = wrong(&enrolled.phone);
    let challenge = begin(&server.url, "grace");
    for spelling in
        [guess.clone(), format!(" {guess}"), format!("{}-{}", &guess[..2], &guess[2..]), "x".into()]
    {
        give(&server.url, &challenge, &spelling).refused(401, "invalid_code");
    }
    // A fresh challenge, another node and a step-up count on.
    give(&server.url, &begin(&server.url, "grace"), &guess).refused(401, "invalid_code");
    let node = server.second_node();
    let told =
        give(&node.url, &begin(&node.url, "grace"), &enrolled.phone.code()).refused(429, "rate_limited");
    assert_eq!(told.header("retry-after"), "1");
    let code = json!({ "code": enrolled.phone.code() });
    enrolled.session.post("/v1/auth/step-up", code).refused(429, "rate_limited");
    std::thread::sleep(std::time::Duration::from_millis(1_100));
    log_in_with(&server.url, "grace", &enrolled.phone.code());
    wait_until(|| newest(&server, "auth.factor")["reason"] == "wrong_code");
    let refused = newest(&server, "auth.factor");
    assert_eq!((&refused["actor"]["id"], &refused["outcome"]), (&json!(user), &json!("refused")));
    assert_eq!(server.place.sql("UPDATE login_attempts SET series = series"), 0, "a success clears");
}

#[test]
fn ver_4_a_lock_locks_that_kind_of_code_and_nothing_else() {
    let server = Server::start();
    let root = server.root();
    let (user, enrolled) = somebody_with_factor(&server, "grace", &["me:read", "me/keys:*"]);
    let key = enrolled.session.key(json!({ "class": "member", "label": "own" }));
    let challenge = begin(&server.url, "grace");
    give(&server.url, &challenge, &wrong(&enrolled.phone)).refused(401, "invalid_code");
    assert_eq!(server.place.sql("UPDATE login_attempts SET in_a_row = 100, last_at = 0"), 1);
    give(&server.url, &challenge, &enrolled.phone.code()).refused(401, "factor_locked");
    // The password still is what it was, and so is everything else.
    begin(&server.url, "grace");
    enrolled.session.get("/v1/me").expect(200);
    server.caller(&text(&key["secret"])).get("/v1/me").expect(200);
    give(&server.url, &begin(&server.url, "grace"), &enrolled.codes[0]).ok();
    let unlock = format!("/v1/users/{user}/unlock");
    enrolled.session.post(&unlock, json!({})).refused(403, "insufficient_rights");
    give(&server.url, &challenge, &enrolled.phone.code()).refused(401, "factor_locked");
    root.post(&unlock, json!({})).expect(200);
    assert_eq!(newest(&server, "user.unlock")["target"]["id"], json!(user));
    give(&server.url, &challenge, &enrolled.phone.code()).ok();
}

#[test]
fn ver_6_a_restart_gives_no_more_guesses() {
    let server = Server::start();
    let (_, enrolled) = somebody_with_factor(&server, "grace", &["me:read"]);
    let guess = wrong(&enrolled.phone);
    for _ in 0..4 {
        give(&server.url, &begin(&server.url, "grace"), &guess).refused(401, "invalid_code");
    }
    let waiting = begin(&server.url, "grace");
    let server = server.kill_and_restart();
    give(&server.url, &waiting, &guess).refused(401, "invalid_code");
    give(&server.url, &waiting, &enrolled.phone.code()).refused(429, "rate_limited");
}

#[test]
fn ver_4_guesses_at_once_are_counted_one_by_one() {
    let server = Server::start();
    let (_, enrolled) = somebody_with_factor(&server, "grace", &["me:read"]);
    let (guess, challenge) = (wrong(&enrolled.phone), begin(&server.url, "grace"));
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let running: Vec<_> =
            (0..20).map(|_| scope.spawn(|| give(&server.url, &challenge, &guess).status)).collect();
        running.into_iter().map(|thread| thread.join().expect("no panic")).collect()
    });
    // A second may pass meanwhile, which frees one more each time.
    let passed = statuses.iter().filter(|status| **status == 401).count();
    assert!((5..=8).contains(&passed), "{statuses:?}");
    assert!(statuses.iter().all(|status| [401, 429].contains(status)), "{statuses:?}");
}

#[test]
fn ver_3_the_codes_of_a_user_count_as_one_by_whatever_name_it_logs_in() {
    let server = Server::start();
    let (_, enrolled) = somebody_with_factor(&server, "grace", &["me:read"]);
    let guess = wrong(&enrolled.phone);
    for name in ["grace", "Grace", " GRACE", "ｇｒａｃｅ", "grace "] {
        let half = post(&server.url, "/v1/auth/login", json!({ "username": name, "password": PASSWORD }));
        let challenge = text(&half.refused(401, "second_factor_required").body["challenge"]);
        give(&server.url, &challenge, &guess).refused(401, "invalid_code");
    }
    let challenge = begin(&server.url, "grace");
    give(&server.url, &challenge, &enrolled.phone.code()).refused(429, "rate_limited");
}
