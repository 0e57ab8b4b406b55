//! The list behind the bell, and who wishes to be told what.

use serde_json::json;

use super::{address, kinds, wait_until_told, with_mail};
use crate::support::{Caller, Server, text, wait_until};

fn administrators(root: &Caller) -> String {
    text(&root.get("/v1/groups?q=Administrators").ok()["data"][0]["id"])
}

#[test]
fn bm_9_role_and_group_changes_of_a_key_or_user_are_told() {
    let server = Server::start();
    let root = server.root();
    let reader = root.role("reader", &["models/**:read"]);
    let admin = root.role("all but", &["**:*"]);
    let (ada_id, ada) = root.member("ada", &["keys:*", "roles:read", "groups:read"]);
    root.patch(&format!("/v1/users/{ada_id}"), json!({ "role_ids": [admin] })).expect(200);
    let ada = server.caller(&text(&ada["secret"]));
    wait_until(|| kinds(&ada) == ["own_grants"]);

    // A key of the workspace that Ada made: somebody else gives it a role, then a group.
    let body = json!({ "class": "workspace", "label": "etl", "role_ids": [reader] });
    let key = text(&ada.key(body)["id"]);
    root.patch(&format!("/v1/keys/{key}"), json!({ "label": "etl 2" })).expect(200);
    root.patch(&format!("/v1/keys/{key}"), json!({ "role_ids": [reader, admin] })).expect(200);
    let group = text(&root.post("/v1/groups", json!({ "name": "Loaders" })).ok()["id"]);
    root.put(&format!("/v1/groups/{group}/members/{key}")).expect(204);
    root.put(&format!("/v1/groups/{group}/members/{ada_id}")).expect(204);
    root.delete(&format!("/v1/groups/{group}/members/{ada_id}")).expect(204);
    let expect = ["own_grants", "own_grants", "key_grants", "key_grants", "own_grants"];
    wait_until(|| kinds(&ada).len() == expect.len());
    assert_eq!(kinds(&ada), expect, "a new label is no news");

    let list = ada.get("/v1/notifications?kind=key_grants&limit=1").ok();
    let told = &list["data"][0];
    assert_eq!(told["action"], "group.add_member");
    assert!(text(&told["text"]).contains("Loaders"), "{told}");
    assert!(list["next_cursor"].is_string());
    let event = root.get(&format!("/v1/audit-events/{}", text(&told["event_id"]))).ok();
    assert_eq!(event["action"], "group.add_member");

    // What one does oneself is no news.
    ada.patch(&format!("/v1/keys/{key}"), json!({ "role_ids": [reader] })).expect(200);
    std::thread::sleep(std::time::Duration::from_secs(2));
    assert_eq!(kinds(&ada).len(), expect.len());
}

#[test]
fn bm_9_az_2_everybody_reads_and_marks_their_own_only() {
    let server = Server::start();
    let root = server.root();
    let people: Vec<Caller> = ["ada", "bob"]
        .iter()
        .map(|name| {
            let (id, key) = root.member(name, &[]);
            root.put(&format!("/v1/groups/{}/members/{id}", administrators(&root))).expect(204);
            server.caller(&text(&key["secret"]))
        })
        .collect();
    let [ada, bob] = &people[..] else { unreachable!("two were made") };
    wait_until(|| kinds(ada).len() == 1 && kinds(bob).len() == 1);
    let id = text(&ada.get("/v1/notifications").ok()["data"][0]["id"]);

    bob.post(&format!("/v1/notifications/{id}/read"), json!({})).refused(404, "not_found");
    root.get("/v1/notifications").refused(403, "no_user");
    root.post("/v1/notifications/read", json!({})).refused(403, "no_user");
    assert_eq!(ada.get("/v1/notifications/unread").ok()["unread"], 1);
    assert_eq!(ada.post(&format!("/v1/notifications/{id}/read"), json!({})).ok()["marked"], 1);
    assert_eq!(ada.post(&format!("/v1/notifications/{id}/read"), json!({})).ok()["marked"], 0);
    assert_eq!(ada.get("/v1/notifications/unread").ok()["unread"], 0);
    assert!(ada.get("/v1/notifications?unread=true").ok()["data"].as_array().is_some_and(Vec::is_empty));
    assert_eq!(bob.get("/v1/notifications/unread").ok()["unread"], 1, "nobody else's is touched");
    assert_eq!(bob.post("/v1/notifications/read", json!({})).ok()["marked"], 1);
}

#[test]
fn bm_9_wishes_by_kind_and_channel_and_language() {
    let (server, postbox) = with_mail();
    let root = server.root();
    let (id, key) = root.member("ada", &[]);
    address(&root, &id, "ada@example.org");
    let ada = server.caller(&text(&key["secret"]));
    postbox.wait_for(1);
    let shown = ada.get("/v1/notification-preferences").ok();
    assert_eq!((shown["language"].as_str(), shown["kinds"].as_array().map(Vec::len)), (Some("en"), Some(15)));

    let path = "/v1/notification-preferences";
    let dark = json!({ "kinds": [{ "kind": "account", "mail": false }] });
    ada.patch(path, dark).refused(422, "invalid_value");
    ada.patch(path, json!({ "kinds": [{ "kind": "weather", "mail": false }] })).expect(400);
    ada.patch(path, json!({ "language": "tlh" })).expect(400);
    assert_eq!(ada.get(path).ok(), shown, "what is refused changes nothing");

    let wishes =
        json!({ "language": "de", "kinds": [{ "kind": "own_grants", "bell": false, "mail": true }] });
    let now = ada.patch(path, wishes).ok();
    assert_eq!(now["language"], "de");
    let before = kinds(&ada).len();
    let group = text(&root.post("/v1/groups", json!({ "name": "Loaders" })).ok()["id"]);
    root.put(&format!("/v1/groups/{group}/members/{id}")).expect(204);
    let mails = postbox.wait_for(2);
    assert_eq!(mails[1]["subject"], "Ihre Rollen oder Gruppen wurden geändert");
    assert_eq!(kinds(&ada).len(), before, "the bell is off for this");
}

#[test]
fn bm_9_ver_5_floods_of_refused_credentials_and_leaks_are_told_to_administrators() {
    let server = Server::start();
    let root = server.root();
    let (id, key) = root.member("dora", &[]);
    root.put(&format!("/v1/groups/{}/members/{id}", administrators(&root))).expect(204);
    let dora = server.caller(&text(&key["secret"]));
    let (_, other) = root.member("otto", &[]);
    let secret = text(&other["secret"]);
    crate::logins::post(&server.url, "/report-leak", json!({ "token": secret })).expect(202);
    let flood = || {
        let requests = vec![json!({ "credential": "kwm_garbage", "client_ip": "192.0.2.1" }); 100];
        root.post("/v1/verify/batch", json!({ "requests": requests })).ok()["results"][99]["code"].clone()
    };
    while flood() == "invalid_key" {}
    wait_until(|| {
        kinds(&dora).contains(&"leak".to_owned()) && kinds(&dora).contains(&"refused_calls".to_owned())
    });
    let told = dora.get("/v1/notifications").ok().to_string();
    assert!(!told.contains(&secret) && !told.contains(&secret[20..]), "{told}");
    assert_eq!(root.code(&secret), "revoked", "and it is dead");
}

#[test]
fn bm_9_ver_5_an_attack_rings_each_time_and_is_mailed_once_an_hour_with_its_source() {
    let (server, postbox) = with_mail();
    let root = server.root();
    let (id, key) = root.member("dora", &[]);
    let body = json!({ "email": "dora@example.org" });
    root.patch(&format!("/v1/users/{id}"), body).expect(200);
    root.put(&format!("/v1/groups/{}/members/{id}", administrators(&root))).expect(204);
    postbox.wait_for(1);
    let dora = server.caller(&text(&key["secret"]));
    let told = || dora.get("/v1/notifications?kind=refused_calls").ok()["data"].clone();
    let flood = |source: &str, count: usize| {
        let requests = vec![json!({ "credential": "kwm_garbage", "client_ip": source }); 100];
        let body = json!({ "requests": requests });
        while root.post("/v1/verify/batch", body.clone()).ok()["results"][99]["code"] == "invalid_key" {}
        wait_until(|| told().as_array().is_some_and(|told| told.len() == count));
    };
    flood("192.0.2.1", 1);
    let first = postbox.wait_for(2).remove(1);
    assert!(text(&first["text"]).contains("from 192.0.2.1,"), "{first}");
    assert_eq!(told()[0]["target"]["label"], "192.0.2.1");
    flood("198.51.100.7", 2);
    wait_until_told(&root);
    assert_eq!(postbox.mails().len(), 2, "the bell alone");
    server.place.sql("UPDATE mail_pauses SET mailed_at = mailed_at - 3600000");
    flood("203.0.113.9", 3);
    let third = postbox.wait_for(3).remove(2);
    assert!(text(&third["text"]).contains("from 203.0.113.9,"), "{third}");
}

#[test]
fn leak_bm_9_the_use_of_a_canary_is_told_to_administrators() {
    let server = Server::start();
    let root = server.root();
    let (id, key) = root.member("dora", &[]);
    root.put(&format!("/v1/groups/{}/members/{id}", administrators(&root))).expect(204);
    let (dora, mia) = (server.caller(&text(&key["secret"])), root.member("mia", &[]).1);
    let mia = server.caller(&text(&mia["secret"]));
    let trap = root.key(json!({ "class": "ingest", "label": "trap", "canary": true }));
    assert_eq!(root.code(&text(&trap["secret"])), "invalid_key");
    let told = || dora.get("/v1/notifications?kind=leak").ok()["data"].clone();
    wait_until(|| told().as_array().is_some_and(|told| !told.is_empty()));
    assert_eq!((&told()[0]["action"], &told()[0]["target"]["id"]), (&json!("key.canary_used"), &trap["id"]));
    assert!(kinds(&mia).is_empty(), "nobody else");
    assert!(!told().to_string().contains(&text(&trap["secret"])[20..60]));
}

/// What Ada was told of a key: kind and address.
fn told_of(ada: &Caller, key: &str) -> Vec<(String, String)> {
    let told = ada.get("/v1/notifications?limit=200").ok();
    let told = told["data"].as_array().expect("a list").iter().rev();
    told.filter(|news| news["target"]["id"] == key)
        .map(|news| (text(&news["kind"]), text(&news["text"])))
        .collect()
}

#[test]
fn bm_9_x_8_first_uses_and_new_networks_of_a_key_are_told_once() {
    let server = Server::with_config("verify: { usage_flush: 1s }");
    let root = server.root();
    root.patch("/v1/policies", json!({ "max_keys_per_user": 5 })).expect(200);
    let (id, key) = root.member("ada", &[]);
    let ada = server.caller(&text(&key["secret"]));
    let key = root.key(json!({ "class": "member", "owner_id": id, "label": "etl" }));
    let (key, secret) = (text(&key["id"]), text(&key["secret"]));
    let use_from = |root: &Caller, address: Option<&str>| {
        text(&root.post("/v1/verify", json!({ "credential": secret, "client_ip": address })).ok()["code"])
    };
    // A refusal is no use.
    let asked = json!({ "credential": secret, "client_ip": "203.0.113.1", "rights": ["nothing:held"] });
    assert_eq!(root.post("/v1/verify", asked).ok()["code"], "insufficient_rights");
    assert_eq!(use_from(&root, Some("192.0.2.7")), "ok");
    wait_until(|| told_of(&ada, &key).len() == 1);
    let (kind, words) = told_of(&ada, &key).remove(0);
    assert_eq!(kind, "key_used");
    assert!(words.contains("etl") && words.contains("192.0.2.7"), "{words}");
    let events = root.get(&format!("/v1/audit-events?action=key.first_used&target_id={key}")).ok();
    let event = &events["data"][0];
    assert_eq!(
        (&event["address"], &event["after"]["network"]),
        (&json!("192.0.2.7"), &json!("192.0.2.0/24"))
    );
    assert_eq!(event["actor"]["id"], "usage");

    // A neighbour is no news, an unknown address neither; a hop to elsewhere between two flushes is.
    ada.patch("/v1/notification-preferences", json!({ "language": "de" })).expect(200);
    for address in [Some("192.0.2.200"), None, Some("203.0.113.5"), Some("203.0.113.6"), Some("192.0.2.7")] {
        assert_eq!(use_from(&root, address), "ok");
    }
    wait_until(|| told_of(&ada, &key).len() == 2);
    let (kind, words) = told_of(&ada, &key).remove(1);
    assert_eq!(kind, "new_network");
    assert!(words.contains("aus dem Netz 203.0.113.0/24") && words.contains("203.0.113."), "{words}");
    let (_, first) = told_of(&ada, &key).remove(0);
    assert!(first.contains("wurde zum ersten Mal benutzt"), "{first}");

    // Once, also for a node that knows nothing of it; and not to who wishes otherwise.
    let server = server.kill_and_restart();
    let (root, ada) = (server.root(), server.caller(&ada.secret));
    for address in [Some("192.0.2.7"), Some("203.0.113.5"), Some("2001:db8:7::1")] {
        assert_eq!(use_from(&root, address), "ok");
    }
    wait_until(|| told_of(&ada, &key).len() == 3);
    assert!(told_of(&ada, &key)[2].1.contains("2001:db8:7::/48"));
    ada.patch("/v1/notification-preferences", json!({ "kinds": [{ "kind": "new_network", "bell": false }] }))
        .expect(200);
    assert_eq!(use_from(&root, Some("198.51.100.1")), "ok");
    let query = format!("/v1/audit-events?action=key.new_network&target_id={key}");
    wait_until(|| root.get(&query).ok()["data"].as_array().is_some_and(|events| events.len() == 3));
    wait_until(|| root.get("/v1/jobs?state=waiting").ok()["data"].as_array().is_some_and(Vec::is_empty));
    std::thread::sleep(std::time::Duration::from_millis(1_500));
    assert_eq!(told_of(&ada, &key).len(), 3, "the bell is off for this");
}
