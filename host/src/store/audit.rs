//! Who did what. No secret and no token has a place here.

use serde::Serialize;
use sqlx::FromRow;

use super::{Store, StoreError, change, random_bytes, read, seconds};
use crate::{hex, identity::UserId};

/// One thing that was done, or refused.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct AuditEntry {
    /// When, in seconds since the Unix epoch; set when it is written.
    pub at: u64,
    /// The user who did it, where one is known.
    pub actor: Option<String>,
    /// The organisation that the user acted for.
    pub org: Option<String>,
    /// What was done, `key.create` for instance.
    pub action: String,
    /// What it was done to.
    pub target: Option<String>,
    /// How it ended, `done` or `refused` for instance.
    pub outcome: String,
    /// Why it ended so.
    pub reason: Option<String>,
    /// The digest of the strategy that decided.
    pub strategy_digest: Option<String>,
    /// The request's id in the log.
    pub request_id: Option<String>,
}

#[derive(FromRow)]
struct Row {
    at: i64,
    actor: Option<String>,
    org_id: Option<String>,
    action: String,
    target: Option<String>,
    outcome: String,
    reason: Option<String>,
    strategy_digest: Option<String>,
    request_id: Option<String>,
}

impl Store {
    /// Writes an entry.
    pub async fn note(&self, entry: &AuditEntry) -> Result<(), StoreError> {
        let at = self.now();
        // The time first, so that ids are in its order.
        let id = format!("{at:012x}{}", hex::encode(&random_bytes::<8>()));
        change!(self.db, pool => {
            sqlx::query(
                "insert into audit (id, at, actor, org_id, action, target, outcome, reason,
                     strategy_digest, request_id)
                 values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
            )
            .bind(&id)
            .bind(at)
            .bind(&entry.actor)
            .bind(&entry.org)
            .bind(&entry.action)
            .bind(&entry.target)
            .bind(&entry.outcome)
            .bind(&entry.reason)
            .bind(&entry.strategy_digest)
            .bind(&entry.request_id)
            .execute(pool)
            .await?;
        });
        Ok(())
    }

    /// The latest entries, newest first.
    pub async fn audit(&self, limit: u32) -> Result<Vec<AuditEntry>, StoreError> {
        let rows: Vec<Row> = read!(self.db, pool => {
            sqlx::query_as(
                "select at, actor, org_id, action, target, outcome, reason, strategy_digest,
                     request_id
                 from audit order by id desc limit $1",
            )
            .bind(i64::from(limit))
            .fetch_all(pool)
            .await?
        });
        Ok(rows.into_iter().map(AuditEntry::from).collect())
    }

    /// The latest entries about what a user did, newest first.
    pub async fn audit_of(&self, user: &UserId, limit: u32) -> Result<Vec<AuditEntry>, StoreError> {
        let rows: Vec<Row> = read!(self.db, pool => {
            sqlx::query_as(
                "select at, actor, org_id, action, target, outcome, reason, strategy_digest,
                     request_id
                 from audit where actor = $1 order by id desc limit $2",
            )
            .bind(user.as_str())
            .bind(i64::from(limit))
            .fetch_all(pool)
            .await?
        });
        Ok(rows.into_iter().map(AuditEntry::from).collect())
    }
}

impl From<Row> for AuditEntry {
    fn from(row: Row) -> Self {
        Self {
            at: seconds(row.at),
            actor: row.actor,
            org: row.org_id,
            action: row.action,
            target: row.target,
            outcome: row.outcome,
            reason: row.reason,
            strategy_digest: row.strategy_digest,
            request_id: row.request_id,
        }
    }
}
