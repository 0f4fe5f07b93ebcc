//! What there is in a database, without changing it.

use serde::Serialize;
use sqlx::AssertSqlSafe;

use super::{
    Store, StoreError,
    db::{Db, Missing},
    read,
    rotate::rows_by_key,
};
use crate::{cipher::Cipher, config::Config};

/// The tables whose rows are counted.
const TABLES: [&str; 11] = [
    "users",
    "org_members",
    "sessions",
    "log_ins",
    "api_keys",
    "secrets",
    "settings",
    "tokens",
    "conversation_tokens",
    "sandboxes",
    "audit",
];

/// What there is in a database.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Status {
    /// Where it is, without a password.
    pub database: String,
    /// The version of its tables; `None` where there are none yet.
    pub version: Option<i64>,
    /// The version that this Vestibule wants.
    pub wanted: i64,
    /// Rows by table.
    pub rows: Vec<TableRows>,
    /// The keys that seal, and what they seal.
    pub keys: Vec<KeyRows>,
    /// What its clock says, in seconds since the Unix epoch, where it has one of its own.
    pub now: Option<u64>,
    /// Why the configured encryption secret cannot be used, where it cannot.
    pub encryption: Option<String>,
}

/// How many rows a table has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TableRows {
    /// The table.
    pub table: &'static str,
    /// Its rows.
    pub rows: i64,
}

/// How many rows a key seals.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct KeyRows {
    /// The key's id.
    pub id: String,
    /// Rows that it seals.
    pub rows: u64,
    /// It seals what is written now.
    pub active: bool,
    /// A configured secret gives it.
    pub configured: bool,
}

impl Store {
    /// Looks at the database that a configuration names.
    pub async fn status(config: &Config) -> Result<Status, StoreError> {
        let url = &config.database.url;
        let db = Db::open(url, Missing::Refuse).await?;
        let (version, wanted) = db.versions().await?;
        let mut status = Status {
            database: url.to_string(),
            version,
            wanted,
            rows: Vec::new(),
            keys: Vec::new(),
            now: db.now().await?,
            encryption: None,
        };
        if version.is_none() {
            return Ok(status);
        }
        for table in TABLES {
            // An older version has left its own.
            if !db.has_table(table).await? {
                continue;
            }
            let count = format!("select count(*) from {table}");
            let rows = read!(db, pool => {
                sqlx::query_scalar(AssertSqlSafe(count)).fetch_one(pool).await?
            });
            status.rows.push(TableRows { table, rows });
        }
        let recorded: Vec<String> = read!(db, pool => {
            sqlx::query_scalar("select id from encryption_keys order by id").fetch_all(pool).await?
        });
        let sealing = rows_by_key(&db).await?;
        let cipher = match Cipher::configured(&config.encryption, url) {
            Ok(cipher) => Some(cipher),
            Err(error) => {
                status.encryption = Some(error.to_string());
                None
            }
        };
        let mut ids = recorded;
        ids.extend(sealing.iter().map(|(key, _)| key.clone()));
        ids.sort();
        ids.dedup();
        status.keys = ids
            .into_iter()
            .map(|id| KeyRows {
                rows: sealing.iter().find(|(key, _)| *key == id).map_or(0, |(_, rows)| *rows),
                active: cipher.as_ref().is_some_and(|cipher| cipher.active_key() == id),
                configured: cipher.as_ref().is_some_and(|cipher| cipher.has_key(&id)),
                id,
            })
            .collect();
        Ok(status)
    }
}
