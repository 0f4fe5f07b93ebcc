//! What outlives a request: collections over one database.
//!
//! SQLite in write-ahead mode, made at the first start, or PostgreSQL where
//! there are several replicas. Migrations run at every start and only forward; a
//! database from a newer version is refused, and so is one whose values were
//! sealed with a secret that is not configured.
//!
//! Whatever belongs to a user is reached through a [`Scope`], so that no query
//! can forget whose rows it means.

mod api_keys;
mod audit;
mod carried;
mod conversation_tokens;
mod db;
mod error;
mod import;
mod keys;
mod leases;
mod logins;
mod look_up;
mod prune;
mod rotate;
mod sandboxes;
mod scope;
mod secrets;
mod sessions;
mod settings;
mod signing_keys;
mod standing;
mod status;
mod tokens;
mod users;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize},
    },
    time::Duration,
};

use arc_swap::ArcSwap;

#[cfg(fuzzing)]
pub use self::api_keys::fuzz as key_text_fuzzing;
pub use self::{
    api_keys::{ApiKey, ApiKeys, KeyRefusal, NewApiKey, NewKey, VerifiedKey},
    audit::AuditEntry,
    conversation_tokens::ConversationTokens,
    error::StoreError,
    import::{ImportOptions, ImportReport, ImportedTable},
    leases::Lease,
    logins::{LOGIN_SECONDS, PendingLogin},
    rotate::{Rotation, RotationProgress},
    sandboxes::{Sandbox, SandboxStatus, Sandboxes},
    scope::Scope,
    secrets::{LoadedSecrets, Secret, Secrets},
    sessions::{LiveSession, NewSession, Session, SessionKey, SessionLease},
    settings::{LoadedSettings, Settings},
    status::Status,
    tokens::{StoredToken, TokenLease, TokenState, Tokens},
    users::User,
};
use self::{
    audit::Ledger,
    db::{Db, Driver, Missing, change, read, transact},
};
pub(crate) use self::{sessions::SessionId, signing_keys::SigningKey};
pub use crate::identity::{SessionContent, TokenPair};
use crate::{
    cipher::Cipher,
    clock::Clock,
    config::{self, Config, DatabaseUrl},
    metrics::Metrics,
};

/// The database and its collections. Clones share everything.
#[derive(Clone, Debug)]
pub struct Store {
    db: Db,
    url: DatabaseUrl,
    cipher: Arc<Cipher>,
    clock: Clock,
    limits: Arc<ArcSwap<Limits>>,
    /// When sessions that are over were last cleared away.
    swept_at: Arc<AtomicU64>,
    leases_held: Arc<AtomicUsize>,
    ledger: Arc<Ledger>,
}

/// What the collections are bounded by.
#[derive(Clone, Copy, Debug)]
struct Limits {
    secrets: config::Secrets,
    sessions: config::Sessions,
}

impl Limits {
    fn of(config: &Config) -> Self {
        Self { secrets: config.secrets, sessions: config.sessions }
    }
}

impl Store {
    /// Opens the database that a configuration names, makes it where there is
    /// none, and migrates it. With a secret that does not open what rests in
    /// it, nothing is written.
    pub async fn open(config: &Config, clock: Clock) -> Result<Self, StoreError> {
        let url = &config.database.url;
        let cipher = Cipher::configured(&config.encryption, url)?;
        let ledger = Arc::new(Ledger::open(&config.audit)?);
        let db = Db::open(url, Missing::Make).await?;
        let store = Self {
            db,
            url: url.clone(),
            cipher: Arc::new(cipher),
            clock,
            limits: Arc::new(ArcSwap::from_pointee(Limits::of(config))),
            swept_at: Arc::default(),
            leases_held: Arc::default(),
            ledger,
        };
        store.refuse_unknown_keys().await?;
        store.db.migrate(url).await?;
        store.note_active_key().await?;
        store.make_local_owner().await?;
        Ok(store)
    }

    /// Has the time that the database takes counted from now on.
    pub(crate) fn count_in(&self, metrics: &Arc<Metrics>) {
        self.db.count_in(metrics);
    }

    /// Bounds the collections as another configuration says, from now on.
    pub(crate) fn bound(&self, config: &Config) {
        self.limits.store(Arc::new(Limits::of(config)));
    }

    /// Whether the database answers.
    pub async fn ping(&self) -> Result<(), StoreError> {
        read!(self.db, pool => { sqlx::query("select 1").execute(pool).await?; });
        Ok(())
    }

    /// Seconds since the Unix epoch, as the database holds them.
    fn now(&self) -> i64 {
        instant(self.clock.now())
    }
}

/// Writes down something that nobody's answer depends on: for a moment at most, and
/// a failure is only told.
async fn note(what: &'static str, work: impl Future<Output = Result<(), StoreError>>) {
    match tokio::time::timeout(NOTE_PATIENCE, work).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!(%error, "{what} could not be written down"),
        Err(_) => tracing::warn!("{what} could not be written down in time"),
    }
}

/// How long a request waits for something to be written down that can be missed.
const NOTE_PATIENCE: Duration = Duration::from_millis(250);

/// An instant as the database holds it.
fn instant(at: u64) -> i64 {
    i64::try_from(at).unwrap_or(i64::MAX)
}

/// An instant as everybody else holds it.
fn seconds(at: i64) -> u64 {
    u64::try_from(at).unwrap_or_default()
}

/// Whether PostgreSQL has no such text at all, and so no row that is called so.
fn is_no_text(text: &str) -> bool {
    text.contains('\0')
}

/// Sixteen bytes that nobody can guess, in hexadecimal digits.
fn random_id() -> String {
    crate::hex::encode(&random_bytes::<16>())
}

pub(crate) fn random_bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    // Without randomness there is no id that nobody can guess.
    getrandom::fill(&mut bytes).unwrap_or_else(|error| panic!("no randomness: {error}"));
    bytes
}
