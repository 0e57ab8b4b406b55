//! What a verification costs: no write, no read on a hit; and what failures do to others.

use std::time::{Duration, Instant};

use serde_json::json;
use sqlx::Connection as _;

use super::{metered, metric};
use crate::keys::path;
use crate::support::{Place, Server, client, text, wait_until};

/// Keeps everybody else from writing usage for as long as `work` runs.
fn while_writes_stall<T>(place: &Place, work: impl FnOnce() -> T) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    match place.database_url() {
        Some(url) => {
            let mut conn = runtime.block_on(sqlx::PgConnection::connect(&url)).expect("connects");
            let lock = "BEGIN; LOCK TABLE key_seen, key_hours, keys, audit_events IN EXCLUSIVE MODE";
            runtime.block_on(async { sqlx::raw_sql(lock).execute(&mut conn).await.expect("locks") });
            let done = work();
            runtime.block_on(async { sqlx::raw_sql("ROLLBACK").execute(&mut conn).await.expect("unlocks") });
            done
        }
        None => {
            let url = format!("sqlite:{}", place.data().join("keyward.db").display());
            let mut conn = runtime.block_on(sqlx::SqliteConnection::connect(&url)).expect("connects");
            runtime.block_on(async {
                sqlx::raw_sql("BEGIN IMMEDIATE").execute(&mut conn).await.expect("locks")
            });
            let done = work();
            runtime.block_on(async { sqlx::raw_sql("ROLLBACK").execute(&mut conn).await.expect("unlocks") });
            done
        }
    }
}

#[test]
fn x_8_key_14_verifications_go_on_while_nobody_can_write() {
    let (server, port) = metered("verify: {usage_flush: 1s}");
    let root = server.root();
    let (_, key) = root.member("bob", &[]);
    let secret = text(&key["secret"]);
    assert_eq!(root.code(&secret), "ok");
    let reads = metric(port, "keyward_store_reads_total");
    let (slowest, client) = (Duration::from_millis(900), client());
    while_writes_stall(&server.place, || {
        let started = Instant::now();
        while started.elapsed() < Duration::from_millis(1_500) {
            let asked = Instant::now();
            let request = client.post(format!("{}/v1/verify", server.url)).bearer_auth(server.operator());
            let request = request
                .json(&json!({ "credential": secret, "client_ip": "192.0.2.7", "user_agent": "probe/1" }));
            let answer: serde_json::Value = request.send().expect("an answer").json().expect("JSON");
            assert_eq!(answer["code"], "ok");
            assert!(asked.elapsed() < slowest, "{:?}", asked.elapsed());
        }
    });
    assert_eq!(metric(port, "keyward_store_reads_total"), reads, "a hit reads nothing");
    wait_until(|| root.get(&path(&key)).ok()["last_used_at"].is_string());
    wait_until(|| root.get(&format!("{}/usage", path(&key))).ok()["last_used_agent"] == "probe/1");
    let usage = root.get(&format!("{}/usage", path(&key))).ok();
    assert_eq!(usage["last_used_address"], "192.0.2.7");
}

#[test]
fn x_8_key_14_usage_is_counted_exactly_and_written_in_batches() {
    let server = Server::with_config("verify: {usage_flush: 1s}");
    let root = server.root();
    let (_, key) = root.member("bob", &[]);
    let good = json!({ "credential": key["secret"] });
    let bad = json!({ "credential": key["secret"], "rights": ["models:read"] });
    let requests = [vec![good; 70], vec![bad; 30]].concat();
    root.post("/v1/verify/batch", json!({ "requests": requests })).ok();
    let at = format!("{}/usage", path(&key));
    wait_until(|| root.get(&at).ok()["total"]["denied"] == 30);
    let usage = root.get(&at).ok();
    assert_eq!(usage["total"], json!({ "allowed": 70, "denied": 30 }));
    let mut outcomes: Vec<_> =
        usage["hours"].as_array().expect("hours").iter().map(|h| text(&h["outcome"])).collect();
    outcomes.sort();
    outcomes.dedup();
    assert_eq!(outcomes, ["insufficient_rights", "ok"]);
    for bad in ["hours=0", "hours=9999", "days=1"] {
        assert!([400, 422].contains(&root.get(&format!("{at}?{bad}")).status), "{bad}");
    }
    let (_, other) = root.member("eve", &[]);
    server.caller(&text(&other["secret"])).get(&at).refused(404, "not_found");
}

#[test]
fn key_14_usage_is_written_at_an_orderly_end() {
    let mut server = Server::with_config("verify: {usage_flush: 1m}");
    let key = server.root().key(json!({ "class": "workspace", "label": "x" }));
    assert_eq!(server.root().code(&text(&key["secret"])), "ok");
    assert_eq!(server.root().get(&format!("{}/usage", path(&key))).ok()["total"]["allowed"], 0);
    assert_eq!(server.terminate().1, Some(0));
    let server = server.restart();
    assert_eq!(server.root().get(&format!("{}/usage", path(&key))).ok()["total"]["allowed"], 1);
}

#[test]
fn ver_5_failures_are_throttled_and_valid_keys_of_the_same_source_pass() {
    let server = Server::start();
    let (client, url) = (client(), format!("{}/v1/me", server.url));
    let call = |secret: &str| client.get(&url).bearer_auth(secret).send().expect("an answer");
    let mut refused = 0;
    let throttled = loop {
        let answer = call("kwm_garbage");
        match answer.status().as_u16() {
            401 => refused += 1,
            429 => break answer,
            other => panic!("{other}"),
        }
        assert!(refused < 1_000, "no throttle at all");
    };
    assert!(refused >= 300, "{refused}");
    let wait = throttled.headers()["retry-after"].to_str().expect("ASCII").parse::<u64>().expect("seconds");
    assert!((1..=60).contains(&wait));
    assert_eq!(throttled.json::<serde_json::Value>().expect("JSON")["code"], "rate_limited");
    for _ in 0..20 {
        assert_eq!(call(&server.operator()).status(), 200, "same source, right key");
    }
    let elsewhere = client.get(&url).bearer_auth("kwm_garbage").header("x-forwarded-for", "203.0.113.9");
    assert_eq!(elsewhere.send().expect("an answer").status(), 401, "another source");
}

#[test]
fn ver_9_a_new_key_verifies_at_once() {
    let server = Server::start();
    let root = server.root();
    for _ in 0..50 {
        let key = root.key(json!({ "class": "ingest", "label": "x" }));
        assert_eq!(root.code(&text(&key["secret"])), "ok");
        let renewed = root.post(&format!("{}/secret", path(&key)), json!({})).ok();
        assert_eq!(root.code(&text(&renewed["secret"])), "ok");
    }
}

#[test]
fn ver_9_an_unknown_key_is_remembered_for_a_second_at_most() {
    let server = Server::start();
    let root = server.root();
    let secret = text(&root.key(json!({ "class": "ingest", "label": "late" }))["secret"]);
    server.place.sql("UPDATE keys SET access_key = '0' || access_key WHERE label = 'late'");
    assert_eq!(root.code(&secret), "invalid_key");
    server.place.sql("UPDATE keys SET access_key = substr(access_key, 2) WHERE label = 'late'");
    let started = Instant::now();
    wait_until(|| root.code(&secret) == "ok");
    assert!(started.elapsed() < Duration::from_millis(2_000), "{:?}", started.elapsed());
}
