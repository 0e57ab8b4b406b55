//! The day a key leaks: what a find is, who may end it, and many at once.

mod canaries;
mod github;
mod identify;
mod incidents;
mod reports;

use serde_json::Value;

use keyward_core::token::{AccessKey, generate};

use crate::api::all;
use crate::support::Caller;

/// A secret whose checksum is right and which nobody ever issued, for a key of this id.
fn made_up(prefix: &str, digits: &str) -> String {
    let access_key = AccessKey::from_digits(digits).expect("16 characters");
    generate(prefix, access_key, &mut |bytes| bytes.fill(7)).expose().to_owned()
}

/// Events of an action, the newest first.
fn events(caller: &Caller, action: &str) -> Vec<Value> {
    all(caller, &format!("/v1/audit-events?action={action}"))
}
