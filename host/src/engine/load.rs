//! From a file to a strategy that can be called: the load pipeline.
//!
//! Read once, digest and pin, compile off the async threads, imports and exports
//! against the contract, `describe`, imports against grants, settings against
//! the description, a trial instance on every shard, `check-settings`. Whatever
//! fails says at which step, and changes nothing of what is running.

mod contract;
mod error;
mod file;
mod grants;
mod lane;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    thread,
};

use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;
use url::Url;
use wasmtime::{
    Trap,
    component::{Component, Linker},
};

use self::lane::lane;
pub use self::{contract::Import, error::LoadError, grants::proposed as proposed_grants};
use super::{
    Engine,
    call::{self, Call, CallError, classify, new_store},
    description::Description,
    limits::{Limits, metered},
    settings,
    strategy::Strategy,
    suspicion::Suspicion,
};
use crate::{
    bindings,
    capability::{
        self, Context, Granted, Reach,
        http_client::{Client, authorities},
        jose::Issuers,
        secrets::FingerprintKey,
    },
    clock::Clock,
    config::{self, Config},
    hex,
    identity::RequestId,
};

/// The largest component file that is read.
pub const MAX_FILE_BYTES: u64 = 16 << 20;

/// What a component is, found out without granting it anything.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Inspection {
    /// The SHA-256 of the file, in hexadecimal digits.
    pub digest: String,
    /// The size of the file in bytes.
    pub bytes: usize,
    /// The contract that it is built for.
    pub contract: String,
    /// What it imports.
    pub imports: Vec<Import>,
    /// Its largest memory, at the start, in bytes.
    pub initial_memory: u64,
    /// What it says of itself.
    pub description: Description,
}

/// A component on every shard that was asked for.
struct Compiled {
    digest: String,
    bytes: usize,
    components: Vec<Component>,
    contract: contract::Contract,
    initial_memory: u64,
}

impl Compiled {
    /// Asks the component for its description, with nothing granted.
    async fn describe(
        &self,
        limits: &Limits,
        fingerprints: FingerprintKey,
    ) -> Result<Description, LoadError> {
        let limit = limits.memory as u64;
        if self.initial_memory > limit {
            return Err(LoadError::InitialMemory { needs: self.initial_memory, limit });
        }
        let component = &self.components[0];
        let engine = component.engine();
        let mut linker = Linker::<Call>::new(engine);
        // Everything is linked and nothing granted: each call that needs a grant is
        // answered with `not-granted`.
        capability::link(&mut linker, |_| true, |call| &mut call.context)
            .map_err(LoadError::Host)?;
        let pre = linker.instantiate_pre(component).map_err(LoadError::WrongType)?;
        let pre = bindings::StrategyPre::new(pre).map_err(LoadError::WrongType)?;
        let granted = Granted::nothing("(loading)", fingerprints);
        let context = Context::new(Arc::new(granted), RequestId::new(0), Reach::Nobody);
        let mut store = new_store(engine, limits, context);
        store.epoch_deadline_callback(call::give_way);
        let late = |_| LoadError::Describe(CallError::WallBudget(limits.wall));
        let instance =
            tokio::time::timeout(limits.wall, metered(pre.instantiate_async(&mut store)))
                .await
                .map_err(late)?
                // The types of exports are compared as an instance is made; whatever
                // else fails there is a trap.
                .map_err(|error| match error.downcast_ref::<Trap>() {
                    None if !store.data().meter.memory_refused => LoadError::WrongType(error),
                    _ => LoadError::Describe(classify(limits, store.data(), &error)),
                })?;
        let describing = metered(instance.vestibule_auth_plugin().call_describe(&mut store));
        let described = tokio::time::timeout(limits.wall, describing)
            .await
            .map_err(late)?
            .map_err(|error| LoadError::Describe(classify(limits, store.data(), &error)))?;
        Description::from_component(described).map_err(LoadError::Description)
    }
}

impl Engine {
    /// Takes a component through the whole pipeline, without a database: only a
    /// `Host` gives it one.
    pub async fn load(
        &self,
        path: &Path,
        config: &Config,
        clock: Clock,
    ) -> Result<Strategy, LoadError> {
        let limits = self.limits(&config.auth.limits);
        let pin = config.auth.sha256.clone();
        let compiled = self.compile(path, pin, self.shards.len()).await?;
        let description = match compiled.describe(&limits, self.fingerprints.clone()).await {
            Ok(description) => description,
            // Without a description, the values to propose are missing; what is
            // to be granted is known all the same.
            Err(error @ LoadError::Describe(_)) => {
                grants::check(&compiled.contract, None, config)?;
                return Err(error);
            }
            Err(error) => return Err(error),
        };
        let adopted;
        let config = match grants::adopted(&description, config) {
            Some(with_grants) => {
                adopted = with_grants;
                &adopted
            }
            None => config,
        };
        grants::check(&compiled.contract, Some(&description), config)?;
        let settings = settings::resolve(&description.settings, &config.auth, &config.source)?;
        let http = self.http(config)?;
        let grants = &config.auth.grants;
        let issuers = http.as_ref().map(|http| Issuers::new(&grants.jose, http, &clock));
        let (calls, shards) = (limits.concurrency.get(), self.shards.len());
        let plain = serde_json::Value::Object(settings.plain).to_string();
        let lanes = compiled
            .components
            .iter()
            .enumerate()
            .map(|(shard, component)| {
                let permits = calls / shards + usize::from(shard < calls % shards);
                // Each shard has its own, so that no two threads count
                // references to the same thing at every call.
                let granted = Granted {
                    strategy: description.name.clone(),
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
                };
                lane(component, &config.auth.grants, compiled.contract.waits, granted, permits)
            })
            .collect::<Result<_, _>>()?;
        let suspicion = Suspicion::none();
        let origins = grants.http.iter().chain(&grants.browser);
        let strategy = Strategy {
            description,
            digest: compiled.digest,
            limits,
            lanes,
            suspicion,
            waiting: Suspicion::none(),
            log_ins: Semaphore::new(Strategy::log_ins(&limits)),
            destinations: origins.filter_map(|url| Some(Url::parse(url).ok()?.origin())).collect(),
            token_names: grants.token_store.clone(),
        };
        strategy.trial().await.map_err(LoadError::Trial)?;
        strategy
            .check_settings()
            .await
            .map_err(LoadError::CheckSettings)?
            .map_err(|what| LoadError::Refused(super::output::cut(what)))?;
        Ok(strategy)
    }

    /// Finds out what a component is.
    pub async fn inspect(&self, path: &Path) -> Result<Inspection, LoadError> {
        let compiled = self.compile(path, None, 1).await?;
        let limits = self.limits(&config::Limits::default());
        let description = compiled.describe(&limits, self.fingerprints.clone()).await?;
        Ok(Inspection {
            digest: compiled.digest,
            bytes: compiled.bytes,
            contract: compiled.contract.package,
            imports: compiled.contract.imports,
            initial_memory: compiled.initial_memory,
            description,
        })
    }

    /// The component that `[auth] strategy` names: a path, a file of that name
    /// in the plugins folder, or the one there that answers to the name.
    pub async fn find(&self, config: &Config) -> Result<PathBuf, LoadError> {
        let (name, dir) = (config.auth.strategy.as_str(), &config.plugins.dir);
        if name.contains('/') {
            return Ok(PathBuf::from(name));
        }
        if Path::new(name).extension().is_some_and(|extension| extension == "wasm") {
            return Ok(dir.join(name));
        }
        let file = dir.join(format!("{name}.wasm"));
        if file.exists() {
            return Ok(file);
        }
        let files = file::components_in(dir).map_err(|error| {
            LoadError::NotFound(format!(
                "{}: the plugins folder cannot be read: {error}; set [plugins] dir",
                dir.display()
            ))
        })?;
        let mut found = Vec::new();
        for file in files {
            match self.inspect(&file).await {
                Ok(inspection) => found.push((file, inspection.description)),
                Err(error) => tracing::warn!("passed over {}", error.at(&file)),
            }
        }
        let mistake =
            |what: String| LoadError::NotFound(config.source.mistake(&["auth", "strategy"], &what));
        // A name beats an alias, so that no component can take another's place.
        let has_name = |(_, description): &&(PathBuf, Description)| description.name == name;
        let mut answering: Vec<_> = found.iter().filter(has_name).collect();
        if answering.is_empty() {
            answering = found.iter().filter(|(_, found)| found.answers_to(name)).collect();
        }
        match answering.as_slice() {
            [(file, _)] => Ok(file.clone()),
            [] => {
                let names = || {
                    found
                        .iter()
                        .flat_map(|(_, found)| std::iter::once(&found.name).chain(&found.aliases))
                };
                let hint = config::did_you_mean(name, names().map(String::as_str));
                let known: Vec<&str> = names().map(String::as_str).collect();
                let known = if known.is_empty() { "nothing".to_owned() } else { known.join(", ") };
                Err(mistake(format!(
                    "no component in {} answers to {name:?}{hint}; there is {known}; \
                     put {name}.wasm there or set [plugins] dir",
                    dir.display()
                )))
            }
            several => {
                let files: Vec<String> =
                    several.iter().map(|(file, _)| file.display().to_string()).collect();
                Err(mistake(format!(
                    "{} answer to {name:?}; name one of the files",
                    files.join(" and ")
                )))
            }
        }
    }

    /// The connections of a generation. The authorities are looked at even where
    /// nothing is granted that would need them: a mistake is best told early.
    fn http(&self, config: &Config) -> Result<Option<Arc<Client>>, LoadError> {
        let authorities = authorities(config).map_err(LoadError::CaFile)?;
        let grants = &config.auth.grants;
        if grants.http.is_empty() && grants.jose.is_empty() {
            return Ok(None);
        }
        Client::new(&grants.http, authorities, &self.hooks)
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

    /// Reads, digests and compiles a component for the first `shards` shards,
    /// and checks its type against the contract.
    async fn compile(
        &self,
        path: &Path,
        pin: Option<String>,
        shards: usize,
    ) -> Result<Compiled, LoadError> {
        let engines = self.shards[..shards].to_vec();
        let path = path.to_owned();
        let compile = move || {
            let bytes = file::read(&path)?;
            let digest = hex::encode(&Sha256::digest(&bytes));
            if let Some(pinned) = pin
                && pinned != digest
            {
                return Err(LoadError::DigestMismatch { found: digest, pinned });
            }
            file::check_kind(&bytes)?;
            let components = compile_for_all(&engines, &bytes).map_err(LoadError::Compile)?;
            let contract = contract::check(&components[0])?;
            let initial_memory = initial_memory(&components[0]);
            Ok(Compiled { digest, bytes: bytes.len(), components, contract, initial_memory })
        };
        tokio::task::spawn_blocking(compile)
            .await
            .map_err(|error| LoadError::Host(wasmtime::Error::msg(error)))?
    }
}

/// Compiles for every shard at once, each on a thread of its own.
fn compile_for_all(engines: &[wasmtime::Engine], bytes: &[u8]) -> wasmtime::Result<Vec<Component>> {
    let compile = |engine: &wasmtime::Engine| -> wasmtime::Result<Component> {
        let component = Component::from_binary(engine, bytes)?;
        // Else the first call would pay for it.
        component.initialize_copy_on_write_image()?;
        Ok(component)
    };
    thread::scope(|scope| {
        let threads: Vec<_> =
            engines.iter().map(|engine| scope.spawn(|| compile(engine))).collect();
        threads
            .into_iter()
            .map(|thread| {
                thread.join().unwrap_or_else(|_| Err(wasmtime::Error::msg("the compiler panicked")))
            })
            .collect()
    })
}

/// The largest memory that a component starts with, in bytes. How large they are
/// together shows when one is made: the meter counts from the first page on.
fn initial_memory(component: &Component) -> u64 {
    const PAGE: u64 = 64 << 10;
    component
        .resources_required()
        .map_or(u64::MAX, |needs| needs.max_initial_memory_size.unwrap_or(0) * PAGE)
}
