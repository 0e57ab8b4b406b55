//! Credentials in query strings (KEY-12): refused; a key is marked as exposed, a session ended, a link
//! that sets a password voided.

use std::sync::Arc;

use keyward_core::decide::{Code, Decision};
use keyward_core::jwt::Compact;
use keyward_core::secret::Secret;
use keyward_core::token;
use percent_encoding::percent_decode_str;

use crate::app::{Actor, App, Call};
use crate::audit::{Audited, Event};
use crate::error::{Error, Result};
use crate::handovers;
use crate::passwords::links;
use crate::sessions;
use crate::store::keys;
use crate::verify::record::KeyRecord;
use crate::verify::trusted::{Bar, Closed};
use crate::verify::usage::Sighting;
use crate::verify::{Ask, Found, Presented};

/// Whether a parameter of the query is a well-formed secret of this instance.
pub(crate) fn holds_secret(app: &App, query: &str) -> bool {
    !secrets(app, query).is_empty() || holds_token(query)
}

/// How a request with such a query is refused.
pub(crate) fn refusal() -> Error {
    let code = "credential_in_url";
    Error::Http { status: 400, code, detail: super::problems::detail(code).into() }
}

/// Whether an access token stands in the query. There is no key to mark, and it ends soon.
fn holds_token(query: &str) -> bool {
    let decoded = percent_decode_str(query).decode_utf8_lossy();
    let mut words = decoded.split(|c: char| !c.is_ascii_alphanumeric() && !"_-.".contains(c));
    words.any(|word| Compact::parse(word).is_some())
}

fn secrets(app: &App, query: &str) -> Vec<Secret> {
    let decoded = percent_decode_str(query).decode_utf8_lossy();
    decoded
        .split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .filter(|word| {
            is_trusted(word)
                || token::parse(word, &app.verifier.prefixes).is_some()
                || token::parse_other(word, token::SESSION_PREFIX).is_some()
                || is_link(word)
                || is_handover(word)
        })
        .map(|word| Secret::new(word.to_owned()))
        .collect()
}

fn is_trusted(word: &str) -> bool {
    token::parse_trusted(word).is_some()
}

fn is_handover(word: &str) -> bool {
    token::parse_other(word, token::HANDOVER_PREFIX).is_some()
}

fn is_link(word: &str) -> bool {
    token::parse_other(word, token::LINK_PREFIX).is_some()
}

/// Marks the keys whose secrets stand in the query, if they are real; runs behind the answer.
pub(crate) fn mark(app: &Arc<App>, query: &str, call: &Call) {
    for secret in secrets(app, query) {
        let (app, call) = (app.clone(), call.clone());
        app.control.clone().spawn(async move {
            if let Err(error) = mark_one(&app, &secret, call).await {
                tracing::warn!(%error, "an exposed key could not be marked");
            }
        });
    }
}

async fn mark_one(app: &App, secret: &Secret, call: Call) -> Result<()> {
    if is_trusted(secret.expose()) {
        return note_trusted(app, secret, call).await;
    }
    if is_handover(secret.expose()) {
        return handovers::void_exposed(app, secret.expose(), call).await;
    }
    if is_link(secret.expose()) {
        return links::void_exposed(app, secret.expose(), call).await;
    }
    if token::parse_other(secret.expose(), token::SESSION_PREFIX).is_some() {
        for presented in [Presented::Secret(secret.expose()), Presented::Cookie(secret.expose())] {
            sessions::end_by_token(app, presented, ("exposure", "seen in a URL"), &call).await?;
        }
        return Ok(());
    }
    let ask = Ask {
        presented: Presented::Secret(secret.expose()),
        request: keyward_core::decide::Request::default(),
        sighting: Sighting::default(),
        tenant: None,
        now: app.clock.now(),
    };
    let verified = app.verifier.verify(&ask).await?;
    // Also a key that is bound to other networks or switched off for now: it may be used elsewhere,
    // or again.
    let dead = matches!(verified.decision, Decision::Deny { code: Code::Revoked | Code::RetiredSecret, .. });
    match verified.found {
        Some(Found { key: Some((_, key)), tenant, .. }) if !dead => {
            let tenant = tenant.id.to_string();
            note(app, &tenant, &key, verified.secret.map(|secret| secret.generation), call).await
        }
        _ => Ok(()),
    }
}

/// A trusted secret has no mark: its tenant's log tells whom it concerns to rotate it.
async fn note_trusted(app: &App, secret: &Secret, call: Call) -> Result<()> {
    let backend = match app.verifier.backend(secret.expose(), call.address).await? {
        Ok(backend) => backend,
        // It may be used elsewhere, or again.
        Err(Closed::Barred(Bar::Address | Bar::Suspended, backend)) => *backend,
        Err(_) => return Ok(()),
    };
    let actor = backend.actor(&backend.tenant.id.to_string(), call);
    app.refusals.note(&actor, "trusted.exposed", "credential_in_url");
    Ok(())
}

async fn note(app: &App, tenant: &str, key: &KeyRecord, generation: Option<u32>, call: Call) -> Result<()> {
    let (tenant, id) = (tenant.to_owned(), key.id.to_string());
    let mut actor = Actor { call, ..Actor::local(&tenant, "exposure") }.with_secret(generation);
    actor.key_id = Some(id.clone());
    app.write(&actor, async |tx| {
        let mut row = keys::find(tx.conn(), &tenant, &id).await?.ok_or(Error::NotFound)?;
        if row.exposed_at.is_some() {
            return Ok(Audited::many((), Vec::new()));
        }
        row.exposed_at = Some(tx.now);
        row.version += 1;
        keys::update(tx.conn(), &row).await?;
        let event = Event::new("key.exposed", "key", &id, &row.label).reason(Some("seen in a URL"));
        Ok(Audited::new((), event))
    })
    .await
}
