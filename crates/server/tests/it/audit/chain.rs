//! The chain shows what was done to it (AUD-4).

use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::support::{Server, text};

/// A server whose log has at least nine events, with a copy of the log beside it.
fn scene() -> Server {
    let server = Server::start();
    for number in 1..=6 {
        server.root().role(&format!("role-{number}"), &["a:read"]);
    }
    server.place.sql("CREATE TABLE kept AS SELECT * FROM audit_events");
    server
}

fn verification(server: &Server) -> Value {
    server.root().get("/v1/audit-events/verification").ok()
}

fn restore(server: &Server) {
    server.place.sql("DELETE FROM audit_events");
    server.place.sql("INSERT INTO audit_events SELECT * FROM kept");
    assert_eq!(verification(server)["ok"], true);
}

/// What `keyward audit verify --data-dir` says: exit code and output.
fn offline(server: &Server) -> (Option<i32>, Value) {
    let output = server.place.run(&["audit", "verify", "-o", "json"]);
    let told: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    (output.status.code(), told["data"].clone())
}

const TAMPERINGS: [(&str, &[&str], i64); 11] = [
    (
        "an edited text",
        &["UPDATE audit_events SET body = REPLACE(body, 'role-3', 'role-8') WHERE seq = 6"],
        6,
    ),
    ("one byte", &["UPDATE audit_events SET body = REPLACE(body, 'role-1', 'role-l') WHERE seq = 4"], 4),
    ("an edited column", &["UPDATE audit_events SET action = 'role.edit' WHERE seq = 5"], 5),
    ("an edited time", &["UPDATE audit_events SET at = at + 1 WHERE seq = 5"], 5),
    ("an edited actor", &["UPDATE audit_events SET actor_id = 'nobody' WHERE seq = 7"], 7),
    ("an edited hash", &["UPDATE audit_events SET hash = previous_hash WHERE seq = 5"], 5),
    ("a deleted event", &["DELETE FROM audit_events WHERE seq = 4"], 4),
    ("the first event deleted", &["DELETE FROM audit_events WHERE seq = 1"], 1),
    (
        "an event added at the end",
        &[
            "INSERT INTO audit_events SELECT tenant_id, seq + 1, at, action, outcome, actor_id, target_id, body, \
           previous_hash, hash FROM audit_events WHERE seq = 9",
        ],
        10,
    ),
    (
        "an event put in between",
        &[
            "UPDATE audit_events SET seq = seq + 1001 WHERE seq >= 5",
            "UPDATE audit_events SET seq = seq - 1000 WHERE seq > 1000",
            "INSERT INTO audit_events SELECT tenant_id, 5, at, action, outcome, actor_id, target_id, body, \
             previous_hash, hash FROM audit_events WHERE seq = 4",
        ],
        5,
    ),
    (
        "two events in another order",
        &[
            "UPDATE audit_events SET seq = 1000 WHERE seq = 4",
            "UPDATE audit_events SET seq = 4 WHERE seq = 5",
            "UPDATE audit_events SET seq = 5 WHERE seq = 1000",
        ],
        4,
    ),
];

#[test]
fn aud_4_r18_every_tampering_is_found_and_placed() {
    let server = scene();
    let sound = verification(&server);
    assert_eq!(
        (&sound["ok"], &sound["checked"], &sound["first_bad_seq"]),
        (&json!(true), &json!(9), &Value::Null)
    );
    for (name, statements, place) in TAMPERINGS {
        for statement in statements {
            assert!(server.place.sql(statement) > 0, "{name}: the statement did something");
        }
        let found = verification(&server);
        assert_eq!(
            (&found["ok"], &found["first_bad_seq"]),
            (&json!(false), &json!(place)),
            "{name}: {found}"
        );
        assert!(!text(&found["reason"]).is_empty(), "{name}");
        restore(&server);
    }
}

#[test]
fn aud_4_the_command_finds_it_without_a_server_and_exits_with_12() {
    let server = scene();
    let (code, told) = offline(&server);
    assert_eq!((code, &told[0]["ok"], &told[0]["checked"]), (Some(0), &json!(true), &json!(9)), "{told}");
    for (name, statements, place) in [&TAMPERINGS[0], &TAMPERINGS[6], &TAMPERINGS[10]] {
        statements.iter().for_each(|statement| assert!(server.place.sql(statement) > 0));
        let (code, told) = offline(&server);
        assert_eq!((code, &told[0]["first_bad_seq"]), (Some(12), &json!(place)), "{name}: {told}");
        let online = server
            .place
            .keyward(&["audit", "verify", "--url", &server.url])
            .env("KEYWARD_TOKEN", server.operator())
            .output();
        assert_eq!(online.expect("the binary runs").status.code(), Some(12), "{name}");
        restore(&server);
    }
    assert_eq!(offline(&server).0, Some(0));
}

#[test]
fn aud_4_a_hash_made_anew_does_not_hide_an_edit() {
    let server = scene();
    let lines = export(&server);
    let edited = lines[4].event.get().replace("role-2", "role-7");
    assert_ne!(edited, lines[4].event.get());
    let hash = chain_hash(&lines[4].previous_hash, &edited);
    let statement = format!(
        "UPDATE audit_events SET body = '{}', hash = '{hash}' WHERE seq = 5",
        edited.replace('\'', "''")
    );
    server.place.sql(Box::leak(statement.into_boxed_str()));
    let found = verification(&server);
    assert_eq!(
        (&found["ok"], &found["first_bad_seq"]),
        (&json!(false), &json!(6)),
        "the next one does not follow"
    );
}

/// A cut tail leaves a sound chain. Against a checkpoint inside the same database it shows; whoever
/// removes that too is found out only by a checkpoint that was kept elsewhere.
#[test]
fn aud_4_a_cut_tail_shows_against_a_checkpoint() {
    let mut server = scene();
    server.terminate();
    let server = server.restart();
    let whole = verification(&server);
    let kept = whole["checkpoint"].clone();
    assert_eq!((&kept["seq"], &kept["hash"]), (&json!(9), &whole["head"]), "{whole}");
    assert!(is_signed(&whole, &server.tenant()), "{whole}");
    server.place.sql("DELETE FROM audit_events WHERE seq > 7");
    let found = verification(&server);
    assert_eq!((&found["ok"], &found["first_bad_seq"]), (&json!(false), &json!(9)), "{found}");
    assert_eq!(offline(&server).0, Some(12));
    server
        .place
        .sql("UPDATE audit_checkpoints SET seq = 7, hash = (SELECT hash FROM audit_events WHERE seq = 7)");
    let found = verification(&server);
    assert_eq!(found["reason"], "a checkpoint was altered", "{found}");
    server.place.sql("DELETE FROM audit_checkpoints");
    let cut = verification(&server);
    assert_eq!((&cut["ok"], &cut["checked"]), (&json!(true), &json!(7)), "the database alone cannot know");
    assert!(cut["checked"].as_i64() < kept["seq"].as_i64(), "the kept checkpoint can");
    let document = server.root().get("/openapi.json").text;
    assert!(document.contains("keep it elsewhere to notice a cut tail later"), "and this is said");
}

/// A checkpoint in a file outside of the data folder, and what `audit verify` says against it.
struct KeptElsewhere {
    file: tempfile::NamedTempFile,
}

impl KeptElsewhere {
    fn new(text: &str) -> Self {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), text).expect("written");
        Self { file }
    }

    /// Exit code, place and reason: from a server, and from the data folder alone.
    fn judge(&self, server: &Server) -> [(Option<i32>, Value, String); 2] {
        let path = self.file.path().to_str().expect("UTF-8");
        let args = ["audit", "verify", "--checkpoint", path, "-o", "json"];
        let mut online = server.place.keyward(&[&args[..], &["--url", &server.url]].concat());
        let online = online.env("KEYWARD_TOKEN", server.operator()).output().expect("the binary runs");
        let offline = server.place.run(&args);
        let read = |output: &std::process::Output| {
            let told: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
            let row = if told["data"].is_array() { told["data"][0].clone() } else { told };
            let reason = row["reason"].as_str().unwrap_or_default().to_owned();
            (output.status.code(), row["first_bad_seq"].clone(), reason)
        };
        [read(&online), read(&offline)]
    }
}

#[test]
fn aud_4_a_cut_tail_is_found_and_placed_against_a_checkpoint_kept_elsewhere() {
    let mut server = scene();
    server.terminate();
    let server = server.restart();
    let listed = server.root().get("/v1/audit-checkpoints").ok();
    let newest = &listed["data"][0];
    assert_eq!((&newest["seq"], &newest["hash"]), (&json!(9), &verification(&server)["head"]), "{listed}");
    assert_eq!(newest["tenant_id"], server.tenant().as_str());
    let mut export = server.place.keyward(&["audit", "checkpoints", "-o", "json", "--url", &server.url]);
    let export = export.env("KEYWARD_TOKEN", server.operator()).output().expect("the binary runs");
    let kept = KeptElsewhere::new(&String::from_utf8_lossy(&export.stdout));
    let whole = kept.judge(&server);
    assert!(whole.iter().all(|told| *told == (Some(0), Value::Null, String::new())), "{whole:?}");
    server.root().role("one-more", &["a:read"]);
    assert_eq!(kept.judge(&server)[0].0, Some(0), "a chain that grew is the same chain");
    // Whoever removes the end and the checkpoints that the database has of it is found out all the same.
    server.place.sql("DELETE FROM audit_checkpoints");
    server.place.sql("DELETE FROM audit_events WHERE seq > 7");
    assert_eq!(verification(&server)["ok"], true, "the database alone cannot know");
    for (code, place, reason) in kept.judge(&server) {
        assert_eq!((code, place), (Some(12), json!(8)), "the first event that is missing");
        assert!(reason.contains("cut off"), "{reason}");
    }
    // So is a log that begins anew, and one that is gone altogether.
    server.place.sql("DELETE FROM audit_events");
    server.place.sql("DELETE FROM audit_personal");
    for number in 1..=10 {
        server.root().role(&format!("new-{number}"), &["a:read"]);
    }
    assert_eq!(verification(&server)["ok"], true);
    for (code, place, reason) in kept.judge(&server) {
        assert_eq!((code, place), (Some(12), json!(9)));
        assert!(reason.contains("not the one"), "{reason}");
    }
    server.place.sql("DELETE FROM audit_events");
    for (code, place, _) in kept.judge(&server) {
        assert_eq!((code, place), (Some(12), json!(1)));
    }
}

#[test]
fn aud_4_a_kept_checkpoint_that_was_altered_or_is_anothers_is_no_proof() {
    let mut server = scene();
    server.terminate();
    let server = server.restart();
    let good = verification(&server);
    assert_eq!(KeptElsewhere::new(&good.to_string()).judge(&server)[0].0, Some(0), "as verify printed it");
    let altered = |name: &str, value: Value| {
        let mut checkpoint = good["checkpoint"].clone();
        checkpoint[name] = value;
        KeptElsewhere::new(&checkpoint.to_string()).judge(&server)
    };
    for (name, value) in [
        ("seq", json!(8)),
        ("hash", json!("00")),
        ("at", json!("2026-01-01T00:00:00.000Z")),
        ("tenant_id", json!("tenant_00000000000000000000000000")),
        ("public_key", json!("00")),
    ] {
        let told = altered(name, value);
        assert!(told.iter().all(|told| told.0 == Some(12)), "{name}: {told:?}");
    }
    let foreign = scene().root().get("/v1/audit-events/verification").ok();
    assert_eq!(foreign["checkpoint"], Value::Null, "none in the first minute");
    assert_eq!(KeptElsewhere::new(&foreign.to_string()).judge(&server)[0].0, Some(2));
    let mut other = scene();
    other.terminate();
    let other = other.restart();
    let theirs = KeptElsewhere::new(&verification(&other).to_string());
    assert!(theirs.judge(&server).iter().all(|told| told.0 == Some(12)), "of another instance");
    for query in ["checkpoint_seq=9", "checkpoint_hash=00", "checkpoint_seq=0&checkpoint_hash=00", "seq=9"] {
        server
            .root()
            .get(&format!("/v1/audit-events/verification?{query}"))
            .refused(400, "malformed_request");
    }
    let (_, key) = server.root().member("nobody", &[]);
    server.caller(&text(&key["secret"])).get("/v1/audit-checkpoints").refused(403, "insufficient_rights");
    server.root().get("/v1/audit-checkpoints?limit=1").expect(200);
}

/// The signature as the documentation of the field says.
fn is_signed(verification: &Value, tenant: &str) -> bool {
    let unhex = |value: &Value| -> Vec<u8> {
        let digits = text(value);
        (0..digits.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&digits[at..at + 2], 16).expect("hex"))
            .collect()
    };
    let checkpoint = &verification["checkpoint"];
    let at: jiff::Timestamp = text(&checkpoint["at"]).parse().expect("a time");
    let (seq, hash) = (&checkpoint["seq"], text(&checkpoint["hash"]));
    let statement = format!("keyward-audit-checkpoint\n{tenant}\n{seq}\n{}\n{hash}", at.as_millisecond());
    let key = UnparsedPublicKey::new(&ED25519, unhex(&verification["public_key"]));
    key.verify(statement.as_bytes(), &unhex(&checkpoint["signature"])).is_ok()
}

#[derive(Deserialize)]
struct Line {
    previous_hash: String,
    hash: String,
    event: Box<RawValue>,
}

fn export(server: &Server) -> Vec<Line> {
    let exported = server.root().get("/v1/audit-events/export").expect(200);
    assert_eq!(exported.header("content-type"), "application/jsonl");
    assert!(exported.text.ends_with('\n'));
    exported.text.lines().map(|line| serde_json::from_str(line).expect("a line is JSON")).collect()
}

fn chain_hash(previous: &str, event: &str) -> String {
    let digest = Sha256::digest(format!("{previous}\n{event}").as_bytes());
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn aud_4_the_export_can_be_checked_without_us() {
    let server = scene();
    let lines = export(&server);
    assert_eq!(lines.len(), 10, "the export itself is in it");
    let mut previous = String::new();
    for (line, seq) in lines.iter().zip(1..) {
        let event: Value = serde_json::from_str(line.event.get()).expect("JSON");
        assert_eq!(event["seq"], seq);
        assert_eq!(line.previous_hash, previous);
        assert_eq!(line.hash, chain_hash(&previous, line.event.get()));
        previous.clone_from(&line.hash);
    }
    assert_eq!(verification(&server)["head"], previous.as_str());
    let (_, key) = server.root().member("reader", &["audit:read"]);
    server.caller(&text(&key["secret"])).get("/v1/audit-events/export").refused(403, "insufficient_rights");
    server.caller(&text(&key["secret"])).get("/v1/audit-events/verification").expect(200);
}

#[test]
fn aud_4_aud_6_no_route_changes_the_log() {
    let server = scene();
    let event = server.root().get("/v1/audit-events?limit=1").ok()["data"][0].clone();
    for path in ["/v1/audit-events".to_owned(), format!("/v1/audit-events/{}", text(&event["id"]))] {
        for method in ["POST", "PUT", "PATCH", "DELETE"] {
            let answer = server.root().request(method, &path).json(&json!({})).send().expect("an answer");
            assert_eq!(answer.status(), 405, "{method} {path}");
        }
    }
    assert_eq!(server.root().get(&format!("/v1/audit-events/{}", text(&event["id"]))).ok(), event);
}
