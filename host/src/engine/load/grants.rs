//! What a component imports against what it is granted.

use std::fmt::Write as _;

use super::{LoadError, contract::Contract};
use crate::{
    capability::CAPABILITIES,
    config::Config,
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

/// A proposed value as TOML: what a setting holds, where the operator gave it or
/// the component has a default for it. The description was checked: it proposes no
/// setting that is a secret.
fn proposal(key: &str, source: &GrantSource, description: &Description, config: &Config) -> String {
    let name = match source {
        GrantSource::Fixed(value) => return format!("{value:?}"),
        GrantSource::Setting(name) => name,
    };
    let auth = &config.auth;
    let given = auth.settings.get(name).or_else(|| auth.spellings.get(name));
    let setting = description.settings.iter().find(|setting| setting.name == *name);
    let default = setting.and_then(|setting| setting.default.as_ref());
    let value = given.and_then(toml::Value::as_str).or_else(|| default?.as_str());
    let url = value
        .filter(|text| settings::checked(&SettingType::Url, (*text).into()).is_ok())
        .and_then(|text| url::Url::parse(text).ok());
    match (url, value, key) {
        (Some(_), Some(issuer), "jose") => format!("{issuer:?}"),
        (Some(url), ..) => format!("{:?}", url.origin().ascii_serialization()),
        _ => format!("\"<the setting {name}>\""),
    }
}
