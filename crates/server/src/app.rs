//! The application: what every handler and job shares, and the one way to write.

use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use keyward_core::right::{Right, RightSet};
use keyward_core::session::{FRESH_MS, Method};
use keyward_core::token::AccessKey;
use serde::{Deserialize, Serialize};
use tokio::runtime::Handle;

use crate::attempts::NamesInTurn;
use crate::audit::{self, Audited, Event};
use crate::clock::Clock;
use crate::config::{Row, Settings};
use crate::error::{Error, Result};
use crate::hashers::Hashers;
use crate::http::metrics::Metrics;
use crate::jobs::expiry_notice::Watch;
use crate::jobs::outbox::Outbox;
use crate::logging::LogLevels;
use crate::mail::Mailer;
use crate::mints::Mints;
use crate::notices::Notices;
use crate::outbound::Outbound;
use crate::refusals::Refusals;
use crate::seal::RootKey;
use crate::store::changes;
use crate::store::group::{Turn, Writers};
use crate::store::idempotency::{self, IdempotencyKey};
use crate::store::{Conn, Db, tenants};
use crate::syslog::Syslog;
use crate::verify::Verifier;
use crate::verify::facts::{self, Grant, TenantRecord};

/// What every handler and job shares.
pub(crate) struct App {
    pub(crate) db: Db,
    pub(crate) writers: Writers,
    pub(crate) clock: Clock,
    pub(crate) settings: Settings,
    /// The same as it was written, each value with its source, secrets masked (VA1).
    pub(crate) configuration: Vec<Row>,
    /// Where management, jobs and the database live.
    pub(crate) control: Handle,
    pub(crate) rights: KnownRights,
    pub(crate) root_key: Arc<RootKey>,
    pub(crate) verifier: Verifier,
    pub(crate) metrics: Metrics,
    pub(crate) log_levels: LogLevels,
    pub(crate) failures: crate::verify::limits::FailureThrottle,
    /// Those who report leaks.
    pub(crate) reports: crate::verify::limits::ReportThrottle,
    /// Keys that speak the dialect of Mode.
    pub(crate) mode: crate::verify::limits::ModeThrottle,
    pub(crate) hashers: Arc<Hashers>,
    pub(crate) attempts: NamesInTurn,
    pub(crate) refusals: Refusals,
    pub(crate) notices: Notices,
    pub(crate) mints: Mints,
    pub(crate) outbox: Outbox,
    pub(crate) expiry_watch: Watch,
    /// The way to the mail server, where there is one.
    pub(crate) mailer: Option<Mailer>,
    /// The way to webhooks.
    pub(crate) outbound: Outbound,
    /// The way to the syslog receiver, where there is one.
    pub(crate) syslog: Option<Syslog>,
    /// What the minting of tokens remembers.
    pub(crate) minting: crate::trusted::subject::Memory,
    /// There is a primary tenant; until then only health and setup answer (OPS-1).
    pub(crate) set_up: AtomicBool,
    /// The server is shutting down: not ready any more (R6).
    pub(crate) draining: AtomicBool,
    /// Changes of this node, already applied, that the feed will show once more.
    pub(crate) own_changes: Mutex<HashSet<i64>>,
}

/// Rights that the hot routes ask about, parsed once.
pub(crate) struct KnownRights {
    pub(crate) verify_call: Right,
    pub(crate) verify_explain: Right,
    pub(crate) enter_tenants: Right,
}

impl Default for KnownRights {
    fn default() -> Self {
        let right = |text: &str| text.parse().expect("a constant right parses");
        Self {
            verify_call: right("verify:call"),
            verify_explain: right("verify:explain"),
            enter_tenants: right("instance/tenants:enter"),
        }
    }
}

/// Who acts.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Principal {
    /// `user`, `workspace` or `system`.
    pub(crate) kind: String,
    /// User id, key id of a workspace key, or the name of the command.
    pub(crate) id: String,
    /// User name or label at the time.
    pub(crate) label: String,
}

/// Where a request came from.
#[derive(Clone, Debug, Default)]
pub(crate) struct Call {
    pub(crate) request_id: String,
    pub(crate) address: Option<IpAddr>,
    pub(crate) agent: Option<String>,
    /// A page asks by itself, and perhaps nobody is there: no use of its session (SES-3).
    pub(crate) by_itself: bool,
}

/// The session that a request came with.
#[derive(Clone, Debug)]
pub(crate) struct SessionRef {
    /// `session_…`
    pub(crate) id: String,
    /// The id inside its token.
    pub(crate) handle: AccessKey,
    pub(crate) method: Method,
    /// It came in a cookie, which browsers send along unasked.
    pub(crate) in_cookie: bool,
    /// It lacks the second factor that the tenant asks for: it may add one, and nothing else.
    pub(crate) enrolment_only: bool,
    /// The last proof of password, secret or code.
    pub(crate) stepped_up_at: i64,
    /// When it ends without further use.
    pub(crate) idle_at: i64,
    /// When it ends at the latest.
    pub(crate) ends_at: i64,
}

/// A principal with what it may do, in one tenant, for one request.
#[derive(Clone, Debug)]
pub(crate) struct Actor {
    /// The tenant that is acted on.
    pub(crate) tenant_id: String,
    pub(crate) principal: Principal,
    pub(crate) key_id: Option<String>,
    /// Which secret of the key was presented.
    pub(crate) secret_generation: Option<u32>,
    /// The key, or that which the session came from, for looking its rights up again.
    pub(crate) access_key: Option<AccessKey>,
    /// The session, for the same.
    pub(crate) session: Option<SessionRef>,
    /// What it may do in `tenant_id`.
    pub(crate) rights: Arc<RightSet>,
    /// An operator who entered a tenant that is not its own.
    pub(crate) visiting: bool,
    /// Authenticated by an access token, which changes nothing (IMP-2).
    pub(crate) by_token: bool,
    /// Changes up to this one are in `rights`.
    pub(crate) as_of: i64,
    pub(crate) call: Call,
    /// Nothing shall be kept: tell only whether it would work.
    pub(crate) validate_only: bool,
    pub(crate) idempotency: Option<IdempotencyKey>,
    /// The version that the caller has seen.
    pub(crate) if_match: Option<i64>,
}

impl Actor {
    /// A local command of the operating system's user, with every right (OPS-2).
    pub(crate) fn local(tenant: &str, command: &str) -> Self {
        let instance: Right = "instance/**:*".parse().expect("a constant right parses");
        let rights = RightSet::everything().iter().cloned().chain([instance]).collect();
        Self {
            tenant_id: tenant.into(),
            principal: Principal { kind: "system".into(), id: command.into(), label: command.into() },
            key_id: None,
            secret_generation: None,
            access_key: None,
            session: None,
            rights: Arc::new(rights),
            visiting: false,
            by_token: false,
            as_of: i64::MAX,
            call: Call { request_id: format!("local-{}", crate::random::hex::<8>()), ..Call::default() },
            validate_only: false,
            idempotency: None,
            if_match: None,
        }
    }

    /// Somebody who may do nothing until told otherwise.
    pub(crate) fn powerless(tenant: &str, principal: Principal, call: Call) -> Self {
        let rights = Arc::new(RightSet::default());
        Self { principal, rights, call, ..Self::local(tenant, "") }
    }

    /// The same with the secret that was presented (KEY-9).
    pub(crate) fn with_secret(self, generation: Option<u32>) -> Self {
        Self { secret_generation: generation, ..self }
    }

    /// The id of the user who acts, if it is one.
    pub(crate) fn user_id(&self) -> Option<&str> {
        (self.principal.kind == "user" && !self.visiting).then_some(self.principal.id.as_str())
    }

    /// Whether the right is held.
    pub(crate) fn may(&self, right: &str) -> bool {
        right.parse().is_ok_and(|right| self.rights.covers(&right))
    }

    /// Refuses a session whose last proof of password or secret is too old for what is dangerous
    /// (SES-6). A key proves itself with each request.
    pub(crate) fn must_be_fresh(&self, now: i64) -> Result<()> {
        match &self.session {
            Some(session) if now >= session.stepped_up_at.saturating_add(FRESH_MS) => {
                Err(Error::forbidden("step_up_required", crate::http::problems::detail("step_up_required")))
            }
            _ => Ok(()),
        }
    }

    /// Refuses unless the version is the one that the caller has seen (`If-Match`).
    pub(crate) fn check_version(&self, version: i64) -> Result<()> {
        match self.if_match {
            Some(seen) if seen != version => Err(Error::StaleVersion),
            _ => Ok(()),
        }
    }
}

/// An open transaction of one actor in one tenant.
pub(crate) struct Tx<'a> {
    turn: Turn<'a>,
    /// The tenant's facts in memory, if they are those of this transaction too.
    known: Option<Arc<TenantRecord>>,
    pub(crate) actor: &'a Actor,
    /// The actor's rights as they are inside this transaction.
    pub(crate) rights: Arc<RightSet>,
    pub(crate) now: i64,
}

impl Tx<'_> {
    /// The connection, for store functions.
    pub(crate) fn conn(&mut self) -> &mut Conn {
        self.turn.transaction().conn()
    }

    /// Waits for the writers of another tenant, and bars them until this transaction ends.
    pub(crate) async fn lock_tenant(&mut self, tenant: &str) -> Result<()> {
        self.turn.transaction().lock_tenant(tenant).await
    }

    /// The tenant that is acted on.
    pub(crate) fn tenant(&self) -> &str {
        &self.actor.tenant_id
    }

    /// The tenant's facts as they are inside this transaction.
    pub(crate) async fn directory(&mut self) -> Result<Arc<TenantRecord>> {
        if let Some(known) = &self.known {
            return Ok(known.clone());
        }
        let id = self.tenant().parse().map_err(Error::internal)?;
        let read = facts::load_tenant(self.conn(), id, 0).await?.ok_or(Error::NotFound)?;
        Ok(Arc::new(read))
    }

    /// Roles, groups or policy were changed in this transaction: from now on they are read anew.
    pub(crate) fn directory_changed(&mut self) {
        self.known = None;
    }

    /// Nobody gives what they do not hold (AZ-5), nobody edits their betters (AZ-6).
    pub(crate) fn must_cover(&self, rights: &RightSet, code: &'static str, what: &str) -> Result<()> {
        match rights.iter().find(|right| !self.rights.covers(right)) {
            None => Ok(()),
            Some(right) => Err(Error::forbidden(code, format!("{what}, and you do not hold {right}"))),
        }
    }

    /// A command on the server itself, by which somebody gets back in: rules of the tenant do not bar it.
    pub(crate) fn is_local(&self) -> bool {
        self.actor.principal.kind == "system"
    }

    /// As [`Actor::must_be_fresh`].
    pub(crate) fn must_be_fresh(&self) -> Result<()> {
        self.actor.must_be_fresh(self.now)
    }

    /// Refuses unless the right is held inside this transaction.
    pub(crate) fn must_hold(&self, right: &str) -> Result<()> {
        let right: Right = right.parse().map_err(Error::internal)?;
        if self.rights.covers(&right) {
            return Ok(());
        }
        Err(Error::forbidden("insufficient_rights", format!("this needs the right {right}")))
    }
}

impl App {
    /// The only way to write: begin, change, audit, feed, commit, apply to the own cache.
    ///
    /// The actor's rights are looked up again inside the transaction if anything about it changed
    /// since it was authenticated, so that check and act are one (AZ-10).
    ///
    /// # Errors
    /// Whatever `work` refuses with, and `Error::Outage` when the database cannot be used. Either
    /// way nothing has changed.
    pub(crate) async fn write<T>(
        &self,
        actor: &Actor,
        work: impl AsyncFnOnce(&mut Tx<'_>) -> Result<Audited<T>>,
    ) -> Result<T> {
        let deadline = self.settings.database.timeout * 2;
        tokio::time::timeout(deadline, self.write_unbounded(actor, work)).await.map_err(Error::outage)?
    }

    async fn write_unbounded<T>(
        &self,
        actor: &Actor,
        work: impl AsyncFnOnce(&mut Tx<'_>) -> Result<Audited<T>>,
    ) -> Result<T> {
        let mut turn = self.writers.enter().await?;
        // Every refusal takes back its own part: a turn that is dropped undoes those it shares with.
        let (rights, known) = match self.look_up(&mut turn, actor).await {
            Ok(found) => found,
            Err(error) => {
                turn.undo().await?;
                return Err(error);
            }
        };
        let now = self.clock.unix_ms();
        let mut tx = Tx { turn, known, actor, rights, now };
        let audited = match work(&mut tx).await {
            Ok(audited) => audited,
            Err(error) => {
                tx.turn.undo().await?;
                return Err(error);
            }
        };
        if actor.validate_only {
            tx.turn.undo().await?;
            return Ok(audited.value);
        }
        let has_news = !audited.events.is_empty();
        let first = match self.record(&mut tx, audited.events, &audited.changes).await {
            Ok(first) => first,
            Err(error) => {
                tx.turn.undo().await?;
                return Err(error);
            }
        };
        tx.turn.keep().await?;
        self.apply_own(first, &audited.changes);
        if has_news {
            self.outbox.changed(&actor.tenant_id);
        }
        for change in audited.changes.iter().filter(|change| change.kind.is_sealed()) {
            self.verifier.reload(change.kind).await?;
        }
        Ok(audited.value)
    }

    /// Bars other writers of the tenant, and reads what the actor may do.
    async fn look_up(
        &self,
        turn: &mut Turn<'_>,
        actor: &Actor,
    ) -> Result<(Arc<RightSet>, Option<Arc<TenantRecord>>)> {
        turn.transaction().lock_tenant(&actor.tenant_id).await?;
        self.live_rights(turn.transaction().conn(), actor).await
    }

    /// Applies changes to the own cache; the feed will show them once more.
    fn apply_own(&self, first: i64, touched: &[changes::Change]) {
        let mut own = self.own_changes.lock().expect("no code panics while it holds this lock");
        for (seq, change) in (first..).zip(touched) {
            self.verifier.cache.apply(change);
            own.insert(seq);
        }
    }

    /// Appends audit rows and feed entries. The row of the change clock is locked from here to
    /// the commit, which orders both.
    async fn record(&self, tx: &mut Tx<'_>, events: Vec<Event>, touched: &[changes::Change]) -> Result<i64> {
        let (actor, now) = (tx.actor, tx.now);
        let count = i64::try_from(touched.len()).map_err(Error::internal)?;
        let first = changes::advance(tx.conn(), count).await? + 1;
        changes::append_many(tx.conn(), first, now, touched).await?;
        for event in events {
            audit::append(tx.conn(), actor, event, now).await?;
        }
        if count > 0 {
            tx.turn.transaction().notify().await?;
        }
        if let Some(key) = &actor.idempotency {
            idempotency::mark_committed(tx.conn(), key).await?;
        }
        Ok(first)
    }

    /// A connection for reading.
    pub(crate) async fn read(&self) -> Result<Conn> {
        let deadline = self.settings.database.timeout;
        tokio::time::timeout(deadline, self.db.read()).await.map_err(Error::outage)?
    }

    /// Whether the instance has its first administrator; asked of the database until it has.
    pub(crate) async fn is_set_up(&self) -> Result<bool> {
        if self.set_up.load(Ordering::Acquire) {
            return Ok(true);
        }
        let mut conn = self.read().await?;
        let set_up = tenants::find_primary(&mut conn).await?.is_some();
        self.set_up.store(set_up, Ordering::Release);
        Ok(set_up)
    }

    /// Refuses before the instance has its first administrator; costs a load once it has.
    pub(crate) async fn must_be_set_up(&self) -> Result<()> {
        if self.set_up.load(Ordering::Relaxed) || Box::pin(self.is_set_up()).await? {
            return Ok(());
        }
        Err(Error::NotSetUp)
    }

    /// The rights that a grant gives in the tenant of the transaction.
    pub(crate) fn rights_of(
        directory: &TenantRecord,
        roles: &[String],
        groups: &[String],
    ) -> Result<RightSet> {
        let parse = |list: &[String]| list.join(",");
        let grant = Grant {
            roles: facts::split_ids(Some(&parse(roles)))?,
            groups: facts::split_ids(Some(&parse(groups)))?,
        };
        Ok(directory.rights_of(&grant))
    }
}
