//! Whose a credential is that somebody found (LEAK-3, LEAK-4, X10). Nothing is used by it: no use is
//! counted, no limit spent, no refusal noted.

use keyward_core::decide::{Now, Request};
use keyward_core::id::{KeyId, TenantId};
use keyward_core::key::SecretVersion;
use keyward_core::{jwt, token};

use super::cache::Need;
use super::sessions::SessionRecord;
use super::trusted::{Backend, Closed};
use super::usage::Sighting;
use super::{Ask, Found, Missing, PATIENCE_NS, Presented, Verified, Verifier};
use crate::error::{Error, Result};

/// A credential that is the right one, be it dead or alive.
pub(crate) enum Recognised {
    /// A secret of a key.
    Key(FoundSecret),
    /// A trusted secret.
    Trusted(Box<Backend>),
    /// The token of a session.
    Session(std::sync::Arc<SessionRecord>),
}

/// A secret of a key.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FoundSecret {
    pub(crate) tenant: TenantId,
    pub(crate) key: KeyId,
    pub(crate) version: SecretVersion,
}

impl FoundSecret {
    fn of(found: &Found, version: SecretVersion) -> Self {
        let key = found.key().expect("it was found by its key");
        Self { tenant: found.tenant.id, key: key.id, version }
    }
}

impl Verifier {
    /// Finds whose it is; `None` for what is nobody's, or only looks like somebody's.
    ///
    /// # Errors
    /// `Error::Outage` when facts are missing and cannot be read.
    pub(crate) async fn recognise(&self, text: &str) -> Result<Option<Recognised>> {
        if token::parse_trusted(text).is_some() {
            return Ok(match self.backend(text, None).await? {
                Ok(backend) => Some(Recognised::Trusted(Box::new(backend))),
                Err(Closed::Barred(_, backend)) => Some(Recognised::Trusted(backend)),
                Err(Closed::Unknown) => None,
            });
        }
        if token::parse_other(text, token::SESSION_PREFIX).is_some() {
            let known = self.settled(|now| self.known_session(text, now)).await?;
            return Ok(known.filter(|(_, fits)| *fits).map(|(record, _)| Recognised::Session(record)));
        }
        Ok(self.recognise_secret(text).await?.map(Recognised::Key))
    }

    /// What the verifier says of a token that somebody asks about: of a session that stands in no cookie, or an
    /// access token.
    ///
    /// # Errors
    /// As [`Self::recognise`].
    pub(crate) async fn look_at(&self, token: &str, tenant: Option<TenantId>) -> Result<Verified> {
        let request = Request { cost: 0, ..Request::default() };
        self.settled(|now| {
            if !jwt::is_compact(token) {
                return self.judge_session((token, false), (tenant, &request), now);
            }
            let (presented, sighting) = (Presented::Token(token), Sighting::default());
            self.verify_token(token, &Ask { presented, request, sighting, tenant, now }, now)
        })
        .await
    }

    /// The key whose secret it is.
    ///
    /// # Errors
    /// As [`Self::recognise`].
    pub(crate) async fn recognise_secret(&self, text: &str) -> Result<Option<FoundSecret>> {
        self.settled(|now| self.known_secret(text, now)).await
    }

    fn known_secret(&self, text: &str, now: Now) -> Result<Option<FoundSecret>, Missing> {
        let Some(parsed) = token::parse(text, &self.prefixes) else {
            let found = self.known_foreign(text, now)?;
            return Ok(found.map(|(found, version)| FoundSecret::of(&found, version)));
        };
        let Some(found) = self.find(parsed.access_key, now)? else { return Ok(None) };
        let key = found.key().expect("it was found by its key");
        self.knows_peppers(key)?;
        let version = self.matching_secret(key, &parsed).filter(|_| key.terms.class == parsed.class);
        if version.is_none() && key.age.is_stale() {
            return Err(Need::Key(parsed.access_key).into());
        }
        Ok(version.map(|version| FoundSecret::of(&found, version)))
    }

    /// Looks until nothing is missing any more.
    async fn settled<T>(&self, look: impl Fn(Now) -> Result<T, Missing>) -> Result<T> {
        let began = self.clock.now();
        loop {
            let now = self.clock.now();
            match look(now) {
                Ok(found) => return Ok(found),
                Err(missing) => self.learn(missing).await?,
            }
            if now.monotonic_ns.saturating_sub(began.monotonic_ns) > PATIENCE_NS {
                return Err(Error::outage("facts grow old faster than they can be read"));
            }
        }
    }
}
