//! Events sent to webhooks: real receivers, over plain HTTP and TLS, that take, refuse, hang and break.

mod commands;
mod delivery;
mod guard;
mod holding;
mod kills;
mod manage;
mod receiver;
mod signing;

use serde_json::{Value, json};

use self::receiver::Receiver;
use crate::api::all;
use crate::support::{Caller, Server, text, wait_until};

/// Lets events go to receivers of tests.
const ALLOW: &str = "webhooks: {allow: ['127.0.0.1'], timeout: 2s}\n";

/// A server that may call receivers of tests, and one of them.
fn scene() -> (Server, Receiver) {
    (Server::with_config(ALLOW), Receiver::open())
}

/// Makes a webhook; returns the whole answer.
fn hook(admin: &Caller, url: &str, events: &[&str]) -> Value {
    admin.post("/v1/webhooks", json!({ "url": url, "events": events })).expect(201).body
}

fn path(hook: &Value) -> String {
    format!("/v1/webhooks/{}", text(&hook["id"]))
}

/// Brings an event `key.create` about; returns the id of the key.
fn bring_about(admin: &Caller, label: &str) -> String {
    let key = admin.key(json!({ "class": "ingest", "label": label }));
    text(&key["id"])
}

/// The log of a webhook, the newest event first.
fn deliveries(admin: &Caller, hook: &Value) -> Vec<Value> {
    all(admin, &format!("{}/deliveries", path(hook)))
}

/// Waits until the newest delivery of a webhook is as it should be.
#[track_caller]
fn wait_for(admin: &Caller, hook: &Value, is_so: impl Fn(&Value) -> bool) -> Value {
    wait_until(|| deliveries(admin, hook).first().is_some_and(&is_so));
    deliveries(admin, hook).remove(0)
}

/// Everything that waits for a webhook is due now, and none of them is held back.
fn hurry(server: &Server) {
    server.place.sql("UPDATE webhooks SET probe_at = 0 WHERE probe_at IS NOT NULL");
    server.place.sql("UPDATE jobs SET due_at = 0 WHERE kind = 'webhook'");
}

/// The actions in the audit log about a webhook, the newest first.
fn actions(admin: &Caller, hook: &Value) -> Vec<String> {
    let events = all(admin, &format!("/v1/audit-events?target_id={}", text(&hook["id"])));
    events.iter().map(|event| text(&event["action"])).collect()
}
