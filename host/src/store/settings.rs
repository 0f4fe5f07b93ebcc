//! Users' settings: one JSON document, whose secret fields rest sealed one by one.

use std::collections::BTreeMap;

use secrecy::SecretString;
use serde_json::{Map, Value};

use super::{Scope, Store, StoreError, read, seconds, transact};
use crate::{
    cipher::{CipherError, Place, Sealed},
    secret::{len, reveal},
};

/// The largest document, in bytes.
const MAX_BYTES: usize = 256 << 10;
const MAX_DEPTH: usize = 32;
const MAX_NODES: usize = 5_000;
const MAX_NAME_BYTES: usize = 256;
const MAX_POINTER_BYTES: usize = 1_024;
const MAX_SECRETS: usize = 500;

/// Settings without their secrets, and the secrets by their place in the
/// document (a JSON pointer, RFC 6901).
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// What is not secret.
    pub document: Map<String, Value>,
    /// What is.
    pub secrets: BTreeMap<String, SecretString>,
}

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

impl Settings {
    /// Takes the secret fields out of a document: what stands under names that say
    /// so, every text in `mcp_config`, whose URLs and arguments can hold keys.
    ///
    /// A number or truth value under such a name becomes a text.
    pub fn split(document: Map<String, Value>) -> Result<Self, StoreError> {
        let mut nodes = 0;
        if !document.iter().all(|(name, value)| is_bounded(name, value, MAX_DEPTH, &mut nodes)) {
            return Err(StoreError::SettingsShape(MAX_BYTES));
        }
        let mut settings = Self::default();
        settings.document = document
            .into_iter()
            .filter_map(|(name, value)| {
                let pointer = format!("/{}", escaped(&name));
                let secret = is_secret(&name) || name == SEALED_WHOLE;
                Some((name, take(value, &pointer, secret, &mut settings.secrets)?))
            })
            .collect();
        settings.check()?;
        Ok(settings)
    }

    /// Refuses what is too much to seal one by one.
    fn check(&self) -> Result<(), StoreError> {
        let rests = |(pointer, secret): (&String, &SecretString)| pointer.len() + len(secret) + 100;
        let bytes: usize = self.secrets.iter().map(rests).sum();
        let long = self.secrets.keys().any(|pointer| pointer.len() > MAX_POINTER_BYTES);
        let document = serde_json::to_string(&self.document).map_or(MAX_BYTES, |text| text.len());
        if long || self.secrets.len() > MAX_SECRETS || document + bytes > MAX_BYTES {
            return Err(StoreError::SettingsShape(MAX_BYTES));
        }
        Ok(())
    }

    /// The document with a mask in the place of each secret. Of `mcp_config`, names,
    /// kinds, and commands and URLs that can hold no key are shown.
    #[must_use]
    pub fn masked(&self, mask: &str) -> Value {
        self.with_secrets(|pointer, text| {
            let mut names = pointer.split('/').skip(1);
            let whole = names.next() == Some(SEALED_WHOLE);
            let plain = whole && !names.any(is_secret);
            // Whatever else a server is told can be a key.
            let shown = match pointer.rsplit('/').next() {
                Some("url") => !text.contains(['?', '@', '#']),
                Some("command") => !text.contains(char::is_whitespace),
                Some("name" | "type" | "transport") => true,
                _ => false,
            };
            Value::from(if plain && shown { text } else { mask })
        })
    }

    /// The document with its secrets in it: for a caller who may see them.
    #[must_use]
    pub fn exposed(&self) -> Value {
        self.with_secrets(|_, text| Value::from(text))
    }

    fn with_secrets(&self, shown: impl Fn(&str, &str) -> Value) -> Value {
        let mut document = Value::Object(self.document.clone());
        for (pointer, secret) in &self.secrets {
            put(&mut document, pointer, shown(pointer, reveal(secret)));
        }
        document
    }
}

/// Whether a value is no deeper and no larger than anybody needs, and its names can
/// be part of a pointer.
fn is_bounded(name: &str, value: &Value, depth: usize, nodes: &mut usize) -> bool {
    *nodes += 1;
    let named = name.len() <= MAX_NAME_BYTES && !name.chars().any(char::is_control);
    let Some(depth) = depth.checked_sub(1) else { return false };
    named
        && *nodes <= MAX_NODES
        && match value {
            Value::Object(fields) => {
                fields.iter().all(|(name, value)| is_bounded(name, value, depth, nodes))
            }
            Value::Array(items) => items.iter().all(|value| is_bounded("", value, depth, nodes)),
            Value::String(text) => !text.contains('\0'),
            _ => true,
        }
}

/// Removes secrets from a value; `None` where the value is one.
fn take(
    value: Value,
    pointer: &str,
    secret: bool,
    secrets: &mut BTreeMap<String, SecretString>,
) -> Option<Value> {
    match value {
        Value::String(text) if secret => {
            secrets.insert(pointer.to_owned(), SecretString::from(text));
            None
        }
        // Elsewhere in `mcp_config` they are time-outs and the like.
        Value::Number(_) | Value::Bool(_) if secret && names_secret(pointer) => {
            secrets.insert(pointer.to_owned(), SecretString::from(value.to_string()));
            None
        }
        Value::Object(fields) => Some(Value::Object(
            fields
                .into_iter()
                .filter_map(|(name, value)| {
                    let pointer = format!("{pointer}/{}", escaped(&name));
                    let secret = secret || is_secret(&name);
                    Some((name, take(value, &pointer, secret, secrets)?))
                })
                .collect(),
        )),
        // What is in a list keeps its place there.
        Value::Array(items) => Some(Value::Array(
            items
                .into_iter()
                .enumerate()
                .map(|(index, value)| {
                    let pointer = format!("{pointer}/{index}");
                    take(value, &pointer, secret, secrets).unwrap_or(Value::Null)
                })
                .collect(),
        )),
        other => Some(other),
    }
}

/// The part of a document that is sealed as a whole.
const SEALED_WHOLE: &str = "mcp_config";

fn names_secret(pointer: &str) -> bool {
    pointer.rsplit('/').next().is_some_and(is_secret)
}

fn is_secret(name: &str) -> bool {
    let name = snake(name);
    // How many tokens there may be is no secret.
    let several = name.strip_suffix('s').filter(|_| !name.ends_with("tokens"));
    let name = several.unwrap_or(&name);
    let ends = [
        "key",
        "token",
        "secret",
        "password",
        "passwd",
        "pwd",
        "passphrase",
        "authorization",
        "credential",
        "cookie",
        "pat",
        "bearer",
        "header",
        "dsn",
        "key_id",
    ];
    name == "env"
        || name == "auth"
        || name.starts_with("llm_api_key")
        || ends.iter().any(|end| name == *end || name.ends_with(&format!("_{end}")))
        || matches!(name, "apikey" | "authtoken" | "accesstoken" | "clientsecret")
}

/// `bearerToken` and `bearer-token` as `bearer_token`.
fn snake(name: &str) -> String {
    let mut snake = String::with_capacity(name.len());
    let mut after_small = false;
    for character in name.chars() {
        if character.is_ascii_uppercase() && after_small {
            snake.push('_');
        }
        after_small = character.is_ascii_lowercase();
        snake.push(if character == '-' { '_' } else { character.to_ascii_lowercase() });
    }
    snake
}

fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

/// Puts a value where a pointer says, making the objects on the way.
fn put(document: &mut Value, pointer: &str, value: Value) {
    let mut at = document;
    for step in pointer.split('/').skip(1) {
        let step = step.replace("~1", "/").replace("~0", "~");
        at = match at {
            Value::Object(fields) => {
                fields.entry(step).or_insert_with(|| Value::Object(Map::new()))
            }
            Value::Array(items) => {
                match step.parse().ok().and_then(|index: usize| items.get_mut(index)) {
                    Some(item) => item,
                    None => return,
                }
            }
            _ => return,
        };
    }
    *at = value;
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn secret_fields_are_taken_out_and_put_back_where_they_were() {
        let document = json!({
            "llm_model": "sonnet", "llm_api_key": "hush", "max_tokens": 5, "token_limit": "9",
            "llm_profiles": {"fast/one": {"api_key": "hush", "base_url": null}},
            "mcp_config": {"servers": [{"url": "u", "headers": {"X-Any": "hush", "n": 1}},
                {"env": {"A~B": "hush"}, "args": ["--token"]}], "list_key": ["hush", "hush"]},
        });
        let settings = Settings::split(document.as_object().unwrap().clone()).unwrap();
        let public = serde_json::to_string(&settings.document).unwrap();
        assert!(!public.contains("hush"), "{public}");
        assert_eq!(settings.secrets.len(), 8);
        assert!(settings.secrets.contains_key("/llm_profiles/fast~1one/api_key"));
        assert_eq!(settings.exposed(), document);
        let masked = settings.masked("***");
        assert!(!masked.to_string().contains("hush"), "{masked}");
        assert_eq!(masked["mcp_config"]["servers"][0]["url"], "u");
        assert_eq!(masked["mcp_config"]["servers"][1]["args"][0], "***");
        assert!(!format!("{settings:?}").contains("hush"));
    }

    #[test]
    fn a_document_that_is_made_to_be_much_is_refused() {
        let deep = (0..40).fold(json!("x"), |inner, _| json!({ "a": inner }));
        let many: Vec<_> = (0..6_000).map(|_| "").collect();
        let long = "n".repeat(300);
        let secrets: Map<_, _> = (0..501).map(|n| (format!("k{n}"), json!(""))).collect();
        for document in [
            json!({ "a": deep }),
            json!({ "mcp_config": many }),
            json!({ long: 1 }),
            json!({ "a\u{0}": 1 }),
            json!({ "mcp_config": secrets }),
        ] {
            let split = Settings::split(document.as_object().unwrap().clone());
            assert!(matches!(split, Err(StoreError::SettingsShape(_))));
        }
    }

    #[test]
    fn names_are_secret_however_they_are_written() {
        for name in [
            "api_key",
            "apiKey",
            "API-KEY",
            "bearerToken",
            "extra_headers",
            "passwords",
            "env",
            "aws_access_key_id",
            "Authorization",
            "credentials",
            "my_pat",
        ] {
            assert!(is_secret(name), "{name}");
        }
        for name in ["model", "max_output_tokens", "monkey_business", "url", "environment"] {
            assert!(!is_secret(name), "{name}");
        }
    }
}
