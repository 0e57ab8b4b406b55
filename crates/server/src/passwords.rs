//! Passwords of local users (STO-4, STO-5, AUT-1, AUT-2, AUT-7): changing one's own, and unlocking. What sets
//! a first one, or another, stands in `passwords/links.rs`.

pub(crate) mod links;
pub(crate) mod proof;
pub(crate) mod rules;

use serde::Deserialize;
use utoipa::ToSchema;
use zeroize::Zeroizing;

use crate::app::{Actor, App, Tx};
use crate::attempts::{self, Name};
use crate::audit::{Audited, Event};
use crate::error::{Error, Result};
use crate::factors::proof as proof_of_factors;
use crate::hashers::Hash;
use crate::logins::not_interactive;
use crate::seal::{self, Place};
use crate::sessions::{self, SessionOpened, own_session};
use crate::store::users::UserRow;
use crate::store::{Conn, passwords};
use crate::users::UserOut;

/// A word that a guesser tries first.
const PRODUCT: &str = "keyward";

/// A password or secret as it was sent; it cannot be printed, and is wiped when dropped.
pub(crate) struct Password(Zeroizing<String>);

impl<'de> Deserialize<'de> for Password {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|text| Self(Zeroizing::new(text)))
    }
}

impl Password {
    /// Nothing, for a field that was left empty.
    pub(crate) fn empty() -> Self {
        Self(Zeroizing::default())
    }

    /// The text, for hashing alone.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

/// A change of one's own password.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ChangeIn {
    /// The present one.
    #[schema(value_type = String)]
    pub(crate) old_password: Password,
    /// 15 characters or more; any characters, none prescribed.
    #[schema(value_type = String)]
    pub(crate) new_password: Password,
}

/// Refuses where this instance has no password login (VA2).
pub(crate) fn must_be_on(app: &App) -> Result<()> {
    if app.settings.login.passwords {
        return Ok(());
    }
    let code = "password_login_off";
    Err(Error::forbidden(code, crate::http::problems::detail(code)))
}

/// Where the hash of a user's password stands.
fn place_of<'a>(tenant: &'a str, user: &'a str) -> Place<'a> {
    Place { scope: tenant, column: "passwords.sealed", row: user }
}

/// Seals and keeps a hash.
async fn keep(app: &App, tx: &mut Tx<'_>, user: &str, hash: &Hash) -> Result<()> {
    let (tenant, now) = (tx.tenant().to_owned(), tx.now);
    store(app, tx.conn(), (&tenant, user), hash, now).await
}

/// The same without an audited change around it: for whoever has one of another kind.
pub(crate) async fn store(
    app: &App,
    conn: &mut Conn,
    (tenant, user): (&str, &str),
    hash: &Hash,
    now: i64,
) -> Result<()> {
    let text = Zeroizing::new(hash.to_string());
    let sealed = seal::seal(&app.root_key, conn, place_of(tenant, user), text.as_bytes(), now).await?;
    passwords::put(conn, tenant, user, &sealed, now).await
}

/// Changes the caller's password. Every other session of the user ends, this one gets another token.
pub(crate) async fn change(app: &App, actor: &Actor, input: &ChangeIn) -> Result<SessionOpened> {
    let session = own_session(actor)?;
    if !session.method.is_interactive() {
        return Err(not_interactive());
    }
    must_be_on(app)?;
    let new = checked(app, actor, "/new_password", &input.new_password).await?;
    let proven = proof::prove_again(app, actor, &input.old_password).await?;
    let hash = app.hashers.hash(&app.hashers.place(actor.call.address)?, &new).await?;
    app.write(actor, async |tx| {
        proven.settle(app, tx).await?;
        let user = proven.user.id.as_str();
        forget_failures(app, tx.conn(), &proven.user).await?;
        let ended = replace(app, tx, user, &hash, Some(&session.id)).await?;
        let event = Event::new("user.change_password", "user", user, &proven.user.username)
            .after(&serde_json::json!({ "sessions_ended": ended.len() }));
        let opened = sessions::renew(app, tx, session, None).await?;
        let events = [vec![event], opened.events].concat();
        Ok(Audited { events, ..opened }.touches_sessions(&proven.user.tenant_id, &ended))
    })
    .await
}

/// The new password in normal form, if it is good enough for this user.
async fn checked(app: &App, actor: &Actor, pointer: &str, new: &Password) -> Result<Zeroizing<String>> {
    let mut conn = app.read().await?;
    let tenant = crate::store::tenants::find(&mut conn, &actor.tenant_id).await?.ok_or(Error::NotFound)?;
    let words = [PRODUCT, &tenant.slug, &tenant.name, &actor.principal.label];
    rules::check(pointer, new.expose(), &words)
}

/// Keeps a new password, voids links, and ends the user's sessions but one; returns their handles.
async fn replace(
    app: &App,
    tx: &mut Tx<'_>,
    user: &str,
    hash: &Hash,
    but: Option<&str>,
) -> Result<Vec<String>> {
    keep(app, tx, user, hash).await?;
    let tenant = tx.tenant().to_owned();
    passwords::forget_links(tx.conn(), &tenant, user).await?;
    sessions::end_all(tx, user, but).await
}

/// Forgets the failed passwords of a user, at logins and within sessions; false when there were none.
async fn forget_failures(app: &App, conn: &mut Conn, user: &UserRow) -> Result<bool> {
    let name = Name::of(app, &user.tenant_id, &user.username);
    let at_logins = attempts::clear(conn, &name).await?;
    Ok(attempts::clear(conn, &name.within_sessions(app, &user.id)).await? | at_logins)
}

/// Forgets the failed logins of a user (VER-4).
pub(crate) async fn unlock(app: &App, actor: &Actor, id: &str) -> Result<UserOut> {
    app.write(actor, async |tx| {
        tx.must_hold("users:write")?;
        let (user, directory) = crate::users::find_to_change(tx, id).await?;
        let event = Event::new("user.unlock", "user", id, &user.username);
        let cleared = forget_failures(app, tx.conn(), &user).await?
            | proof_of_factors::forget_failures(app, tx.conn(), &user.tenant_id, &user.id).await?;
        let events = if cleared { vec![event] } else { Vec::new() };
        Ok(Audited::many(crate::users::render(&directory, user, tx.now)?, events))
    })
    .await
}
