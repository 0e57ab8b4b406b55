//! Access tokens, whoever asks for them: what binds all of them, and ending them before their time (IMP-6,
//! OAU-10).

use std::sync::Arc;

use keyward_core::id::TokenId;
use keyward_core::jwt::LEEWAY_SECONDS;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::app::{Actor, App, Call, Tx};
use crate::audit::{Audited, Event};
use crate::error::{Error, Result};
use crate::store::{revoked_tokens, users};
use crate::trusted::subject;
use crate::trusted::wire::RevokeTokenIn;
use crate::verify::tokens::{Checked, Client, subject_of};
use crate::verify::trusted::Backend;

/// Validity in seconds unless asked otherwise (TS8).
pub(crate) const DEFAULT_TTL: i64 = 300;
/// Audiences of one token, at most.
pub(crate) const MAX_AUDIENCES: usize = 10;

/// What was ended.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RevokedOut {
    /// False for a token that was none, over, or another's: nothing had to be done.
    pub(crate) revoked: bool,
}

/// Which tokens to end; one of these.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct EndTokensIn {
    /// The token itself …
    pub(crate) token: Option<String>,
    /// … or every token of this user.
    pub(crate) user_id: Option<String>,
}

/// Ends tokens of the actor's tenant; those of a user only where the actor may do as much (AZ-6).
pub(crate) async fn revoke(app: &App, actor: &Actor, input: EndTokensIn) -> Result<RevokedOut> {
    match (input.token, input.user_id) {
        (Some(token), None) => {
            let checked = app.verifier.read_token(&token).await?;
            match checked.filter(|checked| checked.tenant.to_string() == actor.tenant_id) {
                Some(checked) => end(app, actor, &checked).await,
                None => Ok(RevokedOut { revoked: false }),
            }
        }
        (None, Some(id)) => {
            end_all(app, actor, async |tx| {
                let tenant = tx.tenant().to_owned();
                let row = users::find(tx.conn(), &tenant, &id).await?.ok_or(Error::NotFound)?;
                let held = crate::users::rights(&*tx.directory().await?, &row)?;
                tx.must_cover(&held, "above_caller", "the user may do more than you")?;
                Ok(id)
            })
            .await
        }
        _ => Err(Error::malformed("/token", "required", "give token or user_id")),
    }
}

/// Ends a token that the trusted secret asked for, or all of a user below its ceiling: of others it
/// learns nothing and changes nothing.
pub(crate) async fn revoke_by(
    app: &Arc<App>,
    backend: &Backend,
    input: RevokeTokenIn,
    call: Call,
) -> Result<RevokedOut> {
    let (app, backend) = (app.clone(), backend.clone());
    let control = app.control.clone();
    let work = async move {
        match (input.token, input.username) {
            (Some(token), None) => {
                let checked = app.verifier.read_token(&token).await?;
                match checked.filter(|checked| checked.client == Client::Trusted(backend.record.id)) {
                    Some(checked) => {
                        end(&app, &backend.ender(&checked.tenant.to_string(), call), &checked).await
                    }
                    None => Ok(RevokedOut { revoked: false }),
                }
            }
            (None, Some(name)) => {
                let tenant = subject::tenant(&app, &backend, input.tenant.as_deref()).await?;
                let user = subject::by_name(&app, tenant.id, &name).await?.ok_or(Error::NotFound)?;
                let ceiling = &backend.record.ceiling;
                ceiling.check_user(&tenant, &user)?;
                // All tokens end, also those for what this secret never could ask for (AZ-6).
                let live = tenant.rights_of(&user.grant);
                if ceiling.rights.as_ref().is_some_and(|most| !most.covers_all(&live)) {
                    let detail = "the user may do more than the ceiling of the trusted secret";
                    return Err(Error::forbidden("above_ceiling", detail));
                }
                let id = user.id.to_string();
                end_all(&app, &backend.ender(&tenant.id.to_string(), call), async |_| Ok(id)).await
            }
            _ => Err(Error::malformed("/token", "required", "give token or username")),
        }
    };
    control.spawn(work).await.map_err(Error::internal)?
}

impl Backend {
    /// The secret as an actor who may end tokens.
    fn ender(&self, tenant: &str, call: Call) -> Actor {
        let mut actor = self.actor(tenant, call);
        let right = "tokens:revoke".parse().expect("a constant right parses");
        actor.rights = Arc::new(std::iter::once(right).collect());
        actor
    }
}

/// Ends exactly the token that was presented: who holds it may end it, and nothing else by it (IMP-2).
pub(crate) async fn revoke_own(app: &App, actor: &Actor, token: &str) -> Result<RevokedOut> {
    let checked = app.verifier.read_token(token).await?;
    let own = |checked: &Arc<Checked>| {
        checked.tenant.to_string() == actor.tenant_id && checked.claims.sub == actor.principal.id
    };
    let Some(checked) = checked.filter(own) else { return Ok(RevokedOut { revoked: false }) };
    let right = "tokens:revoke".parse().expect("a constant right parses");
    let rights = Arc::new(std::iter::once(right).collect());
    // Without key and session nothing is looked up that would tell of other rights.
    let ender = Actor { rights, access_key: None, session: None, ..actor.clone() };
    end(app, &ender, &checked).await
}

/// Ends one token by its id.
pub(crate) async fn end(app: &App, actor: &Actor, checked: &Checked) -> Result<RevokedOut> {
    let (id, end): (TokenId, i64) = (checked.id, checked.claims.exp);
    if app.clock.unix_ms() >= end.saturating_add(LEEWAY_SECONDS).saturating_mul(1000) {
        return Ok(RevokedOut { revoked: false });
    }
    app.write(actor, async |tx| {
        tx.must_hold("tokens:revoke")?;
        let (tenant, now) = (tx.tenant().to_owned(), tx.now);
        let by = actor.principal.id.clone();
        let new = revoked_tokens::insert(tx.conn(), &tenant, &id.to_string(), end, now, &by).await?;
        if !new {
            return Ok(Audited::many(RevokedOut { revoked: true }, Vec::new()));
        }
        let claims = &checked.claims;
        let event = Event::new("token.revoke", "token", &claims.jti, "")
            .after(&serde_json::json!({ "sub": claims.sub, "client_id": claims.client_id }));
        let audited = Audited::new(RevokedOut { revoked: true }, event);
        Ok(audited.revokes_token(&tenant, &subject_of(id, end)))
    })
    .await
}

/// Ends every token of a user: those that come later are of another epoch.
async fn end_all(
    app: &App,
    actor: &Actor,
    who: impl AsyncFnOnce(&mut Tx<'_>) -> Result<String>,
) -> Result<RevokedOut> {
    app.write(actor, async |tx| {
        tx.must_hold("tokens:revoke")?;
        let id = who(tx).await?;
        let tenant = tx.tenant().to_owned();
        let mut row = users::find(tx.conn(), &tenant, &id).await?.ok_or(Error::NotFound)?;
        row.token_epoch += 1;
        row.version += 1;
        row.updated_at = tx.now;
        users::update(tx.conn(), &row).await?;
        let event = Event::new("user.revoke_tokens", "user", &id, &row.username)
            .after(&serde_json::json!({ "token_epoch": row.token_epoch }));
        Ok(Audited::new(RevokedOut { revoked: true }, event).touches_user(&tenant, &id))
    })
    .await
}
