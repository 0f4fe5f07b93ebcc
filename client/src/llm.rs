//! The model that the owner of a sandbox works with.

use std::fmt;

use secrecy::SecretString;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::Error;

/// What a server shows in the place of a secret. It is no key.
const MASK: &str = "**********";

/// A model, and how to reach it.
#[derive(Clone)]
pub struct Llm {
    /// Its name.
    pub model: String,
    /// The key for it; some models need none.
    pub api_key: Option<SecretString>,
    /// Where it is, where that is not the usual place.
    pub base_url: Option<String>,
    /// Whatever else a profile says, such as `temperature`. It can hold secrets.
    pub options: Map<String, Value>,
}

/// What to take, and what to take in the place of what the account says.
#[derive(Clone, Default)]
pub struct Overrides {
    /// The profile to take; the account's usual model where none is named.
    pub profile: Option<String>,
    /// The model.
    pub model: Option<String>,
    /// The key.
    pub api_key: Option<SecretString>,
    /// Where the model is.
    pub base_url: Option<String>,
    /// Other options, one by one.
    pub options: Map<String, Value>,
}

/// An address can hold a password, and an option a key.
impl fmt::Debug for Llm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let options: Vec<_> = self.options.keys().collect();
        let mut shown = f.debug_struct("Llm");
        shown.field("model", &self.model).field("options", &options).finish_non_exhaustive()
    }
}

impl fmt::Debug for Overrides {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let options: Vec<_> = self.options.keys().collect();
        let mut shown = f.debug_struct("Overrides");
        shown.field("profile", &self.profile).field("model", &self.model);
        shown.field("options", &options).finish_non_exhaustive()
    }
}

/// What an account says about its models.
#[derive(Deserialize)]
pub(crate) struct Account {
    #[serde(rename = "llm_model")]
    model: Option<String>,
    #[serde(rename = "llm_api_key")]
    api_key: Option<String>,
    #[serde(rename = "llm_base_url")]
    base_url: Option<String>,
    #[serde(rename = "llm_profiles", default)]
    profiles: Value,
}

/// A model by its profile.
#[derive(Default, Deserialize)]
struct Profile {
    model: Option<String>,
    api_key: Option<String>,
    base_url: Option<String>,
    #[serde(flatten)]
    options: Map<String, Value>,
}

impl Account {
    /// The model that the account says, and the caller changes.
    pub(crate) fn llm(self, overrides: Overrides, path: &str) -> Result<Llm, Error> {
        let chosen = match &overrides.profile {
            Some(name) => self.profile(name, path)?,
            None => Profile {
                model: self.model,
                api_key: self.api_key,
                base_url: self.base_url,
                options: Map::new(),
            },
        };
        let said = |text: &String| !text.trim().is_empty();
        let mut options = chosen.options;
        options.extend(overrides.options);
        Ok(Llm {
            model: overrides.model.or(chosen.model.filter(said)).ok_or(Error::NoModel)?,
            api_key: overrides.api_key.or_else(|| {
                chosen.api_key.filter(said).filter(|key| key != MASK).map(SecretString::from)
            }),
            base_url: overrides.base_url.or(chosen.base_url.filter(said)),
            options,
        })
    }

    fn profile(&self, name: &str, path: &str) -> Result<Profile, Error> {
        let profiles = self.profiles.get("profiles").and_then(Value::as_object);
        let Some(found) = profiles.and_then(|all| all.get(name)).filter(|one| one.is_object())
        else {
            let there_are = profiles.into_iter().flat_map(Map::keys).cloned().collect();
            return Err(Error::NoProfile { name: name.to_owned(), there_are });
        };
        let mut profile = Profile::deserialize(found).map_err(|_| Error::Answer {
            path: path.to_owned(),
            reason: "has a profile that is none",
        })?;
        // By which an agent tells what each of its models has used.
        profile.options.insert("usage_id".to_owned(), format!("profile:{name}").into());
        Ok(profile)
    }
}
