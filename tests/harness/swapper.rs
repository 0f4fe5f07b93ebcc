//! A thousand generations under load, in a process of its own so that its memory can be
//! read: prints what came of it as one line of JSON.

use serde_json::json;
use vestibule_tests::swaps::swap;

const SWAPS: usize = 1000;

#[tokio::main(worker_threads = 2)]
async fn main() {
    let swaps = swap(SWAPS).await;
    println!(
        "{}",
        json!({
            "swaps": SWAPS,
            "requests": swaps.requests,
            "failed": swaps.failed,
            "compiled": swaps.compiled,
            "median_ms": swaps.within(500).as_millis(),
            "p99_ms": swaps.within(990).as_millis(),
            "slowest_ms": swaps.within(1000).as_millis(),
            "resident_before": swaps.resident_before,
            "resident_after": swaps.resident_after,
        })
    );
}
