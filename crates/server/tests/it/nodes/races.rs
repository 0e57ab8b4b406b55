//! Check and act are one, also across nodes (AZ-10).

use serde_json::{Value, json};

use crate::support::{Answer, Caller, Server, text};

const CALLS: usize = 16;

/// The same call from many threads at once, on either node in turn.
fn at_once(callers: [&Caller; 2], call: impl Fn(&Caller, usize) -> Answer + Sync) -> Vec<Answer> {
    let start = std::sync::Barrier::new(CALLS);
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..CALLS)
            .map(|number| {
                let (caller, call, start) = (callers[number % 2], &call, &start);
                scope.spawn(move || {
                    start.wait();
                    call(caller, number)
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().expect("no panic")).collect()
    })
}

fn with_status(answers: &[Answer], status: u16) -> usize {
    answers.iter().filter(|answer| answer.status == status).count()
}

#[test]
fn az_10_bm_2_the_quota_of_keys_holds_across_nodes() {
    let server = Server::start();
    let node = server.second_node();
    let root = server.root();
    root.patch("/v1/policies", json!({ "max_keys_per_user": 5 })).ok();
    let (user, key) = root.member("alice", &[]);
    let secret = text(&key["secret"]);
    let (a, b) = (server.caller(&secret), node.caller(&secret));
    let answers = at_once([&a, &b], |caller, number| {
        caller.post("/v1/keys", json!({ "class": "member", "label": format!("key {number}") }))
    });
    assert_eq!(with_status(&answers, 201), 4);
    for answer in answers {
        if answer.status != 201 {
            answer.refused(422, "quota_exceeded");
        }
    }
    let keys = root.get(&format!("/v1/keys?owner_id={user}")).ok();
    assert_eq!(keys["data"].as_array().map(Vec::len), Some(5));
}

#[test]
fn az_10_an_idempotency_key_counts_on_both_nodes() {
    let server = Server::start();
    let node = server.second_node();
    let (a, b) = (server.root(), node.caller(&server.operator()));
    let create = |caller: &Caller, _| {
        let request = caller.request("POST", "/v1/keys").header("idempotency-key", "the-only-one");
        Answer::read(request.json(&json!({ "class": "ingest", "label": "once" })).send().expect("an answer"))
    };
    let answers = at_once([&a, &b], create);
    let ids: Vec<&Value> =
        answers.iter().filter(|answer| answer.status == 201).map(|answer| &answer.body["id"]).collect();
    assert!(!ids.is_empty() && ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    let secrets = answers.iter().filter(|answer| answer.body["secret"].is_string()).count();
    assert_eq!(secrets, 1, "the secret was told {secrets} times");
    for answer in &answers {
        assert!(answer.status == 201 || answer.body["code"] == "request_in_progress", "{}", answer.text);
    }
    assert_eq!(a.get("/v1/keys?label=once").ok()["data"].as_array().map(Vec::len), Some(1));
    let replay = create(&b, 0).expect(201);
    assert_eq!((replay.header("idempotency-replayed"), &replay.body["secret"]), ("true", &Value::Null));
}

#[test]
fn az_10_az_11_the_last_administrator_stays_whoever_is_asked() {
    let server = Server::start();
    let node = server.second_node();
    let (a, b) = (server.root(), node.caller(&server.operator()));
    let roles = a.get("/v1/roles?q=admin").ok();
    let admin = roles["data"].as_array().expect("a list").iter().find(|role| role["name"] == "admin");
    let admin = text(&admin.expect("is built in")["id"]);
    let users = [text(&server.root["user_id"]), a.user("second", &[&admin])];
    for _ in 0..5 {
        let answers = at_once([&a, &b], |caller, number| {
            caller.post(&format!("/v1/users/{}/suspend", users[number % 2]), json!({}))
        });
        assert_eq!(with_status(&answers, 200), 1);
        for answer in answers {
            assert!(
                answer.status == 200
                    || matches!(answer.body["code"].as_str(), Some("last_administrator" | "no_change")),
                "{}",
                answer.text
            );
        }
        let active = a.get("/v1/users?state=active").ok();
        let active = active["data"].as_array().expect("a list");
        assert_eq!(active.len(), 1, "{active:?}");
        for user in &users {
            a.post(&format!("/v1/users/{user}/resume"), json!({}));
        }
    }
}

#[test]
fn az_10_one_of_many_revocations_wins() {
    let server = Server::start();
    let node = server.second_node();
    let (a, b) = (server.root(), node.caller(&server.operator()));
    let id = text(&a.key(json!({ "class": "ingest", "label": "contested" }))["id"]);
    let answers = at_once([&a, &b], |caller, number| {
        caller.post(&format!("/v1/keys/{id}/revoke"), json!({ "reason": format!("call {number}") }))
    });
    assert_eq!(with_status(&answers, 200), 1);
    assert_eq!(with_status(&answers, 409), CALLS - 1);
    let events = a.get(&format!("/v1/audit-events?target_id={id}&action=key.revoke&outcome=success")).ok();
    assert_eq!(events["data"].as_array().map(Vec::len), Some(1), "{events}");
}
