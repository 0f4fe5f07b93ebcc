//! A session at the hosts of apps.
//!
//! A cookie belongs to one host, so an app on another host than Vestibule gets one of
//! its own: a key that works at that host alone, and for as long as the session does that
//! it hangs on. A browser is handed from one host to the other by a code that works
//! once, for a minute, and in that browser.

use serde::{Deserialize, Serialize};

use super::{NewSession, Row, Session, SessionId, SessionKey, select_live};
use crate::store::{Store, StoreError, change, instant, random_id, read};

/// How long a browser has to get from one host to the other, in seconds.
const TRANSFER_SECONDS: u64 = 60;

/// What a code is sealed for.
const TRANSFER: &str = "transfer";

pub(super) const LIVE: &str = select_live!(
    "join app_sessions a on a.session = s.id_hash
     where a.id_hash = $1 and a.host = $2 and s.expires_at > $3 and s.seen_at > $4"
);

/// A browser on its way from Vestibule's own host to that of an app.
#[derive(Serialize, Deserialize)]
pub(crate) struct Transfer {
    /// Which one it is, so that it works once however it is written.
    id: String,
    session: String,
    /// Where it wants to be.
    pub(crate) url: String,
    /// The digest of what tells it from others.
    pub(crate) browser: String,
    until: u64,
}

impl Store {
    /// A code that takes a browser with this session to an app.
    pub(crate) fn begin_transfer(&self, key: &SessionKey, url: String, browser: String) -> String {
        let until = self.clock.now().saturating_add(TRANSFER_SECONDS);
        let transfer = Transfer { id: random_id(), session: key.hash().0, url, browser, until };
        self.seal_carried(TRANSFER, &transfer)
    }

    /// Looks at a code without using it up; `None` where it is none, or too old.
    pub(crate) fn open_transfer(&self, code: &str) -> Option<Transfer> {
        let transfer: Transfer = self.open_carried(TRANSFER, code)?;
        (transfer.until > self.clock.now()).then_some(transfer)
    }

    /// Uses a code up, and begins a session at an app's host; `None` where the code was
    /// used before or the session has ended.
    pub(crate) async fn begin_app_session(
        &self,
        transfer: &Transfer,
        host: &str,
    ) -> Result<Option<NewSession>, StoreError> {
        if !self.use_once(&format!("{TRANSFER} {}", transfer.id), transfer.until).await? {
            return Ok(None);
        }
        let Some(session) = self.session_by_id(SessionId(transfer.session.clone()), true).await?
        else {
            return Ok(None);
        };
        let key = SessionKey::random();
        let begun = change!(self.db, pool => {
            // One for each host; who comes again has lost the one before.
            sqlx::query(
                "insert into app_sessions (session, host, id_hash, created_at)
                 select id_hash, $2, $3, $4 from sessions where id_hash = $1
                 on conflict (session, host) do update
                     set id_hash = excluded.id_hash, created_at = excluded.created_at",
            )
            .bind(&transfer.session)
            .bind(host)
            .bind(key.hash().0)
            .bind(instant(self.clock.now()))
            .execute(pool)
            .await?
            .rows_affected()
        });
        Ok((begun > 0).then_some(NewSession { key, expires_at: session.expires_at }))
    }

    /// The session that a cookie of an app's host names, where it is live and its user
    /// may come in.
    pub(crate) async fn app_session(
        &self,
        key: &SessionKey,
        host: &str,
    ) -> Result<Option<Session>, StoreError> {
        let id = key.hash().0;
        let now = self.clock.now();
        let live = (instant(now), self.idle_since(now));
        let row = match self.db.look_up(LIVE, (&id, host, live.0, live.1), Row::looked_up) {
            Some(rows) => rows.into_iter().next(),
            // Boxed, so that the futures of those who ask stay small.
            None => {
                let asked = async {
                    let row = read!(self.db, pool => {
                        sqlx::query_as(LIVE)
                            .bind(&id)
                            .bind(host)
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
        self.opened(row, now, true).await
    }
}
