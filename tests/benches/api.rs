//! What a user's own things cost: `GET /api/v1/users/me` by API key, decided by a
//! fresh instance of the strategy `none`, on SQLite and PostgreSQL, against an
//! axum handler that does nothing.
//!
//! The servers run on one core, the threads of SQLite's driver among them, and the
//! load generator on another; they take turns. PostgreSQL runs wherever the
//! system puts it.

#[path = "support/components.rs"]
#[expect(dead_code, reason = "no bench uses all of it")]
mod components;
#[path = "support/load.rs"]
#[expect(dead_code, reason = "no browser calls here")]
mod load;
#[path = "support/pinned.rs"]
#[expect(dead_code, reason = "a server of several threads is not measured by one")]
mod pinned;
#[path = "support/stats.rs"]
#[expect(dead_code, reason = "no bench uses all of it")]
mod stats;

use std::{sync::mpsc, time::Duration};

use axum::{Router, routing::get};
use pinned::{Server, pin, serve, tell};
use serde_json::json;
use stats::{Goal, Samples};
use tokio::{net::TcpListener, runtime::Builder};
use vestibule::{
    clock::Clock,
    config::{Config, Environment},
    host::Host,
    http,
    store::{NewApiKey, Scope, Settings},
};
use vestibule_tests::{
    database::{Database, SECRET},
    run::text,
};

const ROUNDS: usize = 40;
const SPAN: Duration = Duration::from_millis(500);
const CONNECTIONS: usize = 32;

/// A server, what to ask it, and what came of it.
struct Case {
    name: &'static str,
    server: Server,
    request: String,
    rate: Samples,
    median: Samples,
    p99: Samples,
}

impl Case {
    fn new(name: &'static str, (server, key): (Server, String)) -> Self {
        let request = format!(
            "GET /api/v1/users/me HTTP/1.1\r\n\
             host: localhost\r\n\
             accept: */*\r\n\
             accept-encoding: gzip, deflate\r\n\
             connection: keep-alive\r\n\
             user-agent: python-httpx/0.28.1\r\n\
             authorization: Bearer {key}\r\n\r\n"
        );
        let [rate, median, p99] = <[Samples; 3]>::default();
        Self { name, server, request, rate, median, p99 }
    }
}

fn main() {
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
    let mut cases = vec![
        // Asked with a key as long as any.
        Case::new("empty handler", (empty(), "x".repeat(40))),
        Case::new("users/me, SQLite", api(Database::sqlite())),
    ];
    if let Some(database) = runtime.block_on(Database::postgres()) {
        cases.push(Case::new("users/me, PostgreSQL", api(database)));
    }

    pin(pinned::CLIENT_CORE);
    for round in 0..=ROUNDS {
        for case in &mut cases {
            let loading = load::load(case.server.address, &case.request, CONNECTIONS, SPAN);
            let loaded = runtime.block_on(loading);
            // The first round warms up.
            if round > 0 {
                case.rate.push(loaded.rate);
                case.median.push(loaded.latency.median());
                case.p99.push(loaded.latency.quantile(0.99));
            }
        }
    }

    stats::heading("api: GET /api/v1/users/me by API key on one core, 32 keep-alive connections");
    for Case { name, rate, median, p99, .. } in &cases {
        stats::line(name, rate, "/s");
        stats::line(&format!("{name}, median"), median, "µs");
        stats::line(&format!("{name}, p99"), p99, "µs");
    }
    let (empty, ours) = (&cases[0], &cases[1]);
    stats::line("p99 of SQLite / p99 of empty", &ours.p99.over(&empty.p99), "x");
    if let Some(postgres) = cases.get(2) {
        stats::line("PostgreSQL / empty", &postgres.rate.over(&empty.rate), "x");
        stats::line("p99 of PostgreSQL / p99 of empty", &postgres.p99.over(&empty.p99), "x");
    }
    stats::verdict("SQLite / empty", &ours.rate.over(&empty.rate), Goal::AtLeast(0.3));
}

fn empty() -> Server {
    serve(|started| async move {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback is there");
        tell(&started, &listener);
        let router = Router::new().route("/api/v1/users/me", get(|| async {}));
        axum::serve(listener, router).await
    })
}

/// A whole server on a database, and a key of a user who has settings.
fn api(database: Database) -> (Server, String) {
    let (made, making) = mpsc::channel();
    let server = serve(move |started| async move {
        let config = format!(
            "database.url = '{}'\nencryption.secret = '{SECRET}'\nauth.strategy = '{}'\n\
             rate_limits.user_second = 0\nrate_limits.user_minute = 0\n",
            database.url,
            components::path("plugins/none").display(),
        );
        let config = Config::parse(None, &config, Environment::fixed(&[])).expect("it is valid");
        let host = Host::start(config, Clock::System).await.expect("the host starts");
        let scope = Scope::local_owner();
        let new = NewApiKey { name: "bench".to_owned(), ..NewApiKey::default() };
        let key = host.store().api_keys(&scope).create(&new).await.expect("the key is good");
        made.send(text(&key.text).to_owned()).expect("somebody waits");
        let document = json!({
            "llm_model": "openai/gpt-4o",
            "llm_api_key": "sk-a-key-of-a-usual-length-for-a-model",
            "llm_base_url": "https://llm.example.com/v1",
        });
        let document = document.as_object().expect("an object").clone();
        let settings = Settings::split(document).expect("they are good");
        host.store().store_settings(&scope, &settings, None).await.expect("they are good");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback is there");
        tell(&started, &listener);
        let served = http::serve(listener, host, std::future::pending()).await;
        drop(database);
        served
    });
    (server, making.recv().expect("a key is made"))
}
