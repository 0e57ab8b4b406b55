//! BMC Helix: access keys of its identity management service.

use std::sync::Arc;

use axum::Router;
use axum::response::{IntoResponse as _, Response};

use super::Dialect;
use crate::app::App;
use crate::error::Error;
use crate::http::problem;

pub(crate) const DIALECT: Dialect = Dialect {
    root: "/dialects/bmc-helix",
    owns: &["/ims/"],
    section: |settings| &settings.dialects.bmc_helix,
    routes,
    refuse,
};

fn routes() -> Router<Arc<App>> {
    Router::new()
}

fn refuse(error: &Error, _request_id: &str) -> Response {
    problem::status(error).into_response()
}
