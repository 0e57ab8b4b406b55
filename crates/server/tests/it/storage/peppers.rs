//! Rotation of the pepper without re-issuing a key (STO-3).

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use serde_json::{Value, json};

use crate::support::{Place, Server, text, wait_until};

const CONFIG: &str = "verify: {usage_flush: 1s}";

/// Rows of `keyward pepper status`, newest first.
fn status(place: &Place) -> Vec<(i64, String, i64)> {
    let output = place.run(&["pepper", "status", "-o", "json"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let rows: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let number = |value: &Value| value.as_i64().expect("a number");
    let rows = rows["data"].as_array().expect("a list").iter();
    rows.map(|row| (number(&row["id"]), text(&row["state"]), number(&row["secrets"]))).collect()
}

#[track_caller]
fn pepper(place: &Place, args: &[&str], code: i32) -> String {
    let output = place.run(&[&["pepper"], args].concat());
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{said}");
    said
}

fn workspace_key(server: &Server, label: &str) -> String {
    text(&server.root().key(json!({ "class": "workspace", "label": label }))["secret"])
}

/// Ends the work beside a test, also when the test fails.
struct Stops<'a>(&'a AtomicBool);

impl Drop for Stops<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn sto_3_verifications_go_on_while_the_pepper_is_rotated() {
    let server = Server::with_config(CONFIG);
    let used = workspace_key(&server, "used");
    let (stop, good) = (AtomicBool::new(false), AtomicU32::new(0));
    std::thread::scope(|scope| {
        let _stops = Stops(&stop);
        for _ in 0..3 {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    assert_eq!(server.root().code(&used), "ok");
                    good.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        wait_until(|| good.load(Ordering::Relaxed) > 20);
        pepper(&server.place, &["rotate"], 0);
        let at_rotation = good.load(Ordering::Relaxed);
        wait_until(|| good.load(Ordering::Relaxed) > at_rotation + 20);
        // Both keys in use move to the new pepper by being used.
        wait_until(|| status(&server.place) == [(2, "current".into(), 2), (1, "old".into(), 0)]);
        pepper(&server.place, &["retire", "1"], 0);
        let at_retirement = good.load(Ordering::Relaxed);
        wait_until(|| good.load(Ordering::Relaxed) > at_retirement + 20);
    });
    let server = server.kill_and_restart();
    assert_eq!(server.root().code(&used), "ok", "the new hash is the stored one");
    assert_eq!(status(&server.place), [(2, "current".into(), 2), (1, "retired".into(), 0)]);
}

/// What moved to the new pepper on one node is still known by its old hash on another.
#[test]
fn sto_3_x7_a_retirement_refuses_no_key_that_moved_on_another_node() {
    let server = Server::with_config(CONFIG);
    let node = server.second_node();
    let other = node.caller(&server.operator());
    let used = workspace_key(&server, "used");
    assert_eq!([server.root().code(&used), other.code(&used)], ["ok", "ok"]);
    pepper(&server.place, &["rotate"], 0);
    wait_until(|| {
        assert_eq!(server.root().code(&used), "ok");
        status(&server.place)[1] == (1, "old".into(), 0)
    });
    pepper(&server.place, &["retire", "1"], 0);
    let end = std::time::Instant::now() + std::time::Duration::from_millis(1_500);
    while std::time::Instant::now() < end {
        assert_eq!(other.code(&used), "ok", "before and after the node hears of it");
    }
    assert_eq!(server.root().code(&used), "ok");
}

/// Verifies all secrets again and again, a hundred in one request or one by one, over a connection of
/// its own; returns how many were good. Ends at the first that is not.
fn hammer(server: &Server, secrets: &[String], many: bool, stop: &AtomicBool) -> u64 {
    let client = reqwest::blocking::Client::new();
    let at = format!("{}/v1/verify{}", server.url, if many { "/batch" } else { "" });
    let mut good = 0;
    for from in (0..).step_by(if many { 100 } else { 1 }) {
        // Breath for the database, which shares the machine.
        std::thread::sleep(std::time::Duration::from_millis(2));
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let one = |at: usize| json!({ "credential": secrets[at % secrets.len()] });
        let body = if many {
            json!({ "requests": (from..from + 100).map(one).collect::<Vec<_>>() })
        } else {
            one(from)
        };
        let answer = client.post(&at).bearer_auth(server.operator()).json(&body).send().expect("an answer");
        assert_eq!(answer.status(), 200);
        let answer: Value = answer.json().expect("JSON");
        let codes = if many { answer["results"].as_array().expect("results").clone() } else { vec![answer] };
        for told in &codes {
            assert_eq!(told["code"], "ok", "{told}");
        }
        good += codes.len() as u64;
    }
    good
}

#[test]
fn sto_3_no_verification_fails_at_full_rate_while_peppers_come_and_go() {
    let server = Server::with_config(CONFIG);
    let mut secrets: Vec<_> =
        (0..30).map(|number| workspace_key(&server, &format!("key {number}"))).collect();
    secrets.push(server.operator());
    let stop = AtomicBool::new(false);
    let started = std::time::Instant::now();
    let good: u64 = std::thread::scope(|scope| {
        let stops = Stops(&stop);
        let threads = [true, false, false, false].map(|many| {
            let (server, secrets, stop) = (&server, &secrets, &stop);
            scope.spawn(move || {
                // Whoever meets a failure ends the test for all.
                let _stops = Stops(stop);
                hammer(server, secrets, many, stop)
            })
        });
        let all_on = |pepper: i64| {
            let rows = status(&server.place);
            rows[0] == (pepper, "current".into(), 31) && rows[1..].iter().all(|row| row.2 == 0)
        };
        for newest in 2..=4 {
            pepper(&server.place, &["rotate"], 0);
            wait_until(|| stop.load(Ordering::Relaxed) || all_on(newest));
            pepper(&server.place, &["retire", &(newest - 1).to_string()], 0);
        }
        assert!(!stop.load(Ordering::Relaxed), "a verification failed");
        drop(stops);
        threads.into_iter().map(|thread| thread.join().expect("no verification failed")).sum()
    });
    println!("{good} verifications in {:?}, none failed", started.elapsed());
    assert!(good > 10_000, "{good} verifications are no load");
}

#[test]
fn sto_3_stragglers_stop_a_retirement_and_force_ends_exactly_those() {
    let server = Server::with_config(CONFIG);
    let (used, straggler) = (workspace_key(&server, "used"), workspace_key(&server, "straggler"));
    pepper(&server.place, &["rotate"], 0);
    assert_eq!(server.root().code(&used), "ok");
    wait_until(|| {
        server.root().code(&used);
        status(&server.place)[1] == (1, "old".into(), 1)
    });
    let refused = pepper(&server.place, &["retire", "1"], 6);
    assert!(refused.contains("1 live secret"), "it says how many: {refused}");
    pepper(&server.place, &["retire", "2"], 6);
    pepper(&server.place, &["retire", "7", "--force"], 5);
    assert_eq!(server.root().code(&straggler), "ok", "a refused retirement changed nothing");
    // That use moved it too: a fresh straggler is needed under the pepper that goes.
    wait_until(|| status(&server.place)[1].2 == 0);
    pepper(&server.place, &["rotate"], 0);
    wait_until(|| {
        [&used, &server.operator()].iter().for_each(|secret| drop(server.root().code(secret)));
        status(&server.place)[1] == (2, "old".into(), 1)
    });
    pepper(&server.place, &["retire", "1"], 0);
    pepper(&server.place, &["retire", "2"], 6);
    let forced = pepper(&server.place, &["retire", "2", "--force"], 0);
    assert!(forced.contains("1 secret"), "{forced}");
    wait_until(|| server.root().code(&straggler) == "invalid_key");
    assert_eq!(server.root().code(&used), "ok");
    assert_eq!(server.root().code(&server.operator()), "ok");
    let server = server.kill_and_restart();
    assert_eq!(server.root().code(&straggler), "invalid_key");
    assert_eq!(server.root().code(&used), "ok");
}

#[test]
fn sto_3_keys_made_after_a_rotation_are_under_the_new_pepper() {
    let server = Server::with_config(CONFIG);
    pepper(&server.place, &["rotate"], 0);
    // The running server hears of it within a second.
    wait_until(|| {
        let made = workspace_key(&server, "made");
        assert_eq!(server.root().code(&made), "ok");
        status(&server.place)[0].2 > 1
    });
    for number in 3..=3 {
        pepper(&server.place, &["rotate"], 0);
        assert_eq!(status(&server.place)[0].0, number);
    }
    let refused = pepper(&server.place, &["rotate"], 6);
    assert!(refused.contains("retire"), "at most three: {refused}");
    assert_eq!(status(&server.place).len(), 3);
}

#[test]
fn sto_3_a_key_verifies_under_each_of_three_peppers() {
    let server = Server::with_config("verify: {usage_flush: 1m}");
    let first = workspace_key(&server, "first");
    let mut secrets = vec![first];
    for pepper_id in 2..=3 {
        pepper(&server.place, &["rotate"], 0);
        wait_until(|| {
            secrets.push(workspace_key(&server, "later"));
            status(&server.place)[0].2 > 0
        });
        assert_eq!(status(&server.place)[0].0, pepper_id);
    }
    for secret in &secrets {
        assert_eq!(server.root().code(secret), "ok");
    }
    let server = server.kill_and_restart();
    for secret in &secrets {
        assert_eq!(server.root().code(secret), "ok");
    }
}

/// A node that was away during a rotation must not refuse what another node made meanwhile.
#[test]
fn sto_3_x7_a_node_that_missed_the_rotation_refuses_no_good_key() {
    let server = Server::with_config(CONFIG);
    let other = server.second_node();
    let signal = |name: &str| {
        let status = std::process::Command::new("kill").args([name, &other.pid().to_string()]).status();
        assert!(status.expect("kill runs").success());
    };
    assert_eq!(other.caller(&server.operator()).code(&server.operator()), "ok");
    signal("-STOP");
    pepper(&server.place, &["rotate"], 0);
    let mut made = Vec::new();
    wait_until(|| {
        made.push(workspace_key(&server, "made meanwhile"));
        status(&server.place)[0].2 > 0
    });
    signal("-CONT");
    let caller = other.caller(&server.operator());
    for secret in made.iter().rev() {
        assert_eq!(caller.code(secret), "ok");
    }
}

#[test]
fn sto_3_aut_5_an_open_link_keeps_its_pepper_until_it_is_used_or_over() {
    let server = Server::with_config(CONFIG);
    let root = server.root();
    let user = root.user("grace", &[]);
    let link = || text(&root.post(&format!("/v1/users/{user}/password-reset"), json!({})).ok()["token"]);
    let mut token = link();
    pepper(&server.place, &["rotate"], 0);
    // The operator's key moves to the new one by being used; the link cannot.
    wait_until(|| {
        root.get("/v1/me").expect(200);
        status(&server.place)[1] == (1, "old".into(), 1)
    });
    let said = pepper(&server.place, &["retire", "1"], 6);
    assert!(said.contains("1 live secrets"), "{said}");
    let body = json!({ "token": token, "password": crate::logins::PASSWORD });
    crate::logins::post(&server.url, "/v1/auth/password-reset", body).expect(204);
    pepper(&server.place, &["retire", "1"], 0);
    // One whose time is over keeps none.
    token = link();
    assert_eq!(server.place.sql("UPDATE password_links SET expires_at = 1"), 1);
    pepper(&server.place, &["rotate"], 0);
    wait_until(|| {
        root.get("/v1/me").expect(200);
        status(&server.place)[1] == (2, "old".into(), 0)
    });
    pepper(&server.place, &["retire", "2"], 0);
    let body = json!({ "token": token, "password": crate::logins::PASSWORD });
    crate::logins::post(&server.url, "/v1/auth/password-reset", body).refused(401, "invalid_link");
}
