//! Guessing a password.

use serde_json::{Value, json};

use super::{PASSWORD, log_in, session, set_password, somebody};
use crate::api::told;
use crate::support::{Server, text, wait_until};

const WRONG: &str = "seven wet hats on a rope";

fn attempt(url: &str, name: &str, password: &str) -> (u16, String) {
    let answer = log_in(url, json!({ "username": name, "password": password }));
    (answer.status, answer.body["code"].as_str().unwrap_or("ok").to_owned())
}

#[test]
fn ver_1_ver_2_who_is_there_and_who_is_not_read_the_same() {
    let server = Server::start();
    let root = server.root();
    somebody(&server, "known", &["me:read"]);
    let suspended = somebody(&server, "suspended", &["me:read"]);
    root.post(&format!("/v1/users/{suspended}/suspend"), json!({})).expect(200);
    root.user("fresh", &[]);
    let guess = |name: &str, number: usize| {
        let mut told =
            told(&log_in(&server.url, json!({ "username": name, "password": format!("{WRONG} {number}") })));
        told.1["retry_after"] = Value::Null;
        told
    };
    for number in 0..8 {
        let expected = guess("nobody", number);
        assert_eq!(expected.0, if number < 5 { 401 } else { 429 }, "{number}");
        for name in ["known", "suspended", "fresh", "not a name at all", "\u{202e}"] {
            assert_eq!(guess(name, number), expected, "{name} {number}");
        }
    }
}

#[test]
fn ver_1_a_suspended_user_with_the_right_password_reads_like_a_wrong_one() {
    let server = Server::start();
    let user = somebody(&server, "grace", &["me:read"]);
    server.root().post(&format!("/v1/users/{user}/suspend"), json!({})).expect(200);
    assert_eq!(attempt(&server.url, "grace", PASSWORD), (401, "invalid_login".into()));
    server.root().post(&format!("/v1/users/{user}/resume"), json!({})).expect(200);
    assert_eq!(attempt(&server.url, "grace", PASSWORD).0, 200);
}

#[test]
fn ver_3_every_spelling_of_a_name_counts_as_one() {
    let server = Server::start();
    somebody(&server, "alice", &["me:read"]);
    for name in ["alice", "Alice", "alice ", " ALICE", "ａｌｉｃｅ"] {
        assert_eq!(attempt(&server.url, name, WRONG).0, 401, "{name}");
    }
    for name in ["alice", "aLICE", "\talice"] {
        assert_eq!(attempt(&server.url, name, PASSWORD), (429, "rate_limited".into()), "{name}");
    }
    std::thread::sleep(std::time::Duration::from_millis(1_100));
    assert_eq!(attempt(&server.url, "ＡＬＩＣＥ ", PASSWORD).0, 200, "and every one logs in");
}

#[test]
fn ver_4_a_success_clears_and_a_delay_is_told() {
    let server = Server::start();
    somebody(&server, "alice", &["me:read"]);
    for _ in 0..4 {
        assert_eq!(attempt(&server.url, "alice", WRONG).0, 401);
    }
    assert_eq!(attempt(&server.url, "alice", PASSWORD).0, 200);
    for _ in 0..5 {
        assert_eq!(attempt(&server.url, "alice", WRONG).0, 401);
    }
    let told = log_in(&server.url, json!({ "username": "alice", "password": PASSWORD }))
        .refused(429, "rate_limited");
    assert_eq!(told.header("retry-after"), "1");
    // What is refused for its time is not counted.
    server.place.sql("UPDATE login_attempts SET series = 9, last_at = last_at - 2000");
    let told = log_in(&server.url, json!({ "username": "alice", "password": PASSWORD }))
        .refused(429, "rate_limited");
    let wait: u64 = told.header("retry-after").parse().expect("seconds");
    assert!((10..=15).contains(&wait), "{wait}");
}

#[test]
fn ver_4_a_hundred_failures_lock_the_password_and_nothing_else() {
    let server = Server::start();
    let root = server.root();
    let user = somebody(&server, "alice", &["me:read", "me/keys:*"]);
    let running = session(&server.url, "alice");
    let key = running.key(json!({ "class": "member", "label": "own" }));
    assert_eq!(attempt(&server.url, "alice", WRONG).0, 401);
    assert_eq!(server.place.sql("UPDATE login_attempts SET in_a_row = 99, last_at = 0"), 1);
    assert_eq!(attempt(&server.url, "alice", WRONG), (401, "invalid_login".into()));
    server.place.sql("UPDATE login_attempts SET last_at = 0");
    assert_eq!(attempt(&server.url, "alice", PASSWORD), (401, "login_locked".into()));
    running.get("/v1/me").expect(200);
    server.caller(&text(&key["secret"])).get("/v1/me").expect(200);
    let pair = json!({ "username": key["access_key"], "password": key["secret"] });
    log_in(&server.url, pair).expect(200);
    // Neither does the lock let a running session prove a guess.
    running.post("/v1/auth/step-up", json!({ "password": PASSWORD })).refused(401, "login_locked");
    running.post(&format!("/v1/users/{user}/unlock"), json!({})).refused(403, "insufficient_rights");
    root.post(&format!("/v1/users/{user}/unlock"), json!({})).expect(200);
    assert_eq!(attempt(&server.url, "alice", PASSWORD).0, 200);
    assert_eq!(attempt(&server.url, "alice", WRONG).0, 401);
    server.place.sql("UPDATE login_attempts SET in_a_row = 100");
    assert_eq!(attempt(&server.url, "alice", PASSWORD).1, "login_locked");
    set_password(&root, &user, PASSWORD);
    assert_eq!(attempt(&server.url, "alice", PASSWORD).0, 200, "a new password recovers");
}

#[test]
fn ver_6_a_restart_or_another_node_gives_no_more_attempts() {
    let server = Server::start();
    somebody(&server, "alice", &["me:read"]);
    let node = server.second_node();
    for url in [&server.url, &node.url, &server.url, &node.url] {
        assert_eq!(attempt(url, "alice", WRONG).0, 401);
        assert_eq!(attempt(url, "nobody", WRONG).0, 401);
    }
    drop(node);
    let server = server.kill_and_restart();
    for name in ["alice", "nobody"] {
        assert_eq!(attempt(&server.url, name, WRONG).0, 401, "the fifth");
        assert_eq!(attempt(&server.url, name, PASSWORD).0, 429, "{name}");
    }
}

#[test]
fn ver_4_guesses_at_once_are_counted_one_by_one() {
    let server = Server::start();
    somebody(&server, "alice", &["me:read"]);
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let guess = |number: usize| attempt(&server.url, "alice", &format!("{WRONG} {number}")).0;
        let running: Vec<_> = (0..20).map(|number| scope.spawn(move || guess(number))).collect();
        running.into_iter().map(|thread| thread.join().expect("no panic")).collect()
    });
    // A second may pass meanwhile, which frees one more each time.
    let passed = statuses.iter().filter(|status| **status == 401).count();
    assert!((5..=8).contains(&passed), "{statuses:?}");
    assert!(statuses.iter().all(|status| [401, 429].contains(status)), "{statuses:?}");
}

#[test]
fn ver_2_names_that_nobody_has_leave_no_trace_of_themselves() {
    let server = Server::start();
    for typed in ["mallory-was-here", PASSWORD] {
        assert_eq!(attempt(&server.url, typed, WRONG).0, 401);
    }
    assert_eq!(server.place.sql("UPDATE login_attempts SET series = series"), 2);
    let dump = server.place.dump();
    assert!(!dump.contains("mallory-was-here") && !dump.contains(PASSWORD));
}

#[test]
fn aud_1_refused_and_done_logins_stand_in_the_log() {
    let server = Server::start();
    let user = somebody(&server, "alice", &["me:read"]);
    assert_eq!(attempt(&server.url, "alice", WRONG).0, 401);
    let own = session(&server.url, "alice");
    let root = server.root();
    let newest = |query: &str| root.get(&format!("/v1/audit-events?limit=1&{query}")).ok()["data"][0].clone();
    let started = newest("action=session.start");
    assert_eq!((&started["actor"]["id"], &started["actor"]["kind"]), (&json!(user), &json!("user")));
    assert_eq!(started["after"]["method"], "password");
    assert!(!started.to_string().contains(&own.secret));
    wait_until(|| newest("action=auth.login")["reason"] == "wrong_password");
    let refused = newest("action=auth.login");
    assert_eq!((&refused["actor"]["id"], &refused["outcome"]), (&json!(user), &json!("refused")));
}
