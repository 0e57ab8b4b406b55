//! Links that set a password once: an invitation, or a reset (AUT-5, AUT-6, VER-7). Nobody but the user ever
//! chooses or sees the password, and nobody is logged in by a link.

use std::sync::Arc;

use keyward_core::right::RightSet;
use keyward_core::token;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::proof::user_actor;
use super::{Password, checked, forget_failures, must_be_on, replace};
use crate::app::{Actor, App, Call, Tx};
use crate::audit::{Audited, Event};
use crate::clock::rfc3339;
use crate::error::{Error, Result};
use crate::failures;
use crate::marks;
use crate::sessions;
use crate::store::keys;
use crate::store::passwords::{self, LinkRow};
use crate::store::users::{self, UserRow};

/// A link lives an hour (AUT-5).
const LINK_MS: i64 = 3_600_000;

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
    /// The page where the user sets the password, as the configuration has it; it takes the token behind `#`.
    pub(crate) redeem_url: String,
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
    let rights = crate::users::rights(&*tx.directory().await?, user)?;
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
        redeem_url: format!("{}/console/password", app.settings.server.base_url()),
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
    app.write(&actor, async |tx| {
        let now = tx.now;
        if !still_stands(tx, &link).await?
            || !passwords::use_link(tx.conn(), &user.tenant_id, &link.id, now).await?
        {
            return Err(refused());
        }
        forget_failures(app, tx.conn(), &user).await?;
        let ended = replace(app, tx, &user.id, &hash, None).await?;
        let event = Event::new("user.set_password", "user", &user.id, &user.username)
            .after(&serde_json::json!({ "kind": link.kind, "sessions_ended": ended.len() }));
        Ok(Audited::new((), event).touches_sessions(&user.tenant_id, &ended))
    })
    .await
}

/// Whether the link may still be used: whoever made it is still there, and the user may do no more than
/// its maker saw (AZ-6). Makers from other tenants are operators.
async fn still_stands(tx: &mut Tx<'_>, link: &LinkRow) -> Result<bool> {
    let user = users::find(tx.conn(), &link.tenant_id, &link.user_id).await?;
    let Some(user) = user.filter(may_have_one) else { return Ok(false) };
    let seen: RightSet = serde_json::from_str(&link.rights).map_err(Error::internal)?;
    if !seen.covers_all(&crate::users::rights(&*tx.directory().await?, &user)?) {
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
    let Some(link) = find_row(app, token).await? else { return Ok(None) };
    let user = users::find(&mut app.read().await?, &link.tenant_id, &link.user_id).await?;
    Ok(user.filter(may_have_one).map(|user| (link, user)))
}

/// The link of a token whose time is not over.
async fn find_row(app: &App, token: &str) -> Result<Option<LinkRow>> {
    let token = token.trim();
    let Some(id) = token::parse_other(token, token::LINK_PREFIX) else { return Ok(None) };
    if !marks::is_ours(&app.root_key, token::LINK_PREFIX, id, token) {
        return Ok(None);
    }
    let mut conn = app.read().await?;
    let Some(link) = passwords::find_link(&mut conn, id.digits()).await? else { return Ok(None) };
    let fits = sessions::matches(app, token, link.pepper_id, &link.hash);
    Ok(Some(link).filter(|link| fits && link.expires_at > app.clock.unix_ms()))
}

/// Voids a link whose token was seen in a URL, where proxies and histories keep it (KEY-12).
pub(crate) async fn void_exposed(app: &App, token: &str, call: Call) -> Result<()> {
    let Some(link) = find_row(app, token).await? else { return Ok(()) };
    let tenant = link.tenant_id.as_str();
    let actor = Actor { call, ..Actor::local(tenant, "exposure") };
    app.write(&actor, async |tx| {
        let now = tx.now;
        if !passwords::use_link(tx.conn(), tenant, &link.id, now).await? {
            return Ok(Audited::many((), Vec::new()));
        }
        let user = users::find(tx.conn(), tenant, &link.user_id).await?;
        let label = user.map(|user| user.username).unwrap_or_default();
        let event = Event::new("user.void_password_link", "user", &link.user_id, &label);
        Ok(Audited::new((), event.reason(Some("seen in a URL"))))
    })
    .await
}

fn may_have_one(user: &UserRow) -> bool {
    user.suspended_at.is_none() && user.origin == "local"
}
