//! What a component imports against what it is granted.

use std::fmt::Write as _;

use super::{LoadError, contract::Contract};
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
    contract: &Contract,
    description: Option<&Description>,
    config: &Config,
) -> Result<(), LoadError> {
    let mut interfaces = Vec::new();
    let mut toml = String::from("[auth.grants]\n");
    for capability in &CAPABILITIES {
        let Some(key) = capability.grant else { continue };
        if !contract.imports(capability.interface) || !config.auth.grants.under(key).is_empty() {
            continue;
        }
        interfaces.push(capability.interface.to_owned());
        let mut values: Vec<String> = Vec::new();
        if let Some(description) = description {
            let proposed = description.grants.under(key).iter();
            values.extend(proposed.map(|source| proposal(key, source, description, config)));
        }
        // Two settings can be at one origin.
        values.dedup();
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
    let values = |key: &str| {
        let proposed = description.grants.under(key).iter();
        let mut values: Vec<String> =
            proposed.filter_map(|source| value(key, source, description, config)).collect();
        values.dedup();
        values
    };
    let grants = Grants {
        http: values("http"),
        browser: values("browser"),
        jose: values("jose"),
        token_store: values("token_store"),
    };
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

/// A proposed value as TOML: what a setting holds, where the operator gave it or
/// the component has a default for it. The description was checked: it proposes no
/// setting that is a secret.
fn proposal(key: &str, source: &GrantSource, description: &Description, config: &Config) -> String {
    let unknown = || match source {
        GrantSource::Fixed(value) | GrantSource::Setting(value) => format!("<the setting {value}>"),
    };
    format!("{:?}", value(key, source, description, config).unwrap_or_else(unknown))
}

/// A proposed value, where it is known.
fn value(
    key: &str,
    source: &GrantSource,
    description: &Description,
    config: &Config,
) -> Option<String> {
    let name = match source {
        GrantSource::Fixed(value) => return Some(value.clone()),
        GrantSource::Setting(name) => name,
    };
    let auth = &config.auth;
    let setting = description.settings.iter().find(|setting| setting.name == *name)?;
    let written = auth.settings.get(name).or_else(|| auth.spellings.get(name));
    let written = written.and_then(toml::Value::as_str).map(str::to_owned);
    let environment = &config.source.environment;
    let variable = || setting.environment.iter().find_map(|name| environment.get(name));
    let default = || setting.default.as_ref()?.as_str().map(str::to_owned);
    let value = variable().or(written).or_else(default)?;
    settings::checked(&SettingType::Url, value.as_str().into()).ok()?;
    let url = url::Url::parse(&value).ok()?;
    // An issuer is a text, compared as it is; everything else is an origin.
    Some(if key == "jose" { value } else { url.origin().ascii_serialization() })
}
