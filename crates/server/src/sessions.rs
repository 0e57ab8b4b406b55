//! Sessions: opening, listing and ending them (SES-1, SES-4, SES-5).

pub(crate) mod lists;

use keyward_core::decide::Request;
use keyward_core::policy::LoginPolicy;
use keyward_core::right::RightSet;
use keyward_core::secret::{Secret, SecretHash};
use keyward_core::session::Method;
use keyward_core::token::{self, AccessKey};
use serde::Serialize;
use utoipa::ToSchema;

use crate::app::{Actor, App, Call, SessionRef, Tx};
use crate::audit::{Audited, Event};
use crate::clock::rfc3339;
use crate::error::{Error, Result};
use crate::marks;
use crate::random;
use crate::store::sessions::{self, SessionRow, Whose};
use crate::store::{factors, users};
use crate::verify::facts::{TenantRecord, administers};
use crate::verify::recognise::Recognised;
use crate::verify::usage::Sighting;
use crate::verify::{Ask, Presented};

/// A session.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct SessionOut {
    pub(crate) id: String,
    /// `password`, `passkey` or `key`.
    pub(crate) method: String,
    /// What was given beside: `totp`, `recovery_code`, `passkey`.
    pub(crate) second_factor: Option<String>,
    /// The tenant asks for a second factor, and this session has none: it may add one, and nothing else.
    pub(crate) enrolment_only: bool,
    /// The key that logged in, if it was one.
    pub(crate) access_key: Option<String>,
    /// Whether it lives in the cookie of a browser.
    pub(crate) in_cookie: bool,
    /// Whether it is the one that asks.
    pub(crate) current: bool,
    pub(crate) started_at: String,
    /// The last proof of password or secret.
    pub(crate) stepped_up_at: String,
    pub(crate) last_seen_at: String,
    /// When it ends without further use.
    pub(crate) idle_at: String,
    /// When it ends at the latest.
    pub(crate) expires_at: String,
    /// Where the login came from.
    pub(crate) address: Option<String>,
    pub(crate) agent: Option<String>,
}

/// A session with its token, which is shown once.
#[derive(Serialize, ToSchema)]
pub(crate) struct SessionOpened {
    /// To be sent as `Authorization: Bearer`; `null` where it went into a cookie.
    pub(crate) token: Option<String>,
    /// `shown_once`, `in_cookie`, or `delivered` in a replay.
    pub(crate) secret_state: &'static str,
    pub(crate) session: SessionOut,
    pub(crate) tenant_id: String,
    /// The user; `null` where a workspace key logged in.
    pub(crate) user_id: Option<String>,
    /// What the session may do now.
    pub(crate) rights: Vec<String>,
}

/// Who a session is opened for.
pub(crate) struct Holder<'a> {
    /// A user, or a workspace key.
    pub(crate) id: &'a str,
    pub(crate) method: Method,
    pub(crate) second_factor: Option<&'a str>,
    pub(crate) in_cookie: bool,
    /// The key that logged in, and which of its secrets.
    pub(crate) origin: Option<(AccessKey, u32)>,
    pub(crate) rights: &'a RightSet,
    /// Seconds until it ends, used or not; as the policy has it if none.
    pub(crate) lasts: Option<i64>,
    /// The last proof of password or secret, where that is not what opens it.
    pub(crate) proven_at: Option<i64>,
}

/// Opens a session; the oldest of the holder end where there are too many.
pub(crate) async fn open(app: &App, tx: &mut Tx<'_>, holder: &Holder<'_>) -> Result<Audited<SessionOpened>> {
    let (token, handle) = marks::generate(&app.root_key, token::SESSION_PREFIX);
    let (pepper_id, hash) = hash(app, &token);
    let call = &tx.actor.call;
    let row = SessionRow {
        tenant_id: tx.tenant().into(),
        id: random::new_id::<keyward_core::id::Session>(tx.now).to_string(),
        handle: handle.digits().into(),
        pepper_id,
        hash,
        holder_id: holder.id.into(),
        method: holder.method.as_str().into(),
        second_factor: holder.second_factor.map(Into::into),
        in_cookie: holder.in_cookie,
        access_key: holder.origin.map(|(key, _)| key.digits().into()),
        generation: holder.origin.map(|(_, generation)| i64::from(generation)),
        started_at: tx.now,
        stepped_up_at: holder.proven_at.unwrap_or(tx.now),
        last_seen_at: tx.now,
        ends_at: holder.lasts.map(|seconds| tx.now.saturating_add(seconds.saturating_mul(1000))),
        address: call.address.map(|address| address.to_string()),
        agent: call.agent.clone(),
        ended_at: None,
    };
    sessions::insert(tx.conn(), &row).await?;
    let most = i64::from(app.settings.login.max_sessions);
    let (tenant, now) = (row.tenant_id.clone(), tx.now);
    // Logins of a key never end those of its owner, nor those of another key.
    let ended = sessions::end_beyond(tx.conn(), &row, most, now).await?;
    let directory = tx.directory().await?;
    let opened = opened(&directory, &row, &token, holder.rights);
    let event =
        Event::new("session.start", "session", &row.id, &tx.actor.principal.label).after(&opened.session);
    let crowded = (!ended.is_empty()).then(|| format!("{} of too many sessions ended", ended.len()));
    let event = event.reason(crowded.as_deref());
    Ok(Audited::new(opened, event).touches_sessions(&tenant, &ended))
}

/// Opens another session beside the one that asks: as good as that, no fresher, and with no later end. `lasts`
/// reaches no further than the key behind it, if there is one.
pub(crate) async fn open_another(app: &App, actor: &Actor, lasts: i64) -> Result<SessionOpened> {
    let session = own_session(actor)?;
    app.write(actor, async |tx| {
        let (tenant, now, rights) = (tx.tenant().to_owned(), tx.now, tx.rights.clone());
        let row = sessions::find(tx.conn(), &tenant, &session.id).await?.ok_or(Error::NotFound)?;
        let rules = tx.directory().await?.tenant.policy.login;
        let (_, end) = rules.ends(administers(&rights), (row.started_at, row.last_seen_at), row.ends_at);
        let origin = row.access_key.as_deref().and_then(AccessKey::from_digits);
        let generation = row.generation.and_then(|number| u32::try_from(number).ok());
        let holder = Holder {
            id: &row.holder_id,
            method: session.method,
            second_factor: row.second_factor.as_deref(),
            in_cookie: false,
            origin: origin.zip(generation),
            rights: &rights,
            lasts: Some(lasts.min(end.saturating_sub(now).div_euclid(1000))),
            proven_at: Some(row.stepped_up_at),
        };
        open(app, tx, &holder).await
    })
    .await
}

/// Gives a session another token after a proof of password, secret or code: the old one dies (SES-1).
pub(crate) async fn renew(
    app: &App,
    tx: &mut Tx<'_>,
    session: &SessionRef,
    second_factor: Option<&str>,
) -> Result<Audited<SessionOpened>> {
    let tenant = tx.tenant().to_owned();
    let mut row = sessions::find(tx.conn(), &tenant, &session.id).await?.ok_or(Error::NotFound)?;
    let (token, handle) = marks::generate(&app.root_key, token::SESSION_PREFIX);
    (row.pepper_id, row.hash) = hash(app, &token);
    row.handle = handle.digits().into();
    row.stepped_up_at = tx.now;
    row.last_seen_at = tx.now;
    row.second_factor = second_factor.map(Into::into).or(row.second_factor);
    sessions::renew(tx.conn(), &row).await?;
    let directory = tx.directory().await?;
    // A session that lacks its second factor has no rights, and may have got them now.
    let rights = match tx.actor.user_id().filter(|_| session.method.is_interactive()) {
        Some(user) => {
            let user = users::find(tx.conn(), &tenant, user).await?.ok_or(Error::NotFound)?;
            crate::users::rights(&directory, &user)?
        }
        None => (*tx.rights).clone(),
    };
    let opened = opened(&directory, &row, &token, &rights);
    let event = Event::new("session.step_up", "session", &row.id, &tx.actor.principal.label);
    Ok(Audited::new(opened, event).touches_session(&tenant, session.handle.digits()))
}

/// The id of the newest pepper, and the hash of a token under it.
pub(crate) fn hash(app: &App, token: &Secret) -> (i64, String) {
    let peppers = app.verifier.peppers.load();
    let newest = peppers.first().expect("start-up makes the first pepper");
    (i64::from(newest.id()), newest.hash(token.expose()).to_hex())
}

/// Whether a token is the one whose hash was kept.
pub(crate) fn matches(app: &App, token: &str, pepper_id: i64, hash: &str) -> bool {
    let peppers = app.verifier.peppers.load();
    let pepper = peppers.iter().find(|pepper| i64::from(pepper.id()) == pepper_id);
    pepper.zip(SecretHash::from_hex(hash)).is_some_and(|(pepper, hash)| pepper.hash(token).matches(&hash))
}

fn opened(directory: &TenantRecord, row: &SessionRow, token: &Secret, rights: &RightSet) -> SessionOpened {
    let session = render(&directory.tenant.policy.login, administers(rights), row, Some(&row.id));
    SessionOpened {
        token: Some(token.expose().into()),
        secret_state: "shown_once",
        tenant_id: row.tenant_id.clone(),
        user_id: row.holder_id.starts_with("user_").then(|| row.holder_id.clone()),
        rights: if session.enrolment_only { Vec::new() } else { crate::keys::view::texts(rights) },
        session,
    }
}

fn render(rules: &LoginPolicy, is_admin: bool, row: &SessionRow, current: Option<&str>) -> SessionOut {
    let (idle_at, expires_at) = rules.ends(is_admin, (row.started_at, row.last_seen_at), row.ends_at);
    SessionOut {
        id: row.id.clone(),
        method: row.method.clone(),
        second_factor: row.second_factor.clone(),
        enrolment_only: Method::parse(&row.method)
            .is_some_and(|method| rules.lacks_factor(method, row.second_factor.is_some(), is_admin)),
        access_key: row.access_key.as_deref().and_then(AccessKey::from_digits).map(|key| key.to_string()),
        in_cookie: row.in_cookie,
        current: current == Some(row.id.as_str()),
        started_at: rfc3339(row.started_at),
        stepped_up_at: rfc3339(row.stepped_up_at),
        last_seen_at: rfc3339(row.last_seen_at),
        idle_at: rfc3339(idle_at.min(expires_at)),
        expires_at: rfc3339(expires_at),
        address: row.address.clone(),
        agent: row.agent.clone(),
    }
}

/// The session of a caller at home: one that an operator took along is of no use in another tenant.
pub(crate) fn own_session(actor: &Actor) -> Result<&SessionRef> {
    actor.session.as_ref().filter(|_| !actor.visiting).ok_or(Error::NotFound)
}

/// The id under which the caller's sessions stand.
fn own_holder(actor: &Actor) -> Result<&str> {
    if actor.visiting { Err(Error::NotFound) } else { Ok(&actor.principal.id) }
}

/// Ends the session that asks.
pub(crate) async fn log_out(app: &App, actor: &Actor) -> Result<()> {
    let session = own_session(actor)?;
    app.write(actor, async |tx| end_row(tx, &session.id, None).await).await
}

/// Ends one of the caller's own sessions.
pub(crate) async fn end_own(app: &App, actor: &Actor, id: &str) -> Result<()> {
    let holder = own_holder(actor)?;
    app.write(actor, async |tx| {
        tx.must_hold("me/sessions:end")?;
        let tenant = tx.tenant().to_owned();
        let row = sessions::find(tx.conn(), &tenant, id).await?;
        let row = row.filter(|row| row.holder_id == holder).ok_or(Error::NotFound)?;
        end_row(tx, &row.id, None).await
    })
    .await
}

/// Ends every session of the caller but the one that asks.
pub(crate) async fn end_others(app: &App, actor: &Actor) -> Result<()> {
    let (holder, current) = (own_holder(actor)?, own_session(actor)?);
    app.write(actor, async |tx| {
        tx.must_hold("me/sessions:end")?;
        let ended = end_all(tx, holder, Some(&current.id)).await?;
        let principal = &tx.actor.principal;
        let event = Event::new("user.end_sessions", &principal.kind, &principal.id, &principal.label)
            .after(&serde_json::json!({ "sessions": ended.len() }));
        Ok(Audited::new((), event).touches_sessions(tx.tenant(), &ended))
    })
    .await
}

/// Ends one session; `Error::NotFound` when it has ended before.
pub(crate) async fn end_row(tx: &mut Tx<'_>, id: &str, reason: Option<&str>) -> Result<Audited<()>> {
    let (tenant, now) = (tx.tenant().to_owned(), tx.now);
    let handle = sessions::end(tx.conn(), &tenant, id, now).await?.ok_or(Error::NotFound)?;
    let event = Event::new("session.end", "session", id, &tx.actor.principal.label).reason(reason);
    Ok(Audited::new((), event).touches_session(&tenant, &handle))
}

/// Ends every session of a user (SES-5).
pub(crate) async fn end_of(app: &App, actor: &Actor, user: &str) -> Result<()> {
    app.write(actor, async |tx| {
        tx.must_hold("users:write")?;
        let (row, _) = crate::users::find_to_change(tx, user).await?;
        let ended = end_all(tx, user, None).await?;
        let event = Event::new("user.end_sessions", "user", user, &row.username)
            .after(&serde_json::json!({ "sessions": ended.len() }));
        Ok(Audited::new((), event).touches_sessions(tx.tenant(), &ended))
    })
    .await
}

/// Ends every session that began with a key (SES-5).
pub(crate) async fn end_of_key(app: &App, actor: &Actor, id: &str) -> Result<()> {
    app.write(actor, async |tx| {
        let (key, _) = crate::keys::find_to_change(tx, id, "revoke").await?;
        let now = tx.now;
        let ended = sessions::end_of_key(tx.conn(), &key.tenant_id, Whose::of(&key), now).await?;
        let event = Event::new("key.end_sessions", "key", &key.id, &key.label)
            .after(&serde_json::json!({ "sessions": ended.len() }));
        Ok(Audited::new((), event).touches_sessions(&key.tenant_id, &ended))
    })
    .await
}

/// Ends the session whose token this is: one of the caller's own, or by an administrator that of a user who
/// may do no more (AZ-6). Nobody has used it by that.
///
/// # Errors
/// `Error::NotFound` for what is no living session of the caller's tenant.
pub(crate) async fn end_presented(app: &App, actor: &Actor, token: &str) -> Result<()> {
    let Some(Recognised::Session(found)) = app.verifier.recognise(token).await? else {
        return Err(Error::NotFound);
    };
    if found.in_cookie || found.tenant_id.to_string() != actor.tenant_id {
        return Err(Error::NotFound);
    }
    let session = found.id.to_string();
    let user = found.user_id.map(|user| user.to_string());
    if user.is_none() || user.as_deref() == actor.user_id() {
        return end_own(app, actor, &session).await;
    }
    app.write(actor, async |tx| {
        tx.must_hold("users:write")?;
        crate::users::find_to_change(tx, user.as_deref().unwrap_or_default()).await?;
        end_row(tx, &session, None).await
    })
    .await
}

/// Ends every session of a user but one, and every login that waits for its second factor; returns
/// their handles, for the feed.
pub(crate) async fn end_all(tx: &mut Tx<'_>, user: &str, but: Option<&str>) -> Result<Vec<String>> {
    let (tenant, now) = (tx.tenant().to_owned(), tx.now);
    factors::forget_challenges(tx.conn(), &tenant, user).await?;
    sessions::end_all(tx.conn(), &tenant, user, but, now).await
}

/// Ends the session of a token for a reason that lies with the server: it was seen in a URL (KEY-12),
/// or another login took its place (SES-1).
pub(crate) async fn end_by_token(
    app: &App,
    presented: Presented<'_>,
    (cause, reason): (&str, &str),
    call: &Call,
) -> Result<()> {
    let (request, sighting) = (Request::default(), Sighting::default());
    let ask = Ask { presented, request, sighting, tenant: None, now: app.clock.now() };
    let Some(session) = app.verifier.verify(&ask).await?.found.and_then(|found| found.session) else {
        return Ok(());
    };
    let actor = Actor { call: call.clone(), ..Actor::local(&session.tenant_id.to_string(), cause) };
    let id = session.id.to_string();
    match app.write(&actor, async |tx| end_row(tx, &id, Some(reason)).await).await {
        // It had ended before.
        Err(Error::NotFound) => Ok(()),
        ended => ended,
    }
}
