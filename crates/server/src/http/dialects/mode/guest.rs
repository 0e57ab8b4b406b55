//! Who calls: token and secret of a key, by Basic authentication and nothing else.

use http::HeaderMap;

use crate::app::{Actor, App, Call};
use crate::error::{Error, Result};
use crate::http::caller::{self, Credential};
use crate::http::dialects::noted;
use crate::http::guard;
use crate::http::router::Need;

/// The holder of a key, in its own tenant.
pub(super) struct Guest {
    pub(super) actor: Actor,
    /// The workspace: the slug of the tenant.
    pub(super) slug: String,
    /// The access key that was presented.
    pub(super) token: String,
}

impl Guest {
    /// Finds out who calls, and counts the request: what is no key of ours is not counted, so that strangers
    /// use up nothing.
    ///
    /// # Errors
    /// 401 for every other scheme, as any surface refuses a key, and 429 beyond the limit of Mode.
    pub(super) async fn enter(app: &App, headers: &HeaderMap, call: &Call) -> Result<Self> {
        let credential = caller::credential(headers, &app.settings.server.api_key_header)?;
        if !matches!(credential, Credential::Pair(..)) {
            return Err(Error::Unauthenticated("no_credential"));
        }
        let identity = caller::identify_presented(app, credential.presented(), call).await?;
        let actor = identity.actor(call.clone());
        let access_key = actor.access_key.filter(|_| actor.session.is_none());
        let access_key = access_key.ok_or(Error::Unauthenticated("invalid_key"))?;
        if let Some(seconds) = app.mode.spend(access_key, app.clock.now()) {
            app.refusals.note(&actor, "auth.refused", "rate_limited");
            return Err(Error::RateLimited(seconds));
        }
        Ok(Self { slug: identity.tenant().slug.to_string(), token: access_key.to_string(), actor })
    }

    /// The same in the workspace of a path: every other one is as if it did not exist.
    ///
    /// # Errors
    /// As [`Self::enter`], then 404.
    pub(super) async fn enter_workspace(
        app: &App,
        headers: &HeaderMap,
        call: &Call,
        workspace: &str,
    ) -> Result<Self> {
        let guest = Self::enter(app, headers, call).await?;
        if guest.slug == workspace { Ok(guest) } else { Err(Error::NotFound) }
    }

    /// The same with a key of the workspace; member keys are refused, whatever their user may do (MO1).
    ///
    /// # Errors
    /// As [`Self::enter_workspace`], then 403.
    pub(super) async fn enter_with_workspace_key(
        app: &App,
        (headers, call): (&HeaderMap, &Call),
        workspace: &str,
        operation: &'static str,
    ) -> Result<Self> {
        let guest = Self::enter_workspace(app, headers, call, workspace).await?;
        let detail = "this needs a workspace API key";
        let fits = if guest.is_member() { Err(Error::forbidden("wrong_class", detail)) } else { Ok(()) };
        guest.noted(app, operation, fits)?;
        Ok(guest)
    }

    /// Whether a user stands behind the key.
    pub(super) fn is_member(&self) -> bool {
        self.actor.principal.kind == "user"
    }

    /// Refuses unless one of the rights is held.
    ///
    /// # Errors
    /// 403.
    pub(super) fn must_hold(
        &self,
        app: &App,
        operation: &'static str,
        rights: &'static [&'static str],
    ) -> Result<()> {
        guard::must_fit(app, &self.actor, Need::OneOf(rights), operation)
    }

    /// Hands a result on; a refusal for want of rights is noted for the audit log.
    pub(super) fn noted<T>(&self, app: &App, operation: &'static str, done: Result<T>) -> Result<T> {
        noted(app, &self.actor, operation, done)
    }
}
