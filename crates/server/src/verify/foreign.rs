//! Credentials that were made elsewhere (X11): looked up only when a text is none of ours, and only where
//! something was imported, so that no key of our own pays for it.

pub(in crate::verify) mod proof;

use std::sync::Arc;

use keyward_core::decide::{Code, Now};
use keyward_core::id::TenantId;
use keyward_core::key::SecretVersion;
use keyward_core::secret::SecretHash;
use keyward_core::token::AccessKey;
use zeroize::Zeroizing;

use super::cache::Need;
use super::facts::Age;
use super::record::KeyRecord;
use super::{Ask, Found, Missing, Presented, Verified, Verifier, names_tenant};
use crate::error::{Error, Result};
use crate::imports::{self, ways};
use crate::seal::{self, RootKey};
use crate::store::Conn;
use crate::store::imports::{self as store, ImportedRow};

/// A hash that fits nothing known makes us read the key again this often at most.
const GUESSED_MS: u64 = 1_000;

/// What a handle leads to.
#[derive(Debug)]
pub(crate) struct ForeignRecord {
    tenant_id: TenantId,
    access_key: AccessKey,
    generation: u32,
    /// The row of one whose slow hash nobody has proven yet.
    unproven: Option<Box<ImportedRow>>,
    pub(crate) age: Age,
}

/// Reads what a handle leads to; `None` when it leads nowhere.
pub(crate) async fn load(conn: &mut Conn, handle: AccessKey, now_ms: u64) -> Result<Option<ForeignRecord>> {
    let Some(row) = store::load(conn, handle.digits()).await? else { return Ok(None) };
    let access_key = AccessKey::from_digits(&row.access_key);
    Ok(Some(ForeignRecord {
        tenant_id: row.tenant_id.parse().map_err(Error::internal)?,
        access_key: access_key
            .ok_or_else(|| Error::internal("an imported key has no readable access key"))?,
        generation: u32::try_from(row.generation).map_err(Error::internal)?,
        unproven: row.sealed.is_some().then(|| Box::new(row)),
        age: Age::new(now_ms),
    }))
}

/// A text with what was presented beside it.
#[derive(Clone, Copy)]
struct Foreign<'a> {
    text: &'a str,
    /// The user name of Basic, where it is one of our access keys. Whatever else stands there was of use
    /// elsewhere, and tells nothing here.
    access_key: Option<AccessKey>,
    tenant: Option<&'a str>,
}

impl<'a> Foreign<'a> {
    fn of(presented: Presented<'a>) -> Option<Self> {
        let (tenant, user, text) = match presented {
            Presented::Secret(text) => (None, None, text),
            Presented::Pair(user, text) => (None, Some(user), text),
            Presented::Triple(tenant, user, text) => (Some(tenant), Some(user), text),
            Presented::Token(_) | Presented::Cookie(_) | Presented::Poll(_) => return None,
        };
        let access_key = user.and_then(AccessKey::parse);
        ways::is_credential(text).then_some(Self { text, access_key, tenant })
    }
}

/// What one way leads to.
enum Lead {
    /// The key whose secret it is.
    Right(Box<Found>, SecretVersion),
    /// A key whose secret it is not.
    Wrong(Arc<KeyRecord>),
    /// A key whose slow hash is yet to be computed.
    Unproven,
    Nobody,
}

/// What all ways together lead to.
#[derive(Default)]
struct Trail {
    right: Option<(Found, SecretVersion)>,
    wrong: Vec<Arc<KeyRecord>>,
    unproven: Vec<Arc<ForeignRecord>>,
}

/// What must be read before a trail can be told.
#[derive(Default)]
struct Gaps {
    needs: Vec<Need>,
    other: Option<Missing>,
}

impl Gaps {
    fn add(&mut self, missing: Missing) {
        match missing {
            Missing::Facts(need) => self.needs.push(need),
            other => self.other = Some(other),
        }
    }

    fn are_none(&self) -> bool {
        self.needs.is_empty() && self.other.is_none()
    }

    fn into_missing(self) -> Option<Missing> {
        if self.needs.is_empty() { self.other } else { Some(Missing::Several(self.needs)) }
    }
}

impl Verifier {
    /// Verifies what is no credential of ours.
    pub(super) fn verify_foreign(&self, ask: &Ask<'_>, now: Now) -> Result<Verified, Missing> {
        let ways = self.import_ways.load();
        let foreign = Foreign::of(ask.presented)
            .filter(|foreign| !ways.is_empty() && !ways::is_own_form(foreign.text, &self.prefixes));
        let Some(foreign) = foreign else { return Ok(Verified::refused(Code::Malformed)) };
        let trail = self.follow(foreign, ask.tenant, ways.fingerprints(foreign.text, ask.tenant), now)?;
        if let Some((found, secret)) = trail.right {
            return self.verify_found(ask, found, secret, foreign.text, now);
        }
        if !trail.unproven.is_empty() {
            return Err(Missing::Proof(trail.unproven));
        }
        trail.wrong.iter().for_each(|key| self.usage.denied(key, Code::WrongSecret));
        let code = if trail.wrong.is_empty() { Code::UnknownKey } else { Code::WrongSecret };
        Ok(Verified::refused(code))
    }

    /// The key whose imported secret a text is, be it dead or alive; without those that nobody has proven.
    pub(super) fn known_foreign(
        &self,
        text: &str,
        now: Now,
    ) -> Result<Option<(Found, SecretVersion)>, Missing> {
        let ways = self.import_ways.load();
        let foreign = Foreign::of(Presented::Secret(text))
            .filter(|foreign| !ways.is_empty() && !ways::is_own_form(foreign.text, &self.prefixes));
        let Some(foreign) = foreign else { return Ok(None) };
        self.follow(foreign, None, ways.fast_fingerprints(text), now).map(|trail| trail.right)
    }

    /// Goes all ways up to the first that leads to its key. What is behind one counts only when it is known
    /// of all before it, so that the answer does not depend on what is in memory.
    fn follow(
        &self,
        foreign: Foreign<'_>,
        tenant: Option<TenantId>,
        fingerprints: impl Iterator<Item = SecretHash>,
        now: Now,
    ) -> Result<Trail, Missing> {
        let (mut trail, mut gaps) = (Trail::default(), Gaps::default());
        for fingerprint in fingerprints {
            let record = match self.cache.foreign(ways::handle(&fingerprint), now) {
                Ok(Some(record)) => record,
                Ok(None) => continue,
                Err(need) => {
                    gaps.add(need.into());
                    continue;
                }
            };
            match self.lead(foreign, tenant, &record, &fingerprint, now) {
                Ok(Lead::Right(found, secret)) => {
                    trail.right = Some((*found, secret));
                    break;
                }
                Ok(Lead::Wrong(key)) => trail.wrong.push(key),
                Ok(Lead::Unproven) => trail.unproven.push(record),
                Ok(Lead::Nobody) => {}
                Err(missing) => gaps.add(missing),
            }
        }
        if gaps.are_none() { Ok(trail) } else { Err(gaps.into_missing().expect("there are some")) }
    }

    fn lead(
        &self,
        foreign: Foreign<'_>,
        tenant: Option<TenantId>,
        record: &ForeignRecord,
        fingerprint: &SecretHash,
        now: Now,
    ) -> Result<Lead, Missing> {
        let found = self.find(record.access_key, now)?;
        let fits = |found: &Found| {
            record.tenant_id == found.tenant.id
                && tenant.is_none_or(|id| id == found.tenant.id)
                && foreign.tenant.is_none_or(|name| names_tenant(&found.tenant, name))
                && foreign.access_key.is_none_or(|access_key| access_key == record.access_key)
        };
        let Some(found) = found.filter(fits) else { return Ok(Lead::Nobody) };
        let key = found.key().expect("it was found by its key").clone();
        let known = key.secrets().find(|version| version.generation == record.generation);
        let Some(secret) = known else { return Ok(Lead::Nobody) };
        if secret.pepper == imports::UNPROVEN && record.unproven.is_some() {
            return Ok(Lead::Unproven);
        }
        if self.is_text_of(&secret, foreign.text, fingerprint)? {
            return Ok(Lead::Right(Box::new(found), secret));
        }
        // Another node may have seen its first use since.
        key.age.must_be_younger(GUESSED_MS, now, Need::Key(record.access_key))?;
        Ok(Lead::Wrong(key))
    }

    /// Before its first use an imported secret is known by its fingerprint, from then on as any other.
    fn is_text_of(
        &self,
        secret: &SecretVersion,
        text: &str,
        fingerprint: &SecretHash,
    ) -> Result<bool, Missing> {
        if secret.pepper == imports::UNPROVEN {
            return Ok(secret.hash.matches(fingerprint));
        }
        self.knows_pepper(secret.pepper)?;
        let peppers = self.peppers.load();
        let pepper = peppers.iter().find(|pepper| pepper.id() == secret.pepper);
        Ok(pepper.is_some_and(|pepper| pepper.hash(text).matches(&secret.hash)))
    }
}

/// The slow hash of a row.
pub(crate) async fn unseal(root: &RootKey, conn: &mut Conn, row: &ImportedRow) -> Result<Zeroizing<String>> {
    let Some(sealed) = &row.sealed else { return Err(Error::internal("nothing is sealed here")) };
    let text = seal::open(root, conn, imports::place(&row.tenant_id, &row.key_id), sealed).await?;
    let text = std::str::from_utf8(&text).map_err(|_| Error::Damaged("a slow hash is no text".into()))?;
    Ok(Zeroizing::new(text.to_owned()))
}
