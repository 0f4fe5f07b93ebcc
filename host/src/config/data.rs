//! What is said of the data at rest, what seals it and what bounds it, and how
//! often it may be asked for.

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

/// `[rate_limits]`: how many requests are answered; 0 is no limit.
#[derive(Clone, Copy, Debug)]
pub struct RateLimits {
    /// Of one user, in a second.
    pub user_second: u32,
    /// Of one user, in a minute.
    pub user_minute: u32,
    /// From one address, in a minute. No limit unless it is set: behind a proxy,
    /// everybody has the proxy's address.
    pub address_minute: u32,
    /// From one address with a bad credential, in a minute.
    pub refused_minute: u32,
}

impl Default for RateLimits {
    fn default() -> Self {
        Self { user_second: 10, user_minute: 100, address_minute: 0, refused_minute: 30 }
    }
}
