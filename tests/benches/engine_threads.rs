//! How calls scale from one thread to two, against how native code does.
//!
//! The control matters: two virtual cores of a shared machine are rarely two.

#![expect(clippy::cast_precision_loss, reason = "counts of a benchmark are far below 2^52")]

#[path = "support/components.rs"]
mod components;
#[path = "support/session.rs"]
mod session;
#[path = "support/stats.rs"]
#[expect(dead_code, reason = "no bench uses all of it")]
mod stats;

use std::{
    hint::black_box,
    num::NonZeroUsize,
    sync::Barrier,
    thread,
    time::{Duration, Instant},
};

use stats::{Goal, Samples};
use vestibule::{
    clock::Clock,
    engine::{Engine, EngineOptions, Strategy},
};

const ROUNDS: usize = 60;
const SPAN: Duration = Duration::from_millis(100);

fn main() {
    let runtime = runtime();
    let two = NonZeroUsize::new(2).expect("two is not zero");
    let options = EngineOptions { shards: two, ..EngineOptions::default() };
    let engine = Engine::new(options).expect("an engine can be made");
    let strategy = runtime.block_on(components::load(&engine, "test-plugins/session"));
    let cookies = session::cookies();

    let mut rates: [Samples; 4] = Default::default();
    for round in 0..=ROUNDS {
        let measured = [
            together(1, || natively(&cookies)),
            together(2, || natively(&cookies)),
            together(1, || in_component(&strategy, &cookies)),
            together(2, || in_component(&strategy, &cookies)),
        ];
        // The first round warms up.
        if round > 0 {
            for (samples, rate) in rates.iter_mut().zip(measured) {
                samples.push(rate);
            }
        }
    }

    let [native_one, native_two, one, two] = &rates;
    let (native, ours) = (native_two.over(native_one), two.over(one));
    stats::heading("engine_threads: fresh calls a second, one thread and two");
    stats::line("native, 1 thread", native_one, "/s");
    stats::line("native, 2 threads", native_two, "/s");
    stats::line("component, 1 thread", one, "/s");
    stats::line("component, 2 threads", two, "/s");
    stats::line("native scales", &native, "x");
    stats::line("component scales", &ours, "x");
    stats::verdict("component's scaling / native's", &ours.over(&native), Goal::AtLeast(0.95));
}

/// Runs `work` on new threads at once, and sums up what they return.
fn together(threads: usize, work: impl Fn() -> f64 + Sync) -> f64 {
    let start = Barrier::new(threads);
    let work = || {
        start.wait();
        work()
    };
    thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        threads.into_iter().map(|thread| thread.join().expect("no panic")).sum()
    })
}

/// Calls a second.
fn natively(cookies: &str) -> f64 {
    let (start, mut calls) = (Instant::now(), 0_u64);
    while start.elapsed() < SPAN {
        for _ in 0..256 {
            black_box(session::decide_natively(black_box(cookies), &Clock::System));
        }
        calls += 256;
    }
    calls as f64 / start.elapsed().as_secs_f64()
}

/// Calls a second.
fn in_component(strategy: &Strategy, cookies: &str) -> f64 {
    runtime().block_on(async {
        let (start, mut calls) = (Instant::now(), 0_u64);
        while start.elapsed() < SPAN {
            for _ in 0..32 {
                black_box(session::decide_in_component(strategy, black_box(cookies)).await);
            }
            calls += 32;
        }
        calls as f64 / start.elapsed().as_secs_f64()
    })
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime can be built")
}
