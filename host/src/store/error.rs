//! What can go wrong with what rests.

use std::{io, path::PathBuf};

use sqlx::migrate::MigrateError;

use crate::{
    cipher::CipherError,
    config::DatabaseUrl,
    identity::{OrgId, UserId},
};

/// Something in the database cannot be used, found or written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database cannot be opened.
    #[error(
        "the database {url} cannot be opened: {source}; does it exist, and may this user use it?"
    )]
    Open {
        /// The URL.
        url: DatabaseUrl,
        /// What the driver says.
        source: sqlx::Error,
    },
    /// A newer version of Vestibule has migrated the database.
    #[error(
        "the database {0} was migrated by a newer version; use that version, or restore a backup"
    )]
    Newer(DatabaseUrl),
    /// A migration failed; the database is as it was.
    #[error("the database {url} cannot be migrated: {source}")]
    Migrate {
        /// The URL.
        url: DatabaseUrl,
        /// What the migration says.
        source: MigrateError,
    },
    /// Values rest that none of the configured secrets opens.
    #[error(
        "the database {url} holds values that were sealed with the key {key}, and no configured \
         encryption secret gives that key; name the secret as secret_file in [encryption], or among \
         its previous_secret_files"
    )]
    WrongSecret {
        /// The URL.
        url: DatabaseUrl,
        /// The id of the key.
        key: String,
    },
    /// A key cannot be used.
    #[error(transparent)]
    Cipher(#[from] CipherError),
    /// The tables are not those of any version that was released.
    #[error(
        "the database {0} was made by a version that was never released; move it away, and its key \
         with it"
    )]
    Unreleased(DatabaseUrl),
    /// The audit cannot be written to its file.
    #[error("the audit cannot be written to {}: {source}; see [audit] file", path.display())]
    Audit {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A query failed.
    #[error("{}", if .0.as_database_error().is_some() {
        "the database refuses this"
    } else {
        "the database does not answer"
    })]
    Query(#[from] sqlx::Error),
    /// No user has this id.
    #[error("there is no user {0}; a user exists from the first log-in on")]
    NoUser(UserId),
    /// The user was shut out.
    #[error("the user {0} is disabled")]
    Disabled(UserId),
    /// The user does not belong to the organisation.
    #[error("the user {user} is not a member of the organisation {org}")]
    NotMember {
        /// The user.
        user: UserId,
        /// The organisation.
        org: OrgId,
    },
    /// Somebody else changed it in between.
    #[error("it was changed in between; load it again, and make the change once more")]
    Conflict,
    /// A secret's name cannot be used.
    #[error(
        "{0:?} cannot be a secret's name: one has 1 to 256 letters, digits and `_`, does not begin \
         with a digit, and is not `search`"
    )]
    SecretName(String),
    /// A name is given twice.
    #[error("the secret {0} is given twice")]
    SecretTwice(String),
    /// There would be too many secrets.
    #[error("a user can keep at most {0} secrets in one organisation ([secrets] max_count)")]
    TooManySecrets(usize),
    /// A secret or its description is too large.
    #[error(
        "the secret {name} or its description has more than {limit} bytes ([secrets] max_bytes)"
    )]
    SecretTooLarge {
        /// The secret's name.
        name: String,
        /// The limit.
        limit: usize,
    },
    /// There is no such secret.
    #[error("there is no secret {0}")]
    NoSecret(String),
    /// A key's name cannot be used.
    #[error(
        "{0:?} cannot be a key's name: one has 1 to 255 printable characters and does not begin \
         with `__SYSTEM__:`, which is reserved"
    )]
    KeyName(String),
    /// A key would never be valid.
    #[error(
        "the key would expire at {expires_at}, which is before it is valid or after the year 9999"
    )]
    KeyExpired {
        /// In seconds since the Unix epoch.
        expires_at: u64,
    },
    /// A key with this name is there, and has another text.
    #[error("another key has the name {0:?}")]
    KeyTwice(String),
    /// A scope of a key cannot be used.
    #[error("{0:?} cannot be a scope: one has 1 to 64 printable characters and no blank")]
    KeyScope(String),
    /// A sandbox's id cannot be used.
    #[error("{0:?} cannot be a sandbox's id: one has 1 to 128 letters, digits, `-`, `_` and `.`")]
    SandboxId(String),
    /// Another sandbox has this id.
    #[error("there is a sandbox {0} already")]
    SandboxExists(String),
    /// A JSON document cannot be settings.
    #[error("settings are one JSON object of at most {0} bytes")]
    SettingsShape(usize),
    /// The lease ran out, and another holder may have it.
    #[error("the lease ran out before the work was done")]
    LeaseLost,
    /// Somebody holds the lease for longer than could be waited.
    #[error("somebody else renews this at the moment")]
    Busy,
    /// A row is not what this version writes.
    #[error("a row of {0} is damaged")]
    Damaged(&'static str),
}
