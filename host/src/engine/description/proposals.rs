//! What a strategy would like to be granted.

use std::borrow::Cow;

use serde::Serialize;

use crate::bindings::exports::vestibule::auth::plugin as wit;

/// Where the value of a proposed grant comes from.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum GrantSource {
    /// This very value.
    Fixed(String),
    /// The value of the setting of this name.
    Setting(String),
    /// This text with the values of settings in the place of their `{name}`.
    Template(String),
}

impl GrantSource {
    /// The value, where `setting` has one for every setting that it needs.
    pub(in crate::engine) fn value<'a>(
        &self,
        setting: impl Fn(&str) -> Option<Cow<'a, str>>,
    ) -> Option<String> {
        match self {
            Self::Fixed(value) => Some(value.clone()),
            Self::Setting(name) => setting(name).map(Cow::into_owned),
            Self::Template(template) => {
                let mut pieces = template.split('{');
                let mut value = pieces.next()?.to_owned();
                for piece in pieces {
                    let (name, rest) = piece.split_once('}')?;
                    value.push_str(setting(name)?.trim_end_matches('/'));
                    value.push_str(rest);
                }
                Some(value)
            }
        }
    }
}

/// What the strategy would like to be granted.
#[derive(Clone, Debug, Default, Serialize)]
pub struct ProposedGrants {
    /// Origins for `http-client`.
    pub http: Vec<GrantSource>,
    /// Origins that browsers may be sent to, beyond those of `http`.
    pub browser: Vec<GrantSource>,
    /// Issuers for `jose`.
    pub jose: Vec<GrantSource>,
    /// Token names for `token-store`.
    pub token_store: Vec<GrantSource>,
}

impl ProposedGrants {
    /// What is proposed under a key of `[auth.grants]`.
    pub(crate) fn under(&self, key: &str) -> &[GrantSource] {
        match key {
            "http" => &self.http,
            "browser" => &self.browser,
            "jose" => &self.jose,
            "token_store" => &self.token_store,
            _ => &[],
        }
    }
}

impl From<wit::ProposedGrants> for ProposedGrants {
    fn from(proposed: wit::ProposedGrants) -> Self {
        let sources = |sources: Vec<_>| sources.into_iter().map(GrantSource::from).collect();
        Self {
            http: sources(proposed.http),
            browser: sources(proposed.browser),
            jose: sources(proposed.jose),
            token_store: proposed.token_store.into_iter().map(GrantSource::Fixed).collect(),
        }
    }
}

impl From<wit::GrantSource> for GrantSource {
    fn from(source: wit::GrantSource) -> Self {
        match source {
            wit::GrantSource::Fixed(value) => Self::Fixed(value),
            wit::GrantSource::Setting(name) => Self::Setting(name),
            wit::GrantSource::Template(template) => Self::Template(template),
        }
    }
}
