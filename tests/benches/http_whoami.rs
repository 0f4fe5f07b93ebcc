//! What a whole request costs: `GET /auth/session`, decided by a fresh instance
//! of the strategy `none`, against an axum handler that does nothing.
//!
//! Both servers run on one core, the load generator on another, and they take
//! turns. That the generator has time left is part of the table: else it, and
//! not the server, would be measured.

#![expect(clippy::cast_precision_loss, reason = "counts of a benchmark are far below 2^52")]

#[path = "support/components.rs"]
#[expect(dead_code, reason = "no bench uses all of it")]
mod components;
#[path = "support/load.rs"]
mod load;
#[path = "support/stats.rs"]
#[expect(dead_code, reason = "no bench uses all of it")]
mod stats;

use std::{
    fs,
    net::SocketAddr,
    sync::mpsc::{Sender, channel},
    thread,
    time::{Duration, Instant},
};

use axum::{Router, routing::get};
use rustix::thread::{CpuSet, gettid, sched_setaffinity};
use stats::{Goal, Samples};
use tokio::{net::TcpListener, runtime::Builder};
use vestibule::{clock::Clock, host::Host, http};

const ROUNDS: usize = 40;
const SPAN: Duration = Duration::from_millis(500);
const CONNECTIONS: usize = 32;
const SERVER_CORE: usize = 0;
const CLIENT_CORE: usize = 1;

/// A server that runs for as long as this process.
struct Server {
    address: SocketAddr,
    /// The id of its only thread.
    thread: i32,
}

#[derive(Default)]
struct Case {
    rate: Samples,
    server: Samples,
    client: Samples,
}

fn main() {
    let empty = serve(|started| async move {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback is there");
        tell(&started, &listener);
        let router = Router::new().route("/auth/session", get(|| async {}));
        axum::serve(listener, router).await
    });
    let whoami = serve(|started| async move {
        let config = components::config(&components::path("plugins/none"));
        let host = Host::start(config, Clock::System).await.expect("the host starts");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback is there");
        tell(&started, &listener);
        http::serve(listener, host, std::future::pending()).await
    });

    pin(CLIENT_CORE);
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
    let (mut base, mut ours) = (Case::default(), Case::default());
    for round in 0..=ROUNDS {
        for (server, case) in [(&empty, &mut base), (&whoami, &mut ours)] {
            let (start, busy) = (Instant::now(), [on_cpu(server.thread), on_cpu(own_thread())]);
            let rate = runtime.block_on(load::load(server.address, CONNECTIONS, SPAN));
            let span = start.elapsed().as_secs_f64();
            let server_time = on_cpu(server.thread) - busy[0];
            // The first round warms up.
            if round > 0 {
                case.rate.push(rate);
                case.server.push(server_time * 1e6 / (rate * span));
                case.client.push((on_cpu(own_thread()) - busy[1]) / span);
            }
        }
    }

    stats::heading("http_whoami: GET /auth/session on one core, 32 keep-alive connections");
    stats::line("empty handler", &base.rate, "/s");
    stats::line("whoami, a fresh instance for each request", &ours.rate, "/s");
    stats::line("empty handler, CPU of the server", &base.server, "µs a request");
    stats::line("whoami, CPU of the server", &ours.server, "µs a request");
    stats::line("empty handler, generator busy", &base.client, "of its core");
    stats::line("whoami, generator busy", &ours.client, "of its core");
    stats::line("CPU of empty / CPU of whoami", &base.server.over(&ours.server), "x");
    stats::verdict("whoami / empty", &ours.rate.over(&base.rate), Goal::AtLeast(0.5));
}

/// Starts a server on a thread of its own, on the servers' core.
fn serve<F>(server: impl FnOnce(Sender<Server>) -> F + Send + 'static) -> Server
where
    F: Future<Output = std::io::Result<()>>,
{
    let (started, starting) = channel();
    thread::spawn(move || {
        pin(SERVER_CORE);
        // What it starts, such as the thread that keeps the time, stays there too.
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(server(started)).expect("the server serves");
    });
    starting.recv().expect("the server starts")
}

fn tell(started: &Sender<Server>, listener: &TcpListener) {
    let address = listener.local_addr().expect("a listener has an address");
    started.send(Server { address, thread: own_thread() }).expect("somebody waits");
}

fn own_thread() -> i32 {
    gettid().as_raw_nonzero().get()
}

/// Keeps this thread on a core.
fn pin(core: usize) {
    let mut cores = CpuSet::new();
    cores.set(core);
    sched_setaffinity(None, &cores).expect("there are two cores");
}

/// How long a thread has run, in seconds.
fn on_cpu(thread: i32) -> f64 {
    let stat = fs::read_to_string(format!("/proc/self/task/{thread}/schedstat"));
    let stat = stat.expect("the kernel keeps statistics of scheduling");
    let nanoseconds: u64 =
        stat.split(' ').next().and_then(|first| first.parse().ok()).expect("a number");
    nanoseconds as f64 / 1e9
}
