//! `kill -9` at any moment: what was acknowledged is there (R1, R14, AUD-5, KEY-14).

use std::collections::HashSet;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use reqwest::blocking::Client;
use serde_json::{Value, json};

use super::{count, signal};
use crate::support::{Caller, Server, client, text, wait_until};

/// What one writer knows of one key.
#[derive(Clone)]
struct Written {
    id: String,
    /// Every secret that was handed out: all of them work until the revocation.
    secrets: Vec<String>,
    revocation: Revocation,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Revocation {
    None,
    /// Sent, and the answer never came: either outcome is right.
    Sent,
    Acknowledged,
}

/// Somebody who writes until the server is gone, and remembers what was acknowledged.
struct Writer {
    http: Client,
    caller: Caller,
}

impl Writer {
    fn new(caller: Caller) -> Self {
        let http = Client::builder().timeout(Duration::from_secs(30)).build().expect("a client");
        Self { http, caller }
    }

    /// The answer, `None` once the server is gone.
    fn post(&self, path: &str, body: &Value) -> Option<Value> {
        let request = self.http.post(format!("{}{path}", self.caller.url)).bearer_auth(&self.caller.secret);
        let answer = request.json(body).send().ok()?;
        assert!(answer.status().is_success(), "{path}: {}", answer.status());
        answer.json().ok()
    }

    fn run(&self, log: &Mutex<Vec<Written>>, stop: &AtomicBool) {
        let mut round = 0;
        while !stop.load(Ordering::Acquire) {
            round += 1;
            if self.write_one(log, round).is_none() {
                return;
            }
        }
    }

    /// Creates a key, rotates every second one and revokes every third one.
    fn write_one(&self, log: &Mutex<Vec<Written>>, round: usize) -> Option<()> {
        let created = self.post("/v1/keys", &json!({ "class": "ingest", "label": "written" }))?;
        let id = text(&created["id"]);
        let secrets = vec![text(&created["secret"])];
        let mut written = Written { id: id.clone(), secrets, revocation: Revocation::None };
        let note = |written: &Written| log.lock().expect("no panic").push(written.clone());
        if round.is_multiple_of(2) {
            let Some(rotated) = self.post(&format!("/v1/keys/{id}/rotate"), &json!({})) else {
                note(&written);
                return None;
            };
            written.secrets.push(text(&rotated["secret"]));
        }
        if round.is_multiple_of(3) {
            let revoked = self.post(&format!("/v1/keys/{id}/revoke"), &json!({ "reason": "test" }));
            written.revocation = if revoked.is_some() { Revocation::Acknowledged } else { Revocation::Sent };
            note(&written);
            return revoked.map(drop);
        }
        note(&written);
        Some(())
    }
}

/// Writes from several sides until the server is killed; returns what was acknowledged.
fn write_until_killed(server: &Server, after: Duration) -> Vec<Written> {
    let (log, stop) = (Mutex::new(Vec::new()), AtomicBool::new(false));
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| Writer::new(server.root()).run(&log, &stop));
        }
        std::thread::sleep(after);
        signal(server.pid(), "KILL");
        stop.store(true, Ordering::Release);
    });
    log.into_inner().expect("no panic")
}

/// What was acknowledged is there, and nothing that was revoked works.
fn must_hold(root: &Caller, written: &[Written]) {
    let questions: Vec<_> =
        written.iter().flat_map(|key| key.secrets.iter().map(move |secret| (key, secret))).collect();
    for part in questions.chunks(100) {
        let requests: Vec<_> = part.iter().map(|(_, secret)| json!({ "credential": secret })).collect();
        let answers = root.post("/v1/verify/batch", json!({ "requests": requests })).ok();
        for ((key, _), answer) in part.iter().zip(answers["results"].as_array().expect("results")) {
            let code = answer["code"].as_str().expect("a code");
            let right = match key.revocation {
                Revocation::None => code == "ok",
                Revocation::Sent => matches!(code, "ok" | "revoked"),
                Revocation::Acknowledged => code == "revoked",
            };
            assert!(right, "{} is {code}", key.id);
        }
    }
}

/// Nothing is half there.
fn no_orphans(server: &Server) {
    let place = &server.place;
    let queries = [
        "SELECT CAST(COUNT(*) AS BIGINT) FROM keys k WHERE NOT EXISTS
             (SELECT 1 FROM key_secrets s WHERE s.key_id = k.id AND s.generation = 1)",
        "SELECT CAST(COUNT(*) AS BIGINT) FROM key_secrets s WHERE NOT EXISTS (SELECT 1 FROM keys k WHERE k.id = s.key_id)",
        "SELECT CAST(COUNT(*) AS BIGINT) FROM role_holders h WHERE h.holder_id LIKE 'key_%'
             AND NOT EXISTS (SELECT 1 FROM keys k WHERE k.id = h.holder_id)",
        "SELECT CAST(COUNT(*) AS BIGINT) FROM keys k WHERE NOT EXISTS (SELECT 1 FROM audit_events e WHERE e.target_id = k.id)",
        "SELECT CAST(COUNT(*) AS BIGINT) FROM keys k WHERE k.revoked_at IS NOT NULL
             AND NOT EXISTS (SELECT 1 FROM audit_events e WHERE e.target_id = k.id AND e.action = 'key.revoke')",
        "SELECT CAST(COUNT(*) AS BIGINT) FROM keys k WHERE NOT EXISTS
             (SELECT 1 FROM changes c WHERE c.kind = 'key' AND c.subject = k.access_key)",
    ];
    for query in queries {
        assert_eq!(count(place, query), 0, "{query}");
    }
    let feed = count(place, "SELECT seq - (SELECT CAST(COUNT(*) AS BIGINT) FROM changes) FROM change_clock");
    assert_eq!(feed, 0, "the feed has a gap");
}

/// Every acknowledged write has its record, and the chain is whole.
fn audit_is_whole(root: &Caller, written: &[Written]) {
    let verdict = root.get("/v1/audit-events/verification").ok();
    assert_eq!(verdict["ok"], true, "{verdict}");
    let export = root.get("/v1/audit-events/export").expect(200).text;
    let events: HashSet<(String, String)> = export
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).expect("a JSON line"))
        .map(|line| (text(&line["event"]["target"]["id"]), text(&line["event"]["action"])))
        .collect();
    for key in written {
        let mut actions = vec!["key.create"];
        actions.extend((key.secrets.len() > 1).then_some("key.rotate"));
        actions.extend((key.revocation == Revocation::Acknowledged).then_some("key.revoke"));
        for action in actions {
            assert!(events.contains(&(key.id.clone(), action.to_owned())), "{} lacks {action}", key.id);
        }
    }
}

#[test]
fn r1_r14_aud_5_acknowledged_writes_survive_kill_9() {
    let cycles = std::env::var("KEYWARD_TEST_KILL_CYCLES").map_or(50, |text| text.parse().expect("a number"));
    let mut server = Server::start();
    let mut all = Vec::new();
    for cycle in 0..cycles {
        let millis = 5 + RandomState::new().hash_one(cycle) % 496;
        let written = write_until_killed(&server, Duration::from_millis(millis));
        server = server.kill_and_restart();
        must_hold(&server.root(), &written);
        all.extend(written);
    }
    assert!(all.len() > cycles, "only {} keys were acknowledged in {cycles} cycles", all.len());
    must_hold(&server.root(), &all);
    audit_is_whole(&server.root(), &all);
    no_orphans(&server);
    eprintln!("{cycles} kills, {} keys acknowledged, none lost", all.len());
}

#[test]
fn key_14_flushed_usage_survives_kill_9_and_the_rest_is_bounded() {
    let server = Server::with_config("verify: { usage_flush: 1s }\n");
    let root = server.root();
    let key = root.key(json!({ "class": "ingest", "label": "counted" }));
    let (usage, secret) = (format!("/v1/keys/{}/usage", text(&key["id"])), text(&key["secret"]));
    let allowed = |root: &Caller| root.get(&usage).ok()["total"]["allowed"].as_i64().expect("a number");
    for _ in 0..20 {
        assert_eq!(root.code(&secret), "ok");
    }
    wait_until(|| allowed(&root) == 20);
    for _ in 0..5 {
        assert_eq!(root.code(&secret), "ok");
    }
    let server = server.kill_and_restart();
    let kept = allowed(&server.root());
    assert!((20..=25).contains(&kept), "{kept} of 25 uses are there, 20 of them were flushed");
    let shown = server.root().get(usage.trim_end_matches("/usage")).ok();
    assert!(shown["last_used_at"].is_string(), "{shown}");
}

#[test]
fn key_14_usage_is_written_at_an_orderly_stop() {
    let mut server = Server::with_config("verify: { usage_flush: 60s }\n");
    let key = server.root().key(json!({ "class": "ingest", "label": "counted" }));
    for _ in 0..7 {
        assert_eq!(server.root().code(&text(&key["secret"])), "ok");
    }
    assert_eq!(server.terminate().1, Some(0));
    let server = server.restart();
    let usage = server.root().get(&format!("/v1/keys/{}/usage", text(&key["id"]))).ok();
    assert_eq!(usage["total"]["allowed"], 7, "{usage}");
    assert_eq!(client().get(format!("{}/readyz", server.url)).send().expect("answers").status(), 200);
}
