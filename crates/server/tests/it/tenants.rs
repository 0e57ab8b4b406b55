//! `/v1/tenants`: what the operator does to them, and what is left of a deleted one.

use std::path::Path;

use serde_json::{Value, json};

use crate::api::{all, inside, person, snapshot, tenant, told};
use crate::logins::{PASSWORD, log_in, set_password};
use crate::support::{Answer, Place, Server, text, wait_until};

#[test]
fn r_3_a_suspended_tenant_stops_and_starts_at_once() {
    let server = Server::start();
    let root = server.root();
    let (id, admin) = tenant(&server, "acme");
    let (_, _, mia) = person(&server, &admin, "mia", &["me:read"]);
    let (_, other) = tenant(&server, "globex");
    let path = format!("/v1/tenants/{id}");
    for _ in 0..3 {
        assert_eq!(root.code(&mia.secret), "ok");
        let suspended = root.post(&format!("{path}/suspend"), json!({ "reason": "unpaid" })).ok();
        assert_eq!(
            (&suspended["state"], &suspended["suspended_reason"]),
            (&json!("suspended"), &json!("unpaid"))
        );
        assert_eq!(root.code(&mia.secret), "tenant_suspended");
        admin.get("/v1/me").refused(401, "tenant_suspended");
        assert_eq!(root.code(&other.secret), "ok");
        root.post(&format!("{path}/suspend"), json!({})).refused(409, "no_change");
        let resumed = root.post(&format!("{path}/resume"), json!({})).ok();
        assert_eq!((&resumed["state"], &resumed["suspended_at"]), (&json!("active"), &Value::Null));
        admin.get("/v1/me").expect(200);
        root.post(&format!("{path}/resume"), json!({})).refused(409, "no_change");
    }
}

#[test]
fn mo_3_features_bar_a_class_whatever_the_tenant_wants() {
    let server = Server::start();
    let root = server.root();
    let (id, admin) = tenant(&server, "acme");
    let (_, _, mia) = person(&server, &admin, "mia", &["me:read", "me/keys:*"]);
    let worker = text(&admin.key(json!({ "class": "workspace", "label": "x" }))["secret"]);
    let path = format!("/v1/tenants/{id}");
    let features = |on: bool| json!({ "features": { "workspace_keys": on } });
    admin.patch(&path, features(true)).refused(403, "insufficient_rights");
    assert_eq!(root.patch(&path, features(false)).ok()["features"]["workspace_keys"], false);
    assert_eq!(root.code(&worker), "class_disabled");
    assert_eq!(root.code(&mia.secret), "ok");
    let body = json!({ "class": "workspace", "label": "y" });
    let refused = inside(&root, &id, "POST", "/v1/keys", &body).refused(422, "policy_violation");
    assert_eq!(refused.body["policy"], "features");
    // The tenant's own switch does not lift what its plan bars.
    inside(&root, &id, "PATCH", "/v1/policies", &json!({ "switches": { "workspace_keys": true } }))
        .expect(200);
    assert_eq!(root.code(&worker), "class_disabled");
    root.patch(&path, features(true)).expect(200);
    assert_eq!(root.code(&worker), "ok");
    let barred =
        root.post("/v1/tenants", json!({ "slug": "small", "features": { "workspace_keys": false } })).ok();
    inside(&root, &text(&barred["id"]), "POST", "/v1/keys", &body).refused(422, "policy_violation");
}

#[test]
fn az_14_the_primary_tenant_can_be_neither_suspended_nor_deleted() {
    let server = Server::start();
    let root = server.root();
    for id in ["current", &server.tenant()] {
        root.post(&format!("/v1/tenants/{id}/suspend"), json!({})).refused(409, "primary_tenant");
        root.delete(&format!("/v1/tenants/{id}?confirm=primary")).refused(409, "primary_tenant");
    }
    root.get("/v1/me").expect(200);
}

#[test]
fn az_14_a_tenant_is_deleted_only_with_its_slug_and_from_outside() {
    let server = Server::start();
    let root = server.root();
    let (id, admin) = tenant(&server, "acme");
    let path = format!("/v1/tenants/{id}");
    let before = snapshot(&admin);
    for query in ["", "?confirm=", "?confirm=ACME", "?confirm=globex", "?confirm=true"] {
        root.delete(&format!("{path}{query}")).refused(409, "not_confirmed");
    }
    admin.delete(&format!("{path}?confirm=acme")).refused(403, "insufficient_rights");
    inside(&root, &id, "DELETE", &format!("{path}?confirm=acme"), &json!({})).refused(409, "own_tenant");
    assert_eq!(snapshot(&admin), before);
    root.delete(&format!("{path}?confirm=acme")).expect(204);
    let gone = told(&root.get(&path));
    assert_eq!(gone, told(&root.get("/v1/tenants/tenant_01000000000000000000000000")));
    admin.get("/v1/me").refused(401, "invalid_key");
    inside(&root, "acme", "GET", "/v1/me", &Value::Null).refused(404, "not_found");
}

#[test]
fn az_14_numbers_and_ids_are_not_used_again() {
    let server = Server::start();
    let root = server.root();
    let mut seen = Vec::new();
    for _ in 0..4 {
        let made = root.post("/v1/tenants", json!({ "slug": "acme" })).expect(201).body;
        let (id, number) = (text(&made["id"]), made["number"].as_i64().expect("a number"));
        assert!(seen.iter().all(|(old, last)| *old != id && *last < number), "{seen:?} {made}");
        root.post("/v1/tenants", json!({ "slug": "acme" })).refused(409, "already_exists");
        root.delete(&format!("/v1/tenants/{id}?confirm=acme")).expect(204);
        seen.push((id, number));
    }
}

/// Fills a tenant with one of everything, and leaves as much as possible to be written later.
fn furnish(server: &Server, slug: &str) -> (String, Vec<String>) {
    let root = server.root();
    let request = root
        .request("POST", "/v1/tenants")
        .header("idempotency-key", "make-it")
        .json(&json!({ "slug": slug }));
    let id = text(&Answer::read(request.send().expect("an answer")).expect(201).body["id"]);
    root.patch(&format!("/v1/tenants/{id}"), json!({ "name": "Renamed" })).expect(200);
    let key = inside(&root, &id, "POST", "/v1/keys", &json!({ "class": "workspace", "label": "admin" })).ok();
    let admin = server.caller(&text(&key["secret"]));
    let (user, role, mia) = person(server, &admin, "mia-of-the-lost-tenant", &["me:read", "me/keys:*"]);
    admin.post("/v1/groups", json!({ "name": "Lost", "role_ids": [role] })).expect(201);
    let request = admin
        .request("POST", "/v1/users")
        .header("idempotency-key", "k")
        .json(&json!({ "username": "otto" }));
    Answer::read(request.send().expect("an answer")).expect(201);
    let leaked = admin.key(json!({ "class": "ingest", "label": "lost" }));
    let incident =
        json!({ "filter": { "label": "lost" }, "action": "deactivate", "confirm": "deactivate 1" });
    admin.post("/v1/incidents", incident).expect(200);
    admin.post("/report-leak", json!({ "token": leaked["secret"] })).expect(202);
    let hook = json!({ "url": "https://hooks.lost.example.com/", "events": ["*"] });
    admin.post("/v1/webhooks", hook).expect(201);
    admin.get("/v1/audit-events/export").expect(200);
    let mut rows = Vec::new();
    for (name, hash) in [("fast", "0".repeat(64)), ("slow", crate::imports::BCRYPT.to_owned())] {
        let row = json!({ "external_id": name, "hash": hash, "class": "ingest", "lookup_prefix": "lost" });
        let format = if name == "fast" { "sha256" } else { "bcrypt" };
        rows.push(admin.post("/v1/imports", json!({ "source": "lost", "format": format, "rows": [row] })));
    }
    rows.into_iter().for_each(|answer| assert_eq!(answer.ok()["imported"], 1));
    assert_eq!(root.code(&mia.secret), "ok");
    set_password(&admin, &user, PASSWORD);
    for (password, status) in [("seven wet hats on a rope", 401), (PASSWORD, 200)] {
        let login = json!({ "tenant": slug, "username": "mia-of-the-lost-tenant", "password": password });
        log_in(&server.url, login).expect(status);
    }
    admin.post(&format!("/v1/users/{user}/password-reset"), json!({})).expect(200);
    (id, vec![user, role, text(&key["id"]), "mia-of-the-lost-tenant".into()])
}

/// The store as text: every byte of SQLite's files, free space included, or every table of PostgreSQL.
pub(crate) fn contents(place: &Place) -> String {
    if place.database_url().is_some() {
        return place.dump();
    }
    let files = std::fs::read_dir(place.data()).expect("a folder").map(|entry| entry.expect("a file").path());
    files.map(|file| String::from_utf8_lossy(&std::fs::read(file).expect("a file")).into_owned()).collect()
}

#[test]
fn az_14_nothing_of_a_deleted_tenant_is_left_in_the_store() {
    let config = "verify:\n  usage_flush: 1s\n";
    let server = Server::with_config(config);
    let root = server.root();
    let (id, marks) = furnish(&server, "acme");
    wait_until(|| server.place.sql("UPDATE key_hours SET uses = uses") > 0);
    let before = contents(&server.place);
    for mark in marks.iter().chain([&id]) {
        assert!(before.contains(mark.as_str()), "{mark} was never there: the test shows nothing");
    }
    // What waits in memory for its flush must not be written after the deletion.
    leave_traces(&server, &id);
    root.delete(&format!("/v1/tenants/{id}?confirm=acme")).expect(204);
    // Flushes of usage (1 s) and of refusals (5 s) are through when the server has ended.
    let mut server = server;
    server.terminate();
    let after = contents(&server.place);
    for mark in marks.iter().chain([&id]) {
        assert!(!after.contains(mark.as_str()), "{mark} is left in: {}", lines_with(&after, mark));
    }
    assert!(after.contains("tenant.delete"), "the log of the operator tells of it, by number");
    assert_healthy(server, 1);
}

/// A use and a refusal that are noted in memory.
fn leave_traces(server: &Server, id: &str) {
    let key =
        inside(&server.root(), id, "POST", "/v1/keys", &json!({ "class": "ingest", "label": "late" })).ok();
    let late = server.caller(&text(&key["secret"]));
    assert_eq!(server.root().code(&late.secret), "ok");
    late.get("/v1/users").refused(403, "wrong_class");
}

#[test]
fn az_14_x_7_a_deleted_tenant_ends_on_every_node() {
    let server = Server::start();
    let node = server.second_node();
    let there = node.caller(&server.operator());
    let ((id, acme), (_, globex)) = (tenant(&server, "acme"), tenant(&server, "globex"));
    let admin = node.caller(&acme.secret);
    assert_eq!([there.code(&acme.secret), there.code(&globex.secret)], ["ok", "ok"]);
    admin.get("/v1/me").expect(200);
    server.root().delete(&format!("/v1/tenants/{id}?confirm=acme")).expect(204);
    wait_until(|| there.code(&acme.secret) == "invalid_key");
    admin.get("/v1/me").refused(401, "invalid_key");
    admin.post("/v1/users", json!({ "username": "late" })).refused(401, "invalid_key");
    assert_eq!(there.code(&globex.secret), "ok");
    assert!(!contents(&server.place).contains(&id), "and nobody was told by its id");
}

/// Two tenants that grow side by side, so that their rows share pages, of which one goes.
#[test]
fn az_14_no_byte_of_a_large_tenant_is_left_while_the_server_runs() {
    let server = Server::with_config("verify: {usage_flush: 1s}");
    let root = server.root();
    let ((id, acme), (_, globex)) = (tenant(&server, "acme"), tenant(&server, "globex"));
    let mut keys = Vec::new();
    for number in 0..40 {
        for admin in [&acme, &globex] {
            let (user, key) = admin.member(&format!("user-{number}"), &[]);
            let label = json!({ "label": "y".repeat(1 + number) });
            admin.patch(&format!("/v1/keys/{}", text(&key["id"])), label).expect(200);
            admin.post(&format!("/v1/keys/{}/rotate", text(&key["id"])), json!({})).expect(200);
            let name = json!({ "display_name": "z".repeat(60 - number) });
            admin.patch(&format!("/v1/users/{user}"), name).expect(200);
            keys.push(text(&key["secret"]));
        }
    }
    for secret in &keys {
        assert_eq!(root.code(secret), "ok");
    }
    wait_until(|| server.place.sql("UPDATE key_hours SET uses = uses") >= 80);
    let before = contents(&server.place);
    assert!(before.matches(&id).count() > 300, "{}", before.matches(&id).count());
    root.delete(&format!("/v1/tenants/{id}?confirm=acme")).expect(204);
    assert_eq!(contents(&server.place).matches(&id).count(), 0, "while the server runs");
    assert_eq!(globex.get("/v1/keys").expect(200).body["data"].as_array().expect("keys").len(), 41);
    let mut server = server;
    server.terminate();
    assert_eq!(contents(&server.place).matches(&id).count(), 0, "and after its end");
    assert_healthy(server, 2);
}

fn lines_with(text: &str, mark: &str) -> String {
    text.lines().filter(|line| line.contains(mark)).take(5).collect::<Vec<_>>().join("\n")
}

fn assert_healthy(server: Server, tenants: usize) {
    let server = server.restart();
    let root = server.root();
    assert_eq!(root.get("/v1/audit-events/verification").ok()["ok"], true);
    assert_eq!(all(&root, "/v1/tenants?").len(), tenants);
}

#[test]
fn az_3_every_table_of_a_tenant_is_keyed_by_it() {
    let folder = crate::support::repository().join("crates/server/src/store");
    let tables = [
        "users",
        "roles",
        "user_groups",
        "role_holders",
        "group_members",
        "keys",
        "key_secrets",
        "key_seen",
        "key_hours",
        "audit_events",
        "audit_checkpoints",
        "audit_personal",
        "audit_segments",
        "audit_sink_cursors",
        "idempotency",
        "jobs",
        "event_cursors",
        "notifications",
        "notification_wishes",
        "expiry_notices",
        "handovers",
        "webhooks",
        "webhook_secrets",
        "webhook_deliveries",
        "imported_secrets",
        "import_ways",
    ];
    let mut looked_at = 0;
    let files = [
        "users",
        "roles",
        "groups",
        "keys",
        "imports",
        "usage",
        "audit",
        "erasure",
        "segments",
        "sinks",
        "idempotency",
        "jobs",
        "notifications",
        "handovers",
        "rotations",
        "webhooks",
    ];
    for name in files {
        for statement in statements(&folder.join(format!("{name}.rs"))) {
            let words: Vec<&str> =
                statement.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').collect();
            let touches = words.windows(2).any(|pair| {
                ["FROM", "INTO", "UPDATE", "JOIN"].contains(&pair[0]) && tables.contains(&pair[1])
            });
            if !touches || EVERY_TENANT.iter().any(|known| statement.contains(known)) {
                continue;
            }
            looked_at += 1;
            assert!(words.contains(&"tenant_id"), "{name}: a statement without a tenant: {statement}");
        }
    }
    assert!(looked_at > 30, "{looked_at}");
}

/// Statements that are about every tenant on purpose, each known by a piece of it.
const EVERY_TENANT: &[&str] = &[
    "SELECT COUNT(handle) FROM imported_secrets",
    "SELECT handle FROM imported_secrets WHERE handle > $1",
    "FROM policy_drafts WHERE state = 'scheduled' AND starts_at",
    "DELETE FROM policy_drafts WHERE state IN",
    "DELETE FROM idempotency WHERE created_at",
    "SELECT created_at FROM users WHERE id = $1",
    "DELETE FROM audit_personal WHERE subject_id",
    "FROM key_networks WHERE NOT told ORDER BY",
    "SELECT COUNT(access_key) FROM keys",
    "SELECT access_key FROM keys WHERE access_key > $1",
    "WITH RECURSIVE lanes (lane) AS",
    "WHERE id IN (SELECT id FROM jobs WHERE lane = $1",
    "DELETE FROM jobs WHERE failed_at",
    "DELETE FROM notifications WHERE created_at",
    "DELETE FROM mail_pauses WHERE mailed_at",
    "DELETE FROM expiry_notices WHERE expires_at",
    "SELECT COUNT(*) FROM handovers\n         WHERE pepper_id",
    "UPDATE handovers SET sealed = NULL WHERE expires_at",
    "DELETE FROM handovers WHERE expires_at",
    "SELECT * FROM handovers WHERE handle",
    "WHERE rotates_at <= $1",
    "DELETE FROM webhook_deliveries\n         WHERE created_at",
    "DELETE FROM webhook_secrets WHERE retires_at",
];

/// The string literals of a file.
fn statements(path: &Path) -> Vec<String> {
    let source = std::fs::read_to_string(path).expect("the source is there");
    source.split('"').skip(1).step_by(2).map(ToOwned::to_owned).collect()
}

#[test]
fn az_2_a_tenants_admin_knows_of_no_other_tenant() {
    let server = Server::start();
    let (id, admin) = tenant(&server, "acme");
    tenant(&server, "globex");
    admin.get("/v1/tenants").refused(403, "insufficient_rights");
    admin.post("/v1/tenants", json!({ "slug": "mine" })).refused(403, "insufficient_rights");
    assert_eq!(admin.get("/v1/tenants/current").ok()["id"], id);
    assert_eq!(admin.patch("/v1/tenants/current", json!({ "name": "Acme Ltd" })).ok()["name"], "Acme Ltd");
    assert_eq!(all(&server.root(), "/v1/tenants?q=globex").len(), 1);
}

#[test]
fn http_14_mo_3_a_patch_of_features_leaves_the_others() {
    let server = Server::start();
    let root = server.root();
    let made = root.post("/v1/tenants", json!({ "slug": "acme", "features": { "member_keys": false } })).ok();
    let path = format!("/v1/tenants/{}", text(&made["id"]));
    let patch = |features: Value| root.patch(&path, json!({ "features": features }));
    let after = patch(json!({ "trusted_secrets": true })).ok()["features"].clone();
    assert_eq!((&after["trusted_secrets"], &after["member_keys"]), (&json!(true), &json!(false)));
    let after = patch(json!({ "member_keys": null })).ok()["features"].clone();
    assert_eq!((&after["trusted_secrets"], &after["member_keys"]), (&json!(true), &json!(true)));
    for wrong in [json!({ "nonsense": true }), json!({ "member_keys": 1 }), json!(true)] {
        patch(wrong).refused(400, "malformed_request");
    }
    assert_eq!(root.get(&path).ok()["features"], after);
}
