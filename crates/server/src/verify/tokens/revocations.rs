//! Which tokens were ended by their id.

use keyward_core::id::TokenId;

use super::checked::Checked;
use crate::error::{Error, Result};
use crate::store::{Conn, revoked_tokens};
use crate::verify::facts::Age;

/// So far may clocks lie apart when the end of a token is judged.
const SKEW_SECONDS: i64 = 3605;

/// Ids of tokens that were revoked, with the seconds when each would have ended.
pub(crate) struct Revocations {
    ids: papaya::HashMap<u128, i64, foldhash::fast::RandomState>,
    pub(crate) age: Age,
}

impl Revocations {
    /// Reads those that count: the others are of tokens that are over.
    pub(crate) async fn load(conn: &mut Conn, unix_ms: i64, now_ms: u64) -> Result<Self> {
        let ids = papaya::HashMap::default();
        for (id, expires_at) in revoked_tokens::since(conn, unix_ms / 1000 - SKEW_SECONDS).await? {
            let id: TokenId = id.parse().map_err(Error::internal)?;
            ids.pin().insert(id.as_u128(), expires_at);
        }
        Ok(Self { ids, age: Age::new(now_ms) })
    }

    /// One more, as the feed spells it.
    pub(crate) fn add(&self, subject: &str) {
        if let Some((id, end)) = read_subject(subject) {
            self.ids.pin().insert(id.as_u128(), end);
        }
    }

    /// Forgets tokens that are over anyway.
    pub(crate) fn forget_before(&self, unix_seconds: i64) {
        self.ids.pin().retain(|_, end| *end >= unix_seconds);
    }

    /// Whether this very token was ended.
    #[cfg(test)]
    pub(crate) fn holds(&self, id: TokenId) -> bool {
        self.ids.pin().contains_key(&id.as_u128())
    }

    /// Whether the token was ended, or one that it came of.
    pub(super) fn hold(&self, token: &Checked) -> bool {
        let ids = self.ids.pin();
        token.parents.iter().chain([&token.id]).any(|id| ids.contains_key(&id.as_u128()))
    }
}

/// How the feed tells of a revoked token.
pub(crate) fn subject_of(id: TokenId, expires_at: i64) -> String {
    format!("{id}.{expires_at}")
}

fn read_subject(text: &str) -> Option<(TokenId, i64)> {
    let (id, end) = text.split_once('.')?;
    Some((id.parse().ok()?, end.parse().ok()?))
}
