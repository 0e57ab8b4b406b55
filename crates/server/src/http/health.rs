//! `/healthz` and `/readyz`: up or not, and why not.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde::Serialize;

use crate::app::App;
use crate::verify::cache::Trust;

/// The process lives and can answer.
pub(crate) async fn alive() -> &'static str {
    "ok\n"
}

/// Whether this node should get traffic.
#[derive(Serialize)]
struct Ready {
    ready: bool,
    reasons: Vec<&'static str>,
    /// Milliseconds since facts were last confirmed to be current.
    feed_lag_ms: u64,
}

/// 200 when this node should get traffic, 503 with the reasons when not.
pub(crate) async fn ready(State(app): State<Arc<App>>) -> Response {
    let cache = &app.verifier.cache;
    let mut reasons = Vec::new();
    if app.draining.load(Ordering::Acquire) {
        reasons.push("draining");
    }
    if cache.health.down.load(Ordering::Acquire) {
        reasons.push("database_unreachable");
    } else if cache.trust(app.clock.monotonic_ms()) != Trust::All {
        reasons.push("facts_unconfirmed");
    }
    if matches!(app.is_set_up().await, Ok(false)) {
        reasons.push("not_set_up");
    }
    let body = Ready { ready: reasons.is_empty(), reasons, feed_lag_ms: cache.lag_ms() };
    let status = if body.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(body)).into_response()
}

/// Panics, to show that a panic harms nobody else (HTTP-8). Only in builds for tests.
#[cfg(debug_assertions)]
#[expect(clippy::panic, reason = "this is what the route is for")]
pub(crate) async fn fault() -> &'static str {
    panic!("asked to panic")
}
