//! The export as OCSF has it, from a live server.

use serde_json::{Value, json};

use crate::api::{person, tenant};
use crate::support::{Server, text};

#[test]
fn the_export_is_ocsf_where_it_is_asked_for() {
    let server = Server::start();
    let (acme, admin) = tenant(&server, "acme");
    let (user, _, mia) = person(&server, &admin, "mia", &["a:read", "groups:write"]);
    let group = text(&mia.post("/v1/groups", json!({ "name": "Staff" })).ok()["id"]);
    admin.put(&format!("/v1/groups/{group}/members/{user}")).expect(204);
    let more = admin.role("more", &["a:read", "b:read"]);
    admin.patch(&format!("/v1/users/{user}"), json!({ "role_ids": [more] })).expect(200);
    admin.get("/v1/audit-events/export?format=cef").refused(400, "malformed_request");
    mia.get("/v1/audit-events/export?format=ocsf").refused(403, "insufficient_rights");
    let export = admin.get("/v1/audit-events/export?format=ocsf").expect(200);
    assert_eq!(export.header("content-type"), "application/jsonl");
    let events: Vec<Value> =
        export.text.lines().map(|line| serde_json::from_str(line).expect("a JSON line")).collect();
    let chain = admin.get("/v1/audit-events/export").expect(200).text;
    assert_eq!(events.len() + 1, chain.lines().count(), "all events, and since then the first export");
    for (event, seq) in events.iter().zip(1..) {
        assert_eq!(
            (&event["metadata"]["sequence"], &event["metadata"]["tenant_uid"]),
            (&json!(seq), &json!(acme))
        );
        for field in
            ["category_uid", "class_uid", "activity_id", "type_uid", "severity_id", "status_id", "time"]
        {
            assert!(event[field].is_u64(), "{field}: {event}");
        }
    }
    let of = |code: &str| {
        events.iter().find(|event| event["metadata"]["event_code"] == code).expect("it is there")
    };
    let created = of("user.create");
    assert_eq!((&created["class_uid"], &created["user"]["name"]), (&json!(3001), &json!("mia")));
    let made = of("group.create");
    assert_eq!((&made["actor"]["user"]["name"], &made["entity"]["name"]), (&json!("mia"), &json!("Staff")));
    assert_eq!((&made["src_endpoint"]["ip"], &made["type_uid"]), (&json!("127.0.0.1"), &json!(300_401)));
    let joined = of("group.add_member");
    assert_eq!((&joined["group"]["uid"], &joined["user"]["uid"]), (&json!(group), &json!(user)));
    let granted = of("user.edit");
    assert_eq!((&granted["type_uid"], &granted["privileges"]), (&json!(300_501), &json!(["b:read"])));
    assert_eq!(of("audit.export")["api"]["operation"], "audit.export");
    let output = server
        .place
        .keyward(&["audit", "export", "--format", "ocsf", "--url", &server.url])
        .env("KEYWARD_TOKEN", &admin.secret)
        .output()
        .expect("the binary runs");
    assert!(String::from_utf8_lossy(&output.stdout).starts_with(&export.text), "the command writes the same");
}

#[test]
fn r_18_one_event_that_was_spoilt_hides_no_other() {
    let server = Server::start();
    let root = server.root();
    for number in 1..=3 {
        root.role(&format!("role-{number}"), &["a:read"]);
    }
    assert_eq!(server.place.sql("UPDATE audit_events SET body = 'no JSON' WHERE seq = 5"), 1);
    let seqs = |events: &[Value]| events.iter().map(|event| event["seq"].as_i64()).collect::<Vec<_>>();
    let listed = root.get("/v1/audit-events").ok()["data"].as_array().expect("a list").clone();
    assert_eq!(seqs(&listed), [Some(6), Some(4), Some(3), Some(2), Some(1)]);
    let export = root.get("/v1/audit-events/export?format=ocsf").expect(200).text;
    assert!(export.contains("role-3") && !export.contains("role-2"), "{export}");
    let found = root.get("/v1/audit-events/verification").ok();
    assert_eq!((&found["ok"], &found["first_bad_seq"]), (&json!(false), &json!(5)), "and it is found");
}
