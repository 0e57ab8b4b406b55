//! The HTTP surface.

pub(crate) mod answer;
pub(crate) mod authz;
pub(crate) mod body;
pub(crate) mod caller;
pub(crate) mod connection;
pub(crate) mod console;
pub(crate) mod cookie;
mod cors;
pub(crate) mod dialects;
pub(crate) mod dispatch;
#[cfg(test)]
mod documentation;
pub(crate) mod exposure;
pub(crate) mod framing;
pub(crate) mod guard;
pub(crate) mod health;
pub(crate) mod idempotency;
pub(crate) mod json;
pub(crate) mod jwks;
pub(crate) mod limits;
pub(crate) mod metrics;
pub(crate) mod oauth;
pub(crate) mod odata;
pub(crate) mod openapi;
pub(crate) mod problem;
pub(crate) mod problems;
pub(crate) mod router;
pub(crate) mod server;
pub(crate) mod stream;
pub(crate) mod tls;
pub(crate) mod trusted;
mod unreadable;
pub(crate) mod v1;
pub(crate) mod verify;
pub(crate) mod who;
