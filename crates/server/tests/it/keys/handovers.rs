//! Secrets that are handed over by a link.

use serde_json::{Value, json};

use crate::logins::post;
use crate::support::{Answer, Caller, Server, client, text, wait_until};

fn open(server: &Server, token: &Value) -> Answer {
    post(&server.url, "/v1/handovers/open", json!({ "token": token }))
}

fn state(root: &Caller, id: &Value) -> String {
    text(&root.get(&format!("/v1/handovers/{}", text(id))).ok()["state"])
}

#[test]
fn x_10_whoever_makes_the_key_never_sees_its_secret_and_the_link_opens_once() {
    let server = Server::start();
    let root = server.root();
    let (ada, _) = root.member("ada", &[]);
    let body =
        json!({ "class": "member", "owner_id": ada, "label": "partner", "handover": { "ttl_seconds": 600 } });
    let made = root.post("/v1/keys", body).expect(201);
    let secret = text(&made.body["access_key"]).replacen("kwa_", "kwm_", 1);
    assert!(!made.text.contains(&secret), "no secret in the answer");
    assert_eq!((&made.body["secret"], &made.body["copy"]), (&Value::Null, &Value::Null));
    assert_eq!(made.body["secret_state"], "handed_over");
    let link = &made.body["handover"];
    assert!(text(&link["token"]).starts_with("kwh_"), "{link}");
    assert_eq!(state(&root, &link["id"]), "waiting");
    let dump = server.place.dump();
    assert!(!dump.contains(&secret) && !dump.contains(&text(&link["token"])));

    let opened = open(&server, &link["token"]);
    assert!(opened.header("cache-control").contains("no-store"));
    let opened = opened.ok();
    let secret = text(&opened["secret"]);
    assert_eq!(opened["access_key"], made.body["access_key"]);
    let line = format!("key:{}::{secret},tenant id: {}", text(&opened["access_key"]), server.tenant());
    assert_eq!(opened["copy"], line.as_str());
    assert_eq!(root.code(&secret), "ok");
    let shown = root.get(&format!("/v1/handovers/{}", text(&link["id"]))).ok();
    assert_eq!((&shown["state"], &shown["opened_from"]), (&json!("opened"), &json!("127.0.0.1")));

    // A second opening gets nothing, and raises an alarm.
    open(&server, &link["token"]).refused(401, "invalid_link");
    let events = root.get("/v1/audit-events?action=key.handover_reopened").ok();
    assert_eq!(events["data"][0]["target"]["id"], made.body["id"]);
    assert_eq!(root.code(&secret), "ok", "the key itself goes on");
    assert!(!server.place.log().contains(&secret) && !server.place.dump().contains(&secret[20..]));
}

#[test]
fn x_10_key_4_made_up_cut_and_late_links_open_nothing() {
    let server = Server::start();
    let root = server.root();
    let body = json!({ "class": "ingest", "label": "sensors", "handover": {} });
    let made = root.key(body);
    let token = text(&made["handover"]["token"]);
    for end in [0, 10, 50, token.len() - 1] {
        open(&server, &json!(token[..end])).refused(401, "invalid_link");
    }
    open(&server, &json!(token.replacen("kwh_", "kwl_", 1))).refused(401, "invalid_link");
    open(&server, &json!(42)).expect(400);
    for ttl in [59, 7 * 86_400 + 1, -1] {
        let body = json!({ "class": "ingest", "label": "x", "handover": { "ttl_seconds": ttl } });
        root.post("/v1/keys", body).refused(422, "invalid_value");
    }
    server.place.sql("UPDATE handovers SET expires_at = 1");
    open(&server, &json!(token)).refused(401, "invalid_link");
    assert_eq!(state(&root, &made["handover"]["id"]), "over");
    assert!(
        root.get("/v1/audit-events?action=key.handover_opened").ok()["data"]
            .as_array()
            .is_some_and(Vec::is_empty)
    );
}

#[test]
fn x_10_a_link_that_is_over_gives_way_to_another_while_the_secret_waits() {
    let server = Server::start();
    let root = server.root();
    let body = json!({ "class": "ingest", "label": "sensors", "handover": { "ttl_seconds": 60 } });
    let made = root.key(body);
    let shown = || root.get(&format!("/v1/handovers/{}", text(&made["handover"]["id"]))).ok();
    let before = shown();
    assert_eq!(
        (&before["linked"], &before["link_expires_at"]),
        (&json!(true), &made["handover"]["expires_at"])
    );
    assert!(
        text(&before["expires_at"]) > text(&before["link_expires_at"]),
        "the secret waits longer: {before}"
    );
    server.place.sql("UPDATE handovers SET link_expires_at = 1");
    open(&server, &made["handover"]["token"]).refused(401, "invalid_link");
    let over = shown();
    assert_eq!((&over["state"], &over["linked"]), (&json!("waiting"), &json!(false)));
    assert_eq!(over["expires_at"], before["expires_at"], "a short link takes nothing from the secret's time");

    let link =
        root.post(&format!("/v1/keys/{}/handover", text(&made["id"])), json!({ "ttl_seconds": 60 })).ok();
    assert_eq!(shown()["expires_at"], before["expires_at"]);
    open(&server, &made["handover"]["token"]).refused(401, "invalid_link");
    assert_eq!(root.code(&text(&open(&server, &link["token"]).ok()["secret"])), "ok");
    assert_eq!(shown()["state"], "opened");
}

#[test]
fn x_10_ver_7_of_many_who_open_at_once_one_gets_it() {
    let server = Server::start();
    let made = server.root().key(json!({ "class": "ingest", "label": "sensors", "handover": {} }));
    let token = &made["handover"]["token"];
    let opened: usize = std::thread::scope(|scope| {
        let all: Vec<_> = (0..16).map(|_| scope.spawn(|| open(&server, token).status)).collect();
        all.into_iter().filter(|_| true).map(|one| usize::from(one.join().expect("ends") == 200)).sum()
    });
    assert_eq!(opened, 1);
}

#[test]
fn x_10_a_new_link_voids_the_one_before_and_a_rotation_what_waited() {
    let server = Server::start();
    let root = server.root();
    let made = root.key(json!({ "class": "ingest", "label": "sensors", "handover": {} }));
    let path = format!("/v1/keys/{}", text(&made["id"]));
    let (_, reader) = root.member("reader", &["keys:read"]);
    let reader = server.caller(&text(&reader["secret"]));
    reader.post(&format!("{path}/handover"), json!({})).refused(403, "insufficient_rights");
    let newer = root.post(&format!("{path}/handover"), json!({ "ttl_seconds": 60 })).ok();
    open(&server, &made["handover"]["token"]).refused(401, "invalid_link");
    let rotated = root.post(&format!("{path}/rotate"), json!({ "handover": { "ttl_seconds": 60 } })).ok();
    assert_eq!(rotated["secret"], Value::Null);
    open(&server, &newer["token"]).refused(401, "invalid_link");
    let secret = text(&open(&server, &rotated["handover"]["token"]).ok()["secret"]);
    assert_eq!(root.code(&secret), "ok");
    root.post(&format!("{path}/handover"), json!({})).refused(409, "nothing_waits");

    // A revoked key hands nothing over any more.
    let other = root.key(json!({ "class": "ingest", "label": "other", "handover": {} }));
    root.post(&format!("/v1/keys/{}/revoke", text(&other["id"])), json!({ "reason": "x" })).expect(200);
    open(&server, &other["handover"]["token"]).refused(401, "invalid_link");
}

#[test]
fn x_10_key_12_a_link_in_a_url_is_void_and_a_replay_tells_no_token() {
    let server = Server::start();
    let root = server.root();
    let send = || {
        let body = json!({ "class": "ingest", "label": "sensors", "handover": {} });
        let request = root.request("POST", "/v1/keys").header("Idempotency-Key", "hand-over-1").json(&body);
        Answer::read(request.send().expect("an answer")).expect(201).body
    };
    let (made, again) = (send(), send());
    assert_eq!(made["id"], again["id"]);
    assert_eq!(
        (&again["handover"]["token"], &again["handover"]["secret_state"]),
        (&Value::Null, &json!("delivered"))
    );
    let token = text(&made["handover"]["token"]);
    let url = format!("{}/v1/handovers/open?token={token}", server.url);
    Answer::read(client().get(url).send().expect("an answer")).refused(400, "credential_in_url");
    wait_until(|| {
        let voided = root.get("/v1/audit-events?action=key.handover_voided").ok();
        voided["data"].as_array().is_some_and(|events| events.len() == 1)
    });
    open(&server, &json!(token)).refused(401, "invalid_link");
    let path = format!("/v1/keys/{}/handover", text(&made["id"]));
    let link = root.post(&path, json!({})).ok();
    open(&server, &link["token"]).expect(200);
}
