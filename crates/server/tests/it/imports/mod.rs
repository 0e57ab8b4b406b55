//! Keys that are brought along from elsewhere (X11), and what leaves: the export and the report.
//!
//! Vectors: Python 3 hashlib and hmac; `pip install bcrypt argon2-cffi Django` (5.2) for the others, with
//! `PBKDF2PasswordHasher().encode(text, "NaCl4Django", 260000)` and
//! `PasswordHasher(time_cost=2, memory_cost=1024, parallelism=2)`.

mod commands;
mod export;
mod formats;
mod later;
mod rows;
mod slow;

use serde_json::{Value, json};

use crate::api::all;
use crate::support::{Answer, Caller};

/// `printf old_live_7Qm2vXw9RtKp4LzNa8Bc | sha256sum`
pub(crate) const TEXT: &str = "old_live_7Qm2vXw9RtKp4LzNa8Bc";
pub(crate) const SHA256: &str = "9d5a95809cfddc9cba8a97c399f9a4684547cdbc46d44bf3d2a41cdd5a4962c3";

/// A bcrypt hash of something.
pub(crate) const BCRYPT: &str = "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW";

/// Rows of an import named `old`.
fn import(caller: &Caller, format: &str, rows: Value) -> Answer {
    caller.post("/v1/imports", json!({ "source": "old", "format": format, "rows": rows }))
}

/// A row of a key of the workspace that may do nothing in particular.
pub(crate) fn row(external_id: &str, hash: &str) -> Value {
    json!({ "external_id": external_id, "hash": hash, "class": "ingest", "label": external_id })
}

/// Imports one row, which must be taken; returns the key.
pub(crate) fn imported(caller: &Caller, format: &str, row: Value) -> Value {
    let name = row["external_id"].clone();
    let report = import(caller, format, json!([row])).ok();
    assert_eq!((&report["imported"], &report["failed"]), (&json!(1), &json!(0)), "{report}");
    named(caller, &name)
}

/// The key that was imported under this name.
fn named(caller: &Caller, external_id: &Value) -> Value {
    let keys = all(caller, "/v1/keys");
    let found = keys.into_iter().find(|key| key["imported"]["external_id"] == *external_id);
    found.unwrap_or_else(|| panic!("no key is called {external_id}"))
}

/// The code of the one row that was refused; no key was made of it.
#[track_caller]
fn refused(caller: &Caller, format: &str, row: Value) -> String {
    let before = all(caller, "/v1/keys").len();
    let report = import(caller, format, json!([row])).ok();
    assert_eq!((&report["imported"], &report["failed"]), (&json!(0), &json!(1)), "{report}");
    assert_eq!(all(caller, "/v1/keys").len(), before);
    crate::support::text(&report["errors"][0]["code"])
}
