//! Deleting what is over. Nothing is ever decided by a row that is.

use super::{Store, StoreError, change};

impl Store {
    /// Deletes sessions and log-ins that are over, what worked once and is too old to be
    /// tried again, and what the audit need not keep; says how many rows.
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
        Ok(pruned)
    }
}
