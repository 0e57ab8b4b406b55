//! The ranges of numbers and durations, and which keys are lists.

use std::time::Duration;

use serde_json::Value;

use super::manual::manual;
use super::span;

/// Smallest and largest value of each number.
const COUNTS: [(&str, u64, u64); 12] = [
    ("server.threads", 0, 1_024),
    ("server.max_connections", 1, 1_000_000),
    ("server.max_connections_per_address", 1, 1_000_000),
    ("server.timeouts.body_bytes_per_second", 1, 1 << 30),
    ("database.max_connections", 1, 1_000),
    ("verify.max_cached_unknown", 0, 10_000_000),
    ("login.hashers", 0, 64),
    ("login.queue", 1, 100_000),
    ("login.max_sessions", 1, 10_000),
    ("mail.port", 1, 65_535),
    ("audit.max_refusals_per_minute", 1, 1_000_000),
    ("limits.max_body_bytes", 1 << 10, 1 << 24),
];

const SECOND: u64 = 1_000;
const MINUTE: u64 = 60 * SECOND;

/// Shortest and longest value of each duration, in milliseconds.
const SPANS: [(&str, u64, u64); 13] = [
    ("server.timeouts.first_byte", SECOND, 5 * MINUTE),
    ("server.timeouts.header", SECOND, 5 * MINUTE),
    ("server.timeouts.idle", SECOND, 60 * MINUTE),
    ("server.drain", 0, 5 * MINUTE),
    ("database.timeout", 100, MINUTE),
    ("verify.max_staleness", 100, MINUTE),
    ("verify.usage_flush", SECOND, MINUTE),
    ("verify.unknown_key_ttl", 0, SECOND),
    ("tokens.rotate_every", 60 * MINUTE, 365 * 24 * 60 * MINUTE),
    ("tokens.jwks_cache", SECOND, 24 * 60 * MINUTE),
    ("mail.timeout", SECOND, 50 * SECOND),
    ("webhooks.timeout", SECOND, 30 * SECOND),
    ("audit.syslog.timeout", SECOND, MINUTE),
];

/// Refuses a value that is out of range or has the wrong shape.
pub(super) fn check(path: &str, value: &Value) -> Result<(), String> {
    if let Some((_, least, most)) = COUNTS.iter().find(|(name, ..)| *name == path) {
        return check_count(value, *least, *most);
    }
    if let Some((_, least, most)) = SPANS.iter().find(|(name, ..)| *name == path) {
        return check_span(value, Duration::from_millis(*least), Duration::from_millis(*most));
    }
    let wants_list = manual().default_of(path).is_some_and(Value::is_array);
    if wants_list && !value.is_array() {
        return Err(format!("invalid value {value}, expected a list such as [\"…\", \"…\"] or []"));
    }
    Ok(())
}

fn check_count(value: &Value, least: u64, most: u64) -> Result<(), String> {
    match value.as_u64() {
        Some(number) if (least..=most).contains(&number) => Ok(()),
        _ => Err(format!("invalid value {value}, expected a whole number from {least} to {most}")),
    }
}

fn check_span(value: &Value, least: Duration, most: Duration) -> Result<(), String> {
    match value.as_str().and_then(span::parse) {
        Some(time) if (least..=most).contains(&time) => Ok(()),
        Some(_) => {
            let (least, most) = (span::format(least), span::format(most));
            Err(format!("invalid value {value}, expected a duration from {least} to {most}"))
        }
        None => Err(format!("invalid value {value}, expected {}", span::EXPECTED)),
    }
}
