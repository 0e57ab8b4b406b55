//! `keyward policies` and `keyward approvals`

use serde_json::{Value, json};

use super::{Shell, refused, valid};
use crate::api::all;
use crate::support::text;

#[test]
fn x_5_a_simulation_tells_what_would_stop_and_leaves_nothing() {
    let shell = Shell::start();
    let key = shell.json(&["keys", "create", "--class", "ingest", "--label", "=collector"]);
    let set = ["--set", "switches.ingest_keys=false"];
    let simulate = |more: &[&str]| shell.ok(&[&["policies", "simulate"][..], &set, more].concat());
    let run = simulate(&[]);
    assert!(run.err.contains("this 1 key would stop: 1 class_disabled"), "{}", run.err);
    assert!(run.out.contains("=collector") && run.out.contains("class_disabled"), "{}", run.out);
    let told: Value = serde_json::from_str(&simulate(&["-o", "json"]).out).expect("JSON");
    assert_eq!(told["would_stop"], json!({ "count": 1, "by_code": { "class_disabled": 1 } }));
    let table = simulate(&["-o", "csv"]).out;
    assert!(table.contains(",'=collector,ingest,,,ok,class_disabled"), "{table}");
    assert!(all(&shell.root(), "/v1/policies/drafts").is_empty(), "the draft is gone");
    assert_eq!(shell.verify(&text(&key["secret"])), valid());
    shell.ends(2, &["policies", "simulate"]);
    shell.ends(5, &["policies", "simulate", "--draft", "draft_00000000000000000000000000"]);
    let file = shell.server.place.folder.path().join("policy.yml");
    std::fs::write(&file, "version: 1\nswitches: {ingest_keys: false}\n").expect("written");
    let at = file.to_str().expect("UTF-8");
    assert!(shell.ok(&["policies", "simulate", "-f", at]).err.contains("this 1 key would stop"));
}

#[test]
fn x_5_a_draft_from_making_to_applying_and_back() {
    let shell = Shell::start();
    let key = shell.json(&["keys", "create", "--class", "ingest", "--label", "x"]);
    let secret = text(&key["secret"]);
    let set =
        ["policies", "drafts", "create", "--set", "switches.ingest_keys=false", "--note", "no collectors"];
    let draft = text(&shell.json(&set)["id"]);
    assert_eq!(shell.json(&["policies", "drafts", "ls"])["data"][0]["note"], "no collectors");
    let shown = shell.json(&["policies", "drafts", "show", &draft]);
    assert_eq!(shown["differences"][0]["path"], "switches.ingest_keys");
    let impact = shell.json(&["policies", "drafts", "impact", &draft, "--code", "class_disabled"]);
    assert_eq!(impact["data"][0]["id"], key["id"]);
    shell.ok(&["policies", "edit", "--set", "max_keys_per_user=4"]);
    let run = shell.ends(6, &["policies", "drafts", "apply", &draft]);
    assert!(run.err.contains("stale_draft"), "{}", run.err);
    shell.ok(&["policies", "drafts", "rebase", &draft]);
    let moment = (jiff::Timestamp::now() + jiff::SignedDuration::from_hours(1)).to_string();
    let late = shell.json(&["policies", "drafts", "apply", &draft, "--starts-at", &moment, "--dry-run"]);
    assert_eq!(late["state"], "scheduled");
    assert_eq!(shell.verify(&secret), valid());
    shell.ok(&["policies", "drafts", "apply", &draft]);
    assert_eq!(shell.verify(&secret), refused("class_disabled"));
    let versions = shell.json(&["policies", "versions"]);
    assert_eq!(
        (&versions["data"][0]["version"], &versions["data"][0]["note"]),
        (&json!(3), &json!("no collectors"))
    );
    assert_eq!(shell.json(&["policies", "list"]), versions);
    assert_eq!(shell.json(&["policies", "versions", "2"])["differences"][0]["after"], 4);
    shell.ends(2, &["policies", "rollback", "2"]);
    shell.ok(&["policies", "rollback", "2", "--dry-run"]);
    assert_eq!(shell.verify(&secret), refused("class_disabled"));
    let back = shell.json(&["policies", "rollback", "2", "--note", "too early", "--yes"]);
    assert_eq!((&back["version"], &back["max_keys_per_user"]), (&json!(4), &json!(4)));
    assert_eq!(shell.verify(&secret), valid());
}

#[test]
fn x_5_a_file_is_applied_at_a_moment() {
    let shell = Shell::start();
    let file = shell.server.place.folder.path().join("policy.yml");
    std::fs::write(&file, "max_keys_per_user: 7\n").expect("written");
    let at = file.to_str().expect("UTF-8");
    let moment = (jiff::Timestamp::now() + jiff::SignedDuration::from_hours(1)).to_string();
    let apply = ["policies", "apply", "-f", at, "--starts-at", &moment];
    shell.ok(&[&apply[..], &["--dry-run"]].concat());
    assert!(all(&shell.root(), "/v1/policies/drafts").is_empty());
    let draft = shell.json(&apply);
    assert_eq!(draft["state"], "scheduled");
    assert_eq!(shell.json(&["policies", "show"])["max_keys_per_user"], 2);
    let listed = shell.json(&["policies", "drafts", "list", "--where", "state=scheduled"]);
    assert_eq!(listed["data"][0]["id"], draft["id"]);
    shell.ends(2, &["policies", "drafts", "delete", &text(&draft["id"])]);
    shell.ok(&["policies", "drafts", "delete", &text(&draft["id"]), "--yes"]);
    shell.ends(5, &["policies", "drafts", "show", &text(&draft["id"])]);
}

#[test]
fn x_5_approvals_are_listed_given_and_refused() {
    let shell = Shell::start();
    shell.ok(&["policies", "edit", "--set", "ingest.approval=true"]);
    let make = |label: &str| shell.json(&["keys", "create", "--class", "ingest", "--label", label]);
    let (good, bad) = (make("good"), make("bad"));
    assert_eq!(shell.verify(&text(&good["secret"])), refused("approval_pending"));
    let listed = shell.json(&["approvals", "ls"]);
    assert_eq!(listed["data"].as_array().map(Vec::len), Some(2));
    let (one, two) = (text(&good["access_key"]), text(&bad["access_key"]));
    assert_eq!(shell.json(&["approvals", "show", &one])["awaits_approval"], true);
    let by_key = shell.ends(4, &["approvals", "approve", &one, "--yes"]);
    assert!(by_key.err.contains("approval_by_key"), "{}", by_key.err);
    let (_, key) = shell.root().member("boss", &["**:*"]);
    let boss = Shell { token: text(&key["secret"]), server: shell.server };
    boss.ok(&["approvals", "approve", &one, "--dry-run"]);
    assert_eq!(boss.verify(&text(&good["secret"])), refused("approval_pending"));
    // What was looked at is shown, and nothing else is approved.
    boss.ends(2, &["approvals", "approve", &one]);
    let version = good["version"].to_string();
    boss.server.root().patch(&format!("/v1/keys/{one}"), json!({ "expires": "never" })).expect(200);
    boss.ends(6, &["approvals", "approve", &one, "--if-match", &version]);
    assert_eq!(boss.verify(&text(&good["secret"])), refused("approval_pending"));
    let shown = boss.ends(0, &["approvals", "approve", &one, "--yes"]).err;
    assert!(shown.contains("ends never") && shown.contains("may ingest/**:*"), "{shown}");
    assert_eq!(boss.verify(&text(&good["secret"])), valid());
    let shell = boss;
    shell.ends(2, &["approvals", "reject", &two]);
    shell.ok(&["approvals", "reject", &two, "--reason", "a token is enough", "--yes"]);
    assert_eq!(shell.verify(&text(&bad["secret"])), refused("revoked"));
    assert_eq!(shell.json(&["approvals", "list"])["data"], json!([]));
}
