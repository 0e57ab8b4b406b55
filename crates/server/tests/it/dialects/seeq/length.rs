//! How long a login lasts, where an administrator has set that for its user.

use serde_json::{Value, json};

use super::validity::update;
use super::{Script, pair, refused, server};
use crate::keys::millis;
use crate::logins::{PASSWORD, ask_for_no_factor, somebody};
use crate::support::{Server, text};

/// Minutes from the begin of a session to its end without a use, and to its end in any case.
fn lengths(server: &Server, script: &Script) -> (i64, i64) {
    let session = server.caller(&script.token).get("/v1/auth/session").ok();
    let until = |name: &str| (millis(&session[name]) - millis(&session["started_at"])) / 60_000;
    (until("idle_at"), until("expires_at"))
}

#[test]
fn sq_5_a_session_lasts_as_set_for_its_user_and_no_longer_than_policy_has_it() {
    let server = server();
    let root = server.root();
    ask_for_no_factor(&root);
    let user = somebody(&server, "grace", &["me:read", "me/sessions:read"]);
    let key = root.key(json!({ "class": "member", "owner_id": user, "label": "own" }));
    let logins = [pair(&key), json!({ "username": "Grace", "password": PASSWORD })];
    let length = |minutes: i64| {
        let told = update(&root, &user, &json!({ "SessionDuration": minutes })).ok();
        assert_eq!(
            (&told["SessionDuration"], &told["AccessKeyValidityDuration"]),
            (&json!(minutes), &json!(-1))
        );
    };
    root.patch("/v1/policies", json!({ "login": { "idle_minutes": 20, "max_minutes": 90 } })).expect(200);
    for login in &logins {
        length(-1);
        let usual = Script::log_in(&server, login);
        assert_eq!(lengths(&server, &usual).1, 90);
        length(45);
        let shorter = Script::log_in(&server, login);
        assert_eq!(lengths(&server, &shorter), (45, 45), "used or not");
        assert_eq!(lengths(&server, &usual).1, 90, "those that there are stay as they are");
        length(600);
        assert_eq!(lengths(&server, &Script::log_in(&server, login)), (90, 90), "policy goes first");
        assert_eq!(shorter.get("/api/users/me").ok()["SessionDuration"], 600);
    }
    let events = root.get("/v1/audit-events?action=user.edit").ok();
    assert_eq!(events["data"][0]["after"]["session_minutes"], 600);
    // It is for this protocol alone.
    let there = json!({ "username": key["access_key"], "password": key["secret"] });
    let there = crate::logins::log_in(&server.url, there).ok();
    let until = |name: &str| millis(&there["session"][name]) - millis(&there["session"]["started_at"]);
    assert_eq!((until("idle_at"), until("expires_at")), (20 * 60_000, 90 * 60_000));
    let back = root.patch(&format!("/v1/users/{user}"), json!({ "session_minutes": null })).ok();
    assert_eq!(back["session_minutes"], Value::Null);
}

#[test]
fn sq_5_a_session_is_over_when_its_time_is() {
    let mut server = server();
    let (user, key) = server.root().member("grace", &["me:read"]);
    update(&server.root(), &user, &json!({ "SessionDuration": 10 })).expect(200);
    let token = Script::log_in(&server, &pair(&key)).token;
    for (seconds, is_over) in [(540, false), (601, true)] {
        server.place.ahead = Some(format!("+{seconds}s"));
        server = server.kill_and_restart();
        let script = Script { url: server.url.clone(), token: token.clone() };
        let answer = script.get("/api/users/me");
        if is_over {
            refused(&answer, 401, "");
        } else {
            assert_eq!(text(&answer.expect(200).body["id"]), user);
        }
    }
}
