//! Runs strategies: one call, one store, one instance.
//!
//! The engine sits between whoever has a request and the component that decides
//! it. It knows nothing of HTTP and hands out no generated type. Its laws:
//!
//! - every call gets a fresh store and a fresh instance, dropped afterwards;
//! - CPU time, wall time, memory, output and concurrency are bounded, and a
//!   bound that bites is a [`CallError`], never an identity;
//! - a component is published only after the whole [load pipeline](Engine::load).
//!
//! There is one wasmtime engine per *shard*, and a thread stays on its shard:
//! two threads on one engine do barely more work than one.

mod authenticate;
mod call;
mod description;
#[cfg(fuzzing)]
pub(crate) mod fuzzing;
mod limits;
mod load;
mod login;
mod output;
mod place;
mod profile;
mod quarantine;
mod registry;
mod self_attack;
mod settings;
mod span;
mod strategy;
mod suspicion;
mod tokens;

use std::{io, num::NonZeroUsize, sync::Arc, thread, time::Duration};

use tokio::task::JoinHandle;
use wasmtime::{
    Config, Enabled, EngineWeak, Inlining, InstanceAllocationStrategy, PoolingAllocationConfig,
};

use crate::{
    capability::{log::denials::Denials, secrets::FingerprintKey},
    metrics::Metrics,
};

#[doc(hidden)]
pub use crate::capability::{Hooks, LookUp, Show};

pub use self::{
    call::CallError,
    description::{Description, GrantSource, ProposedGrants, Setting, SettingType},
    load::{Import, Inspection, LoadError, MAX_FILE_BYTES, proposed_grants},
    login::{Attempt, Callback, LogOutRedirect, LoginStep, SessionSelector, SignedIn},
    output::{Decision, SessionChange},
    profile::Profile,
    registry::{Quarantined, Registry},
    self_attack::SelfAttackError,
    settings::SettingsError,
    strategy::Strategy,
    tokens::Renewal,
};
pub(crate) use self::{
    load::{ComponentFile, Examined, Stamp, components_in, signature_path, stamp_of},
    registry::{CurrentConfig, WAY_OUT},
};
pub(crate) use crate::capability::session_store::Renewing;

/// Runs work to its end, even if whoever waits for it goes away.
pub(crate) async fn to_the_end<T: Send + 'static>(
    work: impl Future<Output = T> + Send + 'static,
) -> T {
    ended(begin(work)).await
}

/// Runs work at once, each to its end, and answers in their order.
pub(crate) async fn all_to_the_end<T: Send + 'static>(
    all: impl IntoIterator<Item = impl Future<Output = T> + Send + 'static>,
) -> Vec<T> {
    let begun: Vec<_> = all.into_iter().map(begin).collect();
    let mut answers = Vec::with_capacity(begun.len());
    for task in begun {
        answers.push(ended(task).await);
    }
    answers
}

/// Does what blocks on a thread where it may.
pub(crate) async fn off_the_runtime<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> T {
    ended(tokio::task::spawn_blocking(work)).await
}

#[expect(clippy::disallowed_methods, reason = "the one kind of task that outlives its request")]
fn begin<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> JoinHandle<T> {
    tokio::spawn(work)
}

async fn ended<T>(task: JoinHandle<T>) -> T {
    match task.await.map_err(tokio::task::JoinError::try_into_panic) {
        Ok(value) => value,
        Err(Ok(panic)) => std::panic::resume_unwind(panic),
        // The runtime is being taken down, and this task with it.
        Err(Err(_)) => std::future::pending().await,
    }
}

/// How often the epoch moves, and so the grain of the CPU budget.
const TICK: Duration = Duration::from_millis(2);

use crate::config::MAX_MEMORY;

/// How much of each memory and table stays resident between calls. With the
/// kernel's page map, only the pages that a call has touched are restored.
const KEEP_RESIDENT_BYTES: usize = 1 << 20;

/// What a suspended call's stack takes: twice what a component may use of it.
const STACK_BYTES: usize = 1 << 20;

/// How much of a stack is zeroed by hand and stays: what nearly every call touches. The
/// system zeroes the rest by taking it away, and each page has to be asked for again.
const STACK_KEEP_RESIDENT_BYTES: usize = 64 << 10;

/// Core instances, memories and tables that one component may consist of: a
/// component from a language with a shared runtime has half a dozen.
const MAX_CORE_INSTANCES: u32 = 16;
const MAX_MEMORIES: u32 = 4;
const MAX_TABLES: u32 = 8;

/// What an engine is sized for.
#[derive(Clone, Copy, Debug)]
pub struct EngineOptions {
    /// How many threads run calls; one shard each.
    pub shards: NonZeroUsize,
    /// How many calls run at once, over all shards.
    pub concurrency: NonZeroUsize,
}

impl Default for EngineOptions {
    fn default() -> Self {
        Self {
            shards: thread::available_parallelism().unwrap_or(NonZeroUsize::MIN),
            concurrency: const { NonZeroUsize::new(256).unwrap() },
        }
    }
}

/// An engine could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The engine refuses its configuration, or there is too little address space.
    #[error(
        "the engine cannot reserve memory for {slots} instances in each of {shards} shards; \
         lower [auth.limits] concurrency, or lift the limit on address space (ulimit -v)"
    )]
    Engine {
        /// Instances in each shard.
        slots: u32,
        /// Shards.
        shards: usize,
        /// What wasmtime says.
        #[source]
        source: wasmtime::Error,
    },
    /// The thread that interrupts runaway components could not be started.
    #[error("the thread that keeps the time of components cannot be started")]
    Ticker(#[source] io::Error),
    /// The system has no randomness to give.
    #[error("the system gives no randomness")]
    Randomness(#[source] getrandom::Error),
}

/// Compiles and runs components.
#[derive(Clone)]
pub struct Engine {
    shards: Arc<[wasmtime::Engine]>,
    concurrency: NonZeroUsize,
    /// The same on every shard, so that a secret has one fingerprint.
    fingerprints: FingerprintKey,
    hooks: Hooks,
    metrics: Arc<Metrics>,
    /// The same for every generation, so that a reload tells nothing twice.
    denials: Arc<Denials>,
}

impl Engine {
    /// Sets up the shards and the thread that keeps their time.
    pub fn new(options: EngineOptions) -> Result<Self, EngineError> {
        Self::hooked(options, Hooks::default())
    }

    /// How many calls run at once, at most.
    pub(crate) fn concurrency(&self) -> NonZeroUsize {
        self.concurrency
    }

    /// The same for tests that look into calls.
    #[doc(hidden)]
    pub fn hooked(options: EngineOptions, hooks: Hooks) -> Result<Self, EngineError> {
        let shards = options.shards.get();
        let slots = slots(options);
        let mut config = config(slots);
        // Without it no memory can be found from outside.
        config.guest_debug(hooks.memory.is_some());
        let engines = (0..shards)
            .map(|_| wasmtime::Engine::new(&config))
            .collect::<Result<Vec<_>, _>>()
            .map_err(|source| EngineError::Engine { slots, shards, source })?;
        start_ticker(engines.iter().map(wasmtime::Engine::weak).collect())
            .map_err(EngineError::Ticker)?;
        let fingerprints = FingerprintKey::random().map_err(EngineError::Randomness)?;
        Ok(Self {
            shards: engines.into(),
            concurrency: options.concurrency,
            fingerprints,
            hooks,
            metrics: Arc::default(),
            denials: Arc::default(),
        })
    }

    /// What its calls count.
    pub(crate) fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }
}

/// The instances of one shard: room for the calls of two generations, the one
/// that serves and the one that it is replacing, and for a trial.
fn slots(options: EngineOptions) -> u32 {
    let calls = options.concurrency.get().div_ceil(options.shards.get());
    u32::try_from(calls.saturating_mul(2).saturating_add(4)).unwrap_or(u32::MAX)
}

fn config(slots: u32) -> Config {
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(slots)
        .total_core_instances(slots.saturating_mul(4))
        .total_memories(slots)
        .total_tables(slots.saturating_mul(2))
        .total_stacks(slots)
        .max_core_instances_per_component(MAX_CORE_INSTANCES)
        .max_memories_per_component(MAX_MEMORIES)
        .max_tables_per_component(MAX_TABLES)
        .max_memory_size(MAX_MEMORY)
        .linear_memory_keep_resident(KEEP_RESIDENT_BYTES)
        .table_keep_resident(KEEP_RESIDENT_BYTES)
        .async_stack_keep_resident(STACK_KEEP_RESIDENT_BYTES)
        // Without it (Linux before 6.7) a call costs half as much again.
        .pagemap_scan(Enabled::Auto);

    let mut config = Config::new();
    config
        .allocation_strategy(InstanceAllocationStrategy::Pooling(pool))
        .memory_init_cow(true)
        // Two to four per cent, against six to nine for fuel.
        .epoch_interruption(true)
        // The state of concurrent guest tasks costs a quarter of a fresh call.
        .concurrency_support(false)
        .async_stack_size(STACK_BYTES)
        // Host code that has handled secrets has used these stacks.
        .async_stack_zeroing(true)
        // Calls are no faster with it (within 1 %), loading takes about twice
        // as long, and an idle server holds 180 MB instead of 31.
        .compiler_inlining(Inlining::No)
        // A trap is an answer here, not a puzzle: its frames are not collected.
        .wasm_backtrace_max_frames(None)
        .generate_address_map(false)
        // For strategies that bring their own cryptography.
        .wasm_wide_arithmetic(true)
        // Proposals that no strategy needs.
        .wasm_memory64(false)
        .wasm_relaxed_simd(false)
        .wasm_tail_call(false)
        .wasm_custom_page_sizes(false);
    config
}

/// Moves the epoch of every shard until the last of them is gone. A thread of
/// its own, because a task could be starved by the very component that it is to
/// interrupt.
fn start_ticker(engines: Vec<EngineWeak>) -> io::Result<()> {
    thread::Builder::new().name("vestibule-epoch".to_owned()).spawn(move || {
        loop {
            thread::sleep(TICK);
            let mut alive = false;
            for engine in engines.iter().filter_map(EngineWeak::upgrade) {
                engine.increment_epoch();
                alive = true;
            }
            if !alive {
                return;
            }
        }
    })?;
    Ok(())
}
