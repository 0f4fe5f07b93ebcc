//! Sessions as an operator sees them: everybody's, and nothing that is in them.

use serde::Serialize;
use sqlx::FromRow;

use super::{Store, StoreError, change, instant, read, seconds};
use crate::{identity::UserId, store::is_no_text};

/// A live session. Its id is a digest of what the browser holds, and is good for
/// nothing but to end it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LiveSession {
    /// By which it can be ended.
    pub id: String,
    /// Whose it is.
    pub user: String,
    /// When it began, in seconds since the Unix epoch.
    pub created_at: u64,
    /// When it was last used, to the minute.
    pub seen_at: u64,
    /// When it is over at the latest.
    pub expires_at: u64,
}

#[derive(FromRow)]
struct Row {
    id_hash: String,
    user_id: String,
    created_at: i64,
    seen_at: i64,
    expires_at: i64,
}

impl Store {
    /// Live sessions of everybody, or of one user; those that were used last come first.
    pub async fn live_sessions(
        &self,
        user: Option<&str>,
        limit: u32,
    ) -> Result<Vec<LiveSession>, StoreError> {
        if user.is_some_and(is_no_text) {
            return Ok(Vec::new());
        }
        let now = self.clock.now();
        let rows: Vec<Row> = read!(self.db, pool => {
            sqlx::query_as(
                "select s.id_hash, s.user_id, s.created_at, s.seen_at, s.expires_at
                 from sessions s join users u on u.id = s.user_id and u.disabled_at is null
                 where s.expires_at > $1 and s.seen_at > $2
                     and s.user_id = coalesce($3, s.user_id)
                 order by s.seen_at desc, s.id_hash limit $4",
            )
            .bind(instant(now))
            .bind(self.idle_since(now))
            .bind(user)
            .bind(i64::from(limit))
            .fetch_all(pool)
            .await?
        });
        let shown = |row: Row| LiveSession {
            id: row.id_hash,
            user: row.user_id,
            created_at: seconds(row.created_at),
            seen_at: seconds(row.seen_at),
            expires_at: seconds(row.expires_at),
        };
        Ok(rows.into_iter().map(shown).collect())
    }

    /// Ends the session of an id, and says whose it was.
    pub async fn end_live_session(&self, id: &str) -> Result<Option<UserId>, StoreError> {
        if is_no_text(id) {
            return Ok(None);
        }
        let user: Option<(String,)> = change!(self.db, pool => {
            sqlx::query_as("delete from sessions where id_hash = $1 returning user_id")
                .bind(id)
                .fetch_optional(pool)
                .await?
        });
        let user = user.map(|(user,)| UserId::new(user)).transpose();
        user.map_err(|_| StoreError::Damaged("sessions"))
    }
}
