//! How long it takes until another generation serves that is known already, while requests
//! run.

#[path = "support/stats.rs"]
#[expect(dead_code, reason = "no bench uses all of it")]
mod stats;

use std::process::ExitCode;

use stats::{Goal, Samples};
use vestibule_tests::swaps::swap;

const ROUNDS: usize = 5;
const SWAPS: usize = 1000;

#[tokio::main(worker_threads = 2)]
async fn main() -> ExitCode {
    let [mut median, mut p99, mut slowest] = <[Samples; 3]>::default();
    for _ in 0..ROUNDS {
        let swaps = swap(SWAPS).await;
        assert_eq!(swaps.failed, 0, "{} requests", swaps.requests);
        for (samples, thousandths) in [(&mut median, 500), (&mut p99, 990), (&mut slowest, 1000)] {
            samples.push(swaps.within(thousandths).as_secs_f64() * 1e3);
        }
    }
    stats::heading("swap: a thousand to a component that is known, under load");
    stats::verdict("median, ms", &median, Goal::AtMost(100.0));
    stats::verdict("99th of a hundred, ms", &p99, Goal::AtMost(100.0));
    stats::verdict("slowest, ms", &slowest, Goal::AtMost(100.0));
    ExitCode::SUCCESS
}
