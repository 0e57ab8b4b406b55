//! `/v1/policies`: rules that bind keys already issued, how they are changed, and approvals.

mod approvals;
mod drafts;
mod impact;
mod rules;
mod schedule;
mod versions;

use serde_json::{Value, json};

use crate::keys::{fault, path};
use crate::logins::{ask_for_no_factor, session, somebody};
use crate::support::{Answer, Caller, Server, text};

/// A session of a new user with these rights whose last proof is too old for what is dangerous.
fn stale_session(server: &Server, name: &str, rights: &[&str]) -> Caller {
    ask_for_no_factor(&server.root());
    somebody(server, name, rights);
    let stale = session(&server.url, name);
    // Before the server has read it.
    server.place.sql("UPDATE sessions SET stepped_up_at = stepped_up_at - 601000");
    stale
}

/// Drafts changes of the policy; returns the path of the draft.
fn draft(caller: &Caller, patch: Value) -> String {
    let made = caller.post("/v1/policies/drafts", json!({ "patch": patch })).expect(201).body;
    format!("/v1/policies/drafts/{}", text(&made["id"]))
}

#[test]
fn x_5_mo_5_bm_2_sq_4_the_document_and_its_defaults() {
    let server = Server::start();
    let root = server.root();
    let shown = root.get("/v1/policies").expect(200);
    let policy = &shown.body;
    assert_eq!(shown.header("etag"), format!("\"{}\"", policy["version"]));
    assert_eq!(policy["owner_login_window_minutes"], 14 * 24 * 60);
    assert_eq!(policy["max_keys_per_user"], 2);
    for class in ["member", "workspace", "ingest"] {
        assert_eq!(
            (&policy[class]["default_ttl_days"], &policy[class]["max_ttl_days"]),
            (&json!(90), &Value::Null)
        );
    }
    let changed = root.patch("/v1/policies", json!({ "member": { "default_ttl_days": 30 } })).ok();
    assert_eq!((&changed["member"]["default_ttl_days"], &changed["ingest"]), (&json!(30), &policy["ingest"]));
    assert_eq!(changed["member"]["never_expire"], policy["member"]["never_expire"], "what is absent stays");
    let back = root.patch("/v1/policies", json!({ "member": { "default_ttl_days": null } })).ok();
    assert_eq!(back["member"], policy["member"], "null brings the default back");
    let stale = root.request("PATCH", "/v1/policies").header("if-match", shown.header("etag"));
    let stale = stale.json(&json!({ "max_keys_per_user": 9 })).send().expect("an answer");
    Answer::read(stale).refused(412, "stale_version");
    assert_eq!(root.get("/v1/policies").ok(), back);
}

#[test]
fn x_5_bad_rules_are_named_and_change_nothing() {
    let server = Server::start();
    let root = server.root();
    let before = root.get("/v1/policies").ok();
    let limit = json!({ "name": "a", "requests": 1, "per_seconds": 0 });
    for (patch, pointer) in [
        (json!({ "owner_login_window_minutes": -2 }), "/owner_login_window_minutes"),
        (json!({ "member": { "max_ttl_days": 0 } }), "/member/max_ttl_days"),
        (json!({ "member": { "max_ttl_days": 10 } }), "/member/default_ttl_days"),
        (json!({ "ingest": { "idle_days": 40_000 } }), "/ingest/idle_days"),
        (json!({ "workspace": { "max_age_days": 0 } }), "/workspace/max_age_days"),
        (json!({ "owner_limits": [limit] }), "/owner_limits/0"),
    ] {
        let refused = root.patch("/v1/policies", patch.clone()).refused(422, "invalid_value");
        assert_eq!(fault(&refused).0, pointer, "{patch}");
    }
    for patch in [
        json!({ "membr": {} }),
        json!({ "member": { "max_tll_days": 3 } }),
        json!({ "max_keys_per_user": -1 }),
        json!({ "switches": { "member_keys": "no" } }),
        json!([]),
    ] {
        let refused = root.patch("/v1/policies", patch.clone());
        assert!([400, 422].contains(&refused.status), "{patch}: {}", refused.text);
    }
    assert_eq!(root.get("/v1/policies").ok(), before);
}

/// A member key of a user `bob`, made ten days ago and never used since.
pub(super) fn ten_days_old(server: &Server) -> (String, Value) {
    let made = server.root().member("bob", &[]);
    server.place.sql("UPDATE users SET created_at = created_at - 864000000 WHERE username = 'bob'");
    server.place.sql("UPDATE keys SET created_at = created_at - 864000000 WHERE class = 'member'");
    server.place.sql(
        "UPDATE key_secrets SET created_at = created_at - 864000000
         WHERE key_id IN (SELECT id FROM keys WHERE class = 'member')",
    );
    made
}

#[test]
fn x_5_x_2_maximum_age_and_idle_limit_bind_keys_already_issued() {
    let server = Server::start();
    let root = server.root();
    let (_, key) = ten_days_old(&server);
    let rule = |rules: Value| drop(root.patch("/v1/policies", json!({ "member": rules })).ok());
    // Before the first use: a use would count against the idle limit.
    rule(json!({ "idle_days": 9 }));
    assert_eq!(root.code(&text(&key["secret"])), "idle");
    assert_eq!(root.get(&path(&key)).ok()["status_cause"], "idle");
    rule(json!({ "idle_days": 9, "max_age_days": 9 }));
    assert_eq!(root.code(&text(&key["secret"])), "too_old", "the first reason wins");
    let rotated = root.post(&format!("{}/rotate", path(&key)), json!({ "overlap_seconds": 60 })).ok();
    assert_eq!(root.code(&text(&rotated["secret"])), "ok", "rotation renews");
    assert_eq!(root.code(&text(&key["secret"])), "too_old", "each secret has its own age");
    rule(json!({ "idle_days": null, "max_age_days": 11 }));
    let answer = root.verify(&text(&key["secret"]));
    assert_eq!(answer["code"], "ok");
    let left = crate::keys::millis(&answer["expires_at"]) - jiff::Timestamp::now().as_millisecond();
    assert!((1..=60_000).contains(&left), "the overlap ends first: {left}");
}

#[test]
fn x_5_a_dry_run_lists_what_a_rule_would_stop() {
    let server = Server::start();
    let root = server.root();
    let (_, key) = ten_days_old(&server);
    let (_, young) = root.member("alice", &[]);
    let before = root.get("/v1/policies").ok();
    let rules = json!({ "member": { "max_age_days": 9 } });
    let tried = root.patch("/v1/policies?validate_only=true", rules.clone()).ok();
    assert_eq!(tried["member"]["max_age_days"], 9);
    let stopped = tried["would_stop"].as_array().expect("a list");
    assert_eq!(stopped.len(), 1);
    assert_eq!((&stopped[0]["id"], &stopped[0]["cause"]), (&key["id"], &json!("too_old")));
    assert_eq!(root.get("/v1/policies").ok(), before, "nothing was kept");
    assert_eq!(root.code(&text(&key["secret"])), "ok");
    let off = json!({ "switches": { "member_keys": false } });
    let tried = root.patch("/v1/policies?validate_only=true", off).ok();
    assert_eq!(tried["would_stop"].as_array().expect("a list").len(), 2);
    let real = root.patch("/v1/policies", rules).ok();
    assert_eq!(real.get("would_stop"), None);
    assert_eq!([root.code(&text(&key["secret"])), root.code(&text(&young["secret"]))], ["too_old", "ok"]);
}

#[test]
fn x_5_x_6_required_networks_bind_new_keys() {
    let server = Server::start();
    let root = server.root();
    root.patch("/v1/policies", json!({ "workspace": { "required_cidrs": true } })).ok();
    let open = root.post("/v1/keys", json!({ "class": "workspace", "label": "x" }));
    assert_eq!(open.refused(422, "policy_violation").body["policy"], "required_cidrs");
    let bound = json!({ "cidrs": ["2001:db8::/32"] });
    let key = root.key(json!({ "class": "workspace", "label": "x", "conditions": bound }));
    let lifted = root.patch(&path(&key), json!({ "conditions": null }));
    assert_eq!(lifted.refused(422, "policy_violation").body["policy"], "required_cidrs");
    assert_eq!(root.get(&path(&key)).ok()["conditions"], bound);
    root.post("/v1/keys", json!({ "class": "ingest", "label": "x" })).expect(201);
}

#[test]
fn x_5_bm_4_a_shorter_maximum_life_is_told_for_new_ends() {
    let server = Server::start();
    let root = server.root();
    let key = root.key(json!({ "class": "ingest", "label": "x" }));
    let never = root.key(json!({ "class": "ingest", "label": "y", "expires": "never" }));
    let rules = json!({ "ingest": { "max_ttl_days": 30, "default_ttl_days": 30, "never_expire": false } });
    root.patch("/v1/policies", rules).ok();
    let extended = root.post(&format!("{}/extend", path(&key)), json!({ "ttl_seconds": 31 * 86_400 }));
    assert_eq!(extended.refused(422, "policy_violation").body["policy"], "ingest.max_ttl_days");
    let ended = root.post(&format!("{}/extend", path(&never)), json!({})).ok();
    assert_eq!(ended["never_expires"], false);
    assert_eq!(root.code(&text(&never["secret"])), "ok");
}

/// When the user logged in last, days ago.
fn logged_in(server: &Server, user: &str, days: i64) -> Answer {
    let at = jiff::Timestamp::now() - jiff::SignedDuration::from_hours(24 * days);
    server.root().post(&format!("/v1/users/{user}/record-login"), json!({ "at": at.to_string() }))
}

#[test]
fn sq_4_x_2_a_key_needs_an_owner_who_logs_in() {
    let server = Server::start();
    let root = server.root();
    let (bob, key) = root.member("bob", &[]);
    let secret = text(&key["secret"]);
    assert_eq!(root.code(&secret), "ok", "the making of the user counts as a login");
    logged_in(&server, &bob, 13).expect(200);
    assert_eq!(root.code(&secret), "ok", "14 days by default");
    server.place.sql("UPDATE users SET last_login_at = last_login_at - 172800000 WHERE username = 'bob'");
    root.patch(&format!("/v1/users/{bob}"), json!({ "display_name": "Bob" })).ok();
    assert_eq!(root.code(&secret), "owner_login_lapsed");
    let shown = root.get(&path(&key)).ok();
    assert_eq!(
        (&shown["status"], &shown["status_cause"]),
        (&json!("suspended"), &json!("owner_login_lapsed"))
    );
    server.caller(&secret).get("/v1/me").refused(401, "owner_login_lapsed");
    root.patch("/v1/policies", json!({ "owner_login_window_minutes": 16 * 24 * 60 })).ok();
    assert_eq!(root.code(&secret), "ok", "the tenant's setting");
    root.patch("/v1/policies", json!({ "owner_login_window_minutes": null })).ok();
    assert_eq!(root.code(&secret), "owner_login_lapsed");
    let login = root.post(&format!("/v1/users/{bob}/record-login"), json!({})).ok();
    assert!(login["last_login_at"].is_string());
    assert_eq!(root.code(&secret), "ok");
    let earlier = logged_in(&server, &bob, 30).ok();
    assert_eq!(earlier["last_login_at"], login["last_login_at"], "only a later login counts");
    let future = json!({ "at": "2099-01-01T00:00:00Z" });
    let refused = root.post(&format!("/v1/users/{bob}/record-login"), future).refused(422, "invalid_value");
    assert_eq!(fault(&refused), ("/at", "in_the_future"));
    let own = server.caller(&secret).post(&format!("/v1/users/{bob}/record-login"), json!({}));
    own.refused(403, "insufficient_rights");
}

#[test]
fn sq_4_a_use_of_the_key_is_no_login_and_other_classes_have_no_owner() {
    let server = Server::start();
    let root = server.root();
    let (bob, key) = root.member("bob", &[]);
    logged_in(&server, &bob, 15).expect(200);
    let secret = text(&key["secret"]);
    server.caller(&secret).get("/v1/me").refused(401, "owner_login_lapsed");
    assert_eq!(root.code(&secret), "owner_login_lapsed");
    let workspace = root.key(json!({ "class": "workspace", "label": "x" }));
    root.patch("/v1/policies", json!({ "owner_login_window_minutes": 0 })).ok();
    assert_eq!(root.code(&text(&workspace["secret"])), "ok");
    assert_eq!(root.code(&secret), "owner_keys_disabled");
}

#[test]
fn sq_4_x_2_the_users_own_window_wins() {
    let server = Server::start();
    let root = server.root();
    let (bob, key) = root.member("bob", &[]);
    let secret = text(&key["secret"]);
    logged_in(&server, &bob, 3).expect(200);
    let own = |minutes: Value| {
        let body = json!({ "owner_login_window_minutes": minutes });
        root.patch(&format!("/v1/users/{bob}"), body).ok()["owner_login_window_minutes"].clone()
    };
    assert_eq!(own(json!(2 * 24 * 60)), 2 * 24 * 60);
    assert_eq!(root.code(&secret), "owner_login_lapsed", "narrower than the tenant's");
    own(json!(4 * 24 * 60));
    assert_eq!(root.code(&secret), "ok");
    own(json!(0));
    assert_eq!(root.code(&secret), "owner_keys_disabled");
    let made = json!({ "class": "member", "owner_id": bob, "label": "still makes" });
    let made = root.post("/v1/keys", made).expect(201).body;
    assert_eq!(root.code(&text(&made["secret"])), "owner_keys_disabled", "made, and unusable");
    assert_eq!(own(json!(-1)), Value::Null, "back to the tenant's");
    assert_eq!(root.code(&secret), "ok");
    root.patch("/v1/policies", json!({ "owner_login_window_minutes": 60 })).ok();
    assert_eq!(root.code(&secret), "owner_login_lapsed");
    own(json!(4 * 24 * 60));
    assert_eq!(root.code(&secret), "ok", "wider than the tenant's");
    own(Value::Null);
    assert_eq!(root.code(&secret), "owner_login_lapsed");
    root.patch("/v1/policies", json!({ "owner_login_window_minutes": -1 })).ok();
    assert_eq!(root.code(&secret), "ok", "no window at all");
    root.patch("/v1/policies", json!({ "owner_login_window_minutes": 0 })).ok();
    assert_eq!(root.code(&secret), "owner_keys_disabled");
    own(json!(5 * 24 * 60));
    assert_eq!(root.code(&secret), "ok");
    let bad = root.patch(&format!("/v1/users/{bob}"), json!({ "owner_login_window_minutes": -2 }));
    assert_eq!(fault(&bad.refused(422, "invalid_value")), ("/owner_login_window_minutes", "out_of_range"));
}

#[test]
fn x_6_x_5_limits_of_an_owner_bind_all_keys_together() {
    let server = Server::start();
    let root = server.root();
    let (bob, one) = root.member("bob", &[]);
    let two = root.key(json!({ "class": "member", "owner_id": bob, "label": "two" }));
    let (_, other) = root.member("alice", &[]);
    let limit = json!({ "name": "owner-hour", "requests": 3, "per_seconds": 3600 });
    root.patch("/v1/policies", json!({ "owner_limits": [limit] })).ok();
    let (one, two) = (text(&one["secret"]), text(&two["secret"]));
    let first = root.verify(&one);
    assert_eq!(
        (&first["limits"][0]["name"], &first["limits"][0]["remaining"]),
        (&json!("owner-hour"), &json!(2))
    );
    assert_eq!([root.code(&two), root.code(&one)], ["ok", "ok"]);
    assert_eq!([root.code(&two), root.code(&one)], ["rate_limited", "rate_limited"]);
    assert_eq!(root.code(&text(&other["secret"])), "ok", "another owner");
    root.patch("/v1/policies", json!({ "owner_limits": null })).ok();
    assert_eq!(root.code(&one), "ok");
}
