//! The life of keys in Mode's words: how long they last, how they end, who sees them, who makes them.

use serde_json::{Value, json};

use super::{World, items, read, refused, token_of};
use crate::api::person;
use crate::support::{Answer, text, wait_until};

#[test]
fn mo_5_ninety_days_unless_policy_says_otherwise() {
    let world = World::new();
    let (made, _) = world.make(&json!({ "token_name": "default" }));
    let days = |made: &Value| {
        let ms = |name: &str| crate::keys::millis(&made[name]);
        (ms("expires_at") - ms("created_at")) / 86_400_000
    };
    assert_eq!(days(&made), 90);
    let member = json!({ "token_name": "m", "api_key_scope": "member", "member": "mia" });
    assert_eq!(days(&world.make(&member).0), 90);
    world
        .admin
        .patch("/v1/policies", json!({ "workspace": { "default_ttl_days": 7, "max_ttl_days": 7 } }))
        .ok();
    assert_eq!(days(&world.make(&json!({ "token_name": "shorter" })).0), 7);
    let wish = json!({ "api_key": { "token_name": "x", "expires_at": "2099-01-01T00:00:00Z" } });
    let message = refused(&world.post("/api/acme/api_keys", &world.admin, &wish), 403, "forbidden");
    assert!(message.contains("policy allows an end up to"), "{message}");
    let past = json!({ "api_key": { "token_name": "x", "expires_at": "2020-01-01T00:00:00Z" } });
    let message = refused(&world.post("/api/acme/api_keys", &world.admin, &past), 400, "bad_request");
    assert!(message.starts_with("api_key.expires_at: "), "{message}");
    let brief = world.admin.key(json!({ "class": "workspace", "label": "brief", "ttl_seconds": 4 }));
    let brief = world.server.caller(&text(&brief["secret"]));
    assert_eq!(world.verifies(&brief), 200);
    wait_until(|| world.verifies(&brief) == 401);
}

#[test]
fn mo_6_one_several_or_all_with_a_confirmation() {
    let world = World::new();
    let (one, one_key) = world.make(&json!({ "token_name": "one" }));
    let at = text(&one["_links"]["self"]["href"]);
    let gone = world.delete(&at, &world.admin).expect(204);
    assert_eq!(gone.text, "");
    refused(&world.get("/api/verify", &one_key), 401, "unauthorized");
    refused(&world.delete(&at, &world.admin), 409, "conflict");
    assert_eq!(world.get(&at, &world.admin).expect(200).body["state"], "revoked");
    refused(&world.delete("/api/acme/api_keys/kwa_0000000000000000", &world.admin), 404, "not_found");

    let (_, two) = world.make(&json!({ "token_name": "two" }));
    let noah = person(&world.server, &world.admin, "noah", &["me:read"]).2;
    let all = "/api/acme/api_keys/revoke_all";
    let revoke = |fields: Value| world.post(all, &world.admin, &json!({ "api_key": fields }));
    for bad in [
        json!({ "api_key_scope": "members", "confirm": "revoke 2" }),
        json!({ "scope": "member", "confirm": "revoke 2" }),
        json!({ "confirm": 2 }),
    ] {
        refused(&revoke(bad), 400, "bad_request");
    }
    refused(&world.post(all, &world.admin, &json!({})), 400, "bad_request");
    refused(&revoke(json!({ "member": "nobody", "confirm": "revoke 0" })), 404, "not_found");
    let message = refused(&revoke(json!({ "api_key_scope": "member" })), 409, "conflict");
    assert!(message.contains("revoke 2"), "{message}");
    refused(&revoke(json!({ "api_key_scope": "member", "confirm": "revoke 3" })), 409, "conflict");
    let look = revoke(json!({ "api_key_scope": "member", "preview": true })).expect(200);
    assert_eq!((&look.body["matched"], &look.body["revoked"]), (&json!(2), &json!(0)));
    assert_eq!([&world.mia, &noah, &two].map(|who| world.verifies(who)), [200; 3], "nothing happened yet");

    let done = revoke(json!({ "member": "noah", "reason": "left", "confirm": "revoke 1" })).expect(200);
    assert_eq!(
        (&done.body["revoked"], items(&done, "api_keys")[0]["member_username"].as_str()),
        (&json!(1), Some("noah"))
    );
    assert_eq!([&world.mia, &noah, &two].map(|who| world.verifies(who)), [200, 401, 200]);
    revoke(json!({ "confirm": "revoke 2" })).expect(200);
    assert_eq!(
        [&world.mia, &two, &world.admin].map(|who| world.verifies(who)),
        [401, 401, 200],
        "all but itself"
    );
}

#[test]
fn mo_7_active_revoked_and_expired_with_maker_use_and_end() {
    let world = World::new();
    let (made, key) = world.make(&json!({ "token_name": "ends" }));
    let brief = world.admin.key(json!({ "class": "workspace", "label": "brief", "ttl_seconds": 1 }));
    world.verifies(&key);
    let list = |query: &str| world.get(&format!("/api/acme/api_keys{query}"), &world.admin).expect(200);
    let named = |answer: &Answer, name: &str| {
        let found = items(answer, "api_keys").iter().find(|key| key["token_name"] == name).cloned();
        found.unwrap_or_else(|| panic!("{name}: {}", answer.text))
    };
    // Whoever waits by Mode's paths meets its limit.
    let seen = |key: &Value| world.admin.get(&format!("/v1/keys/{}", text(&key["id"]))).ok();
    wait_until(|| seen(&brief)["status"] == "expired");
    wait_until(|| seen(&made)["last_used_at"].is_string());
    assert_eq!(named(&list(""), "brief")["state"], "expired");
    assert!(named(&list(""), "ends")["last_used_at"].is_string());
    world.delete(&text(&made["_links"]["self"]["href"]), &world.admin).expect(204);
    let all = list("");
    assert_eq!(named(&all, "own")["state"], "active");
    let ended = named(&all, "ends");
    assert_eq!((&ended["state"], &ended["created_by"]), (&json!("revoked"), &json!("admin")));
    assert!(ended["revoked_at"].is_string() && ended["expires_at"].is_string() && ended["id"].is_string());
    assert_eq!(all.body["pagination"]["total_count"], 4);
    assert!(!all.text.contains(&text(&brief["secret"])));
    let names = |answer: Answer| -> Vec<String> {
        items(&answer, "api_keys").iter().map(|key| text(&key["token_name"])).collect()
    };
    assert_eq!(names(list("?state=revoked")), ["ends"]);
    assert_eq!(names(list("?state=expired")), ["brief"]);
    assert_eq!(names(list("?api_key_scope=member")), ["own"]);
    let second = list("?per_page=3&page=2");
    assert_eq!(items(&second, "api_keys").len(), 1);
    let page = json!({ "page": 2, "per_page": 3, "total_pages": 2, "total_count": 4 });
    assert_eq!(second.body["pagination"], page);
    assert!(items(&list("?page=9"), "api_keys").is_empty());
    assert_eq!(list("?per_page=500").body["pagination"]["per_page"], 30);
    for bad in ["?page=0", "?page=x", "?state=gone", "?api_key_scope=other"] {
        refused(&world.get(&format!("/api/acme/api_keys{bad}"), &world.admin), 400, "bad_request");
    }
}

#[test]
fn mo_7_the_audit_log_is_plain_json() {
    let world = World::new();
    world.make(&json!({ "token_name": "told" }));
    let range = "start_timestamp=2020-01-01T00:00:00&end_timestamp=2099-01-01T00:00:00%2B00:00";
    let told = world.log(&format!("{range}&action=key.create&entity_name=told"), &world.admin).expect(200);
    assert_eq!(told.header("content-type"), "application/json; charset=utf-8");
    let entries = told.body["audit_logs"].as_array().expect("a list");
    assert_eq!((entries.len(), &entries[0]["entity"]["entity_name"]), (1, &json!("told")));
    assert_eq!(
        (&entries[0]["action"], &entries[0]["actor"]["username"]),
        (&json!("key.create"), &json!("admin"))
    );
    assert_eq!((&entries[0]["workspace_username"], &told.body["next_token"]), (&json!("acme"), &Value::Null));
    for (filter, count) in [("entity_type=user", 1), ("username=nobody", 0), ("ip=192.0.2.1", 0)] {
        let some = world.log(&format!("{range}&{filter}"), &world.admin).expect(200);
        assert_eq!(some.body["audit_logs"].as_array().map(Vec::len), Some(count), "{filter}: {}", some.text);
    }
    let early = "start_timestamp=2019-01-01&end_timestamp=2020-01-01";
    assert_eq!(world.log(early, &world.admin).expect(200).body["audit_logs"], json!([]));
    for bad in [
        "",
        "start_timestamp=2020-01-01",
        "start_timestamp=x&end_timestamp=2099-01-01",
        &format!("{range}&event_source=app"),
        &format!("{range}&next_token=x"),
        &format!("{range}&entity_id=%00"),
    ] {
        refused(&world.log(bad, &world.admin), 400, "bad_request");
    }
    // HAL is refused before anybody looks who asks.
    let path = format!("/api/acme/audit_logs?{range}");
    refused(&read(world.plain("GET", &path)), 406, "not_acceptable");
    refused(&world.get(&path, &world.admin), 406, "not_acceptable");
}

#[test]
fn mo_7_pages_of_members_by_number() {
    let world = World::new();
    for number in 0..31 {
        world.admin.user(&format!("user-{number:02}"), &[]);
    }
    let page = |number: u32| {
        world.get(&format!("/api/acme/memberships/lite?page={number}&per_page=50"), &world.admin)
    };
    let counts = [1, 2, 3].map(|number| items(&page(number), "memberships").len());
    assert_eq!(counts, [30, 2, 0]);
    let pagination = json!({ "page": 2, "per_page": 30, "total_pages": 2, "total_count": 32 });
    assert_eq!(page(2).body["pagination"], pagination);
}

#[test]
fn mo_8_users_make_their_own_and_use_it_in_mode() {
    let world = World::new();
    let own = world.mia.key(json!({ "class": "member", "label": "My API key" }));
    let own = world.server.caller(&text(&own["secret"]));
    assert_eq!(world.get("/api/verify", &own).expect(200).body["api_key_scope"], "member");
    let at = format!("/api/acme/api_keys/{}", token_of(&own));
    let record = world.get(&at, &own).expect(200).body;
    assert_eq!((&record["token_name"], &record["created_by"]), (&json!("My API key"), &json!("mia")));
    world.get(&at, &world.mia).expect(200);
    // An administrator makes one for a user, too, within the user's number of keys.
    let wish = json!({ "api_key": { "token_name": "third", "api_key_scope": "member", "member": "mia" } });
    refused(&world.post("/api/acme/api_keys", &world.admin, &wish), 403, "forbidden");
    world.mia.delete(&format!("/v1/keys/{}", token_of(&own))).expect(204);
    world.post("/api/acme/api_keys", &world.admin, &wish).expect(201);
}
