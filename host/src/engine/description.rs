//! What a strategy says of itself, checked before anybody relies on it.

mod proposals;

use std::borrow::Cow;

use serde::Serialize;

pub use self::proposals::{GrantSource, ProposedGrants};
use super::settings;
use crate::{
    bindings::exports::vestibule::auth::plugin as wit,
    text::{cut, escape, is_treacherous},
};

/// The most headers that a strategy may ask for.
const MAX_HEADERS: usize = 16;

/// The most settings that a strategy may have.
const MAX_SETTINGS: usize = 64;

/// The longest text of a description, in bytes.
const MAX_TEXT_BYTES: usize = 1024;

/// The most aliases, proposed grants, choices and variables of anything.
const MAX_ALIASES: usize = 8;
const MAX_GRANTS: usize = 16;
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

/// Headers that carry credentials, or that a proxy may have made up: the host
/// reads those itself and hands on what it makes of them.
const WITHHELD_HEADERS: [&str; 12] = [
    "authorization",
    "cookie",
    "forwarded",
    "host",
    "proxy-authorization",
    "x-access-token",
    "x-api-key",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-service-api-key",
    "x-session-api-key",
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

/// What a strategy says of itself.
#[derive(Clone, Debug, Serialize)]
pub struct Description {
    /// Its name.
    pub name: String,
    /// Other names that `[auth] strategy` may use for it.
    pub aliases: Vec<String>,
    /// Its own version.
    pub version: String,
    /// One line of help.
    pub summary: String,
    /// Its settings.
    pub settings: Vec<Setting>,
    /// Request headers that it needs.
    pub headers: Vec<String>,
    /// What it would like to be granted.
    pub grants: ProposedGrants,
    /// Every caller is the local owner.
    pub local_owner: bool,
    /// The label of its log-in button; `None` where there is no log-in.
    pub log_in: Option<String>,
    /// Git providers for which it can hand out tokens.
    pub providers: Vec<String>,
}

impl Description {
    /// Whether `[auth] strategy` may name this strategy so.
    #[must_use]
    pub fn answers_to(&self, name: &str) -> bool {
        self.name == name || self.aliases.iter().any(|alias| alias == name)
    }

    /// Takes over a description, or says what is wrong with it.
    pub(super) fn from_component(described: wit::Description) -> Result<Self, String> {
        let description = Self {
            name: described.name,
            aliases: described.aliases,
            version: described.version,
            summary: described.summary,
            settings: described.settings.into_iter().map(setting).collect::<Result<_, _>>()?,
            headers: described.headers,
            grants: described.grants.into(),
            local_owner: described.local_owner,
            log_in: described.log_in,
            providers: described.providers,
        };
        description.check()?;
        Ok(description)
    }

    fn check(&self) -> Result<(), String> {
        name("name", &self.name)?;
        few("aliases", &self.aliases, MAX_ALIASES)?;
        self.aliases.iter().try_for_each(|alias| name("alias", alias))?;
        text("version", &self.version)?;
        semver::Version::parse(&self.version)
            .map_err(|error| format!("its version {:?} is not semver: {error}", self.version))?;
        text("summary", &self.summary)?;
        self.log_in.iter().try_for_each(|label| text("log-in label", label))?;
        few("settings", &self.settings, MAX_SETTINGS)?;
        for (index, setting) in self.settings.iter().enumerate() {
            setting.check()?;
            if self.settings[..index].iter().any(|other| other.name == setting.name) {
                return Err(format!("it has two settings {:?}", setting.name));
            }
        }
        few("headers", &self.headers, MAX_HEADERS)?;
        self.headers.iter().try_for_each(|wanted| header(wanted))?;
        for key in ["http", "browser", "jose", "token_store"] {
            few("proposed grants", self.grants.under(key), MAX_GRANTS)?;
            self.grants.under(key).iter().try_for_each(|source| self.check_grant(source))?;
        }
        few("providers", &self.providers, crate::identity::PROVIDERS.len())?;
        match self.providers.iter().find(|p| !crate::identity::PROVIDERS.contains(&p.as_str())) {
            Some(unknown) => {
                Err(format!("it names {}, which is no known provider", short(unknown)))
            }
            None => Ok(()),
        }
    }

    /// What is proposed is printed, so that it can come from no secret.
    fn check_grant(&self, source: &GrantSource) -> Result<(), String> {
        match source {
            GrantSource::Fixed(value) => text("proposed grant", value),
            GrantSource::Setting(name) => match self.open_setting(name) {
                Some(found) if found.kind == SettingType::Url => Ok(()),
                _ => Err(format!(
                    "it proposes a grant from {}, which is no setting of the type url",
                    short(name)
                )),
            },
            GrantSource::Template(template) => {
                text("proposed grant", template)?;
                let value = source.value(|name| {
                    let found = self.open_setting(name)?;
                    let fits = matches!(found.kind, SettingType::Url | SettingType::Text);
                    fits.then_some(Cow::Borrowed("value"))
                });
                value.map(drop).ok_or_else(|| {
                    format!(
                        "it proposes a grant from {}, which names something else than settings of \
                         the types url and text",
                        short(template)
                    )
                })
            }
        }
    }

    /// A setting that is no secret.
    fn open_setting(&self, name: &str) -> Option<&Setting> {
        self.settings.iter().find(|setting| setting.name == name && !setting.secret)
    }
}

impl Setting {
    fn check(&self) -> Result<(), String> {
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

/// Names are lower-case, so that files, aliases and settings cannot differ by
/// case alone.
fn name(what: &str, name: &str) -> Result<(), String> {
    let valid = !name.is_empty()
        && name.len() <= 64
        && name
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_'));
    if valid {
        Ok(())
    } else {
        Err(format!(
            "its {what} {} is not 1 to 64 lower-case letters, digits, hyphens and underscores",
            short(name)
        ))
    }
}

fn text(what: &str, text: &str) -> Result<(), String> {
    if text.len() > MAX_TEXT_BYTES || text.contains(is_treacherous) {
        return Err(format!("its {what} is not one line of at most {MAX_TEXT_BYTES} bytes"));
    }
    Ok(())
}

fn few<T>(what: &str, items: &[T], most: usize) -> Result<(), String> {
    if items.len() > most {
        return Err(format!("it has more than {most} {what}"));
    }
    Ok(())
}

fn header(wanted: &str) -> Result<(), String> {
    if WITHHELD_HEADERS.contains(&wanted) {
        return Err(format!("it asks for the header {wanted:?}, which no strategy can have"));
    }
    let valid = wanted.len() <= 64
        && http::HeaderName::from_bytes(wanted.as_bytes())
            .is_ok_and(|parsed| parsed.as_str() == wanted);
    if !valid {
        return Err(format!(
            "it asks for {}, which is no header name in lower case of at most 64 bytes",
            short(wanted)
        ));
    }
    Ok(())
}

/// A name that may be anything, for an error.
fn short(name: &str) -> String {
    format!("{:?}", escape(&cut(name.to_owned(), 64)))
}

fn setting(setting: wit::Setting) -> Result<Setting, String> {
    let default =
        setting.default.map(|json| serde_json::from_str(&json)).transpose().map_err(|error| {
            format!("the default of its setting {:?} is not JSON: {error}", setting.name)
        })?;
    Ok(Setting {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn setting(secret: bool, variable: &str) -> Setting {
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
            assert!(setting(false, variable).check().is_err(), "{variable}");
            assert!(setting(true, variable).check().is_ok(), "{variable}");
        }
        for variable in ["SINGLE_USER_ALLOWED", "OAUTH_CLIENT_ID", "KEYBOARD_SERVER_URL"] {
            assert!(setting(false, variable).check().is_ok(), "{variable}");
        }
        for variable in ["VESTIBULE_DATABASE_URL", "lower", "", "A-B", &"A".repeat(65)] {
            assert!(setting(true, variable).check().is_err(), "{variable}");
        }
    }

    #[test]
    fn a_description_cannot_forge_what_inspect_prints() {
        let spoil = |change: fn(&mut Description)| {
            let mut description = Description {
                name: "plain".to_owned(),
                aliases: Vec::new(),
                version: "1.0.0".to_owned(),
                summary: "Plain".to_owned(),
                settings: vec![setting(true, "PLAIN_THING")],
                headers: Vec::new(),
                grants: ProposedGrants::default(),
                local_owner: false,
                log_in: None,
                providers: Vec::new(),
            };
            description.check().expect("it is fine before");
            change(&mut description);
            description.check()
        };
        let forged = "x\n  lets everybody in  no\u{1b}[31m";
        let changes: [fn(&mut Description); 9] = [
            |d| d.summary = "a\u{202e}b".to_owned(),
            |d| d.aliases = vec!["A".to_owned()],
            |d| d.aliases = vec!["a".to_owned(); 9],
            |d| d.headers = vec!["cookie".to_owned()],
            |d| d.providers = vec!["sourceforge".to_owned()],
            |d| d.settings[0].aliases = vec!["a b".to_owned()],
            |d| d.settings[0].kind = SettingType::Choice(vec!["a\nb".to_owned()]),
            |d| d.grants.http = vec![GrantSource::Fixed("a\nb".to_owned())],
            // A secret would be printed with the grant that it is proposed for.
            |d| d.grants.http = vec![GrantSource::Setting("thing".to_owned())],
        ];
        for (index, change) in changes.into_iter().enumerate() {
            let error = spoil(change).expect_err(&format!("change {index}"));
            assert!(!error.contains(is_treacherous), "{error:?}");
        }
        assert!(text("summary", forged).is_err());
        assert!(!short(forged).contains(is_treacherous));
    }
}
