//! The day a key leaks: what a find is, who may end it, and many at once.

mod github;
mod identify;
mod incidents;
mod reports;

use serde_json::Value;

use crate::api::all;
use crate::support::Caller;

/// Events of an action, the newest first.
fn events(caller: &Caller, action: &str) -> Vec<Value> {
    all(caller, &format!("/v1/audit-events?action={action}"))
}
