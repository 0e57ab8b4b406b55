//! Trusted secrets: enabling, copying, rotating, disabling (TS2, TS3, TS5, TS6, IMP-7).

use serde_json::{Value, json};

use super::{NAMED, Portal, enable, mint, token};
use crate::api::{person, worker};
use crate::support::{Answer, Caller, Server, client, text, wait_until};

#[test]
fn ts_1_ts_3_a_backend_gets_tokens_once_trusted_authentication_is_enabled() {
    let server = Server::with_config(NAMED);
    let root = server.root();
    let ada = root.user("ada", &[]);
    let guess = server.caller("kwt_0000000000000000000000000000000000000000000000000000000000000000");
    let told = mint(&guess, json!({ "username": "ada" })).refused(401, "invalid_trusted_secret");
    assert!(text(&told.body["detail"]).contains("enable"), "{}", told.text);
    root.post("/v1/trusted/copy", json!({})).refused(409, "not_enabled");
    root.post("/v1/trusted/disable", json!({ "confirm": true })).refused(409, "not_enabled");
    let made = root.post("/v1/trusted/enable", json!({})).expect(200).body;
    let secret = text(&made["secret"]);
    assert!(secret.starts_with("kwt_") && secret.len() == 69, "{}", made["name"]);
    assert_eq!((&made["name"], &made["state"]), (&json!("default"), &json!("enabled")));
    let got = mint(&server.caller(&secret), json!({ "username": "ada" })).expect(200).body;
    assert_eq!(
        (&got["user_id"], &got["token_type"], &got["ttl_seconds"]),
        (&json!(ada), &json!("Bearer"), &json!(300))
    );
    assert_eq!(root.verify(&text(&got["token"]))["principal"]["id"], json!(ada));
    root.post("/v1/trusted/enable", json!({})).refused(409, "already_enabled");
}

#[test]
fn ts_1_the_secret_comes_as_bearer_or_in_the_body_and_once() {
    let portal = Portal::new();
    let at = format!("{}/v1/trusted/tokens", portal.server.url);
    let body = json!({ "username": "ada", "secret_key": portal.backend.secret });
    let bare = Answer::read(client().post(&at).json(&body).send().expect("an answer"));
    assert!(bare.ok()["token"].is_string());
    mint(&portal.backend, body).refused(400, "multiple_credentials");
    let none = client().post(&at).json(&json!({ "username": "ada" })).send().expect("an answer");
    Answer::read(none).refused(401, "no_credential");
    let query = format!("/v1/trusted/tokens?secret_key={}", portal.backend.secret);
    portal.root.post(&query, json!({ "username": "ada" })).refused(400, "credential_in_url");
    let token = token(&portal.backend, "ada");
    portal.root.get(&format!("/v1/me?token={token}")).refused(400, "credential_in_url");
}

#[test]
fn ts_2_a_trusted_secret_opens_nothing_else() {
    let portal = Portal::new();
    let backend = &portal.backend;
    for (method, path) in [
        ("GET", "/v1/me"),
        ("GET", "/v1/keys"),
        ("POST", "/v1/keys"),
        ("GET", "/v1/trusted"),
        ("POST", "/v1/trusted/copy"),
        ("POST", "/v1/trusted/disable"),
        ("POST", "/v1/tokens/revoke"),
        ("POST", "/v1/verify"),
        ("GET", "/v1/audit-events"),
    ] {
        let request = backend.request(method, path).json(&json!({}));
        Answer::read(request.send().expect("an answer")).refused(401, "invalid_key");
    }
    let authz = Answer::read(backend.request("GET", "/authz").send().expect("an answer"));
    assert_eq!((authz.status, authz.header("x-auth-code")), (401, "invalid_key"));
    let told = portal.root.verify(&backend.secret);
    assert_eq!((&told["valid"], &told["code"]), (&json!(false), &json!("invalid_key")));
    // Nor does it look at keys through the door for tokens.
    let key = portal.root.key(json!({ "class": "ingest", "label": "x" }));
    let looked = backend.post("/v1/trusted/tokens/validate", json!({ "token": key["secret"] })).ok();
    assert_eq!(looked["code"], "invalid_key");
    // And a key is none.
    let operator = portal.root.post("/v1/trusted/tokens", json!({ "username": "ada" }));
    operator.refused(401, "invalid_trusted_secret");
    assert!(mint(backend, json!({ "username": "ada" })).ok()["token"].is_string());
}

#[test]
fn ts_5_sto_6_the_secret_can_be_copied_again_and_is_stored_sealed() {
    let portal = Portal::new();
    let copied = portal.root.post("/v1/trusted/copy", json!({})).expect(200).body;
    assert_eq!(copied["secret"], portal.backend.secret.as_str());
    let events = portal.root.get("/v1/audit-events?action=trusted.copy").ok();
    assert_eq!(events["data"][0]["target"]["id"], portal.id.as_str());
    assert!(!portal.server.place.dump().contains(&portal.backend.secret[20..]), "it stands in the database");
    let list = portal.root.get("/v1/trusted").ok().to_string();
    let one = portal.root.get(&format!("/v1/trusted/{}", portal.id)).ok().to_string();
    assert!(![list, one].iter().any(|text| text.contains(&portal.backend.secret[20..60])));
    let reader = worker(&portal.server, &portal.root, "watcher", &["trusted:read", "trusted:write"]);
    reader.post("/v1/trusted/copy", json!({})).refused(403, "insufficient_rights");
    // A sealed value opens only where it was sealed for: a restart reads it anew.
    portal.server.place.sql("UPDATE trusted_generations SET generation = 9");
    let server = portal.server.kill_and_restart();
    let moved = mint(&server.caller(&portal.backend.secret), json!({ "username": "ada" }));
    assert_eq!(moved.status, 503, "{}", moved.text);
}

#[test]
fn ts_6_disabling_asks_kills_at_once_and_a_new_one_is_another() {
    let portal = Portal::new();
    let old = token(&portal.backend, "ada");
    portal.root.post("/v1/trusted/disable", json!({})).refused(409, "not_confirmed");
    portal.root.post("/v1/trusted/disable", json!({ "confirm": false })).refused(409, "not_confirmed");
    assert_eq!(portal.ask(&old, &[])["code"], "ok", "a refused request changed nothing");
    let ended = portal.root.post("/v1/trusted/disable", json!({ "confirm": true })).expect(200).body;
    assert_eq!(ended["state"], "disabled");
    mint(&portal.backend, json!({ "username": "ada" })).refused(401, "trusted_disabled");
    assert_eq!(portal.ask(&old, &[])["code"], "revoked", "its tokens end with it");
    let (again, id) = enable(&portal.root, json!({}));
    assert_ne!((&again.secret, &id), (&portal.backend.secret, &portal.id));
    mint(&portal.backend, json!({ "username": "ada" })).refused(401, "trusted_disabled");
    assert_eq!(portal.ask(&old, &[])["code"], "revoked", "old ones never come back");
    assert_eq!(portal.ask(&token(&again, "ada"), &[])["code"], "ok");
    let path = format!("/v1/trusted/{}", portal.id);
    portal.root.patch(&path, json!({ "name": "back" })).refused(409, "not_enabled");
    portal.root.post("/v1/trusted/copy", json!({ "id": portal.id })).refused(409, "not_enabled");
}

#[test]
fn imp_7_two_generations_live_through_a_rotation_and_each_shows_its_last_use() {
    let portal = Portal::with_config(&format!("{NAMED}\nverify: {{usage_flush: 1s}}"));
    let path = format!("/v1/trusted/{}", portal.id);
    let first = token(&portal.backend, "ada");
    let made = portal.root.post(&format!("{path}/rotate"), json!({ "overlap_seconds": 600 })).ok();
    let newer = Caller { secret: text(&made["secret"]), ..portal.backend.clone() };
    assert_ne!(newer.secret, portal.backend.secret);
    let second = token(&newer, "ada");
    assert!(!token(&portal.backend, "ada").is_empty(), "the older one goes on");
    let wish = json!({ "username": "ada", "ttl_seconds": 900 });
    let bounded = mint(&portal.backend, wish.clone()).ok();
    let seconds = bounded["ttl_seconds"].as_i64().expect("seconds");
    assert!(
        (1..=600).contains(&seconds) && bounded["ttl_cut"] == true,
        "no longer than its secret: {bounded}"
    );
    assert_eq!(mint(&newer, wish).ok()["ttl_cut"], false);
    portal.root.post(&format!("{path}/rotate"), json!({})).refused(409, "too_many_secrets");
    wait_until(|| {
        let shown = portal.root.get(&path).ok();
        let seen = |at: usize| !shown["generations"][at]["last_seen_at"].is_null();
        seen(0) && seen(1)
    });
    portal.root.post(&format!("{path}/rotate/finish"), json!({})).expect(200);
    mint(&portal.backend, json!({ "username": "ada" })).refused(401, "retired_secret");
    assert_eq!(portal.ask(&first, &[])["code"], "retired_secret", "tokens end with their generation");
    assert_eq!(portal.ask(&second, &[])["code"], "ok");
    portal.root.post(&format!("{path}/rotate/finish"), json!({})).refused(409, "not_rotating");
    portal.root.post(&format!("{path}/rotate"), json!({ "overlap_seconds": 0 })).expect(200);
    assert_eq!(portal.ask(&second, &[])["code"], "retired_secret");
    assert_eq!(
        portal.root.post("/v1/trusted/copy", json!({})).ok()["generations"].as_array().map(Vec::len),
        Some(3)
    );
}

#[test]
fn az_5_az_6_nobody_makes_or_handles_a_secret_that_reaches_further() {
    let portal = Portal::new();
    let rights = ["trusted:*", "models/emea:read", "instance/tenants:enter"];
    let limited = worker(&portal.server, &portal.root, "limited", &rights);
    let narrow = json!({ "name": "narrow", "ceiling": { "rights": ["models/emea:read"] } });
    let wide = json!({ "name": "wide", "ceiling": { "rights": ["models/**:read"] } });
    limited.post("/v1/trusted/enable", json!({ "name": "open" })).refused(403, "rights_exceed_caller");
    limited.post("/v1/trusted/enable", wide).refused(403, "rights_exceed_caller");
    let admins = json!({ "name": "a", "ceiling": { "rights": ["models/emea:read"], "admins": true } });
    limited.post("/v1/trusted/enable", admins).refused(403, "rights_exceed_caller");
    let own = limited.post("/v1/trusted/enable", narrow).expect(200).body;
    let raise = json!({ "ceiling": { "rights": null } });
    limited.patch(&format!("/v1/trusted/{}", text(&own["id"])), raise).refused(403, "rights_exceed_caller");
    let path = format!("/v1/trusted/{}", portal.id);
    limited.patch(&path, json!({ "name": "mine" })).refused(403, "above_caller");
    limited.post(&format!("{path}/rotate"), json!({})).refused(403, "above_caller");
    limited.post("/v1/trusted/disable", json!({ "confirm": true })).refused(403, "above_caller");
    limited.post("/v1/trusted/copy", json!({})).refused(403, "rights_exceed_caller");
    assert!(mint(&portal.backend, json!({ "username": "ada" })).ok()["token"].is_string());
    // A person's key manages none at all: whoever steals a script has not the tenant.
    let (_, _, boss) = person(&portal.server, &portal.root, "boss", &["**:*"]);
    boss.post("/v1/trusted/enable", json!({ "name": "b" })).refused(403, "wrong_class");
    boss.post("/v1/trusted/copy", json!({})).refused(403, "wrong_class");
    boss.get("/v1/trusted").expect(200);
    assert_eq!(portal.root.get("/v1/trusted").ok()["data"].as_array().map(Vec::len), Some(2));
}

#[test]
fn imp_7_several_named_secrets_live_side_by_side() {
    let portal = Portal::new();
    let (other, id) = enable(&portal.root, json!({ "name": "Portal 2" }));
    portal.root.post("/v1/trusted/enable", json!({ "name": "portal 2" })).refused(409, "already_enabled");
    let (a, b) = (token(&portal.backend, "ada"), token(&other, "ada"));
    portal.root.post("/v1/trusted/disable", json!({ "confirm": true, "id": id })).expect(200);
    assert_eq!(
        (portal.ask(&a, &[])["code"].clone(), portal.ask(&b, &[])["code"].clone()),
        (json!("ok"), json!("revoked"))
    );
    let names: Vec<Value> = portal.root.get("/v1/trusted").ok()["data"].as_array().expect("a list").clone();
    assert_eq!(names.len(), 2);
    portal.root.post("/v1/trusted/enable", json!({ "name": "portal 2" })).expect(200);
}

#[test]
fn x_13_the_named_examples_of_the_trusted_doors_work() {
    let portal = Portal::new();
    let document = crate::api::document(&portal.server);
    let mut sent = 0;
    for operation in crate::api::operations(&document) {
        if operation.path.starts_with("/v1/trusted/tokens") {
            operation.send(&portal.backend, &operation.path).expect(operation.status);
            sent += 1;
        }
    }
    assert_eq!(sent, 3);
}

/// What a right secret is refused concerns its tenant; a guess does not.
#[test]
fn imp_8_aud_1_every_refusal_of_a_right_secret_stands_in_the_log() {
    let portal = Portal::new();
    let path = format!("/v1/trusted/{}", portal.id);
    let (narrow, narrow_id) = enable(&portal.root, json!({ "name": "narrow" }));
    let narrow_path = format!("/v1/trusted/{narrow_id}");
    let set = |ceiling: Value| portal.root.patch(&narrow_path, json!({ "ceiling": ceiling })).expect(200);
    set(json!({ "cidrs": ["192.0.2.0/24"] }));
    mint(&narrow, json!({ "username": "ada" })).refused(403, "address_denied");
    set(json!({ "cidrs": null, "rights": ["models/**:read"], "exceeding": "cut" }));
    let door = "/v1/trusted/tokens/revoke";
    narrow.post(door, json!({ "username": "ada" })).refused(403, "above_ceiling");
    set(json!({ "per_minute": 1 }));
    wait_until(|| mint(&narrow, json!({ "username": "ada" })).status == 429);
    let query = format!("/v1/me?key={}", narrow.secret);
    portal.root.get(&query).refused(400, "credential_in_url");
    portal.root.post(&format!("{path}/rotate"), json!({ "overlap_seconds": 0 })).expect(200);
    mint(&portal.backend, json!({ "username": "ada" })).refused(401, "retired_secret");
    portal.root.post("/v1/trusted/disable", json!({ "id": narrow_id, "confirm": true })).expect(200);
    mint(&narrow, json!({ "username": "ada" })).refused(401, "trusted_disabled");
    let told =
        |action: &str, reason: &str, id: &str| {
            let events = portal.root.get("/v1/audit-events?outcome=refused&limit=200").ok();
            events["data"].as_array().expect("a list").iter().any(|event| {
                event["action"] == action && event["reason"] == reason && event["actor"]["id"] == id
            })
        };
    for (action, reason, id) in [
        ("mint_token", "address_denied", &narrow_id),
        ("revoke_trusted_token", "above_ceiling", &narrow_id),
        ("mint_token", "rate_limited", &narrow_id),
        ("trusted.exposed", "credential_in_url", &narrow_id),
        ("mint_token", "retired_secret", &portal.id),
        ("mint_token", "trusted_disabled", &narrow_id),
    ] {
        wait_until(|| told(action, reason, id));
    }
}

#[test]
fn imp_7_sto_4_dead_generations_keep_no_secret_and_live_ones_are_few() {
    let portal = Portal::new();
    let path = format!("/v1/trusted/{}", portal.id);
    let sealed = || {
        portal.server.place.sql("UPDATE trusted_generations SET created_at = created_at WHERE sealed <> ''")
    };
    assert_eq!(sealed(), 1);
    portal.root.post(&format!("{path}/rotate"), json!({ "overlap_seconds": 600 })).expect(200);
    assert_eq!(sealed(), 2);
    portal.root.post(&format!("{path}/rotate/finish"), json!({})).expect(200);
    assert_eq!(sealed(), 1);
    mint(&portal.backend, json!({ "username": "ada" })).refused(401, "retired_secret");
    for _ in 0..15 {
        portal.root.post(&format!("{path}/rotate"), json!({ "overlap_seconds": 0 })).expect(200);
    }
    assert_eq!(sealed(), 1);
    let shown = portal.root.get(&path).ok();
    assert_eq!(shown["generations"].as_array().map(Vec::len), Some(10));
    assert_eq!(shown["generations"][9]["generation"], 17);
    let copied = portal.root.post("/v1/trusted/copy", json!({})).ok();
    let newest = Caller { secret: text(&copied["secret"]), ..portal.backend.clone() };
    let got = token(&newest, "ada");
    for number in 1..20 {
        enable(&portal.root, json!({ "name": format!("number {number}") }));
    }
    portal.root.post("/v1/trusted/enable", json!({ "name": "more" })).refused(409, "too_many_secrets");
    portal.root.post("/v1/trusted/disable", json!({ "confirm": true })).expect(200);
    assert_eq!(sealed(), 19);
    enable(&portal.root, json!({ "name": "more" }));
    let server = portal.server.kill_and_restart();
    mint(&server.caller(&newest.secret), json!({ "username": "ada" })).refused(401, "trusted_disabled");
    assert_eq!(server.root().code(&got), "revoked");
}
