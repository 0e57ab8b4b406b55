//! Is this code, or this passkey, good? Asked at login and at a step-up. A code works once, whatever its spelling and
//! however many send it at once (VER-7), and nobody guesses for long (VER-4): guesses of codes lock
//! that kind of factor, not passwords, not keys, not running sessions.

use super::code::{self, Code};
use super::passkeys::PASSKEY;
use super::passkeys::proof::{self as passkeys, Answer};
use super::{KINDS, TOTP, open_seed};
use crate::app::{Actor, App, Tx};
use crate::attempts::{self, Name};
use crate::audit::Event;
use crate::error::{Error, Result};
use crate::failures;
use crate::hashers::Hash;
use crate::passwords::Password;
use crate::seal;
use crate::store::{Conn, factors};
use zeroize::Zeroizing;

/// A code or passkey that was good when it was looked at.
pub(crate) struct Proven {
    /// `totp`, `recovery_code` or `passkey`.
    pub(crate) kind: &'static str,
    user: String,
    /// Where its failures are counted.
    name: Option<Name>,
    used: Used,
}

/// What is used up.
enum Used {
    /// The time step of a factor.
    Step { factor: String, step: i64 },
    /// A recovery code: its number, and its hash as it was stored.
    Code { number: i64, sealed: String },
    /// The challenge of a passkey.
    Passkey(Box<passkeys::Proven>),
}

/// Compares a code with the factors of the user who acts.
///
/// # Errors
/// 401 `invalid_code` whatever is wrong, 429 or 401 `factor_locked` after failures, 503 when too many
/// wait.
pub(crate) async fn prove(app: &App, actor: &Actor, typed: &Password) -> Result<Proven> {
    let (tenant, user) = (actor.tenant_id.as_str(), actor.principal.id.as_str());
    failures::must_not_flood(app, actor.call.address)?;
    let code = Code::read(typed.expose());
    let kind = code.as_ref().map_or(TOTP, Code::kind);
    let name = Name::of_factor(app, tenant, user, kind);
    let _turn = attempts::turn(app, &name).await;
    attempts::check(app, &name, actor.call.address).await.map_err(|error| match error {
        Error::Unauthenticated(_) => Error::Unauthenticated("factor_locked"),
        other => other,
    })?;
    let used = match &code {
        Some(Code::Totp(digits)) => find_step(app, tenant, user, digits).await?,
        Some(Code::Recovery(number, text)) => find_code(app, actor, *number, text).await?,
        None => Err("wrong_code"),
    };
    match used {
        Ok(used) => Ok(Proven { kind, user: user.into(), name: Some(name), used }),
        Err(reason) => Err(refused(app, actor, &name, reason).await?),
    }
}

/// Checks the answer of a passkey of the user who acts.
///
/// # Errors
/// As [`passkeys::prove`].
pub(crate) async fn prove_passkey(app: &App, actor: &Actor, answer: Answer<'_>) -> Result<Proven> {
    let row = passkeys::find(app, answer.credential).await?;
    let proven = passkeys::prove(app, actor, row, answer).await?;
    let used = Used::Passkey(Box::new(proven));
    Ok(Proven { kind: PASSKEY, user: actor.principal.id.clone(), name: None, used })
}

/// The step of a factor that the digits belong to, or why they are refused.
async fn find_step(app: &App, tenant: &str, user: &str, digits: &str) -> Result<Result<Used, &'static str>> {
    let mut conn = app.read().await?;
    let now = app.clock.unix_ms();
    let mut refused = "wrong_code";
    for row in factors::confirmed(&mut conn, tenant, user).await?.into_iter().filter(|row| row.kind == TOTP) {
        let seed = open_seed(app, &mut conn, &row).await?;
        match code::step_of(&seed, digits, now)? {
            Some(step) if step > row.last_step => return Ok(Ok(Used::Step { factor: row.id, step })),
            Some(_) => refused = "used_code",
            None => {}
        }
    }
    Ok(Err(refused))
}

/// The recovery code, or why it is refused. One that is used or was never made takes as long.
async fn find_code(
    app: &App,
    actor: &Actor,
    number: i64,
    text: &Zeroizing<String>,
) -> Result<Result<Used, &'static str>> {
    let (tenant, user) = (actor.tenant_id.as_str(), actor.principal.id.as_str());
    let place = app.hashers.place(actor.call.address)?;
    let mut conn = app.read().await?;
    let sealed = factors::find_code(&mut conn, tenant, user, number).await?;
    let hash = match &sealed {
        Some(sealed) => open_code(app, &mut conn, (tenant, user), number, sealed).await?,
        None => Hash::of_nothing(),
    };
    drop(conn);
    let fits = app.hashers.verify(&place, text, hash).await?;
    Ok(match sealed {
        Some(sealed) if fits => Ok(Used::Code { number, sealed }),
        _ => Err("wrong_code"),
    })
}

async fn open_code(
    app: &App,
    conn: &mut Conn,
    (tenant, user): (&str, &str),
    number: i64,
    sealed: &str,
) -> Result<Hash> {
    let row = format!("{user}/{number}");
    let opened = seal::open(&app.root_key, conn, super::code_place(tenant, &row), sealed).await?;
    let hash = std::str::from_utf8(&opened).ok().and_then(Hash::parse);
    hash.ok_or_else(|| Error::Damaged(format!("recovery code {row} cannot be read")))
}

/// Counts a failure; the log of the tenant tells its administrators why.
async fn refused(app: &App, actor: &Actor, name: &Name, reason: &'static str) -> Result<Error> {
    attempts::failed(app, name, Some(actor)).await?;
    app.metrics.refused_callers.inc();
    app.refusals.note(actor, "auth.factor", reason);
    let wait = failures::note(app, None, "login", actor.call.address);
    Ok(wait.map_or(Error::Unauthenticated("invalid_code"), Error::RateLimited))
}

impl Proven {
    /// Within the transaction of what follows: uses it up, and forgets failures. Of two that
    /// come at once one gets through.
    pub(crate) async fn settle(&self, tx: &mut Tx<'_>) -> Result<Vec<Event>> {
        let (tenant, now) = (tx.tenant().to_owned(), tx.now);
        let used = match &self.used {
            Used::Step { factor, step } => factors::use_step(tx.conn(), &tenant, factor, *step, now).await?,
            Used::Passkey(proven) => {
                proven.settle(tx).await?;
                true
            }
            Used::Code { number, sealed } => {
                factors::use_code(tx.conn(), (&tenant, &self.user), *number, sealed, now).await?
            }
        };
        if !used {
            return Err(Error::Unauthenticated("invalid_code"));
        }
        if let Some(name) = &self.name {
            attempts::clear(tx.conn(), name).await?;
        }
        if !matches!(self.used, Used::Code { .. }) {
            return Ok(Vec::new());
        }
        let left = factors::codes_left(tx.conn(), &tenant, &self.user).await?;
        let event = Event::new("user.use_recovery_code", "user", &self.user, &tx.actor.principal.label);
        Ok(vec![event.after(&serde_json::json!({ "left": left }))])
    }
}

/// Forgets the failed codes of a user; false when there were none.
pub(crate) async fn forget_failures(app: &App, conn: &mut Conn, tenant: &str, user: &str) -> Result<bool> {
    let mut any = false;
    for kind in KINDS {
        any |= attempts::clear(conn, &Name::of_factor(app, tenant, user, kind)).await?;
    }
    Ok(any)
}
