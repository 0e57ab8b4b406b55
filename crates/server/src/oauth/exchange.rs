//! Token exchange (RFC 8693): of a key or a token a narrower and shorter one, which ends with it (X12).

use std::sync::Arc;

use keyward_core::decide::{Decision, Request};
use keyward_core::jwt::{Actor, MAX_ACTORS, Origin};

use super::Holder;
use super::issue::{Issued, Lineage, Source, Wish, acting, issue, refuse, source_of};
use crate::app::App;
use crate::error::{Error, Result};
use crate::failures;
use crate::verify::tokens::FoundToken;
use crate::verify::usage::Sighting;
use crate::verify::{Ask, Found, Presented};

/// Makes a token of what the subject token is worth; the client becomes the one who acts.
pub(crate) async fn exchange(
    app: &Arc<App>,
    holder: &Holder,
    subject_token: &str,
    wish: &Wish,
) -> Result<Issued> {
    let ask = Ask {
        presented: Presented::Secret(subject_token),
        request: Request { address: holder.call.address, cost: 0, ..Request::default() },
        sighting: Sighting { address: holder.call.address, agent: holder.call.agent.as_deref() },
        tenant: Some(holder.found.tenant.id),
        now: app.clock.now(),
    };
    let verified = app.verifier.verify(&ask).await?;
    let tenant = holder.found.tenant.id;
    if verified.found.is_none()
        && verified.token.is_none()
        && let Some(seconds) = failures::note(app, Some(tenant), "exchange", holder.call.address)
    {
        return Err(Error::RateLimited(seconds));
    }
    let Decision::Allow { expires_at, .. } = verified.decision else { return Err(invalid()) };
    let end = expires_at.map(|at| at.div_euclid(1000));
    let source = match (&verified.found, &verified.token, &verified.secret) {
        (Some(found), _, Some(secret)) if found.may_manage() => {
            of_key(holder, found, secret.generation, end)?
        }
        (_, Some(token), _) => of_token(holder, token, end)?,
        // A session is a person's own, and an ingest key hands nothing on.
        _ => return Err(invalid()),
    };
    issue(app, holder, source, wish).await
}

fn invalid() -> Error {
    refuse("invalid_grant", "the subject token is not valid, or not for this")
}

/// Of a key, its own or one whose secret it was given.
fn of_key(holder: &Holder, subject: &Found, generation: u32, end: Option<i64>) -> Result<Source> {
    let (access_key, key) = subject.key.as_ref().filter(|_| subject.session.is_none()).ok_or_else(invalid)?;
    let own = *access_key == holder.access_key;
    let lineage = Lineage {
        act: acting(holder, subject),
        origin: Origin { access_key: *access_key, generation },
        root: (!own).then(|| access_key.to_string()),
        via: if own { Vec::new() } else { vec![holder.origin()] },
        parents: Vec::new(),
        ext: serde_json::Map::new(),
    };
    Ok(source_of(subject, key, end, lineage))
}

/// Of a token that the client asked for itself, or that names it in `may_act`; nobody else's, so that
/// whoever merely holds a token makes no other one of it (IMP-2).
fn of_token(holder: &Holder, subject: &FoundToken, end: Option<i64>) -> Result<Source> {
    let (checked, claims) = (&subject.checked, &subject.checked.claims);
    let me = holder.key.id.to_string();
    let named = claims.may_act.as_ref().is_some_and(|actor| actor.sub == me);
    if checked.client != holder.client() && !named {
        return Err(refuse("invalid_grant", "the subject token does not name this client in may_act"));
    }
    if claims.budget.is_some() {
        return Err(refuse("invalid_grant", "a token whose uses are counted cannot be exchanged"));
    }
    if claims.parents.len() >= MAX_ACTORS || chain(claims.act.as_ref()) >= MAX_ACTORS {
        return Err(refuse("invalid_grant", "the chain of tokens is too long"));
    }
    let mut via = claims.via.clone();
    if claims.origin != holder.origin() && !via.contains(&holder.origin()) {
        via.push(holder.origin());
    }
    let acts = claims.act.as_ref().is_some_and(|actor| actor.sub == me);
    let act = if acts {
        claims.act.clone()
    } else {
        Some(Actor { sub: me, act: claims.act.clone().map(Box::new) })
    };
    let lineage = Lineage {
        act,
        origin: claims.origin,
        root: claims.root.clone().or_else(|| Some(claims.client_id.clone())),
        via,
        parents: claims.parents.iter().cloned().chain([claims.jti.clone()]).collect(),
        ext: claims.ext.clone(),
    };
    Ok(Source {
        subject: checked.subject,
        username: claims.username.clone(),
        epoch: claims.epoch,
        rights: subject.effective.rights.clone(),
        audience: claims.aud.0.clone(),
        end,
        lineage,
    })
}

fn chain(act: Option<&Actor>) -> usize {
    std::iter::successors(act, |act| act.act.as_deref()).count()
}
