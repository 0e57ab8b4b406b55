//! The audit trail: what is in it, what never is, and that it cannot be bent.

mod atomicity;
mod auditors;
mod canaries;
mod catalogue;
mod chain;
mod erasure;
mod forgery;
mod ocsf;
mod refusals;
mod retention;
mod syslog;

use serde_json::Value;

/// The same without the marks of use, which come a few seconds after it.
fn without_use(mut value: Value) -> Value {
    match &mut value {
        Value::Object(fields) => {
            fields.retain(|name, _| name != "last_used_at" && name != "last_seen_at");
            fields.values_mut().for_each(|field| *field = without_use(field.take()));
        }
        Value::Array(items) => items.iter_mut().for_each(|item| *item = without_use(item.take())),
        _ => {}
    }
    value
}
