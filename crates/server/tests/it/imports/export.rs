//! What leaves: the report of credentials and the export of a tenant.

use serde_json::{Value, json};

use super::{SHA256, TEXT, imported, row};
use crate::api::{all, person, tenant, worker};
use crate::logins::{PASSWORD, log_in, set_password};
use crate::support::{Server, text, wait_until};

/// The cells of the line of a key, by the names of the first line.
fn line(csv: &str, id: &str) -> Value {
    let mut lines = csv.split("\r\n");
    let names = lines.next().expect("a first line").split(',');
    let found = lines.find(|line| line.starts_with(id)).unwrap_or_else(|| panic!("{id} is not in {csv}"));
    names.zip(found.split(',')).map(|(name, cell)| (name.to_owned(), json!(cell))).collect()
}

#[test]
fn x_11_the_report_tells_of_every_key() {
    let server = Server::with_config("verify:\n  usage_flush: 1s\n");
    let root = server.root();
    let (user, key) = root.member("mia", &["reports:read"]);
    let id = text(&key["id"]);
    let ended = root.key(json!({ "class": "workspace", "label": "no end", "expires": "never" }));
    assert_eq!(root.code(&text(&key["secret"])), "ok");
    wait_until(|| !root.get(&format!("/v1/keys/{id}")).ok()["last_used_at"].is_null());
    root.post(&format!("/v1/users/{user}/suspend"), json!({})).expect(200);
    let answer = root.get("/v1/reports/credentials").expect(200);
    assert!(answer.header("content-type").starts_with("text/csv"));
    let mia = line(&answer.text, &id);
    for (name, value) in [
        ("access_key", text(&key["access_key"]).as_str()),
        ("class", "member"),
        ("owner_id", &user),
        ("owner_username", "mia"),
        ("owner_state", "suspended"),
        ("status", "suspended"),
        ("status_cause", "owner_suspended"),
        ("age_days", "0"),
        ("secret_age_days", "0"),
        ("never_expires", "false"),
        ("has_admin_rights", "false"),
        ("exposed", "false"),
        ("rights", "3"),
    ] {
        assert_eq!(mia[name], value, "{name}");
    }
    assert!(!text(&mia["last_used_at"]).is_empty() && !text(&mia["expires_at"]).is_empty());
    let endless = line(&answer.text, &text(&ended["id"]));
    assert_eq!((&endless["never_expires"], &endless["has_admin_rights"]), (&json!("true"), &json!("true")));
    assert_eq!((&endless["last_used_at"], &endless["owner_state"]), (&json!(""), &json!("")));
    assert_eq!(answer.text.trim_end().split("\r\n").count(), 1 + all(&root, "/v1/keys").len());
    let lines = root.get("/v1/reports/credentials?format=jsonl").expect(200);
    let objects: Vec<Value> =
        lines.text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(objects.len(), all(&root, "/v1/keys").len());
    assert!(objects.iter().any(|object| object["id"] == key["id"] && object["rights"] == 3));
    root.get("/v1/reports/credentials?format=xlsx").refused(400, "malformed_request");
    assert!(!lines.text.contains(&text(&key["secret"])));
    assert_eq!(all(&root, "/v1/audit-events?action=report.read").len(), 2);
}

#[test]
fn x_11_r_10_the_report_costs_as_many_queries_for_many_as_for_few() {
    let config = "log: {filter: 'warn,sqlx::query=debug'}\nverify: {usage_flush: 1s}\n";
    let server = Server::with_config(config);
    let root = server.root();
    let statements = || {
        let before = server.place.log().lines().count();
        let report = root.get("/v1/reports/credentials").expect(200).text;
        let log = server.place.log();
        let of = |part: &str| {
            log.lines()
                .skip(before)
                .filter(|line| line.contains("sqlx::query") && line.contains(part))
                .count()
        };
        (report, of("u.id = $2"), of("SELECT seen_at, address"), of("FROM key_seen s"))
    };
    let members: Vec<Value> = (0..8).map(|number| root.member(&format!("user{number}"), &[]).1).collect();
    for key in &members {
        root.post("/v1/verify", json!({ "credential": key["secret"], "client_ip": "192.0.2.7" })).expect(200);
    }
    let last = format!("/v1/keys/{}", text(&members[7]["id"]));
    wait_until(|| !root.get(&last).ok()["last_used_at"].is_null());
    let (report, owners, uses, together) = statements();
    assert_eq!(report.matches(",192.0.2.7,").count(), 8, "{report}");
    assert_eq!((owners, uses, together > 0), (0, 0, true));
}

#[test]
fn web_6_the_report_neutralises_formulas() {
    let server = Server::start();
    let root = server.root();
    for (name, shown) in [
        ("=1+1", "'=1+1"),
        ("+1", "'+1"),
        ("-1", "'-1"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("=HYPERLINK(\"x\",\"y\")", "\"'=HYPERLINK(\"\"x\"\",\"\"y\"\")\""),
        ("a,b", "\"a,b\""),
        ("a=b", "a=b"),
        ("say \"hi\"", "\"say \"\"hi\"\"\""),
    ] {
        let key = root.key(json!({ "class": "ingest", "label": name }));
        let csv = root.get("/v1/reports/credentials").expect(200).text;
        let line = csv.split("\r\n").find(|line| line.starts_with(&text(&key["id"]))).expect("its line");
        assert!(line.contains(&format!(",{shown},ingest,")), "{name}: {line}");
    }
}

#[test]
fn x_11_az_4_report_and_export_are_of_one_tenant_and_need_their_right() {
    let server = Server::start();
    let (_, admin) = tenant(&server, "acme");
    let (_, stranger) = tenant(&server, "globex");
    let (user, _, mia) = person(&server, &admin, "mia", &["keys:read", "users:read"]);
    for path in ["/v1/reports/credentials", "/v1/export"] {
        mia.get(path).refused(403, "insufficient_rights");
        assert!(admin.get(path).expect(200).text.contains(&user), "{path}");
        assert!(!stranger.get(path).expect(200).text.contains(&user), "{path}");
    }
    let reader = worker(&server, &admin, "reader", &["export:read"]);
    reader.get("/v1/export?what=users").expect(200);
    reader.get("/v1/export?what=users,audit").refused(403, "insufficient_rights");
    reader.get("/v1/export?what=secrets").refused(400, "malformed_request");
}

#[test]
fn ses_6_an_old_session_exports_and_imports_nothing() {
    let server = Server::start();
    let root = server.root();
    let (user, _) =
        root.member("ada", &["export:read", "reports:read", "keys:import", "keys:create", "ingest/**:*"]);
    set_password(&root, &user, PASSWORD);
    let login = json!({ "tenant": "primary", "username": "ada", "password": PASSWORD });
    let ada = server.caller(&text(&log_in(&server.url, login).ok()["token"]));
    let body = json!({ "source": "old", "format": "sha256", "rows": [row("a", SHA256)] });
    ada.get("/v1/export").expect(200);
    assert_eq!(server.place.sql("UPDATE sessions SET stepped_up_at = stepped_up_at - 700000"), 1);
    // It is read anew by a fresh server.
    let server = server.kill_and_restart();
    let ada = server.caller(&ada.secret);
    for path in ["/v1/reports/credentials", "/v1/export"] {
        ada.get(path).refused(403, "step_up_required");
    }
    ada.post("/v1/imports", body).refused(403, "step_up_required");
    assert_ne!(server.root().code(TEXT), "ok");
}

#[test]
fn x_11_key_5_the_export_holds_everything_but_secrets() {
    let server = Server::start();
    let root = server.root();
    let (user, key) = root.member("mia", &["reports:read"]);
    let group = text(&root.post("/v1/groups", json!({ "name": "Readers" })).ok()["id"]);
    root.put(&format!("/v1/groups/{group}/members/{user}")).expect(204);
    imported(&root, "sha256", row("a", SHA256));
    let answer = root.get("/v1/export").expect(200);
    assert_eq!(answer.header("content-type"), "application/jsonl");
    let lines: Vec<Value> =
        answer.text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let of = |kind: &str| lines.iter().filter(|line| line["kind"] == kind).count();
    assert_eq!(of("policy"), 1);
    assert_eq!(of("role"), all(&root, "/v1/roles").len());
    assert_eq!(of("group"), all(&root, "/v1/groups").len());
    assert_eq!(of("user"), all(&root, "/v1/users").len());
    assert_eq!(of("key"), all(&root, "/v1/keys").len());
    let mia = lines.iter().find(|line| line["data"]["id"] == user.as_str()).expect("she is in it");
    assert_eq!(mia["data"]["groups"], json!(["Readers"]));
    assert_eq!(mia["data"]["roles"], json!(["role of mia"]));
    for secret in [text(&key["secret"]), root.secret.clone(), SHA256.into(), TEXT.into()] {
        assert!(!answer.text.contains(&secret));
    }
    assert!(!answer.text.contains("\"hash\""));
    let event = &all(&root, "/v1/audit-events?action=export.read")[0];
    assert_eq!(event["after"]["what"], json!(["policies", "roles", "groups", "users", "keys"]));
    let log = root.get("/v1/export?what=audit").expect(200).text;
    assert!(log.contains("export.read") && log.contains("key.create"));
}
