//! Keys that rotate by themselves.

use serde_json::{Value, json};

use crate::logins::post;
use crate::notifications::wait_until_told;
use crate::support::{Caller, Server, text, wait_until};

fn days(days: u32) -> String {
    format!("+{}s", u64::from(days) * 86_400)
}

fn rotation(root: &Caller, id: &str) -> Value {
    root.get(&format!("/v1/keys/{id}")).ok()["rotation"].clone()
}

#[test]
fn bm_13_an_ingest_key_rotates_every_thirty_days_and_both_secrets_work_for_fifteen() {
    let mut server = Server::start();
    let root = server.root();
    root.patch("/v1/policies", json!({ "owner_login_window_minutes": -1 })).expect(200);
    let (dora_id, dora) = root.member("dora", &["keys:*"]);
    let groups = root.get("/v1/groups?q=Administrators").ok();
    let administrators = text(&groups["data"][0]["id"]);
    root.put(&format!("/v1/groups/{administrators}/members/{dora_id}")).expect(204);
    let made = root.key(json!({ "class": "ingest", "label": "sensors", "ttl_seconds": 80 * 86_400 }));
    let (id, first) = (text(&made["id"]), text(&made["secret"]));
    assert_eq!((&made["rotation"]["every_days"], &made["rotation"]["grace_days"]), (&json!(30), &json!(15)));
    let next = text(&made["rotation"]["next_at"]);
    assert!(next.ends_with("T00:00:00.000Z"), "{next}");
    root.post(&format!("/v1/keys/{id}/handover"), json!({})).refused(409, "nothing_waits");

    server.place.ahead = Some(days(29));
    server = server.kill_and_restart();
    wait_until_told(&server.root());
    assert_eq!(text(&rotation(&server.root(), &id)["next_at"]), next, "not a day too early");

    server.place.ahead = Some(days(31));
    server = server.kill_and_restart();
    let root = server.root();
    wait_until(|| rotation(&root, &id)["next_at"] != next.as_str());
    let key = root.get(&format!("/v1/keys/{id}")).ok();
    assert_eq!(key["secrets"].as_array().map(Vec::len), Some(2), "{key}");
    let digits = text(&made["access_key"]).replacen("kwa_", "kwi_", 1);
    assert!(!server.place.dump().contains(&digits), "the new secret waits sealed");
    assert_eq!(server.root().code(&first), "ok");
    let dora = server.caller(&text(&dora["secret"]));
    let told = || dora.get("/v1/notifications?kind=secret_waits").ok()["data"].clone();
    wait_until(|| told().as_array().is_some_and(|told| told.len() == 1));

    // Somebody with the right makes the link; whoever opens it has the secret.
    let link = dora.post(&format!("/v1/keys/{id}/handover"), json!({ "ttl_seconds": 3600 })).ok();
    let opened = post(&server.url, "/v1/handovers/open", json!({ "token": link["token"] })).ok();
    let second = text(&opened["secret"]);
    assert_ne!(first, second);
    assert_eq!((root.code(&first), root.code(&second)), ("ok".into(), "ok".into()));

    server.place.ahead = Some(days(47));
    server = server.kill_and_restart();
    let root = server.root();
    assert_eq!((root.code(&first), root.code(&second)), ("retired_secret".into(), "ok".into()));
}

#[test]
fn bm_13_never_and_other_schedules_by_wish_and_by_policy() {
    let server = Server::start();
    let root = server.root();
    let key = |rotation: Value| {
        root.post("/v1/keys", json!({ "class": "ingest", "label": "x", "rotation": rotation }))
    };
    assert_eq!(key(json!("never")).ok()["rotation"], Value::Null);
    assert_eq!(key(Value::Null).ok()["rotation"], Value::Null);
    let weekly = key(json!({ "every_days": 7, "grace_days": 2 })).ok();
    assert_eq!(weekly["rotation"]["every_days"], 7);
    for wrong in [json!({ "every_days": 7, "grace_days": 7 }), json!({ "every_days": 0, "grace_days": 0 })] {
        key(wrong).refused(422, "invalid_value");
    }
    for wrong in [json!({ "every_days": 7 }), json!("weekly"), json!({ "every_days": -1, "grace_days": 0 })] {
        key(wrong).refused(400, "malformed_request");
    }
    let body =
        json!({ "class": "workspace", "label": "x", "rotation": { "every_days": 7, "grace_days": 2 } });
    root.post("/v1/keys", body).refused(422, "invalid_value");
    assert_eq!(root.key(json!({ "class": "workspace", "label": "x" }))["rotation"], Value::Null);

    // By hand at any time: the schedule begins anew, and "never" ends it.
    let path = format!("/v1/keys/{}", text(&weekly["id"]));
    root.post(&format!("{path}/rotate"), json!({})).expect(200);
    assert_eq!(root.get(&path).ok()["rotation"]["every_days"], 7);
    assert_eq!(root.patch(&path, json!({ "rotation": "never" })).ok()["rotation"], Value::Null);
    assert_eq!(root.patch(&path, json!({ "label": "y" })).ok()["rotation"], Value::Null);

    root.patch("/v1/policies", json!({ "rotation": { "ingest": "never" } })).expect(200);
    assert_eq!(root.key(json!({ "class": "ingest", "label": "x" }))["rotation"], Value::Null);
    let wrong = json!({ "rotation": { "ingest": { "every_days": 3, "grace_days": 3 } } });
    assert!((400..=422).contains(&root.patch("/v1/policies", wrong).status));
}

#[test]
fn bm_13_r_13_several_nodes_rotate_a_key_once() {
    let mut server = Server::start();
    let made = server.root().key(json!({ "class": "ingest", "label": "sensors" }));
    let path = format!("/v1/keys/{}", text(&made["id"]));
    server.place.sql("UPDATE keys SET rotates_at = 1 WHERE class = 'ingest'");
    server = server.kill_and_restart();
    let _others = [server.second_node(), server.second_node()];
    let secrets = || server.root().get(&path).ok()["secrets"].as_array().map(Vec::len);
    wait_until(|| secrets() == Some(2));
    std::thread::sleep(std::time::Duration::from_secs(1));
    assert_eq!(secrets(), Some(2));
}
