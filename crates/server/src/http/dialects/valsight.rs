//! Valsight: login with user name and API key.

use std::sync::Arc;

use axum::Router;
use axum::response::{IntoResponse as _, Response};

use super::Dialect;
use crate::app::App;
use crate::error::Error;
use crate::http::problem;

pub(crate) const DIALECT: Dialect = Dialect {
    root: "/dialects/valsight",
    owns: &["/v1/apiKey"],
    section: |settings| &settings.dialects.valsight,
    routes,
    refuse,
};

fn routes() -> Router<Arc<App>> {
    Router::new()
}

fn refuse(error: &Error, _request_id: &str) -> Response {
    problem::status(error).into_response()
}
