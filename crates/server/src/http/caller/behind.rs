//! What stands behind a credential that was opened by another one: a session, and the token of a session.

use std::sync::Arc;

use keyward_core::jwt;
use keyward_core::token::AccessKey;

use super::{Identity, Who, actor_of};
use crate::app::{Actor, Call};
use crate::verify::Found;
use crate::verify::sessions::SessionRecord;
use crate::verify::tokens::Origin;

impl Identity {
    /// The session of this key that was presented.
    pub(crate) fn session(&self) -> Option<&SessionRecord> {
        let Who::Key(found) = &self.who else { return None };
        found.session.as_deref()
    }

    /// So many seconds, or fewer where what was presented ends before.
    pub(crate) fn within(&self, seconds: i64, now: i64) -> i64 {
        let left = self.expires_at.map(|end| end.saturating_sub(now).div_euclid(1000).max(0));
        left.map_or(seconds, |left| left.min(seconds))
    }

    /// The public part of the session that this mark of a token names, if the token came straight from a key.
    /// Whoever issues with a mark lets its tokens stand for their keys; what was exchanged, or asked for by
    /// anybody else, has no such token, whatever marks it carries.
    pub(crate) fn session_behind(&self, mark: &str) -> Option<AccessKey> {
        let Who::Token(found) = &self.who else { return None };
        let Origin::Key(key) = &found.origin else { return None };
        let (claims, id) = (&found.checked.claims, found.origin.id());
        // For a user it is the key who acts (RFC 8693 §4.1).
        let is_own = |actor: &jwt::Actor| actor.act.is_none() && actor.sub == id;
        let straight = claims.root.is_none() && claims.via.is_empty() && claims.parents.is_empty();
        let stands = straight && claims.act.as_ref().is_none_or(is_own) && key.may_manage();
        let handle = claims.ext.get(mark).filter(|_| stands)?.as_str()?;
        AccessKey::from_digits(handle)
    }

    /// The key behind a token in a session that it opened: as good as that session, no fresher, and over with
    /// it. `None` for another key's session, and for one that has ended.
    pub(crate) fn key_in(&self, session: Arc<SessionRecord>, now: i64, call: Call) -> Option<Actor> {
        let Who::Token(token) = &self.who else { return None };
        let Origin::Key(key) = &token.origin else { return None };
        let origin = token.checked.claims.origin;
        let is_own = session.origin == Some((origin.access_key, origin.generation));
        let (idle_at, _) = session.ends(&key.tenant, key.effective.is_admin);
        if !is_own || session.ended || session.in_cookie || now >= idle_at {
            return None;
        }
        let found = Found { session: Some(session), ..key.clone() };
        Some(actor_of(&found, call, self.as_of).with_secret(Some(origin.generation)))
    }
}
