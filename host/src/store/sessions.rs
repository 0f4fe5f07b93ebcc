//! What the host remembers of browsers that have logged in.
//!
//! The browser holds a random id and nothing else; the database holds that id's
//! SHA-256, so that reading the database gives nobody a session.

mod app;
mod content;
mod key;
mod lease;
mod oversight;

use std::{sync::atomic::Ordering, time::Duration};

use sqlx::FromRow;

pub(crate) use self::key::SessionId;
pub use self::{key::SessionKey, lease::SessionLease, oversight::LiveSession};
use super::{
    AuditEntry, Driver, Store, StoreError, change, instant, read, seconds,
    tokens::{SealedPair, put_token},
    transact,
};
use crate::{
    cipher::{Place, Sealed},
    identity::{SessionContent, TokenPair, UserId},
};

/// How often a session's last use is written down, in seconds.
const SEEN_EVERY: u64 = 60;

/// How often sessions that are over are cleared away, in seconds.
const SWEEP_EVERY: u64 = 60;

/// Sessions of one user at once; the oldest ends for the next.
const MAX_SESSIONS: i64 = 100;

/// A session that has begun.
#[derive(Clone, Debug)]
pub struct NewSession {
    /// For the cookie.
    pub key: SessionKey,
    /// When the cookie can end, in seconds since the Unix epoch.
    pub expires_at: u64,
}

/// A live session.
#[derive(Clone, Debug)]
pub struct Session {
    id: SessionId,
    /// Whose it is.
    pub user: UserId,
    /// What the strategy keeps in it.
    pub content: SessionContent,
    /// When it began, in seconds since the Unix epoch.
    pub created_at: u64,
    /// When it is over at the latest.
    pub expires_at: u64,
    /// A renewal was interrupted after it may have used up the refresh token.
    pub interrupted: bool,
}

impl Session {
    pub(crate) fn id(&self) -> &SessionId {
        &self.id
    }
}

#[derive(FromRow)]
struct Row {
    id_hash: String,
    user_id: String,
    key_id: String,
    sealed: String,
    created_at: i64,
    seen_at: i64,
    expires_at: i64,
}

impl Row {
    /// The same by the places of the columns.
    fn looked_up(row: &rusqlite::Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            id_hash: row.get(0)?,
            user_id: row.get(1)?,
            key_id: row.get(2)?,
            sealed: row.get(3)?,
            created_at: row.get(4)?,
            seen_at: row.get(5)?,
            expires_at: row.get(6)?,
        })
    }
}

/// Sessions whose users may come in.
macro_rules! select_live {
    ($rest:literal) => {
        concat!(
            "select s.id_hash, s.user_id, s.key_id, s.sealed, s.created_at, s.seen_at, s.expires_at
             from sessions s join users u on u.id = s.user_id and u.disabled_at is null ",
            $rest
        )
    };
}

use select_live;

const LIVE: &str = select_live!("where s.id_hash = $1 and s.expires_at > $2 and s.seen_at > $3");

pub(super) const SEALED: &str = "sessions.sealed";

pub(super) fn place<'a>(user: &'a str, id: &'a str) -> Place<'a> {
    Place { column: SEALED, org: "", user, name: id }
}

impl Store {
    /// Begins a session, always under a new id, and stores the tokens that came
    /// with it; the session that the browser had before ends in the same moment.
    pub async fn begin_session(
        &self,
        user: &UserId,
        content: &SessionContent,
        tokens: &[(String, TokenPair)],
        before: Option<&SessionKey>,
    ) -> Result<NewSession, StoreError> {
        let key = SessionKey::random();
        let id = key.hash();
        let now = self.clock.now();
        let absolute = now.saturating_add(self.limits.load().sessions.absolute.as_secs());
        let expires_at = content.expires_at.map_or(absolute, |at| at.min(absolute));
        let sealed = self.seal_session(user.as_str(), &id, content);
        let ended = transact!(self.db, tx => {
            let found: Option<(Option<i64>,)> =
                sqlx::query_as("select disabled_at from users where id = $1")
                    .bind(user.as_str())
                    .fetch_optional(&mut *tx)
                    .await?;
            match found {
                None => return Err(StoreError::NoUser(user.clone())),
                Some((Some(_),)) => return Err(StoreError::Disabled(user.clone())),
                Some((None,)) => {}
            }
            if let Some(before) = before {
                sqlx::query("delete from sessions where id_hash = $1")
                    .bind(before.hash().0)
                    .execute(&mut *tx)
                    .await?;
            }
            sqlx::query(
                "insert into sessions (id_hash, user_id, key_id, sealed, refresh_at,
                     idp_session_id, created_at, seen_at, expires_at)
                 values ($1, $2, $3, $4, $5, $6, $7, $7, $8)",
            )
            .bind(&id.0)
            .bind(user.as_str())
            .bind(&sealed.key)
            .bind(&sealed.token)
            .bind(content.refresh_at.map(instant))
            .bind(&content.idp_session_id)
            .bind(instant(now))
            .bind(instant(expires_at))
            .execute(&mut *tx)
            .await?;
            for (name, pair) in tokens {
                // Whoever renews the pair before it loses the lease, so that it
                // does not come back.
                sqlx::query("delete from leases where resource = $1")
                    .bind(self.tokens(user).resource(name))
                    .execute(&mut *tx)
                    .await?;
                put_token!(self, user.as_str(), name.as_str(), pair, tx);
            }
            sqlx::query(
                "delete from sessions where id_hash in (
                     select id_hash from sessions where user_id = $1 and id_hash <> $2
                     order by created_at desc limit $3 offset $4)",
            )
            .bind(user.as_str())
            .bind(&id.0)
            .bind(i64::MAX)
            .bind(MAX_SESSIONS - 1)
            .execute(&mut *tx)
            .await?
            .rows_affected()
        });
        if ended > 0 {
            let entry = AuditEntry {
                actor: Some(user.to_string()),
                action: "log-out".to_owned(),
                outcome: "done".to_owned(),
                reason: Some(format!("the oldest of more than {MAX_SESSIONS} sessions")),
                ..AuditEntry::default()
            };
            super::note("the end of a session", self.note(&entry)).await;
        }
        self.sweep(now).await;
        Ok(NewSession { key, expires_at })
    }

    /// Clears away what is over, once a minute, on the way of somebody who comes.
    async fn sweep(&self, now: u64) {
        let last = self.swept_at.load(Ordering::Relaxed);
        if now < last.saturating_add(SWEEP_EVERY)
            || self
                .swept_at
                .compare_exchange(last, now, Ordering::Relaxed, Ordering::Relaxed)
                .is_err()
        {
            return;
        }
        if let Err(error) = self.end_idle(now).await {
            tracing::warn!(%error, "sessions that are over could not be cleared away");
        }
    }

    /// Deletes sessions that are over, and says how many.
    pub(super) async fn end_idle(&self, now: u64) -> Result<u64, StoreError> {
        // Whose row somebody else has at the moment can wait for the next time.
        let idle = self.idle_since(now);
        let swept = match &self.db.driver {
            Driver::Sqlite { write, .. } => {
                sqlx::query("delete from sessions where expires_at <= $1 or seen_at <= $2")
                    .bind(instant(now))
                    .bind(idle)
                    .execute(write)
                    .await?
                    .rows_affected()
            }
            Driver::Postgres(pool) => sqlx::query(
                "delete from sessions where id_hash in (
                         select id_hash from sessions where expires_at <= $1 or seen_at <= $2
                         limit 1000 for update skip locked)",
            )
            .bind(instant(now))
            .bind(idle)
            .execute(pool)
            .await?
            .rows_affected(),
        };
        Ok(swept)
    }

    /// The session that a cookie names, where it is live and its user may come in.
    pub async fn session(&self, key: &SessionKey) -> Result<Option<Session>, StoreError> {
        self.session_by_id(key.hash(), true).await
    }

    async fn session_by_id(
        &self,
        id: SessionId,
        visit: bool,
    ) -> Result<Option<Session>, StoreError> {
        let now = self.clock.now();
        let live = (instant(now), self.idle_since(now));
        let row = match self.db.look_up(LIVE, (&id.0, live.0, live.1), Row::looked_up) {
            Some(rows) => rows.into_iter().next(),
            // Boxed, so that the futures of those who ask stay small.
            None => {
                let asked = async {
                    let row = read!(self.db, pool => {
                        sqlx::query_as(LIVE)
                            .bind(&id.0)
                            .bind(live.0)
                            .bind(live.1)
                            .fetch_optional(pool)
                            .await?
                    });
                    Ok::<Option<Row>, StoreError>(row)
                };
                Box::pin(asked).await?
            }
        };
        self.opened(row, now, visit).await
    }

    /// A live session from its row; a visit is noted.
    async fn opened(
        &self,
        row: Option<Row>,
        now: u64,
        visit: bool,
    ) -> Result<Option<Session>, StoreError> {
        let Some(row) = row else { return Ok(None) };
        let id = SessionId(row.id_hash);
        if visit && seconds(row.seen_at) + SEEN_EVERY <= now {
            super::note("the visit of a session", self.note_visit(&id, now)).await;
        }
        let sealed = Sealed { key: row.key_id, token: row.sealed };
        let bytes = self.cipher.open_bytes(&place(&row.user_id, &id.0), &sealed)?;
        let content = SessionContent::parse(&bytes).ok_or(StoreError::Damaged("sessions"))?;
        let due = content.refresh_at.is_some_and(|at| at <= now);
        Ok(Some(Session {
            interrupted: due && self.was_interrupted(&resource(&id)).await?,
            user: UserId::new(row.user_id).map_err(|_| StoreError::Damaged("sessions"))?,
            content,
            created_at: seconds(row.created_at),
            expires_at: seconds(row.expires_at),
            id,
        }))
    }

    async fn note_visit(&self, id: &SessionId, now: u64) -> Result<(), StoreError> {
        change!(self.db, pool => {
            sqlx::query("update sessions set seen_at = $2 where id_hash = $1 and seen_at <= $3")
                .bind(&id.0)
                .bind(instant(now))
                .bind(instant(now.saturating_sub(SEEN_EVERY)))
                .execute(pool)
                .await?;
        });
        Ok(())
    }

    /// Waits until nobody else can renew the session, for at most so long.
    pub async fn lease_session(
        &self,
        session: &Session,
        patience: Duration,
    ) -> Result<SessionLease, StoreError> {
        let lease = self.lease(resource(&session.id), patience).await?;
        Ok(SessionLease { lease, id: session.id.clone(), user: session.user.clone() })
    }

    /// Ends one session.
    pub async fn end_session(&self, key: &SessionKey) -> Result<bool, StoreError> {
        Ok(change!(self.db, pool => {
            sqlx::query("delete from sessions where id_hash = $1")
                .bind(key.hash().0)
                .execute(pool)
                .await?
                .rows_affected()
                > 0
        }))
    }

    /// Ends a session that was presented.
    pub(crate) async fn end_this(&self, session: &Session) -> Result<(), StoreError> {
        change!(self.db, pool => {
            sqlx::query("delete from sessions where id_hash = $1")
                .bind(&session.id.0)
                .execute(pool)
                .await?;
        });
        Ok(())
    }

    /// Ends every session of a user.
    pub async fn end_sessions(&self, user: &UserId) -> Result<u64, StoreError> {
        Ok(change!(self.db, pool => {
            sqlx::query("delete from sessions where user_id = $1")
                .bind(user.as_str())
                .execute(pool)
                .await?
                .rows_affected()
        }))
    }

    /// Ends the sessions that an identity provider names by its own id, where they
    /// are of this user if it names one.
    pub async fn end_idp_sessions(
        &self,
        idp_session_id: &str,
        user: Option<&UserId>,
    ) -> Result<u64, StoreError> {
        Ok(change!(self.db, pool => {
            sqlx::query(
                "delete from sessions where idp_session_id = $1 and user_id = coalesce($2, user_id)",
            )
            .bind(idp_session_id)
            .bind(user.map(UserId::as_str))
            .execute(pool)
            .await?
            .rows_affected()
        }))
    }

    /// A session that was not used since then is over.
    pub(super) fn idle_since(&self, now: u64) -> i64 {
        // Visits are written down once a minute.
        let idle = self.limits.load().sessions.idle.as_secs().saturating_add(SEEN_EVERY);
        i64::try_from(now)
            .unwrap_or(i64::MAX)
            .saturating_sub(i64::try_from(idle).unwrap_or(i64::MAX))
    }

    fn seal_session(&self, user: &str, id: &SessionId, content: &SessionContent) -> Sealed {
        let secrets = content.secrets.iter().map(|(_, value)| &**value);
        self.cipher.seal_with(&place(user, &id.0), &content.header(), secrets)
    }
}

fn resource(id: &SessionId) -> String {
    format!("session:{}", id.0)
}

#[cfg(test)]
mod tests {
    use sqlx::AssertSqlSafe;

    use super::*;
    use crate::{
        clock::Clock,
        config::{Config, Environment},
        store::standing::STANDS,
    };

    #[tokio::test]
    async fn whatever_is_asked_on_each_request_is_searched_for_by_an_index() {
        let text = "database.url = 'sqlite::memory:'\nauth.strategy = 'none'";
        let config = Config::parse(None, text, Environment::fixed(&[])).unwrap();
        let store = Store::open(&config, Clock::fixed(1)).await.unwrap();
        let Driver::Sqlite { read, .. } = &store.db.driver else { panic!("it is SQLite") };
        for sql in [LIVE, app::LIVE, STANDS] {
            let explain = AssertSqlSafe(format!("explain query plan {sql}"));
            let plan: Vec<(i64, i64, i64, String)> =
                sqlx::query_as(explain).fetch_all(read).await.unwrap();
            let steps: Vec<_> = plan.into_iter().map(|(.., step)| step).collect();
            assert!(steps.iter().any(|step| step.starts_with("SEARCH s USING INDEX")), "{steps:?}");
            assert!(
                !steps.iter().any(|step| step.starts_with("SCAN") && step != "SCAN CONSTANT ROW"),
                "{steps:?}"
            );
        }
    }
}
