//! What one call may use, and the meter that watches it.

use std::{
    cell::Cell,
    future::poll_fn,
    num::NonZeroUsize,
    pin::pin,
    time::{Duration, Instant},
};

use wasmtime::ResourceLimiter;

use super::TICK;

/// The most table elements over all tables of a call.
const MAX_TABLE_ELEMENTS: usize = 100_000;

/// The most bytes that cross from the component to the host in one go; more is
/// refused before the host allocates it.
pub(super) const MAX_CROSSING_BYTES: usize = 2 << 20;

/// Limits as the engine keeps them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Bytes of linear memory, summed over all memories of a call.
    pub(super) memory: usize,
    /// Time in the component itself.
    pub(super) cpu: Duration,
    /// Time from the start of a call to its end.
    pub(super) wall: Duration,
    /// Calls at once.
    pub(super) concurrency: NonZeroUsize,
}

impl Limits {
    /// The CPU budget in ticks, at least one, and one more because the first
    /// can end at any moment.
    pub(super) fn ticks(&self) -> u32 {
        let ticks = self.cpu.as_micros().div_ceil(TICK.as_micros()).max(1) + 1;
        u32::try_from(ticks).unwrap_or(u32::MAX)
    }
}

/// Counts what one call uses.
///
/// A call on a fiber is charged the CPU time of the threads that run it, so that
/// neither waiting nor a busy machine costs it anything, and the host's work little. A call without one, which
/// never waits, is charged the ticks that end while it runs: it is over before the
/// first of them, and the thread's clock would cost it more than it needs. A thread
/// that the system suspends for long loses one tick, not many.
pub(super) struct Meter {
    memory_left: usize,
    elements_left: usize,
    cpu: Duration,
    ticks_left: u32,
    /// When the first tick ended. A tick is one tick however long the host was busy
    /// in it, so that something has to count real time as well.
    since: Option<Instant>,
    /// Growth was refused, so that a failure that follows has this reason.
    pub(super) memory_refused: bool,
}

impl Meter {
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            memory_left: limits.memory,
            elements_left: MAX_TABLE_ELEMENTS,
            cpu: limits.cpu,
            ticks_left: limits.ticks(),
            since: None,
            memory_refused: false,
        }
    }

    /// Leaves a call that is only a try this many ticks at most.
    pub(super) fn try_for(&mut self, ticks: u32) {
        self.ticks_left = self.ticks_left.min(ticks);
    }

    /// Takes one tick; `false` when none is left.
    pub(super) fn tick(&mut self) -> bool {
        self.ticks_left = self.ticks_left.saturating_sub(1);
        self.ticks_left > 0
    }

    /// Whether a call that never waits has taken too long all the same.
    pub(super) fn is_late(&mut self) -> bool {
        let since = *self.since.get_or_insert_with(Instant::now);
        since.elapsed() > self.cpu * 4
    }

    /// Whether a call that [`metered`] runs has CPU time left.
    pub(super) fn has_time(&self) -> bool {
        charge() < self.cpu
    }
}

/// What is charged at most from one look at the thread's clock to the next. There is one
/// at every tick while the component runs; what takes longer was the host's own work.
const LONGEST_CHARGE: Duration = TICK.saturating_mul(2);

thread_local! {
    /// What this thread's clock said at the last look, and what the call that it runs has
    /// been charged.
    static RUNNING: Cell<(Duration, Duration)> = const { Cell::new((Duration::ZERO, Duration::ZERO)) };
}

/// Charges the call that this thread runs for what it has used since the last look.
fn charge() -> Duration {
    let ((last, used), now) = (RUNNING.get(), thread_time());
    let used = used + now.saturating_sub(last).min(LONGEST_CHARGE);
    RUNNING.set((now, used));
    used
}

/// Runs a call and counts the CPU time of every thread that it is run by.
pub(super) async fn metered<F: Future>(call: F) -> F::Output {
    let mut call = pin!(call);
    let mut used = Duration::ZERO;
    poll_fn(|context| {
        let outside = RUNNING.replace((thread_time(), used));
        let answer = call.as_mut().poll(context);
        used = charge();
        RUNNING.set(outside);
        answer
    })
    .await
}

/// The CPU time that this thread has used.
#[cfg(unix)]
fn thread_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::try_from(time).unwrap_or_default()
}

/// Where the system keeps no such clock, the time that passes.
#[cfg(not(unix))]
fn thread_time() -> Duration {
    static START: std::sync::LazyLock<Instant> = std::sync::LazyLock::new(Instant::now);
    START.elapsed()
}

impl ResourceLimiter for Meter {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        match self.memory_left.checked_sub(desired.saturating_sub(current)) {
            Some(left) => {
                self.memory_left = left;
                Ok(true)
            }
            None => {
                self.memory_refused = true;
                Ok(false)
            }
        }
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        match self.elements_left.checked_sub(desired.saturating_sub(current)) {
            Some(left) => {
                self.elements_left = left;
                Ok(true)
            }
            None => {
                self.memory_refused = true;
                Ok(false)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_counted_over_all_memories() {
        let mut meter = Meter::new(&limits(3 << 16, TICK));
        assert!(meter.memory_growing(0, 2 << 16, None).unwrap());
        assert!(meter.memory_growing(0, 1 << 16, None).unwrap());
        assert!(!meter.memory_refused);
        assert!(!meter.memory_growing(1 << 16, 2 << 16, None).unwrap());
        assert!(meter.memory_refused);
    }

    fn limits(memory: usize, cpu: Duration) -> Limits {
        Limits { memory, cpu, wall: Duration::MAX, concurrency: NonZeroUsize::MIN }
    }

    #[test]
    fn the_budget_is_never_shorter_than_it_says() {
        assert_eq!(limits(0, Duration::ZERO).ticks(), 2);
        assert_eq!(limits(0, TICK * 10).ticks(), 11);
        assert_eq!(limits(0, TICK * 10 + Duration::from_micros(1)).ticks(), 12);
    }
}
