//! Everything that one running Vestibule shares: the strategy that serves, the
//! database and the configuration.

mod approval;
mod doors;
mod generations;
mod listing;
mod load;
mod lock;
mod reload;
mod state;
mod watch;
mod written;

use std::{
    path::PathBuf,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::sync::OnceCell;

use self::generations::Generations;
pub use self::{
    approval::Proposal,
    listing::{Listed, ListedState},
    lock::{LockError, Record},
    reload::ReloadError,
    state::{Generation, GenerationState, Refused, SignatureState, Strategies},
};

use crate::{
    assertion::{Assertions, Claims, PublicKey},
    clock::Clock,
    config::Config,
    engine::{
        CurrentConfig, Engine, EngineError, EngineOptions, Hooks, LoadError, Registry,
        SelfAttackError, Strategy,
    },
    limit::Limiter,
    metrics::Metrics,
    sandbox::SandboxRuntime,
    store::{AuditEntry, Store, StoreError},
};

/// Vestibule cannot start. Every text is one line that names the thing and the
/// mend, lines of configuration to add apart.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The engine cannot be set up.
    #[error("{0}: {source}", source = std::error::Error::source(.0).map(ToString::to_string).unwrap_or_default())]
    Engine(#[from] EngineError),
    /// A limit of the engine does not hold.
    #[error(transparent)]
    SelfAttack(#[from] SelfAttackError),
    /// The strategy cannot be loaded.
    #[error("{}", .source.at(.path))]
    Load {
        /// The component file.
        path: PathBuf,
        /// At which step and why.
        source: LoadError,
    },
    /// The strategy is not what was approved.
    #[error("{}", .source.at(.path))]
    Lock {
        /// The component file.
        path: PathBuf,
        /// Why it may not serve.
        source: LockError,
    },
    /// The database cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A strategy that lets everybody in would listen to the network.
    #[error(
        "[server] listen is {listen} and the strategy {strategy:?} lets everybody in; listen on \
         127.0.0.1, choose a strategy with log-in, or set allow_open = true in [server] where \
         something in front keeps strangers out"
    )]
    Open {
        /// The address.
        listen: std::net::SocketAddr,
        /// The strategy's name.
        strategy: String,
    },
    /// A strategy has a log-in, and no browser could keep its session.
    #[error(
        "[server] public_url is {}, and the strategy {strategy:?} has a log-in; set public_url to \
         the https origin by which browsers reach this server, or to http://localhost with its port",
        .public_url.as_ref().map_or_else(|| "missing".to_owned(), |url| url.origin().ascii_serialization())
    )]
    PublicUrl {
        /// What is configured.
        public_url: Option<url::Url>,
        /// The strategy's name.
        strategy: String,
    },
}

/// Engines are made alike: what has held once in a process holds for its others.
static ATTACKED: OnceCell<Duration> = OnceCell::const_new();

/// One running Vestibule. Clones share everything.
#[derive(Clone)]
pub struct Host {
    shared: Arc<Shared>,
}

struct Shared {
    clock: Clock,
    engine: Engine,
    registry: Registry,
    generations: Generations,
    store: Store,
    limiter: Limiter,
    assertions: Assertions,
    sandboxes: OnceLock<Arc<dyn SandboxRuntime>>,
    draining: AtomicBool,
}

impl Host {
    /// Opens the database and loads the strategy that the configuration names. Where its
    /// file is refused and the one before was approved, that one serves, and the log
    /// says so.
    pub async fn start(config: Config, clock: Clock) -> Result<Self, StartError> {
        Self::start_hooked(config, clock, Hooks::default()).await
    }

    /// The same for tests that look into calls.
    #[doc(hidden)]
    pub async fn start_hooked(
        config: Config,
        clock: Clock,
        hooks: Hooks,
    ) -> Result<Self, StartError> {
        let config = Arc::new(config);
        let engine = engine(&config, hooks)?;
        ATTACKED.get_or_try_init(|| engine.attack_itself()).await?;
        let (candidate, refused) = load::first(&engine, &config, &clock).await?;
        let store = Store::open(&config, clock.clone()).await?;
        store.count_in(engine.metrics());
        let mut strategy = candidate.admitted(clock.now()).await?;
        strategy.keep_in(&store);
        let loaded = AuditEntry {
            action: "plugin.load".to_owned(),
            target: Some(strategy.description().name.clone()),
            outcome: "done".to_owned(),
            strategy_digest: Some(strategy.digest().to_owned()),
            ..AuditEntry::default()
        };
        if let Err(error) = store.note(&loaded).await {
            tracing::error!(%error, action = loaded.action, "the audit has a gap");
        }
        engine.metrics().loaded(true);
        let registry = Registry::new(strategy);
        let host = Self {
            shared: Arc::new(Shared {
                clock,
                engine,
                registry,
                generations: Generations::default(),
                store,
                limiter: Limiter::default(),
                assertions: Assertions::default(),
                sandboxes: OnceLock::new(),
                draining: AtomicBool::new(false),
            }),
        };
        host.remember_approval();
        if let Some(refused) = refused {
            host.refuse(refused).await;
        }
        Ok(host)
    }

    /// Everything that `start` does short of opening the database; for `check`.
    pub async fn check(config: &Config) -> Result<Strategy, StartError> {
        let config = Arc::new(config.clone());
        let engine = engine(&config, Hooks::default())?;
        let path = load::find(&engine, &config).await?;
        Ok(load::load(&engine, &config, &Clock::System, &path, None, &[]).await?.strategy)
    }

    /// The configuration of the generation that serves: the two change together.
    #[must_use]
    pub fn config(&self) -> CurrentConfig {
        self.shared.registry.config()
    }

    /// The time.
    pub(crate) fn clock(&self) -> &Clock {
        &self.shared.clock
    }

    /// The generations of the strategy.
    #[must_use]
    pub fn registry(&self) -> &Registry {
        &self.shared.registry
    }

    /// The database.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.shared.store
    }

    /// Has sandboxes of the client's own calls run by this; the first one stays.
    pub fn run_sandboxes(&self, runtime: Arc<dyn SandboxRuntime>) {
        let _ = self.shared.sandboxes.set(runtime);
    }

    pub(crate) fn sandbox_runtime(&self) -> Option<Arc<dyn SandboxRuntime>> {
        self.shared.sandboxes.get().cloned()
    }

    /// What is counted of all this.
    pub(crate) fn metrics(&self) -> &Arc<Metrics> {
        self.shared.engine.metrics()
    }

    /// Signs who is calling, for an app.
    pub(crate) async fn assert(&self, claims: &Claims<'_>) -> Result<Arc<str>, StoreError> {
        let Shared { assertions, clock, store, .. } = &*self.shared;
        assertions.sign(store, clock.now(), claims).await
    }

    /// The keys by which apps know what was signed.
    pub(crate) async fn assertion_keys(&self) -> Result<Vec<PublicKey>, StoreError> {
        let Shared { assertions, clock, store, .. } = &*self.shared;
        assertions.published(store, clock.now()).await
    }

    /// Says that no further request should come: `/readyz` answers 503.
    pub fn drain(&self) {
        self.shared.draining.store(true, Ordering::Relaxed);
    }

    /// Whether no further request should come.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.shared.draining.load(Ordering::Relaxed)
    }
}

fn engine(config: &Config, hooks: Hooks) -> Result<Engine, EngineError> {
    let concurrency = config.auth.limits.concurrency;
    Engine::hooked(EngineOptions { concurrency, ..EngineOptions::default() }, hooks)
}
