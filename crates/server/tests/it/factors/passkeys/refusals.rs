//! Answers that open nothing.

use serde_json::{Value, json};

use super::device::{Device, b64, bytes};
use super::{add, enter, finish, options, somebody_with_passkey, start};
use crate::api::told;
use crate::factors::{newest, sessions_alive};
use crate::logins::{session, somebody};
use crate::support::{Server, text, wait_until};

#[test]
fn aut_4_what_is_not_right_about_an_answer_opens_nothing_and_tells_nothing() {
    let server = Server::start();
    let url = &server.url;
    let (_, mut grace) = somebody_with_passkey(&server, "grace");
    let (_, mut mallory) = somebody_with_passkey(&server, "mallory");
    let before = sessions_alive(&server);
    let origin = grace.device.origin.clone();
    let mut answers: Vec<(&str, Value)> = Vec::new();

    grace.device.origin = "https://keys.example.org".into();
    answers.push(("wrong_origin", grace.device.get(&options(url))));
    grace.device.origin = format!("{origin}1");
    answers.push(("wrong_origin", grace.device.get(&options(url))));
    grace.device.origin = origin;
    grace.device.framed = true;
    answers.push(("wrong_origin", grace.device.get(&options(url))));
    grace.device.framed = false;
    grace.device.site = Some("127.0.0.1".into());
    answers.push(("wrong_site", grace.device.get(&options(url))));
    grace.device.site = None;
    grace.device.verifies = false;
    answers.push(("user_not_verified", grace.device.get(&options(url))));
    grace.device.verifies = true;
    grace.device.touched = false;
    answers.push(("user_not_verified", grace.device.get(&options(url))));
    grace.device.touched = true;

    let mut made_up = options(url);
    made_up["challenge"] = b64(&[7; 56]).into();
    answers.push(("wrong_challenge", grace.device.get(&made_up)));
    made_up["challenge"] = "".into();
    answers.push(("wrong_challenge", grace.device.get(&made_up)));
    let (_, creation) = start(&grace.session);
    made_up["challenge"] = creation["challenge"].clone();
    answers.push(("wrong_challenge", grace.device.get(&made_up)));
    let own = grace.session.post("/v1/auth/step-up/options", json!({})).ok();
    answers.push(("wrong_challenge", grace.device.get(&own["options"])));

    let other = mallory.device.get(&options(url));
    let mut taken = other.clone();
    taken["response"]["userHandle"] = grace.device.user.clone().into();
    answers.push(("wrong_user", taken));
    let mut taken = other.clone();
    taken["rawId"] = b64(&grace.device.id).into();
    taken["response"]["userHandle"] = grace.device.user.clone().into();
    answers.push(("wrong_signature", taken));
    let mut nameless = other;
    nameless["response"]["userHandle"] = Value::Null;
    answers.push(("wrong_user", nameless));
    for part in ["signature", "authenticatorData"] {
        let mut changed = grace.device.get(&options(url));
        let mut raw = bytes(&changed["response"][part]);
        *raw.last_mut().expect("not empty") ^= 1;
        changed["response"][part] = b64(&raw).into();
        answers.push(("wrong_signature", changed));
    }
    let mut changed = grace.device.get(&options(url));
    let text = String::from_utf8(bytes(&changed["response"]["clientDataJSON"])).expect("JSON");
    changed["response"]["clientDataJSON"] = b64(text.replace('{', "{ ").as_bytes()).into();
    answers.push(("wrong_signature", changed));

    let expected = told(&enter(url, &mut Device::new(url)));
    assert_eq!((expected.0, &expected.1["code"]), (401, &json!("invalid_passkey")));
    for (reason, answer) in &answers {
        assert_eq!(told(&finish(url, answer)), expected, "{reason}: {answer}");
    }
    let seen = || {
        let page = server.root().get("/v1/audit-events?limit=50&action=auth.login").ok();
        let events = page["data"].as_array().expect("events").clone();
        answers.iter().all(|(reason, _)| events.iter().any(|event| event["reason"] == *reason))
    };
    wait_until(seen);
    assert_eq!(sessions_alive(&server), before);
    enter(url, &mut grace.device).ok();
    enter(url, &mut mallory.device).ok();
}

#[test]
fn aut_4_a_counter_that_goes_back_is_refused_and_told_as_a_copy() {
    let server = Server::start();
    let (user, mut grace) = somebody_with_passkey(&server, "grace");
    enter(&server.url, &mut grace.device).ok();
    let again = grace.device.get(&options(&server.url));
    finish(&server.url, &again).ok();
    // The same answer once more is no copy.
    finish(&server.url, &again).refused(401, "invalid_passkey");
    wait_until(|| newest(&server, "auth.login")["reason"] == "used_challenge");
    assert_eq!(newest(&server, "factor.clone_warning"), Value::Null);
    let newest_counter = grace.device.counter;
    let before = sessions_alive(&server);
    for counter in [newest_counter - 1, 0] {
        // The copy counts on from where it was taken.
        grace.device.counter = counter;
        enter(&server.url, &mut grace.device).refused(401, "invalid_passkey");
        let event = newest(&server, "factor.clone_warning");
        assert_eq!(event["target"], json!({ "kind": "factor", "id": grace.id, "label": "laptop" }));
        assert_eq!((&event["actor"]["id"], &event["outcome"]), (&json!(user), &json!("refused")));
        let told = json!({ "counter": counter + 1, "newest_counter": newest_counter });
        assert_eq!(event["after"], told);
    }
    // Nor does a device that counted stop counting.
    (grace.device.counter, grace.device.counts) = (0, false);
    enter(&server.url, &mut grace.device).refused(401, "invalid_passkey");
    assert_eq!(sessions_alive(&server), before);
    (grace.device.counter, grace.device.counts) = (newest_counter, true);
    enter(&server.url, &mut grace.device).ok();
    // Whoever cannot sign raises no alarm.
    let alarms = || text(&newest(&server, "factor.clone_warning")["id"]);
    let last = alarms();
    grace.device.counter = 0;
    let mut forged = grace.device.get(&options(&server.url));
    forged["response"]["signature"] = b64(&[48; 70]).into();
    finish(&server.url, &forged).refused(401, "invalid_passkey");
    assert_eq!(alarms(), last);
}

#[test]
fn http_6_a_field_that_is_cut_anywhere_is_a_refusal_and_no_fault() {
    let server = Server::start();
    let (_, mut grace) = somebody_with_passkey(&server, "grace");
    let before = sessions_alive(&server);
    let good = grace.device.get(&options(&server.url));
    let mut sent = 0;
    let mut send = |answer: &Value| {
        let told = finish(&server.url, answer);
        assert!((400..500).contains(&told.status), "{} {answer}", told.text);
        sent += 1;
    };
    for part in ["clientDataJSON", "authenticatorData", "signature", "userHandle"] {
        let whole = bytes(&good["response"][part]);
        for length in (0..whole.len()).step_by(7) {
            let mut cut = good.clone();
            cut["response"][part] = b64(&whole[..length]).into();
            send(&cut);
        }
        for wrong in [json!("=="), json!("ä"), json!(7), json!(null), json!([]), json!("A".repeat(50_000))] {
            let mut cut = good.clone();
            cut["response"][part] = wrong;
            send(&cut);
        }
    }
    for name in ["rawId", "response"] {
        let mut cut = good.clone();
        cut.as_object_mut().expect("an object").remove(name);
        send(&cut);
    }
    let mut cut = good.clone();
    cut["rawId"] = b64(&grace.device.id[..31]).into();
    send(&cut);
    // An empty client data, and others that hold nothing of use.
    for data in ["", "null", "[]", "{}", r#"{"type":"webauthn.get","challenge":7,"origin":[]}"#] {
        let mut cut = good.clone();
        cut["response"]["clientDataJSON"] = b64(data.as_bytes()).into();
        send(&cut);
    }
    assert!(sent > 60, "{sent}");
    assert_eq!(sessions_alive(&server), before);
    // The answer itself was never used up by that, nor was its owner locked.
    finish(&server.url, &good).ok();
}

#[test]
fn ver_5_a_source_that_fails_too_often_has_to_wait() {
    let server = Server::start();
    let (_, mut grace) = somebody_with_passkey(&server, "grace");
    let mut stranger = Device::new(&server.url);
    stranger.user = grace.device.user.clone();
    let answer = stranger.get(&options(&server.url));
    finish(&server.url, &answer).refused(401, "invalid_passkey");
    // Five more a second are let through while the test runs.
    let told = (0..1_000).map(|_| finish(&server.url, &answer)).find(|told| told.status != 401);
    let waits = told.expect("a limit").refused(429, "rate_limited").header("retry-after").to_owned();
    assert!((1..=60).contains(&waits.parse().expect("seconds")), "{waits}");
    wait_until(|| enter(&server.url, &mut grace.device).status == 200);
}

#[test]
fn sto_6_who_writes_to_the_database_alone_makes_no_passkey_anothers() {
    let server = Server::start();
    let (_, grace) = somebody_with_passkey(&server, "grace");
    let (_, mut mallory) = somebody_with_passkey(&server, "mallory");
    let Some(graces) = grace.device.user.clone() else { panic!("a user") };
    // An own key in the row of another.
    server.place.sql(
        "UPDATE factors SET sealed = (SELECT f.sealed FROM factors f JOIN users u ON u.id = f.user_id
            WHERE u.username = 'mallory')",
    );
    mallory.device.user = Some(graces);
    let own = std::mem::replace(&mut mallory.device.id, grace.device.id);
    let answer = enter(&server.url, &mut mallory.device);
    assert_eq!(answer.status, 500, "{}", answer.text);
    // An own row that is said to be another's.
    mallory.device.id = own;
    server.place.sql("DELETE FROM factors WHERE user_id = (SELECT id FROM users WHERE username = 'grace')");
    server.place.sql("UPDATE factors SET user_id = (SELECT id FROM users WHERE username = 'grace')");
    let answer = enter(&server.url, &mut mallory.device);
    assert_eq!(answer.status, 500, "{}", answer.text);
}

#[test]
fn aut_4_passkeys_need_a_name_and_a_refusal_says_which_setting_gives_it() {
    for url in ["https://192.0.2.7", "https://[2001:db8::7]:8443", "http://keys.example.org"] {
        let server = Server::with_config(&format!("server: {{public_url: '{url}'}}"));
        somebody(&server, "grace", &["me:read"]);
        let own = session(&server.url, "grace");
        let refused = own.post("/v1/auth/factors/passkey", json!({})).refused(409, "passkeys_not_set_up");
        let detail = text(&refused.body["detail"]);
        assert!(detail.contains("server.public_url") && detail.contains(url), "{detail}");
        assert_eq!(server.place.sql("UPDATE factors SET name = name"), 0);
        let asked = crate::logins::post(&server.url, "/v1/auth/login/options", json!({}));
        asked.refused(409, "passkeys_not_set_up");
    }
    // The Host of a request has no say.
    let server = Server::with_config("server: {public_url: 'https://keys.example.org/base'}");
    somebody(&server, "grace", &["me:read"]);
    let own = session(&server.url, "grace");
    let request = own.request("POST", "/v1/auth/factors/passkey").header("Host", "evil.example");
    let request = request.header("X-Forwarded-Host", "evil.example").json(&json!({}));
    let begun = crate::support::Answer::read(request.send().expect("an answer")).ok();
    assert_eq!(begun["options"]["rp"]["id"], "keys.example.org");
    let mut added = add(&own, Device::new("https://keys.example.org"));
    enter(&server.url, &mut added.device).ok();
}
