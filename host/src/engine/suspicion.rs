//! A component that has run away is not trusted with a thread of its own.
//!
//! A direct call keeps its thread until it ends, so that a few runaways at once
//! would keep every thread, and no other caller would even be refused. After a
//! direct call was cut off, calls go by fibers for a while: those give way at
//! every tick and hold their place among the running calls, so that the limit on
//! concurrency bites.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

/// How long a runaway is remembered.
const MEMORY: Duration = Duration::from_secs(10);

/// Whether a component ran away lately.
pub(super) struct Suspicion {
    epoch: Instant,
    /// Milliseconds since `epoch`; zero is never.
    until: AtomicU64,
}

impl Suspicion {
    pub(super) fn none() -> Self {
        Self { epoch: Instant::now(), until: AtomicU64::new(0) }
    }

    /// A direct call was cut off.
    pub(super) fn raise(&self) {
        self.until.store(self.now() + millis(MEMORY), Ordering::Relaxed);
    }

    /// Asks for the time only where there is something to remember.
    pub(super) fn is_raised(&self) -> bool {
        let until = self.until.load(Ordering::Relaxed);
        until != 0 && self.now() < until
    }

    fn now(&self) -> u64 {
        millis(self.epoch.elapsed())
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suspicion_is_raised_by_a_runaway_and_not_before() {
        let suspicion = Suspicion::none();
        assert!(!suspicion.is_raised());
        suspicion.raise();
        assert!(suspicion.is_raised());
    }
}
