//! `[auth]`

use std::{fmt, path::PathBuf};

use super::{
    data::Limits,
    grants::Grants,
    source::{Mistakes, Section, Source},
    values::{Bytes, Span},
};

/// The largest memory of any component, and the most calls at once: what the
/// engine reserves address space for.
pub(crate) const MAX_MEMORY: usize = 64 << 20;
const MAX_CONCURRENCY: usize = 4096;

/// `[auth]`: which strategy decides, and what it is given.
#[derive(Clone)]
pub struct Auth {
    /// A file, or a name that a component in the plugins folder answers to.
    pub strategy: String,
    /// The SHA-256 that the component must have, in hexadecimal digits.
    pub sha256: Option<String>,
    /// `[auth.settings]`, not checked yet.
    pub settings: toml::Table,
    /// Keys of `[auth]` that are no keys of the host's: a strategy may know them
    /// as other spellings of its settings.
    pub spellings: toml::Table,
    /// `[auth.grants]`
    pub grants: Grants,
    /// `[auth.limits]`
    pub limits: Limits,
    /// Certificates of authorities, beyond the public ones, that the strategy's
    /// requests trust.
    pub ca_file: Option<PathBuf>,
}

/// Settings can be secrets: their names show, their values do not.
impl fmt::Debug for Auth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Auth")
            .field("strategy", &self.strategy)
            .field("sha256", &self.sha256)
            .field("settings", &self.settings.keys().collect::<Vec<_>>())
            .field("spellings", &self.spellings.keys().collect::<Vec<_>>())
            .field("grants", &self.grants)
            .field("limits", &self.limits)
            .field("ca_file", &self.ca_file)
            .finish()
    }
}

impl Auth {
    pub(super) fn read(root: &mut Section<'_>, source: &Source, mistakes: &mut Mistakes) -> Self {
        let mut section = root.section("auth", mistakes);
        let named = section.take::<String>("strategy", mistakes);
        let mode = source.environment.get("OPENHANDS_AUTH_MODE");
        // Whoever sets the variable means to have a door that is closed.
        if let (Some(named), Some(mode)) = (&named, &mode)
            && named != mode
        {
            let what = format!(
                "it is {named:?}, and the environment variable OPENHANDS_AUTH_MODE says {mode:?}; \
                 name the same strategy in both, or unset the variable"
            );
            mistakes.push(source.mistake(&["auth", "strategy"], &what));
        }
        let strategy = named.or(mode);
        if strategy.is_none() {
            mistakes.push(source.mistake(
                &["auth"],
                "no strategy is named; add strategy = \"none\" to [auth], or set VESTIBULE_AUTH_STRATEGY",
            ));
        }
        let sha256 = section.take::<String>("sha256", mistakes);
        if let Some(pin) = &sha256
            && (pin.len() != 64 || !pin.bytes().all(|b| b.is_ascii_hexdigit()))
        {
            mistakes.push(source.mistake(
                &["auth", "sha256"],
                "it is not the 64 hexadecimal digits that `vestibule plugin inspect` prints as the digest",
            ));
        }

        let ca_file = section.take("ca_file", mistakes);
        let grants = Grants::read(section.section("grants", mistakes), source, mistakes);

        let mut limits = section.section("limits", mistakes);
        let usual = Limits::default();
        let limit = Limits {
            memory: limits.take("memory", mistakes).map_or(usual.memory, |Bytes(bytes)| bytes),
            cpu: limits.take("cpu", mistakes).map_or(usual.cpu, |Span(span)| span),
            wall: limits.take("wall", mistakes).map_or(usual.wall, |Span(span)| span),
            concurrency: limits.take("concurrency", mistakes).unwrap_or(usual.concurrency),
        };
        limits.finish(mistakes);
        let mut bound = |key, holds: bool, what: &str| {
            if !holds {
                mistakes.push(source.mistake(&["auth", "limits", key], what));
            }
        };
        bound("memory", limit.memory <= MAX_MEMORY, "at most \"64MiB\" is possible");
        bound("cpu", !limit.cpu.is_zero(), "it is zero");
        bound("wall", !limit.wall.is_zero(), "it is zero");
        bound(
            "concurrency",
            limit.concurrency.get() <= MAX_CONCURRENCY,
            "at most 4096 is possible",
        );

        Self {
            strategy: strategy.unwrap_or_default(),
            sha256: sha256.map(|pin| pin.to_ascii_lowercase()),
            settings: section.table("settings", mistakes),
            spellings: section.rest(),
            grants,
            limits: limit,
            ca_file,
        }
    }
}
