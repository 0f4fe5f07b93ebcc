//! The sole right to renew something, across tasks, processes and replicas.
//!
//! A lease is a row with an end. Whoever holds it may note that a token which
//! works only once is about to be used; should the holder die after that, the
//! next one learns that the token may be used up.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use super::{Store, StoreError, change, instant, random_bytes, random_id, read};

/// How long a holder has, in seconds; longer than any call may take.
const TTL: u64 = 30;

/// How often somebody who waits asks again.
const ASK_EVERY: Duration = Duration::from_millis(20);

/// The sole right to renew one thing.
///
/// It ends with [`release`](Self::release), and by itself after half a minute.
#[derive(Debug)]
pub struct Lease {
    pub(super) store: Store,
    pub(super) resource: String,
    holder: String,
    /// The holder before died after it had begun to use up what works once.
    pub(super) interrupted: bool,
    rotating: bool,
    _held: Held,
}

/// Counts a lease for as long as it is in somebody's hands.
#[derive(Debug)]
struct Held(Arc<AtomicUsize>);

impl Held {
    fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(count))
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Store {
    /// Takes a lease unless somebody has it.
    pub(super) async fn try_lease(&self, resource: String) -> Result<Option<Lease>, StoreError> {
        let holder = random_id();
        let now = self.clock.now();
        let row: Option<(i64,)> = change!(self.db, pool => {
            sqlx::query_as(
                "insert into leases (resource, holder, until_at, rotating) values ($1, $2, $3, 0)
                 on conflict (resource) do update
                     set holder = excluded.holder, until_at = excluded.until_at
                     where leases.until_at <= $4
                 returning rotating",
            )
            .bind(&resource)
            .bind(&holder)
            .bind(instant(now + TTL))
            .bind(instant(now))
            .fetch_optional(pool)
            .await?
        });
        Ok(row.map(|(rotating,)| {
            let interrupted = rotating != 0;
            let held = Held::new(&self.leases_held);
            let store = self.clone();
            Lease { store, resource, holder, interrupted, rotating: interrupted, _held: held }
        }))
    }

    /// How many leases this process holds now.
    pub(crate) fn leases_held(&self) -> usize {
        self.leases_held.load(Ordering::Relaxed)
    }

    /// Waits for a lease, for at most so long.
    pub(super) async fn lease(
        &self,
        resource: String,
        patience: Duration,
    ) -> Result<Lease, StoreError> {
        let started = Instant::now();
        loop {
            if let Some(lease) = self.try_lease(resource.clone()).await? {
                return Ok(lease);
            }
            // Whoever waits reads: the holder needs the writer for itself.
            loop {
                if started.elapsed() >= patience {
                    return Err(StoreError::Busy);
                }
                let jitter = Duration::from_millis(u64::from(random_bytes::<1>()[0]) / 16);
                tokio::time::sleep(ASK_EVERY + jitter).await;
                if !self.is_leased(&resource).await? {
                    break;
                }
            }
        }
    }

    async fn is_leased(&self, resource: &str) -> Result<bool, StoreError> {
        let row: Option<(i64,)> = read!(self.db, pool => {
            sqlx::query_as("select rotating from leases where resource = $1 and until_at > $2")
                .bind(resource)
                .bind(self.now())
                .fetch_optional(pool)
                .await?
        });
        Ok(row.is_some())
    }

    /// Whether a holder died after it had begun to use up what works once.
    pub(super) async fn was_interrupted(&self, resource: &str) -> Result<bool, StoreError> {
        let row: Option<(i64,)> = read!(self.db, pool => {
            sqlx::query_as(
                "select rotating from leases where resource = $1 and until_at <= $2 and rotating = 1",
            )
            .bind(resource)
            .bind(self.now())
            .fetch_optional(pool)
            .await?
        });
        Ok(row.is_some())
    }
}

impl Lease {
    /// Notes that something which works only once is about to be sent.
    pub async fn begin_rotation(&mut self) -> Result<(), StoreError> {
        self.set_rotating(true).await
    }

    /// Notes that it was not used after all.
    pub async fn abandon_rotation(&mut self) -> Result<(), StoreError> {
        self.set_rotating(false).await
    }

    /// Whether something may be used up whose successor was not stored.
    pub(super) fn is_rotating(&self) -> bool {
        self.rotating
    }

    pub(super) fn rotation_is_stored(&mut self) {
        self.rotating = false;
    }

    async fn set_rotating(&mut self, rotating: bool) -> Result<(), StoreError> {
        let rows = change!(self.store.db, pool => {
            sqlx::query(
                "update leases set rotating = $3
                 where resource = $1 and holder = $2 and until_at > $4",
            )
            .bind(&self.resource)
            .bind(&self.holder)
            .bind(i64::from(rotating))
            .bind(self.store.now())
            .execute(pool)
            .await?
            .rows_affected()
        });
        if rows == 0 {
            return Err(StoreError::LeaseLost);
        }
        self.rotating = rotating;
        Ok(())
    }

    /// Gives the lease back.
    pub async fn release(self) -> Result<(), StoreError> {
        change!(self.store.db, pool => {
            sqlx::query("delete from leases where resource = $1 and holder = $2")
                .bind(&self.resource)
                .bind(&self.holder)
                .execute(pool)
                .await?;
        });
        Ok(())
    }

    pub(super) fn holder(&self) -> &str {
        &self.holder
    }
}

/// Within a transaction: goes on only while nobody else has the lease, and notes
/// that what was used up has its successor stored in the same transaction. A
/// holder who is late, and whose lease nobody took, has what must not be lost.
macro_rules! hold_lease {
    ($lease:expr, $tx:ident) => {
        let held =
            sqlx::query("update leases set rotating = 0 where resource = $1 and holder = $2")
                .bind(&$lease.resource)
                .bind($lease.holder())
                .execute(&mut *$tx)
                .await?
                .rows_affected();
        if held == 0 {
            return Err(StoreError::LeaseLost);
        }
    };
}

pub(super) use hold_lease;
