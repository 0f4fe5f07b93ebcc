//! The operator's settings against what a strategy declares.

use std::{collections::BTreeMap, sync::Arc};

use secrecy::SecretString;
use serde_json::{Map, Value as Json};
use toml::Value;

use super::description::{Setting, SettingType};
use crate::config::{Auth, Source, did_you_mean};

/// The largest secret that a file may hold, in bytes.
const MAX_SECRET_BYTES: u64 = 64 * 1024;

/// The operator's settings are not what the strategy declares; one text for
/// each mistake.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.join("; "))]
pub struct SettingsError(pub Vec<String>);

/// Settings that were checked.
#[derive(Debug)]
pub(super) struct Settings {
    /// Those that are not secret, as a JSON object.
    pub(super) plain: Map<String, Json>,
    /// Those that are, each declared name with its value if it has one.
    pub(super) secrets: BTreeMap<String, Option<Arc<SecretString>>>,
}

/// Finds each declared setting in the environment or the file, and refuses what
/// is not declared.
pub(super) fn resolve(
    declared: &[Setting],
    auth: &Auth,
    source: &Source,
) -> Result<Settings, SettingsError> {
    let mut given = Given { auth: auth.clone(), source, mistakes: Vec::new() };
    let mut settings = Settings { plain: Map::new(), secrets: BTreeMap::new() };
    for setting in declared {
        let found = given.take(setting);
        if found.is_none() && setting.required && setting.default.is_none() {
            given.mistakes.push(missing(setting));
        }
        if setting.secret {
            let text = found.and_then(|found| given.secret(setting, found)).map(Arc::new);
            settings.secrets.insert(setting.name.clone(), text);
        } else {
            let value = found.and_then(|found| given.plain(setting, found));
            if let Some(value) = value.or_else(|| setting.default.clone()) {
                settings.plain.insert(setting.name.clone(), value);
            }
        }
    }
    given.refuse_the_rest(declared);
    if given.mistakes.is_empty() { Ok(settings) } else { Err(SettingsError(given.mistakes)) }
}

/// A value and where it was found.
enum Found {
    Variable {
        name: String,
        text: String,
    },
    Key {
        key: Vec<String>,
        value: Value,
    },
    /// The path of a file that holds a secret.
    File {
        key: Vec<String>,
        value: Value,
    },
}

struct Given<'a> {
    auth: Auth,
    source: &'a Source,
    mistakes: Vec<String>,
}

impl Given<'_> {
    /// Takes a setting out of every place that may hold it: the environment
    /// has the last word, and two places in the file are a mistake.
    fn take(&mut self, setting: &Setting) -> Option<Found> {
        let mut found = Vec::new();
        let names = std::iter::once(&setting.name).chain(&setting.aliases);
        let mut look = |table: &mut toml::Table, section: &[&str], name: &str| {
            let key = |name: &str| {
                section.iter().copied().chain([name]).map(str::to_owned).collect::<Vec<_>>()
            };
            if let Some(value) = table.remove(name) {
                found.push(Found::Key { key: key(name), value });
            }
            let file = format!("{name}_file");
            if setting.secret
                && let Some(value) = table.remove(&file)
            {
                found.push(Found::File { key: key(&file), value });
            }
        };
        look(&mut self.auth.settings, &["auth", "settings"], &setting.name);
        for name in names {
            look(&mut self.auth.spellings, &["auth"], name);
        }
        if found.len() > 1 {
            self.mistakes.push(format!(
                "the setting {:?} is given {} times, in [auth.settings] or under another spelling; \
                 keep one",
                setting.name,
                found.len()
            ));
        }
        let own = format!("VESTIBULE_AUTH_SETTINGS_{}", setting.name.to_ascii_uppercase());
        let variable = std::iter::once(&own).chain(&setting.environment).find_map(|name| {
            let text = self.source.environment.get(name)?;
            Some(Found::Variable { name: name.clone(), text })
        });
        if let (Some(Found::Variable { name, .. }), false) = (&variable, found.is_empty()) {
            tracing::info!(
                setting = setting.name,
                "the environment variable {name} has the last word over the file"
            );
        }
        variable.or_else(|| found.pop())
    }

    fn secret(&mut self, setting: &Setting, found: Found) -> Option<SecretString> {
        match found {
            // No strategy can see that its secret is empty.
            Found::Key { key, value: Value::String(text) } if text.is_empty() => {
                self.mistake(&key, &format!("the secret {:?} is empty", setting.name));
                None
            }
            Found::Variable { text, .. } | Found::Key { value: Value::String(text), .. } => {
                Some(text.into())
            }
            Found::File { key, value: Value::String(path) } => match read_secret(&path) {
                Ok(text) => Some(text),
                Err(error) => {
                    self.mistake(&key, &format!("cannot read {path:?}: {error}"));
                    None
                }
            },
            Found::Key { key, .. } | Found::File { key, .. } => {
                self.mistake(&key, &format!("the secret {:?} is a text", setting.name));
                None
            }
        }
    }

    fn plain(&mut self, setting: &Setting, found: Found) -> Option<Json> {
        let (value, told) = match found {
            Found::Variable { name, text } => {
                (from_text(&setting.kind, &text), format!("environment variable {name}"))
            }
            Found::Key { key, value } | Found::File { key, value } => {
                let key: Vec<&str> = key.iter().map(String::as_str).collect();
                (serde_json::to_value(value).ok(), self.source.place(&key))
            }
        };
        match value.ok_or_else(|| expected(&setting.kind)).and_then(|v| checked(&setting.kind, v)) {
            Ok(value) => Some(value),
            Err(what) => {
                self.mistakes.push(format!("{told}: {what}"));
                None
            }
        }
    }

    fn mistake(&mut self, key: &[String], what: &str) {
        let key: Vec<&str> = key.iter().map(String::as_str).collect();
        self.mistakes.push(self.source.mistake(&key, what));
    }

    fn refuse_the_rest(&mut self, declared: &[Setting]) {
        let names = || declared.iter().map(|setting| setting.name.as_str());
        let settings = std::mem::take(&mut self.auth.settings);
        for name in settings.keys() {
            let hint = match did_you_mean(name, names()) {
                hint if !hint.is_empty() => hint,
                _ if declared.is_empty() => "; this strategy has no settings".to_owned(),
                _ => format!("; there are: {}", names().collect::<Vec<_>>().join(", ")),
            };
            let what = format!("the strategy has no such setting{hint}");
            self.mistakes.push(self.source.mistake(&["auth", "settings", name], &what));
        }
        let spellings = std::mem::take(&mut self.auth.spellings);
        let own = ["strategy", "sha256", "settings", "grants", "limits"];
        for name in spellings.keys() {
            let aliases = declared.iter().flat_map(|s| s.aliases.iter().map(String::as_str));
            let hint = did_you_mean(name, own.into_iter().chain(aliases).chain(names()));
            let what = format!("unknown key{hint}");
            self.mistakes.push(self.source.mistake(&["auth", name], &what));
        }
    }
}

fn missing(setting: &Setting) -> String {
    let name = &setting.name;
    let line = if setting.secret {
        format!("{name}_file = \"…\"")
    } else {
        format!("{name} = {}", example(&setting.kind))
    };
    let variables = match setting.environment.first() {
        Some(variable) => format!(" or set {variable}"),
        None => format!(" or set VESTIBULE_AUTH_SETTINGS_{}", name.to_ascii_uppercase()),
    };
    format!(
        "the setting {name:?} is missing ({}); add `{line}` to [auth.settings]{variables}",
        setting.help
    )
}

fn read_secret(path: &str) -> std::io::Result<SecretString> {
    use std::io::Read as _;
    let mut text = String::new();
    let read = std::fs::File::open(path)?.take(MAX_SECRET_BYTES + 1).read_to_string(&mut text)?;
    if read as u64 > MAX_SECRET_BYTES {
        return Err(std::io::Error::other("it is larger than 64 KiB"));
    }
    // Editors and `echo` end a file with a line break that is no part of it.
    let end = text.trim_end_matches(['\r', '\n']).len();
    text.truncate(end);
    if text.is_empty() {
        return Err(std::io::Error::other("it is empty"));
    }
    Ok(text.into())
}

/// A value from a variable. `None` where it is not of the type.
fn from_text(kind: &SettingType, text: &str) -> Option<Json> {
    match kind {
        SettingType::Text | SettingType::Url | SettingType::Choice(_) => Some(text.into()),
        SettingType::Integer => text.parse::<i64>().ok().map(Into::into),
        SettingType::Boolean => text.parse::<bool>().ok().map(Into::into),
        SettingType::Texts => Some(text.split(',').map(|item| item.trim().to_owned()).collect()),
        SettingType::Table => serde_json::from_str(text).ok(),
    }
}

pub(super) fn checked(kind: &SettingType, value: Json) -> Result<Json, String> {
    let fits = match kind {
        SettingType::Text => value.is_string(),
        SettingType::Integer => value.is_i64(),
        SettingType::Boolean => value.is_boolean(),
        SettingType::Url => value.as_str().is_some_and(|text| {
            // A password in a URL would reach the strategy as text.
            url::Url::parse(text).is_ok_and(|url| {
                matches!(url.scheme(), "http" | "https")
                    && url.has_host()
                    && url.username().is_empty()
                    && url.password().is_none()
            })
        }),
        SettingType::Texts => value.as_array().is_some_and(|all| all.iter().all(Json::is_string)),
        SettingType::Choice(choices) => {
            value.as_str().is_some_and(|text| choices.iter().any(|choice| choice == text))
        }
        SettingType::Table => value.is_object(),
    };
    if fits { Ok(value) } else { Err(expected(kind)) }
}

fn expected(kind: &SettingType) -> String {
    match kind {
        SettingType::Text => "a text is needed".to_owned(),
        SettingType::Integer => "a whole number is needed".to_owned(),
        SettingType::Boolean => "true or false is needed".to_owned(),
        SettingType::Url => {
            "a URL such as \"https://example.com\", without a password, is needed".to_owned()
        }
        SettingType::Texts => "a list of texts is needed".to_owned(),
        SettingType::Choice(choices) => format!("one of {} is needed", choices.join(", ")),
        SettingType::Table => "a table is needed".to_owned(),
    }
}

fn example(kind: &SettingType) -> String {
    match kind {
        SettingType::Text => "\"…\"".to_owned(),
        SettingType::Integer => "1".to_owned(),
        SettingType::Boolean => "true".to_owned(),
        SettingType::Url => "\"https://…\"".to_owned(),
        SettingType::Texts => "[\"…\"]".to_owned(),
        SettingType::Choice(choices) => {
            format!("{:?}", choices.first().map_or("…", String::as_str))
        }
        SettingType::Table => "{ … }".to_owned(),
    }
}
