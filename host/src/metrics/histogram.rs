//! How long things take, in buckets.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

/// Where buckets end, in nanoseconds: from the five microseconds of a call to the ten
/// seconds that one may take.
pub(crate) const BOUNDS: [u64; 20] = [
    5_000,
    10_000,
    25_000,
    50_000,
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    25_000_000,
    50_000_000,
    100_000_000,
    250_000_000,
    500_000_000,
    1_000_000_000,
    2_500_000_000,
    5_000_000_000,
    10_000_000_000,
];

/// One bucket more than there are bounds, for what takes longer.
const BUCKETS: usize = BOUNDS.len() + 1;

#[derive(Default)]
pub(super) struct Histogram {
    buckets: [AtomicU64; BUCKETS],
    nanos: AtomicU64,
}

impl Histogram {
    pub(super) fn record(&self, took: Duration) {
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        let bucket = BOUNDS.partition_point(|bound| *bound < nanos);
        self.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        self.nanos.fetch_add(nanos, Ordering::Relaxed);
    }
}

/// What histograms hold, added up.
#[derive(Default)]
pub(crate) struct Times {
    /// By bucket, each without those before it.
    pub(crate) buckets: [u64; BUCKETS],
    /// All of it.
    pub(crate) seconds: f64,
}

impl Times {
    pub(super) fn sum<'a>(histograms: impl Iterator<Item = &'a Histogram>) -> Self {
        let mut times = Self::default();
        let mut nanos = 0;
        for histogram in histograms {
            for (sum, bucket) in times.buckets.iter_mut().zip(&histogram.buckets) {
                *sum += bucket.load(Ordering::Relaxed);
            }
            nanos += histogram.nanos.load(Ordering::Relaxed);
        }
        times.seconds = Duration::from_nanos(nanos).as_secs_f64();
        times
    }

    /// How many there were.
    pub(crate) fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_falls_into_the_first_bucket_that_holds_it() {
        let histogram = Histogram::default();
        for nanos in [1, 5_000, 5_001, 20_000_000_000] {
            histogram.record(Duration::from_nanos(nanos));
        }
        let times = Times::sum([&histogram].into_iter());
        assert_eq!((times.buckets[0], times.buckets[1], times.buckets[20]), (2, 1, 1));
        assert_eq!(times.count(), 4);
        assert!((times.seconds - 20.000_010_002).abs() < 1e-9, "{}", times.seconds);
    }
}
