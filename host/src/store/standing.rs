//! Whether somebody who came in could come in still, and that they cannot.

use super::{ApiKey, Scope, SessionId, Store, StoreError, instant, read, transact};
use crate::identity::UserId;

/// Whoever may come in for the organisation, by a session or a key where there was one.
pub(super) const STANDS: &str = "select u.id from users u
     join org_members m on m.org_id = $1 and m.user_id = u.id
     where u.id = $2 and u.disabled_at is null
         and ($3 is null or exists (
             select 1 from sessions s
             where s.id_hash = $3 and s.expires_at > $4 and s.seen_at > $5))
         and ($6 is null or exists (
             select 1 from api_keys k
             where k.id = $6 and (k.expires_at is null or k.expires_at > $4)))";

impl Store {
    /// Whether a user is enabled and in the organisation, and the session or the key by
    /// which they came is good. It is no visit.
    pub(crate) async fn stands(
        &self,
        scope: &Scope,
        session: Option<&SessionId>,
        key: Option<&ApiKey>,
    ) -> Result<bool, StoreError> {
        let (session, key) = (session.map(|id| &*id.0), key.map(|key| &*key.id));
        let now = self.clock.now();
        let idle = self.idle_since(now);
        let by = (scope.org.as_str(), scope.user.as_str(), session, instant(now), idle, key);
        if let Some(rows) = self.db.look_up(STANDS, by, |_| Ok(())) {
            return Ok(!rows.is_empty());
        }
        let row: Option<(String,)> = read!(self.db, pool => {
            scope
                .rows(STANDS)
                .bind(session)
                .bind(instant(now))
                .bind(idle)
                .bind(key)
                .fetch_optional(pool)
                .await?
        });
        Ok(row.is_some())
    }

    /// Ends every session of a user and in the same moment every key that they made, so that
    /// none of the sessions makes another key; says how many of each. The host's own keys
    /// stay: they are in no browser's reach.
    pub async fn end_sessions_and_keys(&self, user: &UserId) -> Result<(u64, u64), StoreError> {
        Ok(transact!(self.db, tx => {
            let sessions = sqlx::query("delete from sessions where user_id = $1")
                .bind(user.as_str())
                .execute(&mut *tx)
                .await?
                .rows_affected();
            let keys = sqlx::query("delete from api_keys where user_id = $1 and system = 0")
                .bind(user.as_str())
                .execute(&mut *tx)
                .await?
                .rows_affected();
            (sessions, keys)
        }))
    }
}
