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
        let proposed = description.map_or(&[][..], |description| description.grants.under(key));
        let values: Vec<String> = proposed.iter().map(|source| proposal(source, config)).collect();
        let values = if values.is_empty() { vec!["\"…\"".to_owned()] } else { values };
        let _ = writeln!(toml, "{key} = [{}]", values.join(", "));
    }
    if interfaces.is_empty() { Ok(()) } else { Err(LoadError::MissingGrant { interfaces, toml }) }
}

/// A proposed value as TOML: what a setting holds, where the operator gave it.
/// The description was checked: it proposes no setting that is a secret.
fn proposal(source: &GrantSource, config: &Config) -> String {
    match source {
        GrantSource::Fixed(value) => format!("{value:?}"),
        GrantSource::Setting(name) => {
            let given = config.auth.settings.get(name).and_then(toml::Value::as_str);
            let url =
                given.filter(|text| settings::checked(&SettingType::Url, (*text).into()).is_ok());
            url.map_or_else(|| format!("\"<the setting {name}>\""), |value| format!("{value:?}"))
        }
    }
}
