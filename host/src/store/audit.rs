//! Who did what. No secret and no token has a place here.
//!
//! An entry is written to every place that is configured, or it is not written: whoever
//! wants something done that must not happen unseen asks first.

mod lines;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use serde::Serialize;
use sqlx::FromRow;

use self::lines::Sink;
use super::{Store, StoreError, change, instant, random_bytes, read, seconds};
use crate::{config, hex, identity::UserId, task};

/// Where entries go besides the database, and whether they get there.
#[derive(Debug)]
pub(super) struct Ledger {
    sink: Option<Sink>,
    keep_seconds: u64,
    failing: AtomicBool,
    failures: AtomicU64,
    /// Entries so far, so that those of one second stay in their order.
    written: AtomicU64,
}

impl Ledger {
    pub(super) fn open(config: &config::Audit) -> Result<Self, StoreError> {
        Ok(Self {
            sink: config.lines.as_ref().map(Sink::open).transpose()?,
            keep_seconds: config.keep.as_secs(),
            failing: AtomicBool::new(false),
            failures: AtomicU64::new(0),
            written: AtomicU64::new(0),
        })
    }
}

/// One thing that was done, or refused.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct AuditEntry {
    /// When, in seconds since the Unix epoch; set when it is written.
    pub at: u64,
    /// The user who did it, where one is known.
    pub actor: Option<String>,
    /// The address that it was asked from.
    pub address: Option<String>,
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
    address: Option<String>,
    org_id: Option<String>,
    action: String,
    target: Option<String>,
    outcome: String,
    reason: Option<String>,
    strategy_digest: Option<String>,
    request_id: Option<String>,
}

impl Store {
    /// Writes an entry, to every place or with an error.
    pub async fn note(&self, entry: &AuditEntry) -> Result<(), StoreError> {
        let entry = AuditEntry { at: self.clock.now(), ..entry.clone() };
        let noted = self.write_down(&entry).await;
        self.ledger.failing.store(noted.is_err(), Ordering::Relaxed);
        if noted.is_err() {
            self.ledger.failures.fetch_add(1, Ordering::Relaxed);
        }
        noted
    }

    /// Writes an entry while whoever asked goes on.
    pub(crate) fn note_soon(&self, entry: AuditEntry) {
        let store = self.clone();
        task::begin(async move {
            if let Err(error) = store.note(&entry).await {
                tracing::error!(%error, action = entry.action, "the audit has a gap");
            }
        });
    }

    async fn write_down(&self, entry: &AuditEntry) -> Result<(), StoreError> {
        if let Some(sink) = &self.ledger.sink {
            let line = serde_json::to_string(entry)
                .unwrap_or_else(|error| unreachable!("an entry is plain data: {error}"));
            sink.write(format!("{line}\n")).await?;
        }
        let at = instant(entry.at);
        // The time first, so that ids are in its order.
        let number = self.ledger.written.fetch_add(1, Ordering::Relaxed);
        let id = format!("{at:012x}{number:08x}{}", hex::encode(&random_bytes::<4>()));
        change!(self.db, pool => {
            sqlx::query(
                "insert into audit (id, at, actor, address, org_id, action, target, outcome,
                     reason, strategy_digest, request_id)
                 values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
            )
            .bind(&id)
            .bind(at)
            .bind(&entry.actor)
            .bind(&entry.address)
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

    /// Whether the last entry could not be written, and how many could not so far.
    pub(crate) fn audit_failures(&self) -> (bool, u64) {
        let Ledger { failing, failures, .. } = &*self.ledger;
        (failing.load(Ordering::Relaxed), failures.load(Ordering::Relaxed))
    }

    /// Deletes entries that are older than `[audit] keep`, and says how many.
    pub async fn prune_audit(&self) -> Result<u64, StoreError> {
        let before = self.clock.now().saturating_sub(self.ledger.keep_seconds);
        Ok(change!(self.db, pool => {
            sqlx::query("delete from audit where at < $1")
                .bind(instant(before))
                .execute(pool)
                .await?
                .rows_affected()
        }))
    }

    /// The latest entries from a time on, newest first.
    pub async fn audit_since(&self, at: u64, limit: u32) -> Result<Vec<AuditEntry>, StoreError> {
        let rows: Vec<Row> = read!(self.db, pool => {
            sqlx::query_as(
                "select at, actor, address, org_id, action, target, outcome, reason,
                     strategy_digest, request_id
                 from audit where at >= $1 order by id desc limit $2",
            )
            .bind(instant(at))
            .bind(i64::from(limit))
            .fetch_all(pool)
            .await?
        });
        Ok(rows.into_iter().map(AuditEntry::from).collect())
    }

    /// The latest entries, newest first.
    pub async fn audit(&self, limit: u32) -> Result<Vec<AuditEntry>, StoreError> {
        self.audit_since(0, limit).await
    }

    /// The latest entries about what a user did, newest first.
    pub async fn audit_of(&self, user: &UserId, limit: u32) -> Result<Vec<AuditEntry>, StoreError> {
        let rows: Vec<Row> = read!(self.db, pool => {
            sqlx::query_as(
                "select at, actor, address, org_id, action, target, outcome, reason,
                     strategy_digest, request_id
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
            address: row.address,
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
