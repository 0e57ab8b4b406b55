//! The built-in role of auditors: it sees the log and what explains it, and changes nothing (AUD-6).

use serde_json::{Value, json};

use crate::api::{all, built_in, document, inside, operations, snapshot, tenant};
use crate::support::{Caller, Server, text};

/// A user of a tenant who is an auditor and nothing else, by a key of theirs.
fn auditor(server: &Server, admin: &Caller) -> Caller {
    let user = admin.user("auditor", &[&built_in(admin, "roles", "auditor")]);
    let key = admin.key(json!({ "class": "member", "owner_id": user, "label": "audit" }));
    server.caller(&text(&key["secret"]))
}

/// Questions whose answer depends on a body.
const READING_POSTS: [&str; 2] = ["identify", "explain_key"];

#[test]
fn aud_6_every_route_that_changes_something_is_refused_to_an_auditor() {
    let server = Server::start();
    let (_, admin) = tenant(&server, "acme");
    let (user, key) = admin.member("mia", &[]);
    let auditor = auditor(&server, &admin);
    let before = snapshot(&admin);
    let mut refused = 0;
    for operation in operations(&document(&server)) {
        // What is found in a text, and why a key is refused: these change nothing, whatever their method.
        let reads = operation.method == "GET" || READING_POSTS.contains(&operation.id.as_str());
        if reads || !operation.secured || operation.rights.is_empty() {
            continue;
        }
        let id = if operation.path.starts_with("/v1/users") { &user } else { &text(&key["id"]) };
        operation.send(&auditor, &operation.at(id, &user)).refused(403, "insufficient_rights");
        refused += 1;
    }
    assert!(refused > 60, "{refused} routes that change something");
    assert_eq!(snapshot(&admin), before);
    assert_eq!(admin.code(&text(&key["secret"])), "ok");
}

#[test]
fn aud_6_an_auditor_reads_the_log_and_what_explains_it() {
    let server = Server::start();
    let (_, admin) = tenant(&server, "acme");
    let (user, key) = admin.member("mia", &[]);
    let auditor = auditor(&server, &admin);
    let event = text(&all(&auditor, &format!("/v1/audit-events?target_id={user}"))[0]["id"]);
    let paths = [
        "/v1/audit-events",
        &format!("/v1/audit-events/{event}"),
        "/v1/audit-events/export",
        "/v1/audit-events/verification",
        "/v1/audit-checkpoints",
        "/v1/keys",
        &format!("/v1/keys/{}", text(&key["id"])),
        &format!("/v1/users/{user}"),
        "/v1/users",
        "/v1/groups",
        "/v1/roles",
        "/v1/policies",
        "/v1/policies/versions",
        "/v1/tenants/current",
        "/v1/trusted",
        "/v1/webhooks",
        "/v1/jobs",
        "/v1/incidents",
        "/v1/reports/credentials",
        "/v1/export?what=users",
        "/v1/me",
    ];
    for path in paths {
        auditor.get(path).expect(200);
    }
    // Nothing of the instance, and no data that the tenant's keys are for.
    for path in ["/v1/tenants", "/v1/signing-keys", "/v1/log-levels"] {
        auditor.get(path).refused(403, "insufficient_rights");
    }
    let question = json!({ "credential": auditor.secret, "rights": ["models:read"] });
    assert_eq!(admin.post("/v1/verify", question).ok()["code"], "insufficient_rights");
    // The role is a built-in one, also for its holder's betters.
    let role = built_in(&admin, "roles", "auditor");
    admin.patch(&format!("/v1/roles/{role}"), json!({ "rights": ["**:*"] })).refused(409, "built_in");
    admin.delete(&format!("/v1/roles/{role}")).refused(409, "built_in");
}

#[test]
fn aud_6_az_3_an_auditor_sees_the_own_tenant_alone() {
    let server = Server::start();
    let ((acme, admin), (globex, other)) = (tenant(&server, "acme"), tenant(&server, "globex"));
    other.role("secret role of globex", &["a:read"]);
    let auditor = auditor(&server, &admin);
    let foreign = text(&all(&other, "/v1/audit-events?action=role.create")[0]["id"]);
    auditor.get(&format!("/v1/audit-events/{foreign}")).refused(404, "not_found");
    let export = auditor.get("/v1/audit-events/export").expect(200).text;
    assert!(!export.contains("globex") && !export.contains(&globex), "{export}");
    for line in export.lines() {
        let line: Value = serde_json::from_str(line).expect("a JSON line");
        assert_eq!(line["event"]["tenant_id"], acme.as_str());
    }
    assert_eq!(auditor.get("/v1/audit-events/verification").ok()["tenant_id"], acme.as_str());
    for path in ["/v1/audit-events", "/v1/audit-events/export", "/v1/audit-checkpoints", "/v1/keys"] {
        inside(&auditor, &globex, "GET", path, &Value::Null).refused(404, "not_found");
    }
}

/// Tenants of an older version got the role when they were migrated.
#[test]
fn aud_6_a_role_that_was_added_by_migration_is_the_same() {
    let server = Server::start();
    let role = server.root().get(&format!("/v1/roles/{}", built_in(&server.root(), "roles", "auditor"))).ok();
    let migration = include_str!("../../../migrations/0016_audit.sql");
    let rights = serde_json::to_string(&role["rights"]).expect("JSON");
    let quoted = |value: &str| migration.contains(&format!("'{value}'"));
    assert!(quoted(&text(&role["description"])), "{role}");
    let listed = migration.split("'[").nth(1).and_then(|rest| rest.split("]'").next()).expect("a list");
    let mut listed: Vec<String> = serde_json::from_str(&format!("[{listed}]")).expect("JSON");
    listed.sort();
    let mut granted: Vec<String> = serde_json::from_str(&rights).expect("JSON");
    granted.sort();
    assert_eq!(listed, granted);
}
