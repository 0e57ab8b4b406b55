//! Where secrets must not be: answers, files, logs, URLs; and requests with more than one.

use serde_json::json;

use super::{path, rows};
use crate::support::{Answer, Server, client, text, wait_until};

#[test]
fn key_5_va_3_no_answer_file_or_log_holds_a_secret() {
    let server = Server::with_config("verify: {usage_flush: 1s}\nlog: {filter: debug}");
    let root = server.root();
    let (bob, key) = root.member("bob", &[]);
    let own = server.caller(&text(&key["secret"]));
    let rotated = root.post(&format!("{}/rotate", path(&key)), json!({})).ok();
    let (one, two) = (text(&key["secret"]), text(&rotated["secret"]));
    assert_eq!([root.code(&one), root.code(&two)], ["ok", "ok"]);
    let wrong = own.post("/v1/keys", json!({ "class": "member", "label": one, "lable": one }));
    let mut answers = vec![wrong.expect(400).text];
    let at = path(&key);
    let paths = [
        "/v1/me",
        "/v1/keys",
        "/v1/users",
        "/v1/groups",
        "/v1/roles",
        "/v1/policies",
        "/v1/tenants",
        "/v1/audit-events",
        "/v1/audit-events/export",
        "/openapi.json",
        "/readyz",
        "/v1/log-levels",
    ];
    let more = [at.clone(), format!("{at}/usage"), format!("/v1/users/{bob}")];
    for path in paths.iter().map(ToString::to_string).chain(more) {
        answers.push(root.get(&path).text);
        answers.push(own.get(&path).text);
    }
    wait_until(|| root.get(&at).ok()["last_used_at"].is_string());
    answers.extend([server.place.dump(), server.place.log()]);
    for secret in [&one, &two] {
        for place in &answers {
            assert!(
                !place.contains(&secret[20..63]),
                "the secret stands in {}",
                place.get(..300).unwrap_or(place)
            );
        }
        let random = secret.as_bytes();
        assert!(!server.place.dump().as_bytes().windows(43).any(|window| window == &random[20..63]));
    }
}

#[test]
fn key_12_a_key_in_a_url_is_refused_and_flagged() {
    let server = Server::start();
    let root = server.root();
    let inside = json!({ "cidrs": ["192.0.2.0/24"] });
    for (body, query) in [
        (json!({ "class": "workspace", "label": "plain" }), "api_key="),
        (json!({ "class": "ingest", "label": "bound", "conditions": inside }), "a=b&token="),
    ] {
        let key = root.key(body);
        let url = format!("/v1/me?{query}{}", text(&key["secret"]));
        assert_eq!(root.get(&path(&key)).ok()["exposed_at"], json!(null));
        root.get(&url).refused(400, "credential_in_url");
        let anonymous = client().get(format!("{}{url}", server.url)).send();
        Answer::read(anonymous.expect("an answer")).refused(400, "credential_in_url");
        wait_until(|| root.get(&path(&key)).ok()["exposed_at"].is_string());
        let events = root.get(&format!("/v1/audit-events?target_id={}", text(&key["id"]))).ok();
        let exposed = rows(&events).iter().filter(|event| event["action"] == "key.exposed").count();
        assert_eq!(exposed, 1, "said once");
    }
}

#[test]
fn key_12_one_credential_in_one_place() {
    let server = Server::start();
    let secret = server.operator();
    let access_key = text(&server.root["access_key"]);
    let get = || client().get(format!("{}/v1/me", server.url));
    let send = |request: reqwest::blocking::RequestBuilder| Answer::read(request.send().expect("an answer"));
    send(get().bearer_auth(&secret)).expect(200);
    send(get().header("X-API-Key", &secret)).expect(200);
    send(get().basic_auth(&access_key, Some(&secret))).expect(200);
    send(get().bearer_auth(&secret).header("X-API-Key", &secret)).refused(400, "multiple_credentials");
    send(get().bearer_auth(&secret).bearer_auth(&secret)).refused(400, "multiple_credentials");
    let twice = get().header("X-API-Key", &secret).header("X-API-Key", "x");
    send(twice).refused(400, "multiple_credentials");
    for bad in ["Bearer", "Token x", "Basic !!!", "Basic eA=="] {
        send(get().header("authorization", bad)).refused(401, "invalid_key");
    }
    send(get()).refused(401, "no_credential");
}
