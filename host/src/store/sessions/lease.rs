//! Renewing one session, and nobody else meanwhile.

use super::{Session, key::SessionId};
use crate::{
    identity::{SessionContent, UserId},
    store::{Lease, StoreError, change, instant, leases::hold_lease, transact},
};

/// The sole right to renew one session.
#[derive(Debug)]
pub struct SessionLease {
    pub(super) lease: Lease,
    pub(super) id: SessionId,
    pub(super) user: UserId,
}

impl SessionLease {
    /// The session as it is now; `None` where it is over.
    pub async fn current(&self) -> Result<Option<Session>, StoreError> {
        self.lease.store.session_by_id(self.id.clone(), false).await
    }

    /// The holder before died after it may have used up the refresh token.
    #[must_use]
    pub fn was_interrupted(&self) -> bool {
        self.lease.interrupted
    }

    /// Notes that a token which works only once is about to be sent.
    pub async fn begin_rotation(&mut self) -> Result<(), StoreError> {
        self.lease.begin_rotation().await
    }

    /// Notes that it was not used after all.
    pub async fn abandon_rotation(&mut self) -> Result<(), StoreError> {
        self.lease.abandon_rotation().await
    }

    /// Stores the session as it goes on; `false` where it has ended meanwhile. It
    /// never lasts longer than it could before.
    pub async fn save(&mut self, content: &SessionContent) -> Result<bool, StoreError> {
        let store = &self.lease.store;
        let sealed = store.seal_session(self.user.as_str(), &self.id, content);
        let found = transact!(store.db, tx => {
            hold_lease!(self.lease, tx);
            sqlx::query(
                "update sessions set key_id = $2, sealed = $3, refresh_at = $4,
                     idp_session_id = $5,
                     expires_at = case when $6 < expires_at then $6 else expires_at end
                 where id_hash = $1",
            )
            .bind(&self.id.0)
            .bind(&sealed.key)
            .bind(&sealed.token)
            .bind(content.refresh_at.map(instant))
            .bind(&content.idp_session_id)
            .bind(content.expires_at.map_or(i64::MAX, instant))
            .execute(&mut *tx)
            .await?
            .rows_affected()
        });
        self.lease.rotation_is_stored();
        Ok(found > 0)
    }

    /// Gives the lease back. Where a renewal was begun and neither saved nor
    /// abandoned, the session is over.
    pub async fn release(self) -> Result<(), StoreError> {
        if self.lease.is_rotating() {
            let store = &self.lease.store;
            change!(store.db, pool => {
                sqlx::query("delete from sessions where id_hash = $1")
                    .bind(&self.id.0)
                    .execute(pool)
                    .await?;
            });
        }
        self.lease.release().await
    }
}
