//! API keys: what automations show in the place of a log-in.
//!
//! Only a digest rests, except of system keys, which services fetch again and
//! which rest sealed as well. To verify one takes one query and no identity
//! provider.

mod oversight;
mod text;
mod verify;

use secrecy::SecretString;
use serde::Serialize;
use sqlx::FromRow;

#[cfg(fuzzing)]
pub use self::text::fuzz;
pub use self::verify::{KeyRefusal, VerifiedKey};
use super::{Scope, Store, StoreError, change, instant, read, seconds};
use crate::{
    cipher::{Place, Sealed},
    identity::{OrgId, UserId},
};

/// What the names of the host's own keys begin with.
pub(super) const SYSTEM: &str = "__SYSTEM__:";

/// The scope of a key for which none is named.
const FULL: &str = "full";

/// A key to be made.
#[derive(Clone, Debug, Default)]
pub struct NewApiKey {
    /// A name for its owner.
    pub name: String,
    /// What it may be used for; everything where none is named.
    pub scopes: Vec<String>,
    /// From when on it is valid, in seconds since the Unix epoch.
    pub not_before: Option<u64>,
    /// When it ends.
    pub expires_at: Option<u64>,
    /// It acts for whatever organisation its owner acts for, and not only for
    /// the one in which it is made.
    pub unbound: bool,
}

/// A key that was made: the one time that its text is known.
#[derive(Debug)]
pub struct NewKey {
    /// The text, for its owner.
    pub text: SecretString,
    /// The row.
    pub key: ApiKey,
}

/// A key as its owner sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ApiKey {
    /// Its public id.
    pub id: String,
    /// Its owner.
    pub user: UserId,
    /// The organisation in which it was made.
    pub org: OrgId,
    /// Its name.
    pub name: String,
    /// How its text begins.
    pub display: String,
    /// What it may be used for.
    pub scopes: Vec<String>,
    /// It acts for `org` only.
    pub bound: bool,
    /// The host made it for its own use.
    pub system: bool,
    /// When it was made, in seconds since the Unix epoch.
    pub created_at: u64,
    /// From when on it is valid.
    pub not_before: Option<u64>,
    /// When it ends; `None` means never.
    pub expires_at: Option<u64>,
    /// When it was last used, to the minute.
    pub last_used_at: Option<u64>,
}

#[derive(FromRow)]
struct Row {
    id: String,
    org_id: String,
    user_id: String,
    name: String,
    hash: String,
    display: String,
    scopes: String,
    bound: i64,
    system: i64,
    created_at: i64,
    not_before: Option<i64>,
    expires_at: Option<i64>,
    last_used_at: Option<i64>,
}

impl TryFrom<Row> for ApiKey {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        let damaged = |_| StoreError::Damaged("api_keys");
        Ok(Self {
            id: row.id,
            user: UserId::new(row.user_id).map_err(damaged)?,
            org: OrgId::new(row.org_id).map_err(damaged)?,
            name: row.name,
            display: row.display,
            scopes: row.scopes.split_ascii_whitespace().map(str::to_owned).collect(),
            bound: row.bound != 0,
            system: row.system != 0,
            created_at: seconds(row.created_at),
            not_before: row.not_before.map(seconds),
            expires_at: row.expires_at.map(seconds),
            last_used_at: row.last_used_at.map(seconds),
        })
    }
}

/// The columns of a row, and what follows them.
macro_rules! select {
    ($rest:literal) => {
        concat!(
            "select k.id, k.org_id, k.user_id, k.name, k.hash, k.display, k.scopes, k.bound,
                 k.system, k.created_at, k.not_before, k.expires_at, k.last_used_at",
            $rest
        )
    };
}

use select;

pub(super) const SEALED: &str = "api_keys.sealed";

pub(super) fn place<'a>(org: &'a str, user: &'a str, id: &'a str) -> Place<'a> {
    Place { column: SEALED, org, user, name: id }
}

impl Store {
    /// A user's keys in an organisation.
    #[must_use]
    pub fn api_keys<'a>(&'a self, scope: &'a Scope) -> ApiKeys<'a> {
        ApiKeys { store: self, scope }
    }
}

/// A user's keys in an organisation.
#[derive(Clone, Copy, Debug)]
pub struct ApiKeys<'a> {
    store: &'a Store,
    scope: &'a Scope,
}

impl ApiKeys<'_> {
    /// Makes a key. Its text is in the answer and nowhere else.
    pub async fn create(&self, new: &NewApiKey) -> Result<NewKey, StoreError> {
        if new.name.starts_with(SYSTEM) {
            return Err(StoreError::KeyName(new.name.clone()));
        }
        check(new)?;
        if let Some(expires_at) = new.expires_at
            && expires_at <= new.not_before.unwrap_or_default().max(self.store.clock.now())
        {
            return Err(StoreError::KeyExpired { expires_at });
        }
        self.store.require_member(self.scope).await?;
        loop {
            let (id, text) = text::generate();
            if self.insert(&id, &text, new, false).await? {
                let text = SecretString::from(text.as_str());
                return Ok(NewKey { key: self.by_id(&id).await?, text });
            }
        }
    }

    /// The system key of this name, made where there is none: always the same
    /// text, until it is revoked.
    pub async fn system(&self, name: &str) -> Result<NewKey, StoreError> {
        if !is_name(name) || name.starts_with(SYSTEM) || name.trim().is_empty() {
            return Err(StoreError::KeyName(name.to_owned()));
        }
        self.store.require_member(self.scope).await?;
        let new = NewApiKey { name: format!("{SYSTEM}{name}"), ..NewApiKey::default() };
        loop {
            if let Some(found) = self.find_system(&new.name).await? {
                return Ok(found);
            }
            // One that was taken over can have expired; ours never do.
            change!(self.store.db, pool => {
                self.scope
                    .query(
                        "delete from api_keys
                         where org_id = $1 and user_id = $2 and name = $3 and system = 1
                             and expires_at <= $4",
                    )
                    .bind(&new.name)
                    .bind(self.store.now())
                    .execute(pool)
                    .await?;
            });
            // Whoever loses the race finds the winner's.
            let (id, text) = text::generate();
            self.insert(&id, &text, &new, true).await?;
        }
    }

    async fn find_system(&self, name: &str) -> Result<Option<NewKey>, StoreError> {
        let row: Option<(String, Option<String>, Option<String>)> = read!(self.store.db, pool => {
            self.scope
                .rows(
                    "select id, key_id, sealed from api_keys
                     where org_id = $1 and user_id = $2 and name = $3 and system = 1
                         and (expires_at is null or expires_at > $4)",
                )
                .bind(name)
                .bind(self.store.now())
                .fetch_optional(pool)
                .await?
        });
        let Some((id, key, token)) = row else { return Ok(None) };
        let (Some(key), Some(token)) = (key, token) else {
            return Err(StoreError::Damaged("api_keys"));
        };
        let place = place(self.scope.org.as_str(), self.scope.user.as_str(), &id);
        let text = self.store.cipher.open(&place, &Sealed { key, token })?;
        Ok(Some(NewKey { key: self.by_id(&id).await?, text }))
    }

    /// Whether the row could be written; another may have the id or the name.
    async fn insert(
        &self,
        id: &str,
        text: &str,
        new: &NewApiKey,
        system: bool,
    ) -> Result<bool, StoreError> {
        let scopes = if new.scopes.is_empty() { FULL.to_owned() } else { new.scopes.join(" ") };
        let place = place(self.scope.org.as_str(), self.scope.user.as_str(), id);
        let sealed = system.then(|| self.store.cipher.seal_bytes(&place, text.as_bytes()));
        let (key_id, token) = sealed.map(|sealed| (sealed.key, sealed.token)).unzip();
        Ok(change!(self.store.db, pool => {
            self.scope
                .query(
                    "insert into api_keys (org_id, user_id, id, name, hash, display, scopes, bound,
                         system, key_id, sealed, created_at, not_before, expires_at)
                     values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
                     on conflict do nothing",
                )
                .bind(id)
                .bind(&new.name)
                .bind(text::hash(text))
                .bind(text::display(text))
                .bind(scopes)
                .bind(i64::from(!new.unbound))
                .bind(i64::from(system))
                .bind(key_id)
                .bind(token)
                .bind(self.store.now())
                .bind(new.not_before.map(instant))
                .bind(new.expires_at.map(instant))
                .execute(pool)
                .await?
                .rows_affected()
                > 0
        }))
    }

    async fn by_id(&self, id: &str) -> Result<ApiKey, StoreError> {
        let row: Row = read!(self.store.db, pool => {
            self.scope
                .rows(select!(" from api_keys k where k.org_id = $1 and k.user_id = $2 and k.id = $3"))
                .bind(id)
                .fetch_one(pool)
                .await?
        });
        row.try_into()
    }

    /// The user's own keys in whatever organisation, oldest first: one that leaked must
    /// be found. The host's are not among them.
    pub async fn list(&self) -> Result<Vec<ApiKey>, StoreError> {
        let rows: Vec<Row> = read!(self.store.db, pool => {
            sqlx::query_as(select!(
                " from api_keys k where k.user_id = $1 and k.system = 0
                 order by k.created_at, k.id"
            ))
            .bind(self.scope.user.as_str())
            .fetch_all(pool)
            .await?
        });
        rows.into_iter().map(ApiKey::try_from).collect()
    }

    /// Ends one of the user's own keys at once; `false` where there is none of
    /// this id. The host's own are not reached by id.
    pub async fn revoke(&self, id: &str) -> Result<bool, StoreError> {
        if !id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
            return Ok(false);
        }
        Ok(change!(self.store.db, pool => {
            sqlx::query("delete from api_keys where user_id = $1 and id = $2 and system = 0")
                .bind(self.scope.user.as_str())
                .bind(id)
                .execute(pool)
                .await?
                .rows_affected()
                > 0
        }))
    }

    /// Ends the system key of this name.
    pub async fn revoke_system(&self, name: &str) -> Result<bool, StoreError> {
        if !is_name(name) {
            return Ok(false);
        }
        Ok(change!(self.store.db, pool => {
            self.scope
                .query(
                    "delete from api_keys
                     where org_id = $1 and user_id = $2 and name = $3 and system = 1",
                )
                .bind(format!("{SYSTEM}{name}"))
                .execute(pool)
                .await?
                .rows_affected()
                > 0
        }))
    }

    /// Takes over a key that was made elsewhere; `None` where its text could never
    /// be presented, `Some(false)` where it is here already.
    pub(super) async fn import(
        &self,
        text: &str,
        new: &NewApiKey,
    ) -> Result<Option<bool>, StoreError> {
        if text::parse(text).is_none() {
            return Ok(None);
        }
        check(new)?;
        let hash = text::hash(text);
        let id = format!("imported-{}", &hash[..16]);
        let here: Option<(String,)> = read!(self.store.db, pool => {
            sqlx::query_as("select id from api_keys where hash = $1")
                .bind(&hash)
                .fetch_optional(pool)
                .await?
        });
        if here.is_some() {
            return Ok(Some(false));
        }
        if self.insert(&id, text, new, new.name.starts_with(SYSTEM)).await? {
            Ok(Some(true))
        } else {
            Err(StoreError::KeyTwice(new.name.clone()))
        }
    }
}

/// The last second of the year 9999: what comes later, nothing can show.
const LAST_INSTANT: u64 = 253_402_300_799;

/// Whether a key can be made so, apart from what it is for.
fn check(new: &NewApiKey) -> Result<(), StoreError> {
    if !is_name(&new.name) {
        return Err(StoreError::KeyName(new.name.clone()));
    }
    for scope in &new.scopes {
        let good = !scope.is_empty() && scope.len() <= 64;
        if !good || !scope.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(StoreError::KeyScope(scope.clone()));
        }
    }
    match new.expires_at.max(new.not_before) {
        Some(expires_at) if expires_at > LAST_INSTANT => Err(StoreError::KeyExpired { expires_at }),
        _ => Ok(()),
    }
}

fn is_name(name: &str) -> bool {
    !name.is_empty()
        && name.chars().count() <= 255
        && !name.chars().any(crate::text::is_treacherous)
}
