//! Why a component cannot be used: one variant for each step of the pipeline.

use std::{io, path::Path};

use super::MAX_FILE_BYTES;
use crate::engine::{call::CallError, settings::SettingsError};

/// Why a component cannot be used. Every text names the mend.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file cannot be read.
    #[error("it cannot be read: {0}")]
    Read(#[source] io::Error),
    /// There is no file of that name, and no component answers to the name.
    #[error("{0}")]
    NotFound(String),
    /// The path is a folder or a device.
    #[error("it is not a file; name a component file")]
    NotAFile,
    /// The file is larger than [`MAX_FILE_BYTES`].
    #[error("it has {0} bytes, and a component may have {MAX_FILE_BYTES}")]
    TooLarge(u64),
    /// The file is not the one that the operator pinned.
    #[error(
        "its digest is {found}, and [auth] sha256 pins {pinned}; put the pinned file back or change the pin"
    )]
    DigestMismatch {
        /// What the file has.
        found: String,
        /// What the configuration says.
        pinned: String,
    },
    /// The file is something else.
    #[error("it is {0}")]
    NotAComponent(&'static str),
    /// The file begins as a component and does not hold together.
    #[error(
        "it is damaged or uses what this engine does not offer ({0:#}); copy or build it again"
    )]
    Compile(#[source] wasmtime::Error),
    /// It is built for another version of the contract.
    #[error(
        "it is built for the contract {found}, and this server knows {supported}; use a build of it for {supported}"
    )]
    UnsupportedContract {
        /// The interface with the component's version.
        found: String,
        /// The host's version.
        supported: String,
    },
    /// It lacks an interface or a function of the contract.
    #[error("it does not export {0}; build it with the vestibule-sdk")]
    MissingExport(String),
    /// An export or import is not of the type that the contract gives it.
    #[error("its types are not those of the contract ({0:#}); build it with the vestibule-sdk")]
    WrongType(#[source] wasmtime::Error),
    /// It imports what the contract does not know.
    #[error(
        "it imports {0}, which no strategy can have; a strategy reaches nothing but vestibule:auth"
    )]
    UnknownImport(String),
    /// It imports capabilities that are not granted.
    #[error("it needs what it is not granted: {}; to grant it, add to the configuration:\n{toml}", .interfaces.join(", "))]
    MissingGrant {
        /// The interfaces.
        interfaces: Vec<String>,
        /// The lines that would grant them.
        toml: String,
    },
    /// It starts out with more memory than a call may have.
    #[error("it starts with {needs} bytes of memory, and [auth.limits] memory allows {limit}")]
    InitialMemory {
        /// Bytes of its largest memory.
        needs: u64,
        /// Bytes allowed.
        limit: u64,
    },
    /// `describe` failed.
    #[error("it cannot describe itself: {0}")]
    Describe(#[source] CallError),
    /// It describes itself in a way that cannot be.
    #[error("its description is not valid: {0}")]
    Description(String),
    /// The operator's settings are not what it declares.
    #[error("{0}")]
    Settings(#[from] SettingsError),
    /// The file of authorities cannot be used.
    #[error("{0}")]
    CaFile(String),
    /// An instance could not be made.
    #[error("no instance of it can be made: {0}")]
    Trial(#[source] CallError),
    /// `check-settings` failed.
    #[error("it cannot check its settings: {0}")]
    CheckSettings(#[source] CallError),
    /// `check-settings` refuses the settings.
    #[error("it refuses its settings: {0}")]
    Refused(String),
    /// The host itself failed.
    #[error("the host cannot prepare it: {0:#}")]
    Host(#[source] wasmtime::Error),
}

impl LoadError {
    /// Adds the file, for the one line that an operator sees.
    #[must_use]
    pub fn at(&self, path: &Path) -> String {
        match self {
            Self::NotFound(_) | Self::Settings(_) | Self::CaFile(_) => self.to_string(),
            _ => format!("{}: {self}", path.display()),
        }
    }
}
