//! Valsight's login with user name and API key, from the first to the last step of its manual.

use serde_json::{Value, json};

use crate::api::{all, tenant};
use crate::authz::ask;
use crate::logins;
use crate::oauth::form;
use crate::support::{Answer, Caller, Place, Server, client, text, wait_until};

const ON: &str = "apiKeyAuth: { enabled: true }\n";
const PATH: &str = "/dialects/valsight/v1/apiKey";

/// Whatever is wrong about name and key.
const REFUSED: &str = r#"{"error":"unauthorized","message":"user name and API key do not belong together, or cannot be used now"}"#;

fn send(url: &str, pairs: &[(&str, &str)]) -> Answer {
    let request = client().post(format!("{url}{PATH}"));
    let request = request.header("content-type", "application/x-www-form-urlencoded");
    Answer::read(request.body(form(pairs)).send().expect("an answer"))
}

fn log_in(url: &str, username: &str, key: &str) -> Answer {
    send(url, &[("username", username), ("api_key", key)])
}

/// The token in the cookie of a success.
#[track_caller]
fn token(answer: Answer) -> String {
    let answer = answer.expect(200);
    let cookie = answer.header("set-cookie");
    let token = cookie.strip_prefix("JSESSIONID=").and_then(|rest| rest.split_once("; ")).expect("a cookie");
    assert!(token.0.starts_with("kws_"), "{cookie}");
    assert_eq!(token.1, "Path=/; HttpOnly; SameSite=Lax");
    assert_eq!(answer.text, "");
    token.0.to_owned()
}

/// A gateway's question about a request with the cookie.
fn gate(url: &str, token: &str, right: &str) -> Answer {
    ask(url, &[("Cookie", &format!("a=b; JSESSIONID={token}")), ("X-Keyward-Right", right)])
}

#[track_caller]
fn refused(answer: Answer) {
    let answer = answer.expect(401);
    assert_eq!((answer.text.as_str(), answer.header("set-cookie")), (REFUSED, ""));
    assert_eq!(answer.header("content-type"), "application/json");
}

/// How many sessions there are, and were.
fn sessions(place: &Place) -> u64 {
    place.sql("UPDATE sessions SET agent = agent")
}

fn newest(root: &Caller, action: &str) -> Value {
    root.get(&format!("/v1/audit-events?limit=1&action={action}")).ok()["data"][0].clone()
}

#[test]
fn va_1_off_unless_the_configuration_switches_it_on() {
    let server = Server::start();
    let (_, key) = server.root().member("ada", &[]);
    let secret = text(&key["secret"]);
    log_in(&server.url, "ada", &secret).refused(404, "not_found");
    let server = server.kill_and_restart_with(ON);
    token(log_in(&server.url, "ada", &secret));
    let server = server
        .kill_and_restart_with("apiKeyAuth: { enabled: true }\ndialects: { valsight: { enabled: false } }\n");
    log_in(&server.url, "ada", &secret).refused(404, "not_found");
    assert_eq!(sessions(&server.place), 1);
}

#[test]
fn va_1_va_7_reached_at_the_root_of_its_hosts() {
    let server =
        Server::with_config(&format!("{ON}dialects: {{ valsight: {{ hosts: [valsight.example.org] }} }}\n"));
    let (_, key) = server.root().member("ada", &[]);
    let body = form(&[("username", "ada"), ("api_key", &text(&key["secret"]))]);
    let at = |host: &str| {
        let request = client().post(format!("{}/v1/apiKey", server.url)).header("host", host);
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        Answer::read(request.body(body.clone()).send().expect("an answer"))
    };
    token(at("valsight.example.org"));
    token(at("VALSIGHT.example.org:8443"));
    at("keyward.example.org").refused(404, "not_found");
}

#[test]
fn va_2_it_works_where_passwords_are_off_and_logs_nobody_in_elsewhere() {
    let server = Server::with_config(&format!("{ON}login: {{ passwords: false }}\n"));
    let root = server.root();
    let (user, key) = root.member("ada", &[]);
    let body = json!({ "username": "ada", "password": logins::PASSWORD });
    logins::log_in(&server.url, body).refused(403, "password_login_off");
    let token = token(log_in(&server.url, "ada", &text(&key["secret"])));
    let own = server.caller(&token);
    assert_eq!(own.get("/v1/me").ok()["principal"]["id"], user.as_str());
    let session = own.get("/v1/auth/session").ok();
    assert_eq!((&session["method"], &session["in_cookie"]), (&json!("key"), &json!(false)));
    assert_eq!(root.get(&format!("/v1/users/{user}")).ok()["last_login_at"], Value::Null);
    // The cookie is for what stands behind the gateway, not for the API or the console.
    let with_cookie = |path: &str| {
        let cookie = format!("JSESSIONID={token}");
        let request = client().get(format!("{}{path}", server.url)).header("cookie", cookie);
        Answer::read(request.send().expect("an answer"))
    };
    with_cookie("/v1/me").refused(401, "no_credential");
    let page = with_cookie("/console/keys");
    assert!(page.text.contains("action=\"/console/login"), "sent to log in: {}", page.text);
}

#[test]
fn va_3_a_key_is_kept_as_a_hash_alone() {
    let server = Server::with_config(ON);
    let (_, key) = server.root().member("ada", &[]);
    let secret = text(&key["secret"]);
    let token = token(log_in(&server.url, "ada", &secret));
    refused(log_in(&server.url, "eve", &secret));
    let (dump, log) = (server.place.dump(), server.place.log());
    for text in [secret.as_str(), token.as_str()] {
        assert!(!dump.contains(text) && !log.contains(text));
    }
}

#[test]
fn va_4_a_user_and_an_admin_make_keys_shown_once_and_pasted_with_quotes_and_blanks() {
    let server = Server::with_config(ON);
    let root = server.root();
    root.patch("/v1/policies", json!({ "max_keys_per_user": 9 })).ok();
    let (user, first) = root.member("ada", &[]);
    let ada = server.caller(&text(&first["secret"]));
    let own = ada.key(json!({ "class": "member", "label": "made on the profile page" }));
    let given = root.key(json!({ "class": "member", "owner_id": user, "label": "made by an administrator" }));
    for key in [&own, &given] {
        let secret = text(&key["secret"]);
        let shown = root.get(&format!("/v1/keys/{}", text(&key["id"]))).ok().to_string();
        assert!(!shown.contains(&secret));
        for pasted in [
            secret.clone(),
            format!("\"{secret}\""),
            format!("  {secret}\r\n"),
            format!("' {secret}' "),
            format!("“{secret}”"),
        ] {
            token(log_in(&server.url, "ada", &pasted));
        }
    }
    let stranger = root.member("eve", &[]).1;
    let eve = server.caller(&text(&stranger["secret"]));
    let body = json!({ "class": "member", "owner_id": user, "label": "not hers to make" });
    eve.post("/v1/keys", body).refused(404, "not_found");
}

#[test]
fn va_5_all_keys_of_a_user_or_one_end_with_what_they_opened() {
    let server = Server::with_config(ON);
    let root = server.root();
    root.patch("/v1/policies", json!({ "max_keys_per_user": 9 })).ok();
    let (user, one) = root.member("ada", &[]);
    let two = root.key(json!({ "class": "member", "owner_id": user, "label": "another" }));
    let three = root.key(json!({ "class": "member", "owner_id": user, "label": "a third" }));
    let [first, second, third] =
        [&one, &two, &three].map(|key| token(log_in(&server.url, "ada", &text(&key["secret"]))));
    let ada = server.caller(&text(&one["secret"]));
    ada.delete(&format!("/v1/keys/{}", text(&two["id"]))).expect(204);
    gate(&server.url, &second, "me:read").expect(401);
    gate(&server.url, &first, "me:read").expect(200);
    let all_of = format!("/v1/users/{user}/revoke-keys");
    ada.post(&all_of, json!({})).refused(409, "not_confirmed");
    gate(&server.url, &third, "me:read").expect(200);
    assert_eq!(ada.post(&all_of, json!({ "confirm": true })).ok()["revoked"], 2);
    for (key, token) in [(&one, first), (&two, second), (&three, third)] {
        gate(&server.url, &token, "me:read").expect(401);
        refused(log_in(&server.url, "ada", &text(&key["secret"])));
    }
}

#[test]
fn va_6_rights_are_those_of_the_user_by_resource() {
    let server = Server::with_config(ON);
    let root = server.root();
    let (user, key) = root.member("ada", &["models/emea:read", "workspaces/sales:write"]);
    let narrow = root.key(
        json!({ "class": "member", "owner_id": user, "label": "narrow", "scopes": ["models/emea:read"] }),
    );
    let [whole, part] = [&key, &narrow].map(|key| token(log_in(&server.url, "ada", &text(&key["secret"]))));
    for (right, by_whole, by_part) in [
        ("models/emea:read", 200, 200),
        ("models/emea:write", 403, 403),
        ("models/apac:read", 403, 403),
        ("workspaces/sales:write", 200, 403),
    ] {
        assert_eq!(gate(&server.url, &whole, right).status, by_whole, "{right}");
        assert_eq!(gate(&server.url, &part, right).status, by_part, "{right}");
        let told = root.post("/v1/verify", json!({ "credential": part, "rights": [right] })).ok();
        assert_eq!(told["valid"], by_part == 200, "{right}");
    }
    let passed = gate(&server.url, &whole, "models/emea:read").expect(200);
    assert_eq!((passed.header("x-auth-user"), passed.header("x-auth-subject")), ("ada", user.as_str()));
    // The rights of the moment: what the user loses is gone at once.
    root.patch(&format!("/v1/users/{user}"), json!({ "role_ids": [] })).expect(200);
    gate(&server.url, &whole, "models/emea:read").expect(403);
    root.post(&format!("/v1/users/{user}/suspend"), json!({})).expect(200);
    gate(&server.url, &whole, "models/emea:read").expect(401);
}

#[test]
fn va_7_by_login_name_or_mail_address_compared_as_the_directory_does() {
    let server = Server::with_config(ON);
    let root = server.root();
    let (user, key) = root.member("Ada", &["models:read"]);
    root.patch(&format!("/v1/users/{user}"), json!({ "email": "Ada@Example.org" })).expect(200);
    let secret = text(&key["secret"]);
    for name in ["Ada", "ada", "ADA", "ａｄａ", "ada@example.org", "ADA@EXAMPLE.ORG"] {
        let token = token(log_in(&server.url, name, &secret));
        gate(&server.url, &token, "models:read").expect(200);
    }
    let (_, theirs) = tenant(&server, "acme");
    let (_, other) = theirs.member("ada", &[]);
    let there = server.caller(&token(log_in(&server.url, "ada", &text(&other["secret"]))));
    assert_ne!(there.get("/v1/me").ok()["principal"]["id"], user.as_str(), "a key knows its tenant");
}

#[test]
fn va_7_every_other_pair_is_refused_alike_and_changes_nothing() {
    let server = Server::with_config(ON);
    let root = server.root();
    let (_, ada) = root.member("ada", &[]);
    let (eve_id, eve) = root.member("eve", &[]);
    root.patch(&format!("/v1/users/{eve_id}"), json!({ "email": "eve@example.org" })).expect(200);
    let (bea_id, bea) = root.member("bea", &[]);
    root.post(&format!("/v1/users/{bea_id}/suspend"), json!({})).expect(200);
    let (_, off) = root.member("olga", &[]);
    root.post(&format!("/v1/keys/{}/deactivate", text(&off["id"])), json!({})).expect(200);
    let (zero_id, zero) = root.member("zoe", &[]);
    root.patch(&format!("/v1/users/{zero_id}"), json!({ "owner_login_window_minutes": 0 })).expect(200);
    let far = json!({ "cidrs": ["192.0.2.0/24"] });
    let far = root.key(json!({ "class": "member", "owner_id": eve_id, "label": "far", "conditions": far }));
    let workspace = root.key(json!({ "class": "workspace", "label": "ada" }));
    let ingest = root.key(json!({ "class": "ingest", "label": "ada" }));
    let [of_ada, of_eve] = [&ada, &eve].map(|key| text(&key["secret"]));
    let session = token(log_in(&server.url, "ada", &of_ada));
    let mut wrong = of_ada.clone();
    wrong.replace_range(25..27, if wrong[25..27] == *"77" { "78" } else { "77" });
    for (name, key) in [
        ("eve", of_ada.clone()),
        ("ada", of_eve.clone()),
        ("ada", wrong),
        ("ada", "kwm_garbage".into()),
        ("ada", String::new()),
        ("", of_ada.clone()),
        ("nobody", of_ada.clone()),
        ("ada ", of_ada.clone()),
        ("eve@example.org", of_ada.clone()),
        ("ada", logins::PASSWORD.into()),
        ("ada", session),
        ("ada", text(&ada["access_key"])),
        ("bea", text(&bea["secret"])),
        ("olga", text(&off["secret"])),
        ("zoe", text(&zero["secret"])),
        ("eve", text(&far["secret"])),
        ("ada", text(&workspace["secret"])),
        ("ada", text(&ingest["secret"])),
    ] {
        refused(log_in(&server.url, name, &key));
    }
    root.patch("/v1/policies", json!({ "switches": { "member_keys": false } })).expect(200);
    refused(log_in(&server.url, "ada", &of_ada));
    assert_eq!(sessions(&server.place), 1, "none of these opened one");
}

#[test]
fn va_7_ends_and_lapses_are_refused_alike() {
    let server = Server::with_config(ON);
    let root = server.root();
    let [expired, lapsed] = ["dora", "lena"].map(|name| text(&root.member(name, &[]).1["secret"]));
    server.place.sql("UPDATE keys SET created_at = 0, expires_at = 1 WHERE label = 'dora''s key'");
    server.place.sql("UPDATE users SET created_at = 0 WHERE username = 'lena'");
    let server = server.kill_and_restart();
    refused(log_in(&server.url, "dora", &expired));
    refused(log_in(&server.url, "lena", &lapsed));
    let root = server.root();
    assert_eq!([root.code(&expired), root.code(&lapsed)], ["expired", "owner_login_lapsed"]);
    assert_eq!(sessions(&server.place), 0);
}

#[test]
fn va_7_a_request_that_is_no_login_is_told_so() {
    let server = Server::with_config(ON);
    let (_, key) = server.root().member("ada", &[]);
    let secret = text(&key["secret"]);
    let told = |answer: Answer, status: u16, error: &str| {
        let answer = answer.expect(status);
        assert_eq!(answer.body["error"], error, "{}", answer.text);
        assert!(
            answer.body["message"].is_string() && answer.body.as_object().is_some_and(|body| body.len() == 2)
        );
        assert!(!answer.text.contains(&secret));
    };
    let pairs: [&[(&str, &str)]; 4] = [
        &[("username", "ada")],
        &[("api_key", &secret)],
        &[("username", "ada"), ("username", "eve"), ("api_key", &secret)],
        &[],
    ];
    for pairs in pairs {
        told(send(&server.url, pairs), 400, "bad_request");
    }
    token(send(&server.url, &[("username", "ada"), ("api_key", &secret), ("remember", "1")]));
    let post = |kind: &str, body: String| {
        let request = client().post(format!("{}{PATH}", server.url)).header("content-type", kind);
        Answer::read(request.body(body).send().expect("an answer"))
    };
    let json = json!({ "username": "ada", "api_key": secret }).to_string();
    told(post("application/json", json), 415, "unsupported_media_type");
    let get = client().get(format!("{}{PATH}", server.url)).send().expect("an answer");
    let get = Answer::read(get);
    assert_eq!(get.header("allow"), "POST");
    told(get, 405, "method_not_allowed");
    let other = client().post(format!("{}/dialects/valsight/v1/session", server.url)).send();
    told(Answer::read(other.expect("an answer")), 404, "not_found");
    let cross = client().post(format!("{}{PATH}", server.url)).header("sec-fetch-site", "cross-site");
    let cross = cross.header("content-type", "application/x-www-form-urlencoded");
    let cross = cross.body(form(&[("username", "ada"), ("api_key", &secret)])).send();
    told(Answer::read(cross.expect("an answer")), 403, "forbidden");
    let large = "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 1048576\r\n\r\n";
    let large = server.raw(format!("POST {PATH} HTTP/1.1\r\nHost: x\r\n{large}").as_bytes());
    assert!(large.starts_with("HTTP/1.1 413 ") && large.contains(r#"{"error":"body_too_large","#), "{large}");
    assert_eq!(sessions(&server.place), 1);
}

#[test]
fn va_8_the_log_marks_such_logins_and_tells_failures() {
    let server = Server::with_config(ON);
    let root = server.root();
    let (user, key) = root.member("ada", &[]);
    let secret = text(&key["secret"]);
    let token = token(log_in(&server.url, "ada", &secret));
    let event = newest(&root, "session.start");
    assert_eq!((&event["after"]["method"], &event["reason"]), (&json!("api_key"), &json!("API key login")));
    assert_eq!((&event["actor"]["id"], &event["key_id"]), (&json!(user), &key["id"]));
    assert_eq!((&event["outcome"], &event["address"]), (&json!("success"), &json!("127.0.0.1")));
    assert!(!event.to_string().contains(&token) && !event.to_string().contains(&secret));
    refused(log_in(&server.url, "eve", &secret));
    wait_until(|| newest(&root, "auth.login")["reason"] == "wrong_user");
    let event = newest(&root, "auth.login");
    assert_eq!((&event["outcome"], &event["key_id"]), (&json!("refused"), &key["id"]));
    root.post(&format!("/v1/keys/{}/deactivate", text(&key["id"])), json!({})).expect(200);
    refused(log_in(&server.url, "ada", &secret));
    wait_until(|| newest(&root, "auth.refused")["reason"] == "inactive");
    assert_eq!(root.get("/v1/audit-events/verification").ok()["ok"], true);
    // A login by access key and secret stays what it was.
    let (_, other) = root.member("eve", &[]);
    let pair = json!({ "username": other["access_key"], "password": other["secret"] });
    logins::log_in(&server.url, pair).expect(200);
    let event = newest(&root, "session.start");
    assert_eq!((&event["after"]["method"], &event["reason"]), (&json!("key"), &Value::Null));
}

#[test]
fn va_8_failures_are_throttled_and_good_pairs_pass() {
    let server = Server::with_config(ON);
    let root = server.root();
    let (_, key) = root.member("ada", &[]);
    let secret = text(&key["secret"]);
    let guess = || log_in(&server.url, "eve", &secret);
    let throttled =
        (0..600).map(|_| guess()).find(|answer| answer.status == 429).expect("no throttle at all");
    assert_eq!(throttled.body["error"], "rate_limited");
    assert!(!throttled.header("retry-after").is_empty());
    token(log_in(&server.url, "ada", &secret));
    wait_until(|| !all(&root, "/v1/audit-events?action=auth.failures_spike").is_empty());
}

#[test]
fn va_9_the_level_of_this_login_is_raised_at_run_time() {
    let server = Server::with_config(ON);
    let root = server.root();
    let (_, key) = root.member("ada", &[]);
    let secret = text(&key["secret"]);
    let logged = || {
        let before = server.place.log().len();
        token(log_in(&server.url, "ada", &secret));
        refused(log_in(&server.url, "eve", &secret));
        server.place.log()[before..].to_owned()
    };
    assert!(!logged().contains("DEBUG"));
    let put = |filter: &str| {
        let request = root.request("PUT", "/v1/log-levels").json(&json!({ "filter": filter }));
        Answer::read(request.send().expect("an answer")).expect(200);
    };
    put("info,keyward::http::dialects::valsight=debug");
    let debug = logged();
    assert!(debug.contains("API key login") && debug.contains("wrong_user"), "{debug}");
    assert!(!debug.contains(&secret) && !debug.contains("kws_"), "{debug}");
    put("info");
    assert!(!logged().contains("DEBUG"));
}
