//! Making and managing keys.

use serde_json::{Value, json};

use super::{at, enter, log_in, operator, post, refused, start};
use crate::api::{snapshot, tenant};
use crate::support::{Answer, Caller, Server, client, text};

const NEVER: &str = "Never expires (not recommended)";

/// The path of a key.
fn path(key: &Value) -> String {
    at(&format!("/access_keys/{}", text(&key["access_key"])))
}

fn make(caller: &Caller, body: Value) -> Value {
    caller.post(&at("/access_keys"), body).ok()
}

fn tenant_key(caller: &Caller, name: &str) -> Value {
    make(caller, json!({ "name": name, "type": "TENANT", "expiry_enum": "30 days", "roles": ["admin"] }))
}

/// An answer of a gateway to this `Authorization`.
fn gateway(server: &Server, authorization: &str) -> Answer {
    let request = client().get(format!("{}/authz", server.url)).header("authorization", authorization);
    Answer::read(request.send().expect("an answer"))
}

#[test]
fn bm_1_bm_7_bm_11_a_tenant_key_is_made_and_its_secret_told_once() {
    let server = start();
    let operator = operator(&server);
    let body = json!({
        "name": "nightly export", "description": "reads the reports", "type": "TENANT", "expiry_enum": "30 days",
        "roles": ["admin"], "unheard_of": true,
    });
    let key = make(&operator, body);
    let (access_key, secret) = (text(&key["access_key"]), text(&key["access_secret_key"]));
    assert!(access_key.starts_with("kwa_") && secret.starts_with("kww_"), "{key}");
    assert_eq!((&key["name"], &key["description"]), (&json!("nightly export"), &json!("reads the reports")));
    assert_eq!([&key["type"], &key["status"], &key["expiry_enum"]], ["TENANT", "ACTIVE", "30 days"]);
    assert_eq!((&key["key_expired"], &key["non_deletable"]), (&json!(false), &json!(false)));
    let line = format!("key:{access_key}::{secret},tenant id: {}", server.tenant());
    assert_eq!((&key["copy"], &key["tenant_id"]), (&json!(line), &json!(server.tenant())));
    let (from, to) = (text(&key["created_date"]), text(&key["expiry_time"]));
    let time = |text: &str| format!("{text}Z").parse::<jiff::Timestamp>().expect("a time").as_second();
    assert_eq!(time(&to) - time(&from), 30 * 86_400);
    // It works at once, and the secret stands nowhere any more.
    let own = enter(&server, &key);
    assert_eq!(own.get(&at("/userinfo")).ok()["user_id"], key["user_id"]);
    for shown in [own.get(&path(&key)), own.get(&at("/access_keys")), own.get(&at("/userinfo"))] {
        assert!(shown.status == 200 && !shown.text.contains(&secret[20..]), "{}", shown.text);
    }
    assert!(!server.place.dump().contains(&secret) && !server.place.log().contains(&secret));
}

#[test]
fn bm_2_an_administrator_makes_many_keys_and_a_user_two() {
    let server = start();
    let (root, operator) = (server.root(), operator(&server));
    for number in 0..4 {
        tenant_key(&operator, &format!("key {number}"));
    }
    let (bob, first) = root.member("bob", &[]);
    let own = enter(&server, &first);
    let mine = at(&format!("/users/{bob}/access_keys"));
    let body = json!({ "name": "second", "expiry_enum": "60 days" });
    let second = own.post(&mine, body.clone()).ok();
    assert_eq!((&second["type"], &second["user_id"]), (&json!("USER"), &json!(bob)));
    assert_eq!(enter(&server, &second).get(&at("/userinfo")).ok()["principal_id"], "bob");
    let before = snapshot(&root);
    for caller in [&own, &operator] {
        assert!(refused(&caller.post(&mine, body.clone()), 400, "BAD_REQUEST").contains("2 keys"));
    }
    let listed = own.get(&mine).ok();
    assert_eq!(
        (listed["records"].as_array().map(Vec::len), &listed["_metadata"]["total_count"]),
        (Some(2), &json!(2))
    );
    assert_eq!(operator.get(&mine).ok()["records"], listed["records"]);
    // Nobody makes or sees keys of another, nor learns whom there is.
    let (eve, other) = root.member("eve", &[]);
    let eves = enter(&server, &other);
    for user in [bob.as_str(), "user_nobody"] {
        let theirs = at(&format!("/users/{user}/access_keys"));
        refused(&eves.get(&theirs), 404, "NOT_FOUND");
        refused(&eves.post(&theirs, body.clone()), 404, "NOT_FOUND");
    }
    let roles = json!({ "name": "x", "expiry_enum": "60 days", "roles": ["admin"] });
    refused(&eves.post(&at(&format!("/users/{eve}/access_keys")), roles), 400, "BAD_REQUEST");
    // Room is made by deleting one.
    own.delete(&path(&second)).expect(204);
    own.post(&mine, body).expect(200);
    let after = snapshot(&root)[0][3].as_array().map(Vec::len);
    assert_eq!(after, before[0][3].as_array().map(|keys| keys.len() + 2), "eve's, and the one in its place");
}

#[test]
fn bm_3_an_access_key_is_for_programs_and_an_api_key_for_ingestion_alone() {
    let server = start();
    let (root, operator) = (server.root(), operator(&server));
    let api = make(&operator, json!({ "name": "collector", "type": "API", "expiry_enum": NEVER }));
    let (access_key, secret) = (text(&api["access_key"]), text(&api["access_secret_key"]));
    assert!(secret.starts_with("kwi_"), "{api}");
    refused(&log_in(&server, &api), 403, "FORBIDDEN");
    refused(&server.caller(&secret).get(&at("/access_keys")), 403, "FORBIDDEN");
    // As collectors send it, at any gateway.
    let three = format!("{}::{access_key}::{secret}", server.tenant());
    for scheme in ["apiKey", "Bearer"] {
        gateway(&server, &format!("{scheme} {three}")).expect(200);
        gateway(&server, &format!("{scheme} tenant_of_others::{access_key}::{secret}")).expect(401);
    }
    let may = |right: &str| {
        let body = json!({ "credential": secret, "rights": [right] });
        text(&root.post("/v1/verify", body).ok()["code"])
    };
    assert_eq!([may("ingest/metrics:write"), may("models/emea:read")], ["ok", "insufficient_rights"]);
    for body in [
        json!({ "name": "x", "type": "USER", "expiry_enum": "30 days" }),
        json!({ "name": "x", "type": "OTHER", "expiry_enum": "30 days" }),
        json!({ "name": "x", "type": "API", "roles": ["admin"], "expiry_enum": "30 days" }),
        json!({ "name": "x", "type": "TENANT", "rotation": { "rotation_period": 7, "grace_period": 2 } }),
        json!({ "name": "", "type": "TENANT" }),
        json!({ "type": "TENANT" }),
        json!({ "name": "x".repeat(101), "type": "TENANT" }),
    ] {
        let before = snapshot(&root);
        refused(&operator.post(&at("/access_keys"), body), 400, "BAD_REQUEST");
        assert_eq!(snapshot(&root), before);
    }
}

#[test]
fn bm_4_a_key_lives_for_days_until_a_date_or_without_end() {
    let server = start();
    let (root, operator) = (server.root(), operator(&server));
    let wish = |end: Value| {
        let mut body = json!({ "name": "x", "type": "TENANT" });
        body.as_object_mut().expect("an object").extend(end.as_object().expect("an object").clone());
        operator.post(&at("/access_keys"), body)
    };
    for days in [1, 30, 60, 90, 365] {
        let word = format!("{days} days");
        let key = wish(json!({ "expiry_enum": word })).ok();
        assert_eq!(key["expiry_enum"], json!(word));
    }
    let key = wish(json!({ "expiry_enum": "Custom", "expiry_time": "2099-01-31T23:59:59" })).ok();
    assert_eq!(
        (&key["expiry_enum"], &key["expiry_time"]),
        (&json!("Custom"), &json!("2099-01-31T23:59:59.000"))
    );
    let key = wish(json!({ "expiry_enum": NEVER })).ok();
    assert_eq!((&key["expiry_enum"], key.get("expiry_time")), (&json!(NEVER), None));
    // As the policy says unless told otherwise.
    assert_eq!(wish(json!({})).ok()["expiry_enum"], "90 days");
    for wrong in [
        json!({ "expiry_enum": "a while" }),
        json!({ "expiry_enum": "0 days" }),
        json!({ "expiry_enum": "Custom" }),
        json!({ "expiry_enum": "Custom", "expiry_time": "2001-01-31T23:59:59" }),
        json!({ "expiry_time": "tomorrow" }),
        json!({ "expiry_enum": 30 }),
    ] {
        refused(&wish(wrong), 400, "BAD_REQUEST");
    }
    root.patch("/v1/policies", json!({ "workspace": { "never_expire": false, "max_ttl_days": 90 } }))
        .expect(200);
    let before = snapshot(&root);
    refused(&wish(json!({ "expiry_enum": NEVER })), 400, "BAD_REQUEST");
    refused(&wish(json!({ "expiry_enum": "91 days" })), 400, "BAD_REQUEST");
    assert_eq!(snapshot(&root), before);
}

#[test]
fn bm_5_a_key_that_is_over_is_extended() {
    let server = start();
    let (root, operator) = (server.root(), operator(&server));
    let key = root.key(json!({ "class": "workspace", "label": "short", "ttl_seconds": 1 }));
    std::thread::sleep(std::time::Duration::from_millis(1_100));
    let over = operator.get(&path(&key)).ok();
    assert_eq!((&over["key_expired"], &over["expiry_enum"]), (&json!(true), &json!("Custom")));
    refused(&log_in(&server, &key), 401, "UNAUTHORIZED");
    for wrong in ["yesterday", "0 days"] {
        refused(&operator.patch(&path(&key), json!({ "expiry_enum": wrong })), 400, "BAD_REQUEST");
    }
    let again = operator.patch(&path(&key), json!({ "expiry_enum": "30 days" })).ok();
    assert_eq!((&again["key_expired"], &again["expiry_enum"]), (&json!(false), &json!("30 days")));
    log_in(&server, &key).expect(200);
    let never = operator.patch(&path(&key), json!({ "expiry_enum": NEVER })).ok();
    assert_eq!((&never["expiry_enum"], never.get("expiry_time")), (&json!(NEVER), None));
}

#[test]
fn bm_6_bm_12_roles_and_groups_at_the_making_or_later_and_what_they_permit() {
    let server = start();
    let (root, operator) = (server.root(), operator(&server));
    let reader = root.role("reader", &["models/**:read"]);
    let lister = root.role("lister", &["keys:read", "roles:read"]);
    root.post("/v1/groups", json!({ "name": "Listers", "role_ids": [lister] })).expect(201);
    // Without any it may next to nothing, until it is given some.
    let key = make(&operator, json!({ "name": "etl", "type": "TENANT", "expiry_enum": "30 days" }));
    let own = enter(&server, &key);
    refused(&own.get(&at("/access_keys")), 403, "FORBIDDEN");
    let shown = operator.get(&path(&key)).ok();
    assert_eq!((&shown["roles"], &shown["groups"]), (&json!(["member"]), &json!([])));
    let given = json!({ "roles": ["Reader"], "groups": ["Listers"] });
    let given = operator.patch(&path(&key), given).ok();
    assert_eq!((&given["roles"], &given["groups"]), (&json!(["reader"]), &json!(["Listers"])));
    let permissions = given["permissions"].as_array().expect("a list");
    for right in ["models/**:read", "keys:read"] {
        assert!(permissions.contains(&json!(right)), "{permissions:?}");
    }
    own.get(&at("/access_keys")).expect(200);
    let made = json!({ "name": "x", "type": "TENANT", "expiry_enum": "30 days", "roles": [reader] });
    assert_eq!(operator.get(&path(&make(&operator, made))).ok()["roles"], json!(["reader"]));
    // Nobody gives what they do not hold, and no role that there is not.
    let before = snapshot(&root);
    refused(&operator.patch(&path(&key), json!({ "roles": ["no such"] })), 400, "BAD_REQUEST");
    refused(&own.patch(&path(&key), json!({ "roles": ["admin"] })), 403, "FORBIDDEN");
    assert_eq!(snapshot(&root), before);
}

#[test]
fn bm_10_a_new_secret_replaces_the_old_one_at_once() {
    let server = start();
    let operator = operator(&server);
    let key = tenant_key(&operator, "x");
    let before = log_in(&server, &key).ok();
    let old = server.caller(&text(&before["json_web_token"]));
    old.get(&at("/userinfo")).expect(200);
    let renewed = operator.post(&format!("{}/access_secret_key", path(&key)), json!({})).ok();
    assert_eq!(renewed["access_key"], key["access_key"]);
    assert_ne!(renewed["access_secret_key"], key["access_secret_key"]);
    let secret = text(&renewed["access_secret_key"]);
    assert!(text(&renewed["copy"]).contains(&secret));
    refused(&log_in(&server, &key), 401, "UNAUTHORIZED");
    refused(&old.get(&at("/userinfo")), 401, "UNAUTHORIZED");
    refused(&post(&server, "/auth/tokens", &json!({ "token": before["token"] })), 401, "UNAUTHORIZED");
    enter(&server, &renewed).get(&at("/userinfo")).expect(200);
    assert!(!operator.get(&path(&key)).text.contains(&secret[20..]));
    refused(
        &operator.post(&at("/access_keys/kwa_0000000000000000/access_secret_key"), json!({})),
        404,
        "NOT_FOUND",
    );
}

#[test]
fn bm_12_a_key_is_renamed_switched_and_deleted() {
    let server = start();
    let (root, operator) = (server.root(), operator(&server));
    let key = tenant_key(&operator, "x");
    let patch = |body: Value| operator.patch(&path(&key), body);
    let named = patch(json!({ "name": "y", "description": "reads" })).ok();
    assert_eq!((&named["name"], &named["description"]), (&json!("y"), &json!("reads")));
    assert_eq!(patch(json!({ "name": "z" })).ok()["description"], "reads", "what is absent stays");
    assert_eq!(patch(json!({ "description": "" })).ok().get("description"), None);
    assert_eq!(patch(json!({ "status": "ACTIVE" })).ok()["status"], "ACTIVE", "no change is none");
    assert_eq!(patch(json!({ "status": "INACTIVE", "name": "off" })).ok()["status"], "INACTIVE");
    refused(&log_in(&server, &key), 401, "UNAUTHORIZED");
    assert_eq!(patch(json!({ "status": "INACTIVE" })).ok()["name"], "off");
    let before = snapshot(&root);
    refused(&patch(json!({ "status": "REVOKED" })), 400, "BAD_REQUEST");
    refused(&patch(json!({ "name": "w", "status": "ACTIVE", "expiry_enum": "soon" })), 400, "BAD_REQUEST");
    refused(&patch(json!({ "name": "x".repeat(101), "status": "ACTIVE" })), 400, "BAD_REQUEST");
    assert_eq!(snapshot(&root), before);
    assert_eq!(patch(json!({ "status": "ACTIVE" })).ok()["status"], "ACTIVE");
    log_in(&server, &key).expect(200);

    // Of other tenants nobody learns anything, and a key has its access key for a name alone.
    let (_, admin) = tenant(&server, "acme");
    let theirs = admin.key(json!({ "class": "workspace", "label": "theirs" }));
    let id = at(&format!("/access_keys/{}", text(&root.get("/v1/me").ok()["key"]["id"])));
    for place in [path(&theirs), at("/access_keys/kwa_0000000000000000"), id] {
        refused(&operator.get(&place), 404, "NOT_FOUND");
        refused(&operator.patch(&place, json!({ "name": "mine" })), 404, "NOT_FOUND");
        refused(&operator.delete(&place), 404, "NOT_FOUND");
    }
    assert_eq!(admin.get(&format!("/v1/keys/{}", text(&theirs["id"]))).ok()["label"], "theirs");

    operator.delete(&path(&key)).expect(204);
    for answer in [
        operator.get(&path(&key)),
        patch(json!({ "name": "again" })),
        operator.delete(&path(&key)),
        operator.post(&format!("{}/access_secret_key", path(&key)), json!({})),
    ] {
        refused(&answer, 404, "NOT_FOUND");
    }
    refused(&log_in(&server, &key), 401, "UNAUTHORIZED");
}
