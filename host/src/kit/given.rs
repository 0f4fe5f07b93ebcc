//! What a strategy is given: settings by its description or by a file, and grants.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use serde_json::{Map, Value};

use super::{KitError, canary::Canaries};
use crate::{
    config::{Config, Grants},
    engine::{Description, Setting, SettingType, proposed_grants},
    hex,
};

/// A text for whatever wants one.
const TEXT: &str = "vestibule-kit";

/// Nobody's place, where something has to be granted for a component to load.
const NOWHERE: &str = "https://nowhere.example";

/// What an author wants the strategy to be given.
#[derive(Clone, Debug, Default)]
pub struct Given {
    settings: toml::Table,
    grants: toml::Table,
    /// Who logs in at the peer, beyond what is said there anyway.
    pub(super) person: Map<String, Value>,
}

impl Given {
    /// Reads a file of the tables `[settings]`, `[grants]` and `[person]`.
    pub fn read(path: &Path) -> Result<Self, KitError> {
        let mistake = |what: String| KitError::Given(format!("{}: {what}", path.display()));
        let text = fs::read_to_string(path).map_err(|error| mistake(error.to_string()))?;
        let mut file: toml::Table = text.parse().map_err(|error| mistake(format!("{error}")))?;
        let mut table = |name: &str| match file.remove(name) {
            None => Ok(toml::Table::new()),
            Some(toml::Value::Table(table)) => Ok(table),
            Some(_) => Err(mistake(format!("[{name}] is a table"))),
        };
        let (settings, grants, person) = (table("settings")?, table("grants")?, table("person")?);
        if let Some(unknown) = file.keys().next() {
            return Err(mistake(format!(
                "unknown key {unknown:?}; there are [settings], [grants] and [person]"
            )));
        }
        let person = serde_json::to_value(person).map_err(|error| mistake(error.to_string()))?;
        let Value::Object(person) = person else { unreachable!("a table is an object") };
        Ok(Self { settings, grants, person })
    }

    /// Puts settings and grants into a configuration.
    pub(super) fn fill(
        &self,
        about: &Description,
        canaries: &Canaries,
        config: &mut Config,
    ) -> Result<(), KitError> {
        let settings = &mut config.auth.settings;
        settings.clone_from(&self.settings);
        for setting in &about.settings {
            if setting.secret {
                // Nobody's own secret gets into what is looked through.
                settings.insert(setting.name.clone(), canaries.make("configured secret").into());
            } else if setting.required && setting.default.is_none() {
                settings.entry(setting.name.clone()).or_insert_with(|| example(setting));
            }
        }
        config.auth.limits.concurrency = config.auth.limits.concurrency.min(SIXTEEN);
        let proposed = proposed_grants(about, config);
        let take = |key: &str, proposed: Vec<String>, nobody: &str| {
            let given = match self.grants.get(key) {
                Some(list) => list
                    .clone()
                    .try_into::<Vec<String>>()
                    .map_err(|error| KitError::Given(format!("[grants] {key}: {error}")))?,
                None => proposed,
            };
            // A component does not load without what it imports.
            Ok(if given.is_empty() { vec![nobody.to_owned()] } else { given })
        };
        config.auth.grants = Grants {
            http: take("http", proposed.http, NOWHERE)?,
            browser: take("browser", proposed.browser, NOWHERE)?,
            jose: take("jose", proposed.jose, NOWHERE)?,
            token_store: take("token_store", proposed.token_store, TEXT)?,
        };
        Ok(())
    }
}

const SIXTEEN: std::num::NonZeroUsize = std::num::NonZeroUsize::new(16).unwrap();

/// A value that fits.
fn example(setting: &Setting) -> toml::Value {
    match &setting.kind {
        SettingType::Text => TEXT.into(),
        SettingType::Integer => 1.into(),
        SettingType::Boolean => true.into(),
        SettingType::Url => "https://idp.example".into(),
        SettingType::Texts => vec![TEXT].into(),
        SettingType::Choice(choices) => choices.first().map_or(TEXT, String::as_str).into(),
        SettingType::Table => toml::Table::new().into(),
    }
}

/// A folder for a database, which goes with the examination.
pub(super) struct Folder(PathBuf);

impl Folder {
    pub(super) fn new() -> io::Result<Self> {
        let mut random = [0; 8];
        getrandom::fill(&mut random).map_err(io::Error::other)?;
        let path = std::env::temp_dir().join(format!("vestibule-kit-{}", hex::encode(&random)));
        fs::create_dir(&path)?;
        Ok(Self(path))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
