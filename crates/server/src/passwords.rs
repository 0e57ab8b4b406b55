//! Passwords of local users (STO-4, STO-5, AUT-1, AUT-2, AUT-5, AUT-7, VER-7): changing one's own, and
//! links that set one. Nobody but the user ever chooses or sees it.

pub(crate) mod proof;
pub(crate) mod rules;

use std::sync::Arc;

use keyward_core::right::RightSet;
use keyward_core::session::Method;
use keyward_core::token;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use zeroize::Zeroizing;

use self::proof::user_actor;
use crate::app::{Actor, App, Call, Tx};
use crate::attempts::{self, Name};
use crate::audit::{Audited, Event};
use crate::clock::rfc3339;
use crate::error::{Error, Result};
use crate::factors::proof as proof_of_factors;
use crate::hashers::Hash;
use crate::http::failures;
use crate::logins::not_interactive;
use crate::marks;
use crate::seal::{self, Place};
use crate::sessions::{self, SessionOpened, own_session};
use crate::store::keys;
use crate::store::passwords::{self, LinkRow};
use crate::store::users::{self, UserRow};
use crate::users::UserOut;
use crate::verify::facts;

/// A link lives an hour (AUT-5).
const LINK_MS: i64 = 3_600_000;
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

/// A link is redeemed.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RedeemIn {
    /// What the administrator handed over.
    #[schema(value_type = String)]
    pub(crate) token: Password,
    /// 15 characters or more; any characters, none prescribed.
    #[schema(value_type = String)]
    pub(crate) password: Password,
}

/// A link that sets a password once.
#[derive(Serialize, ToSchema)]
pub(crate) struct LinkOut {
    /// Works once, and shows once.
    pub(crate) token: Option<String>,
    /// `shown_once`, or `delivered` in a replay.
    pub(crate) secret_state: &'static str,
    /// `invitation` where the user had no password, else `reset`.
    pub(crate) kind: &'static str,
    pub(crate) user_id: String,
    pub(crate) username: String,
    pub(crate) expires_at: String,
    /// Where token and new password are sent to, as the configuration has it.
    pub(crate) redeem_url: String,
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
    let text = Zeroizing::new(hash.to_string());
    let sealed = seal::seal(&app.root_key, tx.conn(), place_of(&tenant, user), text.as_bytes(), now).await?;
    passwords::put(tx.conn(), &tenant, user, &sealed, now).await
}

/// Changes the caller's password. Every other session of the user ends, this one gets another token.
pub(crate) async fn change(app: &App, actor: &Actor, input: &ChangeIn) -> Result<SessionOpened> {
    let session = own_session(actor)?;
    if session.method != Method::Password {
        return Err(not_interactive());
    }
    must_be_on(app)?;
    let new = checked(app, actor, "/new_password", &input.new_password).await?;
    let proven = proof::prove_again(app, actor, &input.old_password).await?;
    let hash = app.hashers.hash(&app.hashers.place(actor.call.address)?, &new).await?;
    app.write(actor, async |tx| {
        proven.settle(app, tx).await?;
        let user = proven.user.id.as_str();
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

/// Makes a link by which the user sets a password; earlier ones are void.
pub(crate) async fn start_reset(app: &App, actor: &Actor, id: &str) -> Result<LinkOut> {
    must_be_on(app)?;
    app.write(actor, async |tx| {
        tx.must_hold("users:write")?;
        let (user, _) = crate::users::find_to_change(tx, id).await?;
        tx.must_be_fresh()?;
        make_link(app, tx, &user).await
    })
    .await
}

/// The same from the machine itself, when nobody is left who could ask.
pub(crate) async fn recover(app: &App, username: &str) -> Result<LinkOut> {
    must_be_on(app)?;
    let mut conn = app.read().await?;
    let primary = crate::store::tenants::find_primary(&mut conn).await?.ok_or(Error::NotSetUp)?;
    let key = crate::names::Username::parse_any(username)?.key;
    let user = users::find_by_name(&mut conn, &primary.id, &key).await?.ok_or(Error::NotFound)?;
    drop(conn);
    let actor = Actor::local(&primary.id, "recover");
    app.write(&actor, async |tx| make_link(app, tx, &user).await).await
}

async fn make_link(app: &App, tx: &mut Tx<'_>, user: &UserRow) -> Result<Audited<LinkOut>> {
    if user.origin != "local" {
        return Err(Error::conflict("not_local", "the user logs in elsewhere and has no password here"));
    }
    let (tenant, now) = (tx.tenant().to_owned(), tx.now);
    let kind = match passwords::find(tx.conn(), &tenant, &user.id).await? {
        Some(_) => "reset",
        None => "invitation",
    };
    passwords::forget_links(tx.conn(), &tenant, &user.id).await?;
    let (token, id) = marks::generate(&app.root_key, token::LINK_PREFIX);
    let (pepper_id, hash) = sessions::hash(app, &token);
    let rights = rights_of(tx, user).await?;
    let row = LinkRow {
        tenant_id: tenant,
        id: id.digits().into(),
        user_id: user.id.clone(),
        kind: kind.into(),
        pepper_id,
        hash,
        created_at: now,
        created_by: tx.actor.principal.id.clone(),
        rights: serde_json::to_string(&rights).map_err(Error::internal)?,
        expires_at: now + LINK_MS,
        used_at: None,
    };
    passwords::insert_link(tx.conn(), &row).await?;
    let expires_at = rfc3339(row.expires_at);
    let event = Event::new("user.password_link", "user", &user.id, &user.username)
        .after(&serde_json::json!({ "kind": kind, "expires_at": expires_at }));
    let made = !tx.actor.validate_only;
    let link = LinkOut {
        token: made.then(|| token.expose().into()),
        secret_state: if made { "shown_once" } else { "not_made" },
        kind,
        user_id: user.id.clone(),
        username: user.username.clone(),
        expires_at,
        redeem_url: format!("{}/v1/auth/password-reset", app.settings.server.base_url()),
    };
    Ok(Audited::new(link, event))
}

/// Sets a password by a link, once. Nobody is logged in by it, and every session of the user ends.
pub(crate) async fn redeem(app: &App, call: Call, input: &RedeemIn) -> Result<()> {
    must_be_on(app)?;
    let refused = || {
        let wait = failures::note(app, None, "password_link", call.address);
        wait.map_or(Error::Unauthenticated("invalid_link"), Error::RateLimited)
    };
    let (link, user) = find_link(app, input.token.expose()).await?.ok_or_else(refused)?;
    let actor = user_actor(&user, Arc::default(), call.clone());
    let new = checked(app, &actor, "/password", &input.password).await?;
    let hash = app.hashers.hash(&app.hashers.place(call.address)?, &new).await?;
    let name = Name::of(app, &user.tenant_id, &user.username);
    app.write(&actor, async |tx| {
        let now = tx.now;
        if !still_stands(tx, &link).await?
            || !passwords::use_link(tx.conn(), &user.tenant_id, &link.id, now).await?
        {
            return Err(refused());
        }
        attempts::clear(tx.conn(), &name).await?;
        let ended = replace(app, tx, &user.id, &hash, None).await?;
        let event = Event::new("user.set_password", "user", &user.id, &user.username)
            .after(&serde_json::json!({ "kind": link.kind, "sessions_ended": ended.len() }));
        Ok(Audited::new((), event).touches_sessions(&user.tenant_id, &ended))
    })
    .await
}

/// What a user may do now.
async fn rights_of(tx: &mut Tx<'_>, user: &UserRow) -> Result<RightSet> {
    let grant = facts::grant(user.role_ids.as_deref(), user.group_ids.as_deref())?;
    Ok(tx.directory().await?.rights_of(&grant))
}

/// Whether the link may still be used: whoever made it is still there, and the user may do no more than
/// its maker saw (AZ-6). Makers from other tenants are operators.
async fn still_stands(tx: &mut Tx<'_>, link: &LinkRow) -> Result<bool> {
    let user = users::find(tx.conn(), &link.tenant_id, &link.user_id).await?;
    let Some(user) = user.filter(may_have_one) else { return Ok(false) };
    let seen: RightSet = serde_json::from_str(&link.rights).map_err(Error::internal)?;
    if !seen.covers_all(&rights_of(tx, &user).await?) {
        return Ok(false);
    }
    let (tenant, maker) = (&link.tenant_id, &link.created_by);
    if let Some(maker) = users::load(tx.conn(), tenant, maker).await? {
        return Ok(maker.deleted_at.is_none() && maker.suspended_at.is_none());
    }
    let key = keys::find(tx.conn(), tenant, maker).await?;
    Ok(key.is_none_or(|key| key.switch == "on"))
}

/// The link of a token that still works, and whose it is.
async fn find_link(app: &App, token: &str) -> Result<Option<(LinkRow, UserRow)>> {
    let token = token.trim();
    let Some(id) = token::parse_other(token, token::LINK_PREFIX) else { return Ok(None) };
    if !marks::is_ours(&app.root_key, token::LINK_PREFIX, id, token) {
        return Ok(None);
    }
    let mut conn = app.read().await?;
    let Some(link) = passwords::find_link(&mut conn, id.digits()).await? else { return Ok(None) };
    let fits = sessions::matches(app, token, link.pepper_id, &link.hash);
    if !fits || link.used_at.is_some() || link.expires_at <= app.clock.unix_ms() {
        return Ok(None);
    }
    let user = users::find(&mut conn, &link.tenant_id, &link.user_id).await?;
    Ok(user.filter(may_have_one).map(|user| (link, user)))
}

fn may_have_one(user: &UserRow) -> bool {
    user.suspended_at.is_none() && user.origin == "local"
}

/// Forgets the failed logins of a user (VER-4).
pub(crate) async fn unlock(app: &App, actor: &Actor, id: &str) -> Result<UserOut> {
    app.write(actor, async |tx| {
        tx.must_hold("users:write")?;
        let (user, directory) = crate::users::find_to_change(tx, id).await?;
        let name = Name::of(app, &user.tenant_id, &user.username);
        let event = Event::new("user.unlock", "user", id, &user.username);
        let cleared = attempts::clear(tx.conn(), &name).await?
            | proof_of_factors::forget_failures(app, tx.conn(), &user.tenant_id, &user.id).await?;
        let events = if cleared { vec![event] } else { Vec::new() };
        Ok(Audited::many(crate::users::render(&directory, user)?, events))
    })
    .await
}
