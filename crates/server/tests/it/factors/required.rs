//! Who needs a second factor, and what a session without it is good for.

use serde_json::{Value, json};

use super::{enrol, log_in_with, unused};
use crate::logins::{PASSWORD, log_in, session, set_password, somebody};
use crate::support::{Server, text};

/// The primary administrator with [`PASSWORD`], and its id.
fn root_with_password(server: &Server) -> String {
    let id = text(&server.root["user_id"]);
    set_password(&server.root(), &id, PASSWORD);
    id
}

#[test]
fn aut_4_an_administrator_without_a_factor_may_add_one_and_nothing_else() {
    let server = Server::start();
    root_with_password(&server);
    assert_eq!(
        server.root().get("/v1/policies").ok()["login"]["require_second_factor"],
        "administrators",
        "unless the tenant says otherwise"
    );
    let opened = log_in(&server.url, json!({ "username": "root", "password": PASSWORD })).ok();
    assert_eq!((&opened["session"]["enrolment_only"], &opened["rights"]), (&json!(true), &json!([])));
    let own = server.caller(&text(&opened["token"]));
    let me = own.get("/v1/me").ok();
    assert_eq!((&me["session"]["enrolment_only"], &me["rights"]), (&json!(true), &json!([])));
    assert_eq!(own.get("/v1/auth/session").ok()["enrolment_only"], true);
    let refused: [(&str, &str, Value); 8] = [
        ("GET", "/v1/users", json!(null)),
        ("POST", "/v1/users", json!({ "username": "mallory" })),
        ("POST", "/v1/keys", json!({ "class": "workspace", "label": "mine" })),
        ("PATCH", "/v1/policies", json!({ "login": { "require_second_factor": "nobody" } })),
        ("GET", "/v1/auth/sessions", json!(null)),
        ("POST", "/v1/auth/password", json!({ "old_password": PASSWORD, "new_password": "x" })),
        ("POST", "/v1/auth/factors/recovery-codes", json!({})),
        ("POST", "/v1/trusted/enable", json!({})),
    ];
    let before = server.root().get("/v1/users").ok();
    for (method, path, body) in refused {
        let request = own.request(method, path).json(&body);
        let answer = crate::support::Answer::read(request.send().expect("an answer"));
        answer.refused(403, "second_factor_missing");
    }
    assert_eq!(server.root().get("/v1/users").ok(), before);
    // No door beside the API is open for it either.
    own.get("/authz").refused(403, "second_factor_missing");
    assert_eq!(server.root().code(&own.secret), "second_factor_missing");
    own.post("/v1/verify", json!({ "credential": own.secret })).refused(403, "second_factor_missing");
    let entered = own.request("GET", "/v1/me").header("X-Keyward-Tenant", "other").send().expect("an answer");
    assert_eq!(entered.status(), 404);
    // It may prove itself again, and then it adds a factor, and the session is whole.
    let again = own.post("/v1/auth/step-up", json!({ "password": PASSWORD })).ok();
    assert_eq!((&again["session"]["enrolment_only"], &again["rights"]), (&json!(true), &json!([])));
    let own = server.caller(&text(&again["token"]));
    let enrolled = enrol(&own);
    enrolled.session.get("/v1/users").expect(200);
    assert_eq!(enrolled.session.get("/v1/auth/session").ok()["enrolment_only"], false);
    assert_eq!(server.root().code(&enrolled.session.secret), "ok");
    unused(&server);
    log_in_with(&server.url, "root", &enrolled.phone.code()).get("/v1/users").expect(200);
    session_ends(&enrolled.session);
}

#[track_caller]
fn session_ends(caller: &crate::support::Caller) {
    caller.post("/v1/auth/logout", json!({})).expect(204);
    caller.get("/v1/me").refused(401, "revoked");
}

#[test]
fn aut_4_the_rule_binds_sessions_that_run_already() {
    let server = Server::start();
    let root = server.root();
    let node = server.second_node();
    let user = somebody(&server, "grace", &["me:read", "me/sessions:*"]);
    let own = session(&server.url, "grace");
    own.get("/v1/auth/sessions").expect(200);
    let rule = |whom: &str| {
        root.patch("/v1/policies", json!({ "login": { "require_second_factor": whom } })).expect(200);
    };
    rule("everybody");
    own.get("/v1/auth/sessions").refused(403, "second_factor_missing");
    crate::support::wait_until(|| node.caller(&own.secret).get("/v1/auth/sessions").status == 403);
    assert_eq!(
        log_in(&server.url, json!({ "username": "grace", "password": PASSWORD })).ok()["session"]["enrolment_only"],
        true
    );
    rule("administrators");
    own.get("/v1/auth/sessions").expect(200);
    // Who becomes an administrator needs one from then on.
    let admin = root.role("everything", &["**:*"]);
    root.patch(&format!("/v1/users/{user}"), json!({ "role_ids": [admin] })).expect(200);
    own.get("/v1/auth/sessions").refused(403, "second_factor_missing");
    rule("nobody");
    own.get("/v1/auth/sessions").expect(200);
    let wrong = json!({ "login": { "require_second_factor": "some" } });
    root.patch("/v1/policies", wrong).refused(400, "malformed_request");
}

#[test]
fn aut_4_the_last_factor_stays_while_the_tenant_asks_for_one() {
    let server = Server::start();
    root_with_password(&server);
    let first = enrol(&session(&server.url, "root"));
    let at = |id: &str| format!("/v1/auth/factors/{id}");
    first.session.delete(&at(&first.id)).refused(409, "last_factor");
    assert_eq!(first.session.get("/v1/auth/factors").ok()["recovery_codes_left"], 10);
    let second = enrol(&first.session);
    second.session.delete(&at(&first.id)).expect(204);
    second.session.delete(&at(&second.id)).refused(409, "last_factor");
    assert_eq!(second.session.get("/v1/auth/factors").ok()["recovery_codes_left"], 10);
    let nobody = json!({ "login": { "require_second_factor": "nobody" } });
    second.session.patch("/v1/policies", nobody).expect(200);
    second.session.delete(&at(&second.id)).expect(204);
}

#[test]
fn ses_3_an_enrolling_session_of_an_administrator_ends_like_one_of_an_administrator() {
    let server = Server::start();
    root_with_password(&server);
    let own = session(&server.url, "root");
    let shown = own.get("/v1/auth/session").ok();
    let opened = log_in(&server.url, json!({ "username": "root", "password": PASSWORD })).ok();
    let minutes = |session: &Value| {
        let at = |name: &str| text(&session[name]).parse::<jiff::Timestamp>().expect("a time").as_second();
        (at("expires_at") - at("started_at")) / 60
    };
    assert_eq!((minutes(&shown), minutes(&opened["session"])), (12 * 60, 12 * 60));
    server
        .place
        .sql("UPDATE sessions SET last_seen_at = last_seen_at - 900000, started_at = started_at - 900000");
    let node = server.second_node();
    node.caller(&own.secret).get("/v1/auth/factors").refused(401, "idle");
    node.caller(&own.secret).post("/v1/auth/factors/totp", json!({})).refused(401, "idle");
}
