//! What a call costs: the session policy as a component with a fresh instance
//! for each call, against the same source called natively.
//!
//! Not criterion: the cases take turns in short batches, so that the ratio is
//! one of neighbours in time.

#![expect(clippy::cast_precision_loss, reason = "counts of a benchmark are far below 2^52")]

#[path = "support/components.rs"]
mod components;
#[path = "support/session.rs"]
mod session;
#[path = "support/stats.rs"]
#[expect(dead_code, reason = "no bench uses all of it")]
mod stats;

use std::{hint::black_box, time::Instant};

use stats::{Goal, Samples};
use vestibule::{
    clock::Clock,
    engine::{Engine, EngineOptions, Strategy},
    identity::Outcome,
};

const ROUNDS: usize = 400;
const WARM_UP: usize = 40;
const NATIVE_CALLS: usize = 512;
const CALLS: usize = 128;

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime can be built");
    runtime.block_on(run());
}

async fn run() {
    let engine = Engine::new(EngineOptions::default()).expect("an engine can be made");
    let strategy = components::load(&engine, "test-plugins/session").await;
    let cookies = session::cookies();
    let decided = session::decide_in_component(&strategy, &cookies).await;
    let Outcome::Authenticated(identity) = decided else { panic!("the caller is let in") };
    let expected = session::decide_natively(&cookies, &Clock::System);
    assert_eq!(identity.user_id.map(|id| id.to_string()), Some(expected.user_id));

    let (mut native, mut fresh) = (Samples::default(), Samples::default());
    let mut split = Split::default();
    for round in 0..WARM_UP + ROUNDS {
        let (one, other) = (natively(&cookies), in_component(&strategy, &cookies).await);
        if round >= WARM_UP {
            native.push(one);
            fresh.push(other);
            split.push(&strategy, &cookies).await;
        }
    }

    stats::heading("engine_call: the session policy, a fresh instance for each call");
    stats::line("native", &native, "µs");
    stats::line("component", &fresh, "µs");
    stats::line("  of which store", &split.store, "µs");
    stats::line("  of which instantiate", &split.instantiate, "µs");
    stats::line("  of which call", &split.call, "µs");
    stats::line("  of which drop", &split.drop, "µs");
    stats::verdict("component / native", &fresh.over(&native), Goal::AtMost(9.0));
}

/// Microseconds a call.
fn natively(cookies: &str) -> f64 {
    let start = Instant::now();
    for _ in 0..NATIVE_CALLS {
        black_box(session::decide_natively(black_box(cookies), &Clock::System));
    }
    start.elapsed().as_secs_f64() * 1e6 / NATIVE_CALLS as f64
}

/// Microseconds a call.
async fn in_component(strategy: &Strategy, cookies: &str) -> f64 {
    let start = Instant::now();
    for _ in 0..CALLS {
        black_box(session::decide_in_component(strategy, black_box(cookies)).await);
    }
    start.elapsed().as_secs_f64() * 1e6 / CALLS as f64
}

/// Where the time of a call goes.
#[derive(Default)]
struct Split {
    store: Samples,
    instantiate: Samples,
    call: Samples,
    drop: Samples,
}

impl Split {
    /// Adds the means of one batch.
    async fn push(&mut self, strategy: &Strategy, cookies: &str) {
        let mut sums = [0.0; 4];
        for _ in 0..CALLS {
            let profile = strategy.profile(session::request(cookies)).await;
            let profile = profile.expect("the call succeeds");
            let steps = [profile.store, profile.instantiate, profile.call, profile.drop];
            for (sum, step) in sums.iter_mut().zip(steps) {
                *sum += step.as_secs_f64() * 1e6 / CALLS as f64;
            }
        }
        let [store, instantiate, call, drop] = sums;
        self.store.push(store);
        self.instantiate.push(instantiate);
        self.call.push(call);
        self.drop.push(drop);
    }
}
