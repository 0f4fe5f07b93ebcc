//! Keeps everybody from writing to a database for a while.

use sqlx::Connection as _;

/// The right to write to a database, taken from everybody else.
pub enum Pen {
    /// To a file.
    Sqlite(sqlx::SqliteConnection),
    /// To the table of tokens.
    Postgres(sqlx::PgConnection),
}

impl Pen {
    /// Takes it.
    pub async fn take(url: &str) -> Self {
        if url.starts_with("sqlite:") {
            let mut raw = sqlx::SqliteConnection::connect(url).await.expect("the database answers");
            sqlx::query("begin immediate").execute(&mut raw).await.expect("the database answers");
            return Self::Sqlite(raw);
        }
        let mut raw = sqlx::PgConnection::connect(url).await.expect("the database answers");
        sqlx::query("begin").execute(&mut raw).await.expect("the database answers");
        let lock = "lock table tokens in share row exclusive mode";
        sqlx::query(lock).execute(&mut raw).await.expect("the database answers");
        Self::Postgres(raw)
    }

    /// Gives it back.
    pub async fn give_back(self) {
        match self {
            Self::Sqlite(mut raw) => sqlx::query("rollback").execute(&mut raw).await.map(drop),
            Self::Postgres(mut raw) => sqlx::query("rollback").execute(&mut raw).await.map(drop),
        }
        .expect("the database answers");
    }
}
