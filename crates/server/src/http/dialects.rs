//! The protocols of five other products: each a thin translation onto the same operations and the one
//! decision, without a rule or a state of its own. A file or folder for each; its error shape stands in it once.

pub(crate) mod bmc_helix;
pub(crate) mod body;
pub(crate) mod door;
pub(crate) mod mode;
pub(crate) mod seeq;
pub(crate) mod thoughtspot;
pub(crate) mod valsight;

use std::borrow::Cow;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use http::header::HOST;
use http::{Method, Uri};

use super::guard;
use super::problem::{self, Problem};
use crate::app::{Actor, App, Call};
use crate::config::Settings;
use crate::error::{Error, Result};

/// One dialect.
pub(crate) struct Dialect {
    /// The path below which it answers on every host.
    root: &'static str,
    /// Beginnings of the paths that are its own at the root of its hosts.
    owns: &'static [&'static str],
    /// Whether the configuration switches it on.
    is_on: fn(&Settings) -> bool,
    /// Where its hosts stand in the configuration, and they themselves.
    hosts_key: &'static str,
    hosts: fn(&Settings) -> &[String],
    /// Its paths, without the root.
    routes: fn() -> Router<Arc<App>>,
    /// An error in its own shape; the second is the id of the request.
    refuse: fn(&Error, &str) -> Response,
}

const ALL: [&Dialect; 5] =
    [&thoughtspot::DIALECT, &mode::DIALECT, &bmc_helix::DIALECT, &valsight::DIALECT, &seeq::DIALECT];

impl Dialect {
    fn name(&self) -> &'static str {
        self.root.rsplit('/').next().unwrap_or_default()
    }

    /// Whether a path may be of both.
    fn meets(&self, other: &Self) -> bool {
        let pairs = self.owns.iter().flat_map(|own| other.owns.iter().map(move |theirs| (own, theirs)));
        pairs.into_iter().any(|(own, theirs)| own.starts_with(theirs) || theirs.starts_with(own))
    }
}

/// Two dialects that cannot share the host that both are given.
pub(crate) fn collision(settings: &Settings) -> Option<(&'static str, String)> {
    for (at, first) in ALL.iter().enumerate() {
        for second in ALL[at + 1..].iter().filter(|second| first.meets(second)) {
            let theirs = (second.hosts)(settings);
            if let Some(host) = (first.hosts)(settings).iter().find(|host| theirs.contains(host)) {
                let problem = format!(
                    "{host} is a host of {} too, and a path could be of both: give each its own",
                    first.name()
                );
                return Some((second.hosts_key, problem));
            }
        }
    }
    None
}

/// Adds the dialects that are switched on.
pub(crate) fn mount(mut router: Router<Arc<App>>, app: &Arc<App>) -> Router<Arc<App>> {
    for dialect in ALL.into_iter().filter(|dialect| (dialect.is_on)(&app.settings)) {
        let own = (dialect.routes)()
            .fallback(guard::not_found)
            .method_not_allowed_fallback(guard::method_not_allowed)
            .layer(axum::middleware::from_fn_with_state((dialect, app.clone()), shape));
        router = router.nest(dialect.root, own);
    }
    router
}

/// Tells what goes wrong in the words of the dialect.
async fn shape(
    State((dialect, app)): State<(&'static Dialect, Arc<App>)>,
    request: Request,
    next: Next,
) -> Response {
    let call = request.extensions().get::<Call>().cloned().unwrap_or_default();
    let response = match app.must_be_set_up().await {
        Ok(()) => next.run(request).await,
        Err(error) => Problem(error).into_response(),
    };
    problem::tell(response, &call.request_id, |error| (dialect.refuse)(error, &call.request_id))
}

/// Hands a result on; a refusal for want of rights is on its way into the audit log then (AUD-1), as the guard
/// of `/v1` has it.
pub(crate) fn noted<T>(app: &App, actor: &Actor, operation: &'static str, done: Result<T>) -> Result<T> {
    if let Err(error @ Error::Forbidden { .. }) = &done {
        app.refusals.note(actor, operation, problem::code(error));
    }
    done
}

/// What of a query is looked through for secrets (KEY-12): all of it, but for the one parameter in which a
/// protocol has a short-lived token.
pub(crate) fn exposed<'q>(
    settings: &Settings,
    (method, path): (&Method, &str),
    query: &'q str,
) -> Cow<'q, str> {
    let dialect = &thoughtspot::DIALECT;
    let takes_token = matches!(*method, Method::GET | Method::POST)
        && path.strip_prefix(dialect.root) == Some(thoughtspot::LOGIN_BY_TOKEN)
        && (dialect.is_on)(settings);
    if takes_token { thoughtspot::beside_token(query) } else { query.into() }
}

/// The host names at whose root dialects answer.
pub(crate) struct Hosts(Vec<(String, &'static Dialect)>);

impl Hosts {
    /// Those of the dialects that are switched on.
    pub(crate) fn of(settings: &Settings) -> Self {
        let on = ALL.into_iter().filter(|dialect| (dialect.is_on)(settings));
        let hosts =
            on.flat_map(|dialect| (dialect.hosts)(settings).iter().map(move |host| (host.clone(), dialect)));
        Self(hosts.collect())
    }

    /// Sends a request at the root of such a host to the root of its dialect, if the path is of that.
    pub(crate) fn put_below_root<B>(&self, request: &mut http::Request<B>) {
        if self.0.is_empty() {
            return;
        }
        let named = request.headers().get(HOST).and_then(|host| host.to_str().ok());
        let Some(host) = named.or_else(|| request.uri().authority().map(http::uri::Authority::as_str)) else {
            return;
        };
        let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
        let path = request.uri().path();
        let mut own = self.0.iter().filter(|(known, _)| known.eq_ignore_ascii_case(name));
        let found = own.find(|(_, dialect)| dialect.owns.iter().any(|start| path.starts_with(start)));
        let Some((_, dialect)) = found else { return };
        let target = request.uri().path_and_query().map_or("/", |target| target.as_str());
        if let Ok(uri) = format!("{}{target}", dialect.root).parse::<Uri>() {
            *request.uri_mut() = uri;
        }
    }
}
