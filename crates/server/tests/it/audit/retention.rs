//! Events that were kept for long enough are closed, a whole segment at a time (AUD-6).

use std::path::PathBuf;

use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use serde_json::{Value, json};

use crate::api::{all, person, tenant};
use crate::support::{Caller, Place, Server, text, wait_until};

const DAY: u32 = 24 * 3600;

/// The same place so many days later.
fn later(mut server: Server, days: u32) -> Server {
    assert_eq!(server.terminate().1, Some(0));
    server.place.ahead = Some(format!("+{}s", days * DAY));
    server.restart()
}

/// A server that keeps events for two days, and writes them to a folder before it closes them.
fn scene() -> (Server, PathBuf) {
    let place = Place::new();
    let archive = place.folder.path().join("archive");
    let root = place.bootstrap();
    let config = format!("audit: {{ keep: 2d, archive: \"{}\" }}\n", archive.display());
    (Server::serve(place, root, &config), archive)
}

fn roles(caller: &Caller, prefix: &str) {
    for number in 1..=4 {
        caller.role(&format!("{prefix}-{number}"), &["a:read"]);
    }
}

fn verification(caller: &Caller) -> Value {
    caller.get("/v1/audit-events/verification").ok()
}

fn segments(caller: &Caller) -> Vec<Value> {
    all(caller, "/v1/audit-segments")
}

/// Runs a statement with a number in it.
fn sql(server: &Server, statement: &str) -> u64 {
    server.place.sql(Box::leak(statement.to_owned().into_boxed_str()))
}

/// What `keyward audit verify` says on the data folder, or on a file: exit code and output.
fn local(server: &Server, args: &[&str]) -> (Option<i32>, Value) {
    let all = [&["audit", "verify", "-o", "json"][..], args].concat();
    let output = match args.contains(&"--file") {
        true => server.place.keyward(&all).output().expect("the binary runs"),
        false => server.place.run(&all),
    };
    let told: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    (output.status.code(), if told["data"].is_array() { told["data"][0].clone() } else { told })
}

/// A place with two days of events of which the first was closed: the checkpoints of its two stops, the
/// server on the fourth day, and the archive.
fn closed() -> (Server, [Value; 2], PathBuf) {
    let (server, archive) = scene();
    let root = server.root();
    let (_, _, wally) = person(&server, &root, "wally", &["a:read", "roles:write"]);
    roles(&wally, "first");
    let server = later(server, 0);
    roles(&server.caller(&wally.secret), "second");
    let server = later(server, 1);
    let checkpoints = all(&server.root(), "/v1/audit-checkpoints");
    roles(&server.caller(&wally.secret), "next-day");
    assert!(segments(&server.root()).is_empty(), "nothing is old enough");
    assert!(!archive.exists());
    let server = later(server, 3);
    wait_until(|| !segments(&server.root()).is_empty());
    (server, [checkpoints[1].clone(), checkpoints[0].clone()], archive)
}

#[test]
fn aud_6_old_events_are_closed_as_a_whole_and_the_rest_verifies() {
    let (server, [inner, last], archive) = closed();
    let root = server.root();
    let segment = &segments(&root)[0];
    let through = last["seq"].as_i64().expect("a number");
    assert_eq!((&segment["first_seq"], &segment["last_seq"]), (&json!(1), &last["seq"]), "at a checkpoint");
    assert_eq!((&segment["events"], &segment["last_hash"]), (&last["seq"], &last["hash"]));
    assert!(is_signed(segment), "{segment}");
    let checked = verification(&root);
    let newest = root.get("/v1/audit-events?limit=1").ok()["data"][0]["seq"].as_i64().expect("a number");
    assert_eq!(
        (&checked["ok"], &checked["closed_through"], &checked["closed_until"], &checked["checked"]),
        (&json!(true), &last["seq"], &segment["last_at"], &json!(newest - through)),
        "{checked}"
    );
    // What is kept begins where the segment ended, and tells of it.
    let export = root.get("/v1/audit-events/export").expect(200).text;
    let first: Value = serde_json::from_str(export.lines().next().expect("a line")).expect("JSON");
    assert_eq!((&first["event"]["seq"], &first["previous_hash"]), (&json!(through + 1), &last["hash"]));
    assert!(export.contains("next-day-1") && !export.contains("second-1"));
    let event = &all(&root, "/v1/audit-events?action=audit.close")[0];
    assert_eq!((&event["actor"]["id"], &event["after"]), (&json!("retention"), segment));
    for table in ["audit_events", "audit_personal"] {
        assert_eq!(
            sql(&server, &format!("UPDATE {table} SET seq = seq WHERE seq <= {through}")),
            0,
            "{table}"
        );
    }
    let (code, told) = local(&server, &[]);
    assert_eq!((code, &told["closed_through"]), (Some(0), &last["seq"]), "{told}");
    in_the_archive(&server, &archive, segment);
    against_kept(&server, &inner, &last);
    // Events go on being numbered, and nothing is closed twice.
    let server = later(server, 3);
    roles(&server.root(), "after");
    assert_eq!(verification(&server.root())["ok"], true);
    assert_eq!(segments(&server.root()).len(), 1);
}

/// The segment was written before it was closed, and can be checked there.
fn in_the_archive(server: &Server, archive: &std::path::Path, segment: &Value) {
    let last = segment["last_seq"].as_i64().expect("a number");
    let file = archive.join(server.tenant()).join(format!("{:012}-{last:012}.jsonl", 1));
    let text = std::fs::read_to_string(&file).expect("the file is there");
    assert!(text.contains("second-1") && text.contains("wally") && !text.contains("next-day"));
    let (code, told) = local(server, &["--file", file.to_str().expect("UTF-8")]);
    assert_eq!(
        (code, &told["checked"], &told["head"]),
        (Some(0), &json!(last), &segment["last_hash"]),
        "{told}"
    );
    for (from, to) in [("second-1", "second-9"), ("wally", "walter")] {
        let altered = archive.join("altered.jsonl");
        std::fs::write(&altered, text.replacen(from, to, 1)).expect("written");
        let (code, told) = local(server, &["--file", altered.to_str().expect("UTF-8")]);
        assert_eq!((code, &told["ok"]), (Some(12), &json!(false)), "{told}");
    }
    let short = archive.join("short.jsonl");
    std::fs::write(&short, text.lines().skip(3).fold(String::new(), |all, line| all + line + "\n"))
        .expect("written");
    assert_eq!(
        local(server, &["--file", short.to_str().expect("UTF-8")]).0,
        Some(0),
        "a part is whole in itself"
    );
    std::fs::write(&short, text.lines().step_by(2).fold(String::new(), |all, line| all + line + "\n"))
        .expect("written");
    assert_eq!(
        local(server, &["--file", short.to_str().expect("UTF-8")]).0,
        Some(12),
        "one with gaps is not"
    );
}

/// A checkpoint at the end of a segment is still good; of one inside nothing can be said any more.
fn against_kept(server: &Server, inner: &Value, last: &Value) {
    let file = server.place.folder.path().join("kept.json");
    let judge = |kept: &Value| {
        std::fs::write(&file, kept.to_string()).expect("written");
        local(server, &["--checkpoint", file.to_str().expect("UTF-8")])
    };
    assert_eq!(judge(last).0, Some(0));
    let (code, told) = judge(inner);
    assert_eq!((code, &told["first_bad_seq"]), (Some(12), &inner["seq"]));
    assert!(text(&told["reason"]).contains("closed since"), "{told}");
}

fn is_signed(segment: &Value) -> bool {
    let at = |name: &str| text(&segment[name]).parse::<jiff::Timestamp>().expect("a time").as_millisecond();
    let statement = format!(
        "keyward-audit-segment\n{}\n{}\n{}\n{}\n{}\n{}\n{}\n{}",
        text(&segment["tenant_id"]),
        segment["first_seq"],
        segment["last_seq"],
        at("first_at"),
        at("last_at"),
        text(&segment["previous_hash"]),
        text(&segment["last_hash"]),
        at("closed_at"),
    );
    let unhex = |value: &Value| -> Vec<u8> {
        let text = text(value);
        (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).expect("hex")).collect()
    };
    let key = UnparsedPublicKey::new(&ED25519, unhex(&segment["public_key"]));
    key.verify(statement.as_bytes(), &unhex(&segment["signature"])).is_ok()
}

#[test]
fn aud_4_aud_6_a_closing_that_did_not_happen_is_found() {
    let (server, [_, last], _) = closed();
    let root = server.root();
    let through = last["seq"].as_i64().expect("a number");
    server.place.sql("CREATE TABLE kept_segments AS SELECT * FROM audit_segments");
    server.place.sql("CREATE TABLE kept_events AS SELECT * FROM audit_events");
    let tamperings = [
        ("UPDATE audit_segments SET last_hash = previous_hash".to_owned(), through + 1),
        ("UPDATE audit_segments SET last_at = last_at + 1".to_owned(), 1),
        ("UPDATE audit_segments SET first_seq = 2".to_owned(), 1),
        ("DELETE FROM audit_segments".to_owned(), 1),
        // Whoever deletes one more event has no record of it.
        (format!("DELETE FROM audit_events WHERE seq = {}", through + 1), through + 1),
        (format!("UPDATE audit_segments SET last_seq = {}", through - 1), through),
    ];
    for (statement, place) in tamperings {
        assert_eq!(sql(&server, &statement), 1, "{statement}");
        let found = verification(&root);
        assert_eq!(found["ok"], false, "{statement}: {found}");
        let named = found["first_bad_seq"].as_i64().expect("a number");
        assert!(named == place || named == 1, "{statement}: {found}");
        assert_eq!(local(&server, &[]).0, Some(12), "{statement}");
        for table in ["segments", "events"] {
            sql(&server, &format!("DELETE FROM audit_{table}"));
            sql(&server, &format!("INSERT INTO audit_{table} SELECT * FROM kept_{table}"));
        }
        assert_eq!(verification(&root)["ok"], true);
    }
}

#[test]
fn aud_6_a_chain_that_is_not_whole_is_not_closed() {
    let (server, archive) = scene();
    roles(&server.root(), "first");
    server.place.sql("UPDATE audit_events SET body = REPLACE(body, 'first-2', 'first-9') WHERE seq = 5");
    let server = later(server, 4);
    wait_until(|| server.place.log().contains("the audit chain is not whole"));
    assert!(segments(&server.root()).is_empty() && !archive.exists());
    assert_eq!(verification(&server.root())["first_bad_seq"], 5, "the evidence is still there");
    server.place.sql("UPDATE audit_events SET body = REPLACE(body, 'first-9', 'first-2') WHERE seq = 5");
    let server = later(server, 4);
    wait_until(|| !segments(&server.root()).is_empty());
    assert_eq!(verification(&server.root())["ok"], true);
}

#[test]
fn aud_6_each_tenant_is_closed_for_itself_and_an_idle_one_once() {
    let (server, _) = scene();
    let (_, acme) = tenant(&server, "acme");
    roles(&acme, "acme");
    let server = later(server, 4);
    let acme = server.caller(&acme.secret);
    wait_until(|| !segments(&acme).is_empty() && !segments(&server.root()).is_empty());
    let own = segments(&acme);
    let checked = verification(&acme);
    assert_eq!(
        (&checked["ok"], &checked["checked"]),
        (&json!(true), &json!(1)),
        "all of it was old: {checked}"
    );
    // Nobody reads the log here: that would be an event.
    let tenant = text(&own[0]["tenant_id"]);
    let next = own[0]["last_seq"].as_i64().expect("a number") + 1;
    let note = format!(
        "UPDATE audit_events SET seq = seq WHERE tenant_id = '{tenant}' AND seq = {next} AND action = 'audit.close'"
    );
    assert_eq!(sql(&server, &note), 1);
    assert_ne!(segments(&server.root())[0]["tenant_id"], own[0]["tenant_id"]);
    roles(&server.root(), "busy");
    // Days later there is nothing but the note about the closing: that is no reason for another.
    let server = later(server, 8);
    wait_until(|| segments(&server.root()).len() == 2);
    let acme = server.caller(&acme.secret);
    assert_eq!(segments(&acme), own);
    acme.role("back", &["a:read"]);
    let checked = verification(&acme);
    assert_eq!((&checked["ok"], &checked["checked"]), (&json!(true), &json!(2)), "{checked}");
    let foreign = text(&segments(&server.root())[0]["tenant_id"]);
    assert!(!acme.get("/v1/audit-segments").text.contains(&foreign));
}

#[test]
fn aud_6_everything_is_kept_unless_the_settings_say_otherwise() {
    let server = Server::start();
    roles(&server.root(), "first");
    let server = later(server, 60);
    // The job runs at the start; a due notice tells that the minute's jobs were through.
    std::thread::sleep(std::time::Duration::from_secs(1));
    assert!(segments(&server.root()).is_empty());
    assert_eq!(verification(&server.root())["closed_through"], 0);
    for wrong in ["12h", "0d", "36501d", "never", "1"] {
        let file = server.place.folder.path().join("wrong.yml");
        std::fs::write(&file, format!("audit: {{ keep: \"{wrong}\" }}\n")).expect("written");
        let check = ["config", "check", "--config", file.to_str().expect("UTF-8")];
        let output = server.place.keyward(&check).output().expect("the binary runs");
        assert_eq!(output.status.code(), Some(3), "{wrong}");
        assert!(String::from_utf8_lossy(&output.stderr).contains("audit.keep"), "{wrong}");
    }
}
