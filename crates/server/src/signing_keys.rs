//! Keys that sign access tokens: published before they sign, kept for as long as what they signed
//! may live (OAU-8).

use std::time::Duration;

use keyward_core::jwt::{Algorithm, LEEWAY_SECONDS};
use keyward_core::policy::MAX_TOKEN_SECONDS;
use keyward_core::token::AccessKey;
use serde::Serialize;
use utoipa::ToSchema;

use crate::app::{Actor, App, Tx};
use crate::audit::{Audited, Event};
use crate::clock::rfc3339;
use crate::config::TokenSettings;
use crate::error::{Error, Result};
use crate::random;
use crate::seal::{self, INSTANCE, RootKey};
use crate::store::page::{Listed, Page, Position};
use crate::store::signing_keys::{self, SigningKeyRow};
use crate::store::{Conn, tenants};
use crate::verify::keyring;

/// A key is kept for so long after its successor began to sign: whatever it signed is over by then.
const KEPT_MS: i64 = (MAX_TOKEN_SECONDS as i64 + LEEWAY_SECONDS) * 1000;

/// A signing key as the API shows it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SigningKeyOut {
    /// The `kid` of the tokens that it signs.
    pub(crate) id: String,
    /// `EdDSA` or `ES256`.
    pub(crate) algorithm: String,
    /// `next`, `current` or `retired`.
    pub(crate) state: &'static str,
    /// Published since.
    pub(crate) created_at: String,
    /// Signs from here on.
    pub(crate) signs_from: String,
    /// When a retired key goes: whatever it signed is over then.
    pub(crate) removed_at: Option<String>,
}

/// What the keys are, the one that signs last first.
fn render(rows: Vec<SigningKeyRow>, now: i64) -> Vec<SigningKeyOut> {
    let mut successor = None;
    let mut shown = Vec::with_capacity(rows.len());
    for row in rows {
        let state = match successor {
            _ if row.signs_from > now => "next",
            Some(start) if start <= now => "retired",
            _ => "current",
        };
        shown.push(SigningKeyOut {
            state,
            removed_at: successor.filter(|_| state == "retired").map(|start| rfc3339(start + KEPT_MS)),
            created_at: rfc3339(row.created_at),
            signs_from: rfc3339(row.signs_from),
            id: row.kid,
            algorithm: row.algorithm,
        });
        successor = Some(row.signs_from);
    }
    shown
}

/// Every signing key, newest first.
pub(crate) async fn list(app: &App, page: &Page) -> Result<Listed<SigningKeyOut>> {
    let rows = signing_keys::all(&mut app.read().await?).await?;
    let mut shown = render(rows, app.clock.unix_ms());
    // There are a handful, and their states depend on each other: the page is cut here.
    if let Some(after) = &page.after {
        let seen = shown.iter().position(|key| key.id == after.id).map_or(0, |place| place + 1);
        shown.drain(..seen);
    }
    Ok(page.finish(shown, |key| Position { number: None, text: None, id: key.id.clone() }))
}

/// Publishes a new key, which signs once everybody can know it.
pub(crate) async fn rotate(app: &App, actor: &Actor) -> Result<SigningKeyOut> {
    app.write(actor, async |tx| {
        tx.must_hold("instance/signing-keys:write")?;
        tx.must_be_fresh()?;
        let rows = locked(tx).await?;
        if rows.first().is_some_and(|newest| newest.signs_from > tx.now) {
            return Err(Error::conflict("rotation_pending", "the next key is published already"));
        }
        let start = tx.now + published_ms(&app.settings.tokens);
        publish(app, tx, start, "signing_key.rotate").await
    })
    .await
}

/// Removes a key at once: an emergency. Whatever it signed is refused from now on; if it was the one
/// that signs, its successor signs without having been published for long.
pub(crate) async fn remove(app: &App, actor: &Actor, kid: &str) -> Result<()> {
    app.write(actor, async |tx| {
        tx.must_hold("instance/signing-keys:write")?;
        tx.must_be_fresh()?;
        let rows = locked(tx).await?;
        let (now, shown) = (tx.now, render(rows, tx.now));
        let gone = shown.iter().find(|key| key.id == kid).ok_or(Error::NotFound)?;
        signing_keys::delete(tx.conn(), kid).await?;
        let event = Event::new("signing_key.remove", "signing_key", kid, &gone.algorithm).before(gone);
        let mut audited = Audited::new((), event).touches_signing_keys();
        if gone.state == "current" {
            match shown.iter().find(|key| key.state == "next") {
                Some(next) => signing_keys::set_start(tx.conn(), &next.id, now).await?,
                None => audited.events.extend(publish(app, tx, now, "signing_key.rotate").await?.events),
            }
        }
        Ok(audited)
    })
    .await
}

/// Publishes the next key when its time has come, and forgets those that are over.
pub(crate) async fn keep_up(app: &App) -> Result<()> {
    let mut conn = app.read().await?;
    let rows = signing_keys::all(&mut conn).await?;
    let now = app.clock.unix_ms();
    if !is_due(&rows, &app.settings.tokens, now) && over(&rows, now).is_empty() {
        return Ok(());
    }
    let Some(primary) = tenants::find_primary(&mut conn).await? else { return Ok(()) };
    drop(conn);
    let actor = Actor::local(&primary.id, "signing_keys");
    app.write(&actor, async |tx| {
        // Another node may have been first.
        let rows = locked(tx).await?;
        let mut audited = Audited::many((), Vec::new());
        for gone in over(&rows, tx.now) {
            signing_keys::delete(tx.conn(), &gone.kid).await?;
            let event = Event::new("signing_key.forget", "signing_key", &gone.kid, &gone.algorithm);
            audited.events.push(event);
            audited = audited.touches_signing_keys();
        }
        if is_due(&rows, &app.settings.tokens, tx.now) {
            let start = tx.now + published_ms(&app.settings.tokens);
            let made = publish(app, tx, start, "signing_key.rotate").await?;
            audited.events.extend(made.events);
            audited.changes.extend(made.changes);
        }
        Ok(audited)
    })
    .await
}

/// Whether the key that signs is to be replaced, and nothing is published yet that will.
fn is_due(rows: &[SigningKeyRow], settings: &TokenSettings, now: i64) -> bool {
    let Some(newest) = rows.first() else { return true };
    let end = newest.signs_from + millis(settings.rotate_every);
    newest.signs_from <= now
        && (newest.algorithm != settings.algorithm.as_str() || now + published_ms(settings) >= end)
}

/// Keys whose successor has signed for so long that nothing of theirs is alive.
fn over(rows: &[SigningKeyRow], now: i64) -> Vec<&SigningKeyRow> {
    let pairs = rows.iter().zip(rows.iter().skip(1));
    pairs.filter(|(next, _)| next.signs_from + KEPT_MS < now).map(|(_, old)| old).collect()
}

/// How long a key is known before it signs: twice as long as others may keep the list.
fn published_ms(settings: &TokenSettings) -> i64 {
    2 * millis(settings.jwks_cache)
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX / 4)
}

/// All keys, with other writers of them barred, whatever tenant they act in.
async fn locked(tx: &mut Tx<'_>) -> Result<Vec<SigningKeyRow>> {
    tx.lock_tenant(INSTANCE).await?;
    signing_keys::all(tx.conn()).await
}

async fn publish(
    app: &App,
    tx: &mut Tx<'_>,
    signs_from: i64,
    action: &'static str,
) -> Result<Audited<SigningKeyOut>> {
    let (now, algorithm) = (tx.now, app.settings.tokens.algorithm);
    let row = make(&app.root_key, tx.conn(), algorithm, now, signs_from).await?;
    let shown = render(vec![row], now).remove(0);
    let event = Event::new(action, "signing_key", &shown.id, &shown.algorithm).after(&shown);
    Ok(Audited::new(shown, event).touches_signing_keys())
}

/// Makes a key.
async fn make(
    root: &RootKey,
    conn: &mut Conn,
    algorithm: Algorithm,
    now: i64,
    signs_from: i64,
) -> Result<SigningKeyRow> {
    let kid = AccessKey::generate(&mut random::fill).digits().to_owned();
    let sealed = seal::seal(root, conn, keyring::place(&kid), &keyring::generate(algorithm)?, now).await?;
    let algorithm = algorithm.as_str().into();
    let row = SigningKeyRow { kid, algorithm, sealed, created_at: now, signs_from };
    signing_keys::insert(conn, &row).await?;
    Ok(row)
}

/// Makes the first key on first start: it signs at once, since nobody has kept a list without it.
pub(crate) async fn make_first(
    root: &RootKey,
    conn: &mut Conn,
    algorithm: Algorithm,
    now: i64,
) -> Result<()> {
    if signing_keys::all(conn).await?.is_empty() {
        make(root, conn, algorithm, now, now).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600_000;

    fn row(kid: &str, signs_from: i64) -> SigningKeyRow {
        let algorithm = Algorithm::EdDsa.as_str().into();
        SigningKeyRow { kid: kid.into(), algorithm, sealed: String::new(), created_at: 0, signs_from }
    }

    fn settings() -> TokenSettings {
        TokenSettings {
            algorithm: Algorithm::EdDsa,
            rotate_every: Duration::from_secs(30 * 86_400),
            jwks_cache: Duration::from_secs(300),
        }
    }

    #[test]
    fn oau_8_states_follow_from_the_times_alone() {
        let rows = || vec![row("c", 30 * HOUR), row("b", 20 * HOUR), row("a", 0)];
        let states = |now| render(rows(), now).iter().map(|key| key.state).collect::<Vec<_>>();
        assert_eq!(states(HOUR), ["next", "next", "current"]);
        assert_eq!(states(20 * HOUR), ["next", "current", "retired"]);
        assert_eq!(states(30 * HOUR), ["current", "retired", "retired"]);
        let shown = render(rows(), 20 * HOUR);
        assert_eq!(shown[2].removed_at.as_deref(), Some(rfc3339(20 * HOUR + KEPT_MS).as_str()));
        assert_eq!((&shown[0].removed_at, &shown[1].removed_at), (&None, &None));
    }

    #[test]
    fn oau_8_a_key_stays_for_the_longest_life_and_the_leeway_of_what_it_signed() {
        let rows = [row("c", 30 * HOUR), row("b", 20 * HOUR), row("a", 0)];
        const { assert!(KEPT_MS >= 24 * HOUR) };
        assert!(over(&rows, 20 * HOUR + KEPT_MS).is_empty());
        let gone = |now| over(&rows, now).iter().map(|row| row.kid.clone()).collect::<Vec<_>>();
        assert_eq!(gone(20 * HOUR + KEPT_MS + 1), ["a"]);
        assert_eq!(gone(30 * HOUR + KEPT_MS + 1), ["b", "a"]);
        assert!(over(&rows[2..], i64::MAX / 2).is_empty(), "the newest never goes by itself");
    }

    #[test]
    fn oau_8_the_next_key_is_published_twice_the_cache_life_before_it_is_needed() {
        let settings = settings();
        let end = 30 * 24 * HOUR;
        assert!(!is_due(&[row("a", 0)], &settings, end - 600_001));
        assert!(is_due(&[row("a", 0)], &settings, end - 600_000));
        assert!(!is_due(&[row("b", end), row("a", 0)], &settings, end - 1), "published already");
        let other = TokenSettings { algorithm: Algorithm::Es256, ..settings };
        assert!(is_due(&[row("a", 0)], &other, 1), "another algorithm is wanted");
        assert!(is_due(&[], &other, 1));
    }
}
