//! What becomes of a key: who is told of it, and how an API key rotates.

use serde_json::{Value, json};

use super::{ON, at, enter, operator, refused, start};
use crate::notifications::{Postbox, address, kinds, wait_until_told};
use crate::support::{Place, Server, text, wait_until};

#[test]
fn bm_8_two_days_before_its_end_administrators_and_who_made_and_changed_a_key_get_a_mail() {
    let place = Place::new();
    let postbox = Postbox::open(&place, &[]);
    let root = place.bootstrap();
    let mut server = Server::serve(place, root, &format!("{}{ON}", postbox.config("tls: none")));
    let root = server.root();
    let people = ["ada", "carol", "dora", "eve"].map(|name| {
        let (user, key) = root.member(name, &["**:*"]);
        address(&root, &user, &format!("{name}@example.org"));
        (user, key)
    });
    let groups = root.get("/v1/groups?q=Administrators").ok();
    let administrators = text(&groups["data"][0]["id"]);
    root.put(&format!("/v1/groups/{administrators}/members/{}", people[2].0)).expect(204);
    let body = json!({ "name": "nightly", "type": "TENANT", "expiry_enum": "30 days" });
    let key = enter(&server, &people[0].1).post(&at("/access_keys"), body).ok();
    let path = at(&format!("/access_keys/{}", text(&key["access_key"])));
    enter(&server, &people[1].1).patch(&path, json!({ "name": "nightly import" })).expect(200);
    let told = |postbox: &Postbox| -> Vec<String> {
        let begins = "The key “nightly import” ends on ";
        let subjects = postbox.subjects().into_iter();
        subjects.filter(|(_, subject)| subject.starts_with(begins)).map(|(to, _)| to).collect()
    };
    server.place.ahead = Some(format!("+{}s", 27 * 86_400));
    server = server.kill_and_restart();
    wait_until_told(&server.root());
    assert!(told(&postbox).is_empty(), "not a day too early");
    server.place.ahead = Some(format!("+{}s", 28 * 86_400 + 3_600));
    server = server.kill_and_restart();
    wait_until_told(&server.root());
    assert_eq!(told(&postbox), ["ada@example.org", "carol@example.org", "dora@example.org"]);
    assert!(!postbox.mails().iter().any(|mail| mail.to_string().contains("kww_")), "no secret in a mail");
}

#[test]
fn bm_9_changed_roles_and_groups_of_a_key_ring_a_bell() {
    let server = start();
    let (root, operator) = (server.root(), operator(&server));
    root.role("reader", &["models/**:read"]);
    root.role("writer", &["models/**:write"]);
    let (_, ada) = root.member("ada", &["keys:*", "roles:read", "groups:read", "models/**:read"]);
    let body = json!({ "name": "etl", "type": "TENANT", "expiry_enum": "30 days", "roles": ["reader"] });
    let key = enter(&server, &ada).post(&at("/access_keys"), body).ok();
    let path = at(&format!("/access_keys/{}", text(&key["access_key"])));
    let ada = server.caller(&text(&ada["secret"]));
    operator.patch(&path, json!({ "name": "etl 2" })).expect(200);
    operator.patch(&path, json!({ "roles": ["reader", "writer"] })).expect(200);
    wait_until(|| kinds(&ada) == ["key_grants"]);
    let told = ada.get("/v1/notifications?kind=key_grants").ok();
    assert_eq!(told["data"][0]["action"], "key.edit", "{told}");
}

#[test]
fn bm_13_an_api_key_rotates_by_schedule_and_both_secrets_work_for_the_grace() {
    let server = start();
    let operator = operator(&server);
    let make = |rotation: Value| {
        let mut body = json!({ "name": "sensors", "type": "API", "expiry_enum": "90 days" });
        if !rotation.is_null() {
            body["rotation"] = rotation;
        }
        operator.post(&at("/access_keys"), body)
    };
    let never = make(json!({ "never_rotate": true })).ok();
    assert_eq!(never.get("rotation"), None);
    let weekly = make(json!({ "rotation_period": 7, "grace_period": 2 })).ok();
    assert_eq!(
        (&weekly["rotation"]["rotation_period"], &weekly["rotation"]["grace_period"]),
        (&json!(7), &json!(2))
    );
    assert_eq!(make(json!({ "rotation_period": 40 })).ok()["rotation"]["grace_period"], 15);
    for wrong in [
        json!({ "rotation_period": 7, "grace_period": 7 }),
        json!({ "rotation_period": 0, "grace_period": 0 }),
        json!({ "rotation_period": -1 }),
        json!({ "rotation_period": "weekly" }),
    ] {
        refused(&make(wrong), 400, "BAD_REQUEST");
    }
    let path = |key: &Value| at(&format!("/access_keys/{}", text(&key["access_key"])));
    let ended = operator.patch(&path(&weekly), json!({ "rotation": { "never_rotate": true } })).ok();
    assert_eq!(ended.get("rotation"), None);

    // Every 30 days, and 15 of grace, unless told otherwise.
    let usual = make(Value::Null).ok();
    let shown = usual["rotation"].clone();
    assert_eq!((&shown["rotation_period"], &shown["grace_period"]), (&json!(30), &json!(15)));
    assert!(shown.get("last_rotation_date").is_none() && shown["next_rotation_date"].is_string(), "{shown}");
    server.place.sql("UPDATE keys SET rotates_at = 1 WHERE rotate_days = 30");
    let server = server.kill_and_restart();
    let operator = super::operator(&server);
    wait_until(|| operator.get(&path(&usual)).ok()["rotation"]["last_rotation_date"].is_string());
    let root = server.root();
    assert_eq!(root.code(&text(&usual["access_secret_key"])), "ok", "the older one works on");
    // Whoever may rotate hands the new one over.
    let at_key = format!("/v1/keys/{}", text(&usual["user_id"]));
    let link = root.post(&format!("{at_key}/handover"), json!({ "ttl_seconds": 3600 })).ok();
    let opened =
        crate::logins::post(&server.url, "/v1/handovers/open", json!({ "token": link["token"] })).ok();
    assert_eq!(root.code(&text(&opened["secret"])), "ok");
    // By hand there is no grace.
    let renewed = operator.post(&format!("{}/access_secret_key", path(&usual)), json!({})).ok();
    assert_eq!(root.code(&text(&renewed["access_secret_key"])), "ok");
    assert_eq!(root.code(&text(&usual["access_secret_key"])), "retired_secret");
}
