//! What a login answers with while the second factor is missing: a token that lives for minutes, is
//! good for giving a code, and works once.

use std::fmt;

use keyward_core::token;
use serde::Serialize;

use crate::app::{App, Tx};
use crate::audit::{Audited, Event};
use crate::clock::rfc3339;
use crate::error::Result;
use crate::factors::RECOVERY_CODE;
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
    challenge: String,
    /// Kinds of factors that do: `totp`, `recovery_code`.
    factors: Vec<String>,
    challenge_expires_at: String,
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
    let mut kinds: Vec<String> = rows.into_iter().map(|row| row.kind).collect();
    kinds.dedup();
    if factors::codes_left(tx.conn(), &tenant, &user.id).await? > 0 {
        kinds.push(RECOVERY_CODE.into());
    }
    let (token, id) = marks::generate(&app.root_key, token::CHALLENGE_PREFIX);
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
    };
    let event = Event::new("auth.challenge", "user", &user.id, &user.username);
    Ok(Some(Audited::new(made, event)))
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
