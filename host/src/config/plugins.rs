//! `[plugins]`: where components are, and which of them are trusted.

use std::path::PathBuf;

use super::source::{Mistakes, Section};

/// `[plugins]`
#[derive(Clone, Debug)]
pub struct Plugins {
    /// The folder that holds components.
    pub dir: PathBuf,
    /// Whether a component that is put there is taken while the server runs.
    pub watch: bool,
    /// Minisign public keys. Where there are any, a component needs a signature by one
    /// of them.
    pub trusted_keys: Vec<String>,
    /// Whether even the first component of a name has to be approved.
    pub locked: bool,
}

impl Plugins {
    pub(super) fn read(mut section: Section<'_>, mistakes: &mut Mistakes) -> Self {
        let plugins = Self {
            dir: section.take("dir", mistakes).unwrap_or_else(|| PathBuf::from("plugins")),
            watch: section.take("watch", mistakes).unwrap_or(true),
            trusted_keys: section.take("trusted_keys", mistakes).unwrap_or_default(),
            locked: section.take("locked", mistakes).unwrap_or(false),
        };
        section.finish(mistakes);
        plugins
    }
}
