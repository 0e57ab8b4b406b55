//! Second factors (AUT-4, VER-7, STO-1, STO-6): codes of an authenticator, passkeys, and recovery codes
//! for when they are lost. People add and remove their own; an administrator can only take all of them away.

pub(crate) mod code;
pub(crate) mod passkeys;
pub(crate) mod proof;
mod wire;

use zeroize::Zeroizing;

use self::code::{Code, RECOVERY_CODES, SEED};
use self::passkeys::PASSKEY;
pub(crate) use self::wire::{
    CodesOut, ConfirmIn, ConfirmedOut, EnrolmentOut, FactorOut, FactorPatch, FactorsOut, OptionsOut,
    PasskeyEnrolmentOut, PasskeyIn, TotpIn,
};
use crate::app::{Actor, App, SessionRef, Tx};
use crate::audit::{Audited, Event};
use crate::clock::rfc3339;
use crate::error::{Error, Result};
use crate::hashers::Hash;
use crate::logins::not_interactive;
use crate::names::check_label;
use crate::random;
use crate::seal::{self, Place};
use crate::sessions::{self, own_session};
use crate::store::factors::{self, FactorRow};
use crate::store::{Conn, users};
use crate::verify::facts::administers;

/// The code of an authenticator.
pub(crate) const TOTP: &str = "totp";
/// A recovery code.
pub(crate) const RECOVERY_CODE: &str = "recovery_code";
/// Every kind of code that can be guessed.
pub(crate) const KINDS: [&str; 2] = [TOTP, RECOVERY_CODE];
/// Factors of one kind that one user may have.
const MOST: usize = 5;
/// A factor is confirmed within so long, or not at all.
pub(crate) const CONFIRM_MS: i64 = 10 * 60_000;

fn code_place<'a>(tenant: &'a str, row: &'a str) -> Place<'a> {
    Place { scope: tenant, column: "recovery_codes.sealed", row }
}

fn seed_place(row: &FactorRow) -> Place<'_> {
    Place { scope: &row.tenant_id, column: "factors.sealed", row: &row.id }
}

/// The seed of a factor. One that was sealed for another row does not open (STO-6).
async fn open_seed(app: &App, conn: &mut Conn, row: &FactorRow) -> Result<Zeroizing<Vec<u8>>> {
    seal::open(&app.root_key, conn, seed_place(row), &row.sealed).await
}

/// The session of a person: a key has no second factor.
fn interactive(actor: &Actor) -> Result<(&SessionRef, &str)> {
    let session = own_session(actor)?;
    match (session.method, actor.user_id()) {
        (method, Some(user)) if method.is_interactive() => Ok((session, user)),
        _ => Err(not_interactive()),
    }
}

/// Whether the tenant asks this user for a second factor.
async fn is_required(tx: &mut Tx<'_>, user: &str) -> Result<bool> {
    let (tenant, directory) = (tx.tenant().to_owned(), tx.directory().await?);
    let row = users::find(tx.conn(), &tenant, user).await?.ok_or(Error::NotFound)?;
    let rights = crate::users::rights(&directory, &row)?;
    Ok(directory.tenant.policy.login.require_second_factor.binds(administers(&rights)))
}

/// One's own factors.
pub(crate) async fn list_own(app: &App, actor: &Actor) -> Result<FactorsOut> {
    let (_, user) = interactive(actor)?;
    list(&mut app.read().await?, &actor.tenant_id, user).await
}

/// The factors of a user.
pub(crate) async fn list_of(app: &App, actor: &Actor, user: &str) -> Result<FactorsOut> {
    let mut conn = app.read().await?;
    users::find(&mut conn, &actor.tenant_id, user).await?.ok_or(Error::NotFound)?;
    list(&mut conn, &actor.tenant_id, user).await
}

async fn list(conn: &mut Conn, tenant: &str, user: &str) -> Result<FactorsOut> {
    let rows = factors::confirmed(conn, tenant, user).await?;
    let recovery_codes_left = factors::codes_left(conn, tenant, user).await?;
    Ok(FactorsOut { factors: rows.iter().map(FactorOut::of).collect(), recovery_codes_left })
}

/// Begins to add an authenticator: what it answers with is shown once, and counts when confirmed.
pub(crate) async fn start_totp(app: &App, actor: &Actor, input: &TotpIn) -> Result<EnrolmentOut> {
    let name = input.name.as_deref().unwrap_or("authenticator");
    check_label("/name", name, 100)?;
    begin(app, actor, TOTP, name, async |tx, row| {
        let (mut seed, now) = (Zeroizing::new([0; SEED]), tx.now);
        random::fill(&mut *seed);
        let sealed = seal::seal(&app.root_key, tx.conn(), seed_place(row), &*seed, now).await?;
        Ok((enrolment(app, actor, row, &*seed), sealed))
    })
    .await
}

/// Begins to add a factor, in the place of any other that waits. `make` tells what is answered, and
/// what is kept sealed.
async fn begin<T>(
    app: &App,
    actor: &Actor,
    kind: &str,
    name: &str,
    make: impl AsyncFnOnce(&mut Tx<'_>, &FactorRow) -> Result<(T, String)>,
) -> Result<T> {
    let (_, user) = interactive(actor)?;
    app.write(actor, async |tx| {
        tx.must_be_fresh()?;
        let (tenant, now) = (tx.tenant().to_owned(), tx.now);
        let there = factors::confirmed(tx.conn(), &tenant, user).await?;
        if there.iter().filter(|row| row.kind == kind).count() >= MOST {
            return Err(Error::conflict("too_many_factors", "remove one first"));
        }
        factors::forget_unconfirmed(tx.conn(), &tenant, user).await?;
        let mut row = FactorRow {
            tenant_id: tenant,
            id: random::new_id::<keyward_core::id::Factor>(now).to_string(),
            user_id: user.into(),
            kind: kind.into(),
            name: name.into(),
            sealed: String::new(),
            last_step: 0,
            created_at: now,
            confirmed_at: None,
            last_used_at: None,
            credential_id: None,
            counter: 0,
        };
        let (made, sealed) = make(tx, &row).await?;
        row.sealed = sealed;
        factors::insert(tx.conn(), &row).await?;
        let event = Event::new("factor.start", "factor", &row.id, &row.name).after(&FactorOut::of(&row));
        Ok(Audited::new(made, event))
    })
    .await
}

fn enrolment(app: &App, actor: &Actor, row: &FactorRow, seed: &[u8]) -> EnrolmentOut {
    let issuer = app.settings.server.public_url.as_deref().and_then(|url| url.split("://").nth(1));
    let uri = code::uri(seed, issuer.unwrap_or("Keyward"), &actor.principal.label);
    EnrolmentOut {
        id: row.id.clone(),
        secret: Some(code::base32(seed)),
        uri: Some(uri),
        secret_state: "shown_once",
        expires_at: rfc3339(row.created_at + CONFIRM_MS),
    }
}

/// What confirms a factor.
enum First {
    /// The time step of a code.
    Step(i64),
    /// What a browser made.
    Passkey(Box<passki::StoredPasskey>),
}

/// Confirms a factor by its first code, or by what a browser made. With the first factor come recovery
/// codes; every other session ends, this one has its second factor and gets another token.
pub(crate) async fn confirm(app: &App, actor: &Actor, id: &str, input: &ConfirmIn) -> Result<ConfirmedOut> {
    let (session, user) = interactive(actor)?;
    let mut conn = app.read().await?;
    let row = factors::find(&mut conn, &actor.tenant_id, user, id).await?.ok_or(Error::NotFound)?;
    if row.confirmed_at.is_some() || row.created_at + CONFIRM_MS <= app.clock.unix_ms() {
        return Err(Error::NotFound);
    }
    let first = first_of(app, &mut conn, &row, input).await?;
    let is_first = factors::confirmed(&mut conn, &actor.tenant_id, user).await?.is_empty();
    drop(conn);
    let made = if is_first { Some(make_codes(app, actor).await?) } else { None };
    app.write(actor, async |tx| {
        tx.must_be_fresh()?;
        let (tenant, now) = (tx.tenant().to_owned(), tx.now);
        let (kind, counts) = match &first {
            First::Step(step) => (TOTP, factors::confirm(tx.conn(), &tenant, id, *step, now).await?),
            First::Passkey(passkey) => (PASSKEY, passkeys::keep(app, tx, &row, passkey).await?),
        };
        if !counts {
            return Err(Error::NotFound);
        }
        if let Some(made) = &made {
            keep_codes(app, tx, user, made).await?;
        }
        let ended = sessions::end_all(tx, user, Some(&session.id)).await?;
        let renewed = sessions::renew(app, tx, session, Some(kind)).await?;
        let factor = FactorOut::of(&row);
        let event = Event::new("factor.add", "factor", id, &row.name).after(&factor);
        let recovery_codes = made.as_deref().map(show);
        Ok(renewed
            .map(|opened| ConfirmedOut { factor, recovery_codes, opened })
            .also(event)
            .touches_sessions(&tenant, &ended))
    })
    .await
}

/// Checks what is to confirm a factor.
async fn first_of(app: &App, conn: &mut Conn, row: &FactorRow, input: &ConfirmIn) -> Result<First> {
    if row.kind == PASSKEY {
        let missing = || Error::malformed("/passkey", "required", "send what the browser made");
        let made = input.passkey.as_ref().ok_or_else(missing)?;
        return passkeys::check(app, row, made).map(Box::new).map(First::Passkey);
    }
    let missing = || Error::malformed("/code", "required", "this field is required");
    let typed = input.code.as_ref().ok_or_else(missing)?;
    let seed = open_seed(app, conn, row).await?;
    let step = match Code::read(typed.expose()) {
        Some(Code::Totp(digits)) => code::step_of(&seed, &digits, app.clock.unix_ms())?,
        _ => None,
    };
    step.map(First::Step).ok_or_else(wrong_code)
}

fn wrong_code() -> Error {
    Error::invalid("/code", "wrong_code", "not the code of now; is the clock of the device right?")
}

/// A recovery code in the form that is hashed, and its hash.
type Made = (Zeroizing<String>, Hash);

async fn make_codes(app: &App, actor: &Actor) -> Result<Vec<Made>> {
    let place = app.hashers.place(actor.call.address)?;
    let mut made = Vec::new();
    for number in 0..RECOVERY_CODES {
        let text = code::make_recovery_code(number);
        let hash = app.hashers.hash(&place, &text).await?;
        made.push((text, hash));
    }
    Ok(made)
}

/// Keeps new recovery codes in the place of all others.
async fn keep_codes(app: &App, tx: &mut Tx<'_>, user: &str, made: &[Made]) -> Result<()> {
    let (tenant, now) = (tx.tenant().to_owned(), tx.now);
    factors::forget_codes(tx.conn(), &tenant, user).await?;
    for (number, (_, hash)) in (0..).zip(made) {
        let (row, text) = (format!("{user}/{number}"), Zeroizing::new(hash.to_string()));
        let place = code_place(&tenant, &row);
        let sealed = seal::seal(&app.root_key, tx.conn(), place, text.as_bytes(), now).await?;
        factors::insert_code(tx.conn(), (&tenant, user), number, &sealed, now).await?;
    }
    Ok(())
}

fn show(made: &[Made]) -> Vec<String> {
    made.iter().map(|(text, _)| code::written(text)).collect()
}

/// Makes new recovery codes; the old ones are worth nothing from now on.
pub(crate) async fn replace_codes(app: &App, actor: &Actor) -> Result<CodesOut> {
    let (_, user) = interactive(actor)?;
    actor.must_be_fresh(app.clock.unix_ms())?;
    let made = make_codes(app, actor).await?;
    app.write(actor, async |tx| {
        tx.must_be_fresh()?;
        let tenant = tx.tenant().to_owned();
        if factors::confirmed(tx.conn(), &tenant, user).await?.is_empty() {
            return Err(Error::conflict("no_factor", "recovery codes are for when a second factor is lost"));
        }
        keep_codes(app, tx, user, &made).await?;
        let event = Event::new("user.replace_recovery_codes", "user", user, &actor.principal.label);
        let shown = CodesOut { recovery_codes: Some(show(&made)), secret_state: "shown_once" };
        Ok(Audited::new(shown, event))
    })
    .await
}

/// Changes the name of one of one's own factors.
pub(crate) async fn edit(app: &App, actor: &Actor, id: &str, patch: &FactorPatch) -> Result<FactorOut> {
    let (_, user) = interactive(actor)?;
    if let Some(name) = &patch.name {
        check_label("/name", name, 100)?;
    }
    app.write(actor, async |tx| {
        let tenant = tx.tenant().to_owned();
        let all = factors::confirmed(tx.conn(), &tenant, user).await?;
        let mut row = all.into_iter().find(|row| row.id == id).ok_or(Error::NotFound)?;
        let before = FactorOut::of(&row);
        row.name = patch.name.clone().unwrap_or(row.name);
        factors::rename(tx.conn(), &tenant, id, &row.name).await?;
        let after = FactorOut::of(&row);
        let event = Event::new("factor.edit", "factor", id, &row.name).before(&before).after(&after);
        Ok(Audited::new(after, event))
    })
    .await
}

/// Removes one of one's own factors, and with the last one the recovery codes. Other sessions end.
pub(crate) async fn remove(app: &App, actor: &Actor, id: &str) -> Result<()> {
    let (session, user) = interactive(actor)?;
    app.write(actor, async |tx| {
        tx.must_be_fresh()?;
        let tenant = tx.tenant().to_owned();
        let all = factors::confirmed(tx.conn(), &tenant, user).await?;
        let row = all.iter().find(|row| row.id == id).ok_or(Error::NotFound)?;
        if all.len() == 1 {
            if is_required(tx, user).await? {
                return Err(Error::conflict(
                    "last_factor",
                    "this tenant asks you for one; add another first",
                ));
            }
            factors::forget_codes(tx.conn(), &tenant, user).await?;
        }
        factors::remove(tx.conn(), &tenant, id).await?;
        let ended = sessions::end_all(tx, user, Some(&session.id)).await?;
        let event = Event::new("factor.remove", "factor", id, &row.name).before(&FactorOut::of(row));
        Ok(Audited::new((), event).touches_sessions(&tenant, &ended))
    })
    .await
}

/// Takes every factor of a user away, for who has lost them all (AZ-6). Every session ends.
pub(crate) async fn reset(app: &App, actor: &Actor, id: &str) -> Result<()> {
    app.write(actor, async |tx| {
        tx.must_hold("users:write")?;
        let (user, _) = crate::users::find_to_change(tx, id).await?;
        tx.must_be_fresh()?;
        let tenant = tx.tenant().to_owned();
        let removed = factors::forget(tx.conn(), &tenant, id).await?;
        proof::forget_failures(app, tx.conn(), &tenant, id).await?;
        let ended = sessions::end_all(tx, id, None).await?;
        let event = Event::new("user.reset_factors", "user", id, &user.username)
            .after(&serde_json::json!({ "removed": removed, "sessions_ended": ended.len() }));
        Ok(Audited::new((), event).touches_sessions(&tenant, &ended))
    })
    .await
}
