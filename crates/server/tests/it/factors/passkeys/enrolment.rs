//! Adding and removing passkeys.

use serde_json::{Value, json};

use super::device::{Device, attestation, b64, bytes};
use super::{add, confirm, enter, options, somebody_with_passkey, start};
use crate::factors::{enrol, newest};
use crate::logins::{ask_for_no_factor, session, set_password, somebody};
use crate::support::{Server, text};

/// How many passkeys count.
fn counting(server: &Server) -> u64 {
    server.place.sql("UPDATE factors SET name = name WHERE confirmed_at IS NOT NULL")
}

#[test]
fn aut_4_a_passkey_counts_once_the_browser_has_made_it() {
    let server = Server::start();
    let user = somebody(&server, "grace", &["me:read", "me/sessions:*"]);
    let (own, other) = (session(&server.url, "grace"), session(&server.url, "grace"));
    let mut device = Device::new(&server.url);
    let begun = own.post("/v1/auth/factors/passkey", json!({ "name": "laptop" })).ok();
    let asked = &begun["options"];
    assert_eq!((&asked["rp"]["id"], &asked["user"]["name"]), (&json!("localhost"), &json!("grace")));
    assert_eq!(bytes(&asked["user"]["id"]), user.as_bytes());
    assert_eq!((&asked["attestation"], &asked["excludeCredentials"]), (&json!("none"), &json!([])));
    let selection = &asked["authenticatorSelection"];
    assert_eq!(
        (&selection["residentKey"], &selection["userVerification"]),
        (&json!("preferred"), &json!("preferred"))
    );
    assert!(begun["expires_at"].is_string());
    assert_eq!(own.get("/v1/auth/factors").ok()["factors"], json!([]));
    let made = device.create(asked);
    enter(&server.url, &mut device).refused(401, "invalid_passkey");
    let confirmed = confirm(&own, &text(&begun["id"]), &made).ok();
    assert_eq!(
        (&confirmed["factor"]["kind"], &confirmed["factor"]["name"]),
        (&json!("passkey"), &json!("laptop"))
    );
    assert_eq!(confirmed["recovery_codes"].as_array().map(Vec::len), Some(10));
    assert_eq!(confirmed["session"]["second_factor"], "passkey");
    // The session has another token, every other one has ended.
    own.get("/v1/me").refused(401, "invalid_key");
    other.get("/v1/me").refused(401, "revoked");
    let own = server.caller(&text(&confirmed["token"]));
    let event = newest(&server, "factor.add");
    assert_eq!((&event["actor"]["id"], &event["after"]["kind"]), (&json!(user), &json!("passkey")));
    assert_eq!(newest(&server, "factor.start")["after"]["name"], "laptop");
    confirm(&own, &text(&begun["id"]), &made).refused(404, "not_found");
    enter(&server.url, &mut device).ok();
    let listed = server.root().get(&format!("/v1/users/{user}/factors")).ok();
    assert_eq!(listed["factors"][0]["name"], "laptop");
    assert_eq!(listed["recovery_codes_left"], 10);
}

#[test]
fn aut_4_what_a_browser_made_for_something_else_is_refused_and_says_why() {
    let server = Server::start();
    somebody(&server, "grace", &["me:read"]);
    let own = session(&server.url, "grace");
    let good = Device::new(&server.url).origin;
    let why = |change: &dyn Fn(&mut Device, &mut Value)| {
        let (id, mut asked) = start(&own);
        let mut device = Device::new(&server.url);
        change(&mut device, &mut asked);
        let made = device.create(&asked);
        let refused = confirm(&own, &id, &made).refused(422, "invalid_value");
        assert_eq!(refused.body["errors"][0]["pointer"], "/passkey");
        text(&refused.body["errors"][0]["detail"])
    };
    let told = why(&|device, _| device.origin = "https://evil.example".into());
    assert!(told.contains(&good), "{told}");
    why(&|device, _| device.framed = true);
    why(&|device, _| device.site = Some("evil.example".into()));
    why(&|device, _| device.touched = false);
    why(&|_, asked| asked["challenge"] = b64(&[7; 56]).into());
    why(&|_, asked| asked["challenge"] = options(&server.url)["challenge"].clone());
    why(&|device, _| device.id = Vec::new());
    // The challenge of another factor, and that of one which was given up.
    let (old, asked) = start(&own);
    let made = Device::new(&server.url).create(&asked);
    let (new, _) = start(&own);
    confirm(&own, &new, &made).refused(422, "invalid_value");
    confirm(&own, &old, &made).refused(404, "not_found");
    // A passkey is no code, and a code no passkey.
    own.post(&format!("/v1/auth/factors/{new}/confirm"), json!({ "code": "123456" }))
        .refused(400, "malformed_request");
    let totp = text(&own.post("/v1/auth/factors/totp", json!({})).ok()["id"]);
    confirm(&own, &totp, &made).refused(400, "malformed_request");
    assert_eq!(counting(&server), 0);
}

#[test]
fn http_6_a_cut_attestation_is_a_refusal_and_no_fault() {
    let server = Server::start();
    somebody(&server, "grace", &["me:read"]);
    let own = session(&server.url, "grace");
    let (id, asked) = start(&own);
    let good = Device::new(&server.url).create(&asked);
    let whole = bytes(&good["response"]["attestationObject"]);
    let signed = bytes(&good["response"]["authenticatorData"]);
    let cut = (0..whole.len()).step_by(5).map(|length| whole[..length].to_vec());
    let inside = (0..signed.len()).step_by(5).map(|length| attestation(&signed[..length]));
    let nested = vec![0x81; 10_000];
    let vast = vec![0x9b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x00];
    let long = vec![0x5b, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x00];
    for wrong in cut.chain(inside).chain([nested, vast, long, vec![0xff], vec![0xf6]]) {
        let mut made = good.clone();
        made["response"]["attestationObject"] = b64(&wrong).into();
        confirm(&own, &id, &made).refused(422, "invalid_value");
    }
    for (name, value) in
        [("rawId", json!("AA")), ("rawId", json!(7)), ("response", json!({})), ("response", json!(""))]
    {
        let mut made = good.clone();
        made[name] = value;
        let answer = confirm(&own, &id, &made);
        assert!([400, 422].contains(&answer.status), "{}", answer.text);
    }
    assert_eq!(counting(&server), 0);
    confirm(&own, &id, &good).ok();
}

#[test]
fn ses_6_adding_and_removing_need_a_fresh_proof() {
    let server = Server::start();
    let (_, added) = somebody_with_passkey(&server, "grace");
    let (id, asked) = start(&added.session);
    server.place.sql("UPDATE sessions SET stepped_up_at = stepped_up_at - 601000");
    let node = server.second_node();
    let made = Device::new(&node.url).create(&asked);
    let old = node.caller(&added.session.secret);
    old.post("/v1/auth/factors/passkey", json!({})).refused(403, "step_up_required");
    confirm(&old, &id, &made).refused(403, "step_up_required");
    old.delete(&format!("/v1/auth/factors/{}", added.id)).refused(403, "step_up_required");
    assert_eq!(counting(&server), 1);
    server.root().post("/v1/auth/factors/passkey", json!({})).refused(403, "not_a_session");
}

#[test]
fn aut_4_a_passkey_belongs_to_one_user() {
    let server = Server::start();
    let (_, grace) = somebody_with_passkey(&server, "grace");
    // The browser is told which ones are there.
    let (id, asked) = start(&grace.session);
    assert_eq!(asked["excludeCredentials"][0]["id"], b64(&grace.device.id));
    let mut same = grace.device;
    confirm(&grace.session, &id, &same.create(&asked)).refused(409, "already_exists");
    somebody(&server, "mallory", &["me:read"]);
    let mallory = session(&server.url, "mallory");
    let mut copy = Device::new(&server.url);
    copy.id.clone_from(&same.id);
    let (id, asked) = start(&mallory);
    confirm(&mallory, &id, &copy.create(&asked)).refused(409, "already_exists");
    assert_eq!(counting(&server), 1);
    // One user cannot finish what another began.
    let (begun, asked) = start(&grace.session);
    let made = Device::new(&server.url).create(&asked);
    confirm(&mallory, &begun, &made).refused(404, "not_found");
    confirm(&grace.session, &begun, &made).ok();
}

#[test]
fn aut_4_five_passkeys_stand_beside_an_authenticator_and_a_sixth_does_not() {
    let server = Server::start();
    somebody(&server, "grace", &["me:read"]);
    let first = enrol(&session(&server.url, "grace"));
    let mut own = first.session;
    let mut devices = Vec::new();
    for _ in 0..5 {
        let added = add(&own, Device::new(&server.url));
        assert!(added.codes.is_empty(), "the recovery codes stay as they are");
        own = added.session;
        devices.push(added.device);
    }
    own.post("/v1/auth/factors/passkey", json!({})).refused(409, "too_many_factors");
    own.post("/v1/auth/factors/passkey", json!({ "name": "" })).refused(422, "invalid_value");
    for device in &mut devices {
        enter(&server.url, device).ok();
    }
}

#[test]
fn aut_4_a_removed_passkey_is_dead_and_the_last_one_stays_while_it_is_asked_for() {
    let server = Server::start();
    let id = text(&server.root["user_id"]);
    set_password(&server.root(), &id, crate::logins::PASSWORD);
    let first = add(&session(&server.url, "root"), Device::new(&server.url));
    let at = |id: &str| format!("/v1/auth/factors/{id}");
    first.session.delete(&at(&first.id)).refused(409, "last_factor");
    let mut second = add(&first.session, Device::new(&server.url));
    let mut lost = first.device;
    let opened = enter(&server.url, &mut lost).ok();
    second.session.delete(&at(&first.id)).expect(204);
    let event = newest(&server, "factor.remove");
    assert_eq!((&event["target"]["id"], &event["before"]["kind"]), (&json!(first.id), &json!("passkey")));
    enter(&server.url, &mut lost).refused(401, "invalid_passkey");
    server.caller(&text(&opened["token"])).get("/v1/me").refused(401, "revoked");
    second.session.delete(&at(&second.id)).refused(409, "last_factor");
    enter(&server.url, &mut second.device).ok();
    ask_for_no_factor(&server.root());
    second.session.delete(&at(&second.id)).expect(204);
    enter(&server.url, &mut second.device).refused(401, "invalid_passkey");
}

#[test]
fn aut_4_a_passkey_gets_another_name_from_nobody_but_its_user() {
    let server = Server::start();
    let (_, mut grace) = somebody_with_passkey(&server, "grace");
    let (_, mallory) = somebody_with_passkey(&server, "mallory");
    let at = format!("/v1/auth/factors/{}", grace.id);
    mallory.session.patch(&at, json!({ "name": "mine" })).refused(404, "not_found");
    grace.session.patch(&at, json!({ "name": "" })).refused(422, "invalid_value");
    grace.session.patch(&at, json!({ "nome": "mine" })).refused(400, "malformed_request");
    assert_eq!(grace.session.get("/v1/auth/factors").ok()["factors"][0]["name"], "laptop");
    assert_eq!(grace.session.patch(&at, json!({ "name": "old laptop" })).ok()["name"], "old laptop");
    let event = newest(&server, "factor.edit");
    assert_eq!((&event["before"]["name"], &event["after"]["name"]), (&json!("laptop"), &json!("old laptop")));
    enter(&server.url, &mut grace.device).ok();
    assert_eq!(grace.session.patch(&at, json!({})).ok()["name"], "old laptop");
}

#[test]
fn az_6_an_administrator_takes_passkeys_away_with_all_factors() {
    let server = Server::start();
    let (user, mut added) = somebody_with_passkey(&server, "grace");
    server.root().delete(&format!("/v1/users/{user}/factors")).expect(204);
    enter(&server.url, &mut added.device).refused(401, "invalid_passkey");
    added.session.get("/v1/me").refused(401, "revoked");
    assert_eq!(newest(&server, "user.reset_factors")["after"]["removed"], 1);
}
