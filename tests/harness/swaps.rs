//! One generation after the other, while requests run.

use std::{
    fs,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use http::StatusCode;

use crate::{
    TestApp, craft,
    operator::ADMIN,
    plugins::{Plugins, bytes_of},
};

/// How many of them fill caches and pools first.
const WARM_UP: usize = 200;

/// What came of it.
#[derive(Debug)]
pub struct Swaps {
    /// How long each took of a component that was known, the fastest first.
    pub took: Vec<Duration>,
    /// Requests meanwhile.
    pub requests: u64,
    /// Those that were not answered as they should be.
    pub failed: u64,
    /// Components that were compiled, the first one included.
    pub compiled: u64,
    /// Bytes of memory that this process held after the warm-up.
    pub resident_before: u64,
    /// The same at the end.
    pub resident_after: u64,
}

impl Swaps {
    /// How long the slowest of this part of them took.
    #[must_use]
    pub fn within(&self, thousandths: usize) -> Duration {
        self.took[(self.took.len() - 1) * thousandths / 1000]
    }
}

/// Has two generations of a component serve in turn, `count` times.
pub async fn swap(count: usize) -> Swaps {
    let plugins = Plugins::with("hello-strategy");
    let app = plugins.start(&format!("auth.settings.team = 'blue'\n{ADMIN}")).await;
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
    let (mut took, mut resident_before) = (Vec::with_capacity(count), 0);
    for turn in 0..count {
        if turn == WARM_UP {
            resident_before = resident();
        }
        let digest = plugins.put(&generations[turn % 2]);
        let started = Instant::now();
        app.host.look().await.expect("it may serve");
        // The first two are compiled.
        if turn >= 2 {
            took.push(started.elapsed());
        }
        assert_eq!(app.host.registry().current().digest(), digest, "another one serves");
    }
    let resident_after = resident();
    over.store(true, Ordering::Relaxed);
    for caller in callers {
        caller.await.expect("it does not panic");
    }
    took.sort();
    Swaps {
        took,
        requests: asked.load(Ordering::Relaxed),
        failed: failed.load(Ordering::Relaxed),
        compiled: compiled(&app).await,
        resident_before,
        resident_after,
    }
}

async fn compiled(app: &TestApp) -> u64 {
    let told = app.operator().get("/metrics").await.body;
    let count = told
        .lines()
        .find_map(|line| line.strip_prefix("vestibule_strategy_compilations_total "))
        .and_then(|count| count.parse().ok());
    count.unwrap_or_else(|| panic!("no count of compilations in {told}"))
}

/// Bytes of memory that this process holds.
fn resident() -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("a line");
    let kilobytes: u64 = line.split_whitespace().nth(1).and_then(|n| n.parse().ok()).expect("kB");
    kilobytes * 1024
}
