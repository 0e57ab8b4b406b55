//! What is sent: thin, so that who wants more asks the API for it, with the rights that this takes (OUT-5).

use serde::Serialize;

use crate::app::Principal;
use crate::audit::{Outcome, Recorded, Target};
use crate::error::{Error, Result};

/// Characters of one text, at most: all of them together stay far below 20 KiB.
const LONGEST: usize = 500;

/// A message of Standard Webhooks.
#[derive(Serialize)]
struct Message<'a> {
    r#type: &'a str,
    timestamp: &'a str,
    data: Data<'a>,
}

/// Who did what to what: never the object itself.
#[derive(Serialize)]
struct Data<'a> {
    event_id: &'a str,
    tenant_id: &'a str,
    actor: Principal,
    target: Target,
    outcome: Outcome,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    request_id: &'a str,
}

/// The body for an event, byte for byte as it is signed.
pub(super) fn body(event: &Recorded) -> Result<String> {
    let message = Message {
        r#type: &event.action,
        timestamp: &event.at,
        data: Data {
            event_id: &event.id,
            tenant_id: &event.tenant_id,
            actor: Principal {
                kind: cut(&event.actor.kind),
                id: cut(&event.actor.id),
                label: cut(&event.actor.label),
            },
            target: Target {
                kind: cut(&event.target.kind),
                id: cut(&event.target.id),
                label: cut(&event.target.label),
            },
            outcome: event.outcome,
            reason: event.reason.as_deref().map(cut),
            request_id: &event.request_id,
        },
    };
    serde_json::to_string(&message).map_err(Error::internal)
}

fn cut(text: &str) -> String {
    text.chars().take(LONGEST).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn out_5_a_message_is_thin_and_small() {
        // The widest character that JSON can be made to write.
        let long = "\u{1}".repeat(100_000);
        let event: Recorded = serde_json::from_value(json!({
            "id": "event_1", "seq": 1, "tenant_id": "tenant_1", "at": "2027-01-31T12:00:00.000Z",
            "actor": { "kind": long, "id": long, "label": long }, "key_id": null, "action": "key.create",
            "target": { "kind": "key", "id": long, "label": long }, "outcome": "success", "reason": long,
            "before": { "canary": "before" }, "after": { "canary": "after" }, "request_id": "request-1",
            "address": "192.0.2.1", "agent": "canary",
        }))
        .expect("an event");
        let text = body(&event).expect("a body");
        assert!(text.len() <= 20 << 10, "{}", text.len());
        let body: Value = serde_json::from_str(&text).expect("JSON");
        assert!(!text.contains("canary"));
        let names = |value: &Value| value.as_object().expect("an object").keys().cloned().collect::<Vec<_>>();
        assert_eq!(names(&body), ["data", "timestamp", "type"]);
        let data = ["actor", "event_id", "outcome", "reason", "request_id", "target", "tenant_id"];
        assert_eq!(names(&body["data"]), data);
    }
}
