//! What a login answers with while the second factor is missing: a token that lives for minutes, is
//! good for giving a code or a passkey, and works once.

use std::fmt;

use keyward_core::token;
use serde::Serialize;

use crate::app::{App, Tx};
use crate::audit::{Audited, Event};
use crate::clock::rfc3339;
use crate::error::{Error, Result};
use crate::factors::passkeys::challenge::Purpose;
use crate::factors::passkeys::{self, PASSKEY};
use crate::factors::{OptionsOut, RECOVERY_CODE};
use crate::marks;
use crate::sessions;
use crate::store::factors::{self, ChallengeRow};
use crate::store::users::{self, UserRow};

/// A code is given within so long.
const CHALLENGE_MS: i64 = 5 * 60_000;

/// A login that waits for its second factor, as its caller sees it.
#[derive(Serialize)]
pub(crate) struct Challenge {
    /// To be sent with the code to `/v1/auth/login/factor`.
    pub(crate) challenge: String,
    /// Kinds of factors that do: `totp`, `passkey`, `recovery_code`.
    pub(crate) factors: Vec<String>,
    pub(crate) challenge_expires_at: String,
    /// For a user who has a passkey: what the browser is asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) passkey: Option<OptionsOut>,
}

impl fmt::Debug for Challenge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Challenge")
    }
}

/// Makes a challenge for a user who has a second factor; nothing for any other.
pub(super) async fn make(app: &App, tx: &mut Tx<'_>, user: &UserRow) -> Result<Option<Audited<Challenge>>> {
    let (tenant, now) = (tx.tenant().to_owned(), tx.now);
    let rows = factors::confirmed(tx.conn(), &tenant, &user.id).await?;
    if rows.is_empty() {
        return Ok(None);
    }
    let (token, id) = marks::generate(&app.root_key, token::CHALLENGE_PREFIX);
    let passkey = ask_passkey(app, tx, user, id.digits()).await?;
    let mut kinds: Vec<String> = Vec::new();
    for row in rows {
        if !kinds.contains(&row.kind) && (row.kind != PASSKEY || passkey.is_some()) {
            kinds.push(row.kind);
        }
    }
    if factors::codes_left(tx.conn(), &tenant, &user.id).await? > 0 {
        kinds.push(RECOVERY_CODE.into());
    }
    let (pepper_id, hash) = sessions::hash(app, &token);
    let row = ChallengeRow {
        tenant_id: tenant,
        id: id.digits().into(),
        user_id: user.id.clone(),
        pepper_id,
        hash,
        expires_at: now + CHALLENGE_MS,
    };
    factors::insert_challenge(tx.conn(), &row).await?;
    let made = Challenge {
        challenge: token.expose().into(),
        factors: kinds,
        challenge_expires_at: rfc3339(row.expires_at),
        passkey,
    };
    let event = Event::new("auth.challenge", "user", &user.id, &user.username);
    Ok(Some(Audited::new(made, event)))
}

/// What a passkey is asked for, if the user has one. A server that cannot have passkeys any more leaves
/// the other factors as they are.
async fn ask_passkey(app: &App, tx: &mut Tx<'_>, user: &UserRow, id: &str) -> Result<Option<OptionsOut>> {
    let whose = (user.tenant_id.as_str(), user.id.as_str());
    match passkeys::own_options(app, tx.conn(), whose, Purpose::Factor(id), false).await {
        Err(Error::Conflict { .. }) => Ok(None),
        asked => asked,
    }
}

/// The challenge of a token that still works, and whose it is.
pub(super) async fn find(app: &App, token: &str) -> Result<Option<(ChallengeRow, UserRow)>> {
    let token = token.trim();
    let Some(id) = token::parse_other(token, token::CHALLENGE_PREFIX) else { return Ok(None) };
    if !marks::is_ours(&app.root_key, token::CHALLENGE_PREFIX, id, token) {
        return Ok(None);
    }
    let mut conn = app.read().await?;
    let Some(row) = factors::find_challenge(&mut conn, id.digits()).await? else { return Ok(None) };
    let fits = sessions::matches(app, token, row.pepper_id, &row.hash);
    if !fits || row.expires_at <= app.clock.unix_ms() {
        return Ok(None);
    }
    let user = users::find(&mut conn, &row.tenant_id, &row.user_id).await?;
    Ok(user.map(|user| (row, user)))
}
