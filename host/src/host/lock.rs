//! `plugins.lock`: what was approved of each strategy.
//!
//! The first component of a name is approved by being there, and written down. One that
//! follows it is taken where it asks for nothing more; for anything else, an operator
//! says yes.

mod folder;
mod record;

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

pub(crate) use self::folder::Folder;
pub use self::record::Record;

/// The file's name in the plugins folder.
const FILE: &str = "plugins.lock";

/// The layout of the file.
const VERSION: u32 = 1;

/// Digests that are remembered as rolled back.
const MAX_ROLLED_BACK: usize = 8;

const HEADING: &str = "\
# What was approved of each strategy: written by Vestibule, and kept with the components.
# `vestibule plugin approve` and `vestibule plugin rollback` change it.

";

/// A component is not what was approved, or nobody can tell.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// The lock cannot be read.
    #[error("{}: it cannot be used: {what}; put back the one that Vestibule wrote, or remove it and approve what is there", .path.display())]
    Unreadable {
        /// The lock.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// The lock cannot be written.
    #[error("{}: it cannot be written: {source}; what is not approved yet cannot be taken until the folder can be written", .path.display())]
    Unwritable {
        /// The lock.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Nothing of the name is approved, and that is asked for.
    #[error(
        "nothing of the name {0:?} is approved, and [plugins] locked asks for it; look at it with \
         `vestibule plugin approve {0}`"
    )]
    Unapproved(String),
    /// It asks for more than what was approved.
    #[error(
        "it asks for more than what was approved: {}; to allow it, `vestibule plugin approve {name}`",
        .more.join("; ")
    )]
    AsksMore {
        /// The name in the lock.
        name: String,
        /// What it asks for.
        more: Vec<String>,
    },
    /// Its version is lower than the approved one.
    #[error(
        "its version {found} is lower than {approved}, which was approved{}; to take it all the \
         same, `vestibule plugin approve {name} --allow-downgrade`",
        and(more)
    )]
    Older {
        /// The name in the lock.
        name: String,
        /// Its version.
        found: String,
        /// The approved version.
        approved: String,
        /// What it asks for beyond what was approved.
        more: Vec<String>,
    },
    /// It was rolled back.
    #[error(
        "it was rolled back{}; to take it again, `vestibule plugin approve {name}{}`",
        and(more), if *is_older { " --allow-downgrade" } else { "" }
    )]
    RolledBack {
        /// The name in the lock.
        name: String,
        /// Whether its version is lower than the approved one.
        is_older: bool,
        /// What it asks for beyond what is approved.
        more: Vec<String>,
    },
    /// There is nothing to go back to.
    #[error("there is no generation of {0:?} to go back to")]
    NoPrevious(String),
    /// The component to go back to is not kept any more.
    #[error("the component {digest} of {name:?} is not kept any more; put its file back instead")]
    NotKept {
        /// The name in the lock.
        name: String,
        /// The digest.
        digest: String,
    },
    /// The component to go back to cannot serve.
    #[error("nothing is changed, because {name} {version}, which was before, cannot serve: {why}")]
    NoWayBack {
        /// What it calls itself.
        name: String,
        /// Its version.
        version: String,
        /// Why not, and what to do.
        why: String,
    },
    /// The component changed since somebody looked at it.
    #[error("the component is {found} now; look at it again")]
    Changed {
        /// What is there.
        found: String,
    },
    /// It is outside the plugins folder, of which alone there is a lock.
    #[error(
        "{}: it is outside [plugins] dir, and so under no lock; pin it with [auth] sha256, or move \
         it there and name it by its file's name", .0.display()
    )]
    Outside(PathBuf),
}

/// What else there is to say of a component that may not serve for another reason.
fn and(more: &[String]) -> String {
    if more.is_empty() { String::new() } else { format!(", and {}", more.join("; ")) }
}

impl LockError {
    /// What the component asks for beyond what is approved.
    pub(crate) fn asks_for(&self) -> &[String] {
        match self {
            Self::AsksMore { more, .. }
            | Self::Older { more, .. }
            | Self::RolledBack { more, .. } => more,
            _ => &[],
        }
    }

    /// Whether the component's version is lower than the approved one.
    pub(crate) fn is_downgrade(&self) -> bool {
        matches!(self, Self::Older { .. } | Self::RolledBack { is_older: true, .. })
    }

    /// Adds the component's file, where it is not the lock's that matters.
    #[must_use]
    pub fn at(&self, component: &Path) -> String {
        match self {
            Self::Unreadable { .. } | Self::Unwritable { .. } | Self::Outside(_) => {
                self.to_string()
            }
            _ => format!("{}: {self}", component.display()),
        }
    }
}

/// Everything that is approved.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Lock {
    version: u32,
    #[serde(default)]
    strategies: BTreeMap<String, Entry>,
}

/// What is approved of one name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Entry {
    pub(crate) approved_at: String,
    pub(crate) approved_by: By,
    /// The file that it was: one that is not there any more was taken away.
    #[serde(default)]
    pub(crate) file: Option<String>,
    /// Digests that are not taken again without approval.
    #[serde(default)]
    rolled_back: Vec<String>,
    pub(crate) approved: Record,
    pub(crate) previous: Option<Record>,
}

/// How something came to be approved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum By {
    /// It was the first of its name.
    FirstUse,
    /// It asked for nothing more than the one before.
    Upgrade,
    /// Somebody said yes.
    Operator,
    /// Somebody went back to it.
    Rollback,
}

/// What the lock says of a component that may serve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It is the one that is approved.
    Approved,
    /// It would be the first of its name.
    First,
    /// It follows the approved one, and asks for nothing more.
    Upgrade,
}

impl Lock {
    fn read(path: &Path) -> Result<Self, LockError> {
        let unreadable = |what: String| LockError::Unreadable { path: path.to_owned(), what };
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(Self { version: VERSION, ..Self::default() });
            }
            Err(error) => return Err(unreadable(error.to_string())),
        };
        let lock: Self =
            toml::from_str(&text).map_err(|error| unreadable(error.message().to_owned()))?;
        if lock.version != VERSION {
            return Err(unreadable(format!(
                "its layout is {}, and this server knows {VERSION}",
                lock.version
            )));
        }
        Ok(lock)
    }

    fn text(&self) -> String {
        let text = toml::to_string(self);
        let text = text.unwrap_or_else(|error| unreachable!("it is plain data: {error}"));
        format!("{HEADING}{text}")
    }

    /// What the lock says of a component of a name, where `locked` asks for more.
    fn judge(&self, name: &str, record: &Record, locked: bool) -> Result<Standing, LockError> {
        let name = || name.to_owned();
        let Some(entry) = self.strategies.get(&name()) else {
            return if locked { Err(LockError::Unapproved(name())) } else { Ok(Standing::First) };
        };
        if record.digest != entry.approved.digest && entry.rolled_back.contains(&record.digest) {
            return Err(LockError::RolledBack {
                name: name(),
                is_older: record.is_older_than(&entry.approved),
                more: record.asks_beyond(&entry.approved),
            });
        }
        record.held_against(&entry.approved, &name())
    }

    /// Writes down that a component is approved.
    fn approve(&mut self, name: &str, record: Record, file: Option<String>, by: By, now: String) {
        let before = self.strategies.remove(name);
        let mut entry = Entry {
            approved_at: now,
            approved_by: by,
            file,
            rolled_back: Vec::new(),
            approved: record,
            previous: None,
        };
        if let Some(before) = before {
            entry.rolled_back = before.rolled_back;
            entry.rolled_back.retain(|digest| *digest != entry.approved.digest);
            let same = before.approved.digest == entry.approved.digest;
            entry.previous = if same { before.previous } else { Some(before.approved) };
        }
        self.strategies.insert(name.to_owned(), entry);
    }

    /// Has the one before approved in the place of the one that is.
    fn roll_back(&mut self, name: &str, now: String) -> Result<&Entry, LockError> {
        let none = || LockError::NoPrevious(name.to_owned());
        let entry = self.strategies.get_mut(name).ok_or_else(none)?;
        let previous = entry.previous.take().ok_or_else(none)?;
        let left = std::mem::replace(&mut entry.approved, previous);
        entry.rolled_back.push(left.digest);
        let forgotten = entry.rolled_back.len().saturating_sub(MAX_ROLLED_BACK);
        entry.rolled_back.drain(..forgotten);
        (entry.approved_at, entry.approved_by) = (now, By::Rollback);
        Ok(entry)
    }

    /// The digests of every component to keep.
    fn kept(&self) -> impl Iterator<Item = &str> {
        let records = self.strategies.values();
        records
            .flat_map(|entry| std::iter::once(&entry.approved).chain(&entry.previous))
            .map(|record| record.digest.as_str())
    }
}
