//! The first administrator (OPS-1).

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use serde_json::{Value, json};

use super::send;
use crate::process::Process;
use crate::support::{Place, text};

fn token(place: &Place) -> String {
    fs::read_to_string(place.data().join("setup-token")).expect("a token").trim().to_owned()
}

fn claim(server: &Process, token: &str, username: &str) -> crate::support::Answer {
    send("POST", &format!("{}/v1/setup", server.url()), &json!({ "token": token, "username": username }))
}

#[test]
fn ops_1_before_setup_only_health_and_setup_answer() {
    let place = Place::new();
    let server = Process::start(&place, "", &[]);
    let at = |path: &str| format!("{}{path}", server.url());
    assert_eq!(send("GET", &at("/healthz"), &Value::Null).status, 200);
    let ready = send("GET", &at("/readyz"), &Value::Null).expect(503);
    assert_eq!(ready.body["reasons"], json!(["not_set_up"]));
    for (method, path) in [
        ("GET", "/v1/me"),
        ("GET", "/v1/keys"),
        ("POST", "/v1/keys"),
        ("POST", "/v1/users"),
        ("POST", "/v1/tenants"),
        ("POST", "/v1/verify"),
        ("POST", "/v1/verify/batch"),
        ("GET", "/v1/audit-events"),
        ("PUT", "/v1/log-levels"),
        ("GET", "/authz"),
    ] {
        for secret in ["", "kwm_nothing", &token(&place)] {
            let answer =
                server.caller(secret).request(method, path).json(&json!({})).send().expect("an answer");
            let answer = crate::support::Answer::read(answer);
            assert!(!answer.header("retry-after").is_empty(), "{method} {path}");
            answer.refused(503, "not_set_up");
        }
    }
}

#[test]
fn ops_1_the_token_is_in_a_file_for_the_owner_alone() {
    let place = Place::new();
    let server = Process::start(&place, "", &[]);
    let file = place.data().join("setup-token");
    assert_eq!(fs::metadata(&file).expect("a file").permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::metadata(place.data()).expect("a folder").permissions().mode() & 0o777, 0o700);
    let token = token(&place);
    assert!(token.starts_with("kwb_") && token.len() == 69, "{}", token.len());
    assert!(place.log().contains("setup-token"), "the log says where");
    assert!(!place.log().contains(&token), "and not what");
    assert!(!place.dump().contains(&token), "the database has its hash alone");
    for wrong in ["", "kwb_wrong", &token[..68], &format!("{token} "), &token.to_lowercase()] {
        claim(&server, wrong, "eve").refused(401, "invalid_setup_token");
    }
    assert!(file.exists(), "a failed claim leaves it");
    let made = claim(&server, &token, "ada").expect(201);
    assert_eq!(made.header("cache-control"), "no-store");
    assert!(!file.exists(), "a claim removes it");
    let root = server.caller(&text(&made.body["secret"]));
    let me = root.get("/v1/me").ok();
    assert_eq!(me["tenant"]["number"], 0);
    let user = root.get(&format!("/v1/users/{}", text(&made.body["user_id"]))).ok();
    assert_eq!(user["username"], "ada");
}

#[test]
fn ops_1_of_32_claims_at_once_one_wins() {
    let place = Place::new();
    let server = Process::start(&place, "", &[]);
    let token = token(&place);
    let answers: Vec<_> = std::thread::scope(|scope| {
        let claims: Vec<_> = (0..32)
            .map(|number| {
                let (server, token) = (&server, &token);
                scope.spawn(move || claim(server, token, &format!("claimer-{number}")))
            })
            .collect();
        claims.into_iter().map(|claim| claim.join().expect("an answer")).collect()
    });
    let won: Vec<_> = answers.iter().filter(|answer| answer.status == 201).collect();
    assert_eq!(won.len(), 1);
    for lost in answers.iter().filter(|answer| answer.status != 201) {
        assert!([401, 404, 409].contains(&lost.status), "{}: {}", lost.status, lost.text);
        assert!(!lost.text.contains("kww_"));
    }
    let root = server.caller(&text(&won[0].body["secret"]));
    assert_eq!(root.get("/v1/tenants").ok()["data"].as_array().expect("a list").len(), 1);
    assert_eq!(root.get("/v1/users").ok()["data"].as_array().expect("a list").len(), 1);
    assert_eq!(root.get("/v1/keys").ok()["data"].as_array().expect("a list").len(), 1);
    assert_eq!(root.get("/v1/audit-events/verification").ok()["ok"], true);
    claim(&server, &token, "eve").expect(404);
}

#[test]
fn ops_1_after_setup_the_endpoint_is_gone_also_after_a_restart() {
    let place = Place::new();
    let server = Process::start(&place, "", &[]);
    let token = token(&place);
    claim(&server, &token, "ada").expect(201);
    claim(&server, &token, "eve").expect(404);
    claim(&server, "kwb_wrong", "eve").expect(404);
    server.terminate();
    let server = Process::start(&place, "", &[]);
    claim(&server, &token, "eve").expect(404);
    assert!(!place.data().join("setup-token").exists(), "no new one is made");
    let again = place.run(&["bootstrap", "--username", "eve", "-o", "json"]);
    assert_eq!((again.status.code(), again.stdout.as_slice()), (Some(6), &b""[..]));
}

#[test]
fn ops_1_a_token_is_replaced_at_the_next_start_and_lives_an_hour() {
    let place = Place::new();
    let server = Process::start(&place, "", &[]);
    let first = token(&place);
    server.terminate();
    let server = Process::start(&place, "", &[]);
    let second = token(&place);
    assert_ne!(first, second);
    claim(&server, &first, "eve").refused(401, "invalid_setup_token");
    // The time of its end stands before its hash; an hour ago it would have ended by now.
    let late = "UPDATE instance SET value = '1' || SUBSTR(value, 14) WHERE name = 'setup_token'";
    let kept = "CREATE TABLE kept AS SELECT * FROM instance";
    place.sql(kept);
    assert_eq!(place.sql(late), 1);
    claim(&server, &second, "eve").refused(401, "invalid_setup_token");
    place.sql("UPDATE instance SET value = (SELECT value FROM kept WHERE name = 'setup_token') WHERE name = 'setup_token'");
    claim(&server, &second, "ada").expect(201);
}

#[test]
fn ops_1_bootstrap_by_command_and_once() {
    let place = Place::new();
    let made = place.bootstrap();
    for field in ["tenant_id", "user_id", "access_key", "secret"] {
        assert!(!text(&made[field]).is_empty(), "{field}");
    }
    let before = place.dump();
    let again = place.run(&["bootstrap", "--username", "second-marker", "-o", "json"]);
    assert_eq!((again.status.code(), again.stdout.as_slice()), (Some(6), &b""[..]));
    assert!(!place.dump().contains("second-marker"));
    assert!(before.contains(&text(&made["tenant_id"])));
    let server = Process::start(&place, "", &[]);
    assert!(!place.data().join("setup-token").exists());
    let root = server.caller(&text(&made["secret"]));
    root.get("/v1/tenants").expect(200);
    claim(&server, "kwb_any", "eve").expect(404);
    assert_eq!(root.get("/v1/users").ok()["data"].as_array().expect("a list").len(), 1);
}

#[test]
fn ops_1_a_bootstrap_beside_a_running_server_ends_the_claim() {
    let place = Place::new();
    let server = Process::start(&place, "", &[]);
    let token = token(&place);
    let made = place.bootstrap();
    assert!(!place.data().join("setup-token").exists());
    claim(&server, &token, "eve").expect(404);
    server.caller(&text(&made["secret"])).get("/v1/me").expect(200);
}
