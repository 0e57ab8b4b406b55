//! Storage: every SQL statement of the server lives below this module, as static text that both
//! engines understand. Where SQLite and PostgreSQL differ, they differ in this file alone.

pub(crate) mod attempts;
pub(crate) mod audit;
mod bulk;
pub(crate) mod changes;
pub(crate) mod credits;
pub(crate) mod erasure;
pub(crate) mod factors;
pub(crate) mod group;
pub(crate) mod groups;
pub(crate) mod handovers;
pub(crate) mod idempotency;
pub(crate) mod imports;
pub(crate) mod incidents;
pub(crate) mod instance;
pub(crate) mod jobs;
pub(crate) mod key_networks;
pub(crate) mod keys;
pub(crate) mod leaks;
pub(crate) mod notifications;
pub(crate) mod page;
pub(crate) mod passkeys;
pub(crate) mod passwords;
pub(crate) mod policies;
pub(crate) mod revoked_tokens;
pub(crate) mod roles;
pub(crate) mod rotations;
pub(crate) mod segments;
pub(crate) mod sessions;
pub(crate) mod signing_keys;
pub(crate) mod sinks;
pub(crate) mod tenants;
pub(crate) mod token_budgets;
pub(crate) mod trusted;
pub(crate) mod usage;
pub(crate) mod users;
pub(crate) mod webhooks;

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnectOptions, PgListener, PgPoolOptions};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{PgConnection, PgPool, Postgres, Sqlite, SqlitePool};

use crate::error::{Error, Result};

/// The channel that wakes other nodes; what changed stands in the feed table.
const CHANNEL: &str = "keyward_changes";

/// The database of this instance.
#[derive(Clone)]
pub(crate) enum Db {
    /// The embedded engine: one writer connection, several readers.
    Sqlite {
        /// The only connection that writes.
        writer: SqlitePool,
        /// Read-only connections.
        readers: SqlitePool,
        /// The database file.
        path: PathBuf,
    },
    /// PostgreSQL 15 or later.
    Postgres(PgPool),
}

/// One connection, for the length of a read or a transaction.
pub(crate) enum Conn {
    /// To SQLite.
    Sqlite(PoolConnection<Sqlite>),
    /// To PostgreSQL.
    Postgres(PoolConnection<Postgres>),
}

/// Runs the same expression on the connection of either engine.
macro_rules! on {
    ($conn:expr, $c:ident => $body:expr) => {
        match $conn {
            $crate::store::Conn::Sqlite(held) => {
                let $c = &mut **held;
                $body
            }
            $crate::store::Conn::Postgres(held) => {
                let $c = &mut **held;
                $body
            }
        }
    };
}
pub(crate) use on;

impl Db {
    /// Opens the embedded database below the data directory, making it if there is none.
    pub(crate) async fn open_sqlite(path: &Path, timeout: Duration) -> Result<Self> {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(timeout)
            .pragma("wal_autocheckpoint", "4000")
            // What is deleted is overwritten, so that nothing of a deleted tenant stays in free space.
            .pragma("secure_delete", "ON");
        let writer = SqlitePoolOptions::new()
            .max_connections(1)
            .acquire_timeout(timeout)
            .test_before_acquire(false)
            .idle_timeout(None)
            .max_lifetime(None)
            .connect_with(options.clone())
            .await?;
        let readers = SqlitePoolOptions::new()
            .max_connections(4)
            .acquire_timeout(timeout)
            .test_before_acquire(false)
            .connect_lazy_with(
                // Half a megabyte of pages each: behind them is the cache of the operating system.
                options.read_only(true).create_if_missing(false).pragma("cache_size", "-500"),
            );
        Ok(Self::Sqlite { writer, readers, path: path.into() })
    }

    /// Connects to PostgreSQL.
    pub(crate) async fn open_postgres(url: &str, connections: u32, timeout: Duration) -> Result<Self> {
        let millis = timeout.as_millis().to_string();
        let options: PgConnectOptions = url.parse()?;
        let options = options.application_name("keyward").options([
            ("statement_timeout", millis.as_str()),
            ("lock_timeout", millis.as_str()),
            // A node that stops or is cut off in the midst of a write must not keep its locks from the others.
            ("idle_in_transaction_session_timeout", millis.as_str()),
        ]);
        let pool = PgPoolOptions::new()
            .max_connections(connections)
            .acquire_timeout(timeout)
            .test_before_acquire(false)
            .after_connect(|conn, _| Box::pin(refuse_standby(conn)))
            .connect_with(options)
            .await?;
        Ok(Self::Postgres(pool))
    }

    /// Brings the schema up to this binary; refuses a schema that is newer.
    pub(crate) async fn migrate(&self) -> Result<()> {
        let migrator = sqlx::migrate!();
        match self {
            Self::Sqlite { writer, .. } => migrator.run(writer).await,
            Self::Postgres(pool) => migrator.run(pool).await,
        }
        .map_err(|why| match why {
            sqlx::migrate::MigrateError::VersionMissing(version) => Error::Startup(format!(
                "the database was written by a newer version of keyward: this one does not know its schema \
                 version {version}. Start the newer version; nothing was changed."
            )),
            other => Error::Startup(format!("the database schema cannot be used: {other}")),
        })
    }

    /// A connection to read from.
    pub(crate) async fn read(&self) -> Result<Conn> {
        Ok(match self {
            Self::Sqlite { readers, .. } => Conn::Sqlite(readers.acquire().await?),
            Self::Postgres(pool) => Conn::Postgres(pool.acquire().await?),
        })
    }

    /// A connection with a transaction that may write. Nothing is kept unless it commits.
    pub(crate) async fn begin(&self) -> Result<Transaction> {
        let mut conn = match self {
            Self::Sqlite { writer, .. } => Conn::Sqlite(writer.acquire().await?),
            Self::Postgres(pool) => Conn::Postgres(pool.acquire().await?),
        };
        // SQLite must take the write lock at once: upgrading a read transaction can fail half-way.
        let begin = match conn {
            Conn::Sqlite(_) => "BEGIN IMMEDIATE",
            Conn::Postgres(_) => "BEGIN",
        };
        on!(&mut conn, c => sqlx::raw_sql(begin).execute(c).await.map(drop))?;
        Ok(Transaction { conn: Some(conn) })
    }

    /// Waits until another node says that something changed, on engines that can tell.
    pub(crate) async fn listener(&self) -> Result<Option<PgListener>> {
        let Self::Postgres(pool) = self else { return Ok(None) };
        let mut listener = PgListener::connect_with(pool).await?;
        listener.listen(CHANNEL).await?;
        Ok(Some(listener))
    }

    /// Overwrites what SQLite keeps of deleted rows beside its rows: pages in its log, and copies in
    /// the gaps that it leaves when it moves rows. `trace` is text that stood in the rows. Of
    /// PostgreSQL that is the work of its vacuum.
    pub(crate) async fn scrub(&self, trace: &str) -> Result<()> {
        let Self::Sqlite { writer, path, .. } = self else { return Ok(()) };
        fold_log(writer).await?;
        let (path, trace) = (path.clone(), trace.to_owned());
        let left = tokio::task::spawn_blocking(move || holds(&path, trace.as_bytes())).await;
        if left.map_err(Error::internal)?.map_err(Error::outage)? {
            sqlx::raw_sql("VACUUM").execute(writer).await?;
            fold_log(writer).await?;
        }
        Ok(())
    }

    /// Closes the connections that wait for use: when the server has ended one, the others are most likely dead too,
    /// and each would fail one request.
    pub(crate) fn close_idle(&self) {
        let Self::Postgres(pool) = self else { return };
        while let Some(conn) = pool.try_acquire() {
            drop(conn.detach());
        }
    }

    /// `sqlite` or `postgres`, for logs and metrics.
    pub(crate) fn engine(&self) -> &'static str {
        match self {
            Self::Sqlite { .. } => "sqlite",
            Self::Postgres(_) => "postgres",
        }
    }

    /// Closes every connection; SQLite folds its log into the database file.
    pub(crate) async fn close(&self) {
        match self {
            Self::Sqlite { writer, readers, .. } => {
                readers.close().await;
                writer.close().await;
            }
            Self::Postgres(pool) => pool.close().await,
        }
    }
}

/// A standby may lack what was acknowledged, such as a revocation: it is not believed before it is promoted.
async fn refuse_standby(conn: &mut PgConnection) -> Result<(), sqlx::Error> {
    let (is_standby,): (bool,) = sqlx::query_as("SELECT pg_is_in_recovery()").fetch_one(conn).await?;
    if is_standby {
        return Err(sqlx::Error::Protocol("the database is a standby that was not promoted".into()));
    }
    Ok(())
}

/// Moves the pages of the log into the database file and empties the log.
async fn fold_log(writer: &SqlitePool) -> Result<()> {
    let (busy, _, _): (i64, i64, i64) =
        sqlx::query_as("PRAGMA wal_checkpoint(TRUNCATE)").fetch_one(writer).await?;
    if busy == 0 { Ok(()) } else { Err(Error::outage("the log of the database is in use")) }
}

/// Whether the text stands anywhere in the file.
fn holds(path: &Path, text: &[u8]) -> std::io::Result<bool> {
    let mut file = std::fs::File::open(path)?;
    let (mut part, mut kept) = (vec![0; 1 << 20], 0);
    loop {
        let read = file.read(&mut part[kept..])?;
        let known = kept + read;
        if memchr::memmem::find(&part[..known], text).is_some() {
            return Ok(true);
        }
        if read == 0 {
            return Ok(false);
        }
        // The text may begin in this part and end in the next.
        kept = known.min(text.len() - 1);
        part.copy_within(known - kept..known, 0);
    }
}

/// A transaction. Dropped without commit, its connection is closed, which undoes it.
pub(crate) struct Transaction {
    conn: Option<Conn>,
}

impl Transaction {
    /// The connection, for store functions.
    pub(crate) fn conn(&mut self) -> &mut Conn {
        self.conn.as_mut().expect("a transaction holds its connection until it ends")
    }

    /// Serialises writers of one tenant, so that check and act see the same state (AZ-10).
    /// SQLite has one writer anyway.
    pub(crate) async fn lock_tenant(&mut self, tenant: &str) -> Result<()> {
        if let Conn::Postgres(c) = self.conn() {
            sqlx::query("SELECT pg_advisory_xact_lock(hashtextextended($1, 7))")
                .bind(tenant)
                .execute(&mut **c)
                .await?;
        }
        Ok(())
    }

    /// Wakes the other nodes when the transaction commits.
    pub(crate) async fn notify(&mut self) -> Result<()> {
        if let Conn::Postgres(c) = self.conn() {
            sqlx::query("SELECT pg_notify($1, '')").bind(CHANNEL).execute(&mut **c).await?;
        }
        Ok(())
    }

    /// Makes the changes durable.
    pub(crate) async fn commit(mut self) -> Result<()> {
        self.finish("COMMIT").await
    }

    /// Undoes the changes and gives the connection back.
    pub(crate) async fn rollback(mut self) -> Result<()> {
        self.finish("ROLLBACK").await
    }

    async fn finish(&mut self, how: &'static str) -> Result<()> {
        on!(self.conn(), c => sqlx::raw_sql(how).execute(c).await.map(drop))?;
        self.conn = None;
        Ok(())
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        match self.conn.take() {
            Some(Conn::Sqlite(conn)) => drop(conn.detach()),
            Some(Conn::Postgres(conn)) => drop(conn.detach()),
            None => {}
        }
    }
}

/// The name of the uniqueness rule that a statement broke, the same for both engines.
pub(crate) fn broken_rule(error: &sqlx::Error) -> Option<&'static str> {
    /// PostgreSQL tells the index, SQLite the columns.
    const RULES: [(&str, &str); 9] = [
        ("factors_credential", "factors.credential_id"),
        ("users_username", "users.username_key"),
        ("users_skeleton", "users.username_skeleton"),
        ("roles_name", "roles.name_key"),
        ("user_groups_name", "user_groups.name_key"),
        ("tenants_slug", "tenants.slug"),
        ("tenants_number", "tenants.number"),
        ("trusted_secrets_name", "trusted_secrets.name_key"),
        ("idempotency_pkey", "idempotency.idem_key"),
    ];
    let database = error.as_database_error().filter(|e| e.is_unique_violation())?;
    RULES
        .iter()
        .find(|(index, column)| match database.constraint() {
            Some(constraint) => constraint == *index,
            None => database.message().contains(column),
        })
        .map(|(index, _)| *index)
}

/// Whether the error means that the database cannot be used now, not that the request was wrong.
pub(crate) fn is_outage(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Database(database) => {
            let code = database.code().unwrap_or_default();
            // SQLite: BUSY 5, LOCKED 6, READONLY 8, IOERR 10, CORRUPT 11, FULL 13, CANTOPEN 14, NOTADB 26.
            let sqlite = code
                .parse::<u32>()
                .is_ok_and(|n| code.len() < 5 && matches!(n & 0xff, 5 | 6 | 8 | 10 | 11 | 13 | 14 | 26));
            // PostgreSQL: connection, resources, operator intervention, read-only, time-outs, system error.
            let postgres = code.len() == 5
                && (["08", "53", "57", "58"].iter().any(|class| code.starts_with(class))
                    || matches!(&*code, "25006" | "25P03" | "55P03" | "40001" | "40P01"));
            sqlite || postgres
        }
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::Protocol(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests;
