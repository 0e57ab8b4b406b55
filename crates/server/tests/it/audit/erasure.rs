//! Who somebody was can be erased, and the chain stays whole (AUD-6).

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::api::{all, built_in, person, tenant};
use crate::logins::{PASSWORD, session, set_password};
use crate::support::{Caller, Server, text, wait_until};
use crate::tenants::contents;

const NAMES: [&str; 5] = ["zebedee", "Zebedee Quill", "zq@example.org", "203.0.113.", "zebedee-browser"];

fn verification(caller: &Caller) -> Value {
    caller.get("/v1/audit-events/verification").ok()
}

/// Somebody who did much and had much done to them, by an administrator called Ottoline.
fn live(server: &Server) -> (String, Caller) {
    let root = server.root();
    let everything = built_in(&root, "roles", "admin");
    let (_, _, ottoline) = person(server, &root, "ottoline", &["**:*"]);
    let hook = json!({ "url": "https://hooks.example.com/", "events": ["*"] });
    root.post("/v1/webhooks", hook).expect(201);
    let body = json!({
        "username": "zebedee", "email": "zq@example.org", "display_name": "Zebedee Quill",
        "role_ids": [everything],
    });
    let request = ottoline.request("POST", "/v1/users").header("idempotency-key", "hired").json(&body);
    let id = text(&crate::support::Answer::read(request.send().expect("an answer")).ok()["id"]);
    let at = format!("/v1/users/{id}");
    ottoline.post(&format!("{at}/suspend"), json!({ "reason": "zebedee is away" })).expect(200);
    ottoline.post(&format!("{at}/resume"), json!({})).expect(200);
    let key =
        ottoline.key(json!({ "class": "member", "owner_id": id, "label": "zebedee's key", "handover": {} }));
    let token = key["handover"]["token"].clone();
    root.post("/v1/handovers/open", json!({ "token": token })).expect(200);
    let rotated = ottoline.post(&format!("/v1/keys/{}/rotate", text(&key["id"])), json!({})).ok();
    let own = server.caller(&text(&rotated["secret"]));
    let browser = own.request("GET", "/v1/audit-events").header("user-agent", "zebedee-browser");
    assert_eq!(browser.send().expect("an answer").status(), 200);
    own.role("made by somebody", &["a:read"]);
    // Used, switched off, exposed: each an event that tells of the key alone.
    let asked = json!({ "credential": own.secret, "client_ip": "203.0.113.77" });
    assert_eq!(root.post("/v1/verify", asked).ok()["code"], "ok");
    wait_until(|| !all(&root, "/v1/audit-events?action=key.first_used").is_empty());
    root.get(&format!("/v1/me?key={}", own.secret)).refused(400, "credential_in_url");
    wait_until(|| !all(&root, "/v1/audit-events?action=key.exposed").is_empty());
    set_password(&root, &id, PASSWORD);
    let opened = session(&server.url, "zebedee");
    opened.post("/v1/auth/logout", json!({})).expect(204);
    wait_until(|| {
        !all(&root, &format!("/v1/audit-events?target_id={id}&action=user.set_password")).is_empty()
    });
    (id, ottoline)
}

#[test]
fn aud_6_an_erased_user_is_in_no_table_and_no_export_and_the_chain_is_whole() {
    let server = Server::with_config("verify: { usage_flush: 1s }\n");
    let (id, ottoline) = live(&server);
    let root = server.root();
    let (at, erase) = (format!("/v1/users/{id}"), format!("/v1/users/{id}/erase"));
    let yes = json!({ "confirm": true });
    for name in NAMES {
        // What a reader looked at is written within a minute, or at the end.
        let is_late = name == "zebedee-browser";
        assert!(is_late || contents(&server.place).contains(name), "{name} was never there");
    }
    // Refused: a living user, without the right, without a word that it is meant.
    root.post(&erase, yes.clone()).refused(409, "not_deleted");
    let (_, _, clerk) = person(&server, &root, "clerk", &["users:read", "users:write"]);
    clerk.delete(&at).refused(403, "above_caller");
    root.delete(&at).expect(204);
    clerk.post(&erase, yes.clone()).refused(403, "insufficient_rights");
    root.post(&erase, json!({})).refused(409, "not_confirmed");
    root.post("/v1/users/user_01000000000000000000000000/erase", yes.clone()).refused(404, "not_found");
    assert!(root.get("/v1/audit-events/export").text.contains("zebedee"), "refusals erased nothing");
    let before = verification(&root);
    assert_eq!((&before["ok"], &before["erased"]), (&json!(true), &json!(0)), "{before}");

    root.post(&erase, yes.clone()).expect(204);
    root.post(&erase, yes).refused(409, "no_change");
    let told = |server: &Server| {
        let root = server.root();
        let after = verification(&root);
        assert_eq!(after["ok"], true, "{after}");
        assert!(after["erased"].as_i64().expect("a number") > 10, "{after}");
        let export = root.get("/v1/audit-events/export").expect(200).text;
        let stored = contents(&server.place);
        for name in NAMES {
            assert!(!export.contains(name), "{name} in the export");
            assert!(!stored.contains(name), "{name} in the store");
        }
        assert!(export.contains("ottoline") && stored.contains("ottoline"), "others stay");
    };
    told(&server);
    let event = &all(&root, "/v1/audit-events?action=user.erase")[0];
    assert_eq!((&event["target"]["id"], &event["target"]["label"]), (&json!(id), &json!("")));
    let created = &all(&ottoline, &format!("/v1/audit-events?target_id={id}&action=user.create"))[0];
    assert_eq!(
        (&created["target"]["label"], &created["actor"]["label"]),
        (&json!("[erased]"), &json!("ottoline"))
    );
    assert_eq!(
        (&created["after"]["email"], &created["after"]["state"]),
        (&json!("[erased]"), &json!("active"))
    );
    // What waited in memory is written without the name.
    let mut server = server;
    server.terminate();
    let server = server.restart();
    assert_eq!(all(&server.root(), &format!("/v1/audit-events?actor_id={id}&action=audit.read")).len(), 1);
    told(&server);
    let output = server.place.run(&["audit", "verify", "-o", "json"]);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stdout));
}

#[test]
fn aud_6_an_operator_is_erased_from_the_logs_of_other_tenants_too() {
    let server = Server::start();
    let root = server.root();
    let (acme, admin) = tenant(&server, "acme");
    let visitor =
        root.user("wanderer", &[&built_in(&root, "roles", "operator"), &built_in(&root, "roles", "admin")]);
    let key = root.key(json!({ "class": "member", "owner_id": visitor, "label": "visits" }));
    let visit = server.caller(&text(&key["secret"]));
    crate::api::inside(&visit, &acme, "POST", "/v1/roles", &json!({ "name": "x", "rights": ["a:read"] }))
        .expect(201);
    assert!(admin.get("/v1/audit-events/export").text.contains("wanderer"));
    root.delete(&format!("/v1/users/{visitor}")).expect(204);
    root.post(&format!("/v1/users/{visitor}/erase"), json!({ "confirm": true })).expect(204);
    assert!(!admin.get("/v1/audit-events/export").text.contains("wanderer"));
    let checked = verification(&admin);
    assert_eq!((&checked["ok"], &checked["erased"]), (&json!(true), &json!(1)), "{checked}");
}

#[test]
fn aud_4_aud_6_names_that_were_edited_added_or_taken_away_are_found() {
    let server = Server::start();
    let root = server.root();
    let (_, _, wally) = person(&server, &root, "wally", &["a:read", "roles:write"]);
    for number in 1..=6 {
        wally.role(&format!("role-{number}"), &["a:read"]);
    }
    server.place.sql("CREATE TABLE kept AS SELECT * FROM audit_personal");
    let made = &all(&root, "/v1/audit-events?action=role.create")[3];
    assert_eq!((&made["seq"], &made["actor"]["label"]), (&json!(9), &json!("wally")));
    let tamperings = [
        "UPDATE audit_personal SET texts = REPLACE(texts, 'wally', 'walter') WHERE seq = 9",
        "UPDATE audit_personal SET nonce = 'x' WHERE seq = 9",
        "UPDATE audit_personal SET subject_id = 'user_x' WHERE seq = 9",
        "DELETE FROM audit_personal WHERE seq = 9",
        "INSERT INTO audit_personal SELECT tenant_id, seq, 'user_x', nonce, texts FROM audit_personal WHERE seq = 9",
    ];
    for statement in tamperings {
        assert_eq!(server.place.sql(statement), 1, "{statement}");
        let found = verification(&root);
        assert_eq!(
            (&found["ok"], &found["first_bad_seq"]),
            (&json!(false), &json!(9)),
            "{statement}: {found}"
        );
        assert!(text(&found["reason"]).contains("a person"), "{found}");
        server.place.sql("DELETE FROM audit_personal");
        server.place.sql("INSERT INTO audit_personal SELECT * FROM kept");
        assert_eq!(verification(&root)["ok"], true);
    }
}

#[test]
fn aud_6_what_the_export_says_of_people_can_be_checked_without_us() {
    let server = Server::start();
    let root = server.root();
    let (user, _, mia) = person(&server, &root, "mia", &["a:read", "roles:write"]);
    for number in 1..=6 {
        mia.role(&format!("role-{number}"), &["a:read"]);
    }
    let export = root.get("/v1/audit-events/export").expect(200).text;
    let mut checked = 0;
    for line in export.lines() {
        let line: Value = serde_json::from_str(line).expect("a JSON line");
        for texts in line["personal"].as_array().expect("a list") {
            let list = serde_json::to_string(&texts["texts"]).expect("JSON");
            let digest = Sha256::digest(format!("{}\n{list}", text(&texts["nonce"])).as_bytes());
            let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
            let parts = line["event"]["personal"].as_array().expect("a list").iter();
            let part = parts.clone().find(|part| part["subject"] == texts["subject"]).expect("committed to");
            assert_eq!(part["commitment"], digest.as_str());
            assert_eq!(part["at"].as_array().map(Vec::len), texts["texts"].as_array().map(Vec::len));
            checked += 1;
        }
        if line["event"]["target"]["id"] == user.as_str() {
            assert!(
                !line["event"].to_string().contains("mia") && line["personal"].to_string().contains("mia")
            );
        }
    }
    assert!(checked > 5, "{checked}");
}
