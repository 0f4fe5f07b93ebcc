//! What a whole request costs: `GET /auth/session`, decided by a fresh instance
//! of the strategy `none`, against an axum handler that does nothing.
//!
//! Both servers run on one core, the load generator on another, and they take
//! turns. That the generator has time left is part of the table: else it, and
//! not the server, would be measured.

#[path = "support/components.rs"]
#[expect(dead_code, reason = "no bench uses all of it")]
mod components;
#[path = "support/load.rs"]
mod load;
#[path = "support/pinned.rs"]
mod pinned;
#[path = "support/stats.rs"]
#[expect(dead_code, reason = "no bench uses all of it")]
mod stats;

use std::time::{Duration, Instant};

use axum::{Router, routing::get};
use pinned::{on_cpu, own_thread, pin, serve, tell};
use stats::{Goal, Samples};
use tokio::{net::TcpListener, runtime::Builder};
use vestibule::{clock::Clock, host::Host, http};

const ROUNDS: usize = 40;
const SPAN: Duration = Duration::from_millis(500);
const CONNECTIONS: usize = 32;

#[derive(Default)]
struct Case {
    rate: Samples,
    p99: Samples,
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

    pin(pinned::CLIENT_CORE);
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
    let (mut base, mut ours) = (Case::default(), Case::default());
    for round in 0..=ROUNDS {
        for (server, case) in [(&empty, &mut base), (&whoami, &mut ours)] {
            let (start, busy) = (Instant::now(), [on_cpu(server.thread), on_cpu(own_thread())]);
            let loading = load::load(server.address, load::BROWSER, CONNECTIONS, SPAN);
            let load::Loaded { rate, latency } = runtime.block_on(loading);
            let span = start.elapsed().as_secs_f64();
            let server_time = on_cpu(server.thread) - busy[0];
            // The first round warms up.
            if round > 0 {
                case.rate.push(rate);
                case.p99.push(latency.quantile(0.99));
                case.server.push(server_time * 1e6 / (rate * span));
                case.client.push((on_cpu(own_thread()) - busy[1]) / span);
            }
        }
    }

    stats::heading("http_whoami: GET /auth/session on one core, 32 keep-alive connections");
    stats::line("empty handler", &base.rate, "/s");
    stats::line("whoami, a fresh instance for each request", &ours.rate, "/s");
    stats::line("empty handler, p99", &base.p99, "µs");
    stats::line("whoami, p99", &ours.p99, "µs");
    stats::line("empty handler, CPU of the server", &base.server, "µs a request");
    stats::line("whoami, CPU of the server", &ours.server, "µs a request");
    stats::line("empty handler, generator busy", &base.client, "of its core");
    stats::line("whoami, generator busy", &ours.client, "of its core");
    stats::line("CPU of empty / CPU of whoami", &base.server.over(&ours.server), "x");
    stats::verdict("whoami / empty", &ours.rate.over(&base.rate), Goal::AtLeast(0.5));
}
