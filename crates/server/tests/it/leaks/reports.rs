//! Whoever holds a credential can end it.

use serde_json::{Value, json};

use super::{events, made_up};
use crate::imports::{SHA256, TEXT, imported, row};
use crate::logins::{PASSWORD, session, set_password};
use crate::support::{Answer, Caller, Place, Server, client, free_port, text, wait_until};

fn report(url: &str, body: &Value) -> Answer {
    Answer::read(client().post(format!("{url}/report-leak")).json(body).send().expect("an answer"))
}

fn token(server: &Server, token: &str) -> Answer {
    report(&server.url, &json!({ "token": token, "url": "https://paste.example/raw/7" }))
}

/// What an answer tells, without what differs between any two.
fn told(answer: &Answer) -> (u16, &str, Vec<String>) {
    let mut names: Vec<_> = answer.headers.keys().map(ToString::to_string).collect();
    names.sort();
    (answer.status, &answer.text, names)
}

#[test]
fn leak_4_whoever_holds_a_key_ends_it_and_everything_that_came_of_it() {
    let server = Server::start();
    let root = server.root();
    let (mia, member) = root.member("mia", &[]);
    let own = server.caller(&text(&member["secret"]));
    let opened =
        own.post("/v1/auth/login", json!({ "username": member["access_key"], "password": member["secret"] }));
    let login = server.caller(&text(&opened.ok()["token"]));
    login.get("/v1/me").expect(200);
    let keys = ["workspace", "ingest"].map(|class| root.key(json!({ "class": class, "label": class })));
    for key in [&member, &keys[0], &keys[1]] {
        let secret = text(&key["secret"]);
        assert_eq!(root.code(&secret), "ok");
        assert_eq!(token(&server, &secret).expect(202).body, json!({ "status": "accepted" }));
        assert_eq!(root.code(&secret), "revoked");
        let shown = root.get(&format!("/v1/keys/{}", text(&key["id"]))).ok();
        assert_eq!((&shown["revoked_reason"], &shown["revoked_by"]), (&json!("leaked"), &json!("reporter")));
    }
    login.get("/v1/me").expect(401);
    let told = events(&root, "key.leak_reported");
    assert_eq!(told.len(), 3);
    let event = told.iter().find(|event| event["target"]["id"] == member["id"]).expect("the member's");
    assert_eq!((&event["actor"]["kind"], &event["actor"]["id"]), (&json!("system"), &json!("reporter")));
    assert_eq!((&event["after"]["owner_id"], &event["address"]), (&json!(mia), &json!("127.0.0.1")));
    assert_eq!(event["after"]["url"], "https://paste.example/raw/7");
    assert_eq!(
        (&event["after"]["access_key"], &event["after"]["on_report"]),
        (&member["access_key"], &json!("revoke"))
    );
    assert_eq!(events(&root, "key.revoke").len(), 3);
    assert!(!root.get("/v1/audit-events/export").expect(200).text.contains(&own.secret[20..60]));
}

#[test]
fn leak_4_trusted_secrets_and_sessions_end_too() {
    let server = Server::start();
    let root = server.root();
    let made = root.post("/v1/trusted/enable", json!({})).ok();
    let secret = text(&made["secret"]);
    root.user("bea", &[]);
    let mint = || server.caller(&secret).post("/v1/trusted/tokens", json!({ "username": "bea" }));
    mint().expect(200);
    token(&server, &secret).expect(202);
    mint().refused(401, "trusted_disabled");
    assert_eq!(events(&root, "trusted.leak_reported")[0]["target"]["id"], made["id"]);
    let id = root.user("grace", &[]);
    set_password(&root, &id, PASSWORD);
    let session = session(&server.url, "grace");
    session.get("/v1/auth/session").expect(200);
    token(&server, &session.secret).expect(202);
    session.get("/v1/auth/session").expect(401);
    let event = &events(&root, "session.leak_reported")[0];
    assert_eq!((&event["after"]["owner_id"], &event["target"]["kind"]), (&json!(id), &json!("session")));
    token(&server, &secret).expect(202);
    token(&server, &session.secret).expect(202);
    assert_eq!(
        events(&root, "trusted.leak_reported").len() + events(&root, "session.leak_reported").len(),
        2
    );
}

#[test]
fn leak_4_ses_7_the_session_of_a_browser_ends_too() {
    let server = Server::start();
    let root = server.root();
    let id = root.user("grace", &[]);
    set_password(&root, &id, PASSWORD);
    let body = json!({ "username": "grace", "password": PASSWORD, "cookie": true });
    let login =
        client().post(format!("{}/v1/auth/login", server.url)).header("sec-fetch-site", "same-origin");
    let opened = Answer::read(login.json(&body).send().expect("an answer")).expect(200);
    let cookie = opened.header("set-cookie").split(';').next().expect("a cookie").to_owned();
    let look = || {
        let request = client().get(format!("{}/v1/auth/session", server.url)).header("cookie", &cookie);
        Answer::read(request.send().expect("an answer")).status
    };
    assert_eq!(look(), 200);
    let (_, secret) = cookie.split_once('=').expect("a value");
    token(&server, secret).expect(202);
    assert_eq!(look(), 401);
}

#[test]
fn leak_3_what_has_no_switch_ends_unless_the_policy_only_tells() {
    let server = Server::start();
    let root = server.root();
    let rule = |word: &str| root.patch("/v1/policies", json!({ "leaks": { "on_report": word } })).expect(200);
    root.user("bea", &[]);
    set_password(&root, &root.user("grace", &[]), PASSWORD);
    let secret = text(&root.post("/v1/trusted/enable", json!({})).ok()["secret"]);
    let session = session(&server.url, "grace");
    let works = || {
        let minted = server.caller(&secret).post("/v1/trusted/tokens", json!({ "username": "bea" }));
        (minted.status, session.get("/v1/auth/session").status)
    };
    let report_both = || {
        token(&server, &secret).expect(202);
        token(&server, &session.secret).expect(202);
    };
    rule("notify");
    report_both();
    report_both();
    assert_eq!(works(), (200, 200));
    let told = || events(&root, "trusted.leak_reported").len() + events(&root, "session.leak_reported").len();
    assert_eq!(told(), 2);
    rule("deactivate");
    report_both();
    assert_eq!(works(), (401, 401));
    assert_eq!(told(), 4);
}

#[test]
fn leak_4_the_answer_is_the_same_for_whatever_is_reported() {
    let server = Server::start();
    let root = server.root();
    let (_, key) = root.member("mia", &[]);
    let secret = text(&key["secret"]);
    let (unknown, wrong) = (made_up("kwm", "0000000000000000"), made_up("kwm", &secret[4..20]));
    let wrong = token(&server, &wrong);
    assert_eq!(root.code(&secret), "ok", "who has the id alone ends nothing");
    let right = token(&server, &secret);
    let dead = token(&server, &secret);
    for other in [&dead, &wrong, &token(&server, &unknown), &token(&server, "hunter2"), &token(&server, "")] {
        assert_eq!(told(other), told(&right));
    }
    assert_eq!(events(&root, "key.leak_reported").len(), 1);
    let before = events(&root, "key.revoke").len();
    for (body, status) in [
        (json!({}), 400),
        (json!({ "token": secret, "secret": 1 }), 400),
        (json!({ "token": secret, "url": "https://x/\r\nBcc: a@b.example" }), 422),
        (json!({ "token": secret, "url": "javascript:alert(1)" }), 422),
        (json!({ "token": secret, "note": "a\u{1b}[2J" }), 422),
        (json!({ "token": secret, "note": "n".repeat(501) }), 422),
    ] {
        report(&server.url, &body).expect(status);
    }
    assert_eq!(events(&root, "key.revoke").len(), before);
}

#[test]
fn leak_4_dir_7_a_refused_report_ends_nothing_and_too_many_are_refused() {
    let server = Server::start();
    let root = server.root();
    let (_, key) = root.member("mia", &[]);
    let secret = text(&key["secret"]);
    report(&server.url, &json!({ "token": secret, "url": "https://x/\n" })).refused(422, "invalid_value");
    assert_eq!(root.code(&secret), "ok");
    let mut sent = 0;
    let refused = loop {
        let answer = token(&server, "hunter2");
        sent += 1;
        assert!(sent < 60, "no limit");
        if answer.status != 202 {
            break answer;
        }
    };
    refused.refused(429, "rate_limited");
    assert!(sent > 20, "{sent}");
    token(&server, &secret).refused(429, "rate_limited");
    assert_eq!(root.code(&secret), "ok");
    root.get("/v1/me").expect(200);
}

#[test]
fn leak_3_the_policy_says_what_a_report_does() {
    let server = Server::start();
    let root = server.root();
    let rule = |word: &str| root.patch("/v1/policies", json!({ "leaks": { "on_report": word } }));
    rule("explode").refused(400, "malformed_request");
    let key = |label: &str| root.key(json!({ "class": "workspace", "label": label }));
    rule("deactivate").expect(200);
    let off = key("off");
    for _ in 0..3 {
        token(&server, &text(&off["secret"])).expect(202);
    }
    assert_eq!(root.code(&text(&off["secret"])), "inactive");
    assert_eq!(events(&root, "key.leak_reported").len(), 1, "the same place is told once");
    root.post(&format!("/v1/keys/{}/activate", text(&off["id"])), json!({})).expect(200);
    token(&server, &text(&off["secret"])).expect(202);
    assert_eq!(root.code(&text(&off["secret"])), "inactive", "switched on, it is switched off again");
    rule("notify").expect(200);
    let on = key("on");
    for page in [1, 2, 1] {
        let url = format!("https://paste.example/raw/{page}");
        report(&server.url, &json!({ "token": on["secret"], "url": url, "note": "seen" })).expect(202);
    }
    assert_eq!(root.code(&text(&on["secret"])), "ok");
    let told = events(&root, "key.leak_reported");
    let urls: Vec<_> =
        told.iter().filter(|e| e["target"]["id"] == on["id"]).map(|e| text(&e["after"]["url"])).collect();
    assert_eq!(urls, ["https://paste.example/raw/2", "https://paste.example/raw/1"]);
    assert_eq!(told[0]["after"]["note"], "seen");
    rule("revoke").expect(200);
    token(&server, &text(&on["secret"])).expect(202);
    assert_eq!(root.code(&text(&on["secret"])), "revoked");
}

#[test]
fn leak_4_a_secret_that_was_rotated_away_ends_nothing() {
    let server = Server::start();
    let root = server.root();
    let (_, key) = root.member("mia", &[]);
    let path = format!("/v1/keys/{}", text(&key["id"]));
    let new = text(&root.post(&format!("{path}/rotate"), json!({ "overlap_seconds": 0 })).ok()["secret"]);
    token(&server, &text(&key["secret"])).expect(202);
    assert_eq!(root.code(&new), "ok");
    token(&server, &new).expect(202);
    assert_eq!(root.code(&new), "revoked");
}

#[test]
fn leak_4_r_2_a_report_counts_on_another_node_within_a_second() {
    let server = Server::start();
    let (_, key) = server.root().member("mia", &[]);
    let node = server.second_node();
    let there = node.caller(&server.operator());
    let secret = text(&key["secret"]);
    assert_eq!(there.code(&secret), "ok");
    token(&server, &secret).expect(202);
    wait_until(|| there.code(&secret) == "revoked");
}

#[test]
fn ops_1_leak_4_before_set_up_a_report_is_refused() {
    let place = Place::new();
    let (data, listen) = (place.data(), format!("127.0.0.1:{}", free_port()));
    let args = ["serve", "--data-dir", data.to_str().expect("UTF-8"), "--listen", &listen];
    let mut child =
        place.keyward(&args).stderr(std::process::Stdio::null()).spawn().expect("the binary runs");
    let url = format!("http://{listen}");
    wait_until(|| client().get(format!("{url}/healthz")).send().is_ok_and(|answer| answer.status() == 200));
    report(&url, &json!({ "token": "hunter2" })).refused(503, "not_set_up");
    let nobody = Caller { url, secret: String::new() };
    nobody.post("/report-leak/github", json!([])).refused(404, "not_found");
    child.kill().expect("killed");
    child.wait().expect("ended");
}

#[test]
fn leak_4_x_11_an_imported_credential_can_be_reported() {
    let server = Server::start();
    let root = server.root();
    let key = imported(&root, "sha256", row("a", SHA256));
    token(&server, "old_live_7Qm2vXw9RtKp4LzNa8Bd").expect(202);
    assert_eq!(root.code(TEXT), "ok");
    token(&server, TEXT).expect(202);
    assert_eq!(root.code(TEXT), "revoked");
    assert_eq!(events(&root, "key.leak_reported")[0]["target"]["id"], key["id"]);
    assert!(!root.get("/v1/audit-events/export").expect(200).text.contains(TEXT));
}

#[test]
fn leak_3_what_is_told_of_a_report_holds_no_credential() {
    let server = Server::start();
    let root = server.root();
    root.patch("/v1/policies", json!({ "leaks": { "on_report": "notify" } })).expect(200);
    let (_, reported) = root.member("mia", &[]);
    let (_, other) = root.member("otto", &[]);
    let [reported, other] = [&reported, &other].map(|key| text(&key["secret"]));
    let url = format!("https://paste.example/?key={reported}&more={other}");
    let note = format!("{other} was beside it, and {reported}");
    report(&server.url, &json!({ "token": reported, "url": url, "note": note })).expect(202);
    let event = &events(&root, "key.leak_reported")[0];
    assert_eq!(event["after"]["url"], "https://paste.example/?key=***&more=***");
    assert_eq!(event["after"]["note"], "*** was beside it, and ***");
    assert_eq!([root.code(&reported), root.code(&other)], ["ok", "ok"]);
    let dump = server.place.dump();
    assert!(!dump.contains(&reported[20..60]) && !dump.contains(&other[20..60]));
}
