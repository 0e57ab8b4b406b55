//! Passkeys (WebAuthn, AUT-4): adding one, and what a browser is asked for. A passkey is a second factor
//! beside the password, or enough alone where its device makes sure who holds it.

pub(crate) mod challenge;
pub(crate) mod proof;
mod relying_party;

use passki::{AuthenticationOptions, Passki, RegistrationCredential, RegistrationOptions, StoredPasskey};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use self::challenge::Purpose;
pub(crate) use self::relying_party::relying_party;
use super::wire::{OptionsOut, PasskeyEnrolmentOut, PasskeyIn};
use super::{begin, interactive, seed_place};
use crate::app::{Actor, App, Tx};
use crate::clock::rfc3339;
use crate::error::{Error, Result};
use crate::names::check_label;
use crate::seal;
use crate::store::factors::{self, FactorRow};
use crate::store::{Conn, passkeys, users};

/// A passkey.
pub(crate) const PASSKEY: &str = "passkey";
/// What WebAuthn allows (§5.8.3); more would not go into an index.
const LONGEST_ID: usize = 1023;

/// What is sealed of a passkey. Whose it is stands here too, so that nobody makes it another's by writing
/// to the database.
#[derive(Serialize, Deserialize)]
struct Kept {
    user_id: String,
    passkey: StoredPasskey,
}

/// The passkey of a row. One that was sealed for another row, or for another user, does not open.
async fn open(app: &App, conn: &mut Conn, row: &FactorRow) -> Result<Kept> {
    let broken = || Error::Damaged(format!("the passkey {} cannot be read", row.id));
    let opened = seal::open(&app.root_key, conn, seed_place(row), &row.sealed).await?;
    let kept: Kept = serde_json::from_slice(&opened).map_err(|_| broken())?;
    if kept.user_id == row.user_id { Ok(kept) } else { Err(broken()) }
}

/// The passkeys of a user.
async fn all(app: &App, conn: &mut Conn, (tenant, user): (&str, &str)) -> Result<Vec<StoredPasskey>> {
    let mut found = Vec::new();
    for row in factors::confirmed(conn, tenant, user).await? {
        if row.kind == PASSKEY {
            found.push(open(app, conn, &row).await?.passkey);
        }
    }
    Ok(found)
}

/// Begins to add a passkey: what it answers with is for `navigator.credentials.create`.
pub(crate) async fn start(app: &App, actor: &Actor, input: &PasskeyIn) -> Result<PasskeyEnrolmentOut> {
    interactive(actor)?;
    let name = input.name.as_deref().unwrap_or("passkey");
    check_label("/name", name, 100)?;
    let site = relying_party(&app.settings.server)?;
    begin(app, actor, PASSKEY, name, async |tx, row| {
        let options = creation_options(app, tx, &site, row).await?;
        let expires_at = rfc3339(row.created_at + challenge::LIFE_MS);
        Ok((PasskeyEnrolmentOut { id: row.id.clone(), options, expires_at }, String::new()))
    })
    .await
}

async fn creation_options(app: &App, tx: &mut Tx<'_>, site: &Passki, row: &FactorRow) -> Result<Value> {
    let user = users::find(tx.conn(), &row.tenant_id, &row.user_id).await?.ok_or(Error::NotFound)?;
    let there = all(app, tx.conn(), (&row.tenant_id, &row.user_id)).await?;
    let mut options = RegistrationOptions::default();
    options.timeout = challenge::LIFE_MS.unsigned_abs();
    options.exclude_credentials = Some(&there);
    let shown = user.display_name.as_deref().unwrap_or(&user.username);
    let (mut asked, _) = site
        .start_passkey_registration(user.id.as_bytes(), &user.username, shown, options)
        .map_err(Error::internal)?;
    let made = challenge::make(&app.root_key, Purpose::Enrolment(&row.id), tx.now);
    asked.challenge = Passki::base64_encode(&made.bytes);
    serde_json::to_value(asked).map_err(Error::internal)
}

/// Checks what a browser made for a factor that waits.
///
/// # Errors
/// 422 which says what is wrong with it.
pub(super) fn check(app: &App, row: &FactorRow, made: &RegistrationCredential) -> Result<StoredPasskey> {
    let refused = |why: String| Error::invalid("/passkey", "wrong_passkey", why);
    let purpose = Purpose::Enrolment(&row.id);
    let sent = &made.response.client_data_json;
    let challenge = challenge::read(&app.root_key, purpose, sent, app.clock.unix_ms())
        .ok_or_else(|| refused("not the challenge of this factor, or it is over; begin anew".into()))?;
    let site = relying_party(&app.settings.server)?;
    let (asked, mut state) = site
        .start_passkey_registration(row.user_id.as_bytes(), "", "", RegistrationOptions::default())
        .map_err(Error::internal)?;
    state.challenge = challenge.bytes;
    let passkey =
        site.finish_passkey_registration(made, &state).map_err(|error| refused(error.to_string()))?;
    if !(1..=LONGEST_ID).contains(&passkey.credential_id.len()) {
        return Err(refused("the id of the credential is too long or empty".into()));
    }
    if !asked.pub_key_cred_params.iter().any(|param| param.alg == passkey.algorithm) {
        return Err(refused("the key is of a kind that was not asked for".into()));
    }
    Ok(passkey)
}

/// Within the transaction: makes the factor count; false when it did already or is gone.
pub(super) async fn keep(
    app: &App,
    tx: &mut Tx<'_>,
    row: &FactorRow,
    passkey: &StoredPasskey,
) -> Result<bool> {
    let now = tx.now;
    let kept = Kept { user_id: row.user_id.clone(), passkey: passkey.clone() };
    let plain = serde_json::to_vec(&kept).map_err(Error::internal)?;
    let row = FactorRow {
        credential_id: Some(Passki::base64_encode(&passkey.credential_id)),
        counter: passkey.counter.into(),
        sealed: seal::seal(&app.root_key, tx.conn(), seed_place(row), &plain, now).await?,
        ..row.clone()
    };
    passkeys::confirm(tx.conn(), &row, now).await
}

/// What a browser is asked for by `navigator.credentials.get`: any passkey of this site, whoever asks
/// (VER-1).
pub(crate) fn login_options(app: &App) -> Result<OptionsOut> {
    let site = relying_party(&app.settings.server)?;
    request_options(app, &site, Purpose::Login, &[], true)
}

/// The same for a user who is known: one of the user's own; nothing for who has none.
pub(crate) async fn own_options(
    app: &App,
    conn: &mut Conn,
    whose: (&str, &str),
    purpose: Purpose<'_>,
    alone: bool,
) -> Result<Option<OptionsOut>> {
    let there = all(app, conn, whose).await?;
    if there.is_empty() {
        return Ok(None);
    }
    let site = relying_party(&app.settings.server)?;
    request_options(app, &site, purpose, &there, alone).map(Some)
}

fn request_options(
    app: &App,
    site: &Passki,
    purpose: Purpose<'_>,
    there: &[StoredPasskey],
    alone: bool,
) -> Result<OptionsOut> {
    let made = challenge::make(&app.root_key, purpose, app.clock.unix_ms());
    let mut options = AuthenticationOptions::default();
    options.timeout = challenge::LIFE_MS.unsigned_abs();
    options.user_verification = proof::verification(alone);
    let (mut asked, _) = site.start_passkey_authentication(there, options).map_err(Error::internal)?;
    asked.challenge = Passki::base64_encode(&made.bytes);
    let options = serde_json::to_value(asked).map_err(Error::internal)?;
    Ok(OptionsOut { options, expires_at: rfc3339(made.expires_at) })
}
