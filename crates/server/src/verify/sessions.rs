//! Sessions on the verify path (SQ5, SQ8, SES-3, SES-4). What the parser of keys refuses comes here,
//! so that a key pays nothing for it.

use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use keyward_core::decide::{
    Code, Decision, Finding, KeyFacts, Now, Request, SessionFacts, Step, decide, explain_session,
};
use keyward_core::id::{SessionId, TenantId, UserId};
use keyward_core::key::{KeyClass, SecretVersion};
use keyward_core::secret::SecretHash;
use keyward_core::session::{Method, Session};
use keyward_core::token::{self, AccessKey};

use super::cache::Need;
use super::facts::{Age, TenantRecord};
use super::{Ask, Found, Missing, Presented, Verified, Verifier};
use crate::error::{Error, Result};
use crate::marks;
use crate::store::sessions::{self, SessionRow};
use crate::store::{Conn, Db};

/// Sessions in one transaction of a flush.
const BATCH: usize = 512;
/// An idle session may have been used on another node: facts older than this are read again first.
const RECENT_MS: u64 = 1_000;

/// What is known about a session.
#[derive(Debug)]
pub(crate) struct SessionRecord {
    pub(crate) id: SessionId,
    pub(crate) handle: AccessKey,
    pub(crate) tenant_id: TenantId,
    pub(crate) user_id: Option<UserId>,
    /// The key that logged in, and the generation of its secret.
    pub(crate) origin: Option<(AccessKey, u32)>,
    pub(crate) method: Method,
    /// Whether a second factor was given.
    second_factor: bool,
    /// Whether its token counts in a cookie, and there alone (SES-7).
    pub(crate) in_cookie: bool,
    pub(crate) ended: bool,
    pub(crate) started_at: i64,
    pub(crate) stepped_up_at: i64,
    last_seen_at: AtomicI64,
    pub(crate) ends_at: Option<i64>,
    listed: AtomicBool,
    hash: SecretHash,
    pepper: u32,
    pub(crate) age: Age,
}

/// Reads the facts of a session; `None` when there is no such session.
pub(crate) async fn load_session(
    conn: &mut Conn,
    handle: AccessKey,
    now_ms: u64,
) -> Result<Option<SessionRecord>> {
    let row = sessions::load(conn, handle.digits()).await?;
    row.map(|row| SessionRecord::of(&row, now_ms)).transpose()
}

impl SessionRecord {
    fn of(row: &SessionRow, now_ms: u64) -> Result<Self> {
        let unreadable = || Error::internal("a stored session cannot be read");
        let handle = |text: &str| AccessKey::from_digits(text).ok_or_else(unreadable);
        let origin = match (row.access_key.as_deref(), row.generation) {
            (Some(key), Some(generation)) => {
                Some((handle(key)?, u32::try_from(generation).map_err(Error::internal)?))
            }
            _ => None,
        };
        Ok(Self {
            id: row.id.parse().map_err(Error::internal)?,
            handle: handle(&row.handle)?,
            tenant_id: row.tenant_id.parse().map_err(Error::internal)?,
            user_id: row.holder_id.parse().ok(),
            origin,
            method: Method::parse(&row.method).ok_or_else(unreadable)?,
            second_factor: row.second_factor.is_some(),
            in_cookie: row.in_cookie,
            ended: row.ended_at.is_some(),
            started_at: row.started_at,
            stepped_up_at: row.stepped_up_at,
            last_seen_at: AtomicI64::new(row.last_seen_at),
            ends_at: row.ends_at,
            listed: AtomicBool::new(false),
            hash: SecretHash::from_hex(&row.hash).ok_or_else(unreadable)?,
            pepper: u32::try_from(row.pepper_id).map_err(Error::internal)?,
            age: Age::new(now_ms),
        })
    }

    /// The facts that the decision reads.
    fn session(&self) -> Session {
        Session {
            method: self.method,
            second_factor: self.second_factor,
            ended: self.ended,
            started_at: self.started_at,
            last_seen_at: self.last_seen_at.load(Ordering::Relaxed),
            ends_at: self.ends_at,
        }
    }

    /// Whether it lacks a second factor that the tenant asks for.
    pub(crate) fn lacks_factor(&self, tenant: &TenantRecord, is_admin: bool) -> bool {
        tenant.tenant.policy.login.lacks_factor(self.method, self.second_factor, is_admin)
    }

    /// When it ends without further use, and when at the latest (SES-3).
    pub(crate) fn ends(&self, tenant: &TenantRecord, is_admin: bool) -> (i64, i64) {
        let times = (self.started_at, self.last_seen_at.load(Ordering::Relaxed));
        let (idle, latest) = tenant.tenant.policy.login.ends(is_admin, times, self.ends_at);
        (idle.min(latest), latest)
    }

    /// Takes over what outlives a reload: the last use.
    pub(super) fn carry_on(&mut self, old: &Self) {
        self.last_seen_at.fetch_max(old.last_seen_at.load(Ordering::Relaxed), Ordering::Relaxed);
    }

    /// Whether no decision can ever allow it again, so that nobody needs to remember it.
    pub(super) fn is_over(&self, now: i64) -> bool {
        let longest = i64::from(keyward_core::policy::MAX_SESSION_MINUTES) * 60_000;
        self.ended || now >= self.started_at.saturating_add(longest)
    }
}

impl Verifier {
    /// Verifies what is no key and no access token: the token of a session, or nothing of ours.
    pub(super) fn verify_session(&self, ask: &Ask<'_>, now: Now) -> Result<Verified, Missing> {
        let (token, in_cookie) = match ask.presented {
            Presented::Secret(token) => (token, false),
            Presented::Cookie(token) | Presented::Poll(token) => (token, true),
            _ => return self.verify_foreign(ask, now),
        };
        if token::parse_other(token, token::SESSION_PREFIX).is_none() {
            return self.verify_foreign(ask, now);
        }
        let verified = self.judge_session((token, in_cookie), (ask.tenant, &ask.request), now)?;
        self.note_session(&verified, ask, now);
        Ok(verified)
    }

    /// Decides about the token of a session; nobody has used it by that.
    pub(super) fn judge_session(
        &self,
        (token, in_cookie): (&str, bool),
        (tenant, request): (Option<TenantId>, &Request<'_>),
        now: Now,
    ) -> Result<Verified, Missing> {
        let Some((record, matches)) = self.known_session(token, now)? else {
            return Ok(Verified::refused(Code::UnknownKey));
        };
        let known = record.in_cookie == in_cookie && tenant.is_none_or(|id| id == record.tenant_id);
        if !(matches && known) {
            return Ok(Verified::refused(if known { Code::WrongSecret } else { Code::UnknownKey }));
        }
        self.judge_known(request, &record, now)
    }

    /// The session that a token names, and whether it is its token.
    pub(super) fn known_session(
        &self,
        token: &str,
        now: Now,
    ) -> Result<Option<(Arc<SessionRecord>, bool)>, Missing> {
        let Some(handle) = token::parse_other(token, token::SESSION_PREFIX) else { return Ok(None) };
        let known = self.cache.session(handle, now);
        if known.is_err() && !marks::is_ours(&self.root_key, token::SESSION_PREFIX, handle, token) {
            // Made up: nothing is read for it.
            return Ok(None);
        }
        let Some(record) = known? else { return Ok(None) };
        self.knows_pepper(record.pepper)?;
        let peppers = self.peppers.load();
        let pepper = peppers.iter().find(|pepper| pepper.id() == record.pepper);
        let matches = pepper.is_some_and(|pepper| pepper.hash(token).matches(&record.hash));
        Ok(Some((record, matches)))
    }

    /// Decides about a session whose token is the right one.
    fn judge_known(
        &self,
        request: &Request<'_>,
        record: &Arc<SessionRecord>,
        now: Now,
    ) -> Result<Verified, Missing> {
        let Some(found) = self.find_by_session(record, now)? else {
            return Ok(Verified::refused(Code::UnknownKey));
        };
        let secret = found.key.as_ref().zip(record.origin).map(|((_, key), (_, generation))| {
            key.secrets().find(|version| version.generation == generation)
        });
        let secret = match secret {
            // The secret that logged in is gone, and not even retired.
            Some(None) => return Ok(Verified::refused(Code::Revoked)),
            Some(Some(secret)) => Some(secret),
            None => None,
        };
        let decision = self.settle_session(&found, record, secret.as_ref(), request, now)?;
        Ok(Verified { decision, found: Some(found), secret, token: None })
    }

    /// The facts that a session rests on; `None` when key or tenant are gone.
    fn find_by_session(&self, record: &Arc<SessionRecord>, now: Now) -> Result<Option<Found>, Need> {
        if let Some((access_key, _)) = record.origin {
            let found = self.find(access_key, now)?;
            return Ok(found.map(|found| Found { session: Some(record.clone()), ..found }));
        }
        let Some(user) = record.user_id else { return Ok(None) };
        let Some(tenant) = self.cache.tenant(record.tenant_id, now)? else { return Ok(None) };
        let Some(owner) = self.cache.user(record.tenant_id, user, now)? else { return Ok(None) };
        let effective = tenant.effective(KeyClass::Member, None, &owner.grant);
        let session = Some(record.clone());
        Ok(Some(Found { key: None, session, owner: Some(owner), tenant, effective }))
    }

    /// Decides, and spends the limits and credits of the key behind it if the answer is yes.
    fn settle_session(
        &self,
        found: &Found,
        record: &SessionRecord,
        secret: Option<&SecretVersion>,
        request: &Request<'_>,
        now: Now,
    ) -> Result<Decision, Need> {
        let session = record.session();
        let judge = |key: Option<KeyFacts<'_>>| {
            decide(&Finding::Session(SessionFacts { key, ..self.facts_of(found, &session) }), request, now)
        };
        let decision = match secret {
            Some(secret) => self.settle(found, secret, (request.cost, now), |facts| judge(Some(*facts)))?,
            None => judge(None),
        };
        if let Decision::Deny { code: Code::Idle, .. } = decision
            && (now.monotonic_ns / 1_000_000).saturating_sub(record.age.loaded_ms()) > RECENT_MS
        {
            return Err(Need::Session(record.handle));
        }
        Ok(decision)
    }

    fn facts_of<'a>(&self, found: &'a Found, session: &'a Session) -> SessionFacts<'a> {
        SessionFacts {
            session,
            allowed: self.allows_login(&found.tenant, session.method),
            owner: found.owner.as_ref().map(|owner| &owner.owner),
            tenant: &found.tenant.tenant,
            rights: &found.effective.rights,
            is_admin: found.effective.is_admin,
            key: None,
        }
    }

    /// Whether instance and tenant allow this way to log in (VA2).
    pub(crate) fn allows_login(&self, tenant: &TenantRecord, method: Method) -> bool {
        method != Method::Password || (self.passwords && tenant.tenant.policy.login.passwords)
    }

    /// A use of a session that came from a key is a use of the key too.
    fn note_session(&self, verified: &Verified, ask: &Ask<'_>, now: Now) {
        let Some(found) = &verified.found else { return };
        let Some(session) = &found.session else { return };
        if matches!(ask.presented, Presented::Poll(_)) {
            return;
        }
        match verified.decision {
            Decision::Allow { .. } => {
                self.seen.note(session, now.unix_ms);
                if let Some((key, secret)) = found.key().zip(verified.secret) {
                    self.usage.allowed(key, secret.generation, ask.sighting, now.unix_ms);
                }
            }
            Decision::Deny { code, .. } => {
                if let Some(key) = found.key() {
                    self.usage.denied(key, code);
                }
            }
        }
    }

    /// Every check of a session with its outcome, `key` being the facts of the key behind it (X2).
    pub(super) fn explain_session(
        &self,
        found: &Found,
        session: &SessionRecord,
        key: Option<KeyFacts<'_>>,
        request: &Request<'_>,
        now: Now,
    ) -> Vec<Step> {
        let session = session.session();
        explain_session(&SessionFacts { key, ..self.facts_of(found, &session) }, request, now)
    }
}

/// Sessions that were used, on their way into the store (X8).
#[derive(Default)]
pub(crate) struct SeenSessions(Mutex<Vec<Arc<SessionRecord>>>);

impl SeenSessions {
    fn note(&self, record: &Arc<SessionRecord>, now: i64) {
        record.last_seen_at.fetch_max(now, Ordering::Relaxed);
        if !record.listed.swap(true, Ordering::AcqRel) {
            self.records().push(record.clone());
        }
    }

    fn records(&self) -> MutexGuard<'_, Vec<Arc<SessionRecord>>> {
        self.0.lock().expect("no code panics while it lists")
    }

    /// Writes when they were used last. What cannot be written goes back on the list.
    pub(crate) async fn flush(&self, db: &Db) -> Result<()> {
        let waiting = std::mem::take(&mut *self.records());
        for (at, records) in waiting.chunks(BATCH).enumerate() {
            if let Err(error) = write(db, records).await {
                self.records().extend(waiting[at * BATCH..].iter().cloned());
                return Err(error);
            }
        }
        Ok(())
    }
}

async fn write(db: &Db, records: &[Arc<SessionRecord>]) -> Result<()> {
    let mut tx = db.begin().await?;
    for record in records {
        record.listed.store(false, Ordering::Release);
        let (tenant, id) = (record.tenant_id.to_string(), record.id.to_string());
        sessions::seen(tx.conn(), &tenant, &id, record.last_seen_at.load(Ordering::Relaxed)).await?;
    }
    tx.commit().await
}
