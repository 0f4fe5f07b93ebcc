//! A place among the calls that run, and a fair share of them.
//!
//! As long as there is room, nobody is counted. Once two sources were refused for want
//! of it, each may hold half of the places for a while: who asks for all of them is
//! refused before others are.

use std::{
    collections::HashMap,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use tokio::sync::SemaphorePermit;

use super::{quarantine::Source, suspicion::Suspicion};

/// How many places each source holds, where they are scarce.
pub(super) struct Shares {
    scarce: Suspicion,
    /// Who was refused last.
    last_refused: AtomicU64,
    held: Mutex<HashMap<Source, usize>>,
    most: usize,
}

impl Shares {
    /// Shares of so many places.
    pub(super) fn of(places: usize) -> Self {
        Self {
            scarce: Suspicion::none(),
            last_refused: AtomicU64::new(0),
            held: Mutex::default(),
            most: places.div_ceil(2),
        }
    }

    /// Counts a source's call where places are scarce; an error where it has its share.
    pub(super) fn take(&self, source: impl FnOnce() -> Source) -> Result<Option<Held<'_>>, ()> {
        if !self.scarce.is_raised() {
            return Ok(None);
        }
        let source = source();
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let count = held.entry(source).or_default();
        if *count >= self.most {
            return Err(());
        }
        *count += 1;
        Ok(Some(Held { shares: self, source }))
    }

    /// There was no place for a source.
    pub(super) fn refused(&self, source: Source) {
        let mark = source.mark();
        let before = self.last_refused.swap(mark, Ordering::Relaxed);
        if before != 0 && before != mark {
            self.scarce.raise();
        }
    }
}

/// A place that is counted.
pub(super) struct Held<'a> {
    shares: &'a Shares,
    source: Source,
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        let mut held = self.shares.held.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = held.get_mut(&self.source) {
            *count -= 1;
            if *count == 0 {
                held.remove(&self.source);
            }
        }
    }
}

/// A place among the calls that run.
pub(super) struct Place<'a> {
    /// First, so that it is free before its holder may have the next.
    _permit: SemaphorePermit<'a>,
    _held: Option<Held<'a>>,
}

impl<'a> Place<'a> {
    pub(super) fn new(permit: SemaphorePermit<'a>, held: Option<Held<'a>>) -> Self {
        Self { _permit: permit, _held: held }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_places_are_scarce_nobody_holds_more_than_half() {
        let shares = Shares::of(4);
        let [greedy, other] =
            ["192.0.2.1", "192.0.2.2"].map(|text| Source::of_network(text.parse().ok()));
        for _ in 0..100 {
            assert!(shares.take(|| greedy).is_ok_and(|held| held.is_none()));
            shares.refused(greedy);
        }
        shares.refused(other);
        let first = shares.take(|| greedy).ok().flatten().expect("it is counted");
        let _second = shares.take(|| greedy).ok().flatten().expect("it is counted");
        assert!(shares.take(|| greedy).is_err(), "half of the places are enough");
        let _others = shares.take(|| other).ok().flatten().expect("there is a share for others");
        drop(first);
        assert!(shares.take(|| greedy).is_ok());
    }
}
