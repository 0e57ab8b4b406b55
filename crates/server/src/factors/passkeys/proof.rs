//! Is this the passkey of that user, here and now? Asked at login, alone or beside the password, and at
//! a step-up. Nobody guesses a signature, so failures are throttled by their source and lock nothing: a
//! lock of passwords or codes never bars a passkey (VER-4).

use passki::{
    AuthenticationCredential, AuthenticationOptions, Passki, PasskiError,
    UserVerificationRequirement as Verification,
};

use super::challenge::{self, Challenge, Purpose};
use super::{Kept, open, relying_party};
use crate::app::{Actor, App, Call, Tx};
use crate::audit::{Event, Outcome};
use crate::error::{Error, Result};
use crate::failures;
use crate::store::factors::FactorRow;
use crate::store::passkeys;

/// What a passkey has answered.
#[derive(Clone, Copy)]
pub(crate) struct Answer<'a> {
    pub(crate) credential: &'a AuthenticationCredential,
    pub(crate) purpose: Purpose<'a>,
    /// Whether the device must have made sure who holds it: where nothing else was asked.
    pub(crate) alone: bool,
}

/// A passkey that was good when it was looked at.
pub(crate) struct Proven {
    row: FactorRow,
    counter: i64,
    challenge: Challenge,
}

/// How much a passkey must make sure who holds its device.
pub(super) fn verification(alone: bool) -> Verification {
    if alone { Verification::Required } else { Verification::Preferred }
}

/// The passkey that an answer claims to be of.
pub(crate) async fn find(app: &App, credential: &AuthenticationCredential) -> Result<Option<FactorRow>> {
    // In the one spelling that is stored.
    let Ok(id) = Passki::base64_decode(&credential.raw_id) else { return Ok(None) };
    passkeys::find(&mut app.read().await?, &Passki::base64_encode(&id)).await
}

/// Checks the answer of a passkey of the user who acts.
///
/// # Errors
/// 401 `invalid_passkey` whatever is wrong; 429 after failures.
pub(crate) async fn prove(
    app: &App,
    actor: &Actor,
    row: Option<FactorRow>,
    answer: Answer<'_>,
) -> Result<Proven> {
    failures::must_not_flood(app, actor.call.address)?;
    let own = row.filter(|row| row.tenant_id == actor.tenant_id && row.user_id == actor.principal.id);
    let Some(row) = own else { return Err(refused(app, actor, answer.purpose, "unknown_passkey")) };
    let now = app.clock.unix_ms();
    let sent = &answer.credential.response.client_data_json;
    let Some(challenge) = challenge::read(&app.root_key, answer.purpose, sent, now) else {
        return Err(refused(app, actor, answer.purpose, "wrong_challenge"));
    };
    let mut conn = app.read().await?;
    // Told apart from a copy, which answers to a new one.
    if passkeys::is_used(&mut conn, &row.tenant_id, &challenge.id).await? {
        return Err(refused(app, actor, answer.purpose, "used_challenge"));
    }
    let kept = open(app, &mut conn, &row).await?;
    drop(conn);
    let counter = match verify(&relying_party(&app.settings.server)?, &kept, &challenge, answer) {
        Ok(counter) => counter,
        Err(reason) => return Err(refused(app, actor, answer.purpose, reason)),
    };
    // Looked at after the signature: else a stranger could raise the alarm.
    if counter <= row.counter && (counter, row.counter) != (0, 0) {
        warn(app, actor, &row, counter).await?;
        return Err(refused(app, actor, answer.purpose, "counter_went_back"));
    }
    Ok(Proven { row, counter, challenge })
}

/// The counter of an answer that is good, or why it is not.
fn verify(
    site: &Passki,
    kept: &Kept,
    challenge: &Challenge,
    answer: Answer<'_>,
) -> Result<i64, &'static str> {
    match answer.credential.response.user_handle.as_deref().map(Passki::base64_decode) {
        Some(Ok(handle)) if handle == kept.user_id.as_bytes() => {}
        // A passkey that is found by itself says whose it is (WebAuthn §7.2, 6).
        None if !matches!(answer.purpose, Purpose::Login) => {}
        _ => return Err("wrong_user"),
    }
    // The counter is compared with the newest one by the caller.
    let mut stored = kept.passkey.clone();
    stored.counter = 0;
    let mut options = AuthenticationOptions::default();
    options.user_verification = verification(answer.alone);
    let (_, mut state) =
        site.start_passkey_authentication(std::slice::from_ref(&stored), options).map_err(|_| "malformed")?;
    state.challenge.clone_from(&challenge.bytes);
    let good = site.finish_passkey_authentication(answer.credential, &state, &stored);
    good.map(|good| good.counter.into()).map_err(|error| reason(&error))
}

/// The word of the audit log.
fn reason(error: &PasskiError) -> &'static str {
    match error {
        PasskiError::OriginMismatch { .. } | PasskiError::CrossOriginNotAllowed => "wrong_origin",
        PasskiError::RpIdHashMismatch => "wrong_site",
        PasskiError::UserNotPresent | PasskiError::UserVerificationRequired => "user_not_verified",
        PasskiError::SignatureVerificationFailed => "wrong_signature",
        _ => "malformed",
    }
}

/// Two devices count with one key: somebody may have copied it.
async fn warn(app: &App, actor: &Actor, row: &FactorRow, counter: i64) -> Result<()> {
    let mut event = Event::new("factor.clone_warning", "factor", &row.id, &row.name)
        .after(&serde_json::json!({ "counter": counter, "newest_counter": row.counter }));
    event.outcome = Outcome::Refused;
    app.record_noticed(actor.clone(), vec![event]).await
}

/// Refuses; the log of the tenant tells its administrators why.
fn refused(app: &App, actor: &Actor, purpose: Purpose<'_>, reason: &'static str) -> Error {
    let action = if matches!(purpose, Purpose::Login) { "auth.login" } else { "auth.factor" };
    app.refusals.note(actor, action, reason);
    unknown(app, &actor.call)
}

/// Refuses a passkey that is nobody's.
pub(crate) fn unknown(app: &App, call: &Call) -> Error {
    app.metrics.refused_callers.inc();
    let wait = failures::note(app, None, "login", call.address);
    wait.map_or(Error::Unauthenticated("invalid_passkey"), Error::RateLimited)
}

impl Proven {
    /// Within the transaction of what follows: uses the challenge up and notes the counter. Of two that
    /// come at once one gets through.
    pub(crate) async fn settle(&self, tx: &mut Tx<'_>) -> Result<()> {
        let (tenant, now) = (tx.tenant().to_owned(), tx.now);
        let challenge = &self.challenge;
        let is_first =
            passkeys::use_challenge(tx.conn(), &tenant, &challenge.id, challenge.expires_at).await?;
        if !is_first || !passkeys::note_use(tx.conn(), &self.row, self.counter, now).await? {
            return Err(Error::Unauthenticated("invalid_passkey"));
        }
        Ok(())
    }
}
