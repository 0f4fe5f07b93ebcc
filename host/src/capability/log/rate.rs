//! How many lines all calls of a strategy may write in a second.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Instant,
};

/// The most lines in a second: many calls at once would fill a disk, each within its
/// own share.
const MAX_LINES: u64 = 500;

/// What all calls of one strategy share.
pub(crate) struct Rate {
    epoch: Instant,
    /// The second that counts, and its lines in the lower half.
    window: AtomicU64,
    /// Lines that were dropped, and nobody was told of yet.
    dropped: AtomicU64,
}

impl Default for Rate {
    fn default() -> Self {
        Self { epoch: Instant::now(), window: AtomicU64::new(0), dropped: AtomicU64::new(0) }
    }
}

impl Rate {
    /// Takes one line, and says how many were dropped in a second before that nobody was
    /// told of; `None` where it has to be dropped.
    pub(super) fn take(&self) -> Option<u64> {
        self.take_at(self.epoch.elapsed().as_secs())
    }

    fn take_at(&self, second: u64) -> Option<u64> {
        let start = second << 32;
        let count = |window: u64| Some(if window < start { start + 1 } else { window + 1 });
        let (set, fetched) = (Ordering::Relaxed, Ordering::Relaxed);
        let before = self.window.fetch_update(set, fetched, count).unwrap_or_else(|window| window);
        if before < start {
            return Some(self.dropped.swap(0, Ordering::Relaxed));
        }
        if before - start < MAX_LINES {
            return Some(0);
        }
        self.dropped.fetch_add(1, Ordering::Relaxed);
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_has_room_for_so_many_lines_and_the_next_one_tells_of_the_others() {
        let rate = Rate::default();
        let taken = (0..600).filter(|_| rate.take_at(7).is_some()).count();
        assert_eq!(taken, 500);
        assert_eq!((rate.take_at(8), rate.take_at(8)), (Some(100), Some(0)));
    }

    #[test]
    fn the_first_second_is_bounded_as_well() {
        let rate = Rate::default();
        assert_eq!((0..600).filter(|_| rate.take_at(0).is_some()).count(), 500);
    }
}
