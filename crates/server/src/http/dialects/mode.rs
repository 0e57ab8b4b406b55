//! Mode: workspace and member API tokens.

use std::sync::Arc;

use axum::Router;
use axum::response::{IntoResponse as _, Response};

use super::Dialect;
use crate::app::App;
use crate::error::Error;
use crate::http::problem;

pub(crate) const DIALECT: Dialect = Dialect {
    root: "/dialects/mode",
    owns: &["/api/"],
    section: |settings| &settings.dialects.mode,
    routes,
    refuse,
};

fn routes() -> Router<Arc<App>> {
    Router::new()
}

fn refuse(error: &Error, _request_id: &str) -> Response {
    problem::status(error).into_response()
}
