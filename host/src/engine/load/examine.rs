//! What a component is, found out without granting it anything.

use std::{sync::Arc, thread};

use serde::Serialize;
use wasmtime::{
    Trap,
    component::{Component, Linker},
};

use super::{ComponentFile, Import, LoadError, contract, grants, signature};
use crate::{
    bindings,
    capability::{self, Context, Granted, Reach, secrets::FingerprintKey},
    config::Config,
    engine::{
        Engine,
        call::{self, Call, CallError, classify, new_store},
        description::Description,
        limits::{Limits, metered},
        off_the_runtime,
    },
    identity::RequestId,
};

/// What a component is, found out without granting it anything.
#[derive(Clone, Debug, Serialize)]
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

/// A component that was looked at, compiled and not granted anything yet. It does not
/// change with the configuration, so that it can be made a strategy again.
pub(crate) struct Examined {
    pub(crate) inspection: Inspection,
    /// On every shard that was asked for.
    pub(super) components: Vec<Component>,
    /// It imports something that may wait.
    pub(super) waits: bool,
}

/// A component that compiles and fits the contract.
struct Compiled {
    components: Vec<Component>,
    contract: contract::Contract,
    initial_memory: u64,
}

impl Engine {
    /// Looks at a component that may be served: pin, signature, kind, compilation,
    /// contract and description. One that is among `warm` is not compiled again.
    pub(crate) async fn examine(
        &self,
        file: &Arc<ComponentFile>,
        config: &Config,
        warm: &[Arc<Examined>],
    ) -> Result<Arc<Examined>, LoadError> {
        if let Some(pinned) = &config.auth.sha256
            && *pinned != file.digest
        {
            let (found, pinned) = (file.digest.clone(), pinned.clone());
            return Err(LoadError::DigestMismatch { found, pinned });
        }
        signature::check(file, config)?;
        let limits = self.limits(&config.auth.limits);
        if let Some(warm) = warm.iter().find(|warm| warm.inspection.digest == file.digest) {
            refuse_large(warm.inspection.initial_memory, &limits)?;
            return Ok(Arc::clone(warm));
        }
        let compiled = self.compile(file, self.shards.len()).await?;
        match compiled.describe(&limits, self.fingerprints.clone()).await {
            Ok(description) => Ok(Arc::new(compiled.described(file, description))),
            // Without a description, the values to propose are missing; what is
            // to be granted is known all the same.
            Err(error @ LoadError::Describe(_)) => {
                grants::check(&compiled.contract.imports, None, config)?;
                Err(error)
            }
            Err(error) => Err(error),
        }
    }

    /// Looks at a component on the first shard alone.
    pub(super) async fn look_at(&self, file: &Arc<ComponentFile>) -> Result<Examined, LoadError> {
        let limits = self.limits(&crate::config::Limits::default());
        let compiled = self.compile(file, 1).await?;
        let description = compiled.describe(&limits, self.fingerprints.clone()).await?;
        Ok(compiled.described(file, description))
    }

    /// Compiles a component for the first `shards` shards, and checks its type against
    /// the contract.
    async fn compile(
        &self,
        file: &Arc<ComponentFile>,
        shards: usize,
    ) -> Result<Compiled, LoadError> {
        self.metrics.compiled();
        let engines = self.shards[..shards].to_vec();
        let file = Arc::clone(file);
        let compile = move || {
            file.check_kind()?;
            let components = compile_for_all(&engines, &file.bytes).map_err(LoadError::Compile)?;
            let contract = contract::check(&components[0])?;
            let initial_memory = initial_memory(&components[0]);
            Ok(Compiled { components, contract, initial_memory })
        };
        off_the_runtime(compile).await
    }
}

impl Compiled {
    fn described(self, file: &ComponentFile, description: Description) -> Examined {
        let Self { components, contract, initial_memory } = self;
        let inspection = Inspection {
            digest: file.digest.clone(),
            bytes: file.bytes.len(),
            contract: contract.package,
            imports: contract.imports,
            initial_memory,
            description,
        };
        Examined { inspection, components, waits: contract.waits }
    }

    /// Asks the component for its description, with nothing granted.
    async fn describe(
        &self,
        limits: &Limits,
        fingerprints: FingerprintKey,
    ) -> Result<Description, LoadError> {
        refuse_large(self.initial_memory, limits)?;
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

fn refuse_large(needs: u64, limits: &Limits) -> Result<(), LoadError> {
    let limit = limits.memory as u64;
    if needs > limit { Err(LoadError::InitialMemory { needs, limit }) } else { Ok(()) }
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
