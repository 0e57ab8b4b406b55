//! The one map of URLs, read from top to bottom. Each route declares what it needs (AZ-1): the
//! guard refuses before the handler runs, the operation looks once more inside its transaction.

use std::sync::Arc;

use axum::Router;
use axum::handler::Handler;
use axum::routing::{MethodFilter, MethodRouter, get, on, post};
use http::Method;

use super::guard::{self, guard};
use super::openapi::Operation;
use super::v1::{
    audit, auth, exports, factors, groups, handovers, identify, imports, incidents, jobs, keys, leaks,
    log_levels, me, notifications, policies, reports, roles, setup, signing_keys, tenants, tokens, trusted,
    users, verify, webhooks,
};
use super::{console, dialects, health, jwks, oauth, odata, openapi, problems};
use crate::app::App;

/// The route whose answers are held back until there is something to tell.
pub(crate) const CHANGES: &str = "/v1/verify/changes";

const GET: Method = Method::GET;
const POST: Method = Method::POST;
const PATCH: Method = Method::PATCH;
const PUT: Method = Method::PUT;
const DELETE: Method = Method::DELETE;

/// What a caller must hold to reach a route.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Need {
    /// Any valid member or workspace key, and any session.
    Caller,
    /// Any session: the route is about the session that asks.
    Session,
    /// Any session, also one that is good for adding a second factor only.
    Enrolment,
    /// One of these rights; the operation tells which one applies to the object.
    OneOf(&'static [&'static str]),
    /// A trusted secret, which nothing else asks for (TS2).
    Trusted,
    /// A key as an OAuth client, by Basic or in the form.
    Client,
    /// Nobody: the route authenticates by other means.
    Open,
}

/// One route.
pub(crate) struct Route {
    pub(crate) method: Method,
    pub(crate) path: &'static str,
    pub(crate) need: Need,
    pub(crate) operation: Operation,
    handler: MethodRouter<Arc<App>>,
}

fn route<H, T>(method: Method, path: &'static str, need: Need, operation: Operation, handler: H) -> Route
where
    H: Handler<T, Arc<App>>,
    T: 'static,
{
    let filter = MethodFilter::try_from(method.clone()).expect("the map uses standard methods");
    Route { method, path, need, operation, handler: on(filter, handler) }
}

/// Every route of `/v1`, in the order of the documentation.
pub(crate) fn routes() -> Vec<Route> {
    [directory_routes(), key_routes(), governance_routes(), token_routes()].into_iter().flatten().collect()
}

/// The routes of callers, tenants, and who there is in them.
// A route for each line, however long: this is a table.
#[rustfmt::skip]
fn directory_routes() -> Vec<Route> {
    use Need::{Caller, Enrolment, OneOf, Open, Session};
    let revoke_keys = OneOf(&["keys:revoke", "me/keys:revoke"]);
    let operate = OneOf(&["instance/tenants:write"]);
    vec![
        route(POST, "/v1/setup", Open, setup::CLAIM, setup::claim),
        route(GET, "/v1/me", Caller, me::SHOW, me::show),

        route(POST, "/v1/auth/login", Open, auth::LOG_IN, auth::log_in),
        route(POST, "/v1/auth/login/factor", Open, auth::GIVE_FACTOR, auth::give_factor),
        route(POST, "/v1/auth/login/options", Open, auth::LOGIN_OPTIONS, auth::login_options),
        route(POST, "/v1/auth/login/passkey", Open, auth::LOG_IN_WITH_PASSKEY, auth::log_in_with_passkey),
        route(POST, "/v1/auth/logout", Enrolment, auth::LOG_OUT, auth::log_out),
        route(GET, "/v1/auth/session", Enrolment, auth::SHOW, auth::show),
        route(GET, "/v1/auth/sessions", OneOf(&["me/sessions:read"]), auth::LIST, auth::list),
        route(DELETE, "/v1/auth/sessions/{id}", OneOf(&["me/sessions:end"]), auth::END, auth::end),
        route(POST, "/v1/auth/step-up", Enrolment, auth::STEP_UP, auth::step_up),
        route(POST, "/v1/auth/step-up/options", Enrolment, auth::STEP_UP_OPTIONS, auth::step_up_options),
        route(POST, "/v1/auth/password", Session, auth::CHANGE_PASSWORD, auth::change_password),
        route(POST, "/v1/auth/password-reset", Open, auth::REDEEM, auth::redeem),
        route(GET, "/v1/auth/factors", Enrolment, factors::LIST, factors::list),
        route(POST, "/v1/auth/factors/totp", Enrolment, factors::START_TOTP, factors::start_totp),
        route(POST, "/v1/auth/factors/passkey", Enrolment, factors::START_PASSKEY, factors::start_passkey),
        route(POST, "/v1/auth/factors/recovery-codes", Session, factors::REPLACE_CODES, factors::replace_codes),
        route(POST, "/v1/auth/factors/{id}/confirm", Enrolment, factors::CONFIRM, factors::confirm),
        route(PATCH, "/v1/auth/factors/{id}", Session, factors::EDIT, factors::edit),
        route(DELETE, "/v1/auth/factors/{id}", Session, factors::REMOVE, factors::remove),

        route(GET, "/v1/notifications", OneOf(&["me:read"]), notifications::LIST, notifications::list),
        route(GET, "/v1/notifications/unread", OneOf(&["me:read"]), notifications::UNREAD, notifications::unread),
        route(POST, "/v1/notifications/read", OneOf(&["me:read"]), notifications::READ_ALL, notifications::read_all),
        route(POST, "/v1/notifications/{id}/read", OneOf(&["me:read"]), notifications::READ, notifications::read),
        route(GET, "/v1/notification-preferences", OneOf(&["me:read"]), notifications::PREFERENCES, notifications::preferences),
        route(PATCH, "/v1/notification-preferences", OneOf(&["me/keys:edit"]), notifications::PREFER, notifications::prefer),

        route(GET, "/v1/tenants", OneOf(&["instance/tenants:read"]), tenants::LIST, tenants::list),
        route(POST, "/v1/tenants", operate, tenants::CREATE, tenants::create),
        route(GET, "/v1/tenants/{id}", OneOf(&["tenants:read", "instance/tenants:read"]), tenants::SHOW, tenants::show),
        route(PATCH, "/v1/tenants/{id}", OneOf(&["tenants:write", "instance/tenants:write"]), tenants::EDIT, tenants::edit),
        route(DELETE, "/v1/tenants/{id}", operate, tenants::DELETE, tenants::delete),
        route(POST, "/v1/tenants/{id}/suspend", operate, tenants::SUSPEND, tenants::suspend),
        route(POST, "/v1/tenants/{id}/resume", operate, tenants::RESUME, tenants::resume),

        route(GET, "/v1/users", OneOf(&["users:read"]), users::LIST, users::list),
        route(POST, "/v1/users", OneOf(&["users:write"]), users::CREATE, users::create),
        route(GET, "/v1/users/{id}", OneOf(&["users:read", "me:read"]), users::SHOW, users::show),
        route(PATCH, "/v1/users/{id}", OneOf(&["users:write"]), users::EDIT, users::edit),
        route(DELETE, "/v1/users/{id}", OneOf(&["users:write"]), users::DELETE, users::delete),
        route(POST, "/v1/users/{id}/suspend", OneOf(&["users:write"]), users::SUSPEND, users::suspend),
        route(POST, "/v1/users/{id}/resume", OneOf(&["users:write"]), users::RESUME, users::resume),
        route(POST, "/v1/users/{id}/erase", OneOf(&["users:erase"]), users::ERASE, users::erase),
        route(POST, "/v1/users/{id}/record-login", OneOf(&["users:write"]), users::RECORD_LOGIN, users::record_login),
        route(POST, "/v1/users/{id}/revoke-keys", revoke_keys, users::REVOKE_KEYS, users::revoke_keys),
        route(GET, "/v1/users/{id}/sessions", OneOf(&["users:read"]), users::SESSIONS, users::sessions),
        route(DELETE, "/v1/users/{id}/sessions", OneOf(&["users:write"]), users::END_SESSIONS, users::end_sessions),
        route(POST, "/v1/users/{id}/password-reset", OneOf(&["users:write"]), users::RESET_PASSWORD, users::reset_password),
        route(POST, "/v1/users/{id}/unlock", OneOf(&["users:write"]), users::UNLOCK, users::unlock),
        route(GET, "/v1/users/{id}/factors", OneOf(&["users:read"]), factors::LIST_OF, factors::list_of),
        route(DELETE, "/v1/users/{id}/factors", OneOf(&["users:write"]), factors::RESET, factors::reset),

        route(GET, "/v1/groups", OneOf(&["groups:read"]), groups::LIST, groups::list),
        route(POST, "/v1/groups", OneOf(&["groups:write"]), groups::CREATE, groups::create),
        route(GET, "/v1/groups/{id}", OneOf(&["groups:read"]), groups::SHOW, groups::show),
        route(PATCH, "/v1/groups/{id}", OneOf(&["groups:write"]), groups::EDIT, groups::edit),
        route(DELETE, "/v1/groups/{id}", OneOf(&["groups:write"]), groups::DELETE, groups::delete),
        route(GET, "/v1/groups/{id}/members", OneOf(&["groups:read"]), groups::MEMBERS, groups::members),
        route(PUT, "/v1/groups/{id}/members/{member}", OneOf(&["groups:write"]), groups::ADD_MEMBER, groups::add_member),
        route(DELETE, "/v1/groups/{id}/members/{member}", OneOf(&["groups:write"]), groups::REMOVE_MEMBER, groups::remove_member),

        route(GET, "/v1/roles", OneOf(&["roles:read"]), roles::LIST, roles::list),
        route(POST, "/v1/roles", OneOf(&["roles:write"]), roles::CREATE, roles::create),
        route(GET, "/v1/roles/{id}", OneOf(&["roles:read"]), roles::SHOW, roles::show),
        route(PATCH, "/v1/roles/{id}", OneOf(&["roles:write"]), roles::EDIT, roles::edit),
        route(DELETE, "/v1/roles/{id}", OneOf(&["roles:write"]), roles::DELETE, roles::delete),
    ]
}

/// The routes of keys, of the rules for them, and of what is recorded.
// As above.
#[rustfmt::skip]
fn key_routes() -> Vec<Route> {
    use Need::{OneOf, Open};
    let read_keys = OneOf(&["keys:read", "me/keys:read"]);
    let edit_keys = OneOf(&["keys:edit", "me/keys:edit"]);
    let rotate_keys = OneOf(&["keys:rotate", "me/keys:rotate"]);
    let revoke_keys = OneOf(&["keys:revoke", "me/keys:revoke"]);
    vec![
        route(GET, "/v1/keys", read_keys, keys::LIST, keys::list),
        route(POST, "/v1/keys", OneOf(&["keys:create", "me/keys:create"]), keys::CREATE, keys::create),
        route(POST, "/v1/keys/revoke", OneOf(&["keys:revoke"]), keys::BULK_REVOKE, keys::bulk_revoke),
        route(GET, "/v1/keys/{id}", read_keys, keys::SHOW, keys::show),
        route(PATCH, "/v1/keys/{id}", edit_keys, keys::EDIT, keys::edit),
        route(DELETE, "/v1/keys/{id}", revoke_keys, keys::DELETE, keys::delete),
        route(GET, "/v1/keys/{id}/usage", read_keys, keys::USAGE, keys::usage),
        route(GET, "/v1/keys/{id}/sessions", read_keys, keys::SESSIONS, keys::sessions),
        route(DELETE, "/v1/keys/{id}/sessions", revoke_keys, keys::END_SESSIONS, keys::end_sessions),
        route(POST, "/v1/keys/{id}/explain", read_keys, keys::EXPLAIN, keys::explain),
        route(POST, "/v1/keys/{id}/approve", OneOf(&["keys:approve"]), keys::APPROVE, keys::approve),
        route(POST, "/v1/keys/{id}/reject", OneOf(&["keys:approve"]), keys::REJECT, keys::reject),
        route(POST, "/v1/keys/{id}/revoke", revoke_keys, keys::REVOKE, keys::revoke),
        route(POST, "/v1/keys/{id}/activate", edit_keys, keys::ACTIVATE, keys::activate),
        route(POST, "/v1/keys/{id}/deactivate", edit_keys, keys::DEACTIVATE, keys::deactivate),
        route(POST, "/v1/keys/{id}/extend", edit_keys, keys::EXTEND, keys::extend),
        route(POST, "/v1/keys/{id}/rotate", rotate_keys, keys::ROTATE, keys::rotate),
        route(POST, "/v1/keys/{id}/rotate/finish", rotate_keys, keys::ROTATE_FINISH, keys::rotate_finish),
        route(POST, "/v1/keys/{id}/rotate/abort", rotate_keys, keys::ROTATE_ABORT, keys::rotate_abort),
        route(POST, "/v1/keys/{id}/secret", rotate_keys, keys::NEW_SECRET, keys::new_secret),

        route(POST, "/v1/imports", OneOf(&["keys:import"]), imports::RUN, imports::run),
        route(GET, "/v1/export", OneOf(&["export:read"]), exports::READ, exports::read),
        route(GET, "/v1/reports/credentials", OneOf(&["reports:read"]), reports::CREDENTIALS, reports::credentials),

        route(POST, "/v1/identify", read_keys, identify::IDENTIFY, identify::identify),
        route(GET, "/v1/incidents", OneOf(&["keys:read"]), incidents::LIST, incidents::list),
        route(POST, "/v1/incidents", OneOf(&["keys:revoke", "keys:edit"]), incidents::DECLARE, incidents::declare),
        route(GET, "/v1/incidents/{id}", OneOf(&["keys:read"]), incidents::SHOW, incidents::show),
        route(POST, "/v1/incidents/{id}/undo", OneOf(&["keys:edit"]), incidents::UNDO, incidents::undo),

        route(GET, "/v1/handovers", OneOf(&["keys:read"]), handovers::LIST, handovers::list),
        route(GET, "/v1/handovers/{id}", OneOf(&["keys:read"]), handovers::SHOW, handovers::show),
        route(POST, "/v1/handovers/open", Open, handovers::OPEN, handovers::open),
        route(POST, "/v1/keys/{id}/handover", rotate_keys, handovers::LINK, handovers::link),

        route(POST, "/report-leak", Open, leaks::REPORT, leaks::report),
        route(POST, "/report-leak/github", Open, leaks::GITHUB, leaks::take_from_github),
    ]
}

/// The routes of the rules for keys, of what is recorded, and of what leaves the server.
// As above.
#[rustfmt::skip]
fn governance_routes() -> Vec<Route> {
    use Need::OneOf;
    vec![
        route(GET, "/v1/policies", OneOf(&["policies:read"]), policies::SHOW, policies::show),
        route(PATCH, "/v1/policies", OneOf(&["policies:write"]), policies::EDIT, policies::edit),
        route(GET, "/v1/policies/versions", OneOf(&["policies:read"]), policies::VERSIONS, policies::list_versions),
        route(GET, "/v1/policies/versions/{version}", OneOf(&["policies:read"]), policies::VERSION, policies::show_version),
        route(POST, "/v1/policies/rollback", OneOf(&["policies:write"]), policies::ROLL_BACK, policies::roll_back),
        route(GET, "/v1/policies/drafts", OneOf(&["policies:read"]), policies::DRAFTS, policies::list_drafts),
        route(POST, "/v1/policies/drafts", OneOf(&["policies:write"]), policies::DRAFT, policies::draft),
        route(GET, "/v1/policies/drafts/{id}", OneOf(&["policies:read"]), policies::SHOW_DRAFT, policies::show_draft),
        route(DELETE, "/v1/policies/drafts/{id}", OneOf(&["policies:write"]), policies::DELETE_DRAFT, policies::delete_draft),
        route(POST, "/v1/policies/drafts/{id}/rebase", OneOf(&["policies:write"]), policies::REBASE, policies::rebase),
        // Whoever may stop keys may see which: as with validate_only.
        route(POST, "/v1/policies/drafts/{id}/simulate", OneOf(&["policies:write"]), policies::SIMULATE, policies::simulate),
        route(GET, "/v1/policies/drafts/{id}/impact", OneOf(&["policies:write"]), policies::IMPACT, policies::list_impact),
        route(POST, "/v1/policies/drafts/{id}/apply", OneOf(&["policies:write"]), policies::APPLY, policies::apply),

        // `verify::HOT` is answered before this map, in `dispatch.rs`.
        route(GET, CHANGES, OneOf(&["verify:call"]), verify::CHANGES, verify::changes),

        route(GET, "/v1/audit-events", OneOf(&["audit:read"]), audit::LIST, audit::list),
        route(GET, "/v1/audit-events/export", OneOf(&["audit:export"]), audit::EXPORT, audit::export),
        route(GET, "/v1/audit-events/verification", OneOf(&["audit:read"]), audit::VERIFICATION, audit::verification),
        route(GET, "/v1/audit-segments", OneOf(&["audit:read"]), audit::SEGMENTS, audit::list_segments),
        route(GET, "/v1/audit-checkpoints", OneOf(&["audit:read"]), audit::CHECKPOINTS, audit::list_checkpoints),
        route(GET, "/v1/audit-events/{id}", OneOf(&["audit:read"]), audit::SHOW, audit::show),


        route(GET, "/v1/jobs", OneOf(&["jobs:read"]), jobs::LIST, jobs::list),
        route(GET, "/v1/jobs/{id}", OneOf(&["jobs:read"]), jobs::SHOW, jobs::show),
        route(POST, "/v1/jobs/{id}/replay", OneOf(&["jobs:write"]), jobs::REPLAY, jobs::replay),
        route(DELETE, "/v1/jobs/{id}", OneOf(&["jobs:write"]), jobs::DROP, jobs::drop_job),

        route(GET, "/v1/webhooks", OneOf(&["webhooks:read"]), webhooks::LIST, webhooks::list),
        route(POST, "/v1/webhooks", OneOf(&["webhooks:write"]), webhooks::CREATE, webhooks::create),
        route(GET, "/v1/webhooks/{id}", OneOf(&["webhooks:read"]), webhooks::SHOW, webhooks::show),
        route(PATCH, "/v1/webhooks/{id}", OneOf(&["webhooks:write"]), webhooks::EDIT, webhooks::edit),
        route(DELETE, "/v1/webhooks/{id}", OneOf(&["webhooks:write"]), webhooks::DELETE, webhooks::delete),
        route(POST, "/v1/webhooks/{id}/rotate-secret", OneOf(&["webhooks:write"]), webhooks::ROTATE, webhooks::rotate_secret),
        route(POST, "/v1/webhooks/{id}/test", OneOf(&["webhooks:write"]), webhooks::TEST, webhooks::test),
        route(GET, "/v1/webhooks/{id}/deliveries", OneOf(&["webhooks:read"]), webhooks::DELIVERIES, webhooks::deliveries),
        route(POST, "/v1/webhooks/{id}/deliveries/{delivery}/replay", OneOf(&["webhooks:write"]), webhooks::REPLAY, webhooks::replay),

        route(GET, "/v1/log-levels", OneOf(&["instance/log:read"]), log_levels::SHOW, log_levels::show),
        route(PUT, "/v1/log-levels", OneOf(&["instance/log:write"]), log_levels::EDIT, log_levels::edit),
    ]
}

/// The routes of trusted secrets and access tokens.
#[rustfmt::skip]
fn token_routes() -> Vec<Route> {
    use Need::OneOf;
    vec![
        route(GET, "/v1/trusted", OneOf(&["trusted:read"]), trusted::LIST, trusted::list),
        route(POST, "/v1/trusted/enable", OneOf(&["trusted:write"]), trusted::ENABLE, trusted::enable),
        route(POST, "/v1/trusted/disable", OneOf(&["trusted:write"]), trusted::DISABLE, trusted::disable),
        route(POST, "/v1/trusted/copy", OneOf(&["trusted:copy"]), trusted::COPY, trusted::copy),
        route(GET, "/v1/trusted/{id}", OneOf(&["trusted:read"]), trusted::SHOW, trusted::show),
        route(PATCH, "/v1/trusted/{id}", OneOf(&["trusted:write"]), trusted::EDIT, trusted::edit),
        route(POST, "/v1/trusted/{id}/rotate", OneOf(&["trusted:write"]), trusted::ROTATE, trusted::rotate),
        route(POST, "/v1/trusted/{id}/rotate/finish", OneOf(&["trusted:write"]), trusted::ROTATE_FINISH, trusted::rotate_finish),
        route(POST, "/v1/tokens/revoke", OneOf(&["tokens:revoke"]), tokens::REVOKE, tokens::revoke),
        // `trusted::HOT` is answered before this map, in `dispatch.rs`.

        route(GET, "/v1/signing-keys", OneOf(&["instance/signing-keys:read"]), signing_keys::LIST, signing_keys::list),
        route(POST, "/v1/signing-keys/rotate", OneOf(&["instance/signing-keys:write"]), signing_keys::ROTATE, signing_keys::rotate),
        route(DELETE, "/v1/signing-keys/{id}", OneOf(&["instance/signing-keys:write"]), signing_keys::REMOVE, signing_keys::remove),
    ]
}

/// The router: `/v1` behind the guard, and the pages that anybody may see.
pub(crate) fn router(app: Arc<App>) -> Router {
    let mut router = Router::new()
        .route("/healthz", get(health::alive))
        .route("/readyz", get(health::ready))
        .route("/.well-known/jwks.json", get(jwks::show))
        .route(oauth::metadata::PATH, get(oauth::metadata::show))
        .route(oauth::metadata::BELOW, get(oauth::metadata::show_below))
        .route("/openapi.json", get(openapi::document))
        .route("/problems", get(problems::index))
        .route("/problems/{code}", get(problems::show));
    for route in routes() {
        let gate = guard::Gate { app: app.clone(), need: route.need, operation: route.operation.id };
        let guarded = route.handler.layer(axum::middleware::from_fn_with_state(gate, guard));
        router = router.route(route.path, guarded);
    }
    // What of the hot routes does not go the short way: other methods, and parameters that they have not.
    for (path, _) in verify::HOT.into_iter().chain(trusted::HOT) {
        router = router.route(path, post(verify::refuse_parameters));
    }
    let router = console::mount(router, &app);
    let router = dialects::mount(router, &app);
    let router = odata::mount(router, &app);
    #[cfg(debug_assertions)]
    let router = router.route("/v1/fault", axum::routing::any(health::fault));
    router.fallback(guard::not_found).method_not_allowed_fallback(guard::method_not_allowed).with_state(app)
}
