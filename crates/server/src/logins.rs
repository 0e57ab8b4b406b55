//! Logging in (SQ4, SQ5, VA2, VER-1 to VER-4): with user name and password, or with access key and
//! secret; and proving it again within a session (SES-6).

use keyward_core::session::Method;
use keyward_core::token::AccessKey;
use serde::Deserialize;
use utoipa::ToSchema;

use crate::app::{Actor, App, Call};
use crate::error::{Error, Result};
use crate::http::caller;
use crate::passwords::proof::{self, Claim};
use crate::passwords::{self, Password};
use crate::sessions::{self, Holder, SessionOpened, own_session};
use crate::store::{Conn, tenants, users};
use crate::verify::Presented;

/// A login.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct LoginIn {
    /// Slug or id of the tenant; the primary one unless given. A key knows its own.
    pub(crate) tenant: Option<String>,
    /// A user name, or an access key (`kwa_…`).
    pub(crate) username: String,
    /// The password of the user, or the secret of the key.
    #[schema(value_type = String)]
    pub(crate) password: Password,
    /// Put the token into a cookie, for a browser: never for a key.
    #[serde(default)]
    pub(crate) cookie: bool,
}

/// A proof within a session.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct StepUpIn {
    /// The password of the user, or the secret of the key that logged in.
    #[schema(value_type = String)]
    pub(crate) password: Password,
}

/// Opens a session for who proves to be a user or to hold a key.
///
/// # Errors
/// 401 `invalid_login` for everything that is wrong about name and password, 429 and
/// `login_locked` after failures, 503 when too many wait.
pub(crate) async fn log_in(app: &App, call: Call, input: &LoginIn) -> Result<SessionOpened> {
    match AccessKey::parse(input.username.trim()) {
        Some(_) if input.cookie => Err(not_interactive()),
        Some(_) => by_key(app, call, input).await,
        None => by_password(app, call, input).await,
    }
}

/// The same verifier as for any use of the key; the owner-login window is not fed (SQ4).
async fn by_key(app: &App, call: Call, input: &LoginIn) -> Result<SessionOpened> {
    let (access_key, secret) = (input.username.trim(), input.password.expose());
    let presented = match &input.tenant {
        None => Presented::Pair(access_key, secret),
        Some(tenant) => Presented::Triple(tenant, access_key, secret),
    };
    let identity = caller::identify_presented(app, presented, &call).await?;
    let generation = identity.generation.ok_or_else(|| Error::internal("a key without a secret"))?;
    let actor = identity.actor(call);
    let access_key = actor.access_key.ok_or_else(|| Error::internal("a login without a key"))?;
    app.write(&actor, async |tx| {
        let rights = tx.rights.clone();
        let holder = Holder {
            id: &actor.principal.id,
            method: Method::Key,
            in_cookie: false,
            origin: Some((access_key, generation)),
            rights: &rights,
        };
        sessions::open(app, tx, &holder).await
    })
    .await
}

async fn by_password(app: &App, call: Call, input: &LoginIn) -> Result<SessionOpened> {
    passwords::must_be_on(app)?;
    let tenant = find_tenant(&mut app.read().await?, input.tenant.as_deref()).await?;
    let claim = Claim { tenant: tenant.as_deref(), username: &input.username, password: &input.password };
    let proven = proof::prove(app, &call, &claim).await?;
    let actor = proven.actor(call);
    app.write(&actor, async |tx| {
        proven.settle(app, tx).await?;
        let (tenant, user) = (tx.tenant().to_owned(), proven.user.id.as_str());
        let now = tx.now;
        users::note_login(tx.conn(), &tenant, user, now).await?;
        let holder = Holder {
            id: user,
            method: Method::Password,
            in_cookie: input.cookie,
            origin: None,
            rights: &actor.rights,
        };
        let opened = sessions::open(app, tx, &holder).await?;
        Ok(opened.touches_user(&tenant, user))
    })
    .await
}

/// What a key can never do (SQ3).
pub(crate) fn not_interactive() -> Error {
    let code = "not_interactive";
    Error::forbidden(code, crate::http::problems::detail(code))
}

/// The id of the tenant that a login names.
async fn find_tenant(conn: &mut Conn, named: Option<&str>) -> Result<Option<String>> {
    let row = match named {
        None => tenants::find_primary(conn).await?,
        Some(named) => match tenants::find_by_slug(conn, named).await? {
            Some(row) => Some(row),
            None => tenants::find(conn, named).await?,
        },
    };
    Ok(row.map(|row| row.id))
}

/// Proves password or secret again, and changes the token of the session (SES-1, SES-6).
pub(crate) async fn step_up(app: &App, actor: &Actor, input: &StepUpIn) -> Result<SessionOpened> {
    let session = own_session(actor)?;
    match session.method {
        Method::Key => prove_key(app, actor, &input.password).await?,
        Method::Password => {
            let proven = proof::prove_again(app, actor, &input.password).await?;
            return app
                .write(actor, async |tx| {
                    proven.settle(app, tx).await?;
                    sessions::renew(app, tx, session).await
                })
                .await;
        }
    }
    app.write(actor, async |tx| sessions::renew(app, tx, session).await).await
}

/// The secret must be one of the key that the session came from.
async fn prove_key(app: &App, actor: &Actor, secret: &Password) -> Result<()> {
    let key = actor.access_key.ok_or(Error::NotFound)?.to_string();
    let presented = Presented::Pair(&key, secret.expose());
    caller::identify_presented(app, presented, &actor.call).await.map(drop)
}
