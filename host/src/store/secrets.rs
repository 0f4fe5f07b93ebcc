//! Users' own secrets: names that can be listed, values and descriptions that
//! rest sealed.

use std::collections::{BTreeMap, BTreeSet};

use secrecy::SecretString;
use sqlx::FromRow;

use super::{Scope, Store, StoreError, read, seconds, transact};
use crate::{
    cipher::{Cipher, CipherError, Place, Sealed},
    secret::len,
};

/// A secret as its owner keeps it.
#[derive(Clone, Debug)]
pub struct Secret {
    /// The value.
    pub value: SecretString,
    /// What it is for; an empty description is one.
    pub description: Option<SecretString>,
}

/// A user's secrets in one organisation.
#[derive(Debug, Default)]
pub struct LoadedSecrets {
    /// How often the set has changed; for edits that must not miss another.
    pub version: u64,
    /// The secrets by name.
    pub secrets: BTreeMap<String, Secret>,
    /// Names of secrets that do not open, and why.
    pub damaged: BTreeMap<String, CipherError>,
    /// When each was changed last, in seconds since the Unix epoch.
    pub updated_at: BTreeMap<String, u64>,
}

#[derive(FromRow)]
struct Row {
    name: String,
    key_id: String,
    value: String,
    description: Option<String>,
}

pub(super) const VALUE: &str = "secrets.value";
pub(super) const DESCRIPTION: &str = "secrets.description";

pub(super) fn place<'a>(scope: &'a Scope, column: &'static str, name: &'a str) -> Place<'a> {
    Place { column, org: scope.org.as_str(), user: scope.user.as_str(), name }
}

/// A secret as it rests.
struct SealedSecret {
    key: String,
    value: String,
    description: Option<String>,
}

impl SealedSecret {
    fn seal(cipher: &Cipher, scope: &Scope, name: &str, secret: &Secret) -> Self {
        let value = cipher.seal(&place(scope, VALUE, name), &secret.value);
        let description = secret
            .description
            .as_ref()
            .map(|text| cipher.seal(&place(scope, DESCRIPTION, name), text).token);
        Self { key: value.key, value: value.token, description }
    }
}

/// Within a transaction: takes the set for itself and counts the change. `None`
/// where the set is not at the version that was asked for.
macro_rules! next_version {
    ($scope:expr, $expected:expr, $tx:ident) => {{
        let row: Option<(i64,)> = $scope
            .rows(
                "insert into secret_sets (org_id, user_id, version) values ($1, $2, 1)
                 on conflict (org_id, user_id) do update set version = secret_sets.version + 1
                 returning version",
            )
            .fetch_optional(&mut *$tx)
            .await?;
        let version = row.map_or(0, |(version,)| version);
        let expected: Option<u64> = $expected;
        if expected.is_some_and(|expected| expected.checked_add(1) != Some(seconds(version))) {
            return Err(StoreError::Conflict);
        }
        version
    }};
}

/// Within a transaction: writes one secret.
macro_rules! put {
    ($scope:expr, $name:expr, $sealed:expr, $version:expr, $now:expr, $tx:ident) => {
        $scope
            .query(
                "insert into secrets (org_id, user_id, name, key_id, value, description, version,
                     created_at, updated_at)
                 values ($1, $2, $3, $4, $5, $6, $7, $8, $8)
                 on conflict (org_id, user_id, name) do update set key_id = excluded.key_id,
                     value = excluded.value, description = excluded.description,
                     version = excluded.version, updated_at = excluded.updated_at",
            )
            .bind($name)
            .bind(&$sealed.key)
            .bind(&$sealed.value)
            .bind(&$sealed.description)
            .bind($version)
            .bind($now)
            .execute(&mut *$tx)
            .await?
    };
}

/// Within a transaction: the row of one secret.
macro_rules! find {
    ($scope:expr, $name:expr, $tx:ident) => {{
        let row: Option<Row> = $scope
            .rows(
                "select name, key_id, value, description from secrets
                 where org_id = $1 and user_id = $2 and name = $3",
            )
            .bind($name)
            .fetch_optional(&mut *$tx)
            .await?;
        row
    }};
}

/// A user's secrets in one organisation.
#[derive(Clone, Copy, Debug)]
pub struct Secrets<'a> {
    store: &'a Store,
    scope: &'a Scope,
}

impl Store {
    /// A user's secrets in one organisation.
    #[must_use]
    pub fn secrets<'a>(&'a self, scope: &'a Scope) -> Secrets<'a> {
        Secrets { store: self, scope }
    }
}

impl Secrets<'_> {
    /// Every secret that opens, and the names of those that do not.
    pub async fn load(&self) -> Result<LoadedSecrets, StoreError> {
        // One statement, so that set and version belong together.
        type Joined =
            (i64, Option<String>, Option<String>, Option<String>, Option<String>, Option<i64>);
        let rows: Vec<Joined> = read!(self.store.db, pool => {
            self.scope
                .rows(
                    "select v.version, s.name, s.key_id, s.value, s.description, s.updated_at
                     from secret_sets v left join secrets s
                         on s.org_id = v.org_id and s.user_id = v.user_id
                     where v.org_id = $1 and v.user_id = $2",
                )
                .fetch_all(pool)
                .await?
        });
        let mut loaded = LoadedSecrets::default();
        for (version, name, key_id, value, description, updated_at) in rows {
            loaded.version = seconds(version);
            let (Some(name), Some(key_id), Some(value)) = (name, key_id, value) else { continue };
            loaded.updated_at.insert(name.clone(), seconds(updated_at.unwrap_or_default()));
            let row = Row { name: name.clone(), key_id, value, description };
            match self.open(row) {
                Ok(secret) => {
                    loaded.secrets.insert(name, secret);
                }
                // Nothing is wrong with it: this process lacks a secret.
                Err(error @ CipherError::UnknownKey(_)) => return Err(error.into()),
                Err(error) => {
                    tracing::error!(
                        secret.name = name,
                        user.id = %self.scope.user,
                        %error,
                        "a secret does not open"
                    );
                    loaded.damaged.insert(name, error);
                }
            }
        }
        Ok(loaded)
    }

    /// One secret.
    pub async fn get(&self, name: &str) -> Result<Option<Secret>, StoreError> {
        if !is_name(name) {
            return Ok(None);
        }
        let row: Option<Row> = read!(self.store.db, pool => {
            self.scope
                .rows(
                    "select name, key_id, value, description from secrets
                     where org_id = $1 and user_id = $2 and name = $3",
                )
                .bind(name)
                .fetch_optional(pool)
                .await?
        });
        row.map(|row| self.open(row)).transpose().map_err(StoreError::from)
    }

    /// Puts a set in the place of the one before: all of it, or nothing changes.
    /// With `expected`, only where the set still has that version.
    pub async fn store(
        &self,
        set: &BTreeMap<String, Secret>,
        expected: Option<u64>,
    ) -> Result<u64, StoreError> {
        let limits = self.store.limits.load().secrets;
        if set.len() > limits.max_count {
            return Err(StoreError::TooManySecrets(limits.max_count));
        }
        for (name, secret) in set {
            self.check(name, secret)?;
        }
        self.store.require_member(self.scope).await?;
        let sealed: Vec<_> = set
            .iter()
            .map(|(name, secret)| {
                (name, SealedSecret::seal(&self.store.cipher, self.scope, name, secret))
            })
            .collect();
        let now = self.store.now();
        let version = transact!(self.store.db, tx => {
            let version = next_version!(self.scope, expected, tx);
            self.scope
                .query("delete from secrets where org_id = $1 and user_id = $2")
                .execute(&mut *tx)
                .await?;
            for (name, sealed) in &sealed {
                put!(self.scope, name.as_str(), sealed, version, now, tx);
            }
            version
        });
        Ok(seconds(version))
    }

    /// Makes or overwrites one secret and touches no other. Where no description
    /// is given, the one before stays.
    pub async fn put(
        &self,
        name: &str,
        secret: &Secret,
        expected: Option<u64>,
    ) -> Result<u64, StoreError> {
        self.check(name, secret)?;
        self.store.require_member(self.scope).await?;
        let mut sealed = SealedSecret::seal(&self.store.cipher, self.scope, name, secret);
        let (limit, now) = (self.store.limits.load().secrets.max_count, self.store.now());
        let version = transact!(self.store.db, tx => {
            let version = next_version!(self.scope, expected, tx);
            match find!(self.scope, name, tx) {
                // Sealed anew: the row has one key for both.
                Some(before) if sealed.description.is_none() => {
                    let kept = before.description.map(|token| {
                        let sealed = Sealed { key: before.key_id, token };
                        self.store.cipher.open(&place(self.scope, DESCRIPTION, name), &sealed)
                    });
                    sealed.description = match kept {
                        Some(Ok(text)) => {
                            let place = place(self.scope, DESCRIPTION, name);
                            Some(self.store.cipher.seal(&place, &text).token)
                        }
                        // It must not stand in the way of a new value.
                        None | Some(Err(CipherError::Damaged)) => None,
                        Some(Err(error)) => return Err(error.into()),
                    };
                }
                Some(_) => {}
                None => {
                    let (count,): (i64,) = self
                        .scope
                        .rows("select count(*) from secrets where org_id = $1 and user_id = $2")
                        .fetch_one(&mut *tx)
                        .await?;
                    if usize::try_from(count).unwrap_or(usize::MAX) >= limit {
                        return Err(StoreError::TooManySecrets(limit));
                    }
                }
            }
            put!(self.scope, name, sealed, version, now, tx);
            version
        });
        Ok(seconds(version))
    }

    /// Gives a secret another name, value or description; `None` leaves a part as
    /// it is.
    pub async fn edit(
        &self,
        name: &str,
        new_name: Option<&str>,
        value: Option<&SecretString>,
        description: Option<&SecretString>,
        expected: Option<u64>,
    ) -> Result<u64, StoreError> {
        if !is_name(name) {
            return Err(StoreError::NoSecret(name.to_owned()));
        }
        let to = new_name.unwrap_or(name);
        let now = self.store.now();
        let version = transact!(self.store.db, tx => {
            let version = next_version!(self.scope, expected, tx);
            let Some(row) = find!(self.scope, name, tx) else {
                return Err(StoreError::NoSecret(name.to_owned()));
            };
            if to != name && find!(self.scope, to, tx).is_some() {
                return Err(StoreError::SecretTwice(to.to_owned()));
            }
            let mut secret = self.open(row)?;
            if let Some(value) = value {
                secret.value = value.clone();
            }
            if let Some(description) = description {
                secret.description = Some(description.clone());
            }
            self.check(to, &secret)?;
            let sealed = SealedSecret::seal(&self.store.cipher, self.scope, to, &secret);
            if to != name {
                self.scope
                    .query("delete from secrets where org_id = $1 and user_id = $2 and name = $3")
                    .bind(name)
                    .execute(&mut *tx)
                    .await?;
            }
            put!(self.scope, to, sealed, version, now, tx);
            version
        });
        Ok(seconds(version))
    }

    /// Deletes one secret, damaged or not.
    pub async fn remove(&self, name: &str, expected: Option<u64>) -> Result<u64, StoreError> {
        if !is_name(name) {
            return Err(StoreError::NoSecret(name.to_owned()));
        }
        let version = transact!(self.store.db, tx => {
            let version = next_version!(self.scope, expected, tx);
            let removed = self
                .scope
                .query("delete from secrets where org_id = $1 and user_id = $2 and name = $3")
                .bind(name)
                .execute(&mut *tx)
                .await?
                .rows_affected();
            if removed == 0 {
                return Err(StoreError::NoSecret(name.to_owned()));
            }
            version
        });
        Ok(seconds(version))
    }

    fn open(&self, row: Row) -> Result<Secret, CipherError> {
        let open = |column, token| {
            let sealed = Sealed { key: row.key_id.clone(), token };
            self.store.cipher.open(&place(self.scope, column, &row.name), &sealed)
        };
        Ok(Secret {
            value: open(VALUE, row.value)?,
            description: row.description.map(|token| open(DESCRIPTION, token)).transpose()?,
        })
    }

    fn check(&self, name: &str, secret: &Secret) -> Result<(), StoreError> {
        if !is_name(name) || name == TAKEN {
            return Err(StoreError::SecretName(name.to_owned()));
        }
        let limit = self.store.limits.load().secrets.max_bytes;
        let description = secret.description.as_ref().map_or(0, len);
        if len(&secret.value).max(description) > limit {
            return Err(StoreError::SecretTooLarge { name: name.to_owned(), limit });
        }
        Ok(())
    }
}

/// A word that means something else where a secret's name stands in a path.
const TAKEN: &str = "search";

/// A name as a shell's variable has it, so that clients need not quote it.
fn is_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    let first = bytes.next().is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_');
    first && name.len() <= 256 && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

impl LoadedSecrets {
    /// The names, of damaged secrets as well.
    #[must_use]
    pub fn names(&self) -> BTreeSet<&str> {
        self.secrets.keys().chain(self.damaged.keys()).map(String::as_str).collect()
    }
}
