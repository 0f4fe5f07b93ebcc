//! What a component imports against what it is granted.

use std::{borrow::Cow, fmt::Write as _};

use super::{Import, LoadError};
use crate::{
    capability::CAPABILITIES,
    config::{Config, Grants},
    engine::{
        description::{Description, GrantSource, SettingType},
        settings,
    },
};

/// Refuses imports that are not granted, with the lines that would grant them.
/// The values come from the component's own proposals, where it can make any.
pub(super) fn check(
    imports: &[Import],
    description: Option<&Description>,
    config: &Config,
) -> Result<(), LoadError> {
    let mut interfaces = Vec::new();
    let mut toml = String::from("[auth.grants]\n");
    for capability in &CAPABILITIES {
        let Some(key) = capability.grant else { continue };
        let imported = imports.iter().any(|import| import.interface == capability.interface);
        if !imported || !config.auth.grants.under(key).is_empty() {
            continue;
        }
        interfaces.push(capability.interface.to_owned());
        let values = description.map(|about| proposals(key, about, config)).unwrap_or_default();
        let values = if values.is_empty() { vec!["\"…\"".to_owned()] } else { values };
        let _ = writeln!(toml, "{key} = [{}]", values.join(", "));
    }
    if interfaces.is_empty() { Ok(()) } else { Err(LoadError::MissingGrant { interfaces, toml }) }
}

/// The configuration with what the description proposes granted, where an operator
/// who has no file said nothing of grants: four variables are enough for a strategy
/// that is known by them. It is said in the log, and one grant of the operator's own
/// ends it.
pub(super) fn adopted(description: &Description, config: &Config) -> Option<Config> {
    if !config.source.is_environment_alone() || config.auth.grants != Grants::default() {
        return None;
    }
    let grants = proposed(description, config);
    if grants == Grants::default() {
        return None;
    }
    tracing::info!(
        strategy.name = description.name,
        http = ?grants.http,
        browser = ?grants.browser,
        jose = ?grants.jose,
        token_store = ?grants.token_store,
        "there is no configuration file and no grant: the strategy is granted what it proposes; \
         set VESTIBULE_AUTH_GRANTS_HTTP and its like to decide yourself"
    );
    let mut config = config.clone();
    config.auth.grants = grants;
    Some(config)
}

/// What a description proposes to grant, as far as the values are known.
#[must_use]
pub fn proposed(description: &Description, config: &Config) -> Grants {
    let values = |key: &str| known(key, description, config);
    Grants {
        http: values("http"),
        browser: values("browser"),
        jose: values("jose"),
        token_store: values("token_store"),
    }
}

/// The proposed values as TOML: what the settings hold, and where none holds
/// anything, what they are called. The description was checked: it proposes no
/// setting that is a secret.
fn proposals(key: &str, description: &Description, config: &Config) -> Vec<String> {
    let known = known(key, description, config);
    if !known.is_empty() {
        return known.iter().map(|value| format!("{value:?}")).collect();
    }
    let unknown = |source: &GrantSource| match source {
        GrantSource::Fixed(value) | GrantSource::Template(value) => format!("{value:?}"),
        GrantSource::Setting(name) => format!("\"<the setting {name}>\""),
    };
    description.grants.under(key).iter().map(unknown).collect()
}

/// The proposed values that are known, each once: two settings can be at one origin.
fn known(key: &str, description: &Description, config: &Config) -> Vec<String> {
    let mut values = Vec::new();
    for source in description.grants.under(key) {
        if let Some(value) = value(key, source, description, config)
            && !values.contains(&value)
        {
            values.push(value);
        }
    }
    values
}

fn value(
    key: &str,
    source: &GrantSource,
    description: &Description,
    config: &Config,
) -> Option<String> {
    let value = source.value(|name| written(name, description, config))?;
    if matches!(source, GrantSource::Fixed(_)) {
        return Some(value);
    }
    settings::checked(&SettingType::Url, value.as_str().into()).ok()?;
    let url = url::Url::parse(&value).ok()?;
    // An issuer is a text, compared as it is; everything else is an origin.
    Some(if key == "jose" { value } else { url.origin().ascii_serialization() })
}

/// The text of a setting, where the operator gave it or the component has a default
/// for it.
fn written<'a>(
    name: &str,
    description: &'a Description,
    config: &'a Config,
) -> Option<Cow<'a, str>> {
    let auth = &config.auth;
    let setting = description.settings.iter().find(|setting| setting.name == name)?;
    let written = auth.settings.get(name).or_else(|| auth.spellings.get(name));
    let written = written.and_then(toml::Value::as_str).map(Cow::Borrowed);
    let environment = &config.source.environment;
    let variable = || setting.environment.iter().find_map(|name| environment.get(name));
    let default = || setting.default.as_ref()?.as_str().map(Cow::Borrowed);
    variable().map(Cow::Owned).or(written).or_else(default)
}
