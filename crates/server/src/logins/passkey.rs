//! Logging in with a passkey alone, and what a browser is asked for on the way (AUT-4, VER-1). Nobody
//! names a user: the passkey says whose it is, so that nobody learns who is there.

use std::sync::Arc;

use keyward_core::session::Method;
use passki::AuthenticationCredential;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::app::{Actor, App, Call};
use crate::audit::Audited;
use crate::error::{Error, Result};
use crate::factors::OptionsOut;
use crate::factors::passkeys::challenge::Purpose;
use crate::factors::passkeys::proof::{self as passkeys, Answer};
use crate::factors::passkeys::{login_options, own_options};
use crate::passwords::proof::{barred, user_actor};
use crate::sessions::{SessionOpened, own_session};
use crate::store::users;

/// A login with nothing but a passkey.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PasskeyLoginIn {
    /// `toJSON()` of what `navigator.credentials.get` gave.
    #[schema(value_type = Object)]
    pub(crate) passkey: AuthenticationCredential,
    /// Put the token into a cookie, for a browser.
    #[serde(default)]
    pub(crate) cookie: bool,
}

/// What a browser is asked for to log in: the same for everybody.
pub(crate) fn options(app: &App) -> Result<OptionsOut> {
    login_options(app)
}

/// What a browser is asked for to prove one's own passkey again.
pub(crate) async fn step_up_options(app: &App, actor: &Actor) -> Result<OptionsOut> {
    let session = own_session(actor)?;
    let user = actor.user_id().filter(|_| session.method.is_interactive());
    let whose = (actor.tenant_id.as_str(), user.ok_or_else(super::not_interactive)?);
    let alone = session.method == Method::Passkey;
    let mut conn = app.read().await?;
    let asked = own_options(app, &mut conn, whose, Purpose::StepUp(&session.id), alone).await?;
    asked.ok_or_else(|| Error::conflict("no_passkey", "add one under /v1/auth/factors/passkey first"))
}

/// Opens a session for who holds a passkey, and was verified by its device.
///
/// # Errors
/// 401 `invalid_passkey` whatever is wrong; 429 after failures.
pub(crate) async fn log_in(app: &App, call: Call, input: &PasskeyLoginIn) -> Result<SessionOpened> {
    crate::failures::must_not_flood(app, call.address)?;
    let gone = || Error::Unauthenticated("invalid_passkey");
    let Some(row) = passkeys::find(app, &input.passkey).await? else {
        return Err(passkeys::unknown(app, &call));
    };
    let user = users::find(&mut app.read().await?, &row.tenant_id, &row.user_id).await?.ok_or_else(gone)?;
    let actor = user_actor(&user, Arc::default(), call);
    let answer = Answer { credential: &input.passkey, purpose: Purpose::Login, alone: true };
    let proven = passkeys::prove(app, &actor, Some(row), answer).await?;
    let opened = app.write(&actor, async |tx| {
        let tenant = tx.tenant().to_owned();
        let user = users::find(tx.conn(), &tenant, &user.id).await?.ok_or_else(gone)?;
        if let Some(reason) = barred(app, &user, &*tx.directory().await?, Method::Passkey) {
            app.refusals.note(&actor, "auth.login", reason);
            return Err(gone());
        }
        proven.settle(tx).await?;
        let opened: Audited<_> =
            super::complete(app, tx, &user, (input.cookie, None), (Method::Passkey, None)).await?;
        Ok(opened)
    });
    opened.await.map(|opened| *opened)
}
