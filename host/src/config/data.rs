//! What is said of the data at rest, what seals it and what bounds it, and how
//! often it may be asked for; and what a call of the strategy may use.

use std::{num::NonZeroUsize, path::PathBuf, time::Duration};

use secrecy::SecretString;
use serde::Deserialize;

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

/// `[provider_tokens]`: what a conversation may begin with.
#[derive(Clone, Copy, Debug, Default)]
pub struct ProviderTokens {
    /// What becomes of a conversation whose token cannot be renewed.
    pub on_refresh_failure: OnRefreshFailure,
}

/// What becomes of a conversation whose token cannot be renewed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnRefreshFailure {
    /// It does not begin.
    #[default]
    Fail,
    /// It begins with the token that it has.
    KeepOld,
}

/// `[rate_limits]`: how many requests are answered; 0 is no limit.
#[derive(Clone, Copy, Debug)]
pub struct RateLimits {
    /// Of one user, in a second.
    pub user_second: u32,
    /// Of one user, in a minute.
    pub user_minute: u32,
    /// Of all the sandboxes of one user, in a minute. Apart from the user's own, and
    /// more: a sandbox reads one secret after another at its start, and its client
    /// does not try again.
    pub sandbox_minute: u32,
    /// From one address, in a minute. Without `trusted_proxies` there is no limit
    /// unless it is set: everybody could have a proxy's address.
    pub address_minute: u32,
    /// From one address with a bad credential, in a minute.
    pub refused_minute: u32,
}

/// Requests from one address in a minute, where addresses are those of callers. A
/// whole office can have one.
pub(super) const ADDRESS_MINUTE: u32 = 3_000;

impl Default for RateLimits {
    fn default() -> Self {
        Self {
            user_second: 10,
            user_minute: 100,
            sandbox_minute: 600,
            address_minute: 0,
            refused_minute: 30,
        }
    }
}

/// `[auth.limits]`: what one call of the strategy may use.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of memory, over all memories of a call.
    pub memory: usize,
    /// Time in the component itself.
    pub cpu: Duration,
    /// Time from the start of a call to its end, waiting included.
    pub wall: Duration,
    /// Calls at once; more are refused.
    pub concurrency: NonZeroUsize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory: 32 << 20,
            cpu: Duration::from_millis(25),
            wall: Duration::from_secs(10),
            concurrency: const { NonZeroUsize::new(256).unwrap() },
        }
    }
}
