//! Keys in URLs: refused, and marked as exposed (KEY-12).

use serde_json::json;

use super::{ask, ask_as};
use crate::support::{Answer, Server, client, text, wait_until};

#[test]
fn key_12_a_key_in_the_query_is_400_and_marked() {
    let server = Server::start();
    let root = server.root();
    for (name, query) in [
        ("access_token", "access_token=SECRET"),
        ("first of two", "api_key=SECRET&limit=1"),
        ("second of two", "limit=1&key=SECRET"),
        ("without a name", "SECRET"),
        ("with its scheme", "authorization=Bearer%20SECRET"),
        ("with a plus", "authorization=Bearer+SECRET"),
        ("percent-encoded", "token=ENCODED"),
        ("within JSON", "filter=%7B%22token%22:%22SECRET%22%7D"),
    ] {
        let key = root.key(json!({ "class": "workspace", "label": name }));
        let secret = text(&key["secret"]);
        let path = format!("/v1/keys/{}", text(&key["id"]));
        assert!(root.get(&path).ok()["exposed_at"].is_null());
        let query = query.replace("SECRET", &secret).replace("ENCODED", &secret.replace('_', "%5F"));
        let bare = client()
            .get(format!("{}/v1/me?{query}", server.url))
            .header("X-Request-Id", "exposing-request")
            .send();
        let refused = Answer::read(bare.expect("an answer"));
        assert!(!refused.text.contains(&secret), "nothing is reflected");
        refused.refused(400, "credential_in_url");
        wait_until(|| !root.get(&path).ok()["exposed_at"].is_null());
        let events =
            root.get(&format!("/v1/audit-events?action=key.exposed&target_id={}", text(&key["id"]))).ok();
        assert_eq!(events["data"][0]["request_id"], "exposing-request", "{name}: {events}");
        assert_eq!(events["data"].as_array().expect("a list").len(), 1);
    }
    root.get("/v1/me?access_token=kwm_not-a-secret").expect(200);
}

#[test]
fn key_12_aut_5_a_link_that_sets_a_password_is_void_once_it_was_seen_in_a_query() {
    let server = Server::start();
    let root = server.root();
    for (name, suspended) in [("grace", false), ("heidi", true)] {
        let user = root.user(name, &[]);
        let link = || text(&root.post(&format!("/v1/users/{user}/password-reset"), json!({})).ok()["token"]);
        let redeem = |token: &str| {
            let body = json!({ "token": token, "password": crate::logins::PASSWORD });
            crate::logins::post(&server.url, "/v1/auth/password-reset", body)
        };
        let token = link();
        // Made up, or of somebody else: nothing happens to this one.
        root.get("/v1/me?token=kwl_garbage").expect(200);
        if suspended {
            root.post(&format!("/v1/users/{user}/suspend"), json!({})).expect(200);
        }
        let path = format!("{}/v1/auth/password-reset?token={token}", server.url);
        let refused = Answer::read(client().get(path).send().expect("an answer"));
        assert!(!refused.text.contains(&token), "nothing is reflected");
        refused.refused(400, "credential_in_url");
        let events = format!("/v1/audit-events?action=user.void_password_link&target_id={user}");
        let told = || root.get(&events).ok()["data"].as_array().expect("a list").clone();
        wait_until(|| !told().is_empty());
        assert_eq!((told().len(), &told()[0]["reason"]), (1, &json!("seen in a URL")));
        assert!(!told()[0].to_string().contains("kwl_"));
        if suspended {
            root.post(&format!("/v1/users/{user}/resume"), json!({})).expect(200);
        }
        redeem(&token).refused(401, "invalid_link");
        redeem(&link()).expect(204);
    }
}

#[test]
fn key_12_good_credentials_do_not_excuse_a_key_in_the_query() {
    let server = Server::start();
    let root = server.root();
    let secret = text(&root.key(json!({ "class": "workspace", "label": "leaky" }))["secret"]);
    let before = root.get("/v1/keys").ok()["data"].as_array().expect("a list").len();
    let body = json!({ "class": "workspace", "label": "made" });
    root.post(&format!("/v1/keys?key={secret}"), body).refused(400, "credential_in_url");
    root.post(&format!("/v1/verify?key={secret}"), json!({ "credential": "x" }))
        .refused(400, "credential_in_url");
    assert_eq!(root.get("/v1/keys").ok()["data"].as_array().expect("a list").len(), before);
}

#[test]
fn key_12_a_key_in_the_query_of_the_gateways_client_is_refused_and_marked() {
    let server = Server::start();
    let root = server.root();
    for header in ["X-Forwarded-Uri", "X-Original-Uri"] {
        let (_, key) = root.member(&format!("user-{}", header.to_lowercase()), &[]);
        let caller = server.caller(&text(&key["secret"]));
        let uri = format!("/reports?year=2026&api_key={}", caller.secret);
        for answer in [ask_as(&caller, &[(header, &uri)]), ask(&server.url, &[(header, &uri)])] {
            assert_eq!((answer.header("x-auth-subject"), answer.header("x-auth-key-id")), ("", ""));
            assert!(!answer.text.contains(&caller.secret));
            answer.refused(401, "credential_in_url");
        }
        wait_until(|| !root.get(&format!("/v1/keys/{}", text(&key["id"]))).ok()["exposed_at"].is_null());
        ask_as(&caller, &[(header, "/reports?year=2026")]).expect(200);
    }
    let direct = client().get(format!("{}/authz?token={}", server.url, server.operator())).send();
    Answer::read(direct.expect("an answer")).refused(401, "credential_in_url");
}

#[test]
fn key_12_keys_that_do_not_work_now_are_marked_too() {
    let server = Server::start();
    let root = server.root();
    let bound =
        json!({ "class": "workspace", "label": "bound", "conditions": { "cidrs": ["192.0.2.0/24"] } });
    let off = json!({ "class": "workspace", "label": "off" });
    for (body, deactivate) in [(bound, false), (off, true)] {
        let key = root.key(body);
        let path = format!("/v1/keys/{}", text(&key["id"]));
        if deactivate {
            root.post(&format!("{path}/deactivate"), json!({})).expect(200);
        }
        root.get(&format!("/v1/me?token={}", text(&key["secret"]))).refused(400, "credential_in_url");
        wait_until(|| !root.get(&path).ok()["exposed_at"].is_null());
    }
}

#[test]
fn key_12_key_3_a_made_up_key_in_the_query_marks_nothing() {
    let server = Server::start();
    let root = server.root();
    let key = root.key(json!({ "class": "workspace", "label": "real" }));
    let id = keyward_core::token::AccessKey::parse(&text(&key["access_key"])).expect("an access key");
    let mut fill = |out: &mut [u8]| getrandom::fill(out).expect("randomness");
    let wrong = keyward_core::token::generate("kww", id, &mut fill);
    root.get(&format!("/v1/me?token={}", wrong.expose())).refused(400, "credential_in_url");
    // What marks runs behind the answer: give a real one the time to be marked.
    let marker = root.key(json!({ "class": "workspace", "label": "marker" }));
    root.get(&format!("/v1/me?token={}", text(&marker["secret"]))).refused(400, "credential_in_url");
    wait_until(|| !root.get(&format!("/v1/keys/{}", text(&marker["id"]))).ok()["exposed_at"].is_null());
    assert!(root.get(&format!("/v1/keys/{}", text(&key["id"]))).ok()["exposed_at"].is_null());
}
