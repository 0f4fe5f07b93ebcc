//! A component's type against the contract. The type cannot lie: what it does
//! not import it cannot reach.

use semver::Version;
use serde::Serialize;
use wasmtime::component::{Component, types::ComponentItem};

use super::LoadError;
use crate::capability::CAPABILITIES;

/// The package of the contract.
const PACKAGE: &str = "vestibule:auth";

/// The version of the contract that this host speaks.
const VERSION: Version = Version::new(0, 1, 0);

/// The interfaces that a strategy exports, each with its functions.
const EXPORTS: [(&str, &[&str]); 4] = [
    ("plugin", &["describe", "check-settings"]),
    ("user-auth", &["authenticate", "restore"]),
    ("login", &["begin", "complete", "log-out", "back-channel"]),
    ("token-provider", &["get-token", "list-tokens", "revoke-token"]),
];

/// An interface that a component imports, and what of it.
#[derive(Clone, Debug, Serialize)]
pub struct Import {
    /// The interface's name within the contract.
    pub interface: String,
    /// The functions that the component can call.
    pub functions: Vec<String>,
    /// The key in `[auth.grants]` that grants it; `None` is always granted.
    pub grant: Option<String>,
}

/// What a component's type says.
pub(super) struct Contract {
    /// The package with the component's version of it.
    pub(super) package: String,
    /// What it imports and can call.
    pub(super) imports: Vec<Import>,
    /// It imports something that may wait.
    pub(super) waits: bool,
}

/// Reads a component's type, or says how it departs from the contract.
pub(super) fn check(component: &Component) -> Result<Contract, LoadError> {
    let engine = component.engine();
    let component_type = component.component_type();
    let mut imports = Vec::new();
    for (name, item) in component_type.imports(engine) {
        let interface =
            interface_of(name)?.ok_or_else(|| LoadError::UnknownImport(name.to_owned()))?;
        let capability = CAPABILITIES
            .iter()
            .find(|capability| capability.interface == interface)
            .ok_or_else(|| LoadError::UnknownImport(name.to_owned()))?;
        let ComponentItem::ComponentInstance(instance) = item.ty else {
            return Err(LoadError::UnknownImport(name.to_owned()));
        };
        let functions: Vec<String> = instance
            .exports(engine)
            .filter(|(_, item)| matches!(item.ty, ComponentItem::ComponentFunc(_)))
            .map(|(function, _)| function.to_owned())
            .collect();
        if !functions.is_empty() {
            let interface = interface.to_owned();
            let grant = capability.grant.map(str::to_owned);
            imports.push(Import { interface, functions, grant });
        }
    }
    let mut package = None;
    for (interface, functions) in EXPORTS {
        let mut exports = component_type.exports(engine);
        let found = exports.find_map(|(name, item)| match interface_of(name) {
            Ok(Some(found)) if found == interface => Some(Ok((name, item.ty))),
            Err(error) => Some(Err(error)),
            Ok(_) => None,
        });
        let Some((name, ComponentItem::ComponentInstance(instance))) = found.transpose()? else {
            return Err(LoadError::MissingExport(format!("{PACKAGE}/{interface}@{VERSION}")));
        };
        for function in functions {
            if instance.get_export(engine, function).is_none() {
                return Err(LoadError::MissingExport(format!("{name}.{function}")));
            }
        }
        let version = name.rsplit_once('@').map_or("", |(_, version)| version);
        package.get_or_insert_with(|| format!("{PACKAGE}@{version}"));
    }
    let waits = CAPABILITIES
        .iter()
        .filter(|capability| capability.waits)
        .any(|capability| imports.iter().any(|import| import.interface == capability.interface));
    Ok(Contract { package: package.unwrap_or_default(), imports, waits })
}

/// The interface of the contract that a name like `vestibule:auth/clock@0.1.0`
/// stands for; `None` for a name from elsewhere.
fn interface_of(name: &str) -> Result<Option<&str>, LoadError> {
    let Some(rest) = name.strip_prefix(PACKAGE).and_then(|rest| rest.strip_prefix('/')) else {
        return Ok(None);
    };
    let (interface, version) = rest.split_once('@').unwrap_or((rest, ""));
    let compatible = Version::parse(version).is_ok_and(|version| {
        // Before 1.0, a step of the second number may break.
        version.major == VERSION.major && version.minor == VERSION.minor && version.pre.is_empty()
    });
    if compatible {
        Ok(Some(interface))
    } else {
        Err(LoadError::UnsupportedContract {
            found: format!("{PACKAGE}@{}", if version.is_empty() { "(none)" } else { version }),
            supported: format!("{PACKAGE}@{VERSION}"),
        })
    }
}
