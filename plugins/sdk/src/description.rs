//! Descriptions that read well: fill in what differs from the plain case.

use crate::{Description, GrantSource, ProposedGrants, Setting, SettingType};

impl Description {
    /// A strategy without settings, headers, grants, log-in or tokens.
    #[must_use]
    pub fn new(name: &str, version: &str, summary: &str) -> Self {
        Self {
            name: name.into(),
            aliases: Vec::new(),
            version: version.into(),
            summary: summary.into(),
            settings: Vec::new(),
            headers: Vec::new(),
            grants: ProposedGrants::none(),
            local_owner: false,
            log_in: None,
            providers: Vec::new(),
        }
    }
}

impl Setting {
    /// An optional setting without default that is no secret.
    #[must_use]
    pub fn new(name: &str, kind: SettingType, help: &str) -> Self {
        Self {
            name: name.into(),
            aliases: Vec::new(),
            kind,
            required: false,
            secret: false,
            default: None,
            help: help.into(),
            environment: Vec::new(),
        }
    }

    /// A setting without which the strategy does not start.
    #[must_use]
    pub fn required(name: &str, kind: SettingType, help: &str) -> Self {
        Self { required: true, ..Self::new(name, kind, help) }
    }
}

impl ProposedGrants {
    /// No capability beyond those that are always granted.
    #[must_use]
    pub fn none() -> Self {
        Self { http: Vec::new(), browser: Vec::new(), jose: Vec::new(), token_store: Vec::new() }
    }
}

impl GrantSource {
    /// This very value.
    #[must_use]
    pub fn fixed(value: &str) -> Self {
        Self::Fixed(value.into())
    }

    /// The value of the setting of this name.
    #[must_use]
    pub fn setting(name: &str) -> Self {
        Self::Setting(name.into())
    }

    /// This text with the values of settings in the place of their `{name}`.
    #[must_use]
    pub fn template(text: &str) -> Self {
        Self::Template(text.into())
    }
}
