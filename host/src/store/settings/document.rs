//! A document of settings, and which of its fields are secret.

use std::collections::BTreeMap;

use secrecy::SecretString;
use serde_json::{Map, Value};

use crate::{
    secret::{len, reveal},
    store::StoreError,
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
    pub(super) fn check(&self) -> Result<(), StoreError> {
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
