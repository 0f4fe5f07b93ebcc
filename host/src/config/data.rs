//! What is said of the data at rest: what seals it, and what bounds it.

use std::{path::PathBuf, time::Duration};

use secrecy::SecretString;

/// `[encryption]`: what keys of sealed values derive from.
#[derive(Clone, Debug)]
pub struct Encryption {
    /// The secret that seals. Without one, an SQLite database gets a file of its
    /// own beside it.
    pub secret: Option<SecretString>,
    /// The file that holds it.
    pub secret_file: Option<PathBuf>,
    /// Files with secrets that sealed what rests already, for opening only.
    pub previous_secret_files: Vec<PathBuf>,
}

/// `[sessions]`: how long a browser stays logged in.
#[derive(Clone, Copy, Debug)]
pub struct Sessions {
    /// Without a request.
    pub idle: Duration,
    /// At all.
    pub absolute: Duration,
}

impl Default for Sessions {
    fn default() -> Self {
        Self { idle: Duration::from_hours(7 * 24), absolute: Duration::from_hours(30 * 24) }
    }
}

/// `[secrets]`: what a user may keep in one organisation.
#[derive(Clone, Copy, Debug)]
pub struct Secrets {
    /// How many secrets.
    pub max_count: usize,
    /// Bytes of one secret.
    pub max_bytes: usize,
}

impl Default for Secrets {
    fn default() -> Self {
        Self { max_count: 100, max_bytes: 64 << 10 }
    }
}
