//! ThoughtSpot: trusted authentication and the login of its REST API.

use std::sync::Arc;

use axum::Router;
use axum::response::{IntoResponse as _, Response};

use super::Dialect;
use crate::app::App;
use crate::error::Error;
use crate::http::problem;

pub(crate) const DIALECT: Dialect = Dialect {
    root: "/dialects/thoughtspot",
    owns: &["/api/rest/2.0/", "/callosum/"],
    section: |settings| &settings.dialects.thoughtspot,
    routes,
    refuse,
};

/// Where a token comes in the query.
pub(crate) const LOGIN_BY_TOKEN: &str = "/callosum/v1/tspublic/v1/session/login/token";

fn routes() -> Router<Arc<App>> {
    Router::new()
}

fn refuse(error: &Error, _request_id: &str) -> Response {
    problem::status(error).into_response()
}
