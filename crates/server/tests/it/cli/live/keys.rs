//! `keyward keys`, `keyward verify`

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use serde_json::{Value, json};

use super::{Shell, refused, valid};
use crate::support::text;

#[test]
fn bm_7_key_5_create_shows_the_secret_in_json_only_or_in_a_file() {
    let shell = Shell::start();
    let before = shell.root().get("/v1/keys").ok()["data"].as_array().map(Vec::len);
    let run = shell.ends(2, &["keys", "create", "--class", "ingest", "--label", "nobody sees it"]);
    assert!(run.err.contains("--secret-out") && run.out.is_empty(), "{}", run.err);
    assert_eq!(shell.root().get("/v1/keys").ok()["data"].as_array().map(Vec::len), before, "a key was made");
    let made = shell.json(&["keys", "create", "--class", "ingest", "--label", "in json", "--ttl", "30d"]);
    assert_eq!(shell.verify(&text(&made["secret"])), valid());
    assert_eq!(made["copy"].as_str().map(|copy| copy.starts_with("key:kwa_")), Some(true), "bm_11");

    let file = shell.server.place.folder.path().join("secret");
    let path = file.to_str().expect("UTF-8");
    let run =
        shell.ok(&["keys", "create", "--class", "ingest", "--label", "in a file", "--secret-out", path]);
    let secret = fs::read_to_string(&file).expect("written");
    assert_eq!(fs::metadata(&file).expect("is there").permissions().mode() & 0o777, 0o600);
    assert!(!run.out.contains(secret.trim()) && !run.err.contains(secret.trim()));
    let run = shell.ok(&["verify", "--file", path, "--need", "ingest:write"]);
    assert!(run.out.contains("in a file"), "{}", run.out);
    let again = ["keys", "create", "--class", "ingest", "--label", "not made", "--secret-out", path];
    shell.ends(2, &again);
    assert_eq!(fs::read_to_string(&file).expect("still there"), secret);
    assert_eq!(shell.root().get("/v1/keys?label=not%20made").ok()["data"], json!([]));
}

#[test]
fn x6_create_takes_every_trait_and_edit_changes_it() {
    let shell = Shell::start();
    let made = shell.json(&[
        "keys",
        "create",
        "--owner",
        "root",
        "--label",
        "narrow",
        "--scope",
        "me:read",
        "--cidr",
        "10.0.0.0/8",
        "--method",
        "GET",
        "--path",
        "/api/**",
        "--rate",
        "api=100/1m",
        "--credits",
        "5",
        "--refill",
        "5/day",
        "--refill-cap",
        "9",
        "--idle",
        "7d",
        "--expires-at",
        "2027-01-31",
    ]);
    let id = text(&made["id"]);
    let api = |id: &str| shell.root().get(&format!("/v1/keys/{id}")).ok();
    let key = api(&id);
    assert_eq!(shell.json(&["keys", "show", &id]), key, "-o json is the API object");
    assert_eq!(shell.json(&["keys", "show", &text(&made["access_key"])]), key);
    assert_eq!((&key["owner_username"], &key["scopes"]), (&json!("root"), &json!(["me:read"])));
    assert_eq!(key["conditions"]["cidrs"], json!(["10.0.0.0/8"]));
    assert_eq!(key["limits"], json!([{ "name": "api", "requests": 100, "per_seconds": 60 }]));
    assert_eq!((&key["credits"]["granted"], &key["idle_seconds"]), (&json!(5), &json!(604_800)));
    assert_eq!(key["credits"]["refill"], json!({ "amount": 5, "every": "day", "cap": 9 }));
    assert_eq!(
        key["expires_at"].as_str().map(|at| at.starts_with("2027-01-31T00:00:00")),
        Some(true),
        "{key}"
    );

    let version = key["version"].to_string();
    shell.ok(&[
        "keys",
        "edit",
        &id,
        "--label",
        "wide",
        "--clear",
        "conditions",
        "--clear",
        "scopes",
        "--if-match",
        &version,
    ]);
    let edited = api(&id);
    assert_eq!((&edited["label"], &edited["scopes"]), (&json!("wide"), &Value::Null));
    assert_ne!(edited["conditions"]["cidrs"], json!(["10.0.0.0/8"]));
    let run = shell.ends(6, &["keys", "edit", &id, "--label", "late", "--if-match", &version]);
    assert!(run.err.contains("stale_version"), "{}", run.err);
    shell.ends(2, &["keys", "edit", &id]);
    let run = shell.ok(&["keys", "edit", &id, "--label", "only asked", "--dry-run"]);
    assert!(run.err.contains("nothing was changed"), "{}", run.err);
    assert_eq!(api(&id), edited);
}

#[test]
fn bm_5_key_8_extend_moves_the_end_within_the_policy() {
    let shell = Shell::start();
    let made = shell.json(&["keys", "create", "--class", "ingest", "--label", "short", "--ttl", "1h"]);
    let id = text(&made["id"]);
    let end = || text(&shell.root().get(&format!("/v1/keys/{id}")).ok()["expires_at"]);
    shell.ok(&["keys", "extend", &id, "--expires-at", "2027-03-01"]);
    assert!(end().starts_with("2027-03-01T"), "{}", end());
    shell.ends(2, &["keys", "extend", &id]);
    shell.ok(&["policies", "edit", "--set", "ingest.default_ttl_days=30", "--set", "ingest.max_ttl_days=30"]);
    let run = shell.ends(7, &["keys", "extend", &id, "--ttl", "31d"]);
    assert!(run.err.contains("policy: ingest.max_ttl_days"), "{}", run.err);
    shell.ends(7, &["keys", "extend", &id, "--never"]);
    assert!(end().starts_with("2027-03-01T"), "a refused extension moved the end to {}", end());
}

#[test]
fn bm_12_disable_enable_revoke_usage_and_explain() {
    let shell = Shell::start();
    let made = shell.json(&["keys", "create", "--owner", "root", "--label", "busy", "--scope", "keys:read"]);
    let (id, secret) = (text(&made["id"]), text(&made["secret"]));
    shell.ok(&["keys", "disable", &id, "--reason", "holiday"]);
    assert_eq!(shell.verify(&secret), refused("inactive"));
    shell.ends(6, &["keys", "disable", &id]);
    shell.ok(&["keys", "enable", &id]);
    assert_eq!(shell.verify(&secret), valid());

    let why = shell.json(&["keys", "explain", &id, "--need", "keys:read", "--ip", "192.0.2.1"]);
    assert_eq!((&why["valid"], &why["code"]), (&json!(true), &json!("ok")));
    let run = shell.ok(&["keys", "explain", &id, "--need", "users:write"]);
    assert!(run.out.starts_with("check\tpassed\tdetail\n"), "{}", run.out);
    assert!(run.out.contains("false") && run.err.contains("insufficient_rights"), "{}{}", run.out, run.err);

    let usage = shell.json(&["keys", "usage", &id, "--hours", "2"]);
    assert_eq!(usage, shell.root().get(&format!("/v1/keys/{id}/usage?hours=2")).ok());
    shell.ends(2, &["keys", "revoke", &id]);
    assert_eq!(shell.verify(&secret), valid(), "revoked without a yes");
    shell.ok(&["keys", "revoke", &id, "--yes", "--reason", "done with it"]);
    assert_eq!(shell.verify(&secret), refused("revoked"));
    assert_eq!(shell.json(&["keys", "show", &id])["revoked_reason"], "done with it");
    shell.ends(6, &["keys", "rm", &id, "--yes"]);
    shell.ends(5, &["keys", "show", "kwa_0000000000000000"]);
    shell.ends(5, &["keys", "revoke", "kwa_0000000000000000", "--yes"]);
}

#[test]
fn mo_6_bulk_revocation_previews_and_asks_for_the_number() {
    let shell = Shell::start();
    for number in 0..3 {
        shell.json(&["keys", "create", "--class", "ingest", "--label", &format!("collector {number}")]);
    }
    let live = || {
        shell.json(&["keys", "list", "--where", "class=ingest status=active"])["data"]
            .as_array()
            .map(Vec::len)
    };
    let bulk = |more: &[&str]| {
        let mut args = vec!["keys", "revoke", "--where", "class=ingest", "--reason", "collectors retired"];
        args.extend(more);
        shell.run(&args)
    };
    let preview = bulk(&[]);
    assert_eq!(preview.code, 2);
    assert!(preview.err.contains("--confirm \"revoke 3\""), "{}", preview.err);
    assert_eq!(preview.out.lines().count(), 4, "{}", preview.out);
    assert_eq!(bulk(&["--dry-run"]).code, 0);
    assert_eq!(bulk(&["--confirm", "revoke 2"]).code, 6);
    assert_eq!(bulk(&["--yes"]).code, 2, "a yes is no number");
    assert_eq!(live(), Some(3), "something was revoked before it was confirmed");
    let done = bulk(&["--confirm", "revoke 3", "-o", "json"]);
    assert_eq!(done.code, 0, "{}", done.err);
    let done: Value = serde_json::from_str(&done.out).expect("JSON");
    assert_eq!((&done["matched"], &done["revoked"]), (&json!(3), &json!(3)));
    assert_eq!(live(), Some(0));
    assert_eq!(shell.ok(&["whoami"]).code, 0, "the own key was spared");
}

#[test]
fn x2_verify_tells_by_its_exit_code() {
    let shell = Shell::start();
    let made = shell.json(&["keys", "create", "--owner", "root", "--label", "checked", "--scope", "me:read"]);
    let secret = text(&made["secret"]);
    assert_eq!(shell.verify(&secret), valid());
    assert_eq!(shell.verify(&format!(" \"{secret}\"\n")), valid(), "blanks and quotes are no part of it");
    assert_eq!(shell.verify("hunter2"), refused("invalid_key"));
    let ask = |args: &[&str]| crate::cli::run_with_input(&mut shell.command(args), &secret);
    assert_eq!(ask(&["verify", "--need", "me:read"]).code, 0);
    let denied = ask(&["verify", "--need", "keys:read"]);
    assert_eq!(denied.code, 10);
    assert!(denied.err.contains("not valid: insufficient_rights"), "{}", denied.err);
    let explained: Value =
        serde_json::from_str(&ask(&["verify", "--explain", "-o", "json"]).out).expect("JSON");
    assert!(explained["explain"].as_array().is_some_and(|steps| !steps.is_empty()), "{explained}");
    // A refusal of the caller is no verdict about the secret.
    let (_, weak) = shell.root().member("weak", &[]);
    let mut command = shell.command(&["verify"]);
    command.env("KEYWARD_TOKEN", text(&weak["secret"]));
    assert_eq!(crate::cli::run_with_input(&mut command, &secret).code, 4);
}
