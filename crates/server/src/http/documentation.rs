//! Pages of `docs/reference` that say the same as the code. `UPDATE_DOCS=1` writes them anew.

mod inventory;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use serde_json::Value;

use super::openapi;
use super::problems::CATALOGUE;
use super::router::routes;
use crate::audit::ocsf;
use crate::webhooks::catalogue::ACTIONS;

fn page(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference").join(name)
}

/// Compares a page with what it should be, or writes it.
fn must_equal(name: &str, text: &str) {
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(page(name), text).expect("the page can be written");
    }
    let found = fs::read_to_string(page(name)).unwrap_or_default();
    assert!(found == text, "docs/reference/{name} is not as the code says; run the tests with UPDATE_DOCS=1");
}

#[test]
fn the_page_of_errors_is_the_catalogue() {
    let mut text = String::from(
        "# Problem codes\n\n\
         Every refusal is an [RFC 9457](https://www.rfc-editor.org/rfc/rfc9457) document with a stable `code`; its\n\
         `type` is a page that the server itself serves, such as `/problems/expired`. Written out of\n\
         `crates/server/src/http/problems.rs` by its test.\n\n\
         | code | status | title | what to do |\n|---|---|---|---|\n",
    );
    for (code, status, title, detail) in CATALOGUE {
        let _ = writeln!(
            text,
            "| `{code}` | {status} | {title} | {} |",
            detail.replace('|', "\\|").replace('<', "\\<")
        );
    }
    must_equal("errors.md", &text);
}

#[test]
fn az_1_the_page_of_permissions_is_what_routes_declare() {
    let mut text = String::from(
        "# Rights of the management API\n\n\
         What a caller must hold, by route. Where several rights stand, the operation says which one the object\n\
         needs: `me/…` reaches the caller's own, the other one everything in the tenant. `caller` is any valid\n\
         member or workspace key or session, `session` any session, `open` needs none. The same stands in `/openapi.json` as `x-keyward-rights`.\n\
         Written out of the map of routes by its test.\n\n\
         Some changes need more than the route says: without end `keys/never-expire:create`, a key for another\n\
         user `keys/others:create`, and never more than the caller holds. An operator enters another tenant\n\
         with `X-Keyward-Tenant` and `instance/tenants:enter`.\n\n\
         | method | path | rights | does |\n|---|---|---|---|\n",
    );
    let document = openapi::build(&routes());
    for (path, methods) in document["paths"].as_object().expect("paths") {
        for (method, operation) in methods.as_object().expect("methods") {
            let rights = match &operation["x-keyward-rights"] {
                Value::Array(rights) => rights
                    .iter()
                    .map(|right| format!("`{}`", right.as_str().expect("a right")))
                    .collect::<Vec<_>>()
                    .join(" or "),
                _ if operation["security"].as_array().is_some_and(Vec::is_empty) => "open".into(),
                _ if !operation["security"][0]["trusted"].is_null() => "trusted secret".into(),
                _ if operation["security"][0].get("session").is_some() => "session".into(),
                _ => "caller".into(),
            };
            let summary = operation["summary"].as_str().expect("a summary");
            let _ = writeln!(text, "| {} | `{path}` | {rights} | {summary} |", method.to_uppercase());
        }
    }
    must_equal("permissions.md", &text);
}

#[test]
fn the_page_of_settings_is_the_file_of_defaults() {
    let text = format!(
        "# Settings\n\n\
         All of them with their defaults, as they are compiled in. `keyward config show` prints what is in force\n\
         and where it comes from, `keyward config check` tells whether a file is good. This page is\n\
         `crates/server/config.default.yml`, kept equal by a test.\n\n\
         ```yaml\n{}```\n",
        include_str!("../../config.default.yml")
    );
    must_equal("config.md", &text);
}

#[test]
fn http_7_the_page_of_metrics_names_every_metric() {
    let text = fs::read_to_string(page("metrics.md")).expect("docs/reference/metrics.md");
    let names = words(include_str!("metrics.rs"), "\"keyward_");
    assert!(names.len() > 10, "{names:?}");
    for name in names {
        assert!(text.contains(&name), "docs/reference/metrics.md does not tell of {name}");
    }
}

#[test]
fn the_page_of_ocsf_is_what_becomes_of_each_action() {
    let mut text = String::from(
        "# Events in OCSF\n\n\
         `keyward audit export --format ocsf`, `GET /v1/audit-events/export?format=ocsf` and the\n\
         [syslog sink](../how-to/operate/audit-log.md) write events by the Open Cybersecurity Schema Framework,\n\
         version 1.3.0. What the schema has no field for stands in `unmapped`: `before`, `after`, `target`. The hashes\n\
         of the chain are in `jsonl` alone. Written out of `crates/server/src/audit/ocsf.rs` by its test.\n\n\
         A `user.edit` that gives or takes rights is User Access Management (3005), Assign Privileges (1) or Revoke\n\
         Privileges (2). An operation that was refused is API Activity (6003) with `status_id` 2, its name in\n\
         `api.operation`. Activity 99 is Other: its name is our own word.\n\n\
         | action | class | activity |\n|---|---|---|\n",
    );
    for action in ACTIONS {
        let _ = writeln!(text, "| `{action}` | {} |", ocsf::activity(action).told());
    }
    must_equal("ocsf.md", &text);
}

/// Everything in quotes that begins so.
fn words(source: &str, start: &str) -> BTreeSet<String> {
    source
        .match_indices(start)
        .filter_map(|(at, _)| source[at + 1..].split_once('"').map(|(word, _)| word.to_owned()))
        .filter(|word| word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_' || byte == b'.'))
        .collect()
}

/// Where events are made.
const SOURCES: &[&str] = &[
    include_str!("../app.rs"),
    include_str!("../audit/segments.rs"),
    include_str!("../cli/root_key.rs"),
    include_str!("../factors.rs"),
    include_str!("../factors/proof.rs"),
    include_str!("../groups.rs"),
    include_str!("../exports.rs"),
    include_str!("../handovers.rs"),
    include_str!("../imports.rs"),
    include_str!("../incidents.rs"),
    include_str!("../jobs/expiry_notice.rs"),
    include_str!("../jobs/list.rs"),
    include_str!("../leaks.rs"),
    include_str!("../keys/approval.rs"),
    include_str!("../keys/bulk.rs"),
    include_str!("../keys/create.rs"),
    include_str!("../keys/edit.rs"),
    include_str!("../keys/lifecycle.rs"),
    include_str!("../keys/rotation.rs"),
    include_str!("../logins.rs"),
    include_str!("../logins/challenge.rs"),
    include_str!("../notices.rs"),
    include_str!("../notifications.rs"),
    include_str!("../oauth/issue.rs"),
    include_str!("../passwords.rs"),
    include_str!("../passwords/proof.rs"),
    include_str!("../peppers.rs"),
    include_str!("../policies.rs"),
    include_str!("../policies/drafts.rs"),
    include_str!("../policies/schedule.rs"),
    include_str!("../policies/versions.rs"),
    include_str!("../reports.rs"),
    include_str!("../roles.rs"),
    include_str!("../sessions.rs"),
    include_str!("../signing_keys.rs"),
    include_str!("../tenants.rs"),
    include_str!("../tokens.rs"),
    include_str!("../trusted.rs"),
    include_str!("../trusted/firsts.rs"),
    include_str!("../users.rs"),
    include_str!("../users/erasure.rs"),
    include_str!("../verify/canaries.rs"),
    include_str!("../webhooks.rs"),
    include_str!("../webhooks/delivery.rs"),
    include_str!("../verify/usage/first_uses.rs"),
    include_str!("caller.rs"),
    include_str!("exposure.rs"),
    include_str!("v1/audit.rs"),
    include_str!("v1/log_levels.rs"),
];

/// What actions are about.
const NOUNS: &[&str] = &[
    "job",
    "key",
    "user",
    "tenant",
    "role",
    "group",
    "policy",
    "pepper",
    "signing_key",
    "token",
    "trusted",
    "audit",
    "log_levels",
    "root_key",
    "auth",
    "session",
    "verify",
    "incident",
    "webhook",
    "import",
    "export",
    "report",
];

#[test]
fn aud_1_the_page_of_the_audit_log_names_every_action() {
    let text = fs::read_to_string(page("audit-schema.md")).expect("docs/reference/audit-schema.md");
    let actions: BTreeSet<String> = SOURCES
        .iter()
        .flat_map(|source| NOUNS.iter().flat_map(|noun| words(source, &format!("\"{noun}."))))
        .filter(|action| !["key.id", "key.label", "tenant.id", "tenant.slug"].contains(&action.as_str()))
        .collect();
    assert!(actions.len() > 25, "{actions:?}");
    for action in actions {
        assert!(
            text.contains(&format!("`{action}`")),
            "docs/reference/audit-schema.md does not tell of {action}"
        );
    }
}

#[test]
fn out_5_webhooks_send_every_action_of_the_audit_log_and_the_page_lists_them() {
    let schema = fs::read_to_string(page("audit-schema.md")).expect("docs/reference/audit-schema.md");
    let table = schema.split("\n## Actions\n").nth(1).and_then(|rest| rest.split("\n## ").next());
    let cells = table.expect("a table").lines().filter(|line| line.starts_with("| `"));
    let cells = cells.map(|line| line.split('|').nth(1).expect("a first column"));
    let listed: BTreeSet<&str> = cells.flat_map(|cell| cell.split('`').skip(1).step_by(2)).collect();
    let sent: BTreeSet<&str> = ACTIONS.into_iter().collect();
    assert_eq!(sent, listed, "webhooks/catalogue.rs and docs/reference/audit-schema.md");

    let head = fs::read_to_string(page("webhooks.md")).expect("docs/reference/webhooks.md");
    let (head, _) = head.split_once("\n## Events\n").expect("the part about events");
    let mut text = format!(
        "{head}\n## Events\n\nWhen each happens stands in [the audit log](audit-schema.md#actions).\n\n| pattern | types |\n|---|---|\n"
    );
    let nouns: BTreeSet<&str> = sent.iter().filter_map(|action| action.split('.').next()).collect();
    for noun in nouns {
        let types = sent.iter().filter(|action| action.split('.').next() == Some(noun));
        let types: Vec<String> = types.map(|action| format!("`{action}`")).collect();
        let _ = writeln!(text, "| `{noun}.*` | {} |", types.join(" "));
    }
    must_equal("webhooks.md", &text);
}
