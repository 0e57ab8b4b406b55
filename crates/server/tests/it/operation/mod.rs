//! Running an instance: first start, root key, settings, logs, hardening.

mod hardening;
mod log_levels;
mod quickstart;
mod recovery;
mod root_key;
mod settings;
mod setup;

use crate::support::{Answer, client};

/// Sends without a credential.
pub(crate) fn send(method: &str, url: &str, body: &serde_json::Value) -> Answer {
    let method = method.parse().expect("a method");
    Answer::read(client().request(method, url).json(body).send().expect("an answer"))
}
