//! `/.well-known/jwks.json`: the public keys that access tokens are checked by (RFC 7517, OAU-8).

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::HeaderValue;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};

use crate::app::App;

/// `GET /.well-known/jwks.json`
pub(crate) async fn show(State(app): State<Arc<App>>) -> Response {
    let mut response = app.verifier.keyring.load().jwks.clone().into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/jwk-set+json"));
    let cache = format!("public, max-age={}", app.settings.tokens.jwks_cache.as_secs());
    headers.insert(CACHE_CONTROL, HeaderValue::from_str(&cache).expect("digits make a header value"));
    response
}
