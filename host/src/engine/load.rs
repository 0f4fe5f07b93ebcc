//! From a file to a strategy that can be called: the load pipeline.
//!
//! Read once, digest, pin and signature, compile off the async threads, imports and
//! exports against the contract, `describe`, imports against grants, settings against
//! the description, a trial instance on every shard, `check-settings`. Whatever
//! fails says at which step, and changes nothing of what is running.
//!
//! In two halves: what a component is is found out before anything is granted, so that
//! whoever has to agree to it can be asked in between.

mod contract;
mod error;
mod examine;
mod file;
mod find;
mod grants;
mod lane;
mod signature;

use std::{path::Path, sync::Arc};

use tokio::sync::Semaphore;
use url::Url;

use self::lane::lane;
pub use self::{
    contract::Import, error::LoadError, examine::Inspection, grants::proposed as proposed_grants,
};
pub(crate) use self::{
    examine::Examined,
    file::{ComponentFile, Stamp, components_in, signature_path, stamp_of},
};
use super::{
    Engine, limits::Limits, place::Shares, quarantine::Quarantine, settings, strategy::Strategy,
    suspicion::Suspicion,
};
use crate::{
    capability::{
        Granted,
        http_client::{Client, authorities},
        jose::Issuers,
    },
    clock::Clock,
    config::{self, Config},
};

/// The largest component file that is read.
pub const MAX_FILE_BYTES: u64 = 16 << 20;

impl Engine {
    /// Takes a component through the whole pipeline, without a database: only a
    /// `Host` gives it one.
    pub async fn load(
        &self,
        path: &Path,
        config: &Config,
        clock: Clock,
    ) -> Result<Strategy, LoadError> {
        let file = ComponentFile::read(path).await?;
        let examined = self.examine(&file, config, &[]).await?;
        self.prepare(&examined, &Arc::new(config.clone()), clock).await
    }

    /// Finds out what a component is.
    pub async fn inspect(&self, path: &Path) -> Result<Inspection, LoadError> {
        let file = ComponentFile::read(path).await?;
        Ok(self.look_at(&file).await?.inspection)
    }

    /// The same of one that nobody has chosen yet: where keys are trusted, nothing is
    /// compiled or run that none of them has signed.
    pub(crate) async fn inspect_trusted(
        &self,
        path: &Path,
        config: &Config,
    ) -> Result<Inspection, LoadError> {
        let file = ComponentFile::read(path).await?;
        signature::check(&file, config)?;
        Ok(self.look_at(&file).await?.inspection)
    }

    /// Makes a component that was looked at a strategy, with what it is granted.
    pub(crate) async fn prepare(
        &self,
        examined: &Arc<Examined>,
        config: &Arc<Config>,
        clock: Clock,
    ) -> Result<Strategy, LoadError> {
        let limits = self.limits(&config.auth.limits);
        let Inspection { description, imports, digest, .. } = &examined.inspection;
        let whole = config;
        let adopted;
        let config = match grants::adopted(description, config) {
            Some(with_grants) => {
                adopted = with_grants;
                &adopted
            }
            None => &**config,
        };
        grants::check(imports, Some(description), config)?;
        let settings = settings::resolve(&description.settings, &config.auth, &config.source)?;
        let http = self.http(config)?;
        let grants = &config.auth.grants;
        let issuers = http.as_ref().map(|http| Issuers::new(&grants.jose, http, &clock));
        let (calls, shards) = (limits.concurrency.get(), self.shards.len());
        let plain = serde_json::Value::Object(settings.plain).to_string();
        let log_rate = Arc::default();
        let lanes = examined
            .components
            .iter()
            .enumerate()
            .map(|(shard, component)| {
                let permits = calls / shards + usize::from(shard < calls % shards);
                // Each shard has its own, so that no two threads count
                // references to the same thing at every call.
                let granted = Granted {
                    strategy: description.name.clone(),
                    digest: digest.clone(),
                    settings: plain.clone(),
                    secrets: settings.secrets.clone(),
                    clock: clock.clone(),
                    fingerprints: self.fingerprints.clone(),
                    store: None,
                    http: http.clone(),
                    issuers: issuers.clone(),
                    grants: config.auth.grants.clone(),
                    denials: Some(Arc::clone(&self.denials)),
                    hooks: self.hooks.clone(),
                    metrics: Arc::clone(&self.metrics),
                    log_rate: Arc::clone(&log_rate),
                };
                lane(component, &config.auth.grants, examined.waits, granted, permits)
            })
            .collect::<Result<_, _>>()?;
        let origins = grants.http.iter().chain(&grants.browser);
        let strategy = Strategy {
            description: description.clone(),
            digest: digest.clone(),
            limits,
            lanes,
            config: Arc::clone(whole),
            examined: Arc::clone(examined),
            grants: grants.clone(),
            quarantine: Quarantine::default(),
            shares: Shares::of(calls),
            suspicion: Suspicion::none(),
            waiting: [Suspicion::none(), Suspicion::none()],
            log_ins: Semaphore::new(Strategy::log_ins(&limits)),
            destinations: origins.filter_map(|url| Some(Url::parse(url).ok()?.origin())).collect(),
            token_names: grants.token_store.clone(),
            metrics: Arc::clone(&self.metrics),
        };
        strategy.trial().await.map_err(LoadError::Trial)?;
        strategy
            .check_settings()
            .await
            .map_err(LoadError::CheckSettings)?
            .map_err(|what| LoadError::Refused(super::output::cut(what)))?;
        Ok(strategy)
    }

    /// The connections of a generation. The authorities are looked at even where
    /// nothing is granted that would need them: a mistake is best told early.
    fn http(&self, config: &Config) -> Result<Option<Arc<Client>>, LoadError> {
        let authorities = authorities(config).map_err(LoadError::CaFile)?;
        let grants = &config.auth.grants;
        if grants.http.is_empty() && grants.jose.is_empty() {
            return Ok(None);
        }
        Client::new(&grants.http, authorities, &self.hooks, Arc::clone(&self.metrics))
            .map(|client| Some(Arc::new(client)))
            .map_err(|error| LoadError::Host(error.into()))
    }

    fn limits(&self, limits: &config::Limits) -> Limits {
        Limits {
            memory: limits.memory,
            cpu: limits.cpu,
            wall: limits.wall,
            // The pool has no more places than it was made with.
            concurrency: limits.concurrency.min(self.concurrency),
        }
    }
}
