//! Passkeys.

mod beside;
mod device;
mod enrolment;
mod login;
mod refusals;

use serde_json::{Value, json};

pub(crate) use self::device::Device;
use crate::logins::{post, session, somebody};
use crate::support::{Answer, Caller, Server, text};

/// What adding a passkey gives.
pub(crate) struct Added {
    /// The session with its new token.
    pub(crate) session: Caller,
    pub(crate) device: Device,
    pub(crate) id: String,
    pub(crate) codes: Vec<String>,
}

/// Begins to add a passkey; returns the id of the factor and the options.
#[track_caller]
fn start(session: &Caller) -> (String, Value) {
    let begun = session.post("/v1/auth/factors/passkey", json!({ "name": "laptop" })).ok();
    (text(&begun["id"]), begun["options"].clone())
}

/// Gives the server what the browser made.
fn confirm(session: &Caller, id: &str, made: &Value) -> Answer {
    session.post(&format!("/v1/auth/factors/{id}/confirm"), json!({ "passkey": made }))
}

/// Adds the passkey of a device.
#[track_caller]
pub(crate) fn add(session: &Caller, mut device: Device) -> Added {
    let (id, options) = start(session);
    let confirmed = confirm(session, &id, &device.create(&options)).ok();
    let codes = confirmed["recovery_codes"].as_array().into_iter().flatten().map(text).collect();
    let session = Caller { url: session.url.clone(), secret: text(&confirmed["token"]) };
    Added { session, device, id, codes }
}

/// Somebody with a password and a passkey; and the user's id.
pub(crate) fn somebody_with_passkey(server: &Server, name: &str) -> (String, Added) {
    let user = somebody(server, name, &["me:read", "me/sessions:*"]);
    let added = add(&session(&server.url, name), Device::new(&server.url));
    (user, added)
}

/// What a browser is asked for to log in.
#[track_caller]
fn options(url: &str) -> Value {
    post(url, "/v1/auth/login/options", json!({})).ok()["options"].clone()
}

/// Sends what a device has signed.
fn finish(url: &str, passkey: &Value) -> Answer {
    post(url, "/v1/auth/login/passkey", json!({ "passkey": passkey }))
}

/// Logs in with nothing but a passkey.
pub(crate) fn enter(url: &str, device: &mut Device) -> Answer {
    finish(url, &device.get(&options(url)))
}
