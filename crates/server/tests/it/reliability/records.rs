//! `kill -9` while every kind of management write goes on: what was acknowledged has its record (R14).

use std::collections::HashSet;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::Mutex;
use std::time::Duration;

use reqwest::blocking::Client;
use serde_json::{Value, json};

use super::{count, signal};
use crate::support::{Caller, Server, text};

/// Action and target of a write that was acknowledged.
type Record = (String, String);

/// Somebody who writes until the server is gone.
struct Writer<'l> {
    http: Client,
    caller: Caller,
    log: &'l Mutex<Vec<Record>>,
}

impl Writer<'_> {
    /// Sends a write and notes it when it is acknowledged; `None` once the server is gone.
    fn write(&self, action: &str, method: &str, path: &str, body: &Value) -> Option<String> {
        let method = method.parse().expect("a method");
        let request = self.http.request(method, format!("{}{path}", self.caller.url));
        let answer = request.bearer_auth(&self.caller.secret).json(body).send().ok()?;
        assert!(answer.status().is_success(), "{action}: {}", answer.status());
        let status = answer.status().as_u16();
        let body: Value = if status == 204 { Value::Null } else { answer.json().ok()? };
        let id = match body["id"].as_str() {
            Some(id) => id.to_owned(),
            None => path.split('/').nth(3).expect("an id").to_owned(),
        };
        self.log.lock().expect("no panic").push((action.into(), id.clone()));
        Some(id)
    }

    /// The life of a user, with everything around it.
    fn round(&self, name: &str) -> Option<()> {
        let role = json!({ "name": name, "rights": ["a:read"] });
        let role = self.write("role.create", "POST", "/v1/roles", &role)?;
        let group = json!({ "name": name, "role_ids": [role] });
        let group = self.write("group.create", "POST", "/v1/groups", &group)?;
        let user = json!({ "username": name, "email": format!("{name}@example.org") });
        let user = self.write("user.create", "POST", "/v1/users", &user)?;
        let at = format!("/v1/users/{user}");
        self.write("group.add_member", "PUT", &format!("/v1/groups/{group}/members/{user}"), &json!({}))?;
        let key = json!({ "class": "member", "owner_id": user, "label": name });
        let key = self.write("key.create", "POST", "/v1/keys", &key)?;
        self.write("key.edit", "PATCH", &format!("/v1/keys/{key}"), &json!({ "label": "other" }))?;
        self.write("user.edit", "PATCH", &at, &json!({ "display_name": name }))?;
        self.write("user.suspend", "POST", &format!("{at}/suspend"), &json!({}))?;
        self.write("user.delete", "DELETE", &at, &json!({}))?;
        self.write("user.erase", "POST", &format!("{at}/erase"), &json!({ "confirm": true }))?;
        self.write("group.delete", "DELETE", &format!("/v1/groups/{group}"), &json!({}))?;
        self.write("role.delete", "DELETE", &format!("/v1/roles/{role}"), &json!({})).map(drop)
    }
}

/// Writes from several sides until the server is killed.
fn write_until_killed(server: &Server, cycle: usize, after: Duration) -> Vec<Record> {
    let log = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for writer in 0..3 {
            let (caller, log) = (server.root(), &log);
            scope.spawn(move || {
                let http = Client::builder().timeout(Duration::from_secs(30)).build().expect("a client");
                let writer_of = Writer { http, caller, log };
                let mut round = 0;
                while writer_of.round(&format!("w{writer}-{cycle}-{round}")).is_some() {
                    round += 1;
                }
            });
        }
        std::thread::sleep(after);
        signal(server.pid(), "KILL");
    });
    log.into_inner().expect("no panic")
}

/// Every record is in the log, which is whole, as is what it says of people.
fn must_be_recorded(root: &Caller, written: &[Record]) {
    let verdict = root.get("/v1/audit-events/verification").ok();
    assert_eq!(verdict["ok"], true, "{verdict}");
    let export = root.get("/v1/audit-events/export").expect(200).text;
    let lines = export.lines().map(|line| serde_json::from_str::<Value>(line).expect("a JSON line"));
    let recorded: HashSet<Record> =
        lines.map(|line| (text(&line["event"]["action"]), text(&line["event"]["target"]["id"]))).collect();
    for record in written {
        assert!(recorded.contains(record), "{record:?} was acknowledged, and has no record");
    }
}

/// Whatever was in flight happened with its record, or not at all.
fn nothing_is_half_there(server: &Server) {
    let queries = [
        "SELECT CAST(COUNT(*) AS BIGINT) FROM users u WHERE NOT EXISTS
             (SELECT 1 FROM audit_events e WHERE e.target_id = u.id AND e.action = 'user.create')",
        "SELECT CAST(COUNT(*) AS BIGINT) FROM users u WHERE u.deleted_at IS NOT NULL AND NOT EXISTS
             (SELECT 1 FROM audit_events e WHERE e.target_id = u.id AND e.action = 'user.delete')",
        "SELECT CAST(COUNT(*) AS BIGINT) FROM users u WHERE (u.erased_at IS NOT NULL) <> EXISTS
             (SELECT 1 FROM audit_events e WHERE e.target_id = u.id AND e.action = 'user.erase')",
        "SELECT CAST(COUNT(*) AS BIGINT) FROM users u WHERE u.erased_at IS NOT NULL
             AND (u.username <> '[erased]' OR EXISTS (SELECT 1 FROM audit_personal p WHERE p.subject_id = u.id))",
        "SELECT CAST(COUNT(*) AS BIGINT) FROM audit_personal p WHERE NOT EXISTS
             (SELECT 1 FROM audit_events e WHERE e.tenant_id = p.tenant_id AND e.seq = p.seq)",
        "SELECT CAST(COUNT(*) AS BIGINT) FROM roles r WHERE NOT r.built_in AND NOT EXISTS
             (SELECT 1 FROM audit_events e WHERE e.target_id = r.id AND e.action = 'role.create')",
        "SELECT CAST(COUNT(*) AS BIGINT) FROM user_groups g WHERE NOT g.built_in AND NOT EXISTS
             (SELECT 1 FROM audit_events e WHERE e.target_id = g.id AND e.action = 'group.create')",
    ];
    for query in queries {
        assert_eq!(count(&server.place, query), 0, "{query}");
    }
}

#[test]
fn r_14_aud_5_every_acknowledged_management_write_has_its_record_after_kill_9() {
    let cycles = std::env::var("KEYWARD_TEST_KILL_CYCLES").map_or(10, |text| text.parse().expect("a number"));
    let mut server = Server::start();
    let mut all = Vec::new();
    for cycle in 0..cycles {
        let millis = 100 + RandomState::new().hash_one(cycle) % 400;
        let written = write_until_killed(&server, cycle, Duration::from_millis(millis));
        server = server.kill_and_restart();
        must_be_recorded(&server.root(), &written);
        all.extend(written);
    }
    must_be_recorded(&server.root(), &all);
    nothing_is_half_there(&server);
    let kinds: HashSet<&str> = all.iter().map(|record| record.0.as_str()).collect();
    assert_eq!(kinds.len(), 12, "every kind of write was acknowledged: {kinds:?}");
    let offline = server.place.run(&["audit", "verify"]);
    assert_eq!(offline.status.code(), Some(0), "{}", String::from_utf8_lossy(&offline.stdout));
    eprintln!("{cycles} kills, {} writes acknowledged, each recorded", all.len());
}
