//! Failed logins, by canonical name (VER-2, VER-3, VER-4, VER-6). A name is counted whether there is
//! such a user or not, in the store, so that neither a restart nor another node gives more attempts.

use std::net::IpAddr;

use keyward_core::attempts::{LOCKED_AT, Verdict};
use tokio::sync::{Mutex, MutexGuard};
use unicode_normalization::UnicodeNormalization as _;

use crate::app::{Actor, App, Principal};
use crate::audit::{Audited, Event};
use crate::error::{Error, Result};
use crate::failures;
use crate::names::Username;
use crate::random::to_hex;
use crate::store::{Conn, attempts};

/// Turns that names share; more than there are ever threads to hash.
const TURNS: usize = 64;

/// Attempts on one name come one after the other, so that many at once cannot all pass before the
/// first has failed.
pub(crate) struct NamesInTurn([Mutex<()>; TURNS]);

impl Default for NamesInTurn {
    fn default() -> Self {
        Self(std::array::from_fn(|_| Mutex::new(())))
    }
}

/// A name that somebody tries to log in with.
pub(crate) struct Name {
    /// The canonical form, as the directory compares it.
    pub(crate) key: String,
    tenant: String,
    /// A keyed hash: what was typed may be anything, a password too.
    id: String,
    turn: usize,
    /// What is guessed at, as the log tells it.
    factor: &'static str,
}

impl Name {
    /// Brings a name to the form in which it is counted and looked up.
    pub(crate) fn of(app: &App, tenant: &str, typed: &str) -> Self {
        let trimmed = typed.trim();
        let key = Username::parse_any(trimmed)
            .map_or_else(|_| trimmed.nfkc().flat_map(char::to_lowercase).collect(), |name| name.key);
        let counted = format!("login attempts v1\0{tenant}\0{key}");
        Self::counted(app, &counted, tenant, key, "password")
    }

    /// The password of a user whose sessions ask for it, counted apart: who guesses at logins locks
    /// nobody out who is logged in, and who took a session does not lock logins (VER-4).
    pub(crate) fn within_sessions(self, app: &App, user: &str) -> Self {
        let counted = format!("step-up attempts v1\0{}\0{user}", self.tenant);
        Self::counted(app, &counted, &self.tenant, self.key, "password_in_session")
    }

    /// Codes of a user, which are counted apart from passwords: one lock does not lock the other.
    pub(crate) fn of_factor(app: &App, tenant: &str, user: &str, kind: &'static str) -> Self {
        let counted = format!("factor attempts v1\0{tenant}\0{user}\0{kind}");
        Self::counted(app, &counted, tenant, user.into(), kind)
    }

    fn counted(app: &App, what: &str, tenant: &str, key: String, factor: &'static str) -> Self {
        let hash = app.root_key.mac(what.as_bytes());
        Self { turn: usize::from(hash[0]) % TURNS, id: to_hex(&hash), tenant: tenant.into(), key, factor }
    }
}

/// Waits until no other attempt on the name runs.
pub(crate) async fn turn<'a>(app: &'a App, name: &Name) -> MutexGuard<'a, ()> {
    app.attempts.0[name.turn].lock().await
}

/// Refuses an attempt that comes too early.
///
/// # Errors
/// 429 with the time to wait, 401 `login_locked` when waiting does not help.
pub(crate) async fn check(app: &App, name: &Name, source: Option<IpAddr>) -> Result<()> {
    let now = app.clock.unix_ms();
    let attempts = attempts::find(&mut app.read().await?, &name.id).await?;
    let refused = match attempts.verdict(now) {
        Verdict::Free => return Ok(()),
        Verdict::Wait(until) => {
            let seconds = u64::try_from(until - now).unwrap_or(0).div_ceil(1000);
            Error::RateLimited(seconds.max(1))
        }
        Verdict::Locked => Error::Unauthenticated("login_locked"),
    };
    // What comes too early, or against a lock, is a guess too (AUD-1).
    failures::note(app, None, "login", source);
    Err(refused)
}

/// Counts a failure, before anybody is told of it. `about` is the user, if there is one.
pub(crate) async fn failed(app: &App, name: &Name, about: Option<&Actor>) -> Result<()> {
    let now = app.clock.unix_ms();
    let mut tx = app.db.begin().await?;
    // Of two nodes that count at once, both count.
    tx.lock_tenant(&name.id).await?;
    let before = attempts::find(tx.conn(), &name.id).await?;
    let after = before.failed(now);
    attempts::put(tx.conn(), &name.tenant, &name.id, about.is_some(), after).await?;
    tx.commit().await?;
    match about.filter(|_| after.in_a_row == LOCKED_AT) {
        Some(user) => tell_of_lock(app, name, user).await,
        None => Ok(()),
    }
}

/// One entry for each lock, which takes a hundred failures: nobody fills the log by it.
async fn tell_of_lock(app: &App, name: &Name, user: &Actor) -> Result<()> {
    let actor = Actor { call: user.call.clone(), ..Actor::local(&user.tenant_id, "login") };
    let Principal { id, label, .. } = &user.principal;
    app.write(&actor, async |_| {
        let event = Event::new("auth.locked", "user", id, label)
            .after(&serde_json::json!({ "factor": name.factor, "failures": LOCKED_AT }));
        Ok(Audited::new((), event))
    })
    .await
}

/// Forgets the failures of a name; false when there were none.
pub(crate) async fn clear(conn: &mut Conn, name: &Name) -> Result<bool> {
    attempts::clear(conn, &name.tenant, &name.id).await
}
