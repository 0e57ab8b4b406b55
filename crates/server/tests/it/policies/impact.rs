//! What a draft would do to the keys that there are.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::{Value, json};

use super::{draft, stale_session, ten_days_old};
use crate::api::{all, tenant};
use crate::keys::{many_keys, path};
use crate::support::{Server, text};

#[test]
fn x_5_a_simulation_counts_what_would_stop_and_start_and_why() {
    let server = Server::start();
    let root = server.root();
    let (_, old) = ten_days_old(&server);
    let (_, young) = root.member("alice", &[]);
    let ingest = root.key(json!({ "class": "ingest", "label": "collector" }));
    root.patch("/v1/policies", json!({ "switches": { "ingest_keys": false } })).ok();
    root.post(&format!("{}/deactivate", path(&young)), json!({})).expect(200);
    let before = root.get("/v1/policies").ok();
    let (acme, _) = tenant(&server, "acme");
    let drafted =
        draft(&root, json!({ "member": { "max_age_days": 9 }, "switches": { "ingest_keys": true } }));
    let told = root.post(&format!("{drafted}/simulate"), json!({})).ok();
    assert_eq!(told["would_stop"], json!({ "count": 1, "by_code": { "too_old": 1 } }));
    assert_eq!(told["would_start"], 1);
    // Root's own two keys, Bob's and the collector; what is switched off is not looked at.
    let on = all(&root, "/v1/keys?status=active,suspended,expiring,rotating,pending").len();
    assert_eq!(told["looked_at"], on, "nothing of {acme}");
    assert_eq!((&told["sample"][0]["id"], told["sample"][1].clone()), (&old["id"], Value::Null));
    let rows = all(&root, &format!("{drafted}/impact"));
    let codes: Vec<_> = rows.iter().map(|row| (&row["id"], &row["code_now"], &row["code_then"])).collect();
    assert_eq!(
        codes,
        [
            (&old["id"], &json!("ok"), &json!("too_old")),
            (&ingest["id"], &json!("class_disabled"), &json!("ok")),
        ]
    );
    assert_eq!((&rows[0]["owner_username"], &rows[0]["class"]), (&json!("bob"), &json!("member")));
    assert_eq!(all(&root, &format!("{drafted}/impact?code=too_old")).len(), 1);
    assert!(all(&root, &format!("{drafted}/impact?code=idle")).is_empty());
    let page = root.get(&format!("{drafted}/impact?limit=1")).ok();
    let cursor = text(&page["next_cursor"]);
    let next = root.get(&format!("{drafted}/impact?limit=1&cursor={cursor}")).ok();
    assert_eq!((&next["data"][0]["id"], &next["next_cursor"]), (&ingest["id"], &Value::Null));
    root.get(&format!("{drafted}/impact?code=idle&cursor={cursor}")).refused(400, "malformed_request");
    assert_eq!(root.get("/v1/policies").ok(), before, "nothing was kept");
    assert_eq!(root.code(&text(&old["secret"])), "ok");
    // And so it comes.
    root.post(&format!("{drafted}/apply"), json!({})).expect(200);
    assert_eq!(
        [root.code(&text(&old["secret"])), root.code(&text(&ingest["secret"]))],
        ["too_old".to_owned(), "ok".to_owned()]
    );
}

#[test]
fn x_5_a_simulation_of_many_keys_takes_no_query_for_each() {
    let config = "log: {filter: 'warn,sqlx::query=debug'}";
    let server = Server::with_config(config);
    let root = server.root();
    root.patch("/v1/policies", json!({ "max_keys_per_user": 1000 })).ok();
    let drafted = draft(&root, json!({ "owner_login_window_minutes": 0 }));
    let queries = |what: &str| {
        let told = root.post(&format!("{drafted}/simulate"), json!({})).ok();
        // One that marks the end: what was logged before it, belongs to the simulation.
        let log = server.place.log();
        let reads =
            log.lines().filter(|line| line.contains("FROM keys k") && line.contains("k.switch = 'on'"));
        let owners = log.lines().filter(|line| line.contains("SELECT o.owner_id FROM keys o"));
        let single =
            log.lines().filter(|line| line.contains("u.id = $2") && !line.contains("deleted_at IS NULL"));
        (told["would_stop"]["count"].clone(), reads.count(), owners.count(), single.count(), what.to_owned())
    };
    let first = queries("few");
    for number in 0..15 {
        root.member(&format!("user{number}"), &[]);
    }
    let before = server.place.log().lines().filter(|line| line.contains("u.id = $2")).count();
    let second = queries("many");
    let after = server.place.log().lines().filter(|line| line.contains("u.id = $2")).count();
    assert_eq!(second.0.as_u64(), first.0.as_u64().map(|count| count + 15));
    assert!(first.1 > 0, "the log shows the statements");
    assert_eq!((second.1 - first.1, second.2 - first.2), (first.1, first.2), "as many pages as before");
    assert_eq!(before, after, "no owner was read alone");
}

#[test]
fn web_6_x_5_the_export_is_a_table_that_starts_no_formula() {
    let server = Server::start();
    let root = server.root();
    for label in ["=HYPERLINK(\"http://x\",\"y\")", "+1", "-1", "@x", "plain, with a comma"] {
        root.key(json!({ "class": "ingest", "label": label }));
    }
    let drafted = draft(&root, json!({ "switches": { "ingest_keys": false } }));
    let answer = root.get(&format!("{drafted}/impact?format=csv")).expect(200);
    assert!(answer.header("content-type").starts_with("text/csv"));
    assert!(answer.header("content-disposition").contains("attachment"));
    let lines: Vec<_> = answer.text.lines().collect();
    assert_eq!(lines.len(), 6, "{}", answer.text);
    assert_eq!(lines[0], "id,access_key,label,class,owner_id,owner_username,code_now,code_then");
    for (line, cell) in lines[1..].iter().zip([
        "\"'=HYPERLINK(\"\"http://x\"\",\"\"y\"\")\"",
        "'+1",
        "'-1",
        "'@x",
        "\"plain, with a comma\"",
    ]) {
        assert!(line.ends_with(&format!(",{cell},ingest,,,ok,class_disabled")), "{line}");
    }
    let events = || all(&root, "/v1/audit-events?action=report.read");
    assert_eq!((&events()[0]["target"]["id"], events().len()), (&json!("policy-impact"), 1));
    let none = root.get(&format!("{drafted}/impact?format=csv&code=idle")).expect(200);
    assert_eq!(none.text.lines().count(), 1);
    root.get(&format!("{drafted}/impact?format=xls")).refused(400, "malformed_request");
    let (_, admin) = tenant(&server, "acme");
    admin.get(&format!("{drafted}/impact?format=csv")).refused(404, "not_found");
}

#[test]
fn x_5_ses_6_aud_1_the_export_asks_for_a_fresh_session_and_leaves_its_event() {
    let server = Server::start();
    let root = server.root();
    let drafted = draft(&root, json!({ "switches": { "ingest_keys": false } }));
    let stale = stale_session(&server, "grace", &["policies:write", "policies:read"]);
    stale.get(&format!("{drafted}/impact?limit=1")).expect(200);
    stale.get(&format!("{drafted}/impact?format=csv")).refused(403, "step_up_required");
    assert_eq!(all(&root, "/v1/audit-events?action=report.read"), Vec::<Value>::new());
}

#[test]
fn x_5_r_6_slow_readers_of_an_export_keep_no_connection_to_the_database() {
    let server = Server::with_config("database: {timeout: 2s, max_connections: 4}\n");
    let root = server.root();
    // Too many for what lies between a server and who reads from it.
    many_keys(&server);
    let drafted = draft(&root, json!({ "switches": { "ingest_keys": false } }));
    // More readers than there are connections, none of whom reads.
    let request = format!(
        "GET {drafted}/impact?format=csv HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\n\r\n",
        root.secret
    );
    let mut readers = Vec::new();
    for _ in 0..6 {
        let mut reader = TcpStream::connect(server.address()).expect("connects");
        reader.write_all(request.as_bytes()).expect("sent");
        // It has begun.
        let mut first = [0; 15];
        reader.read_exact(&mut first).expect("an answer");
        assert_eq!(&first, b"HTTP/1.1 200 OK");
        readers.push(reader);
    }
    std::thread::sleep(Duration::from_secs(2));
    for _ in 0..3 {
        root.get("/v1/keys?limit=1").expect(200);
    }
}
