//! Guessing a password.

use serde_json::{Value, json};

use super::{PASSWORD, log_in, session, set_password, somebody};
use crate::api::{tenant, told};
use crate::support::{Caller, Server, text, wait_until};

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
        if number == 5 {
            // From now on all come too early, however slow this machine is.
            server.place.sql("UPDATE login_attempts SET last_at = last_at + 3600000");
        }
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
    // Nor is who is logged in kept from proving it.
    let renewed = running.post("/v1/auth/step-up", json!({ "password": PASSWORD })).ok();
    let running = server.caller(&text(&renewed["token"]));
    assert_eq!(attempt(&server.url, "alice", PASSWORD).1, "login_locked", "and that unlocks nothing");
    running.post(&format!("/v1/users/{user}/unlock"), json!({})).refused(403, "insufficient_rights");
    root.post(&format!("/v1/users/{user}/unlock"), json!({})).expect(200);
    assert_eq!(attempt(&server.url, "alice", PASSWORD).0, 200);
    assert_eq!(attempt(&server.url, "alice", WRONG).0, 401);
    server.place.sql("UPDATE login_attempts SET in_a_row = 100");
    assert_eq!(attempt(&server.url, "alice", PASSWORD).1, "login_locked");
    set_password(&root, &user, PASSWORD);
    assert_eq!(attempt(&server.url, "alice", PASSWORD).0, 200, "a new password recovers");
}

/// A session that somebody took gives a hundred guesses of its own, and locks nobody out of logins.
#[test]
fn ver_4_ses_6_guesses_within_a_session_are_counted_apart() {
    let server = Server::start();
    let root = server.root();
    let user = somebody(&server, "alice", &["me:read"]);
    let (own, other) = (session(&server.url, "alice"), session(&server.url, "alice"));
    let prove = |by: &Caller, password: &str| by.post("/v1/auth/step-up", json!({ "password": password }));
    for number in 0..5 {
        // Whichever session asks: they count together.
        let by = if number % 2 == 0 { &own } else { &other };
        prove(by, WRONG).refused(401, "invalid_login");
    }
    let told = prove(&own, PASSWORD).refused(429, "rate_limited");
    assert_eq!(told.header("retry-after"), "1");
    let change = json!({ "old_password": PASSWORD, "new_password": "eleven cold spoons in a drawer" });
    own.post("/v1/auth/password", change.clone()).refused(429, "rate_limited");
    assert_eq!(attempt(&server.url, "alice", PASSWORD).0, 200, "logins do not wait for it");
    prove(&own, PASSWORD).refused(429, "rate_limited");
    assert_eq!(server.place.sql("UPDATE login_attempts SET in_a_row = 99, last_at = 0"), 1);
    prove(&own, WRONG).refused(401, "invalid_login");
    server.place.sql("UPDATE login_attempts SET last_at = 0");
    prove(&own, PASSWORD).refused(401, "login_locked");
    own.post("/v1/auth/password", change).refused(401, "login_locked");
    own.get("/v1/me").expect(200);
    assert_eq!(attempt(&server.url, "alice", PASSWORD).0, 200);
    root.post(&format!("/v1/users/{user}/unlock"), json!({})).expect(200);
    prove(&own, PASSWORD).expect(200);
    for _ in 0..5 {
        prove(&other, WRONG).refused(401, "invalid_login");
    }
    set_password(&root, &user, PASSWORD);
    prove(&session(&server.url, "alice"), PASSWORD).expect(200);
}

/// One entry for a lock, which takes a hundred failures; none for names that nobody has.
#[test]
fn ver_4_aud_1_a_lock_stands_in_the_log_once() {
    let server = Server::start();
    let root = server.root();
    let user = somebody(&server, "alice", &["me:read"]);
    let own = session(&server.url, "alice");
    let locks =
        || root.get("/v1/audit-events?action=auth.locked").ok()["data"].as_array().expect("a list").clone();
    for name in ["alice", "nobody"] {
        assert_eq!(attempt(&server.url, name, WRONG).0, 401);
    }
    own.post("/v1/auth/step-up", json!({ "password": WRONG })).refused(401, "invalid_login");
    assert_eq!(server.place.sql("UPDATE login_attempts SET in_a_row = 98, last_at = 0"), 3);
    assert_eq!(attempt(&server.url, "alice", WRONG).1, "invalid_login");
    assert!(locks().is_empty(), "the ninety-ninth");
    server.place.sql("UPDATE login_attempts SET in_a_row = 99, last_at = 0");
    for name in ["alice", "nobody"] {
        assert_eq!(attempt(&server.url, name, WRONG).1, "invalid_login");
        assert_eq!(attempt(&server.url, name, WRONG).1, "login_locked");
    }
    let told = locks();
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!((&told[0]["target"]["id"], &told[0]["actor"]["kind"]), (&json!(user), &json!("system")));
    assert_eq!(told[0]["after"], json!({ "factor": "password", "failures": 100 }));
    assert_eq!(told[0]["address"], "127.0.0.1");
    own.post("/v1/auth/step-up", json!({ "password": WRONG })).refused(401, "invalid_login");
    assert_eq!(locks().len(), 2);
    assert_eq!(locks()[0]["after"]["factor"], "password_in_session");
}

/// Where there is no such tenant, the primary one is looked through: nobody in it is found by that.
#[test]
fn ver_1_a_tenant_that_is_not_there_reads_like_a_user_who_is_not() {
    let server = Server::with_config("login: {hashers: 1, queue: 1}");
    somebody(&server, "alice", &["me:read"]);
    let (acme, _) = tenant(&server, "acme");
    let guess = |tenant: &str, name: &str, password: &str| {
        let mut told =
            told(&log_in(&server.url, json!({ "tenant": tenant, "username": name, "password": password })));
        told.1["retry_after"] = Value::Null;
        told
    };
    for number in 0..7 {
        let expected = guess("acme", "alice", WRONG);
        assert_eq!(expected.0, if number < 5 { 401 } else { 429 });
        assert_eq!(guess("nowhere", "alice", PASSWORD), expected, "attempt {number}");
    }
    assert_eq!(guess(&acme, "alice", WRONG).0, 429, "by id it is the same tenant");
    // Nothing of it is counted against the user of that name.
    assert_eq!(attempt(&server.url, "alice", PASSWORD).0, 200);
    // Both take a place in front of the threads that hash.
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let attempt = |number: usize| {
            let body = json!({ "tenant": "nowhere", "username": format!("n{number}"), "password": WRONG });
            log_in(&server.url, body).status
        };
        let running: Vec<_> = (0..12).map(|number| scope.spawn(move || attempt(number))).collect();
        running.into_iter().map(|thread| thread.join().expect("no panic")).collect()
    });
    assert!(statuses.contains(&503) && statuses.contains(&401), "{statuses:?}");
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
