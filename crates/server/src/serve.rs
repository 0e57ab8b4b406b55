//! Start to end of a server: everything is wired here, in one place.

use std::fs;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use keyward_core::key::KeyClass;
use keyward_core::token::Prefixes;
use tokio::runtime::Handle;
use tokio::signal::unix::{SignalKind, signal};

use crate::app::{App, KnownRights};
use crate::attempts::NamesInTurn;
use crate::clock::Clock;
use crate::config::{self, Loaded, Settings};
use crate::error::{Error, Result};
use crate::hashers::Hashers;
use crate::http::metrics::{self, Metrics};
use crate::http::server::Server;
use crate::http::tls::Tls;
use crate::imports::ways::{self, Ways};
use crate::jobs::expiry_notice::Watch;
use crate::jobs::outbox::Outbox;
use crate::logging::LogLevels;
use crate::mail::Mailer;
use crate::mints::Mints;
use crate::notices::Notices;
use crate::outbound::Outbound;
use crate::refusals::Refusals;
use crate::seal::{self, RootKey};
use crate::store::group::Writers;
use crate::store::{Db, changes, instance};
use crate::syslog::Syslog;
use crate::verify::cache::{Cache, CacheSettings};
use crate::verify::limits::{FailureThrottle, ModeThrottle, ReportThrottle};
use crate::verify::{Sealed, Verifier, feed, keyring};
use crate::{checkpoints, jobs, root_key, setup, signing_keys};

const DATABASE: &str = "keyward.db";
const SETUP_TOKEN: &str = "setup-token";

/// Opens database and keys, makes what a first start needs, and builds the application.
pub(crate) async fn open(loaded: Loaded, log_levels: LogLevels) -> Result<Arc<App>> {
    let configuration = config::rows(&loaded);
    let settings = loaded.settings;
    make_data_dir(&settings.data_dir)?;
    let alone = lock_data_dir(&settings.data_dir);
    let db = open_database(&settings).await?;
    let root_key = Arc::new(unlock(&settings, &db).await?);
    db.migrate().await?;
    let clock = Clock::start();
    initialise(&db, &root_key, clock, &settings).await?;
    drop(alone);
    let mut conn = db.read().await?;
    // Read first: what changes while the rest is read comes with the feed.
    let applied = changes::newest(&mut conn).await?;
    let peppers = seal::load_peppers(&root_key, &mut conn).await?;
    let keyring = keyring::load(&root_key, &mut conn, clock.monotonic_ms()).await?;
    let import_ways = Ways::load(&root_key, &mut conn).await?;
    drop(conn);
    let control = Handle::current();
    let cache = Cache::new(db.clone(), control.clone(), clock, root_key.clone(), cache_settings(&settings));
    cache.health.go_on_from(&applied);
    cache.health.confirmed_ms.store(clock.monotonic_ms(), Ordering::Release);
    let hashers = Arc::new(Hashers::start(settings.login.hashers, settings.login.queue));
    let verifier = Verifier::new(
        Arc::new(cache),
        prefixes(&settings),
        Sealed { peppers, keyring, import_ways },
        root_key.clone(),
        hashers.clone(),
        clock,
        &settings,
    );
    let mailer = Mailer::new(&settings.mail)?;
    let outbound = Outbound::new(&settings.webhooks)?;
    let syslog = Syslog::new(&settings.audit.syslog)?;
    Ok(Arc::new(App {
        writers: Writers::new(db.clone()),
        db,
        clock,
        settings,
        configuration,
        control,
        rights: KnownRights::default(),
        root_key,
        verifier,
        metrics: Metrics::default(),
        log_levels,
        failures: FailureThrottle::new(),
        reports: ReportThrottle::new(),
        mode: ModeThrottle::new(),
        hashers,
        attempts: NamesInTurn::default(),
        refusals: Refusals::default(),
        notices: Notices::default(),
        mints: Mints::default(),
        outbox: Outbox::default(),
        expiry_watch: Watch::default(),
        mailer,
        outbound,
        syslog,
        minting: crate::trusted::subject::Memory::default(),
        set_up: AtomicBool::new(false),
        draining: AtomicBool::new(false),
        own_changes: std::sync::Mutex::default(),
    }))
}

fn make_data_dir(folder: &Path) -> Result<()> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .map_err(|why| Error::Startup(format!("cannot make the data folder {}: {why}", folder.display())))
}

/// Of several nodes that start on one data folder at once, one prepares it and the others wait: the
/// migrations of SQLite and a new root key have no lock of their own.
fn lock_data_dir(folder: &Path) -> Option<fs::File> {
    let locked = fs::File::open(folder).and_then(|file| file.lock().map(|()| file));
    locked
        .inspect_err(|error| tracing::warn!(%error, "the data folder cannot be locked during the start"))
        .ok()
}

/// Makes what a database needs that is used for the first time.
async fn initialise(db: &Db, root_key: &RootKey, clock: Clock, settings: &Settings) -> Result<()> {
    let mut tx = db.begin().await?;
    tx.lock_tenant(seal::INSTANCE).await?;
    root_key.remember(tx.conn()).await?;
    // Another node may have been first, with another root key.
    root_key.check(tx.conn()).await?;
    if instance::peppers(tx.conn()).await?.is_empty() {
        seal::add_pepper(root_key, tx.conn(), 1, clock.unix_ms()).await?;
    }
    ways::make_key(root_key, tx.conn(), clock.unix_ms()).await?;
    checkpoints::make_signing_key(root_key, tx.conn(), clock.unix_ms()).await?;
    signing_keys::make_first(root_key, tx.conn(), settings.tokens.algorithm, clock.unix_ms()).await?;
    tx.commit().await
}

async fn open_database(settings: &Settings) -> Result<Db> {
    let timeout = settings.database.timeout;
    let opened = match settings.database.url.as_ref().map(config::SecretUrl::expose) {
        Some(url) if !url.starts_with("sqlite:") => {
            Db::open_postgres(url, settings.database.max_connections, timeout).await
        }
        Some(url) => {
            let path = url.trim_start_matches("sqlite:").trim_start_matches("//");
            Db::open_sqlite(Path::new(path), timeout).await
        }
        None => Db::open_sqlite(&settings.data_dir.join(DATABASE), timeout).await,
    };
    opened.map_err(|error| match error {
        Error::Outage(cause) | Error::Internal(cause) => {
            Error::Startup(format!("the database cannot be opened: {cause}"))
        }
        other => other,
    })
}

/// Reads the root key and makes sure that it belongs to this database before anything is written.
async fn unlock(settings: &Settings, db: &Db) -> Result<RootKey> {
    let fresh = !is_initialised(db).await?;
    let root_key = root_key::read(settings, fresh).await?;
    if !fresh {
        root_key.check(&mut db.read().await?).await?;
    }
    Ok(root_key)
}

/// Whether the database was sealed with some root key before.
async fn is_initialised(db: &Db) -> Result<bool> {
    let mut conn = db.read().await?;
    Ok(instance::exists(&mut conn).await? && instance::value(&mut conn, "root_key_check").await?.is_some())
}

fn cache_settings(settings: &Settings) -> CacheSettings {
    CacheSettings {
        max_staleness: settings.verify.max_staleness,
        on_database_loss: settings.verify.on_database_loss,
        unknown_ttl: settings.verify.unknown_key_ttl,
        max_unknown: settings.verify.max_cached_unknown,
        timeout: settings.database.timeout,
    }
}

fn prefixes(settings: &Settings) -> Prefixes {
    let prefixes = &settings.keys.prefixes;
    let written = [prefixes.member.clone(), prefixes.workspace.clone(), prefixes.ingest.clone()];
    // An accepted prefix of old is written class:prefix, or stands for member keys.
    let accepted = settings.keys.accepted_prefixes.iter().map(|text| match text.split_once(':') {
        Some((class, prefix)) => (prefix.to_owned(), KeyClass::parse(class).unwrap_or(KeyClass::Member)),
        None => (text.clone(), KeyClass::Member),
    });
    Prefixes::new(written, accepted.collect())
}

/// A server that accepts connections.
pub(crate) struct Running {
    pub(crate) app: Arc<App>,
    pub(crate) address: std::net::SocketAddr,
    server: Server,
}

/// Where the kernel uses huge pages unasked, it is asked not to: an idle server takes half as much.
pub(crate) fn save_memory() {
    if let Err(error) = rustix::thread::disable_transparent_huge_pages(true) {
        tracing::debug!(%error, "huge pages could not be switched off");
    }
}

/// Starts jobs and listeners.
pub(crate) async fn start(app: Arc<App>) -> Result<Running> {
    harden();
    // The feed must have been read once before this node says that it is ready.
    feed::poll(&app).await?;
    let tls = match app.settings.server.tls.pair() {
        Some((cert, key)) => Some(Tls::load(cert, key)?),
        None => None,
    };
    if let Some(tls) = &tls {
        tokio::spawn(tls.clone().follow());
    }
    // A changed setting of the signing keys need not wait for the job.
    signing_keys::keep_up(&app).await?;
    tokio::spawn(feed::follow(app.clone()));
    jobs::start(&app);
    if let Some(listen) = app.settings.metrics.listen {
        serve_metrics(app.clone(), listen).await?;
    }
    let server = Server::start(app.clone(), tls).await?;
    Ok(Running { address: server.address, app, server })
}

/// No core dumps, no look into our memory by others of the same user (STO-9).
fn harden() {
    use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    if let Err(error) = setrlimit(Resource::Core, none) {
        tracing::warn!(%error, "core dumps could not be switched off");
    }
    if let Err(error) = set_dumpable_behavior(DumpableBehavior::NotDumpable) {
        tracing::warn!(%error, "the process could not be made undumpable");
    }
}

async fn serve_metrics(app: Arc<App>, listen: std::net::SocketAddr) -> Result<()> {
    let listener = tokio::net::TcpListener::bind(listen).await.map_err(|why| {
        let setting = "metrics.listen (KEYWARD_METRICS__LISTEN) names another address, or none";
        Error::Startup(format!("cannot listen for metrics on {listen}: {why}; {setting}"))
    })?;
    let router = metrics::router(app);
    tokio::spawn(async move {
        if let Err(error) = axum::serve(listener, router).await {
            tracing::error!(%error, "the metrics listener stopped");
        }
    });
    Ok(())
}

impl Running {
    /// Serves until SIGTERM or SIGINT, then drains: not ready at once, requests in flight end,
    /// what was gathered in memory is written (R6).
    pub(crate) async fn until_stopped(self) -> Result<()> {
        let mut terminate = signal(SignalKind::terminate()).map_err(Error::internal)?;
        let mut interrupt = signal(SignalKind::interrupt()).map_err(Error::internal)?;
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("draining");
        self.app.draining.store(true, Ordering::Release);
        self.server.drain(self.app.settings.server.drain).await;
        let finish = tokio::time::timeout(std::time::Duration::from_secs(15), jobs::finish(&self.app));
        if !matches!(finish.await, Ok(Ok(()))) {
            tracing::error!("what was gathered in memory could not be written");
        }
        self.app.db.close().await;
        Ok(())
    }
}

/// Writes a fresh setup token for an instance without administrator; returns where (OPS-1).
pub(crate) async fn offer_setup(app: &App) -> Result<Option<PathBuf>> {
    if app.is_set_up().await? {
        return Ok(None);
    }
    let token = setup::make_token(app).await?;
    let file = app.settings.data_dir.join(SETUP_TOKEN);
    let fail = |why| Error::Startup(format!("{}: {why}", file.display()));
    let _ = fs::remove_file(&file);
    let mut out =
        fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&file).map_err(fail)?;
    std::io::Write::write_all(&mut out, format!("{}\n", token.expose()).as_bytes()).map_err(fail)?;
    Ok(Some(file))
}

/// Removes the file of a token that was used.
pub(crate) fn forget_token(data_dir: &Path) {
    let _ = fs::remove_file(data_dir.join(SETUP_TOKEN));
}
