//! Users' settings: one JSON document, whose secret fields rest sealed one by one.

mod document;

pub use self::document::Settings;
use super::{Scope, Store, StoreError, read, seconds, transact};
use crate::cipher::{CipherError, Place, Sealed};

/// Settings as stored.
#[derive(Debug, Default)]
pub struct LoadedSettings {
    /// How often they have changed.
    pub version: u64,
    /// The settings.
    pub settings: Settings,
    /// Places of secrets that do not open.
    pub damaged: Vec<String>,
}

pub(super) const VALUE: &str = "setting_secrets.value";

pub(super) fn place<'a>(org: &'a str, user: &'a str, pointer: &'a str) -> Place<'a> {
    Place { column: VALUE, org, user, name: pointer }
}

const LOAD: &str = "select d.version, d.document, s.pointer, s.key_id, s.value
     from settings d left join setting_secrets s
         on s.org_id = d.org_id and s.user_id = d.user_id
     where d.org_id = $1 and d.user_id = $2";

impl Store {
    /// A user's settings in one organisation; empty ones where there are none.
    pub async fn settings(&self, scope: &Scope) -> Result<LoadedSettings, StoreError> {
        type Joined = (i64, String, Option<String>, Option<String>, Option<String>);
        let looked_up = scope.look_up(&self.db, LOAD, |row| Joined::try_from(row));
        let rows = match looked_up {
            Some(rows) => rows,
            None => read!(self.db, pool => { scope.rows(LOAD).fetch_all(pool).await? }),
        };
        let mut loaded = LoadedSettings::default();
        for (index, (version, document, pointer, key, token)) in rows.into_iter().enumerate() {
            if index == 0 {
                loaded.version = seconds(version);
                loaded.settings.document =
                    serde_json::from_str(&document).map_err(|_| StoreError::Damaged("settings"))?;
            }
            let (Some(pointer), Some(key), Some(token)) = (pointer, key, token) else { continue };
            let place = place(scope.org.as_str(), scope.user.as_str(), &pointer);
            match self.cipher.open(&place, &Sealed { key, token }) {
                Ok(secret) => {
                    loaded.settings.secrets.insert(pointer, secret);
                }
                // Nothing is wrong with it: this process lacks a secret.
                Err(error @ CipherError::UnknownKey(_)) => return Err(error.into()),
                Err(error) => {
                    tracing::error!(
                        setting = pointer,
                        user.id = %scope.user,
                        %error,
                        "a secret in the settings does not open"
                    );
                    loaded.damaged.push(pointer);
                }
            }
        }
        Ok(loaded)
    }

    /// Puts settings in the place of those before, with `expected` only where
    /// they still have that version (0: there are none).
    pub async fn store_settings(
        &self,
        scope: &Scope,
        settings: &Settings,
        expected: Option<u64>,
    ) -> Result<u64, StoreError> {
        let document = serde_json::to_string(&settings.document)
            .unwrap_or_else(|error| unreachable!("a document is plain data: {error}"));
        settings.check()?;
        self.require_member(scope).await?;
        let (org, user) = (scope.org.as_str(), scope.user.as_str());
        let sealed: Vec<_> = settings
            .secrets
            .iter()
            .map(|(pointer, secret)| {
                (pointer, self.cipher.seal(&place(org, user, pointer), secret))
            })
            .collect();
        let version = transact!(self.db, tx => {
            let (version,): (i64,) = scope
                .rows(
                    "insert into settings (org_id, user_id, document, version, updated_at)
                     values ($1, $2, $3, 1, $4)
                     on conflict (org_id, user_id) do update set document = excluded.document,
                         version = settings.version + 1, updated_at = excluded.updated_at
                     returning version",
                )
                .bind(&document)
                .bind(self.now())
                .fetch_one(&mut *tx)
                .await?;
            if expected.is_some_and(|expected| expected.checked_add(1) != Some(seconds(version))) {
                return Err(StoreError::Conflict);
            }
            let before: Vec<(String, String, String)> = scope
                .rows(
                    "select pointer, key_id, value from setting_secrets
                     where org_id = $1 and user_id = $2",
                )
                .fetch_all(&mut *tx)
                .await?;
            for (pointer, key, token) in before {
                // What does not open was not shown, so leaving it out says nothing.
                let place = place(org, user, &pointer);
                if self.cipher.open(&place, &Sealed { key, token }).is_err() {
                    continue;
                }
                scope
                    .query(
                        "delete from setting_secrets
                         where org_id = $1 and user_id = $2 and pointer = $3",
                    )
                    .bind(&pointer)
                    .execute(&mut *tx)
                    .await?;
            }
            for (pointer, sealed) in &sealed {
                scope
                    .query(
                        "insert into setting_secrets (org_id, user_id, pointer, key_id, value)
                         values ($1, $2, $3, $4, $5)
                         on conflict (org_id, user_id, pointer) do update
                             set key_id = excluded.key_id, value = excluded.value",
                    )
                    .bind(pointer.as_str())
                    .bind(&sealed.key)
                    .bind(&sealed.token)
                    .execute(&mut *tx)
                    .await?;
            }
            version
        });
        Ok(seconds(version))
    }
}
