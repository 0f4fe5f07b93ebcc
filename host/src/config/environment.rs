//! The variables that complete a file, or take its place.

use std::{collections::BTreeMap, sync::Arc};

/// The variables that configuration may come from.
#[derive(Clone, Debug, Default)]
pub enum Environment {
    /// Those of this process.
    #[default]
    Process,
    /// These and no others, for tests and embedders.
    Fixed(Arc<BTreeMap<String, String>>),
}

impl Environment {
    /// These variables and no others.
    #[must_use]
    pub fn fixed(variables: &[(&str, &str)]) -> Self {
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        Self::Fixed(Arc::new(variables.iter().map(owned).collect()))
    }

    /// The names of all variables that begin as ours do.
    pub(super) fn names(&self) -> Vec<String> {
        let ours = |name: &String| name.starts_with("VESTIBULE_");
        match self {
            Self::Process => std::env::vars_os()
                .filter_map(|(name, _)| name.into_string().ok())
                .filter(ours)
                .collect(),
            Self::Fixed(variables) => variables.keys().filter(|name| ours(name)).cloned().collect(),
        }
    }

    /// A variable's value; an empty one counts as absent.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<String> {
        let value = match self {
            #[expect(clippy::disallowed_methods, reason = "configuration is what may ask")]
            Self::Process => std::env::var(name).ok(),
            Self::Fixed(variables) => variables.get(name).cloned(),
        };
        value.filter(|value| !value.is_empty())
    }
}
