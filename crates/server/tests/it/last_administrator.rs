//! A tenant always keeps somebody who may do everything (AZ-10, AZ-11).

mod rules;

use std::sync::Barrier;
use std::thread;

use serde_json::{Value, json};

use crate::api::{all, built_in, snapshot, tenant};
use crate::support::{Answer, Caller, Server, text};

/// Living, unsuspended users who may do everything.
fn administrators(admin: &Caller) -> usize {
    let users = all(admin, "/v1/users?state=active");
    users.iter().filter(|user| user["rights"].as_array().expect("rights").contains(&json!("**:*"))).count()
}

fn send(caller: &Caller, (method, path, body): &(&str, String, Value)) -> Answer {
    let request = caller.request(method, path);
    let request = if body.is_null() { request } else { request.json(body) };
    Answer::read(request.send().expect("an answer"))
}

/// Each way must be refused as long as `ada` is the only administrator, and change nothing.
fn refuse_all(admin: &Caller, ways: &[(&str, String, Value)]) {
    let before = snapshot(admin);
    for way in ways {
        send(admin, way).refused(409, "last_administrator");
    }
    assert_eq!(snapshot(admin), before);
    assert_eq!(administrators(admin), 1);
}

#[test]
fn az_11_the_last_administrator_stays_whichever_way_it_is_tried() {
    let server = Server::start();
    let (_, admin) = tenant(&server, "acme");
    let admin_role = built_in(&admin, "roles", "admin");
    let ada = admin.user("ada", &[&admin_role]);
    let user = format!("/v1/users/{ada}");
    let on_user = |body: Value| ("PATCH", user.clone(), body);
    // By a role held directly.
    let by_user = [
        ("DELETE", user.clone(), Value::Null),
        ("POST", format!("{user}/suspend"), json!({})),
        on_user(json!({ "role_ids": [] })),
        on_user(json!({ "role_ids": [], "group_ids": [] })),
    ];
    refuse_all(&admin, &by_user);
    // By a group that carries the role.
    let group =
        text(&admin.post("/v1/groups", json!({ "name": "Bosses", "role_ids": [admin_role] })).ok()["id"]);
    admin.put(&format!("/v1/groups/{group}/members/{ada}")).expect(204);
    admin.patch(&user, json!({ "role_ids": [] })).expect(200);
    let by_group = [
        ("DELETE", user.clone(), Value::Null),
        ("POST", format!("{user}/suspend"), json!({})),
        on_user(json!({ "group_ids": [] })),
        ("DELETE", format!("/v1/groups/{group}/members/{ada}"), Value::Null),
        ("PATCH", format!("/v1/groups/{group}"), json!({ "role_ids": [] })),
        ("DELETE", format!("/v1/groups/{group}"), Value::Null),
    ];
    refuse_all(&admin, &by_group);
    // By a role of the tenant's own making.
    let own = admin.role("everything", &["**:*"]);
    admin.patch(&user, json!({ "role_ids": [own], "group_ids": [] })).expect(200);
    let by_role = [
        ("PATCH", format!("/v1/roles/{own}"), json!({ "rights": ["users:*"] })),
        ("PATCH", format!("/v1/roles/{own}"), json!({ "rights": [] })),
        ("DELETE", format!("/v1/roles/{own}"), Value::Null),
    ];
    refuse_all(&admin, &by_role);
    // With somebody else in office the same is done.
    admin.user("bob", &[&admin_role]);
    send(&admin, &by_role[0]).expect(200);
    assert_eq!(administrators(&admin), 1);
    admin.patch(&user, json!({ "group_ids": [group] })).expect(200);
    for way in [&by_group[4], &by_group[1], &by_group[0]] {
        send(&admin, way).ok();
    }
    assert_eq!(administrators(&admin), 1);
}

#[test]
fn az_11_a_suspended_administrator_does_not_count() {
    let server = Server::start();
    let (_, admin) = tenant(&server, "acme");
    let admin_role = built_in(&admin, "roles", "admin");
    let (ada, bob) = (admin.user("ada", &[&admin_role]), admin.user("bob", &[&admin_role]));
    admin.post(&format!("/v1/users/{bob}/suspend"), json!({})).expect(200);
    admin.delete(&format!("/v1/users/{ada}")).refused(409, "last_administrator");
    admin.delete(&format!("/v1/users/{bob}")).expect(204);
    assert_eq!(administrators(&admin), 1);
}

#[test]
fn az_11_built_in_roles_and_groups_stay_as_they_are() {
    let server = Server::start();
    let (_, admin) = tenant(&server, "acme");
    let (role, group) = (built_in(&admin, "roles", "admin"), built_in(&admin, "groups", "Administrators"));
    let before = snapshot(&admin);
    for way in [
        ("PATCH", format!("/v1/roles/{role}"), json!({ "rights": [] })),
        ("PATCH", format!("/v1/roles/{role}"), json!({ "description": "x" })),
        ("DELETE", format!("/v1/roles/{role}"), Value::Null),
        ("PATCH", format!("/v1/groups/{group}"), json!({ "role_ids": [] })),
        ("DELETE", format!("/v1/groups/{group}"), Value::Null),
    ] {
        send(&admin, &way).refused(409, "built_in");
    }
    assert_eq!(snapshot(&admin), before);
    admin.patch(&format!("/v1/groups/{group}"), json!({ "description": "Those who may" })).expect(200);
}

#[test]
fn az_11_no_rule_locks_everybody_out() {
    let server = Server::start();
    let (_, admin) = tenant(&server, "acme");
    admin.patch("/v1/policies", json!({ "switches": { "member_keys": false } })).expect(200);
    let before = admin.get("/v1/policies").ok();
    let off = json!({ "switches": { "workspace_keys": false } });
    admin.patch("/v1/policies", off).refused(409, "last_administrator");
    assert_eq!(admin.get("/v1/policies").ok(), before);
    let root = server.root();
    let off = json!({ "features": { "workspace_keys": false, "member_keys": false } });
    root.patch("/v1/tenants/current", off).refused(409, "last_administrator");
    root.get("/v1/me").expect(200);
    admin.get("/v1/me").expect(200);
}

#[test]
fn az_10_of_many_removals_at_once_one_administrator_is_left() {
    let server = Server::start();
    let (_, admin) = tenant(&server, "acme");
    let admin_role = built_in(&admin, "roles", "admin");
    let users: Vec<_> = (0..16).map(|number| admin.user(&format!("admin{number}"), &[&admin_role])).collect();
    let barrier = Barrier::new(64);
    let answers: Vec<Answer> = thread::scope(|scope| {
        let all: Vec<_> = (0..64)
            .map(|number| {
                let (admin, barrier, user) = (&admin, &barrier, &users[number % 16]);
                let path = format!("/v1/users/{user}");
                let way = match number / 16 {
                    0 => ("DELETE", path, Value::Null),
                    1 => ("POST", format!("{path}/suspend"), json!({})),
                    2 => ("PATCH", path, json!({ "role_ids": [] })),
                    _ => ("DELETE", path, Value::Null),
                };
                scope.spawn(move || {
                    barrier.wait();
                    send(admin, &way)
                })
            })
            .collect();
        all.into_iter().map(|one| one.join().expect("no panic")).collect()
    });
    assert_eq!(administrators(&admin), 1);
    for answer in &answers {
        assert!(matches!(answer.status, 200 | 204 | 404 | 409), "{}: {}", answer.status, answer.text);
    }
    assert!(answers.iter().any(|answer| answer.body["code"] == "last_administrator"));
}

/// Two administrators act on each other at once; returns what each was told.
fn duel(
    server: &Server,
    admin: &Caller,
    round: usize,
    way: &(dyn Fn(&str) -> (&'static str, String, Value) + Sync),
) -> [(u16, Caller); 2] {
    let admin_role = built_in(admin, "roles", "admin");
    let fighters = ["a", "b"].map(|name| {
        let user = admin.user(&format!("{name}{round}"), &[&admin_role]);
        let key = admin.key(json!({ "class": "member", "owner_id": user, "label": "own" }));
        (user, server.caller(&text(&key["secret"])))
    });
    let barrier = Barrier::new(2);
    let strike = |me: usize| {
        barrier.wait();
        send(&fighters[me].1, &way(&fighters[1 - me].0)).status
    };
    let (a, b) = thread::scope(|scope| {
        let (a, b) = (scope.spawn(|| strike(0)), scope.spawn(|| strike(1)));
        (a.join().expect("no panic"), b.join().expect("no panic"))
    });
    [(a, fighters[0].1.clone()), (b, fighters[1].1.clone())]
}

#[test]
fn az_10_az_9_two_administrators_who_demote_each_other_do_not_both_succeed() {
    let server = Server::start();
    let (_, admin) = tenant(&server, "acme");
    let demote = |user: &str| ("PATCH", format!("/v1/users/{user}"), json!({ "role_ids": [] }));
    let delete = |user: &str| ("DELETE", format!("/v1/users/{user}"), Value::Null);
    for round in 0..10 {
        let outcome = if round % 2 == 0 {
            duel(&server, &admin, round, &demote)
        } else {
            duel(&server, &admin, round, &delete)
        };
        let won = outcome.iter().filter(|(status, _)| *status < 300).count();
        assert_eq!(won, 1, "round {round}: {} {}", outcome[0].0, outcome[1].0);
        for (status, caller) in &outcome {
            let next = caller.get("/v1/users").status;
            if *status < 300 {
                assert_eq!(next, 200);
            } else {
                assert!(matches!(status, 401 | 403), "the loser was told {status}");
                assert!(matches!(next, 401 | 403), "a demoted administrator was let in: {next}");
            }
        }
        assert!(administrators(&admin) >= 1);
    }
}
