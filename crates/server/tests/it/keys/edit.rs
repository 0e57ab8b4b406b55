//! Editing: merge patches, the end of a key, switching it off and on.

use serde_json::{Value, json};

use super::{fault, millis, path};
use crate::support::{Answer, Server, text};

#[test]
fn x_6_bm_12_a_patch_keeps_what_is_absent_and_null_lifts() {
    let server = Server::start();
    let root = server.root();
    let limit = json!({ "name": "minute", "requests": 5, "per_seconds": 60 });
    let key = root.key(json!({
        "class": "workspace", "label": "x", "scopes": ["verify:call"], "credits": 5, "idle_seconds": 600,
        "conditions": { "cidrs": ["192.0.2.0/24"] }, "limits": [limit],
    }));
    let at = path(&key);
    let renamed = root.patch(&at, json!({ "label": "renamed" })).ok();
    for field in ["scopes", "credits", "idle_seconds", "conditions", "limits", "expires_at", "role_ids"] {
        assert_eq!(renamed[field], key[field], "{field} stays");
    }
    assert_eq!((&renamed["label"], &renamed["version"]), (&json!("renamed"), &json!(2)));
    let lifted = json!({
        "scopes": null, "credits": null, "idle_seconds": null, "conditions": null, "limits": null,
    });
    let lifted = root.patch(&at, lifted).ok();
    for field in ["scopes", "credits", "idle_seconds", "conditions"] {
        assert_eq!(lifted[field], Value::Null, "{field}");
    }
    assert_eq!(lifted["limits"], json!([]));
    assert_eq!(lifted["effective_rights"], json!(["**:*"]));
    assert_eq!(root.code(&text(&key["secret"])), "ok", "from anywhere");
    let merge = root.request("PATCH", &at).header("content-type", "application/merge-patch+json");
    let merge = Answer::read(merge.body(r#"{"label":"merged"}"#).send().expect("an answer")).ok();
    assert_eq!(merge["label"], "merged");
    let unknown = root.patch(&at, json!({ "lable": "x" })).refused(400, "malformed_request");
    assert_eq!(fault(&unknown), ("/lable", "unknown_field"));
    assert!(text(&unknown.body["errors"][0]["detail"]).contains("did you mean label?"));
    for fixed in ["class", "access_key", "created_at", "tenant_id", "secrets", "version"] {
        let refused = root.patch(&at, json!({ fixed: key[fixed] })).refused(400, "malformed_request");
        assert_eq!(fault(&refused).1, "unknown_field", "{fixed}");
    }
    assert_eq!(root.get(&at).ok()["label"], "merged");
}

#[test]
fn bm_5_an_expired_key_is_extended() {
    let server = Server::start();
    let root = server.root();
    let make = || root.key(json!({ "class": "workspace", "label": "short", "ttl_seconds": 1 }));
    let (one, two) = (make(), make());
    std::thread::sleep(std::time::Duration::from_millis(1_100));
    assert_eq!(root.code(&text(&one["secret"])), "expired");
    assert_eq!(root.get(&path(&one)).ok()["status"], "expired");
    root.post(&format!("{}/extend", path(&one)), json!({ "ttl_seconds": -1 })).refused(422, "invalid_value");
    let extended = root.post(&format!("{}/extend", path(&one)), json!({})).expect(200).body;
    let life = millis(&extended["expires_at"]) - millis(&extended["updated_at"]);
    assert_eq!((&extended["status"], life), (&json!("active"), 90 * 86_400_000));
    assert_eq!(root.code(&text(&one["secret"])), "ok");
    let edited = root.patch(&path(&two), json!({ "expires_at": "2099-01-01T00:00:00Z" })).ok();
    assert_eq!(edited["expires_at"], "2099-01-01T00:00:00.000Z");
    assert_eq!(root.code(&text(&two["secret"])), "ok");
    let rules = json!({ "workspace": { "max_ttl_days": 90 } });
    root.patch("/v1/policies", rules).ok();
    let beyond = root.post(&format!("{}/extend", path(&one)), json!({ "expires": "never" }));
    assert_eq!(beyond.refused(422, "policy_violation").body["policy"], "workspace.never_expire");
}

#[test]
fn bm_12_a_key_is_switched_off_and_on() {
    let server = Server::start();
    let root = server.root();
    let (_, key) = root.member("bob", &[]);
    let (at, secret) = (path(&key), text(&key["secret"]));
    let off = root.post(&format!("{at}/deactivate"), json!({ "reason": "odd traffic" })).ok();
    assert_eq!(off["status"], "inactive");
    assert_eq!(root.code(&secret), "inactive");
    server.caller(&secret).get("/v1/me").refused(401, "inactive");
    root.post(&format!("{at}/deactivate"), json!({})).refused(409, "no_change");
    assert_eq!(root.post(&format!("{at}/activate"), json!({})).ok()["status"], "active");
    assert_eq!(root.code(&secret), "ok");
    root.post(&format!("{at}/activate"), json!({})).refused(409, "no_change");
    let unknown = root.post(&format!("{at}/activate"), json!({ "force": true }));
    unknown.refused(400, "malformed_request");
}

#[test]
fn x_3_x_6_editing_keeps_secret_and_state_of_limits() {
    let server = Server::start();
    let root = server.root();
    let limit = json!({ "name": "hour", "requests": 3, "per_seconds": 3600 });
    let key = root.key(json!({ "class": "workspace", "label": "x", "limits": [limit] }));
    let secret = text(&key["secret"]);
    for left in [2, 1] {
        assert_eq!(root.verify(&secret)["limits"][0]["remaining"], left);
    }
    root.patch(&path(&key), json!({ "label": "y" })).ok();
    assert_eq!(root.verify(&secret)["limits"][0]["remaining"], 0, "a new label is no new allowance");
    assert_eq!(root.code(&secret), "rate_limited");
}

#[test]
fn x_6_credits_are_granted_anew() {
    let server = Server::start();
    let root = server.root();
    let key = root.key(json!({ "class": "workspace", "label": "x", "credits": 1 }));
    let secret = text(&key["secret"]);
    assert_eq!(root.code(&secret), "ok");
    assert_eq!(root.code(&secret), "credits_exhausted");
    let granted = root.patch(&path(&key), json!({ "credits": 2 })).ok();
    assert_eq!(granted["credits"], json!({ "granted": 2, "remaining": 2 }));
    assert_eq!(
        [root.code(&secret), root.code(&secret), root.code(&secret)],
        ["ok", "ok", "credits_exhausted"]
    );
    root.patch(&path(&key), json!({ "credits": null })).ok();
    assert_eq!(root.code(&secret), "ok");
}
