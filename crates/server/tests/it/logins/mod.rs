//! Logging in, and what follows it.

mod attempts;
pub(crate) mod commands;
mod cookies;
mod hashing;
mod passwords;
mod sessions;
mod steps;
mod through_keys;

use serde_json::{Value, json};

use crate::support::{Answer, Caller, Server, client, text};

/// A password that nobody chose before.
pub(crate) const PASSWORD: &str = "nine warm stones by the door";

/// Sends a POST without any credential.
pub(crate) fn post(url: &str, path: &str, body: Value) -> Answer {
    Answer::read(client().post(format!("{url}{path}")).json(&body).send().expect("an answer"))
}

/// Tries to log in.
pub(crate) fn log_in(url: &str, body: Value) -> Answer {
    post(url, "/v1/auth/login", body)
}

/// Sets the password of a user as people do: an administrator makes a link, the user redeems it.
pub(crate) fn set_password(admin: &Caller, user: &str, password: &str) {
    let link = admin.post(&format!("/v1/users/{user}/password-reset"), json!({})).ok();
    let body = json!({ "token": link["token"], "password": password });
    post(&admin.url, "/v1/auth/password-reset", body).expect(204);
}

/// From now on a password is enough for everybody, administrators too.
pub(crate) fn ask_for_no_factor(admin: &Caller) {
    admin.patch("/v1/policies", json!({ "login": { "require_second_factor": "nobody" } })).expect(200);
}

/// Makes a user of the primary tenant with [`PASSWORD`] and a role with these rights; returns the id.
pub(crate) fn somebody(server: &Server, name: &str, rights: &[&str]) -> String {
    let root = server.root();
    let role = root.role(&format!("role of {name}"), rights);
    let user = root.user(name, &[&role]);
    set_password(&root, &user, PASSWORD);
    user
}

/// A session of a user with [`PASSWORD`], as a caller.
#[track_caller]
pub(crate) fn session(url: &str, name: &str) -> Caller {
    let opened = log_in(url, json!({ "username": name, "password": PASSWORD })).ok();
    Caller { url: url.into(), secret: text(&opened["token"]) }
}

/// Opens a session with the caller's key; returns its id.
pub(crate) fn key_session(caller: &Caller) -> String {
    let me = caller.get("/v1/me").ok();
    let pair = json!({ "username": me["key"]["access_key"], "password": caller.secret });
    text(&log_in(&caller.url, pair).ok()["session"]["id"])
}

/// The id of a caller's session.
fn id_of(session: &Caller) -> String {
    text(&session.get("/v1/auth/session").ok()["id"])
}
