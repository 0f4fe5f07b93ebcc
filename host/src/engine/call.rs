//! One call: its store with every limit armed, and what it means when it fails.

use std::time::Duration;

use wasmtime::{Store, StoreContextMut, Trap, UpdateDeadline};

use super::limits::{Limits, MAX_CROSSING_BYTES, Meter};
use crate::{
    capability::{Context, Violation},
    identity::Refusal,
    metrics::Failure,
    task,
};

/// Why a call gave no answer. A strategy's own refusal is not among these: it
/// is a [`Refusal`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// The component broke off, by a panic for instance.
    #[error("the component trapped: {0}")]
    Trap(String),
    /// It used up its CPU budget.
    #[error("the component used up its CPU budget of {0:?} ([auth.limits] cpu)")]
    CpuBudget(Duration),
    /// It took too long, waiting included.
    #[error("the call took longer than {0:?} ([auth.limits] wall)")]
    WallBudget(Duration),
    /// It wanted more memory than it may have.
    #[error("the component wanted more than {0} bytes of memory ([auth.limits] memory)")]
    Memory(usize),
    /// Too many calls are running.
    #[error("{0} calls are running already ([auth.limits] concurrency)")]
    Saturated(usize),
    /// It broke for many callers, and is out of service.
    #[error("the strategy is out of service, because it breaks for many")]
    Quarantined,
    /// It answered, and the answer breaks the contract.
    #[error("the component's answer breaks the contract: {0}")]
    MalformedOutput(&'static str),
}

impl CallError {
    /// What is counted.
    pub(super) fn kind(&self) -> Failure {
        match self {
            Self::Trap(_) => Failure::Trap,
            Self::CpuBudget(_) => Failure::Cpu,
            Self::WallBudget(_) => Failure::Wall,
            Self::Memory(_) => Failure::Memory,
            Self::Saturated(_) => Failure::Saturated,
            Self::MalformedOutput(_) => Failure::Malformed,
            Self::Quarantined => Failure::Quarantined,
        }
    }
}

/// A strategy's own refusal inside, the engine's outside: only the outer one
/// says that something is broken.
pub(super) type Answer<T> = Result<Result<T, Refusal>, CallError>;

/// The state of one call.
pub(super) struct Call {
    pub(super) meter: Meter,
    pub(super) context: Context,
}

/// However a call ends, by its answer, a trap, a time-out or because nobody
/// waits for it any more: what it has leased is given back.
impl Drop for Call {
    fn drop(&mut self) {
        let leases = self.context.leases();
        if leases.is_empty() {
            return;
        }
        // Where nobody does it, the lease runs out.
        task::begin(async {
            for lease in leases {
                lease.settle().await;
            }
        });
    }
}

/// Makes a store with every limit armed before anything runs in it.
pub(super) fn new_store(
    engine: &wasmtime::Engine,
    limits: &Limits,
    context: Context,
) -> Store<Call> {
    let meter = Meter::new(limits);
    let mut store = Store::new(engine, Call { meter, context });
    store.limiter(|call| &mut call.meter);
    store.set_epoch_deadline(1);
    store.set_hostcall_fuel(MAX_CROSSING_BYTES);
    store
}

/// At the end of a tick, for calls without a fiber.
#[expect(clippy::unnecessary_wraps, reason = "the type of a callback")]
pub(super) fn go_on(mut store: StoreContextMut<'_, Call>) -> wasmtime::Result<UpdateDeadline> {
    let meter = &mut store.data_mut().meter;
    Ok(if meter.tick() && !meter.is_late() {
        UpdateDeadline::Continue(1)
    } else {
        UpdateDeadline::Interrupt
    })
}

/// At the end of a tick, for calls on a fiber: other tasks get their turn.
#[expect(
    clippy::unnecessary_wraps,
    clippy::needless_pass_by_value,
    reason = "the type of a callback"
)]
pub(super) fn give_way(store: StoreContextMut<'_, Call>) -> wasmtime::Result<UpdateDeadline> {
    Ok(if store.data().meter.has_time() {
        // Not a plain yield, which the runtime would resume at once from its
        // slot for the task that woke last.
        UpdateDeadline::YieldCustom(1, Box::pin(tokio::task::yield_now()))
    } else {
        UpdateDeadline::Interrupt
    })
}

/// What an error means. Never by its text.
pub(super) fn classify(limits: &Limits, call: &Call, error: &wasmtime::Error) -> CallError {
    if error.downcast_ref::<wasmtime::PoolConcurrencyLimitError>().is_some() {
        return CallError::Saturated(limits.concurrency.get());
    }
    match error.downcast_ref::<Trap>() {
        Some(Trap::Interrupt) => CallError::CpuBudget(limits.cpu),
        Some(_) if call.meter.memory_refused => CallError::Memory(limits.memory),
        Some(trap) => CallError::Trap(trap.to_string()),
        None if is_violation(error) => CallError::Trap(error.to_string()),
        None => CallError::MalformedOutput("it is too large, or not of the type it should have"),
    }
}

/// Whether the component misused a capability, an unknown handle included.
fn is_violation(error: &wasmtime::Error) -> bool {
    error.downcast_ref::<Violation>().is_some()
        || error.downcast_ref::<wasmtime::component::ResourceTableError>().is_some()
}
