//! Handing a secret over (X10): sealed until a link opens it, once. Whoever made the key never sees it; that
//! it was opened stands in the log, and an opening after that raises an alarm.

use keyward_core::id::Kind;
use keyward_core::secret::Secret;
use keyward_core::token;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::app::{Actor, App, Call, Tx};
use crate::audit::{Audited, Event};
use crate::clock::rfc3339;
use crate::error::{Error, Result};
use crate::failures;
use crate::keys::wire::Revealed;
use crate::marks;
use crate::random;
use crate::seal::{self, Place};
use crate::sessions;
use crate::store::handovers::{self, HandoverRow};
use crate::store::keys::{self, KeyRow};
use crate::store::page::{Listed, Page};

/// A link lives a day unless told otherwise, and a week at most. So long its secret waits at least, so that
/// another link can take the place of one that is over.
const LINK_SECONDS: i64 = 86_400;
const LONGEST_SECONDS: i64 = 7 * 86_400;
/// The same in milliseconds.
pub(crate) const LONGEST_MS: i64 = LONGEST_SECONDS * 1000;

/// Marker of ids of secrets that wait.
#[derive(Clone, Copy)]
pub(crate) enum Handover {}

impl Kind for Handover {
    const PREFIX: &'static str = "handover";
}

/// How to hand over.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct HandoverIn {
    /// How long the link works: 60 seconds to a week, a day unless given.
    pub(crate) ttl_seconds: Option<i64>,
}

/// A link that opens a secret once.
#[derive(Serialize, ToSchema)]
pub(crate) struct HandoverLink {
    pub(crate) id: String,
    pub(crate) key_id: String,
    /// Goes to whoever shall have the secret. `null` in a replay.
    pub(crate) token: Option<String>,
    /// `shown_once`, or `delivered` in a replay.
    pub(crate) secret_state: &'static str,
    pub(crate) expires_at: String,
    /// Where the token is sent to, as the configuration has it.
    pub(crate) open_url: String,
}

/// A secret that waits, waited, or was handed over.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct HandoverOut {
    pub(crate) id: String,
    pub(crate) key_id: String,
    /// Which secret of the key.
    pub(crate) generation: i64,
    /// `waiting`, `opened` or `over`.
    pub(crate) state: &'static str,
    /// Whether there is a link that opens it.
    pub(crate) linked: bool,
    pub(crate) created_at: String,
    pub(crate) created_by: String,
    /// Until when the secret waits.
    pub(crate) expires_at: String,
    /// When the link opens, or opened, nothing any more. A new one can be made while the secret waits.
    pub(crate) link_expires_at: Option<String>,
    pub(crate) opened_at: Option<String>,
    /// Address that opened it.
    pub(crate) opened_from: Option<String>,
}

/// The token of a link.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct OpenIn {
    /// What was handed over.
    #[schema(value_type = String)]
    pub(crate) token: crate::passwords::Password,
}

impl HandoverOut {
    fn of(row: HandoverRow, now: i64) -> Self {
        let state = match (row.opened_at, &row.sealed) {
            (Some(_), _) => "opened",
            (None, Some(_)) if row.expires_at > now => "waiting",
            _ => "over",
        };
        Self {
            state,
            linked: state == "waiting" && row.handle.is_some() && row.link_expires_at > Some(now),
            created_at: rfc3339(row.created_at),
            expires_at: rfc3339(row.expires_at),
            link_expires_at: row.link_expires_at.map(rfc3339),
            opened_at: row.opened_at.map(rfc3339),
            id: row.id,
            key_id: row.key_id,
            generation: row.generation,
            created_by: row.created_by,
            opened_from: row.opened_from,
        }
    }
}

fn place<'a>(row: &'a HandoverRow) -> Place<'a> {
    Place { scope: &row.tenant_id, column: "handovers.sealed", row: &row.id }
}

/// Keeps a new secret, sealed, for whoever comes for it until then; what waited of older ones is gone.
pub(crate) async fn keep(
    app: &App,
    tx: &mut Tx<'_>,
    key: &KeyRow,
    generation: i64,
    secret: &Secret,
    expires_at: i64,
) -> Result<HandoverRow> {
    let mut row = HandoverRow {
        tenant_id: key.tenant_id.clone(),
        id: random::new_id::<Handover>(tx.now).to_string(),
        key_id: key.id.clone(),
        generation,
        sealed: None,
        handle: None,
        pepper_id: None,
        hash: None,
        created_at: tx.now,
        created_by: tx.actor.principal.id.clone(),
        expires_at,
        link_expires_at: None,
        opened_at: None,
        opened_from: None,
    };
    let now = tx.now;
    let plain = secret.expose().as_bytes();
    row.sealed = Some(seal::seal(&app.root_key, tx.conn(), place(&row), plain, now).await?);
    handovers::withdraw(tx.conn(), &row.tenant_id, &row.key_id, Some(generation)).await?;
    handovers::insert(tx.conn(), &row).await?;
    Ok(row)
}

/// Keeps a secret and makes the link to it at once.
pub(crate) async fn keep_with_link(
    app: &App,
    tx: &mut Tx<'_>,
    key: &KeyRow,
    (generation, secret): (i64, &Secret),
    wish: &HandoverIn,
) -> Result<HandoverLink> {
    let link_ends = tx.now + seconds(wish)? * 1000;
    let row = keep(app, tx, key, generation, secret, tx.now + LONGEST_MS).await?;
    link(app, tx, row, link_ends).await
}

fn seconds(wish: &HandoverIn) -> Result<i64> {
    let seconds = wish.ttl_seconds.unwrap_or(LINK_SECONDS);
    if (60..=LONGEST_SECONDS).contains(&seconds) {
        return Ok(seconds);
    }
    let detail = format!("must be from 60 to {LONGEST_SECONDS} seconds (a week)");
    Err(Error::invalid("/handover/ttl_seconds", "out_of_range", detail))
}

/// Gives a waiting secret a link, and waits for that at least; an earlier one is void.
async fn link(app: &App, tx: &mut Tx<'_>, mut row: HandoverRow, ends: i64) -> Result<HandoverLink> {
    (row.expires_at, row.link_expires_at) = (row.expires_at.max(ends), Some(ends));
    let (token, handle) = marks::generate(&app.root_key, token::HANDOVER_PREFIX);
    let (pepper_id, hash) = sessions::hash(app, &token);
    (row.handle, row.pepper_id, row.hash) = (Some(handle.digits().into()), Some(pepper_id), Some(hash));
    handovers::link(tx.conn(), &row).await?;
    Ok(HandoverLink {
        token: (!tx.actor.validate_only).then(|| token.expose().into()),
        secret_state: if tx.actor.validate_only { "not_made" } else { "shown_once" },
        expires_at: rfc3339(ends),
        open_url: format!("{}/v1/handovers/open", app.settings.server.base_url()),
        id: row.id,
        key_id: row.key_id,
    })
}

/// Makes a link to the newest secret of a key that waits: of a rotation by schedule, or in place of a link
/// that was lost.
pub(crate) async fn link_waiting(
    app: &App,
    actor: &Actor,
    key: &str,
    wish: &HandoverIn,
) -> Result<HandoverLink> {
    let ttl = seconds(wish)?;
    app.write(actor, async |tx| {
        let (key, _) = crate::keys::find_to_change(tx, key, "rotate").await?;
        tx.must_be_fresh()?;
        let now = tx.now;
        let waiting = handovers::waiting(tx.conn(), &key.tenant_id, &key.id, now).await?;
        let none =
            || Error::conflict("nothing_waits", "no secret of this key waits to be handed over; rotate it");
        let link = link(app, tx, waiting.ok_or_else(none)?, now + ttl * 1000).await?;
        let after = serde_json::json!({ "handover_id": link.id, "expires_at": link.expires_at });
        let event = Event::new("key.handover", "key", &key.id, &key.label).after(&after);
        Ok(Audited::new(link, event))
    })
    .await
}

/// A page of what waits, waited, and was handed over.
pub(crate) async fn list(
    app: &App,
    actor: &Actor,
    key: Option<&str>,
    page: &Page,
) -> Result<Listed<HandoverOut>> {
    let rows = handovers::list(&mut app.read().await?, &actor.tenant_id, key, page).await?;
    let now = app.clock.unix_ms();
    Ok(rows.map(|row| HandoverOut::of(row, now)))
}

/// One of them.
pub(crate) async fn show(app: &App, actor: &Actor, id: &str) -> Result<HandoverOut> {
    let row = handovers::find(&mut app.read().await?, &actor.tenant_id, id).await?.ok_or(Error::NotFound)?;
    Ok(HandoverOut::of(row, app.clock.unix_ms()))
}

/// Opens a secret by its link, once.
pub(crate) async fn open(app: &App, call: Call, input: &OpenIn) -> Result<Revealed> {
    let refused = || {
        let wait = failures::note(app, None, "handover", call.address);
        wait.map_or(Error::Unauthenticated("invalid_link"), Error::RateLimited)
    };
    failures::must_not_flood(app, call.address)?;
    let row = find_row(app, input.token.expose()).await?.ok_or_else(refused)?;
    let actor = Actor { call: call.clone(), ..Actor::local(&row.tenant_id, "handover") };
    let opened = app.write(&actor, async |tx| {
        let (tenant, now) = (tx.tenant().to_owned(), tx.now);
        let key = keys::find(tx.conn(), &tenant, &row.key_id).await?.ok_or_else(refused)?;
        let from = call.address.map(|address| address.to_string());
        let found = handovers::find(tx.conn(), &tenant, &row.id).await?.ok_or_else(refused)?;
        // Somebody opened it before: either of both is not who was meant.
        let again = found.opened_at.is_some();
        let after = serde_json::json!({ "handover_id": row.id, "generation": row.generation });
        let told = |action| Event::new(action, "key", &key.id, &key.label).after(&after);
        let is_first = handovers::open(tx.conn(), &row, now, from.as_deref()).await?;
        let Some(sealed) = found.sealed.filter(|_| is_first && key.switch != "revoked") else {
            return Ok(Audited::many(
                None,
                again.then(|| told("key.handover_reopened")).into_iter().collect(),
            ));
        };
        let secret = seal::open(&app.root_key, tx.conn(), place(&row), &sealed).await?;
        let secret = String::from_utf8(secret.to_vec()).map_err(Error::internal)?;
        Ok(Audited::new(Some(Revealed::new(&key, Secret::new(secret))), told("key.handover_opened")))
    });
    opened.await?.ok_or_else(refused)
}

/// What the token of a link stands for, opened or not.
async fn find_row(app: &App, token: &str) -> Result<Option<HandoverRow>> {
    let token = token.trim();
    let Some(handle) = token::parse_other(token, token::HANDOVER_PREFIX) else { return Ok(None) };
    if !marks::is_ours(&app.root_key, token::HANDOVER_PREFIX, handle, token) {
        return Ok(None);
    }
    let Some(row) = handovers::load(&mut app.read().await?, handle.digits()).await? else { return Ok(None) };
    let fits = row.pepper_id.zip(row.hash.as_ref());
    let fits = fits.is_some_and(|(pepper, hash)| sessions::matches(app, token, pepper, hash));
    Ok(Some(row).filter(|_| fits))
}

/// Voids a link whose token was seen in a URL (KEY-12): the secret behind it is not handed over by it.
pub(crate) async fn void_exposed(app: &App, token: &str, call: Call) -> Result<()> {
    let Some(row) = find_row(app, token).await?.filter(|row| row.sealed.is_some()) else { return Ok(()) };
    let actor = Actor { call, ..Actor::local(&row.tenant_id, "exposure") };
    app.write(&actor, async |tx| {
        let tenant = tx.tenant().to_owned();
        let Some(key) = keys::find(tx.conn(), &tenant, &row.key_id).await? else {
            return Ok(Audited::many((), Vec::new()));
        };
        let unlinked =
            HandoverRow { handle: None, pepper_id: None, hash: None, link_expires_at: None, ..row.clone() };
        handovers::link(tx.conn(), &unlinked).await?;
        let event = Event::new("key.handover_voided", "key", &key.id, &key.label);
        Ok(Audited::new((), event.reason(Some("seen in a URL"))))
    })
    .await
}
