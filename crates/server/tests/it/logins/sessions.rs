//! Sessions: use, limits and ends.

use std::time::{Duration, Instant};

use serde_json::json;

use super::{PASSWORD, ask_for_no_factor, id_of, log_in, session, set_password, somebody};
use crate::api::{all, person, tenant};
use crate::support::{Answer, Caller, Server, client, text, wait_until};

#[test]
fn ses_1_a_token_of_256_bits_that_the_server_made_and_no_other() {
    let server = Server::start();
    somebody(&server, "grace", &["me:read"]);
    let answer = log_in(&server.url, json!({ "username": "grace", "password": PASSWORD })).expect(200);
    let token = text(&answer.body["token"]);
    assert!(token.starts_with("kws_") && token.len() == 69, "{token}");
    assert!(answer.header("cache-control").contains("no-store") && answer.header("set-cookie").is_empty());
    let own = server.caller(&token);
    let me = own.get("/v1/me").ok();
    assert_eq!(
        (&me["principal"]["username"], &me["session"]["method"]),
        (&json!("grace"), &json!("password"))
    );
    assert_eq!((&me["key"], &me["session"]["id"]), (&json!(null), &answer.body["session"]["id"]));
    assert!(!server.place.dump().contains(&token[4..]), "only a keyed hash is kept");
    // An id of ours with another random part, and one that nobody made.
    let mut forged = token.clone().into_bytes();
    forged[30] ^= 1;
    for forged in [String::from_utf8(forged).expect("ASCII"), token[..68].to_owned(), format!("{token}x")] {
        server.caller(&forged).get("/v1/me").refused(401, "invalid_key");
    }
    assert_ne!(session(&server.url, "grace").secret, token, "each login has its own");
    own.get("/v1/me").expect(200);
}

#[test]
fn ses_7_a_token_counts_in_the_header_alone() {
    let server = Server::start();
    somebody(&server, "grace", &["me:read"]);
    let own = session(&server.url, "grace");
    let at = |name: &str, value: String| {
        let request = client().get(format!("{}/v1/me", server.url)).header(name, value);
        Answer::read(request.send().expect("an answer"))
    };
    at("cookie", format!("__Host-keyward={}", own.secret)).refused(401, "invalid_key");
    for name in ["keyward", "session"] {
        at("cookie", format!("{name}={}", own.secret)).refused(401, "no_credential");
    }
    for pair in [format!("grace:{}", own.secret), format!("{}:", own.secret)] {
        use base64::Engine as _;
        let encoded = base64::engine::general_purpose::STANDARD.encode(pair);
        at("authorization", format!("Basic {encoded}")).refused(401, "invalid_key");
    }
    assert!(own.get("/v1/me").expect(200).header("set-cookie").is_empty());
    assert!(server.root().get("/v1/me").expect(200).header("set-cookie").is_empty());
}

#[test]
fn x_1_verify_and_gateways_take_sessions_with_the_users_live_rights() {
    let server = Server::start();
    let user = somebody(&server, "grace", &["me:read", "models/emea:read"]);
    let (root, own) = (server.root(), session(&server.url, "grace"));
    let ask = |right: &str| {
        root.post("/v1/verify", json!({ "credential": own.secret, "rights": [right], "explain": true })).ok()
    };
    let told = ask("models/emea:read");
    assert_eq!((&told["valid"], &told["code"], &told["key"]), (&json!(true), &json!("ok"), &json!(null)));
    assert_eq!((&told["principal"]["id"], &told["session"]["method"]), (&json!(user), &json!("password")));
    assert!(
        told["expires_at"].is_string() && told["explain"].as_array().is_some_and(|steps| steps.len() == 9)
    );
    assert_eq!(ask("models/apac:read")["code"], "insufficient_rights");
    let gateway = |right: &str| {
        let request = own.request("GET", "/authz").header("x-keyward-right", right);
        Answer::read(request.send().expect("an answer"))
    };
    let passed = gateway("models/emea:read").expect(200);
    assert_eq!((passed.header("x-auth-subject"), passed.header("x-auth-user")), (user.as_str(), "grace"));
    assert_eq!(passed.header("x-auth-key-id"), "");
    gateway("models/apac:read").refused(403, "insufficient_rights");
    // Rights are live: they go, and with them what the session may do.
    root.patch(&format!("/v1/users/{user}"), json!({ "role_ids": [] })).expect(200);
    assert_eq!(ask("models/emea:read")["code"], "insufficient_rights");
    // Sessions of others do not exist for another tenant (AZ-3).
    let (_, stranger) = tenant(&server, "acme");
    assert_eq!(stranger.code(&own.secret), "invalid_key");
}

#[test]
fn ses_3_idle_and_absolute_limits_are_the_servers() {
    let server = Server::start();
    somebody(&server, "grace", &["me:read"]);
    ask_for_no_factor(&server.root());
    somebody(&server, "boss", &["**:*"]);
    let shift = |idle: &'static str| server.place.sql(idle);
    let fresh = || [session(&server.url, "grace"), session(&server.url, "boss")];
    let codes = |callers: &[Caller; 2]| {
        callers.each_ref().map(|caller| {
            let answer = caller.get("/v1/me");
            answer.body["code"].as_str().unwrap_or("ok").to_owned()
        })
    };
    let callers = fresh();
    shift("UPDATE sessions SET started_at = started_at - 840000, last_seen_at = last_seen_at - 840000");
    assert_eq!(codes(&callers), ["ok", "ok"], "14 minutes");
    let callers = fresh();
    shift("UPDATE sessions SET started_at = started_at - 960000, last_seen_at = last_seen_at - 960000");
    assert_eq!(codes(&callers), ["ok", "idle"], "16 minutes");
    let callers = fresh();
    shift("UPDATE sessions SET started_at = started_at - 3660000, last_seen_at = last_seen_at - 3660000");
    assert_eq!(codes(&callers), ["idle", "idle"], "61 minutes");
    let callers = fresh();
    shift("UPDATE sessions SET started_at = started_at - 43260000");
    assert_eq!(codes(&callers), ["ok", "expired"], "12 hours, always in use");
    let callers = fresh();
    shift("UPDATE sessions SET started_at = started_at - 86460000");
    assert_eq!(codes(&callers), ["expired", "expired"], "24 hours, always in use");
    // What nobody can use is not listed either.
    assert_eq!(all(&session(&server.url, "boss"), "/v1/auth/sessions").len(), 1);
}

#[test]
fn ses_3_x_8_use_on_either_node_keeps_a_session_alive_and_costs_no_write() {
    let server = Server::with_config("verify: {usage_flush: 1s}");
    somebody(&server, "grace", &["me:read", "me/sessions:*"]);
    let node = server.second_node();
    let own = session(&server.url, "grace");
    let there = node.caller(&own.secret);
    there.get("/v1/me").expect(200);
    let seen = || text(&own.get("/v1/auth/session").ok()["last_seen_at"]);
    let first = seen();
    std::thread::sleep(Duration::from_millis(1_100));
    there.get("/v1/me").expect(200);
    wait_until(|| seen() > first);
}

#[test]
fn ses_4_r2_a_logout_ends_the_session_on_every_node() {
    let server = Server::start();
    somebody(&server, "grace", &["me:read"]);
    let node = server.second_node();
    for trial in 0..10 {
        let own = session(&server.url, "grace");
        let there = node.caller(&own.secret);
        there.get("/v1/me").expect(200);
        let (from, to) = if trial % 2 == 0 { (&own, &there) } else { (&there, &own) };
        to.get("/v1/me").expect(200);
        assert!(from.post("/v1/auth/logout", json!({})).expect(204).text.is_empty());
        let ended = Instant::now();
        from.get("/v1/me").refused(401, "revoked");
        wait_until(|| to.get("/v1/me").status == 401);
        assert!(ended.elapsed() < Duration::from_millis(1500), "{:?}", ended.elapsed());
        to.get("/v1/me").refused(401, "revoked");
    }
    server.root().post("/v1/auth/logout", json!({})).refused(403, "not_a_session");
}

/// Whatever ends a session here, it is refused there within the bound of revocations, and stays so.
#[test]
fn ses_4_r2_every_end_of_a_session_reaches_the_other_node_within_a_second() {
    let server = Server::start();
    let root = server.root();
    let node = server.second_node();
    let user = somebody(&server, "grace", &["me:read", "me/sessions:*"]);
    let at = |action: &str| format!("/v1/users/{user}/{action}");
    type End<'a> = (&'a str, &'a dyn Fn(&Caller));
    let ends: [End<'_>; 8] = [
        ("a logout", &|own| drop(own.post("/v1/auth/logout", json!({})).expect(204))),
        ("one's own end", &|own| {
            let other = session(&server.url, "grace");
            drop(other.delete(&format!("/v1/auth/sessions/{}", id_of(own))).expect(204));
        }),
        ("an end of all", &|_| drop(root.delete(&at("sessions")).expect(204))),
        ("another password", &|_| {
            let other = session(&server.url, "grace");
            let change =
                json!({ "old_password": PASSWORD, "new_password": "eleven cold spoons in a drawer" });
            other.post("/v1/auth/password", change).expect(200);
        }),
        ("a reset", &|_| set_password(&root, &user, PASSWORD)),
        ("a step-up, which replaces the token", &|own| {
            drop(own.post("/v1/auth/step-up", json!({ "password": PASSWORD })).expect(200));
        }),
        ("a suspension", &|_| drop(root.post(&at("suspend"), json!({})).expect(200))),
        ("a deletion", &|_| drop(root.delete(&format!("/v1/users/{user}")).expect(204))),
    ];
    for (what, end) in ends {
        let own = match what {
            // The password that was changed last.
            "a reset" => {
                let password = "eleven cold spoons in a drawer";
                let opened = log_in(&server.url, json!({ "username": "grace", "password": password })).ok();
                server.caller(&text(&opened["token"]))
            }
            "a deletion" => {
                root.post(&at("resume"), json!({})).expect(200);
                session(&server.url, "grace")
            }
            _ => session(&server.url, "grace"),
        };
        let there = node.caller(&own.secret);
        // It may not have heard yet that the user was resumed.
        wait_until(|| there.get("/v1/me").status == 200);
        end(&own);
        let answered = Instant::now();
        assert_eq!(own.get("/v1/me").status, 401, "{what}");
        loop {
            let asked = answered.elapsed();
            if there.get("/v1/me").status == 401 {
                break;
            }
            assert!(asked <= Duration::from_secs(1), "{what}: accepted {asked:?} after the answer");
        }
        assert_eq!(there.get("/v1/me").status, 401, "{what}: it came back");
    }
}

#[test]
fn ses_4_r3_a_user_who_goes_takes_a_hundred_sessions_along() {
    let server = Server::with_config("login: {queue: 1000}");
    let root = server.root();
    let node = server.second_node();
    for (name, go) in [("suspended", "suspend"), ("deleted", "")] {
        let user = root.user(name, &[]);
        let key = root.key(json!({ "class": "member", "owner_id": user, "label": "own" }));
        let pair = json!({ "username": key["access_key"], "password": key["secret"] });
        let open = || server.caller(&text(&log_in(&server.url, pair.clone()).ok()["token"]));
        let sessions: Vec<Caller> = (0..100).map(|_| open()).collect();
        for own in &sessions {
            assert_eq!(node.caller(&root.secret).code(&own.secret), "ok");
        }
        match go {
            "" => drop(root.delete(&format!("/v1/users/{user}")).expect(204)),
            action => drop(root.post(&format!("/v1/users/{user}/{action}"), json!({})).expect(200)),
        }
        let since = Instant::now();
        for own in &sessions {
            let code = root.code(&own.secret);
            assert!(["revoked", "owner_deleted", "owner_suspended"].contains(&code.as_str()), "{code}");
        }
        let there = node.caller(&root.secret);
        wait_until(|| sessions.iter().all(|own| there.code(&own.secret) != "ok"));
        assert!(since.elapsed() < Duration::from_secs(4), "{:?}", since.elapsed());
        if go == "suspend" {
            root.post(&format!("/v1/users/{user}/resume"), json!({})).expect(200);
            assert_eq!(root.code(&sessions[0].secret), "revoked", "it does not come back");
        }
    }
}

#[test]
fn ses_5_one_sees_and_ends_own_sessions_and_an_administrator_those_of_a_user() {
    let server = Server::start();
    let root = server.root();
    let user = somebody(&server, "grace", &["me:read", "me/sessions:*"]);
    somebody(&server, "eve", &["me:read", "me/sessions:*"]);
    let (one, two, eve) =
        (session(&server.url, "grace"), session(&server.url, "grace"), session(&server.url, "eve"));
    let listed = all(&one, "/v1/auth/sessions");
    assert_eq!(listed.len(), 2);
    let current: Vec<_> = listed.iter().filter(|item| item["current"] == true).collect();
    assert_eq!((current.len(), &current[0]["id"]), (1, &json!(id_of(&one))));
    assert_eq!(current[0]["address"], "127.0.0.1");
    assert!(!listed.iter().any(|item| item.to_string().contains("kws_")));
    let at = format!("/v1/auth/sessions/{}", id_of(&two));
    eve.delete(&at).refused(404, "not_found");
    two.get("/v1/me").expect(200);
    one.delete(&at).expect(204);
    two.get("/v1/me").refused(401, "revoked");
    one.delete(&at).refused(404, "not_found");
    let of = format!("/v1/users/{user}/sessions");
    eve.get(&of).refused(403, "insufficient_rights");
    eve.delete(&of).refused(403, "insufficient_rights");
    assert_eq!(all(&root, &of).len(), 1);
    let (_, stranger) = tenant(&server, "acme");
    stranger.get(&of).refused(404, "not_found");
    stranger.delete(&of).refused(404, "not_found");
    one.get("/v1/me").expect(200);
    root.delete(&of).expect(204);
    one.get("/v1/me").refused(401, "revoked");
    eve.get("/v1/me").expect(200);
    assert_eq!(all(&root, &of).len(), 0);
}

#[test]
fn ses_5_az_6_nobody_ends_sessions_of_who_may_do_more() {
    let server = Server::start();
    ask_for_no_factor(&server.root());
    let boss = somebody(&server, "boss", &["**:*"]);
    let own = session(&server.url, "boss");
    let (_, _, low) = person(&server, &server.root(), "low", &["users:write"]);
    low.delete(&format!("/v1/users/{boss}/sessions")).refused(403, "above_caller");
    own.get("/v1/me").expect(200);
}

#[test]
fn ses_5_one_session_too_many_ends_the_least_used() {
    let server = Server::with_config("login: {max_sessions: 2}");
    somebody(&server, "grace", &["me:read"]);
    let first = session(&server.url, "grace");
    let second = session(&server.url, "grace");
    first.get("/v1/me").expect(200);
    let third = session(&server.url, "grace");
    first.get("/v1/me").refused(401, "revoked");
    second.get("/v1/me").expect(200);
    third.get("/v1/me").expect(200);
}

#[test]
fn ses_5_logins_of_a_key_never_end_those_of_its_owner() {
    let server = Server::with_config("login: {max_sessions: 2}");
    somebody(&server, "grace", &["me:read", "me/keys:*"]);
    let own = session(&server.url, "grace");
    let key = own.key(json!({ "class": "member", "label": "busy" }));
    let caller = server.caller(&text(&key["secret"]));
    for _ in 0..4 {
        super::key_session(&caller);
    }
    own.get("/v1/me").expect(200);
    let crowded = server.root().get("/v1/audit-events?limit=1&action=session.start").ok();
    assert_eq!(crowded["data"][0]["reason"], "1 of too many sessions ended");
}

#[test]
fn ses_1_key_3_what_is_about_the_session_that_asks_is_never_tried_out() {
    let server = Server::start();
    somebody(&server, "grace", &["me:read"]);
    let own = session(&server.url, "grace");
    own.post("/v1/auth/step-up?validate_only=true", json!({ "password": PASSWORD }))
        .refused(400, "malformed_request");
    own.get("/v1/me").expect(200);
}

#[test]
fn key_12_a_session_token_in_a_url_is_refused_and_ends() {
    let server = Server::start();
    somebody(&server, "grace", &["me:read"]);
    let own = session(&server.url, "grace");
    let url = format!("{}/v1/me?token={}", server.url, own.secret);
    Answer::read(client().get(url).send().expect("an answer")).refused(400, "credential_in_url");
    wait_until(|| own.get("/v1/me").status == 401);
    own.get("/v1/me").refused(401, "revoked");
}

#[test]
fn az_10_a_session_that_ended_changes_nothing_any_more() {
    let server = Server::start();
    let user = somebody(&server, "grace", &["me:read", "users:write", "me/keys:*"]);
    let own = session(&server.url, "grace");
    own.post("/v1/users", json!({ "username": "one", "role_ids": [] })).expect(201);
    let node = server.second_node();
    let there = node.caller(&own.secret);
    there.get("/v1/me").expect(200);
    // The other node may believe the session for a moment, the transaction does not.
    own.post("/v1/auth/logout", json!({})).expect(204);
    there.post("/v1/users", json!({ "username": "two", "role_ids": [] })).expect(401);
    assert_eq!(all(&server.root(), "/v1/users").len(), 3);
    let again = session(&server.url, "grace");
    server.root().patch(&format!("/v1/users/{user}"), json!({ "role_ids": [] })).expect(200);
    again.post("/v1/users", json!({ "username": "three" })).refused(403, "insufficient_rights");
}

#[test]
fn web_2_ses_2_no_cookie_is_set_unasked_and_no_other_origin_reads_an_answer() {
    let server = Server::start();
    somebody(&server, "grace", &["me:read"]);
    let body = json!({ "username": "grace", "password": PASSWORD });
    let request =
        client().post(format!("{}/v1/auth/login", server.url)).header("origin", "https://evil.example");
    let answer = Answer::read(request.json(&body).send().expect("an answer")).expect(200);
    let preflight = client().request(reqwest::Method::OPTIONS, format!("{}/v1/auth/login", server.url));
    let preflight =
        preflight.header("origin", "https://evil.example").header("access-control-request-method", "POST");
    let preflight = Answer::read(preflight.send().expect("an answer"));
    assert_eq!(preflight.status, 405);
    for answer in [answer, preflight] {
        let names = answer.headers.keys().filter(|name| name.as_str().starts_with("access-control"));
        assert_eq!(names.count(), 0);
        assert_eq!(answer.header("set-cookie"), "");
    }
    // A form of another page cannot log anybody in.
    let form = client().post(format!("{}/v1/auth/login", server.url)).body(body.to_string());
    let form = form.header("content-type", "text/plain").send().expect("an answer");
    Answer::read(form).refused(415, "unsupported_media_type");
}

#[test]
fn sto_3_a_pepper_with_live_sessions_is_not_retired_unforced() {
    let server = Server::start();
    somebody(&server, "grace", &["me:read"]);
    let own = session(&server.url, "grace");
    let pepper = |args: &[&str]| server.place.run(&[&["pepper"], args].concat()).status.code();
    assert_eq!(pepper(&["rotate"]), Some(0));
    own.get("/v1/me").expect(200);
    wait_until(|| {
        server.root().get("/v1/me").expect(200);
        let status = server.place.run(&["pepper", "status", "-o", "json"]);
        let status: serde_json::Value = serde_json::from_slice(&status.stdout).expect("JSON");
        status["data"][1]["secrets"] == 1
    });
    assert_eq!(pepper(&["retire", "1"]), Some(6), "the session is left");
    own.get("/v1/me").expect(200);
    let later = session(&server.url, "grace");
    assert_eq!(pepper(&["retire", "1", "--force"]), Some(0));
    wait_until(|| own.get("/v1/me").status == 401);
    later.get("/v1/me").expect(200);
}
