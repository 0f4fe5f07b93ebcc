//! One setting that a strategy declares.

use serde::Serialize;

use super::{MAX_ALIASES, few, name, short, text};
use crate::{bindings::exports::vestibule::auth::plugin as wit, engine::settings};

/// The most choices and variables of a setting.
const MAX_CHOICES: usize = 32;
const MAX_VARIABLES: usize = 8;

/// Words by which the name of a variable tells that it holds a secret.
const SECRET_WORDS: [&str; 10] = [
    "AUTHORIZATION",
    "COOKIE",
    "CREDENTIAL",
    "DATABASE",
    "DSN",
    "PASS",
    "PRIVATE",
    "SECRET",
    "SESSION",
    "TOKEN",
];

/// The type of a setting's value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SettingType {
    /// Text.
    Text,
    /// A whole number.
    Integer,
    /// `true` or `false`.
    Boolean,
    /// An absolute `http` or `https` URL.
    Url,
    /// A list of texts.
    Texts,
    /// One of these texts.
    Choice(Vec<String>),
    /// A table.
    Table,
}

/// One setting that the operator can give.
#[derive(Clone, Debug, Serialize)]
pub struct Setting {
    /// Its name in `[auth.settings]`.
    pub name: String,
    /// Other spellings, accepted in `[auth]` itself.
    pub aliases: Vec<String>,
    /// The type of its value.
    #[serde(rename = "type")]
    pub kind: SettingType,
    /// The strategy does not start without it.
    pub required: bool,
    /// The strategy gets a handle, never the value.
    pub secret: bool,
    /// The value when the operator gives none.
    pub default: Option<serde_json::Value>,
    /// One sentence for the operator.
    pub help: String,
    /// Environment variables that can supply it, first found wins.
    pub environment: Vec<String>,
}

impl Setting {
    /// Takes a setting over.
    pub(super) fn from_component(setting: wit::Setting) -> Result<Self, String> {
        let default = setting.default.map(|json| serde_json::from_str(&json)).transpose().map_err(
            |error| format!("the default of its setting {:?} is not JSON: {error}", setting.name),
        )?;
        Ok(Self {
            name: setting.name,
            aliases: setting.aliases,
            kind: match setting.kind {
                wit::SettingType::Text => SettingType::Text,
                wit::SettingType::Integer => SettingType::Integer,
                wit::SettingType::Boolean => SettingType::Boolean,
                wit::SettingType::Url => SettingType::Url,
                wit::SettingType::Texts => SettingType::Texts,
                wit::SettingType::Choice(choices) => SettingType::Choice(choices),
                wit::SettingType::Table => SettingType::Table,
            },
            required: setting.required,
            secret: setting.secret,
            default,
            help: setting.help,
            environment: setting.environment,
        })
    }

    pub(super) fn check(&self) -> Result<(), String> {
        name("setting", &self.name)?;
        few("aliases of a setting", &self.aliases, MAX_ALIASES)?;
        self.aliases.iter().try_for_each(|alias| name("alias of a setting", alias))?;
        text("help of a setting", &self.help)?;
        if let SettingType::Choice(choices) = &self.kind {
            few("choices of a setting", choices, MAX_CHOICES)?;
            choices.iter().try_for_each(|choice| text("choice", choice))?;
        }
        few("variables of a setting", &self.environment, MAX_VARIABLES)?;
        self.environment.iter().try_for_each(|variable| self.check_variable(variable))?;
        match &self.default {
            Some(_) if self.secret => {
                Err(format!("its setting {:?} is a secret and has a default", self.name))
            }
            Some(value) => settings::checked(&self.kind, value.clone()).map(drop).map_err(|what| {
                format!("the default of its setting {:?} does not fit: {what}", self.name)
            }),
            None => Ok(()),
        }
    }

    /// A component names the variables that it would like to have, and gets what
    /// is no secret as text. So it can name none that may hold one.
    fn check_variable(&self, variable: &str) -> Result<(), String> {
        let valid = variable.len() <= 64
            && variable.starts_with(|first: char| first.is_ascii_uppercase())
            && variable.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_');
        if !valid {
            return Err(format!(
                "it asks for the variable {}, which is not upper-case letters, digits and underscores",
                short(variable)
            ));
        }
        if variable.starts_with("VESTIBULE_") {
            return Err(format!("it asks for {variable}, and VESTIBULE_ is for the host's own"));
        }
        let is_key = |word: &str| word.ends_with("KEY") || word.ends_with("KEYS");
        let telling = SECRET_WORDS.iter().any(|word| variable.contains(word))
            || variable.split('_').any(is_key);
        if telling && !self.secret {
            return Err(format!(
                "it asks for {variable} as plain text, and variables of such a name hold secrets"
            ));
        }
        Ok(())
    }
}

/// A setting of tests.
#[cfg(test)]
pub(super) fn thing(secret: bool, variable: &str) -> Setting {
    Setting {
        name: "thing".to_owned(),
        aliases: Vec::new(),
        kind: SettingType::Text,
        required: false,
        secret,
        default: None,
        help: "A thing.".to_owned(),
        environment: vec![variable.to_owned()],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_that_may_hold_a_secret_cannot_be_had_as_text() {
        for variable in [
            "HOST_DB_PASSWORD",
            "OAUTH_CLIENT_SECRET",
            "AWS_SESSION_TOKEN",
            "STRIPE_APIKEY",
            "DATABASE_URL",
            "SENTRY_DSN",
        ] {
            assert!(thing(false, variable).check().is_err(), "{variable}");
            assert!(thing(true, variable).check().is_ok(), "{variable}");
        }
        for variable in ["SINGLE_USER_ALLOWED", "OAUTH_CLIENT_ID", "KEYBOARD_SERVER_URL"] {
            assert!(thing(false, variable).check().is_ok(), "{variable}");
        }
        for variable in ["VESTIBULE_DATABASE_URL", "lower", "", "A-B", &"A".repeat(65)] {
            assert!(thing(true, variable).check().is_err(), "{variable}");
        }
    }
}
