//! The console: pages for people, over the same operations as `/v1` (`console.md`).
//!
//! A page is a handler in the file of its noun, a template of the same name, and a line in
//! [`pages`]. Every control is a link or a form first; scripts only save a reload.

pub(crate) mod approvals;
pub(crate) mod assets;
pub(crate) mod audit;
pub(crate) mod audit_chain;
pub(crate) mod choices;
pub(crate) mod configuration;
pub(crate) mod explain;
pub(crate) mod failure;
pub(crate) mod features;
pub(crate) mod form;
pub(crate) mod frame;
pub(crate) mod gate;
pub(crate) mod group;
pub(crate) mod groups;
pub(crate) mod identify;
pub(crate) mod import;
pub(crate) mod incident;
pub(crate) mod incidents;
pub(crate) mod key;
pub(crate) mod key_choice;
pub(crate) mod key_facts;
pub(crate) mod key_new;
pub(crate) mod key_revoke;
pub(crate) mod key_summary;
pub(crate) mod keys;
pub(crate) mod login;
pub(crate) mod look;
pub(crate) mod moment;
pub(crate) mod my_keys;
pub(crate) mod notices;
pub(crate) mod notifications;
pub(crate) mod offboarding;
pub(crate) mod overview;
pub(crate) mod password_link;
pub(crate) mod places;
pub(crate) mod policy;
pub(crate) mod policy_draft;
pub(crate) mod policy_text;
pub(crate) mod preferences;
pub(crate) mod revoke_all;
pub(crate) mod roles;
pub(crate) mod rule;
pub(crate) mod security;
pub(crate) mod sessions;
pub(crate) mod setup;
pub(crate) mod step_up;
pub(crate) mod tenant;
pub(crate) mod tenants;
pub(crate) mod trusted;
pub(crate) mod trusted_ceiling;
mod typed;
pub(crate) mod user;
pub(crate) mod user_acts;
pub(crate) mod users;
pub(crate) mod webhook;
pub(crate) mod webhooks;
mod who;
pub(crate) mod words;

use std::sync::Arc;

use axum::Router;
use axum::handler::Handler;
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{MethodFilter, MethodRouter, get, on};
use http::Method;

use super::problem::Problem;
use super::router::Need;
use crate::app::App;
use crate::error::Error;

const GET: Method = Method::GET;
const POST: Method = Method::POST;

/// Where those go who are not logged in.
pub(crate) const LOGIN: &str = "/console/login";
/// Where those go who must add a second factor before anything else.
pub(crate) const SECURITY: &str = "/console/me/security";
/// Where everybody goes while there is no administrator yet.
pub(crate) const SETUP: &str = "/console/setup";

/// One page, or one form that is sent.
pub(crate) struct Place {
    pub(crate) path: &'static str,
    pub(crate) need: Need,
    method: Method,
    handler: MethodRouter<Arc<App>>,
    /// Pages ask for it by themselves.
    is_poll: bool,
}

fn place<H, T>(method: Method, path: &'static str, need: Need, handler: H) -> Place
where
    H: Handler<T, Arc<App>>,
    T: 'static,
{
    let filter = MethodFilter::try_from(method.clone()).expect("the map uses standard methods");
    Place { path, need, method, handler: on(filter, handler), is_poll: false }
}

/// A part of a page that the page asks for by itself: no use of the session (SES-3).
fn poll<H, T>(path: &'static str, need: Need, handler: H) -> Place
where
    H: Handler<T, Arc<App>>,
    T: 'static,
{
    Place { is_poll: true, ..place(GET, path, need, handler) }
}

/// Every page.
pub(crate) fn pages() -> Vec<Place> {
    let all = [
        entrance(),
        own_pages(),
        key_pages(),
        people_pages(),
        rule_pages(),
        record_pages(),
        operator_pages(),
    ];
    all.into_iter().flatten().collect()
}

/// How one comes in and out.
// A page for each line, however long: this is a table.
#[rustfmt::skip]
fn entrance() -> Vec<Place> {
    use Need::{Enrolment, Open, Session};
    vec![
        place(GET, "/console/setup", Open, setup::show),
        place(POST, "/console/setup", Open, setup::claim),
        place(GET, "/console/login", Open, login::show),
        place(POST, "/console/login", Open, login::log_in),
        place(POST, "/console/login/factor", Open, login::give_factor),
        place(POST, "/console/logout", Enrolment, login::log_out),
        place(GET, "/console/password", Open, password_link::show),
        place(POST, "/console/password", Open, password_link::redeem),
        place(GET, "/console/step-up", Session, step_up::show),
        place(POST, "/console/step-up", Session, step_up::prove),
        place(GET, "/console", Session, overview::show),
    ]
}

/// What belongs to who looks.
// As above.
#[rustfmt::skip]
fn own_pages() -> Vec<Place> {
    use Need::{Enrolment, OneOf, Session};
    let read = OneOf(&["me:read"]);
    let end = OneOf(&["me/sessions:end"]);
    vec![
        place(GET, "/console/me/security", Enrolment, security::show),
        place(POST, "/console/me/security/totp", Enrolment, security::start_totp),
        place(POST, "/console/me/security/{id}/confirm", Enrolment, security::confirm),
        place(POST, "/console/me/security/{id}/remove", Session, security::remove),
        place(POST, "/console/me/security/codes", Session, security::replace_codes),
        place(POST, "/console/me/security/password", Session, security::change_password),
        place(GET, "/console/me/session", Enrolment, sessions::lasts),
        place(GET, "/console/me/sessions", OneOf(&["me/sessions:read"]), sessions::list),
        place(POST, "/console/me/sessions/end-others", end, sessions::end_others),
        place(POST, "/console/me/sessions/{id}/end", end, sessions::end),
        place(GET, "/console/me/preferences", read, preferences::show),
        place(POST, "/console/me/preferences", OneOf(&["me/keys:edit"]), preferences::save),
        place(POST, "/console/me/preferences/look", read, look::save),
        place(GET, "/console/notifications", read, notifications::list),
        place(POST, "/console/notifications/read", read, notifications::read_all),
        place(POST, "/console/notifications/{id}/read", read, notifications::read),
    ]
}

/// Keys: one's own, and all of the tenant.
// As above.
#[rustfmt::skip]
fn key_pages() -> Vec<Place> {
    use Need::OneOf;
    let read = OneOf(&["keys:read", "me/keys:read"]);
    let create = OneOf(&["keys:create", "me/keys:create"]);
    let edit = OneOf(&["keys:edit", "me/keys:edit"]);
    let rotate = OneOf(&["keys:rotate", "me/keys:rotate"]);
    let revoke = OneOf(&["keys:revoke", "me/keys:revoke"]);
    let change = OneOf(&["keys:edit", "keys:revoke", "me/keys:edit", "me/keys:revoke"]);
    vec![
        place(GET, "/console/me/keys", OneOf(&["me/keys:read"]), my_keys::list),
        place(GET, "/console/keys", OneOf(&["keys:read"]), keys::list),
        place(GET, "/console/keys/new", create, key_new::new),
        place(POST, "/console/keys", create, key_new::create),
        place(POST, "/console/keys/summary", create, key_summary::show),
        place(POST, "/console/keys/chosen", change, key_choice::preview),
        place(POST, "/console/keys/chosen/change", change, key_choice::carry_out),
        place(GET, "/console/keys/{id}", read, key::show),
        place(GET, "/console/keys/{id}/explain", read, explain::show),
        poll("/console/keys/{id}/first-call", read, key::first_call),
        place(GET, "/console/keys/{id}/edit", edit, key::edit),
        place(POST, "/console/keys/{id}/edit", edit, key::save),
        place(GET, "/console/keys/{id}/rotate", rotate, key::ask_rotate),
        place(POST, "/console/keys/{id}/rotate", rotate, key::rotate),
        place(POST, "/console/keys/{id}/rotate/finish", rotate, key::finish_rotation),
        place(POST, "/console/keys/{id}/rotate/abort", rotate, key::abort_rotation),
        place(GET, "/console/keys/{id}/extend", edit, key::ask_extend),
        place(POST, "/console/keys/{id}/extend", edit, key::extend),
        place(POST, "/console/keys/{id}/activate", edit, key::activate),
        place(POST, "/console/keys/{id}/deactivate", edit, key::deactivate),
        place(GET, "/console/keys/{id}/revoke", revoke, key_revoke::ask),
        place(POST, "/console/keys/{id}/revoke", revoke, key_revoke::revoke),
    ]
}

/// Users, groups and roles.
// As above.
#[rustfmt::skip]
fn people_pages() -> Vec<Place> {
    use Need::OneOf;
    let (edit_users, edit_groups) = (OneOf(&["users:write"]), OneOf(&["groups:write"]));
    let (edit_roles, approve) = (OneOf(&["roles:write"]), OneOf(&["keys:approve"]));
    let revoke_keys = OneOf(&["keys:revoke", "me/keys:revoke"]);
    vec![
        place(GET, "/console/users", OneOf(&["users:read"]), users::list),
        place(GET, "/console/users/new", edit_users, users::new),
        place(POST, "/console/users/new", edit_users, users::create),
        place(GET, "/console/users/{id}", OneOf(&["users:read", "me:read"]), user::show),
        place(GET, "/console/users/{id}/edit", edit_users, user::edit),
        place(POST, "/console/users/{id}/edit", edit_users, user::save),
        place(GET, "/console/users/{id}/suspend", edit_users, user_acts::ask_suspend),
        place(POST, "/console/users/{id}/suspend", edit_users, user_acts::suspend),
        place(POST, "/console/users/{id}/resume", edit_users, user_acts::resume),
        place(POST, "/console/users/{id}/unlock", edit_users, user_acts::unlock),
        place(POST, "/console/users/{id}/end-sessions", edit_users, user_acts::end_sessions),
        place(GET, "/console/users/{id}/reset-factors", edit_users, user_acts::ask_reset),
        place(POST, "/console/users/{id}/reset-factors", edit_users, user_acts::reset_factors),
        place(GET, "/console/users/{id}/password-link", edit_users, user_acts::ask_link),
        place(POST, "/console/users/{id}/password-link", edit_users, user_acts::make_link),
        place(GET, "/console/users/{id}/revoke-keys", revoke_keys, offboarding::ask_revoke_keys),
        place(POST, "/console/users/{id}/revoke-keys", revoke_keys, offboarding::revoke_keys),
        place(GET, "/console/users/{id}/delete", edit_users, offboarding::ask_delete),
        place(POST, "/console/users/{id}/delete", edit_users, offboarding::delete),

        place(GET, "/console/groups", OneOf(&["groups:read"]), groups::list),
        place(GET, "/console/groups/new", edit_groups, groups::new),
        place(POST, "/console/groups/new", edit_groups, groups::create),
        place(GET, "/console/groups/{id}", OneOf(&["groups:read"]), group::show),
        place(GET, "/console/groups/{id}/edit", edit_groups, groups::edit),
        place(POST, "/console/groups/{id}/edit", edit_groups, groups::save),
        place(GET, "/console/groups/{id}/add", edit_groups, group::ask_add),
        place(POST, "/console/groups/{id}/add", edit_groups, group::add),
        place(POST, "/console/groups/{id}/remove", edit_groups, group::remove),
        place(GET, "/console/groups/{id}/delete", edit_groups, group::ask_delete),
        place(POST, "/console/groups/{id}/delete", edit_groups, group::delete),

        place(GET, "/console/roles", OneOf(&["roles:read"]), roles::list),
        place(GET, "/console/roles/new", edit_roles, roles::new),
        place(POST, "/console/roles/new", edit_roles, roles::create),
        place(GET, "/console/roles/{id}", OneOf(&["roles:read"]), roles::show),
        place(GET, "/console/roles/{id}/edit", edit_roles, roles::edit),
        place(POST, "/console/roles/{id}/edit", edit_roles, roles::save),
        place(GET, "/console/roles/{id}/delete", edit_roles, roles::ask_delete),
        place(POST, "/console/roles/{id}/delete", edit_roles, roles::delete),

        place(GET, "/console/approvals", approve, approvals::list),
        place(GET, "/console/approvals/{id}", approve, approvals::show),
        place(POST, "/console/approvals/{id}/approve", approve, approvals::approve),
        place(POST, "/console/approvals/{id}/reject", approve, approvals::reject),
    ]
}

/// Rules for keys, trusted authentication, webhooks, imports.
// As above.
#[rustfmt::skip]
fn rule_pages() -> Vec<Place> {
    [policy_pages(), trusted_pages(), webhook_pages()].into_iter().flatten().collect()
}

/// Features and policy.
// As above.
#[rustfmt::skip]
fn policy_pages() -> Vec<Place> {
    use Need::OneOf;
    let (read, write) = (OneOf(&["policies:read"]), OneOf(&["policies:write"]));
    let revoke = OneOf(&["keys:revoke"]);
    vec![
        place(GET, "/console/settings/features", read, features::show),
        place(GET, "/console/settings/features/revoke", revoke, revoke_all::ask),
        place(POST, "/console/settings/features/revoke", revoke, revoke_all::revoke),
        place(GET, "/console/settings/features/{class}", write, features::ask_switch),
        place(POST, "/console/settings/features/{class}", write, features::set_switch),
        place(GET, "/console/settings/features/{class}/ends", write, features::ask_ends),
        place(POST, "/console/settings/features/{class}/ends", write, features::set_ends),
        place(GET, "/console/settings/policy", read, policy::show),
        place(GET, "/console/settings/policy/edit", write, policy_draft::edit),
        place(POST, "/console/settings/policy/drafts", write, policy_draft::draft),
        place(GET, "/console/settings/policy/drafts/{id}", read, policy_draft::show),
        place(GET, "/console/settings/policy/drafts/{id}/impact.csv", write, policy_draft::impact),
        place(GET, "/console/settings/policy/drafts/{id}/apply", write, policy_draft::ask_apply),
        place(POST, "/console/settings/policy/drafts/{id}/apply", write, policy_draft::apply),
        place(POST, "/console/settings/policy/drafts/{id}/rebase", write, policy_draft::rebase),
        place(POST, "/console/settings/policy/drafts/{id}/discard", write, policy_draft::discard),
        place(GET, "/console/settings/policy/versions/{version}", read, policy::version),
        place(GET, "/console/settings/policy/versions/{version}/rollback", write, policy::ask_rollback),
        place(POST, "/console/settings/policy/versions/{version}/rollback", write, policy::roll_back),
    ]
}

/// Trusted authentication, and keys of other systems.
// As above.
#[rustfmt::skip]
fn trusted_pages() -> Vec<Place> {
    use Need::OneOf;
    let (read, write) = (OneOf(&["trusted:read"]), OneOf(&["trusted:write"]));
    let (copy, import) = (OneOf(&["trusted:copy"]), OneOf(&["keys:import"]));
    vec![
        place(GET, "/console/develop/security", read, trusted::list),
        place(GET, "/console/develop/security/enable", write, trusted_ceiling::ask_enable),
        place(POST, "/console/develop/security/enable", write, trusted_ceiling::enable),
        place(GET, "/console/develop/security/{id}", read, trusted::show),
        place(GET, "/console/develop/security/{id}/edit", write, trusted_ceiling::edit),
        place(POST, "/console/develop/security/{id}/edit", write, trusted_ceiling::save),
        place(GET, "/console/develop/security/{id}/copy", copy, trusted::ask_copy),
        place(POST, "/console/develop/security/{id}/copy", copy, trusted::copy),
        place(GET, "/console/develop/security/{id}/rotate", write, trusted::ask_rotate),
        place(POST, "/console/develop/security/{id}/rotate", write, trusted::rotate),
        place(POST, "/console/develop/security/{id}/finish", write, trusted::finish_rotation),
        place(GET, "/console/develop/security/{id}/disable", write, trusted::ask_disable),
        place(POST, "/console/develop/security/{id}/disable", write, trusted::disable),
        place(GET, "/console/import", import, import::new),
        place(POST, "/console/import", import, import::run),
        place(POST, "/console/import/check", import, import::check),
    ]
}

/// What is told to other servers.
// As above.
#[rustfmt::skip]
fn webhook_pages() -> Vec<Place> {
    use Need::OneOf;
    let (read, write) = (OneOf(&["webhooks:read"]), OneOf(&["webhooks:write"]));
    vec![
        place(GET, "/console/webhooks", read, webhooks::list),
        place(GET, "/console/webhooks/new", write, webhooks::new),
        place(POST, "/console/webhooks", write, webhooks::create),
        place(GET, "/console/webhooks/{id}", read, webhook::show),
        place(GET, "/console/webhooks/{id}/edit", write, webhooks::edit),
        place(POST, "/console/webhooks/{id}/edit", write, webhooks::save),
        place(POST, "/console/webhooks/{id}/test", write, webhook::test),
        place(GET, "/console/webhooks/{id}/rotate", write, webhook::ask_rotate),
        place(POST, "/console/webhooks/{id}/rotate", write, webhook::rotate),
        place(GET, "/console/webhooks/{id}/delete", write, webhook::ask_delete),
        place(POST, "/console/webhooks/{id}/delete", write, webhook::delete),
        place(POST, "/console/webhooks/{id}/deliveries/{delivery}/replay", write, webhook::replay),
    ]
}

/// What was recorded and told, leaks and incidents.
// As above.
#[rustfmt::skip]
fn record_pages() -> Vec<Place> {
    use Need::OneOf;
    let read = OneOf(&["audit:read"]);
    let end_keys = OneOf(&["keys:revoke", "keys:edit"]);
    vec![
        place(GET, "/console/audit", read, audit::list),
        place(GET, "/console/audit/chain", read, audit_chain::show),
        place(GET, "/console/audit/export", OneOf(&["audit:export"]), audit_chain::ask_export),
        place(GET, "/console/audit/export.jsonl", OneOf(&["audit:export"]), audit_chain::export),
        place(GET, "/console/audit/{id}", read, audit::show),
        place(GET, "/console/identify", OneOf(&["keys:read", "me/keys:read"]), identify::ask),
        place(POST, "/console/identify", OneOf(&["keys:read", "me/keys:read"]), identify::identify),
        place(GET, "/console/incidents", OneOf(&["keys:read"]), incidents::list),
        place(GET, "/console/incidents/new", end_keys, incidents::new),
        place(GET, "/console/incidents/preview", end_keys, incidents::preview),
        place(POST, "/console/incidents", end_keys, incidents::declare),
        place(GET, "/console/incidents/{id}", OneOf(&["keys:read"]), incident::show),
        place(POST, "/console/incidents/{id}/undo", OneOf(&["keys:edit"]), incident::undo),
    ]
}

/// Tenants and configuration.
// As above.
#[rustfmt::skip]
fn operator_pages() -> Vec<Place> {
    use Need::{OneOf, Session};
    let read = OneOf(&["instance/tenants:read"]);
    let write = OneOf(&["instance/tenants:write"]);
    vec![
        place(GET, "/console/tenants", read, tenants::list),
        place(GET, "/console/tenants/new", write, tenants::new),
        place(POST, "/console/tenants", write, tenants::create),
        place(POST, "/console/tenants/leave", Session, tenants::leave),
        place(GET, "/console/tenants/{id}", read, tenant::show),
        place(POST, "/console/tenants/{id}/edit", write, tenant::save),
        place(GET, "/console/tenants/{id}/suspend", write, tenant::ask_suspend),
        place(POST, "/console/tenants/{id}/suspend", write, tenant::suspend),
        place(POST, "/console/tenants/{id}/resume", write, tenant::resume),
        place(GET, "/console/tenants/{id}/delete", write, tenant::ask_delete),
        place(POST, "/console/tenants/{id}/delete", write, tenant::delete),
        place(POST, "/console/tenants/{id}/enter", OneOf(&["instance/tenants:enter"]), tenants::enter),
        place(GET, "/console/configuration", OneOf(&["instance/log:read"]), configuration::show),
        place(POST, "/console/configuration/log-levels", OneOf(&["instance/log:write"]), configuration::set_levels),
        place(POST, "/console/configuration/log-levels/module", OneOf(&["instance/log:write"]), configuration::set_level),
    ]
}

/// The same router with the console in it.
pub(crate) fn mount(mut router: Router<Arc<App>>, app: &Arc<App>) -> Router<Arc<App>> {
    let nothing = place(GET, "/console/{*rest}", Need::Session, nowhere);
    for page in pages().into_iter().chain([nothing]) {
        let Place { path, need, handler, is_poll, .. } = page;
        let gate = gate::Gate { app: app.clone(), route: path, need, is_poll };
        router = router.route(path, handler.layer(axum::middleware::from_fn_with_state(gate, gate::gate)));
    }
    router
        .route("/", get(async || Redirect::to("/console")))
        .route("/console/assets/{name}", get(assets::show))
}

/// For pages that there are not.
async fn nowhere() -> Problem {
    Problem(Error::NotFound)
}

/// What a handler of a page answers.
pub(crate) type Shown = Result<Response, Problem>;

/// The page of a template.
pub(crate) fn page(template: &impl askama::Template) -> Shown {
    let html = template.render().map_err(Error::internal)?;
    Ok(axum::response::Html(html).into_response())
}

/// Another page, which says in a line what was done.
pub(crate) fn go(path: &str, done: &str) -> Shown {
    let mark = if path.contains('?') { '&' } else { '?' };
    let to = if done.is_empty() { path.to_owned() } else { format!("{path}{mark}done={done}") };
    Ok(Redirect::to(&to).into_response())
}
