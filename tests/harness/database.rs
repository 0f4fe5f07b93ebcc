//! Databases for tests of the stores: the same tests run on both kinds.

use std::{
    env,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use sqlx::{
    AssertSqlSafe, ConnectOptions as _, Connection as _, PgConnection, migrate::Migrator,
    sqlite::SqliteConnectOptions,
};
use vestibule::{
    clock::Clock,
    config::{Config, Environment},
    identity::{Identity, OrgId, UserId},
    store::{Scope, Store, StoreError},
};

use crate::{NOW, run};

/// The secret from which the tests' encryption key derives.
pub const SECRET: &str = "plaintext-canary the encryption secret of the tests";

/// A database of one test.
#[derive(Clone, Debug)]
pub struct Database {
    /// Its URL.
    pub url: String,
    /// The time, which stands still until a test moves it.
    pub clock: Clock,
    /// Where its files may be.
    pub folder: Arc<run::Folder>,
}

impl Database {
    /// A new SQLite file.
    #[must_use]
    pub fn sqlite() -> Self {
        let folder = Arc::new(run::folder());
        let url = format!("sqlite://{}/vestibule.db", folder.path().display());
        Self { url, clock: Clock::fixed(NOW), folder }
    }

    /// A new database in the cluster that `cargo xtask test` has started.
    /// Without one the test is skipped, and says so.
    pub async fn postgres() -> Option<Self> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        #[expect(clippy::disallowed_methods, reason = "xtask says so by the environment")]
        let Ok(cluster) = env::var("VESTIBULE_TEST_POSTGRES") else {
            eprintln!("SKIPPED: there is no PostgreSQL; `cargo xtask test` starts one");
            return None;
        };
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("test_{}_{count}", std::process::id());
        let mut admin = PgConnection::connect(&cluster).await.expect("the cluster is there");
        let make = AssertSqlSafe(format!("create database {name}"));
        sqlx::query(make).execute(&mut admin).await.expect("a database can be made");
        let (server, _) = cluster.rsplit_once('/').expect("the URL names a database");
        Some(Self {
            url: format!("{server}/{name}"),
            clock: Clock::fixed(NOW),
            folder: Arc::new(run::folder()),
        })
    }

    /// Another one of the same kind.
    pub async fn another(&self) -> Self {
        if self.is_postgres() {
            Self::postgres().await.expect("there is a cluster")
        } else {
            Self::sqlite()
        }
    }

    /// Runs the migrations of a folder, as a version did that had no others.
    pub async fn migrate(&self, folder: &Path) {
        let migrator = Migrator::new(folder).await.expect("a folder of migrations");
        if self.is_postgres() {
            let mut raw = PgConnection::connect(&self.url).await.expect("the database is there");
            migrator.run(&mut raw).await.expect("they can be run");
        } else {
            let options: SqliteConnectOptions = self.url.parse().expect("a URL");
            let raw = options.create_if_missing(true).connect().await;
            migrator.run(&mut raw.expect("a new file")).await.expect("they can be run");
        }
    }

    /// Whether it is PostgreSQL.
    #[must_use]
    pub fn is_postgres(&self) -> bool {
        self.url.starts_with("postgres:")
    }

    /// A configuration with this database and `toml` after the usual lines.
    #[must_use]
    pub fn config(&self, toml: &str) -> Config {
        let text = format!(
            "database.url = '{}'\nauth.strategy = 'none'\nencryption.secret = '{SECRET}'\n{toml}",
            self.url
        );
        Config::parse(None, &text, Environment::fixed(&[])).expect("a configuration")
    }

    /// Opens the stores.
    pub async fn open(&self) -> Store {
        self.try_open(&self.config("")).await.expect("the stores open")
    }

    /// Opens the stores, or says why they do not open.
    pub async fn try_open(&self, config: &Config) -> Result<Store, StoreError> {
        Store::open(config, self.clock.clone()).await
    }

    /// Runs a statement behind the stores' back and answers the rows affected.
    pub async fn execute(&self, sql: &str) -> u64 {
        let sql = AssertSqlSafe(sql.to_owned());
        if self.is_postgres() {
            let mut raw = PgConnection::connect(&self.url).await.expect("the database is there");
            sqlx::query(sql).execute(&mut raw).await.expect("the statement runs").rows_affected()
        } else {
            let raw = sqlx::SqliteConnection::connect(&self.url).await;
            let mut raw = raw.expect("the database is there");
            sqlx::query(sql).execute(&mut raw).await.expect("the statement runs").rows_affected()
        }
    }

    /// The first column of the first row, behind the stores' back.
    pub async fn scalar(&self, sql: &str) -> String {
        let sql = AssertSqlSafe(sql.to_owned());
        if self.is_postgres() {
            let mut raw = PgConnection::connect(&self.url).await.expect("the database is there");
            sqlx::query_scalar(sql).fetch_one(&mut raw).await.expect("there is a row")
        } else {
            let raw = sqlx::SqliteConnection::connect(&self.url).await;
            let mut raw = raw.expect("the database is there");
            sqlx::query_scalar(sql).fetch_one(&mut raw).await.expect("there is a row")
        }
    }
}

/// A user who has logged in once, in the organisation that is theirs alone.
pub async fn user(store: &Store, id: &str) -> Scope {
    let identity = Identity { user_id: Some(user_id(id)), ..Identity::default() };
    store.establish_user(&identity).await.expect("the user is noted").scope()
}

/// A user who has logged in for an organisation.
pub async fn member(store: &Store, id: &str, org: &str) -> Scope {
    let org_id = Some(OrgId::new(org).expect("an id"));
    let identity = Identity { user_id: Some(user_id(id)), org_id, ..Identity::default() };
    store.establish_user(&identity).await.expect("the user is noted").scope()
}

/// A user's id.
#[must_use]
pub fn user_id(id: &str) -> UserId {
    UserId::new(id).expect("an id")
}

/// Makes two tests of each function: one for SQLite, one for PostgreSQL.
#[macro_export]
macro_rules! on_both_databases {
    ($($(#[$meta:meta])* async fn $name:ident($database:ident: Database) $body:block)*) => {
        mod sqlite {
            $(
                $(#[$meta])*
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    super::$name($crate::database::Database::sqlite()).await;
                }
            )*
        }
        mod postgres {
            $(
                $(#[$meta])*
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    if let Some(database) = $crate::database::Database::postgres().await {
                        super::$name(database).await;
                    }
                }
            )*
        }
        $(
            async fn $name($database: $crate::database::Database) $body
        )*
    };
}
