//! Exit codes that a live server brings about, and `keyward doctor`.

use serde_json::{Value, json};

use super::{Run, Shell};
use crate::support::text;

fn as_somebody(shell: &Shell, token: &str, args: &[&str]) -> Run {
    shell.command(args).env("KEYWARD_TOKEN", token).output().expect("the binary runs").into()
}

#[test]
fn refusals_have_their_exit_codes() {
    let shell = Shell::start();
    let (_, key) = shell.root().member("greg", &[]);
    let token = text(&key["secret"]);
    let forbidden = as_somebody(&shell, &token, &["users", "ls"]);
    assert_eq!((forbidden.code, forbidden.out.as_str()), (4, ""), "{}", forbidden.err);
    assert!(forbidden.err.contains("request id: "), "{}", forbidden.err);
    assert_eq!(as_somebody(&shell, super::super::SECRET, &["whoami"]).code, 4);
    assert_eq!(as_somebody(&shell, &token, &["keys", "show", "key_00000000000000000000000000"]).code, 5);
    let ownerless = shell.ends(1, &["keys", "create", "--label", "whose", "--ttl", "90d", "-o", "json"]);
    assert!(ownerless.err.contains("hint: add --owner USER or --class workspace"), "{}", ownerless.err);
    shell.ok(&["keys", "create", "--class", "workspace", "--label", "first", "--ttl", "90d", "-o", "json"]);
    // One of two keys is there already.
    let create = ["keys", "create", "--label", "mine", "-o", "json"];
    assert_eq!(as_somebody(&shell, &token, &create).code, 0);
    let full = as_somebody(&shell, &token, &create);
    assert_eq!(full.code, 7, "{}", full.err);
    assert!(full.err.contains("policy: max_keys_per_user"), "{}", full.err);
    assert_eq!(shell.root().get("/v1/keys?label=mine").ok()["data"].as_array().map(Vec::len), Some(1));
}

#[test]
fn x6_a_used_up_limit_is_9_with_the_time_to_wait() {
    let shell = Shell::start();
    let limits = json!([{ "name": "slow", "requests": 1, "per_seconds": 3600 }]);
    let key = shell.root().key(json!({ "class": "workspace", "label": "slow", "limits": limits }));
    let token = text(&key["secret"]);
    assert_eq!(as_somebody(&shell, &token, &["whoami"]).code, 0);
    let run = as_somebody(&shell, &token, &["whoami"]);
    assert_eq!(run.code, 9, "{}", run.err);
    assert!(run.err.contains("try again in "), "{}", run.err);
}

#[test]
fn doctor_finds_nothing_wrong_and_what_is_wrong() {
    let shell = Shell::start();
    let report = shell.json(&["doctor"]);
    let checks = report["data"].as_array().expect("a list");
    let state = |report: &[Value], name: &str| {
        let check = report.iter().find(|check| check["check"] == name);
        text(&check.unwrap_or_else(|| panic!("{name} is not checked"))["state"])
    };
    for name in ["tls", "reachable", "clock", "ready", "version", "token"] {
        assert_eq!(state(checks, name), "ok", "{report}");
    }
    let run = as_somebody(&shell, super::super::SECRET, &["doctor", "-o", "json"]);
    assert_eq!(run.code, 13, "{}", run.err);
    let report: Value = serde_json::from_str(&run.out).expect("JSON");
    let checks = report["data"].as_array().expect("a list");
    assert_eq!((state(checks, "token"), state(checks, "ready")), ("problem".into(), "ok".into()));
    assert!(!run.out.contains(super::super::SECRET) && !run.err.contains(super::super::SECRET));
}
