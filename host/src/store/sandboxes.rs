//! Sandboxes and their session keys: by one, a sandbox reaches what its owner
//! lets it have, while it runs.

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use secrecy::SecretString;
use serde::Serialize;
use sqlx::FromRow;
use subtle::ConstantTimeEq as _;

use super::{Scope, Store, StoreError, change, random_bytes, read, seconds};
use crate::{
    hex,
    identity::{OrgId, UserId},
    secret,
};

/// Whether a sandbox's session key is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SandboxStatus {
    /// It is.
    Running,
    /// It is not, and will never be: resuming makes another.
    Paused,
}

/// A sandbox.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Sandbox {
    /// Its id.
    pub id: String,
    /// Its owner.
    #[serde(skip)]
    pub scope: Scope,
    /// Whether its session key is good.
    pub status: SandboxStatus,
    /// When it was registered, in seconds since the Unix epoch.
    pub created_at: u64,
}

#[derive(FromRow)]
struct Row {
    id: String,
    org_id: String,
    user_id: String,
    status: String,
    created_at: i64,
}

impl TryFrom<Row> for Sandbox {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        let damaged = |_| StoreError::Damaged("sandboxes");
        Ok(Self {
            id: row.id,
            scope: Scope::new(
                UserId::new(row.user_id).map_err(damaged)?,
                OrgId::new(row.org_id).map_err(damaged)?,
            ),
            status: match row.status.as_str() {
                "running" => SandboxStatus::Running,
                _ => SandboxStatus::Paused,
            },
            created_at: seconds(row.created_at),
        })
    }
}

/// A session key, 256 random bits in base64url, and its digest.
fn random_key() -> (SecretString, String) {
    let key = BASE64_URL_SAFE_NO_PAD.encode(random_bytes::<32>());
    let hash = hash(&key);
    (SecretString::from(key), hash)
}

fn hash(key: &str) -> String {
    hex::encode(&secret::digest_of(key))
}

fn is_id(id: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    // Words that mean something else in a path.
    let taken = matches!(id, "." | ".." | "search");
    !id.is_empty() && id.len() <= 128 && !taken && id.bytes().all(plain)
}

/// A user's sandboxes in an organisation.
#[derive(Clone, Copy, Debug)]
pub struct Sandboxes<'a> {
    store: &'a Store,
    scope: &'a Scope,
}

impl Store {
    /// A user's sandboxes in an organisation.
    #[must_use]
    pub fn sandboxes<'a>(&'a self, scope: &'a Scope) -> Sandboxes<'a> {
        Sandboxes { store: self, scope }
    }

    /// The sandbox that a session key belongs to, paused or not, where its owner
    /// may come in. It is found by its digest, and then compared in constant time: what
    /// a database takes for equal is not what decides here.
    pub async fn sandbox_by_key(&self, key: &str) -> Result<Option<Sandbox>, StoreError> {
        let hash = hash(key);
        let row: Option<(String, String, String, String, i64, String)> = read!(self.db, pool => {
            sqlx::query_as(
                "select s.id, s.org_id, s.user_id, s.status, s.created_at, s.session_key_hash
                 from sandboxes s join users u on u.id = s.user_id
                     join org_members m on m.org_id = s.org_id and m.user_id = s.user_id
                 where s.session_key_hash = $1 and u.disabled_at is null",
            )
            .bind(&hash)
            .fetch_optional(pool)
            .await?
        });
        let Some((id, org_id, user_id, status, created_at, stored)) = row else { return Ok(None) };
        if !bool::from(stored.as_bytes().ct_eq(hash.as_bytes())) {
            return Ok(None);
        }
        Sandbox::try_from(Row { id, org_id, user_id, status, created_at }).map(Some)
    }
}

impl Store {
    /// A sandbox by its id alone: for the services that run sandboxes.
    pub async fn sandbox(&self, id: &str) -> Result<Option<Sandbox>, StoreError> {
        if !is_id(id) {
            return Ok(None);
        }
        let row: Option<Row> = read!(self.db, pool => {
            sqlx::query_as(
                "select id, org_id, user_id, status, created_at from sandboxes where id = $1",
            )
            .bind(id)
            .fetch_optional(pool)
            .await?
        });
        row.map(Sandbox::try_from).transpose()
    }
}

impl Sandboxes<'_> {
    /// Registers a running sandbox and answers its session key.
    pub async fn register(&self, id: &str) -> Result<SecretString, StoreError> {
        if !is_id(id) {
            return Err(StoreError::SandboxId(id.to_owned()));
        }
        self.store.require_member(self.scope).await?;
        let (key, hash) = random_key();
        let made = change!(self.store.db, pool => {
            self.scope
                .query(
                    "insert into sandboxes (org_id, user_id, id, session_key_hash, status,
                         created_at, updated_at)
                     values ($1, $2, $3, $4, 'running', $5, $5) on conflict do nothing",
                )
                .bind(id)
                .bind(hash)
                .bind(self.store.now())
                .execute(pool)
                .await?
                .rows_affected()
        });
        if made == 0 { Err(StoreError::SandboxExists(id.to_owned())) } else { Ok(key) }
    }

    /// One sandbox.
    pub async fn get(&self, id: &str) -> Result<Option<Sandbox>, StoreError> {
        if !is_id(id) {
            return Ok(None);
        }
        let row: Option<Row> = read!(self.store.db, pool => {
            self.scope
                .rows(
                    "select id, org_id, user_id, status, created_at from sandboxes
                     where org_id = $1 and user_id = $2 and id = $3",
                )
                .bind(id)
                .fetch_optional(pool)
                .await?
        });
        row.map(Sandbox::try_from).transpose()
    }

    /// All of them, oldest first.
    pub async fn list(&self) -> Result<Vec<Sandbox>, StoreError> {
        let rows: Vec<Row> = read!(self.store.db, pool => {
            self.scope
                .rows(
                    "select id, org_id, user_id, status, created_at from sandboxes
                     where org_id = $1 and user_id = $2 order by created_at, id",
                )
                .fetch_all(pool)
                .await?
        });
        rows.into_iter().map(Sandbox::try_from).collect()
    }

    /// Pauses a sandbox: its session key is good no more. `false` where there is none.
    pub async fn pause(&self, id: &str) -> Result<bool, StoreError> {
        if !is_id(id) {
            return Ok(false);
        }
        Ok(change!(self.store.db, pool => {
            self.scope
                .query(
                    "update sandboxes set status = 'paused', updated_at = $4
                     where org_id = $1 and user_id = $2 and id = $3",
                )
                .bind(id)
                .bind(self.store.now())
                .execute(pool)
                .await?
                .rows_affected()
                > 0
        }))
    }

    /// Lets a paused sandbox run again, under a new session key; `None` where there is
    /// none that is paused.
    pub async fn resume(&self, id: &str) -> Result<Option<SecretString>, StoreError> {
        if !is_id(id) {
            return Ok(None);
        }
        let (key, hash) = random_key();
        let found = change!(self.store.db, pool => {
            self.scope
                .query(
                    "update sandboxes set status = 'running', session_key_hash = $4,
                         updated_at = $5
                     where org_id = $1 and user_id = $2 and id = $3 and status = 'paused'",
                )
                .bind(id)
                .bind(hash)
                .bind(self.store.now())
                .execute(pool)
                .await?
                .rows_affected()
        });
        Ok((found > 0).then_some(key))
    }

    /// Forgets a sandbox and its session key.
    pub async fn remove(&self, id: &str) -> Result<bool, StoreError> {
        if !is_id(id) {
            return Ok(false);
        }
        Ok(change!(self.store.db, pool => {
            self.scope
                .query("delete from sandboxes where org_id = $1 and user_id = $2 and id = $3")
                .bind(id)
                .execute(pool)
                .await?
                .rows_affected()
                > 0
        }))
    }
}
