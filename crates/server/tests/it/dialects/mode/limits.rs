//! How often a key may ask: as its own limits say, and never more than Mode lets it.

use std::thread;

use serde_json::json;

use super::{World, read, refused, token_of};
use crate::support::{Answer, client, text, wait_until};

#[test]
fn mo_4_a_keys_own_limit_is_429_with_a_wait() {
    let world = World::new();
    let limit = json!([{ "name": "burst", "requests": 2, "per_seconds": 60 }]);
    let key = world.admin.key(json!({ "class": "workspace", "label": "limited", "limits": limit }));
    let limited = world.server.caller(&text(&key["secret"]));
    let answers: Vec<Answer> = (0..5).map(|_| world.get("/api/verify", &limited)).collect();
    assert_eq!(answers[0].status, 200);
    refused(&answers[4], 429, "too_many_requests");
    let wait: u64 = answers[4].header("retry-after").parse().expect("seconds");
    assert!((1..=60).contains(&wait));
    assert_eq!(world.verifies(&world.admin), 200);
}

#[test]
fn mo_4_forty_requests_in_ten_seconds_for_each_key() {
    let world = World::new();
    let key = || world.server.caller(&text(&world.make(&json!({ "token_name": "busy" })).0["secret"]));
    let (busy, other) = (key(), key());
    // Whoever knows its token only uses up nothing of it.
    for _ in 0..60 {
        let wrong = world.plain("GET", "/api/verify").basic_auth(token_of(&busy), Some(&other.secret));
        refused(&read(wrong), 401, "unauthorized");
    }
    let (url, token) = (format!("{}/dialects/mode/api/verify", world.server.url), token_of(&busy));
    let ask = || read(client().get(&url).basic_auth(&token, Some(&busy.secret)));
    let many = || -> Vec<Answer> { (0..25).map(|_| ask()).collect() };
    let answers: Vec<Answer> = thread::scope(|scope| {
        let asking: Vec<_> = (0..8).map(|_| scope.spawn(many)).collect();
        asking.into_iter().flat_map(|asks| asks.join().expect("answers")).collect()
    });
    let (good, late): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status == 200);
    assert!(good.len() >= 40 && !late.is_empty(), "{} of {}", good.len(), answers.len());
    for answer in late {
        refused(answer, 429, "too_many_requests");
        assert_eq!(answer.header("retry-after"), "1", "a quarter of a second, in whole ones");
    }
    assert_eq!(world.verifies(&other), 200, "each key has its own");
    wait_until(|| world.verifies(&busy) == 200);
    let noted = || world.admin.get("/v1/audit-events?action=auth.refused").ok()["data"].clone();
    wait_until(|| noted()[0]["reason"] == "rate_limited");
}
