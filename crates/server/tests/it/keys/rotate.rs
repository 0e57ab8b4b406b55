//! New secrets for a key that stays the same.

use serde_json::{Value, json};

use super::{millis, path, rows};
use crate::support::{Server, text, wait_until};

fn live(key: &Value) -> Vec<i64> {
    let secrets = key["secrets"].as_array().expect("secrets");
    secrets
        .iter()
        .filter(|s| s["live"] == true)
        .map(|s| s["generation"].as_i64().expect("a number"))
        .collect()
}

#[test]
fn x_3_key_9_rotation_keeps_the_key_and_overlaps() {
    let server = Server::start();
    let root = server.root();
    let key = root.key(json!({ "class": "workspace", "label": "x" }));
    let (at, old) = (path(&key), text(&key["secret"]));
    let rotated = root.post(&format!("{at}/rotate"), json!({})).expect(200).body;
    let new = text(&rotated["secret"]);
    for field in ["id", "access_key", "created_at", "expires_at", "label", "role_ids"] {
        assert_eq!(rotated[field], key[field], "{field}");
    }
    assert_ne!(new, old);
    assert_eq!(
        rotated["copy"],
        format!("key:{}::{new},tenant id: {}", text(&key["access_key"]), server.tenant())
    );
    assert_eq!((&rotated["status"], live(&rotated)), (&json!("rotating"), vec![1, 2]));
    let overlap = millis(&rotated["secrets"][0]["retires_at"]) - millis(&rotated["updated_at"]);
    assert_eq!(overlap, 86_400_000, "a day unless told");
    assert_eq!([root.code(&old), root.code(&new)], ["ok", "ok"]);
    let shown = root.get(&at).expect(200);
    assert!(!shown.text.contains(&new) && !server.place.dump().contains(&new));
    let bob = server.caller(&text(&root.member("bob", &[]).1["secret"]));
    bob.post(&format!("{at}/rotate"), json!({})).refused(404, "not_found");
}

#[test]
fn key_9_bm_13_the_old_secret_ends_with_its_overlap() {
    let server = Server::start();
    let root = server.root();
    let key = root.key(json!({ "class": "ingest", "label": "x" }));
    let old = text(&key["secret"]);
    let rotated = root.post(&format!("{}/rotate", path(&key)), json!({ "overlap_seconds": 1 })).ok();
    let end = millis(&rotated["secrets"][0]["retires_at"]);
    assert_eq!(root.code(&old), "ok");
    wait_until(|| root.code(&old) == "retired_secret");
    let late = jiff::Timestamp::now().as_millisecond() - end;
    assert!((0..1_000).contains(&late), "{late} ms behind the end");
    assert_eq!(root.code(&text(&rotated["secret"])), "ok");
    let at_once = root.post(&format!("{}/rotate", path(&key)), json!({ "overlap_seconds": 0 })).ok();
    assert_eq!(root.code(&text(&rotated["secret"])), "retired_secret", "0 is allowed");
    assert_eq!(root.code(&text(&at_once["secret"])), "ok");
    for bad in [-1, 90 * 86_400 + 1] {
        let body = json!({ "overlap_seconds": bad });
        root.post(&format!("{}/rotate", path(&key)), body).refused(422, "invalid_value");
    }
    assert_eq!(live(&root.get(&path(&key)).ok()), [3]);
}

#[test]
fn bm_10_a_new_secret_ends_the_old_ones_at_once() {
    let server = Server::start();
    let root = server.root();
    let key = root.key(json!({ "class": "workspace", "label": "x" }));
    let at = path(&key);
    let second = root.post(&format!("{at}/rotate"), json!({})).ok();
    let third = root.post(&format!("{at}/secret"), json!({})).expect(200);
    assert_eq!(third.header("cache-control"), "no-store");
    assert_eq!(third.body["secret_state"], "shown_once");
    assert_eq!(root.code(&text(&key["secret"])), "retired_secret");
    assert_eq!(root.code(&text(&second["secret"])), "retired_secret");
    assert_eq!(root.code(&text(&third.body["secret"])), "ok");
    assert_eq!((&third.body["id"], live(&third.body)), (&key["id"], vec![3]));
    let pair = json!({ "access_key": key["access_key"], "secret": third.body["secret"] });
    assert_eq!(root.post("/v1/verify", pair).ok()["code"], "ok", "the access key is the same");
}

#[test]
fn x_3_a_rotation_is_finished_early() {
    let server = Server::start();
    let root = server.root();
    let key = root.key(json!({ "class": "workspace", "label": "x" }));
    let at = path(&key);
    root.post(&format!("{at}/rotate/finish"), json!({})).refused(409, "not_rotating");
    let new = text(&root.post(&format!("{at}/rotate"), json!({})).ok()["secret"]);
    let finished = root.post(&format!("{at}/rotate/finish"), json!({})).ok();
    assert_eq!((&finished["status"], live(&finished)), (&json!("active"), vec![2]));
    assert_eq!(finished["secret"], Value::Null);
    assert_eq!([root.code(&text(&key["secret"])), root.code(&new)], ["retired_secret", "ok"]);
    root.post(&format!("{at}/rotate/abort"), json!({})).refused(409, "not_rotating");
}

#[test]
fn x_3_x_2_a_rotation_is_aborted() {
    let server = Server::start();
    let root = server.root();
    let key = root.key(json!({ "class": "workspace", "label": "x" }));
    let at = path(&key);
    let new = text(&root.post(&format!("{at}/rotate"), json!({ "overlap_seconds": 60 })).ok()["secret"]);
    let aborted = root.post(&format!("{at}/rotate/abort"), json!({})).ok();
    assert_eq!((&aborted["status"], live(&aborted)), (&json!("active"), vec![1]));
    assert_eq!(aborted["secrets"][0]["retires_at"], Value::Null, "the old one has no end again");
    assert_eq!([root.code(&text(&key["secret"])), root.code(&new)], ["ok", "retired_secret"]);
    let explained = root.post(&format!("{at}/explain"), json!({})).ok();
    assert_eq!((&explained["code"], &explained["valid"]), (&json!("ok"), &json!(true)));
    let body = json!({ "credential": key["secret"], "explain": true });
    let steps = root.post("/v1/verify", body).ok();
    assert!(steps["explain"].as_array().expect("steps").iter().all(|step| step["passed"] == true));
    let body = json!({ "credential": new, "explain": true });
    let steps = root.post("/v1/verify", body).ok();
    let failed: Vec<_> =
        steps["explain"].as_array().expect("steps").iter().filter(|s| s["passed"] == false).collect();
    assert_eq!(failed, [&json!({ "check": "retired_secret", "passed": false })]);
}

#[test]
fn x_3_three_secrets_live_side_by_side_and_no_more() {
    let server = Server::start();
    let root = server.root();
    let key = root.key(json!({ "class": "workspace", "label": "x" }));
    let at = path(&key);
    let rotate = || root.post(&format!("{at}/rotate"), json!({ "overlap_seconds": 600 }));
    let (two, three) = (rotate().ok(), rotate().ok());
    for secret in [&key["secret"], &two["secret"], &three["secret"]] {
        assert_eq!(root.code(&text(secret)), "ok");
    }
    rotate().refused(409, "too_many_secrets");
    assert_eq!(live(&root.get(&at).ok()), [1, 2, 3]);
    assert_eq!(three["secrets"][0]["retires_at"], two["secrets"][0]["retires_at"], "no end is moved out");
}

#[test]
fn x_3_key_9_counters_stay_and_each_secret_shows_when_it_was_seen() {
    let server = Server::with_config("verify: {usage_flush: 1s}");
    let root = server.root();
    let limit = json!({ "name": "hour", "requests": 10, "per_seconds": 3600 });
    let key = root.key(json!({ "class": "workspace", "label": "x", "limits": [limit], "credits": 10 }));
    let (at, old) = (path(&key), text(&key["secret"]));
    assert_eq!(root.verify(&old)["limits"][0]["remaining"], 9);
    wait_until(|| root.get(&at).ok()["secrets"][0]["last_seen_at"].is_string());
    let rotated = root.post(&format!("{at}/rotate"), json!({})).ok();
    assert_eq!(rotated["secrets"][1]["last_seen_at"], Value::Null);
    assert_eq!(root.verify(&text(&rotated["secret"]))["limits"][0]["remaining"], 8, "limits are the key's");
    wait_until(|| root.get(&at).ok()["secrets"][1]["last_seen_at"].is_string());
    let shown = root.get(&at).ok();
    assert!(millis(&shown["secrets"][0]["last_seen_at"]) < millis(&shown["secrets"][1]["last_seen_at"]));
    assert_eq!(root.get(&format!("{at}/usage")).ok()["total"]["allowed"], 2);
    let events = || root.get(&format!("/v1/audit-events?target_id={}", text(&key["id"]))).ok();
    wait_until(|| rows(&events()).len() == 4);
    let mut actions: Vec<_> = rows(&events()).iter().map(|event| text(&event["action"])).collect();
    actions.sort();
    let trail = ["key.create", "key.first_used", "key.rotate", "key.secret_used"];
    assert_eq!(actions, trail, "one trail for the key");
}
