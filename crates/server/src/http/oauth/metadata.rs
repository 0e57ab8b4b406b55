//! `/.well-known/oauth-authorization-server` (RFC 8414): what is here, and nothing else (OAU-16).

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::HeaderValue;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use serde_json::json;

use super::client::METHODS;
use super::documentation::{INTROSPECT, REVOKE, TOKEN};
use super::{CLIENT_CREDENTIALS, TOKEN_EXCHANGE};
use crate::app::App;
use crate::error::Error;
use crate::http::problem::Problem;

/// Where it stands …
pub(crate) const PATH: &str = "/.well-known/oauth-authorization-server";
/// … and where clients look when the issuer has a path (RFC 8414 §3.1).
pub(crate) const BELOW: &str = "/.well-known/oauth-authorization-server/{*path}";

/// `GET /.well-known/oauth-authorization-server`
pub(crate) async fn show(State(app): State<Arc<App>>) -> Response {
    let issuer = app.verifier.issuer();
    let document = json!({
        "issuer": issuer,
        "token_endpoint": format!("{issuer}{TOKEN}"),
        "token_endpoint_auth_methods_supported": METHODS,
        "grant_types_supported": [CLIENT_CREDENTIALS, TOKEN_EXCHANGE],
        // Required by the RFC; nobody is ever redirected here.
        "response_types_supported": [],
        "jwks_uri": format!("{issuer}/.well-known/jwks.json"),
        "introspection_endpoint": format!("{issuer}{INTROSPECT}"),
        "introspection_endpoint_auth_methods_supported": METHODS,
        "revocation_endpoint": format!("{issuer}{REVOKE}"),
        "revocation_endpoint_auth_methods_supported": METHODS,
    });
    let mut response = document.to_string().into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=300"));
    response
}

/// The same for the issuer's own path, and for no other.
pub(crate) async fn show_below(state: State<Arc<App>>, Path(path): Path<String>) -> Response {
    let issuer = state.0.verifier.issuer();
    let own = issuer.split_once("://").and_then(|(_, rest)| rest.split_once('/')).map(|(_, path)| path);
    if own == Some(path.as_str()) { show(state).await } else { Problem(Error::NotFound).into_response() }
}
