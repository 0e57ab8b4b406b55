//! Introspection (RFC 7662): what a token or key is worth now, for those who may know.

use std::sync::Arc;

use keyward_core::decide::{Decision, Request};
use keyward_core::jwt::{Actor, Audience};
use serde::Serialize;
use utoipa::ToSchema;

use super::Holder;
use crate::app::App;
use crate::error::Result;
use crate::failures;
use crate::verify::tokens::FoundToken;
use crate::verify::usage::Sighting;
use crate::verify::{Ask, Found, Presented, Verified};

/// The answer; everything but `active` is left out unless it is true.
#[derive(Debug, Default, Serialize, ToSchema)]
pub(crate) struct IntrospectionOut {
    pub(crate) active: bool,
    /// What it may do now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) scope: Option<String>,
    /// What asked for it; a key is its own client.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) client_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) username: Option<String>,
    /// `Bearer`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) token_type: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) exp: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) iat: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) sub: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub(crate) aud: Option<Audience>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) iss: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) jti: Option<String>,
    /// Who really acts, the latest first.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub(crate) act: Option<Actor>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tenant: Option<String>,
}

/// Looks at a token or key as at a use of it, for the client as the one who was sent it. Whoever lacks
/// `verify:call` sees only what it asked for itself.
pub(crate) async fn introspect(
    app: &Arc<App>,
    holder: &Holder,
    token: &str,
    audience: Option<&str>,
) -> Result<IntrospectionOut> {
    let everything = holder.may(&app.rights.enter_tenants);
    let verifies = holder.may(&app.rights.verify_call);
    if !verifies && !is_own(app, holder, token).await? {
        return Ok(IntrospectionOut::default());
    }
    let ask = Ask {
        presented: Presented::Secret(token),
        request: Request { audience, cost: 1, ..Request::default() },
        sighting: Sighting::default(),
        tenant: (!everything).then_some(holder.found.tenant.id),
        now: app.clock.now(),
    };
    let mut verified = app.verifier.verify(&ask).await?;
    failures::throttle(app, &mut verified, holder.found.tenant.id, None);
    app.metrics.verified(&verified.decision);
    Ok(tell(app, &verified))
}

/// Whether the client asked for the token, or is the key.
async fn is_own(app: &Arc<App>, holder: &Holder, token: &str) -> Result<bool> {
    if let Some(parsed) = keyward_core::token::parse(token, &app.verifier.prefixes) {
        return Ok(parsed.access_key == holder.access_key);
    }
    let checked = app.verifier.read_token(token).await?;
    Ok(checked.is_some_and(|checked| checked.client == holder.client()))
}

fn tell(app: &App, verified: &Verified) -> IntrospectionOut {
    let Decision::Allow { expires_at, .. } = verified.decision else { return IntrospectionOut::default() };
    let end = expires_at.map(|at| at.div_euclid(1000));
    let told = match (&verified.found, &verified.token) {
        (Some(found), _) => of_key(found),
        (None, Some(token)) => of_token(token),
        (None, None) => return IntrospectionOut::default(),
    };
    IntrospectionOut {
        active: true,
        token_type: Some("Bearer"),
        exp: end,
        iss: Some(app.verifier.issuer().into()),
        ..told
    }
}

fn of_key(found: &Found) -> IntrospectionOut {
    let owner = found.owner.as_deref();
    IntrospectionOut {
        scope: Some(found.effective.header.to_string()),
        client_id: found.key.as_ref().map(|(access_key, _)| access_key.to_string()),
        username: owner.map(|owner| owner.username.to_string()),
        sub: owner.map(|owner| owner.id.to_string()).or(found.key().map(|key| key.id.to_string())),
        tenant: Some(found.tenant.id.to_string()),
        ..IntrospectionOut::default()
    }
}

fn of_token(found: &FoundToken) -> IntrospectionOut {
    let claims = &found.checked.claims;
    IntrospectionOut {
        scope: Some(found.effective.header.to_string()),
        client_id: Some(claims.client_id.clone()),
        username: claims.username.clone(),
        iat: Some(claims.iat),
        sub: Some(claims.sub.clone()),
        aud: Some(claims.aud.clone()),
        jti: Some(claims.jti.clone()),
        act: claims.act.clone(),
        tenant: Some(claims.tenant.clone()),
        ..IntrospectionOut::default()
    }
}
