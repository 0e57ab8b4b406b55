//! One's own factors: adding, confirming, removing, and recovery codes.

use serde_json::{Value, json};

use super::{begin, enrol, give, log_in_with, newest, sessions_alive, somebody_with_factor, unused, wrong};
use crate::logins::{PASSWORD, log_in, session, somebody};
use crate::support::{Answer, Server, text};

#[test]
fn aut_4_a_factor_counts_once_a_code_confirms_it() {
    let server = Server::start();
    let user = somebody(&server, "grace", &["me:read"]);
    let own = session(&server.url, "grace");
    let begun = own.post("/v1/auth/factors/totp", json!({ "name": "phone" })).ok();
    let (secret, uri) = (text(&begun["secret"]), text(&begun["uri"]));
    assert_eq!((secret.len(), &begun["secret_state"]), (32, &json!("shown_once")));
    assert!(uri.starts_with("otpauth://totp/") && uri.contains(&secret) && uri.contains(":grace?"), "{uri}");
    let at = format!("/v1/auth/factors/{}/confirm", text(&begun["id"]));
    let phone = super::Phone::new(&secret);
    own.post(&at, json!({ "code": wrong(&phone) })).refused(422, "invalid_value");
    assert_eq!(own.get("/v1/auth/factors").ok(), json!({ "factors": [], "recovery_codes_left": 0 }));
    session(&server.url, "grace");
    let confirmed = own.post(&at, json!({ "code": phone.code() })).ok();
    assert_eq!(confirmed["recovery_codes"].as_array().map(Vec::len), Some(10));
    assert_eq!(
        (&confirmed["factor"]["kind"], &confirmed["factor"]["name"]),
        (&json!("totp"), &json!("phone"))
    );
    assert_eq!(confirmed["session"]["second_factor"], "totp");
    own.get("/v1/me").refused(401, "invalid_key");
    let own = server.caller(&text(&confirmed["token"]));
    own.post(&at, json!({ "code": phone.code_at(1) })).refused(404, "not_found");
    // The code that confirmed it is used up (VER-7).
    give(&server.url, &begin(&server.url, "grace"), &phone.code()).refused(401, "invalid_code");
    let listed = own.get("/v1/auth/factors").ok();
    assert_eq!(listed["factors"][0]["name"], "phone");
    assert!(!listed.to_string().contains(&secret));
    assert_eq!(server.root().get(&format!("/v1/users/{user}/factors")).ok(), listed);
    let added = newest(&server, "factor.add");
    assert_eq!((&added["actor"]["id"], &added["after"]["kind"]), (&json!(user), &json!("totp")));
    assert!(!added.to_string().contains(&secret));
}

#[test]
fn aut_7_ses_4_adding_and_removing_a_factor_ends_the_other_sessions() {
    let server = Server::start();
    somebody(&server, "grace", &["me:read"]);
    let (own, other) = (session(&server.url, "grace"), session(&server.url, "grace"));
    let enrolled = enrol(&own);
    other.get("/v1/me").refused(401, "revoked");
    unused(&server);
    let other = log_in_with(&server.url, "grace", &enrolled.phone.code());
    enrolled.session.delete(&format!("/v1/auth/factors/{}", enrolled.id)).expect(204);
    other.get("/v1/me").refused(401, "revoked");
    enrolled.session.get("/v1/me").expect(200);
    assert_eq!(newest(&server, "factor.remove")["before"]["name"], "phone");
    // The recovery codes are gone with the last factor, and a password is enough again.
    let listed = enrolled.session.get("/v1/auth/factors").ok();
    assert_eq!(listed, json!({ "factors": [], "recovery_codes_left": 0 }));
    session(&server.url, "grace").get("/v1/me").expect(200);
}

#[test]
fn ses_6_factors_are_changed_with_a_fresh_proof_only() {
    let server = Server::start();
    let (_, enrolled) = somebody_with_factor(&server, "grace", &["me:read"]);
    somebody(&server, "plain", &["me:read"]);
    let plain = session(&server.url, "plain");
    let begun = plain.post("/v1/auth/factors/totp", json!({})).ok();
    let phone = super::Phone::new(&text(&begun["secret"]));
    server.place.sql("UPDATE sessions SET stepped_up_at = stepped_up_at - 601000");
    // Each node knows a session for a while; a new one reads what is stored.
    let node = server.second_node();
    let (own, plain) = (node.caller(&enrolled.session.secret), node.caller(&plain.secret));
    let confirm = format!("/v1/auth/factors/{}/confirm", text(&begun["id"]));
    plain.post(&confirm, json!({ "code": phone.code() })).refused(403, "step_up_required");
    plain.post("/v1/auth/factors/totp", json!({})).refused(403, "step_up_required");
    own.post("/v1/auth/factors/recovery-codes", json!({})).refused(403, "step_up_required");
    own.delete(&format!("/v1/auth/factors/{}", enrolled.id)).refused(403, "step_up_required");
    assert_eq!(own.get("/v1/auth/factors").ok()["factors"].as_array().map(Vec::len), Some(1));
    assert_eq!(plain.get("/v1/auth/factors").ok()["factors"], json!([]));
    let fresh = own.post("/v1/auth/step-up", json!({ "code": enrolled.phone.code() })).ok();
    let fresh = node.caller(&text(&fresh["token"]));
    fresh.delete(&format!("/v1/auth/factors/{}", enrolled.id)).expect(204);
}

#[test]
fn az_2_nobody_reaches_the_factor_of_another() {
    let server = Server::start();
    let (_, grace) = somebody_with_factor(&server, "grace", &["me:read"]);
    let (_, mallory) = somebody_with_factor(&server, "mallory", &["me:read"]);
    mallory.session.delete(&format!("/v1/auth/factors/{}", grace.id)).refused(404, "not_found");
    let begun = grace.session.post("/v1/auth/factors/totp", json!({})).ok();
    let confirm = format!("/v1/auth/factors/{}/confirm", text(&begun["id"]));
    let phone = super::Phone::new(&text(&begun["secret"]));
    mallory.session.post(&confirm, json!({ "code": phone.code() })).refused(404, "not_found");
    // Nor does a code of one open the login of another.
    let waiting = begin(&server.url, "grace");
    give(&server.url, &waiting, &mallory.phone.code()).refused(401, "invalid_code");
    give(&server.url, &waiting, &mallory.codes[0]).refused(401, "invalid_code");
    give(&server.url, &waiting, &grace.phone.code()).ok();
}

#[test]
fn ver_7_new_recovery_codes_make_the_old_ones_worthless() {
    let server = Server::start();
    let (user, enrolled) = somebody_with_factor(&server, "grace", &["me:read"]);
    let made = enrolled.session.post("/v1/auth/factors/recovery-codes", json!({})).ok();
    let new: Vec<String> = made["recovery_codes"].as_array().expect("codes").iter().map(text).collect();
    assert_eq!((new.len(), &made["secret_state"]), (10, &json!("shown_once")));
    give(&server.url, &begin(&server.url, "grace"), &enrolled.codes[0]).refused(401, "invalid_code");
    log_in_with(&server.url, "grace", &new[0]);
    let event = newest(&server, "user.replace_recovery_codes");
    assert_eq!(event["actor"]["id"], json!(user));
    somebody(&server, "plain", &["me:read"]);
    session(&server.url, "plain")
        .post("/v1/auth/factors/recovery-codes", json!({}))
        .refused(409, "no_factor");
}

#[test]
fn a_second_authenticator_stands_beside_the_first_and_a_sixth_does_not() {
    let server = Server::start();
    let (_, first) = somebody_with_factor(&server, "grace", &["me:read"]);
    let mut last = enrol(&first.session);
    assert!(last.codes.is_empty(), "the recovery codes stay as they are");
    unused(&server);
    log_in_with(&server.url, "grace", &first.phone.code());
    log_in_with(&server.url, "grace", &last.phone.code());
    log_in_with(&server.url, "grace", &first.codes[0]);
    for _ in 0..3 {
        last = enrol(&last.session);
    }
    last.session.post("/v1/auth/factors/totp", json!({})).refused(409, "too_many_factors");
    last.session.post("/v1/auth/factors/totp", json!({ "name": "" })).refused(422, "invalid_value");
}

#[test]
fn what_nobody_confirms_in_time_is_void_and_a_new_try_replaces_it() {
    let server = Server::start();
    somebody(&server, "grace", &["me:read"]);
    let own = session(&server.url, "grace");
    let confirm = |begun: &Value| {
        let phone = super::Phone::new(&text(&begun["secret"]));
        let at = format!("/v1/auth/factors/{}/confirm", text(&begun["id"]));
        own.post(&at, json!({ "code": phone.code() }))
    };
    let first = own.post("/v1/auth/factors/totp", json!({})).ok();
    let second = own.post("/v1/auth/factors/totp", json!({})).ok();
    confirm(&first).refused(404, "not_found");
    server.place.sql("UPDATE factors SET created_at = created_at - 601000");
    confirm(&second).refused(404, "not_found");
    let third = own.post("/v1/auth/factors/totp", json!({})).ok();
    confirm(&third).ok();
}

#[test]
fn a_dry_run_and_a_replay_show_no_secret_of_a_factor() {
    let server = Server::start();
    somebody(&server, "grace", &["me:read"]);
    let own = session(&server.url, "grace");
    for path in ["/v1/auth/factors/totp", "/v1/auth/factors/recovery-codes"] {
        own.post(&format!("{path}?validate_only=true"), json!({})).refused(400, "malformed_request");
    }
    assert_eq!(server.place.sql("UPDATE factors SET name = name"), 0);
    let send = || {
        let request = own.request("POST", "/v1/auth/factors/totp").header("Idempotency-Key", "one-factor");
        Answer::read(request.json(&json!({})).send().expect("an answer")).ok()
    };
    let (first, again) = (send(), send());
    assert_eq!(first["id"], again["id"]);
    assert_eq!((&again["secret"], &again["uri"]), (&Value::Null, &Value::Null));
    assert!(!server.place.dump().contains(&text(&first["secret"])));
    let enrolled = enrol(&own);
    let send = || {
        let request = enrolled.session.request("POST", "/v1/auth/factors/recovery-codes");
        let request = request.header("Idempotency-Key", "ten-codes").json(&json!({}));
        Answer::read(request.send().expect("an answer")).ok()
    };
    let (first, again) = (send(), send());
    assert_eq!((&again["recovery_codes"], &again["secret_state"]), (&Value::Null, &json!("delivered")));
    assert!(!server.place.dump().contains(&text(&first["recovery_codes"][0])));
}

#[test]
fn sq_7_a_deleted_user_leaves_no_factor_behind() {
    let server = Server::start();
    let (user, enrolled) = somebody_with_factor(&server, "grace", &["me:read"]);
    let waiting = begin(&server.url, "grace");
    let alive = sessions_alive(&server);
    assert!(alive > 0);
    server.root().delete(&format!("/v1/users/{user}")).expect(204);
    give(&server.url, &waiting, &enrolled.phone.code()).refused(401, "invalid_challenge");
    assert_eq!(server.place.sql("UPDATE factors SET name = name"), 0);
    assert_eq!(server.place.sql("UPDATE recovery_codes SET number = number"), 0);
    assert_eq!(server.place.sql("UPDATE login_challenges SET hash = hash"), 0);
    log_in(&server.url, json!({ "username": "grace", "password": PASSWORD })).refused(401, "invalid_login");
}
