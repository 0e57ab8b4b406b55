//! Logging in (SQ4, SQ5, VA2, VER-1 to VER-4, AUT-4): with user name and password and then perhaps a
//! second factor, with a passkey alone, or with access key and secret; and proving it again within a session (SES-6).

pub(crate) mod challenge;
pub(crate) mod passkey;

use std::sync::Arc;

use keyward_core::session::Method;
use keyward_core::token::AccessKey;
use passki::AuthenticationCredential;
use serde::Deserialize;
use utoipa::ToSchema;

use self::challenge::Challenge;
use crate::app::{Actor, App, Call, Tx};
use crate::audit::Audited;
use crate::error::{Error, Result};
use crate::factors::passkeys::challenge::Purpose;
use crate::factors::passkeys::proof::Answer;
use crate::factors::proof as codes;
use crate::failures;
use crate::http::caller::{self, Identity};
use crate::passwords::proof::{self, Claim, Home};
use crate::passwords::{self, Password};
use crate::sessions::{self, Holder, SessionOpened, own_session};
use crate::store::users::UserRow;
use crate::store::{Conn, factors, tenants, users};
use crate::verify::Presented;

/// How the log tells of a login with user name and API key.
const API_KEY_LOGIN: &str = "API key login";

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
    /// Seconds until the session ends, used or not: for dialects, whose tokens tell their end.
    #[serde(skip)]
    pub(crate) lasts: Option<i64>,
}

/// The second half of a login.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct LoginFactorIn {
    /// What the first half answered with.
    #[schema(value_type = String)]
    pub(crate) challenge: Password,
    /// What the authenticator shows now, or a recovery code; or else `passkey`.
    #[schema(value_type = Option<String>)]
    pub(crate) code: Option<Password>,
    /// `toJSON()` of what `navigator.credentials.get` gave.
    #[schema(value_type = Option<Object>)]
    pub(crate) passkey: Option<AuthenticationCredential>,
    /// Put the token into a cookie, for a browser.
    #[serde(default)]
    pub(crate) cookie: bool,
}

/// A proof within a session: one of these.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct StepUpIn {
    /// The password of the user, or the secret of the key that logged in.
    #[schema(value_type = Option<String>)]
    pub(crate) password: Option<Password>,
    /// For a user who has a second factor: a code of it.
    #[schema(value_type = Option<String>)]
    pub(crate) code: Option<Password>,
    /// For a user who has a passkey: `toJSON()` of what `navigator.credentials.get` gave.
    #[schema(value_type = Option<Object>)]
    pub(crate) passkey: Option<AuthenticationCredential>,
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
    open_by_key(app, call, &identity, input.lasts).await
}

/// Opens a session for a key that was presented; `lasts` is its time in seconds, where one is stated.
pub(crate) async fn open_by_key(
    app: &App,
    call: Call,
    identity: &Identity,
    lasts: Option<i64>,
) -> Result<SessionOpened> {
    open_for_key(app, call, identity, lasts, |opened| opened).await
}

/// The same for a user who gave the own name with the key, as the log tells (VA8).
pub(crate) async fn open_by_api_key(app: &App, call: Call, identity: &Identity) -> Result<SessionOpened> {
    open_for_key(app, call, identity, None, told_as_api_key).await
}

/// `told` may change how the log tells of it.
async fn open_for_key(
    app: &App,
    call: Call,
    identity: &Identity,
    lasts: Option<i64>,
    told: fn(Audited<SessionOpened>) -> Audited<SessionOpened>,
) -> Result<SessionOpened> {
    let generation = identity.generation.ok_or_else(|| Error::internal("a key without a secret"))?;
    let actor = identity.actor(call);
    let access_key = actor.access_key.ok_or_else(|| Error::internal("a login without a key"))?;
    app.write(&actor, async |tx| {
        let rights = tx.rights.clone();
        let holder = Holder {
            id: &actor.principal.id,
            method: Method::Key,
            second_factor: None,
            in_cookie: false,
            origin: Some((access_key, generation)),
            rights: &rights,
            // No end is told that the key does not reach.
            lasts: lasts.map(|seconds| identity.within(seconds, tx.now)),
            proven_at: None,
        };
        Ok(told(sessions::open(app, tx, &holder).await?))
    })
    .await
}

/// The event of a session says that it began with user name and API key.
fn told_as_api_key(mut opened: Audited<SessionOpened>) -> Audited<SessionOpened> {
    for event in &mut opened.events {
        if let Some(session) = event.after.as_mut().and_then(serde_json::Value::as_object_mut) {
            session.insert("method".into(), "api_key".into());
        }
        event.reason = Some(match event.reason.take() {
            None => API_KEY_LOGIN.to_owned(),
            Some(more) => format!("{API_KEY_LOGIN}; {more}"),
        });
    }
    opened
}

async fn by_password(app: &App, call: Call, input: &LoginIn) -> Result<SessionOpened> {
    passwords::must_be_on(app)?;
    let home = find_home(&mut app.read().await?, input.tenant.as_deref()).await?;
    let (username, password) = (input.username.as_str(), &input.password);
    let claim = Claim { home: &home, within: None, username, password };
    let proven = proof::prove(app, &call, &claim).await?;
    let actor = proven.actor(call);
    let begun = app
        .write(&actor, async |tx| {
            proven.settle(app, tx).await?;
            if let Some(made) = challenge::make(app, tx, &proven.user).await? {
                return Ok(made.map(Begun::Challenge));
            }
            let how = (Method::Password, None);
            Ok(complete(app, tx, &proven.user, (input.cookie, input.lasts), how).await?.map(Begun::Session))
        })
        .await?;
    match begun {
        Begun::Session(opened) => Ok(*opened),
        Begun::Challenge(challenge) => Err(Error::SecondFactor(Box::new(challenge))),
    }
}

/// What a right password gives.
enum Begun {
    Session(Box<SessionOpened>),
    Challenge(Challenge),
}

/// Notes the login, and opens the session.
async fn complete(
    app: &App,
    tx: &mut Tx<'_>,
    user: &UserRow,
    (in_cookie, lasts): (bool, Option<i64>),
    (method, second_factor): (Method, Option<&'static str>),
) -> Result<Audited<Box<SessionOpened>>> {
    let (tenant, now) = (tx.tenant().to_owned(), tx.now);
    users::note_login(tx.conn(), &tenant, &user.id, now).await?;
    let rights = crate::users::rights(&*tx.directory().await?, user)?;
    let holder = Holder {
        id: &user.id,
        method,
        second_factor,
        in_cookie,
        origin: None,
        rights: &rights,
        lasts,
        proven_at: None,
    };
    let opened = sessions::open(app, tx, &holder).await?;
    Ok(opened.map(Box::new).touches_user(&tenant, &user.id))
}

/// Opens the session of a login whose password was right, by a code of a second factor or by a passkey.
///
/// # Errors
/// 401 `invalid_challenge`, `invalid_code` or `invalid_passkey`; else as [`codes::prove`].
pub(crate) async fn give_factor(app: &App, call: Call, input: &LoginFactorIn) -> Result<SessionOpened> {
    passwords::must_be_on(app)?;
    let gone = || Error::Unauthenticated("invalid_challenge");
    let Some((challenge, user)) = challenge::find(app, input.challenge.expose()).await? else {
        let wait = failures::note(app, None, "login_challenge", call.address);
        return Err(wait.map_or_else(gone, Error::RateLimited));
    };
    let actor = proof::user_actor(&user, Arc::default(), call);
    let purpose = Purpose::Factor(&challenge.id);
    let proven = prove(app, &actor, (input.code.as_ref(), input.passkey.as_ref()), (purpose, false)).await?;
    let opened = app.write(&actor, async |tx| {
        let (tenant, now) = (tx.tenant().to_owned(), tx.now);
        let user = users::find(tx.conn(), &tenant, &user.id).await?.ok_or_else(gone)?;
        let barred = proof::barred(app, &user, &*tx.directory().await?, Method::Password).is_some();
        if barred || !factors::use_challenge(tx.conn(), &tenant, &challenge.id, now).await? {
            return Err(gone());
        }
        let events = proven.settle(tx).await?;
        let opened =
            complete(app, tx, &user, (input.cookie, None), (Method::Password, Some(proven.kind))).await?;
        Ok(events.into_iter().fold(opened, Audited::also))
    });
    opened.await.map(|opened| *opened)
}

/// Checks the one of the two that was given.
async fn prove(
    app: &App,
    actor: &Actor,
    given: (Option<&Password>, Option<&AuthenticationCredential>),
    (purpose, alone): (Purpose<'_>, bool),
) -> Result<codes::Proven> {
    match given {
        (Some(code), None) => codes::prove(app, actor, code).await,
        (None, Some(credential)) => {
            codes::prove_passkey(app, actor, Answer { credential, purpose, alone }).await
        }
        _ => Err(Error::malformed("/code", "required", "give either a code or a passkey")),
    }
}

/// What a key can never do (SQ3).
pub(crate) fn not_interactive() -> Error {
    let code = "not_interactive";
    Error::forbidden(code, crate::http::problems::detail(code))
}

/// The tenant that a login names. A name that no tenant has costs as many reads as any other, here
/// and later on: the primary tenant is looked through in its place (VER-1).
async fn find_home(conn: &mut Conn, named: Option<&str>) -> Result<Home> {
    let primary = tenants::find_primary(conn).await?;
    let found = match named {
        None => primary.clone(),
        Some(named) => {
            let by_slug = tenants::find_by_slug(conn, named).await?;
            let by_id = tenants::find(conn, named).await?;
            by_slug.or(by_id)
        }
    };
    let is_unknown = found.is_none();
    Ok(Home { tenant: found.or(primary).map(|row| row.id).unwrap_or_default(), is_unknown })
}

/// Proves password, secret or second factor again, and changes the token of the session (SES-1, SES-6).
pub(crate) async fn step_up(app: &App, actor: &Actor, input: &StepUpIn) -> Result<SessionOpened> {
    let session = own_session(actor)?;
    if session.method.is_interactive() && has_factor(app, actor).await? {
        return step_up_by_factor(app, actor, input).await;
    }
    let missing = || Error::invalid("/password", "required", "there is no second factor: give the password");
    let password = input.password.as_ref().ok_or_else(missing)?;
    if session.method == Method::Key {
        prove_key(app, actor, password).await?;
        return app.write(actor, async |tx| sessions::renew(app, tx, session, None).await).await;
    }
    let proven = proof::prove_again(app, actor, password).await?;
    app.write(actor, async |tx| {
        proven.settle(app, tx).await?;
        sessions::renew(app, tx, session, None).await
    })
    .await
}

async fn has_factor(app: &App, actor: &Actor) -> Result<bool> {
    let mut conn = app.read().await?;
    Ok(!factors::confirmed(&mut conn, &actor.tenant_id, &actor.principal.id).await?.is_empty())
}

/// Who has a second factor proves it by that: whoever knows the password alone gets no further.
async fn step_up_by_factor(app: &App, actor: &Actor, input: &StepUpIn) -> Result<SessionOpened> {
    let session = own_session(actor)?;
    if input.code.is_none() && input.passkey.is_none() {
        return Err(Error::Unauthenticated("second_factor_required"));
    }
    // A session that no password began has nothing else to stand on.
    let how = (Purpose::StepUp(&session.id), session.method == Method::Passkey);
    let proven = prove(app, actor, (input.code.as_ref(), input.passkey.as_ref()), how).await?;
    app.write(actor, async |tx| {
        let events = proven.settle(tx).await?;
        let renewed = sessions::renew(app, tx, session, Some(proven.kind)).await?;
        Ok(events.into_iter().fold(renewed, Audited::also))
    })
    .await
}

/// The secret must be one of the key that the session came from.
async fn prove_key(app: &App, actor: &Actor, secret: &Password) -> Result<()> {
    let key = actor.access_key.ok_or(Error::NotFound)?.to_string();
    let presented = Presented::Pair(&key, secret.expose());
    caller::identify_presented(app, presented, &actor.call).await.map(drop)
}
