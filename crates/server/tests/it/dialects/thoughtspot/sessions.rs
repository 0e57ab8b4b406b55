//! Sessions in a cookie (TS8): login, whose it is, a token of a day, logout.

use serde_json::{Value, json};

use super::{Scene, V1, V2, bearer, cookie, refused, session_of};
use crate::api::worker;
use crate::logins::PASSWORD;
use crate::support::{Answer, client, text, wait_until};

#[test]
fn ts_8_a_login_with_a_password_lives_in_a_cookie_until_logout() {
    let scene = Scene::new();
    let url = &scene.server.url;
    let log_in = |body: Value| scene.post("/auth/session/login", body);
    let entered =
        log_in(json!({ "username": "ada", "password": PASSWORD, "remember_me": "true" })).expect(204);
    let token = session_of(&entered);
    assert!(entered.header("set-cookie").contains("; Secure"), "the public address is https");
    let me = cookie(url, &token, "GET", &format!("{V2}/auth/session/user")).ok();
    assert_eq!(
        (&me["id"], &me["name"], &me["visibility"]),
        (&json!(scene.ada), &json!("ada"), &json!("SHARABLE"))
    );
    assert_eq!((&me["current_org"]["id"], &me["privileges"]), (&json!(0), &json!([])));
    assert_eq!(me["orgs"], json!([me["current_org"]]));
    assert_eq!(cookie(url, &token, "POST", &format!("{V2}/metadata/search")).ok(), json!([]));
    // It opens no console, and a page of another site changes nothing by it.
    let console =
        client().get(format!("{url}/v1/auth/session")).header("cookie", format!("__Host-keyward={token}"));
    assert_eq!(console.send().expect("an answer").status(), 401);
    let foreign = client().post(format!("{url}{V2}/auth/session/logout"));
    let foreign =
        foreign.header("cookie", format!("JSESSIONID={token}")).header("sec-fetch-site", "cross-site");
    refused(Answer::read(foreign.send().expect("an answer")), 403, 10023);
    let out = cookie(url, &token, "POST", &format!("{V2}/auth/session/logout")).expect(204);
    assert!(out.header("set-cookie").contains("Max-Age=0"));
    refused(cookie(url, &token, "GET", &format!("{V2}/auth/session/user")), 401, 10097);
    refused(log_in(json!({ "username": "ada", "password": "wrong and wrong again" })), 401, 10097);
    refused(log_in(json!({ "username": "ada" })), 400, 10002);
    let foreign =
        client().post(format!("{url}{V2}/auth/session/login")).header("sec-fetch-site", "cross-site");
    let foreign = foreign.json(&json!({ "username": "ada", "password": PASSWORD }));
    refused(Answer::read(foreign.send().expect("an answer")), 403, 10023);
}

#[test]
fn ts_8_a_token_as_bearer_logs_in_too_and_ends_with_its_logout() {
    let scene = Scene::new();
    let url = &scene.server.url;
    let token = scene.token();
    let entered =
        bearer(url, &token, "POST", "/auth/session/login", Some(json!({ "remember_me": true }))).expect(204);
    assert_eq!(session_of(&entered), token);
    let me = cookie(url, &token, "GET", &format!("{V2}/auth/session/user")).ok();
    assert_eq!(me["name"], "ada");
    cookie(url, &token, "POST", &format!("{V2}/auth/session/logout")).expect(204);
    assert_eq!(scene.code(&token, "reports:read"), "revoked");
    refused(bearer(url, &token, "POST", "/auth/session/login", Some(json!({}))), 401, 10097);
    // A key opens a session of its own.
    let key = worker(&scene.server, &scene.root, "nightly", &["reports:read"]);
    let entered = bearer(url, &key.secret, "POST", "/auth/session/login", Some(json!({}))).expect(204);
    let session = session_of(&entered);
    assert!(session.starts_with("kws_") && session != key.secret);
    assert_eq!(cookie(url, &session, "GET", &format!("{V2}/auth/session/user")).ok()["name"], "nightly");
}

#[test]
fn ts_8_session_token_is_a_days_for_logins_and_keys_and_none_for_tokens() {
    let scene = Scene::new();
    let url = &scene.server.url;
    let entered = scene.post("/auth/session/login", json!({ "username": "ada", "password": PASSWORD }));
    let session = session_of(&entered.expect(204));
    let got = cookie(url, &session, "GET", &format!("{V2}/auth/session/token")).ok();
    let span = |got: &Value| {
        let times = got["expiration_time_in_millis"].as_i64().zip(got["creation_time_in_millis"].as_i64());
        times.map(|(end, start)| end - start).expect("two times")
    };
    assert!((86_000_000..=86_400_000).contains(&span(&got)), "{}", span(&got));
    assert_eq!(got.as_object().map(serde_json::Map::len), Some(5));
    let token = text(&got["token"]);
    assert_ne!(token, session);
    // Each ends for itself.
    cookie(url, &session, "POST", &format!("{V2}/auth/session/logout")).expect(204);
    assert_eq!(bearer(url, &token, "GET", "/auth/session/user", None).ok()["name"], "ada");
    // What was to end soon makes nothing that lasts.
    let short = json!({ "username": "ada", "password": PASSWORD, "validity_time_in_sec": 60 });
    let short = text(&scene.post("/auth/token/full", short).ok()["token"]);
    let got = bearer(url, &short, "GET", "/auth/session/token", None).ok();
    assert!(span(&got) <= 60_000, "{}", span(&got));
    let key = worker(&scene.server, &scene.root, "nightly", &["reports:read"]);
    assert_eq!(span(&bearer(url, &key.secret, "GET", "/auth/session/token", None).ok()), 86_400_000);
    // Nothing outlives the key that it came of, and no later end is told.
    let body = json!({ "class": "workspace", "label": "soon over", "ttl_seconds": 600 });
    let soon = text(&scene.root.key(body)["secret"]);
    let got = bearer(url, &soon, "GET", "/auth/session/token", None).ok();
    assert!(span(&got) <= 600_000, "{}", span(&got));
    let got = bearer(url, &text(&got["token"]), "GET", "/auth/session/token", None).ok();
    assert!(span(&got) <= 600_000, "{}", span(&got));
    refused(bearer(url, &scene.token(), "GET", "/auth/session/token", None), 403, 10023);
    refused(cookie(url, "nothing", "GET", &format!("{V2}/auth/session/token")), 401, 10097);
    refused(cookie(url, "nothing", "GET", &format!("{V1}/session/info")), 401, 10097);
}

#[test]
fn ts_8_who_looks_at_a_session_has_not_used_it() {
    let scene = Scene::new();
    let url = &scene.server.url;
    let log_in = || {
        let entered = scene.post("/auth/session/login", json!({ "username": "ada", "password": PASSWORD }));
        session_of(&entered.expect(204))
    };
    let list = || scene.root.get(&format!("/v1/users/{}/sessions", scene.ada)).ok()["data"].clone();
    let looked_at = log_in();
    let id = text(&list()[0]["id"]);
    let used = log_in();
    let was_used = |is_it: bool| {
        let rows = list();
        let row = rows.as_array().expect("sessions").iter().find(|row| (row["id"] == id) == is_it);
        let row = row.expect("it lives");
        row["last_seen_at"] != row["started_at"]
    };
    let ask = |who: &str, path: &str| bearer(url, who, "POST", path, Some(json!({ "token": looked_at })));
    ask(&scene.server.operator(), "/auth/token/validate").expect(200);
    let other = worker(&scene.server, &scene.root, "other", &["reports:read"]);
    refused(ask(&other.secret, "/auth/token/revoke"), 403, 10023);
    // Uses are written in the order in which they came, so that one of those would have been written by now.
    wait_until(|| {
        cookie(url, &used, "GET", &format!("{V2}/auth/session/user")).expect(200);
        was_used(false)
    });
    assert!(!was_used(true));
    cookie(url, &looked_at, "GET", &format!("{V2}/auth/session/user")).expect(200);
    wait_until(|| was_used(true));
    ask(&scene.server.operator(), "/auth/token/revoke").expect(204);
    refused(ask(&scene.server.operator(), "/auth/token/validate"), 400, 10002);
}
