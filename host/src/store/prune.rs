//! Deleting what is over. Nothing is ever decided by a row that is.

use super::{Store, StoreError, change, instant};

/// After how many seconds nobody removes a token any more who has begun to: they crashed.
const REMOVAL: u64 = 3600;

impl Store {
    /// Deletes sessions and log-ins that are over, what worked once and is too old to be
    /// tried again, tokens that are as good as removed, and what the audit need not keep;
    /// says how many rows.
    pub async fn prune(&self) -> Result<u64, StoreError> {
        let now = self.clock.now();
        let mut pruned = self.prune_audit().await?;
        loop {
            let ended = self.end_idle(now).await?;
            pruned += ended;
            if ended == 0 {
                break;
            }
        }
        for sql in
            ["delete from log_ins where until_at < $1", "delete from used_once where until_at < $1"]
        {
            pruned += change!(self.db, pool => {
                sqlx::query(sql).bind(self.now()).execute(pool).await?.rows_affected()
            });
        }
        pruned += change!(self.db, pool => {
            sqlx::query("delete from tokens where state = 'removing' and stored_at < $1")
                .bind(instant(now.saturating_sub(REMOVAL)))
                .execute(pool)
                .await?
                .rows_affected()
        });
        Ok(pruned)
    }
}
