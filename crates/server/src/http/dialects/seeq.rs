//! Seeq: access keys of its users.

use std::sync::Arc;

use axum::Router;
use axum::response::{IntoResponse as _, Response};

use super::Dialect;
use crate::app::App;
use crate::error::Error;
use crate::http::problem;

pub(crate) const DIALECT: Dialect = Dialect {
    root: "/dialects/seeq",
    owns: &["/api/system/", "/api/auth/", "/api/users/", "/api/access-keys"],
    section: |settings| &settings.dialects.seeq,
    routes,
    refuse,
};

fn routes() -> Router<Arc<App>> {
    Router::new()
}

fn refuse(error: &Error, _request_id: &str) -> Response {
    problem::status(error).into_response()
}
