//! Everything that one running Vestibule shares: the strategy that serves, the
//! database and the configuration.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
};

use crate::{
    assertion::{Assertions, Claims, PublicKey},
    clock::Clock,
    config::Config,
    engine::{
        Engine, EngineError, EngineOptions, Hooks, LoadError, Registry, SelfAttackError, Strategy,
    },
    limit::{Limited, Limiter, Who},
    sandbox::SandboxRuntime,
    store::{Store, StoreError},
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

/// One running Vestibule. Clones share everything.
#[derive(Clone)]
pub struct Host {
    shared: Arc<Shared>,
}

struct Shared {
    config: Config,
    clock: Clock,
    engine: Engine,
    registry: Registry,
    store: Store,
    limiter: Limiter,
    assertions: Assertions,
    sandboxes: OnceLock<Arc<dyn SandboxRuntime>>,
    draining: AtomicBool,
}

impl Host {
    /// Opens the database and loads the strategy that the configuration names.
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
        let engine = engine(&config, hooks)?;
        engine.attack_itself().await?;
        let path = find(&engine, &config).await?;
        let mut strategy = load(&engine, &config, clock.clone(), &path).await?;
        let store = Store::open(&config, clock.clone()).await?;
        strategy.keep_in(&store);
        let registry = Registry::new(strategy);
        Ok(Self {
            shared: Arc::new(Shared {
                config,
                clock,
                engine,
                registry,
                store,
                limiter: Limiter::default(),
                assertions: Assertions::default(),
                sandboxes: OnceLock::new(),
                draining: AtomicBool::new(false),
            }),
        })
    }

    /// Everything that `start` does short of opening the database; for `check`.
    pub async fn check(config: &Config) -> Result<Strategy, StartError> {
        let engine = engine(config, Hooks::default())?;
        load(&engine, config, Clock::System, &find(&engine, config).await?).await
    }

    /// Loads another component in place of the one that serves. Should any step
    /// fail, the one that serves goes on.
    pub async fn replace(&self, path: &Path) -> Result<(), StartError> {
        let Shared { config, clock, engine, registry, store, .. } = &*self.shared;
        let mut strategy = load(engine, config, clock.clone(), path).await?;
        strategy.keep_in(store);
        registry.publish(strategy);
        Ok(())
    }

    /// The configuration.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.shared.config
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

    /// Counts one request of somebody's.
    pub(crate) fn count(&self, who: &Who) -> Result<(), Limited> {
        let Shared { config, clock, limiter, .. } = &*self.shared;
        limiter.count(who, &config.rate_limits, clock.now())
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

/// The component that the configuration names.
async fn find(engine: &Engine, config: &Config) -> Result<PathBuf, StartError> {
    let named = PathBuf::from(&config.auth.strategy);
    engine.find(config).await.map_err(|source| StartError::Load { path: named, source })
}

/// The only way from a file to a strategy that may serve.
async fn load(
    engine: &Engine,
    config: &Config,
    clock: Clock,
    path: &Path,
) -> Result<Strategy, StartError> {
    let strategy = engine
        .load(path, config, clock)
        .await
        .map_err(|source| StartError::Load { path: path.to_owned(), source })?;
    refuse_open_door(config, &strategy)?;
    refuse_lost_sessions(config, &strategy)?;
    tracing::info!(
        strategy.name = strategy.description().name,
        strategy.version = strategy.description().version,
        plugin.digest = strategy.digest(),
        plugin.file = %path.display(),
        "the strategy is loaded"
    );
    Ok(strategy)
}

/// A strategy that lets everybody in stays on loopback unless the operator insists.
fn refuse_open_door(config: &Config, strategy: &Strategy) -> Result<(), StartError> {
    let listen = config.server.listen;
    let open = strategy.description().local_owner && !listen.ip().is_loopback();
    if open && !config.server.allow_open {
        return Err(StartError::Open { listen, strategy: strategy.description().name.clone() });
    }
    Ok(())
}

/// A session's cookie is kept over https, or on this very machine; and the way
/// back from an identity provider is never what a request says it is.
fn refuse_lost_sessions(config: &Config, strategy: &Strategy) -> Result<(), StartError> {
    let origin = config.server.public_origin();
    let kept = origin.is_some_and(|url| url.scheme() == "https" || is_this_machine(&url));
    if strategy.description().log_in.is_none() || kept {
        return Ok(());
    }
    Err(StartError::PublicUrl {
        public_url: config.server.public_url.clone(),
        strategy: strategy.description().name.clone(),
    })
}

fn is_this_machine(url: &url::Url) -> bool {
    match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}
