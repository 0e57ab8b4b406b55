//! `keyward users`, `groups`, `roles`, `policies`, `audit`, `whoami`, `log-levels`, `api`

use serde_json::{Value, json};

use super::{Shell, refused, valid};
use crate::support::text;

#[test]
fn va_5_users_from_beginning_to_end() {
    let shell = Shell::start();
    shell.ok(&["roles", "create", "reader", "--right", "me:read", "--right", "reports/**:read"]);
    let made = shell.json(&["users", "create", "alice", "--email", "alice@example.org", "--role", "reader"]);
    let id = text(&made["id"]);
    let api = || shell.root().get(&format!("/v1/users/{id}")).ok();
    assert_eq!(shell.json(&["users", "show", "alice"]), api(), "-o json is the API object");
    assert_eq!(api()["rights"], json!(["me:read", "reports/**:read"]));
    assert_eq!(
        shell.json(&["users", "ls", "--where", "username=alice"]),
        shell.root().get("/v1/users?username=alice").ok()
    );
    shell.ends(6, &["users", "create", "Alice"]);
    let shown = shell.json(&[
        "users",
        "edit",
        "alice",
        "--display-name",
        "Alice A.",
        "--owner-login-window-minutes",
        "-1",
    ]);
    assert_eq!(shown["display_name"], "Alice A.");

    let key = shell.json(&["keys", "create", "--owner", "alice", "--label", "hers"]);
    let secret = text(&key["secret"]);
    assert_eq!(shell.verify(&secret), valid());
    shell.ends(2, &["users", "suspend", "alice"]);
    shell.ok(&["users", "suspend", "alice", "--yes", "--reason", "left the team"]);
    assert_eq!(
        (shell.verify(&secret), api()["suspended_reason"].clone()),
        (refused("owner_suspended"), json!("left the team"))
    );
    shell.ok(&["users", "resume", "alice"]);
    shell.ok(&["users", "record-login", "alice"]);
    assert!(api()["last_login_at"].is_string());
    assert_eq!(shell.verify(&secret), valid());

    let run = shell.ends(2, &["users", "revoke-keys", "alice", "--reason", "test"]);
    assert!(run.err.contains("1 keys of alice would be revoked"), "{}", run.err);
    shell.ok(&["users", "revoke-keys", "alice", "--reason", "test", "--dry-run"]);
    assert_eq!(shell.verify(&secret), valid(), "revoked before the yes");
    let done = shell.json(&["users", "revoke-keys", "alice", "--reason", "test", "--yes"]);
    assert_eq!((&done["revoked"], shell.verify(&secret)), (&json!(1), refused("revoked")));
    shell.ok(&["users", "delete", "alice", "--dry-run"]);
    shell.ok(&["users", "delete", "alice", "--yes"]);
    shell.ends(5, &["users", "show", "alice"]);
    let last = shell.ends(6, &["users", "delete", "root", "--yes"]);
    assert!(last.err.contains("last_administrator"), "{}", last.err);
}

#[test]
fn groups_and_roles_by_their_names() {
    let shell = Shell::start();
    shell.ok(&["roles", "create", "analyst", "--right", "reports/**:read", "--description", "reads reports"]);
    let role = shell.json(&["roles", "show", "analyst"]);
    assert_eq!(role, shell.root().get(&format!("/v1/roles/{}", text(&role["id"]))).ok());
    let group = shell.json(&["groups", "create", "Finance", "--role", "analyst"]);
    assert_eq!(group["role_ids"], json!([role["id"]]));
    assert_eq!(
        shell.json(&["groups", "show", "Finance"]),
        shell.root().get(&format!("/v1/groups/{}", text(&group["id"]))).ok()
    );
    shell.ok(&["users", "create", "bob"]);
    shell.ok(&["groups", "add-member", "Finance", "bob"]);
    let members = shell.json(&["groups", "members", "Finance"]);
    assert_eq!(members["data"][0]["username"], "bob", "{members}");
    let rights = || shell.json(&["users", "show", "bob"])["rights"].clone();
    assert!(rights().to_string().contains("reports/**:read"));
    shell.ok(&["roles", "edit", "analyst", "--right", "reports/q3:read"]);
    assert!(rights().to_string().contains("reports/q3:read"));
    shell.ok(&["groups", "remove-member", "Finance", "bob"]);
    assert!(!rights().to_string().contains("reports/"));
    shell.ok(&["groups", "edit", "Finance", "--name", "Accounting"]);
    shell.ends(5, &["groups", "show", "Finance"]);
    shell.ok(&["groups", "ls", "--where", "q=account"]);
    shell.ok(&["groups", "delete", "Accounting", "--yes"]);
    shell.ok(&["roles", "delete", "analyst", "--yes"]);
    assert_eq!(shell.ends(6, &["roles", "delete", "admin", "--yes"]).out, "");
    let left = shell.json(&["roles", "ls"]);
    let names: Vec<_> =
        left["data"].as_array().expect("a list").iter().map(|role| text(&role["name"])).collect();
    assert!(names.contains(&"admin".to_owned()) && !names.contains(&"analyst".to_owned()), "{names:?}");
}

#[test]
fn policies_are_shown_edited_and_applied_from_a_file() {
    let shell = Shell::start();
    let policy = || shell.root().get("/v1/policies").ok();
    assert_eq!(shell.json(&["policies", "show"]), policy());
    shell.ok(&["policies", "edit", "--set", "member.default_ttl_days=30", "--set", "max_keys_per_user=3"]);
    assert_eq!(
        (&policy()["member"]["default_ttl_days"], &policy()["max_keys_per_user"]),
        (&json!(30), &json!(3))
    );
    let before = policy();
    shell.ok(&["policies", "edit", "--set", "max_keys_per_user=9", "--dry-run"]);
    shell.ends(1, &["policies", "edit", "--set", "max_keys_per_user=-4"]);
    assert_eq!(policy(), before, "a refused edit changed something");
    let file = shell.server.place.folder.path().join("policy.yml");
    let path = file.to_str().expect("UTF-8");
    std::fs::write(&file, format!("version: {}\nmember:\n  default_ttl_days: 20\n", before["version"]))
        .expect("written");
    shell.ok(&["policies", "apply", "-f", path]);
    assert_eq!(policy()["member"]["default_ttl_days"], 20);
    let run = shell.ends(6, &["policies", "apply", "-f", path]);
    assert!(run.err.contains("stale_version"), "{}", run.err);
    // What was shown can be edited and given back.
    std::fs::write(&file, shell.ok(&["policies", "show", "-o", "yaml"]).out).expect("written");
    shell.ok(&["policies", "apply", "-f", path]);
    assert_eq!(policy()["member"]["default_ttl_days"], 20);
}

#[test]
fn aud_4_r14_audit_is_listed_shown_exported_and_verified() {
    let shell = Shell::start();
    shell.ok(&["users", "create", "carol"]);
    let listed = shell.json(&["audit", "list", "--where", "action=user.create"]);
    assert_eq!(listed, shell.root().get("/v1/audit-events?action=user.create").ok());
    let event = &listed["data"][0];
    assert_eq!((&event["target"]["label"], &event["outcome"]), (&json!("carol"), &json!("success")));
    assert_eq!(shell.json(&["audit", "show", &text(&event["id"])]), *event);
    shell.ends(5, &["audit", "show", "event_00000000000000000000000000"]);
    let export = shell.ok(&["audit", "export"]).out;
    let lines: Vec<Value> = export.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert!(lines.iter().any(|line| line["event"]["id"] == event["id"]));
    assert!(lines.windows(2).all(|pair| pair[1]["previous_hash"] == pair[0]["hash"]), "the chain is broken");
    assert_eq!(shell.ok(&["audit", "export", "--since", "2030-01-01"]).out, "");
    assert_eq!(shell.ok(&["audit", "export", "--until", "2020-01-01"]).out, "");
    assert!(shell.ok(&["audit", "export", "--since", "2020-01-01"]).out.lines().count() > lines.len());
    assert_eq!(shell.json(&["audit", "verify"])["ok"], true);
    shell.server.place.sql(
        "UPDATE audit_events SET body = replace(body, 'success', 'refused') WHERE action = 'user.create'",
    );
    let run = shell.ends(12, &["audit", "verify"]);
    assert!(run.err.contains("broken"), "{}", run.err);
}

#[test]
fn va_9_whoami_log_levels_api_and_openapi() {
    let shell = Shell::start();
    assert_eq!(shell.json(&["whoami"]), shell.root().get("/v1/me").ok());
    assert!(shell.ok(&["whoami"]).out.contains("tenant.slug\tprimary\n"));
    assert_eq!(shell.json(&["log-levels", "show"])["filter"], "info");
    shell.ok(&["log-levels", "set", "info,keyward::verify=debug"]);
    assert_eq!(shell.json(&["log-levels", "show"])["filter"], "info,keyward::verify=debug");
    shell.ends(1, &["log-levels", "set", "info,keyward=nonsense"]);
    assert_eq!(shell.json(&["log-levels", "show"])["filter"], "info,keyward::verify=debug");
    let made: Value =
        serde_json::from_str(&shell.ok(&["api", "POST", "/v1/users", "-f", "username=dave"]).out)
            .expect("JSON");
    assert_eq!(made["username"], "dave");
    let user = format!("/v1/users/{}", text(&made["id"]));
    shell.ok(&["api", "PATCH", &user, "-f", "display_name=Dave"]);
    let shown: Value = serde_json::from_str(&shell.ok(&["api", "GET", &user]).out).expect("JSON");
    assert_eq!(shown["display_name"], "Dave");
    shell.ok(&["api", "DELETE", &user]);
    shell.ends(5, &["api", "GET", &user]);
    let openapi: Value = serde_json::from_str(&shell.ok(&["openapi"]).out).expect("JSON");
    assert!(openapi["paths"]["/v1/keys"].is_object());
}
