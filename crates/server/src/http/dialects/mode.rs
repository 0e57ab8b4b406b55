//! Mode: workspace and member API tokens.
//!
//! A workspace is a tenant by its slug, a token is an access key; a workspace token is a workspace key (MO1), a
//! member token a member key (MO2). Links stand as at the root of a host: clients put their base before them.

mod api_keys;
mod audit_logs;
mod guest;
mod hal;
mod members;
mod refusal;
mod workspaces;

use std::sync::Arc;

use axum::Router;
use axum::routing::{get, post};

use super::Dialect;
use crate::app::App;

pub(crate) const DIALECT: Dialect = Dialect {
    root: "/dialects/mode",
    owns: &["/api/"],
    is_on: |settings| settings.dialects.mode.enabled,
    hosts_key: "dialects.mode.hosts",
    hosts: |settings| &settings.dialects.mode.hosts,
    routes,
    refuse: refusal::refuse,
};

fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/api/verify", get(workspaces::verify))
        .route("/api/account", get(workspaces::account))
        .route("/api/{workspace}", get(workspaces::show))
        .route("/api/{workspace}/api_keys", get(api_keys::list).post(api_keys::create))
        .route("/api/{workspace}/api_keys/revoke_all", post(api_keys::revoke_all))
        .route("/api/{workspace}/api_keys/{token}", get(api_keys::show).delete(api_keys::revoke))
        .route("/api/{workspace}/memberships", get(members::list))
        .route("/api/{workspace}/memberships/lite", get(members::list))
        .route("/api/{workspace}/spaces", get(workspaces::spaces))
        .route("/api/{workspace}/spaces/{token}/{collection}", get(workspaces::below_space))
        .route("/api/{workspace}/audit_logs", get(audit_logs::list))
}
