//! `/v1/verify`: reasons, conditions, limits, and what it costs.

mod callers;
mod conditions;
mod cost;
mod credits;
mod embedded;
mod failures;
mod reasons;
mod truth;

use crate::support::{Server, client, free_port};

/// A server with a metrics listener; returns the listener's port too.
pub(crate) fn metered(config: &str) -> (Server, u16) {
    let port = free_port();
    let server = Server::with_config(&format!("metrics: {{listen: \"127.0.0.1:{port}\"}}\n{config}"));
    (server, port)
}

/// The value of a metric without labels.
pub(crate) fn metric(port: u16, name: &str) -> u64 {
    let text = client().get(format!("http://127.0.0.1:{port}/metrics")).send().expect("metrics");
    let text = text.text().expect("text");
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {name} in\n{text}")).parse().expect("a number")
}
