//! A thousand generations under load, in a process of its own so that its memory can be
//! read: prints what came of it as one line of JSON.

use std::{
    fs,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use http::StatusCode;
use serde_json::json;
use vestibule_tests::{
    TestApp, craft,
    plugins::{Plugins, bytes_of},
};

const SWAPS: usize = 1000;

/// How many of them fill caches and pools first.
const WARM_UP: usize = 200;

#[tokio::main(worker_threads = 2)]
async fn main() {
    let plugins = Plugins::with("hello-strategy");
    let app = plugins.start("auth.settings.team = 'blue'\n").await;
    let hello = bytes_of("hello-strategy");
    let generations = [craft::labelled(&hello, "a"), craft::labelled(&hello, "b")];
    let (over, asked, failed) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicU64::new(0)),
        Arc::new(AtomicU64::new(0)),
    );
    let callers: Vec<_> = (0..4)
        .map(|_| {
            let (over, asked, failed) =
                (Arc::clone(&over), Arc::clone(&asked), Arc::clone(&failed));
            let caller = app.anonymous().with("x-team", "blue");
            #[expect(clippy::disallowed_methods, reason = "they ask beside the swaps")]
            tokio::spawn(async move {
                while !over.load(Ordering::Relaxed) {
                    let reply = caller.get("/auth/session").await;
                    asked.fetch_add(1, Ordering::Relaxed);
                    if reply.status != StatusCode::OK {
                        failed.fetch_add(1, Ordering::Relaxed);
                        eprintln!("{}: {}", reply.status, reply.body);
                    }
                    // A thousand or so a second, so that the swaps get their turn.
                    tokio::time::sleep(Duration::from_millis(3)).await;
                }
            })
        })
        .collect();
    let (mut took, mut before) = (Vec::with_capacity(SWAPS), 0);
    for turn in 0..SWAPS {
        if turn == WARM_UP {
            before = resident();
        }
        let digest = plugins.put(&generations[turn % 2]);
        let started = Instant::now();
        app.host.look().await.expect("it may serve");
        // The first two are compiled.
        if turn >= 2 {
            took.push(started.elapsed());
        }
        assert_eq!(serving(&app), digest, "another one serves");
    }
    let after = resident();
    over.store(true, Ordering::Relaxed);
    for caller in callers {
        caller.await.expect("it does not panic");
    }
    took.sort();
    println!(
        "{}",
        json!({
            "swaps": SWAPS,
            "requests": asked.load(Ordering::Relaxed),
            "failed": failed.load(Ordering::Relaxed),
            "median_ms": took[took.len() / 2].as_millis(),
            "slowest_ms": took[took.len() - 1].as_millis(),
            "resident_before": before,
            "resident_after": after,
        })
    );
}

fn serving(app: &TestApp) -> String {
    app.host.registry().current().digest().to_owned()
}

/// Bytes of memory that this process holds.
fn resident() -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("a line");
    let kilobytes: u64 = line.split_whitespace().nth(1).and_then(|n| n.parse().ok()).expect("kB");
    kilobytes * 1024
}
