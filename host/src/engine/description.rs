//! What a strategy says of itself, checked before anybody relies on it.

use serde::Serialize;

use crate::bindings::exports::vestibule::auth::plugin as wit;

/// The most headers that a strategy may ask for.
const MAX_HEADERS: usize = 16;

/// The most settings that a strategy may have.
const MAX_SETTINGS: usize = 64;

/// The longest text of a description, in bytes.
const MAX_TEXT_BYTES: usize = 1024;

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

/// Where the value of a proposed grant comes from.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum GrantSource {
    /// This very value.
    Fixed(String),
    /// The value of the setting of this name.
    Setting(String),
}

/// What the strategy would like to be granted.
#[derive(Clone, Debug, Default, Serialize)]
pub struct ProposedGrants {
    /// Origins for `http-client`.
    pub http: Vec<GrantSource>,
    /// Issuers for `jose`.
    pub jose: Vec<GrantSource>,
    /// Token names for `token-store`.
    pub token_store: Vec<GrantSource>,
}

impl ProposedGrants {
    /// What is proposed under a key of `[auth.grants]`.
    pub(super) fn under(&self, key: &str) -> &[GrantSource] {
        match key {
            "http" => &self.http,
            "jose" => &self.jose,
            "token_store" => &self.token_store,
            _ => &[],
        }
    }
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
            grants: ProposedGrants {
                http: described.grants.http.into_iter().map(source).collect(),
                jose: described.grants.jose.into_iter().map(source).collect(),
                token_store: described
                    .grants
                    .token_store
                    .into_iter()
                    .map(GrantSource::Fixed)
                    .collect(),
            },
            local_owner: described.local_owner,
            log_in: described.log_in,
            providers: described.providers,
        };
        description.check()?;
        Ok(description)
    }

    fn check(&self) -> Result<(), String> {
        name("name", &self.name)?;
        for alias in &self.aliases {
            name("alias", alias)?;
        }
        semver::Version::parse(&self.version)
            .map_err(|error| format!("its version {:?} is not semver: {error}", self.version))?;
        text("summary", &self.summary)?;
        if let Some(label) = &self.log_in {
            text("log-in label", label)?;
        }
        if self.settings.len() > MAX_SETTINGS {
            return Err(format!("it has more than {MAX_SETTINGS} settings"));
        }
        for (index, setting) in self.settings.iter().enumerate() {
            name("setting", &setting.name)?;
            text("help of a setting", &setting.help)?;
            if self.settings[..index].iter().any(|other| other.name == setting.name) {
                return Err(format!("it has two settings {:?}", setting.name));
            }
        }
        if self.headers.len() > MAX_HEADERS {
            return Err(format!("it asks for more than {MAX_HEADERS} headers"));
        }
        for header in &self.headers {
            if WITHHELD_HEADERS.contains(&header.as_str()) {
                return Err(format!(
                    "it asks for the header {header:?}, which no strategy can have"
                ));
            }
            let valid = http::HeaderName::from_bytes(header.as_bytes())
                .is_ok_and(|parsed| parsed.as_str() == header);
            if !valid {
                return Err(format!(
                    "it asks for {header:?}, which is no header name in lower case"
                ));
            }
        }
        for provider in &self.providers {
            if !crate::identity::PROVIDERS.contains(&provider.as_str()) {
                return Err(format!("it names {provider:?}, which is no known provider"));
            }
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
            "its {what} {name:?} is not 1 to 64 lower-case letters, digits, hyphens and underscores"
        ))
    }
}

fn text(what: &str, text: &str) -> Result<(), String> {
    if text.len() > MAX_TEXT_BYTES || text.chars().any(char::is_control) {
        return Err(format!("its {what} is not one line of at most {MAX_TEXT_BYTES} bytes"));
    }
    Ok(())
}

fn source(source: wit::GrantSource) -> GrantSource {
    match source {
        wit::GrantSource::Fixed(value) => GrantSource::Fixed(value),
        wit::GrantSource::Setting(name) => GrantSource::Setting(name),
    }
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
