//! Why a component cannot be used: one variant for each step of the pipeline.

use std::{
    io,
    path::{Path, PathBuf},
};

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
    /// No component answers to the name, and some could not be asked.
    #[error("{what}")]
    NoneAnswers {
        /// What there is.
        what: String,
        /// What could not be asked.
        passed_over: Vec<PathBuf>,
    },
    /// The path is a folder or a device.
    #[error("it is not a file; name a component file")]
    NotAFile,
    /// The file changed while it was read.
    #[error("it changed while it was read; move it there when it is whole")]
    Changing,
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
    /// A key that is to be trusted is none.
    #[error("{0}")]
    TrustedKey(String),
    /// Keys are trusted, and the file has no signature.
    #[error(
        "it is not signed, and [plugins] trusted_keys asks for it; put the .minisig of \
         `minisign -S -m` beside it"
    )]
    Unsigned,
    /// The signature is of other bytes, or by nobody who is trusted.
    #[error(
        "its .minisig is no signature of these bytes by one of [plugins] trusted_keys; put the \
         signed file back, or sign this one"
    )]
    WrongSignature,
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
    /// It was tried on a request that presents nothing, and gave no decision.
    #[error("it was tried on a request and gave no decision: {0}")]
    Canary(#[source] CallError),
    /// The host itself failed.
    #[error("the host cannot prepare it: {0:#}")]
    Host(#[source] wasmtime::Error),
}

impl LoadError {
    /// Adds the file, for the one line that an operator sees.
    #[must_use]
    pub fn at(&self, path: &Path) -> String {
        match self {
            Self::NotFound(_)
            | Self::NoneAnswers { .. }
            | Self::TrustedKey(_)
            | Self::Settings(_)
            | Self::CaFile(_) => self.to_string(),
            _ => format!("{}: {self}", path.display()),
        }
    }

    /// The step of the pipeline, in a word or two.
    #[must_use]
    pub fn step(&self) -> &'static str {
        match self {
            Self::NotFound(_) | Self::NoneAnswers { .. } => "find",
            Self::Read(_) | Self::NotAFile | Self::Changing | Self::TooLarge(_) => "read",
            Self::DigestMismatch { .. } => "pin",
            Self::TrustedKey(_) | Self::Unsigned | Self::WrongSignature => "signature",
            Self::NotAComponent(_) | Self::Compile(_) => "compile",
            Self::UnsupportedContract { .. }
            | Self::MissingExport(_)
            | Self::WrongType(_)
            | Self::UnknownImport(_) => "contract",
            Self::InitialMemory { .. } | Self::Describe(_) | Self::Description(_) => "describe",
            Self::MissingGrant { .. } => "grants",
            Self::Settings(_) | Self::CheckSettings(_) | Self::Refused(_) => "settings",
            Self::CaFile(_) | Self::Host(_) => "prepare",
            Self::Trial(_) => "trial",
            Self::Canary(_) => "canary",
        }
    }
}
