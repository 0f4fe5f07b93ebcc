//! Users' durable tokens: of Git providers, and offline tokens of identity
//! providers.
//!
//! A pair is replaced in one transaction, under a lease, and never while
//! somebody else talks to the provider about it.

use std::{sync::Arc, time::Duration};

use secrecy::SecretString;
use sqlx::FromRow;

use super::{
    Lease, Store, StoreError, change, instant, leases::hold_lease, read, seconds, transact,
};
use crate::{
    cipher::{Cipher, Place, Sealed},
    identity::{TokenPair, UserId},
};

/// Whether a stored token can be expected to work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenState {
    /// It can.
    Active,
    /// It was refused for good, or may be used up: the user must connect again.
    Reconnect {
        /// Why, for the log.
        reason: String,
    },
}

/// A token as stored.
#[derive(Clone, Debug)]
pub struct StoredToken {
    /// The pair.
    pub pair: TokenPair,
    /// When it was stored, in seconds since the Unix epoch.
    pub stored_at: u64,
    /// Whether it can be expected to work.
    pub state: TokenState,
}

#[derive(FromRow)]
struct Row {
    key_id: String,
    access: Option<String>,
    refresh: Option<String>,
    access_expires_at: Option<i64>,
    refresh_expires_at: Option<i64>,
    host: Option<String>,
    account_id: Option<String>,
    state: String,
    reason: Option<String>,
    stored_at: i64,
}

pub(super) fn place<'a>(column: &'static str, user: &'a str, name: &'a str) -> Place<'a> {
    Place { column, org: "", user, name }
}

pub(super) const ACCESS: &str = "tokens.access";
pub(super) const REFRESH: &str = "tokens.refresh";

const INTERRUPTED: &str = "a renewal was interrupted, and the refresh token may be used up";
const DISCONNECTED: &str = "the account is being disconnected";

const REMOVING: &str =
    "select 1 from tokens where user_id = $1 and name = $2 and state = 'removing'";

/// The tokens of one user.
#[derive(Clone, Copy, Debug)]
pub struct Tokens<'a> {
    store: &'a Store,
    user: &'a UserId,
}

impl Store {
    /// The tokens of a user.
    #[must_use]
    pub fn tokens<'a>(&'a self, user: &'a UserId) -> Tokens<'a> {
        Tokens { store: self, user }
    }
}

impl Tokens<'_> {
    /// The token of this name.
    pub async fn load(&self, name: &str) -> Result<Option<StoredToken>, StoreError> {
        let row: Option<Row> = read!(self.store.db, pool => {
            sqlx::query_as(
                "select key_id, access, refresh, access_expires_at, refresh_expires_at, host,
                     account_id, state, reason, stored_at
                 from tokens where user_id = $1 and name = $2",
            )
            .bind(self.user.as_str())
            .bind(name)
            .fetch_optional(pool)
            .await?
        });
        let Some(row) = row else { return Ok(None) };
        let mut token = self.open(name, row)?;
        if token.state == TokenState::Active
            && self.store.was_interrupted(&self.resource(name)).await?
        {
            token.state = TokenState::Reconnect { reason: INTERRUPTED.to_owned() };
        }
        Ok(Some(token))
    }

    /// The names of the user's tokens.
    pub async fn names(&self) -> Result<Vec<String>, StoreError> {
        Ok(read!(self.store.db, pool => {
            sqlx::query_scalar("select name from tokens where user_id = $1 order by name")
                .bind(self.user.as_str())
                .fetch_all(pool)
                .await?
        }))
    }

    /// Waits until nobody else can change the token of this name, for at most so
    /// long. The token need not exist yet.
    pub async fn lease(&self, name: &str, patience: Duration) -> Result<TokenLease, StoreError> {
        let lease = self.store.lease(self.resource(name), patience).await?;
        let mut lease = TokenLease { lease, user: self.user.clone(), name: name.to_owned() };
        if lease.lease.interrupted {
            lease.mark_reconnect(INTERRUPTED).await?;
        }
        Ok(lease)
    }

    /// Deletes the token of this name. Whoever renews it at the moment loses the
    /// lease, so that it does not come back.
    pub async fn remove(&self, name: &str) -> Result<bool, StoreError> {
        Ok(transact!(self.store.db, tx => {
            sqlx::query("delete from leases where resource = $1")
                .bind(self.resource(name))
                .execute(&mut *tx)
                .await?;
            sqlx::query("delete from tokens where user_id = $1 and name = $2")
                .bind(self.user.as_str())
                .bind(name)
                .execute(&mut *tx)
                .await?
                .rows_affected()
                > 0
        }))
    }

    /// Marks the token of this name as one that is about to go: from now on nobody is
    /// given it or can renew it. One that a log-in stores in its place is not marked.
    pub async fn begin_removal(&self, name: &str) -> Result<(), StoreError> {
        transact!(self.store.db, tx => {
            sqlx::query("delete from leases where resource = $1")
                .bind(self.resource(name))
                .execute(&mut *tx)
                .await?;
            sqlx::query(
                "update tokens set state = 'removing', reason = $3, stored_at = $4
                 where user_id = $1 and name = $2",
            )
            .bind(self.user.as_str())
            .bind(name)
            .bind(DISCONNECTED)
            .bind(self.store.now())
            .execute(&mut *tx)
            .await?;
        });
        Ok(())
    }

    /// Whether the token of this name is still the one that is about to go.
    pub async fn is_removal_begun(&self, name: &str) -> Result<bool, StoreError> {
        let marked: Option<(i32,)> = read!(self.store.db, pool => {
            sqlx::query_as(REMOVING)
                .bind(self.user.as_str())
                .bind(name)
                .fetch_optional(pool)
                .await?
        });
        Ok(marked.is_some())
    }

    /// Deletes the token of this name where it is still the one that is about to go.
    pub async fn end_removal(&self, name: &str) -> Result<(), StoreError> {
        change!(self.store.db, pool => {
            sqlx::query(
                "delete from tokens where user_id = $1 and name = $2 and state = 'removing'",
            )
            .bind(self.user.as_str())
            .bind(name)
            .execute(pool)
            .await?;
        });
        Ok(())
    }

    /// With the length before the id, so that no two users meet.
    pub(super) fn resource(&self, name: &str) -> String {
        format!("token:{}:{}:{name}", self.user.as_str().len(), self.user)
    }

    fn open(&self, name: &str, row: Row) -> Result<StoredToken, StoreError> {
        let open = |column, token: Option<String>| {
            let Some(token) = token else { return Ok(None) };
            let sealed = Sealed { key: row.key_id.clone(), token };
            self.store
                .cipher
                .open(&place(column, self.user.as_str(), name), &sealed)
                .map(|secret| Some(Arc::new(secret)))
        };
        Ok(StoredToken {
            pair: TokenPair {
                access: open(ACCESS, row.access)?,
                refresh: open(REFRESH, row.refresh)?,
                access_expires_at: row.access_expires_at.map(seconds),
                refresh_expires_at: row.refresh_expires_at.map(seconds),
                host: row.host,
                account_id: row.account_id,
            },
            stored_at: seconds(row.stored_at),
            state: match row.state.as_str() {
                "active" => TokenState::Active,
                _ => TokenState::Reconnect { reason: row.reason.unwrap_or_default() },
            },
        })
    }
}

/// A pair as it rests.
pub(super) struct SealedPair {
    pub(super) key: String,
    pub(super) access: Option<String>,
    pub(super) refresh: Option<String>,
}

impl SealedPair {
    pub(super) fn seal(cipher: &Cipher, user: &str, name: &str, pair: &TokenPair) -> Self {
        let seal = |column, secret: &Option<Arc<SecretString>>| {
            secret.as_ref().map(|secret| cipher.seal(&place(column, user, name), secret).token)
        };
        Self {
            key: cipher.active_key().to_owned(),
            access: seal(ACCESS, &pair.access),
            refresh: seal(REFRESH, &pair.refresh),
        }
    }
}

/// Within a transaction: stores a pair in the place of the one before.
macro_rules! put_token {
    ($store:expr, $user:expr, $name:expr, $pair:expr, $tx:ident) => {
        let sealed = SealedPair::seal(&$store.cipher, $user, $name, $pair);
        sqlx::query(
            "insert into tokens (user_id, name, key_id, access, refresh, access_expires_at,
                 refresh_expires_at, host, account_id, state, reason, stored_at)
             values ($1, $2, $3, $4, $5, $6, $7, $8, $9, 'active', null, $10)
             on conflict (user_id, name) do update set key_id = excluded.key_id,
                 access = excluded.access, refresh = excluded.refresh,
                 access_expires_at = excluded.access_expires_at,
                 refresh_expires_at = excluded.refresh_expires_at, host = excluded.host,
                 account_id = excluded.account_id, state = 'active', reason = null,
                 stored_at = excluded.stored_at",
        )
        .bind($user)
        .bind($name)
        .bind(&sealed.key)
        .bind(&sealed.access)
        .bind(&sealed.refresh)
        .bind($pair.access_expires_at.map(instant))
        .bind($pair.refresh_expires_at.map(instant))
        .bind(&$pair.host)
        .bind(&$pair.account_id)
        .bind($store.now())
        .execute(&mut *$tx)
        .await?;
    };
}

pub(super) use put_token;

/// The sole right to change one token.
#[derive(Debug)]
pub struct TokenLease {
    lease: Lease,
    user: UserId,
    name: String,
}

impl TokenLease {
    /// The token as it is now: the holder before may have renewed it already.
    pub async fn current(&self) -> Result<Option<StoredToken>, StoreError> {
        self.lease.store.tokens(&self.user).load(&self.name).await
    }

    /// Notes that a token which works only once is about to be sent.
    pub async fn begin_rotation(&mut self) -> Result<(), StoreError> {
        self.lease.begin_rotation().await
    }

    /// Notes that the token was not used after all. The old pair stays valid.
    pub async fn abandon_rotation(&mut self) -> Result<(), StoreError> {
        self.lease.abandon_rotation().await
    }

    /// Stores a pair in the place of the old one.
    pub async fn save(&mut self, pair: &TokenPair) -> Result<(), StoreError> {
        let store = &self.lease.store;
        transact!(store.db, tx => {
            hold_lease!(self.lease, tx);
            // Whoever took the lease since then cannot keep what the user sends away.
            let removing: Option<(i32,)> = sqlx::query_as(REMOVING)
                .bind(self.user.as_str())
                .bind(&self.name)
                .fetch_optional(&mut *tx)
                .await?;
            if removing.is_some() {
                return Err(StoreError::LeaseLost);
            }
            put_token!(store, self.user.as_str(), self.name.as_str(), pair, tx);
        });
        self.lease.rotation_is_stored();
        Ok(())
    }

    /// Notes that the provider refused the token for good. Nothing is deleted.
    pub async fn mark_reconnect(&mut self, reason: &str) -> Result<(), StoreError> {
        let store = &self.lease.store;
        transact!(store.db, tx => {
            hold_lease!(self.lease, tx);
            sqlx::query(
                "update tokens set state = 'reconnect', reason = $3
                 where user_id = $1 and name = $2 and state <> 'removing'",
            )
            .bind(self.user.as_str())
            .bind(&self.name)
            .bind(reason)
            .execute(&mut *tx)
            .await?;
        });
        self.lease.rotation_is_stored();
        Ok(())
    }

    /// Gives the lease back. Where a renewal was begun and neither saved nor
    /// abandoned, the token is `reconnect` from now on.
    pub async fn release(mut self) -> Result<(), StoreError> {
        if self.lease.is_rotating() {
            self.mark_reconnect(INTERRUPTED).await?;
        }
        self.lease.release().await
    }
}
