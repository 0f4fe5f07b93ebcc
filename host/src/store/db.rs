//! The door to the database driver: which database is open, and how code runs on it.

use std::{
    path::Path,
    str::FromStr as _,
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

use sqlx::{
    Connection as _, PgPool, SqlitePool,
    migrate::{MigrateError, Migrator},
    postgres::{PgConnectOptions, PgPoolOptions},
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};

use super::{StoreError, look_up::LookUp};
use crate::{config::DatabaseUrl, metrics::Metrics};

/// The same for both databases.
static MIGRATIONS: Migrator = sqlx::migrate!("./migrations");

/// How long a writer waits for another before it gives up.
const BUSY_TIMEOUT: Duration = Duration::from_secs(30);

/// How long a query waits for a connection.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(30);

const READERS: u32 = 8;
const POSTGRES_CONNECTIONS: u32 = 16;

/// An open database, and what counts the time that is spent on it.
#[derive(Clone, Debug)]
pub(super) struct Db {
    pub(super) driver: Driver,
    metrics: Arc<OnceLock<Arc<Metrics>>>,
}

/// Whose database it is.
#[derive(Clone, Debug)]
pub(super) enum Driver {
    /// SQLite has one writer at a time. Its own connection makes the writers of
    /// this process queue up here, where the queue is fair; those of other
    /// processes meet in the driver.
    Sqlite {
        /// For what nearly every request looks up; not for a database in memory.
        look_up: Option<LookUp>,
        /// For what only reads.
        read: SqlitePool,
        /// For everything else.
        write: SqlitePool,
    },
    /// PostgreSQL.
    Postgres(PgPool),
}

/// Runs an expression with a connection pool for reading.
macro_rules! read {
    ($db:expr, $pool:ident => $body:expr) => {{
        let _timed = $db.timed();
        match &$db.driver {
            crate::store::db::Driver::Sqlite { read: $pool, .. } => $body,
            crate::store::db::Driver::Postgres($pool) => $body,
        }
    }};
}

/// Runs a block in a transaction and commits it; whatever leaves the block
/// early rolls it back.
macro_rules! transact {
    ($db:expr, $tx:ident => $body:block) => {{
        let _timed = $db.timed();
        match &$db.driver {
            crate::store::db::Driver::Sqlite { write, .. } => {
                // A deferred transaction could fail half-way for want of the lock.
                let mut $tx = write.begin_with("begin immediate").await?;
                let value = $body;
                $tx.commit().await?;
                value
            }
            crate::store::db::Driver::Postgres(pool) => {
                let mut $tx = pool.begin().await?;
                let value = $body;
                $tx.commit().await?;
                value
            }
        }
    }};
}

/// Runs one statement that writes.
macro_rules! change {
    ($db:expr, $pool:ident => $body:expr) => {{
        let _timed = $db.timed();
        match &$db.driver {
            crate::store::db::Driver::Sqlite { write: $pool, .. } => $body,
            crate::store::db::Driver::Postgres($pool) => $body,
        }
    }};
}

pub(super) use {change, read, transact};

/// Whether a database that is to be opened may be made first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Missing {
    Make,
    Refuse,
}

impl Db {
    /// Opens a database and changes nothing in it.
    pub(super) async fn open(url: &DatabaseUrl, missing: Missing) -> Result<Self, StoreError> {
        let open = |source| StoreError::Open { url: url.clone(), source };
        if url.is_postgres() {
            let options = PgConnectOptions::from_str(url.with_password()).map_err(open)?;
            let pool = PgPoolOptions::new()
                .acquire_timeout(ACQUIRE_TIMEOUT)
                .max_connections(POSTGRES_CONNECTIONS)
                .connect_with(options)
                .await
                .map_err(open)?;
            return Ok(Driver::Postgres(pool).into());
        }
        let options = SqliteConnectOptions::from_str(url.with_password())
            .map_err(open)?
            .foreign_keys(true)
            .busy_timeout(BUSY_TIMEOUT)
            .statement_cache_capacity(256);
        let pool = |connections| {
            SqlitePoolOptions::new()
                .acquire_timeout(ACQUIRE_TIMEOUT)
                .max_connections(connections)
                .min_connections(1)
                .idle_timeout(None)
                .max_lifetime(None)
                // A file does not hang up, and asking would double each query.
                .test_before_acquire(false)
        };
        if url.is_in_memory() {
            // Each further connection would have a database of its own.
            let one = pool(1).connect_with(options).await.map_err(open)?;
            return Ok(Driver::Sqlite { look_up: None, read: one.clone(), write: one }.into());
        }
        if missing == Missing::Make {
            keep_private(options.get_filename()).map_err(|e| open(sqlx::Error::Io(e)))?;
        }
        let options = match missing {
            Missing::Refuse => options.read_only(true),
            // An acknowledged write survives the machine, not only the process.
            Missing::Make => {
                options.journal_mode(SqliteJournalMode::Wal).synchronous(SqliteSynchronous::Full)
            }
        };
        // SQLite itself rolls back where a disk is full, and the driver goes on as if its
        // transaction were open: such a connection could never begin another.
        let writer = || {
            pool(1).after_release(|connection, _| {
                Box::pin(async {
                    // A rollback that is still to be done comes before the answer.
                    connection.ping().await?;
                    Ok(!connection.is_in_transaction())
                })
            })
        };
        let started = Instant::now();
        let write = loop {
            match writer().connect_with(options.clone()).await {
                // While one process changes the mode of the file, others are
                // refused without being let wait.
                Err(error) if is_locked(&error) && started.elapsed() < BUSY_TIMEOUT => {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                opened => break opened.map_err(open)?,
            }
        };
        let look_up = Some(LookUp::new(options.get_filename()));
        let read = pool(READERS).connect_with(options).await.map_err(open)?;
        Ok(Driver::Sqlite { look_up, read, write }.into())
    }

    /// Has what is spent on it counted from now on.
    pub(super) fn count_in(&self, metrics: &Arc<Metrics>) {
        let _ = self.metrics.set(Arc::clone(metrics));
    }

    /// Counts the time until it is dropped, however that comes about.
    pub(super) fn timed(&self) -> Option<Timed<'_>> {
        let metrics = self.metrics.get()?;
        Some(Timed { metrics, since: Instant::now() })
    }

    /// The rows of a statement without leaving this thread, where that is possible.
    pub(super) fn look_up<T>(
        &self,
        sql: &'static str,
        parameters: impl rusqlite::Params,
        read: impl FnMut(&rusqlite::Row<'_>) -> rusqlite::Result<T>,
    ) -> Option<Vec<T>> {
        let Driver::Sqlite { look_up: Some(look_up), .. } = &self.driver else { return None };
        let asked = Instant::now();
        // Without an answer the driver is asked, and counted.
        let rows = look_up.rows(sql, parameters, read)?;
        if let Some(metrics) = self.metrics.get() {
            metrics.stored(asked.elapsed());
        }
        Some(rows)
    }

    /// Brings the tables to where this version wants them. Who comes second waits.
    pub(super) async fn migrate(&self, url: &DatabaseUrl) -> Result<(), StoreError> {
        let failed = |source| match source {
            MigrateError::VersionMissing(_) => StoreError::Newer(url.clone()),
            MigrateError::VersionMismatch(_) => StoreError::Unreleased(url.clone()),
            source => StoreError::Migrate { url: url.clone(), source },
        };
        match &self.driver {
            // The driver locks nothing here, so that two would begin at once.
            Driver::Sqlite { write, .. } => {
                let mut connection = write.acquire().await?;
                let mut tx = connection.begin_with("begin immediate").await?;
                MIGRATIONS.run_direct(None, &mut *tx, false).await.map_err(failed)?;
                tx.commit().await?;
            }
            Driver::Postgres(pool) => {
                let mut connection = pool.acquire().await?;
                MIGRATIONS.run_direct(None, &mut *connection, false).await.map_err(failed)?;
            }
        }
        Ok(())
    }

    /// Whether there is a table of this name.
    pub(super) async fn has_table(&self, name: &str) -> Result<bool, sqlx::Error> {
        Ok(!self.columns(name).await?.is_empty())
    }

    /// The columns of a table; none where there is no such table.
    pub(super) async fn columns(&self, table: &str) -> Result<Vec<String>, sqlx::Error> {
        match &self.driver {
            Driver::Sqlite { read, .. } => {
                sqlx::query_scalar("select name from pragma_table_info($1)")
                    .bind(table)
                    .fetch_all(read)
                    .await
            }
            Driver::Postgres(pool) => {
                sqlx::query_scalar(
                    "select column_name::text from information_schema.columns
                     where table_schema = any (current_schemas(false)) and table_name = $1",
                )
                .bind(table)
                .fetch_all(pool)
                .await
            }
        }
    }

    /// The version of the last migration, and of the last that this version knows.
    pub(super) async fn versions(&self) -> Result<(Option<i64>, i64), sqlx::Error> {
        let known = MIGRATIONS.iter().map(|migration| migration.version).max().unwrap_or_default();
        if !self.has_table("_sqlx_migrations").await? {
            return Ok((None, known));
        }
        let applied = read!(self, pool => {
            sqlx::query_scalar("select max(version) from _sqlx_migrations where success")
                .fetch_one(pool)
                .await?
        });
        Ok((applied, known))
    }

    /// What the database's own clock says, in seconds since the Unix epoch. SQLite's is
    /// this machine's.
    pub(super) async fn now(&self) -> Result<Option<u64>, sqlx::Error> {
        let Driver::Postgres(pool) = &self.driver else { return Ok(None) };
        let now = "select cast(extract(epoch from now()) as bigint)";
        let now: i64 = sqlx::query_scalar(now).fetch_one(pool).await?;
        Ok(u64::try_from(now).ok())
    }
}

impl From<Driver> for Db {
    fn from(driver: Driver) -> Self {
        Self { driver, metrics: Arc::default() }
    }
}

/// Time that is spent on the database.
pub(super) struct Timed<'a> {
    metrics: &'a Metrics,
    since: Instant,
}

impl Drop for Timed<'_> {
    fn drop(&mut self) {
        self.metrics.stored(self.since.elapsed());
    }
}

/// Whether SQLite says that somebody else has the file: `SQLITE_BUSY`, and what
/// further it can say in the upper bits.
fn is_locked(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    code.and_then(|code| code.parse::<u32>().ok()).is_some_and(|code| code & 0xff == 5)
}

/// Makes the file before the driver does, and closes it to others where it was
/// open to them. Its journals take the same mode.
fn keep_private(path: &Path) -> std::io::Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
        let file = std::fs::OpenOptions::new().create(true).append(true).mode(0o600).open(path)?;
        if file.metadata()?.permissions().mode() & 0o077 != 0 {
            file.set_permissions(std::fs::Permissions::from_mode(0o600))?;
        }
    }
    Ok(())
}
