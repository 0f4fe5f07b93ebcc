//! What outlives a request: collections over one database.
//!
//! SQLite in write-ahead mode, made at the first start. Migrations run at every
//! start and only forward; a database from a newer version is refused.

mod users;

use std::{str::FromStr as _, time::Duration};

use sqlx::{
    SqlitePool,
    migrate::MigrateError,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};

pub use self::users::User;
use crate::config::DatabaseUrl;

/// How long a writer waits for another before it gives up.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// The database cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The URL names no database that is known here.
    #[error("[database] url {0} is not known; write one such as \"sqlite://vestibule.db\"")]
    Url(DatabaseUrl),
    /// The database cannot be opened.
    #[error(
        "the database {url} cannot be opened: {source}; does its folder exist and may this user write there?"
    )]
    Open {
        /// The URL.
        url: DatabaseUrl,
        /// What the driver says.
        source: sqlx::Error,
    },
    /// A newer version of Vestibule has migrated the database.
    #[error(
        "the database {0} was migrated by a newer version; use that version, or restore a backup"
    )]
    Newer(DatabaseUrl),
    /// A migration failed; the database is as it was.
    #[error("the database {url} cannot be migrated: {source}")]
    Migrate {
        /// The URL.
        url: DatabaseUrl,
        /// What the migration says.
        source: MigrateError,
    },
    /// A query failed.
    #[error("the database does not answer")]
    Query(#[from] sqlx::Error),
}

/// The database and its collections.
#[derive(Clone, Debug)]
pub struct Store {
    pool: SqlitePool,
}

impl Store {
    /// Opens a database, makes it where there is none, and migrates it.
    pub async fn open(url: &DatabaseUrl) -> Result<Self, StoreError> {
        let with_password = url.with_password();
        if !url.is_known() {
            return Err(StoreError::Url(url.clone()));
        }
        let open = |source| StoreError::Open { url: url.clone(), source };
        let options = SqliteConnectOptions::from_str(with_password)
            .map_err(open)?
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            // An acknowledged write survives the machine, not only the process.
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(BUSY_TIMEOUT);
        let in_memory = with_password.contains(":memory:");
        if !in_memory {
            keep_private(options.get_filename()).map_err(|e| open(sqlx::Error::Io(e)))?;
        }
        let pool = SqlitePoolOptions::new()
            // Each connection to a database in memory would have its own.
            // A request waits no longer than this for its turn.
            .acquire_timeout(Duration::from_secs(5))
            .max_connections(if in_memory { 1 } else { 8 })
            .min_connections(u32::from(in_memory))
            .idle_timeout(if in_memory { None } else { Some(Duration::from_mins(10)) })
            .connect_with(options)
            .await
            .map_err(open)?;
        sqlx::migrate!("migrations/sqlite").run(&pool).await.map_err(|source| match source {
            MigrateError::VersionMissing(_) => StoreError::Newer(url.clone()),
            source => StoreError::Migrate { url: url.clone(), source },
        })?;
        Ok(Self { pool })
    }

    /// Whether the database answers.
    pub async fn ping(&self) -> Result<(), StoreError> {
        sqlx::query("select 1").execute(&self.pool).await?;
        Ok(())
    }
}

/// Makes the file before the driver does, and closes it to others where it was
/// open to them. Its journals take the same mode.
fn keep_private(path: &std::path::Path) -> std::io::Result<()> {
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
