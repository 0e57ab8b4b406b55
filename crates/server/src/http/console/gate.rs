//! What stands before every page: a session of a person, the declared right, and for what is sent
//! the origin of the page that sends it (SQ3, WEB-1); and behind it the headers of a page (WEB-3).

use std::sync::Arc;

use axum::extract::{FromRequestParts, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};
use http::header::{CONTENT_SECURITY_POLICY, HeaderValue};
use http::request::Parts;
use http::{HeaderMap, Method};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::frame::{Frame, Visitor};
use super::typed::Typed;
use super::words::{self, Language, Words};
use super::{LOGIN, SECURITY, SETUP, failure, look};
use crate::app::{Actor, App, Call};
use crate::error::{Error, Result};
use crate::http::problem::{Pending, Problem};
use crate::http::router::Need;
use crate::http::{caller, cookie, problems};
use crate::random;
use crate::store::{tenants, users};

/// Pages about oneself and about the instance: an operator sees them at home, whichever tenant was entered.
const AT_HOME: [&str; 8] = [
    "/console/configuration",
    "/console/logout",
    "/console/me/preferences",
    "/console/me/security",
    "/console/me/sessions",
    "/console/notifications",
    "/console/step-up",
    "/console/tenants",
];

/// What the gate of one page knows.
#[derive(Clone)]
pub(crate) struct Gate {
    pub(crate) app: Arc<App>,
    /// Its path as the map has it.
    pub(crate) route: &'static str,
    pub(crate) need: Need,
    /// A page asks by itself.
    pub(crate) is_poll: bool,
}

/// A request that was let in.
#[derive(Clone)]
pub(crate) struct Visit {
    pub(crate) app: Arc<App>,
    pub(crate) actor: Actor,
    pub(crate) frame: Frame,
}

impl<S: Sync> FromRequestParts<S> for Visit {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let visit = parts.extensions.get::<Self>().cloned();
        visit.ok_or_else(|| Problem(Error::Unauthenticated("no_credential")))
    }
}

impl<S: Sync> FromRequestParts<S> for Frame {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let frame = parts.extensions.get::<Self>().cloned();
        frame.ok_or_else(|| Problem(Error::internal("a page without its gate")))
    }
}

impl Visit {
    /// A page that leads to what is dangerous asks for a proof first, not after it was filled in (SES-6).
    pub(crate) fn must_be_fresh(&self) -> Result<()> {
        self.actor.must_be_fresh(self.app.clock.unix_ms())
    }
}

/// Lets a request through to its page, or shows what stands against it.
pub(crate) async fn gate(State(gate): State<Gate>, request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    let mut frame = empty_frame(&gate.app, &parts);
    let kept = frame.look.clone();
    let call = parts.extensions.get::<Call>().cloned().unwrap_or_default();
    let call = Call { by_itself: gate.is_poll, ..call };
    let is_get = matches!(parts.method, Method::GET | Method::HEAD);
    let entered = enter(&gate, &parts, &mut frame, call.clone()).await;
    let typed = Typed::default();
    let mut response = match entered {
        Ok(actor) => {
            if let Some(actor) = actor {
                let visit = Visit { app: gate.app.clone(), actor, frame: frame.clone() };
                parts.extensions.insert(visit);
            }
            parts.extensions.insert(frame.clone());
            parts.extensions.insert(typed.clone());
            clean_query(&mut parts);
            next.run(Request::from_parts(parts, body)).await
        }
        Err(error) => Problem(error).into_response(),
    };
    if let Some(Pending(error)) = response.extensions_mut().remove::<Pending>() {
        let form = (!is_get).then(|| typed.page(gate.route, &frame.path));
        response = match elsewhere(&frame, &error, form.as_deref()) {
            _ if gate.is_poll => failure::poll(&frame, &error, &call.request_id),
            Some(path) => Redirect::to(&path).into_response(),
            None => failure::show(&frame, &error, &call.request_id),
        };
    }
    if is_get {
        look::follow(&mut response, &frame.look, &kept, &gate.app.settings.server);
    }
    dress(&mut response, &frame);
    response
}

/// The headers of a page (WEB-3).
fn dress(response: &mut Response, frame: &Frame) {
    let headers = response.headers_mut();
    let policy = HeaderValue::from_str(&content_policy(&frame.nonce)).expect("a policy of ASCII");
    headers.insert(CONTENT_SECURITY_POLICY, policy);
    headers.insert("referrer-policy", HeaderValue::from_static(frame.referrer_policy()));
    // Browsers have no use for it over plain http, and complain.
    if !frame.plain {
        headers.insert("cross-origin-opener-policy", HeaderValue::from_static("same-origin"));
    }
    let features = "camera=(), geolocation=(), microphone=(), payment=(), usb=()";
    headers.insert("permissions-policy", HeaderValue::from_static(features));
}

/// Scripts run by the nonce alone, and only htmx and our own may write HTML (WEB-3).
fn content_policy(nonce: &str) -> String {
    format!(
        "default-src 'none'; script-src 'nonce-{nonce}'; style-src 'self'; img-src 'self'; connect-src 'self'; \
         form-action 'self'; base-uri 'none'; object-src 'none'; frame-ancestors 'none'; \
         trusted-types htmx; require-trusted-types-for 'script'"
    )
}

/// Where somebody goes who must do something else first; nothing if it must be told. `form` is the page of the form
/// that was sent, if one was.
fn elsewhere(frame: &Frame, error: &Error, form: Option<&str>) -> Option<String> {
    let is_get = form.is_none();
    let back = || utf8_percent_encode(&frame.address, NON_ALPHANUMERIC).to_string();
    match error {
        Error::NotSetUp if frame.path != SETUP => Some(SETUP.to_owned()),
        Error::Unauthenticated(_) if frame.visitor.is_none() && frame.path != LOGIN => Some(match is_get {
            true => format!("{LOGIN}?return_to={}", back()),
            false => LOGIN.to_owned(),
        }),
        Error::Forbidden { code: "second_factor_missing", .. } if is_get => Some(SECURITY.to_owned()),
        Error::Forbidden { code: "step_up_required", .. } => {
            let page = form.unwrap_or(&frame.address);
            let back = utf8_percent_encode(page, NON_ALPHANUMERIC);
            Some(format!("/console/step-up?return_to={back}"))
        }
        _ => None,
    }
}

/// Fields of filters that were left empty, the word about what was done, and the wish to have every row ticked
/// are no parameters.
fn clean_query(parts: &mut Parts) {
    let Some(query) = parts.uri.query() else { return };
    let is_word = |part: &str| part.starts_with("done=") || part.starts_with("chosen=");
    let kept: Vec<&str> = query.split('&').filter(|part| !part.ends_with('=') && !is_word(part)).collect();
    let path = parts.uri.path();
    let uri = if kept.is_empty() { path.to_owned() } else { format!("{path}?{}", kept.join("&")) };
    if let Ok(uri) = uri.parse() {
        parts.uri = uri;
    }
}

fn empty_frame(app: &App, parts: &Parts) -> Frame {
    let query = parts.uri.query().unwrap_or_default();
    let done = query.split('&').find_map(|part| part.strip_prefix("done="));
    Frame {
        words: Words(words::of_browser(&parts.headers)),
        nonce: random::hex::<16>(),
        path: parts.uri.path().to_owned(),
        address: parts.uri.path_and_query().map_or("/console", |target| target.as_str()).to_owned(),
        done: done.map(Into::into),
        now: app.clock.unix_ms(),
        look: look::of(&parts.headers),
        plain: app.settings.server.is_plain(),
        visitor: None,
    }
}

/// Who comes, if the page is not for everybody.
async fn enter(gate: &Gate, parts: &Parts, frame: &mut Frame, call: Call) -> Result<Option<Actor>> {
    let (app, headers) = (&gate.app, &parts.headers);
    let is_change = !matches!(parts.method, Method::GET | Method::HEAD);
    // Nobody can log in before there is anybody.
    if frame.path != SETUP && !app.is_set_up().await? {
        return Err(Error::NotSetUp);
    }
    if matches!(gate.need, Need::Open) {
        if is_change {
            cookie::must_be_same_origin(&parts.method, headers, &app.settings.server)?;
        }
        return Ok(None);
    }
    let actor = by_cookie(app, headers, &frame.path, call).await?;
    let entered = cookie::tenant(headers, &app.settings.server)?.unwrap_or_default();
    frame.visitor = Some(visitor(app, &actor, entered, frame).await?);
    if is_change {
        cookie::must_be_same_origin(&parts.method, headers, &app.settings.server)?;
    }
    let refused = refusal(&gate.need, &actor);
    if let Some((code, detail)) = refused {
        app.refusals.note(&actor, "console", code);
        return Err(Error::forbidden(code, detail));
    }
    Ok(Some(actor))
}

/// Only the cookie of a person's login opens the console, whatever else comes along (SQ3).
async fn by_cookie(app: &App, headers: &HeaderMap, path: &str, call: Call) -> Result<Actor> {
    if cookie::token(headers, &app.settings.server)?.is_none() {
        return Err(Error::Unauthenticated("no_credential"));
    }
    let mut home = headers.clone();
    home.remove(caller::TENANT);
    let entered = cookie::tenant(headers, &app.settings.server)?.filter(|_| !is_at_home(path));
    let actor = match entered.and_then(|slug| HeaderValue::from_str(slug).ok()) {
        None => caller::authenticate(app, &home, call).await?,
        Some(slug) => {
            let mut there = home.clone();
            there.insert(caller::TENANT, slug);
            match caller::authenticate(app, &there, call.clone()).await {
                // The tenant is gone, or may not be entered any more.
                Err(Error::NotFound) => caller::authenticate(app, &home, call).await?,
                actor => actor?,
            }
        }
    };
    match &actor.session {
        Some(session) if session.in_cookie && session.method.is_interactive() => Ok(actor),
        _ => Err(Error::Unauthenticated("no_credential")),
    }
}

/// Whether a page is one of [`AT_HOME`], or below one.
fn is_at_home(path: &str) -> bool {
    let below =
        |page: &str| path.strip_prefix(page).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    AT_HOME.into_iter().any(below)
}

fn refusal(need: &Need, actor: &Actor) -> Option<(&'static str, String)> {
    let enrolment_only = actor.session.as_ref().is_some_and(|session| session.enrolment_only);
    if enrolment_only && !matches!(need, Need::Enrolment) {
        let code = "second_factor_missing";
        return Some((code, problems::detail(code).into()));
    }
    match need {
        Need::OneOf(rights) if !rights.iter().any(|right| actor.may(right)) => {
            Some(("insufficient_rights", format!("this needs the right {}", rights.join(" or "))))
        }
        _ => None,
    }
}

async fn visitor(app: &App, actor: &Actor, entered: &str, frame: &mut Frame) -> Result<Visitor> {
    let session = actor.session.as_ref().ok_or(Error::Unauthenticated("no_credential"))?;
    let unread = match actor.user_id() {
        Some(_) => crate::notifications::unread(app, actor).await?.unread,
        None => 0,
    };
    let mut conn = app.read().await?;
    let tenant = tenants::find(&mut conn, &actor.tenant_id).await?.ok_or(Error::NotFound)?;
    let user = users::find(&mut conn, &actor.tenant_id, &actor.principal.id).await?;
    if let Some(user) = &user {
        frame.look = frame.look.clone().by_user(user);
        let language = user.language.as_deref().and_then(Language::parse);
        frame.words = language.map_or(frame.words, Words);
    }
    // A form that was opened in one tenant is never carried out in another.
    let mark = format!("console form v1\0{}\0{entered}", session.handle.digits());
    Ok(Visitor {
        id: actor.principal.id.clone(),
        username: actor.principal.label.clone(),
        tenant_name: tenant.name,
        visiting: actor.visiting,
        rights: actor.rights.clone(),
        unread,
        form_token: random::to_hex(&app.root_key.mac(mark.as_bytes())[..16]),
        enrolment_only: session.enrolment_only,
        idle_in: (session.idle_at - frame.now).max(0) / 1000,
        ends_in: (session.ends_at - frame.now).max(0) / 1000,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_at_home_on_pages_about_oneself_and_the_instance() {
        for path in [
            "/console/tenants",
            "/console/tenants/tenant_1/enter",
            "/console/me/sessions",
            "/console/step-up",
        ] {
            assert!(is_at_home(path), "{path}");
        }
        for path in ["/console", "/console/keys", "/console/me/keys", "/console/tenantsx", "/console/audit"] {
            assert!(!is_at_home(path), "{path}");
        }
    }
}
