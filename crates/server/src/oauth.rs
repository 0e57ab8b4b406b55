//! OAuth 2.0 for those who hold a key: short tokens by client credentials (RFC 6749 §4.4) and token
//! exchange (RFC 8693), introspection (RFC 7662) and revocation (RFC 7009). How it is told over HTTP
//! stands in `http/oauth.rs`.

pub(crate) mod exchange;
pub(crate) mod introspect;
pub(crate) mod issue;

use std::sync::Arc;

use keyward_core::jwt::Origin;
use keyward_core::right::Right;
use keyward_core::token::AccessKey;

use crate::app::{Actor, App, Call};
use crate::error::{Error, Result};
use crate::http::caller;
use crate::tokens;
use crate::verify::Found;
use crate::verify::record::KeyRecord;
use crate::verify::tokens::Client;

/// A client that proved who it is: a key.
#[derive(Clone)]
pub(crate) struct Holder {
    pub(crate) found: Found,
    pub(crate) access_key: AccessKey,
    pub(crate) key: Arc<KeyRecord>,
    /// Which of its secrets was presented.
    pub(crate) generation: u32,
    /// When the key ends, Unix milliseconds.
    pub(crate) expires_at: Option<i64>,
    /// Changes up to this one are in the facts.
    pub(crate) as_of: i64,
    pub(crate) call: Call,
}

impl Holder {
    /// It as an actor in its tenant.
    pub(crate) fn actor(&self) -> Actor {
        caller::actor_of(&self.found, self.call.clone(), self.as_of).with_secret(Some(self.generation))
    }

    /// As tokens name it in `client_id`.
    pub(crate) fn client(&self) -> Client {
        Client::Key(self.access_key)
    }

    /// The secret that it came with.
    fn origin(&self) -> Origin {
        Origin { access_key: self.access_key, generation: self.generation }
    }

    fn may(&self, right: &Right) -> bool {
        self.found.effective.rights.covers(right)
    }
}

/// Ends a token that the client asked for itself; of others it learns nothing and changes nothing
/// (OAU-10).
pub(crate) async fn revoke(app: &Arc<App>, holder: &Holder, token: &str) -> Result<()> {
    let checked = app.verifier.read_token(token).await?;
    let Some(checked) = checked.filter(|checked| checked.client == holder.client()) else { return Ok(()) };
    let mut actor = holder.actor();
    // What it asked for it may end, whatever else it may.
    let right = "tokens:revoke".parse().expect("a constant right parses");
    actor.rights = Arc::new(std::iter::once(right).collect());
    actor.access_key = None;
    let work = {
        let app = app.clone();
        async move { tokens::end(&app, &actor, &checked).await }
    };
    app.control.spawn(work).await.map_err(Error::internal)?.map(drop)
}
