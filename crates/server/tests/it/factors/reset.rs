//! The way back for who has lost every factor.

use serde_json::{Value, json};

use super::{begin, enrol, give, newest, sessions_alive, somebody_with_factor};
use crate::logins::{PASSWORD, session, set_password, somebody};
use crate::support::{Server, text};

#[test]
fn az_6_ses_4_an_administrator_takes_the_factors_of_a_user_away() {
    let server = Server::start();
    let root = server.root();
    let (user, enrolled) = somebody_with_factor(&server, "grace", &["me:read"]);
    let waiting = begin(&server.url, "grace");
    give(&server.url, &waiting, "999999");
    root.delete(&format!("/v1/users/{user}/factors")).expect(204);
    enrolled.session.get("/v1/me").refused(401, "revoked");
    give(&server.url, &waiting, &enrolled.phone.code()).refused(401, "invalid_challenge");
    assert_eq!(sessions_alive(&server), 0);
    let event = newest(&server, "user.reset_factors");
    assert_eq!((&event["target"]["id"], &event["after"]["removed"]), (&json!(user), &json!(1)));
    session(&server.url, "grace").get("/v1/me").expect(200);
    assert_eq!(
        root.get(&format!("/v1/users/{user}/factors")).ok(),
        json!({ "factors": [], "recovery_codes_left": 0 })
    );
    root.delete("/v1/users/user_01000000000000000000000000/factors").refused(404, "not_found");
    root.get("/v1/users/user_01000000000000000000000000/factors").refused(404, "not_found");
}

#[test]
fn ses_6_az_6_taking_factors_away_needs_a_fresh_proof_and_never_reaches_a_better() {
    let server = Server::start();
    let root = server.root();
    let (user, _) = somebody_with_factor(&server, "grace", &["me:read"]);
    somebody(&server, "helper", &["users:read", "users:write", "me:read"]);
    let helper = session(&server.url, "helper");
    let boss = text(&server.root["user_id"]);
    helper.delete(&format!("/v1/users/{boss}/factors")).refused(403, "above_caller");
    server.place.sql("UPDATE sessions SET stepped_up_at = stepped_up_at - 601000");
    let node = server.second_node();
    let at = format!("/v1/users/{user}/factors");
    node.caller(&helper.secret).delete(&at).refused(403, "step_up_required");
    assert_eq!(root.get(&at).ok()["recovery_codes_left"], 10);
    session(&server.url, "helper").delete(&at).expect(204);
    assert_eq!(root.get(&at).ok()["recovery_codes_left"], 0);
}

#[test]
fn ops_2_the_machine_itself_is_a_way_back_for_the_last_administrator() {
    let server = Server::start();
    let root = server.root();
    let id = text(&server.root["user_id"]);
    set_password(&root, &id, PASSWORD);
    let enrolled = enrol(&session(&server.url, "root"));
    // Password, phone and codes are lost: `recover` makes a key, which is never asked for a factor.
    let out = server.place.run(&["recover", "-o", "json"]);
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let made: Value = serde_json::from_slice(&out.stdout).expect("JSON");
    let rescued = server.caller(&text(&made["secret"]));
    // A link alone gets nobody past the factor (AUT-6).
    let out = server.place.run(&["recover", "--password-reset", "root", "-o", "json"]);
    let link: Value = serde_json::from_slice(&out.stdout).expect("JSON");
    let body = json!({ "token": link["token"], "password": PASSWORD });
    crate::logins::post(&server.url, "/v1/auth/password-reset", body).expect(204);
    begin(&server.url, "root");
    enrolled.session.get("/v1/me").expect(401);
    rescued.delete(&format!("/v1/users/{id}/factors")).expect(204);
    let own = session(&server.url, "root");
    enrol(&own).session.get("/v1/users").expect(200);
}
