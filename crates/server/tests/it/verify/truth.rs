//! How true a rate limit is (R8).

use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::{Server, text};

/// Requests in each second, and at once.
const LIMIT: u32 = 200;
const BURST: u32 = 20;

/// Verifies in batches until the time is over; how many passed.
fn hammer(server: &Server, secret: &str, until: Instant) -> usize {
    let root = server.root();
    let requests = vec![json!({ "credential": secret }); 10];
    let mut passed = 0;
    while Instant::now() < until {
        let answers = root.post("/v1/verify/batch", json!({ "requests": requests })).ok();
        let answers = answers["results"].as_array().expect("a list").clone();
        passed += answers.iter().filter(|answer| answer["valid"] == true).count();
        assert!(answers.iter().all(|answer| answer["valid"] == true || answer["code"] == "rate_limited"));
    }
    passed
}

#[test]
fn r_8_x_6_a_limit_lets_neither_more_nor_less_through_whoever_asks_at_once() {
    let server = Server::start();
    let root = server.root();
    let limits = json!([{ "name": "api", "requests": LIMIT, "per_seconds": 1, "burst": BURST }]);
    let made = root.key(json!({ "class": "workspace", "label": "hammered", "limits": limits }));
    let secret = text(&made["secret"]);
    let began = Instant::now();
    let until = began + Duration::from_secs(4);
    let passed: usize = std::thread::scope(|scope| {
        let all: Vec<_> = (0..6).map(|_| scope.spawn(|| hammer(&server, &secret, until))).collect();
        all.into_iter().map(|one| one.join().expect("no panic")).sum()
    });
    let (least, most) = (until - began, began.elapsed());
    let most = f64::from(LIMIT) * most.as_secs_f64() + f64::from(BURST) + 1.0;
    let least = 0.99 * f64::from(LIMIT) * least.as_secs_f64();
    #[expect(clippy::cast_precision_loss, reason = "a few thousand")]
    let passed = passed as f64;
    assert!((least..=most).contains(&passed), "{passed} passed, not {least} to {most}");

    // A rotation is the same key: what it spent stays spent (X3).
    let path = format!("/v1/keys/{}/rotate", text(&made["id"]));
    let calm = root.key(json!({ "class": "workspace", "label": "calm", "credits": 3 }));
    assert_eq!(root.code(&text(&calm["secret"])), "ok");
    let rotated = root.post(&format!("/v1/keys/{}/rotate", text(&calm["id"])), json!({})).ok();
    let codes: Vec<_> = (0..3).map(|_| root.code(&text(&rotated["secret"]))).collect();
    assert_eq!(codes, ["ok", "ok", "credits_exhausted"]);
    let rotated = root.post(&path, json!({})).ok();
    assert!(["ok", "rate_limited"].contains(&root.code(&text(&rotated["secret"])).as_str()));
}
