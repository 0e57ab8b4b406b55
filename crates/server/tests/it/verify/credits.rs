//! Credits that come back by themselves, of keys and of users (X6).

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::support::{Caller, Place, Server, text};

const DAY: u64 = 86_400;

/// Seconds from now to the next noon, so that no midnight comes by itself.
fn noon() -> u64 {
    #[expect(clippy::disallowed_methods, reason = "the clock of the servers is set from this one")]
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
    DAY - (now + DAY / 2) % DAY
}

/// A server at noon; the clock moves by [`turn`].
fn at_noon() -> (Server, u64) {
    let (mut place, noon) = (Place::new(), noon());
    place.ahead = Some(format!("+{noon}s"));
    let root = place.bootstrap();
    (Server::serve(place, root, ""), noon)
}

/// Moves the clock of the servers to so many seconds after noon.
fn turn(server: &Server, noon: u64, seconds: u64) {
    server.place.set_clock(&format!("+{}s", noon + seconds));
}

/// How often of so many times the answer was yes.
fn spend(caller: &Caller, secret: &str, times: usize) -> usize {
    (0..times).filter(|_| caller.code(secret) == "ok").count()
}

fn authz(server: &Server, secret: &str) -> crate::support::Answer {
    server.caller(secret).get("/authz")
}

#[test]
fn x_6_credits_come_back_with_the_calendar_and_answers_tell_when() {
    let (server, noon) = at_noon();
    let root = server.root();
    let refill = json!({ "amount": 2, "every": "day", "cap": 3 });
    let key =
        root.key(json!({ "class": "ingest", "label": "metered", "credits": 3, "credit_refill": refill }));
    let (secret, path) = (text(&key["secret"]), format!("/v1/keys/{}", text(&key["id"])));
    let midnight = key["credits"]["refills_at"].clone();
    assert!(text(&midnight).ends_with("T00:00:00.000Z"), "{midnight}");
    let credits = json!({ "granted": 3, "remaining": 3, "refill": refill, "refills_at": midnight });
    assert_eq!(key["credits"], credits);
    let first = root.verify(&secret);
    let left = |of: &str, granted, remaining| json!([{ "of": of, "granted": granted, "remaining": remaining, "refills_at": midnight }]);
    assert_eq!(first["credits"], left("key", 3, 2));
    assert_eq!((&first["retry_after_seconds"], &first["cache_ttl_seconds"]), (&Value::Null, &json!(0)));
    let passed = authz(&server, &secret).expect(200);
    assert_eq!(passed.header("ratelimit-policy"), "\"credits\";q=3;w=86400");
    let state = passed.header("ratelimit").strip_prefix("\"credits\";r=1;t=").expect("one is left");
    assert!((43_000..=43_200).contains(&state.parse::<u64>().expect("seconds")), "{state}");
    // A new secret is of the same key.
    let rotated = text(&root.post(&format!("{path}/rotate"), json!({})).ok()["secret"]);
    assert_eq!([root.code(&rotated), root.code(&secret)], ["ok", "credits_exhausted"]);
    let refused = root.verify(&rotated);
    assert_eq!(refused["credits"], left("key", 3, 0));
    let wait = refused["retry_after_seconds"].as_u64().expect("seconds");
    assert!((43_000..=43_200).contains(&wait), "{wait}");
    let refused = authz(&server, &rotated).refused(429, "credits_exhausted");
    assert!(refused.header("retry-after").parse::<u64>().expect("seconds").abs_diff(wait) < 100);
    turn(&server, noon, DAY);
    assert_eq!(spend(&root, &rotated, 4), 2, "a day brings two");
    turn(&server, noon, 5 * DAY);
    let shown = root.get(&path).ok();
    assert_eq!(shown["credits"]["remaining"], 3, "four days bring no more than the cap");
    assert_eq!(spend(&root, &rotated, 5), 3);
    let without = root.key(json!({ "class": "ingest", "label": "free" }));
    assert_eq!(root.verify(&text(&without["secret"])).get("credits"), None);
}

#[test]
fn x_6_credits_of_a_user_are_spent_by_all_keys_together() {
    let (server, noon) = at_noon();
    let root = server.root();
    root.patch("/v1/policies", json!({ "max_keys_per_user": 5 })).expect(200);
    let (user, first) = root.member("ada", &["verify:call"]);
    let second = root.key(json!({
        "class": "member", "owner_id": user, "label": "second", "credits": 2,
    }));
    let secrets = [text(&first["secret"]), text(&second["secret"])];
    let path = format!("/v1/users/{user}");
    let refill = json!({ "amount": 4, "every_seconds": 7200 });
    let patch = json!({ "credits": 6, "credit_refill": refill });
    let shown = root.patch(&path, patch).ok();
    assert_eq!(shown["credits"]["refill"], json!({ "amount": 4, "every_seconds": 7200, "cap": 6 }));
    let answer = root.verify(&secrets[1]);
    let [own, owners] = [&answer["credits"][0], &answer["credits"][1]];
    assert_eq!((&own["of"], &own["remaining"], &own["refills_at"]), (&json!("key"), &json!(1), &Value::Null));
    assert_eq!((&owners["of"], &owners["remaining"]), (&json!("owner"), &json!(5)));
    let passed = authz(&server, &secrets[1]).expect(200);
    assert_eq!(passed.header("ratelimit-policy"), "\"credits\";q=2, \"owner_credits\";q=6;w=7200");
    assert!(passed.header("ratelimit").starts_with("\"credits\";r=0, \"owner_credits\";r=4;t=7"));
    assert_eq!(root.code(&secrets[1]), "credits_exhausted", "its own are spent");
    assert_eq!(spend(&root, &secrets[0], 6), 4, "and what it refused cost its owner nothing");
    turn(&server, noon, 7300);
    assert_eq!(spend(&root, &secrets[0], 6), 4);
    let ask = json!({ "credential": secrets[0], "explain": true });
    let steps = root.post("/v1/verify", ask).ok()["explain"].clone();
    let last = steps.as_array().and_then(|steps| steps.last()).expect("steps").clone();
    assert_eq!(last, json!({ "check": "credits_exhausted", "passed": false }));
    root.patch(&path, json!({ "credits": null })).expect(200);
    assert_eq!(spend(&root, &secrets[0], 9), 9, "not counted any more");
}

#[test]
fn x_6_nobody_tops_up_what_they_spend_and_rules_make_sense() {
    let server = Server::start();
    let root = server.root();
    let (user, key) = root.member("ada", &["users:*", "me:*", "me/keys:*"]);
    let own = server.caller(&text(&key["secret"]));
    let path = format!("/v1/users/{user}");
    root.patch(&path, json!({ "credits": 50 })).expect(200);
    own.patch(&path, json!({ "credits": 9000 })).refused(403, "own_credits");
    own.patch(&path, json!({ "credit_refill": { "amount": 9, "every": "hour" } }))
        .refused(403, "own_credits");
    let shown = root.get(&path).ok();
    assert_eq!((&shown["credits"]["granted"], shown["credits"].get("refill")), (&json!(50), None));
    own.patch(&path, json!({ "display_name": "Ada" })).expect(200);
    let made = json!({ "username": "new", "credits": 7, "credit_refill": { "amount": 1, "every": "month" } });
    let made = root.post("/v1/users", made).ok();
    assert_eq!((&made["credits"]["remaining"], &made["credits"]["refill"]["cap"]), (&json!(7), &json!(7)));
    let keys = root.get("/v1/keys").ok()["data"].as_array().expect("keys").len();
    for (refill, pointer) in [
        (json!({ "amount": 0, "every": "day" }), "/credit_refill/amount"),
        (json!({ "amount": 5 }), "/credit_refill/every"),
        (json!({ "amount": 5, "every": "day", "every_seconds": 60 }), "/credit_refill/every"),
        (json!({ "amount": 5, "every_seconds": 59 }), "/credit_refill/every_seconds"),
        (json!({ "amount": 5, "every": "day", "cap": 4 }), "/credit_refill/cap"),
    ] {
        let body = json!({ "class": "ingest", "label": "x", "credits": 5, "credit_refill": refill });
        let refused = root.post("/v1/keys", body).refused(422, "invalid_value");
        assert_eq!(refused.body["errors"][0]["pointer"], pointer);
    }
    let daily = json!({ "amount": 5, "every": "day" });
    let refused = root.post("/v1/keys", json!({ "class": "ingest", "label": "x", "credit_refill": daily }));
    assert_eq!(refused.refused(422, "invalid_value").body["errors"][0]["code"], "needs_credits");
    root.post(
        "/v1/keys",
        json!({ "class": "ingest", "label": "x", "credit_refill": { "amount": 5, "every": "year" } }),
    )
    .refused(400, "malformed_request");
    assert_eq!(root.get("/v1/keys").ok()["data"].as_array().expect("keys").len(), keys, "none was made");
}

#[test]
fn x_6_a_new_rule_takes_nothing_away_and_a_new_grant_begins_anew() {
    let (server, noon) = at_noon();
    let root = server.root();
    let daily = json!({ "amount": 10, "every": "day" });
    let key = root.key(json!({ "class": "ingest", "label": "x", "credits": 20, "credit_refill": daily }));
    let (secret, path) = (text(&key["secret"]), format!("/v1/keys/{}", text(&key["id"])));
    let remaining = || root.get(&path).ok()["credits"]["remaining"].clone();
    assert_eq!(spend(&root, &secret, 15), 15);
    turn(&server, noon, DAY);
    // What was due under the old rule has come, and nothing else.
    let hourly = json!({ "amount": 1, "every": "hour", "cap": 16 });
    root.patch(&path, json!({ "credit_refill": hourly })).expect(200);
    assert_eq!(remaining(), 15);
    turn(&server, noon, DAY + 2 * 3600);
    assert_eq!(remaining(), 16, "the cap of the new rule");
    assert_eq!(spend(&root, &secret, 20), 16);
    root.patch(&path, json!({ "credit_refill": null })).expect(200);
    turn(&server, noon, 9 * DAY);
    assert_eq!(root.code(&secret), "credits_exhausted");
    assert_eq!(root.get(&path).ok()["credits"], json!({ "granted": 20, "remaining": 0 }));
    root.patch(&path, json!({ "credit_refill": daily, "credits": 3 })).expect(200);
    assert_eq!(spend(&root, &secret, 5), 3);
    let renamed = root.patch(&path, json!({ "label": "renamed", "credits": 4 })).ok();
    assert_eq!(renamed["credits"]["refill"]["amount"], 10, "what is absent stays");
    assert_eq!(spend(&root, &secret, 6), 4);
    root.patch(&path, json!({ "credits": null })).expect(200);
    assert_eq!(root.get(&path).ok()["credits"], Value::Null);
    root.patch(&path, json!({ "credit_refill": daily })).refused(422, "invalid_value");
}

/// What a node holds when a refill comes goes back, and what dies with a node is never spent twice.
#[test]
fn x_6_az_10_refills_are_exact_across_nodes_and_kill_9() {
    let (mut server, noon) = at_noon();
    let node = server.second_node();
    let (a, b) = (server.root(), node.caller(&server.operator()));
    let refill = json!({ "amount": 1000, "every": "day" });
    let body = json!({ "class": "ingest", "label": "metered", "credits": 1000, "credit_refill": refill });
    let key = a.key(body);
    let secret = text(&key["secret"]);
    let batch = json!({ "requests": vec![json!({ "credential": secret }); 50] });
    // Both hold some of the first day when the second begins.
    assert_eq!(spend(&a, &secret, 3) + spend(&b, &secret, 3), 6);
    turn(&server, noon, DAY);
    let day = |callers: &[&Caller]| -> usize {
        let both = |caller: &Caller| {
            let answer = caller.post("/v1/verify/batch", batch.clone()).ok();
            let results = answer["results"].as_array().expect("results").clone();
            results.iter().filter(|result| result["code"] == "ok").count()
        };
        std::thread::scope(|scope| {
            let work = |caller: &Caller| {
                let caller = caller.clone();
                scope.spawn(move || (0..15).map(|_| both(&caller)).sum::<usize>())
            };
            let threads: Vec<_> = callers.iter().chain(callers).map(|caller| work(caller)).collect();
            threads.into_iter().map(|thread| thread.join().expect("no panic")).sum()
        })
    };
    let spent = day(&[&a, &b]);
    assert_eq!(spent, 1000, "what both held of the first day is no more than the cap");
    turn(&server, noon, 2 * DAY);
    assert_eq!(spend(&b, &secret, 3), 3);
    node.kill();
    let spent = 3 + day(&[&a]);
    assert!((985..=1000).contains(&spent), "what the node held is lost until the refill, no more: {spent}");
    turn(&server, noon, 3 * DAY);
    server.place.ahead = Some(format!("+{}s", noon + 3 * DAY));
    server = server.kill_and_restart();
    let spent = day(&[&server.root()]);
    assert_eq!(spent, 1000);
}
