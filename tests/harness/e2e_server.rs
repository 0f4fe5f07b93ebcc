//! A server for end-to-end tests with real clients: Vestibule with a runtime whose
//! sandboxes are this server itself.
//!
//! Its arguments are a strategy and the URL of a database. It prints one line of JSON
//! with an address and the keys of everybody who may call when it listens, and serves
//! until its standard input ends. Nobody logs in: an identity provider that was asked
//! something all the same is a failure.

use std::{
    collections::HashMap,
    io::{Read as _, Write as _},
    sync::{Arc, Mutex},
};

use anyhow::Context as _;
use axum::{Router, routing::get};
use secrecy::SecretString;
use serde_json::json;
use tokio::net::TcpListener;
use vestibule::{
    clock::Clock,
    config::{Config, Environment},
    host::Host,
    http::serve,
    sandbox::{
        ExposedUrl, RuntimeFuture, RuntimeStatus, SandboxRuntime, SandboxStart, SandboxView,
    },
    store::NewApiKey,
};
use vestibule_tests::{component, database::SECRET, run::text, strategies::Strategy};

/// How often a sandbox is asked for before it is ready.
const STARTING: u32 = 2;

/// What other services present.
const SERVICE_KEY: &str = "the key of the end-to-end services";

/// Sandboxes in memory.
struct Sandboxes {
    agent_server: String,
    running: Mutex<HashMap<String, (SecretString, u32)>>,
}

impl Sandboxes {
    fn insert(&self, sandbox: SandboxStart) {
        let mut running = self.running.lock().expect("nobody panics");
        running.insert(sandbox.id, (sandbox.session_key, 0));
    }

    /// It may be paused already.
    fn remove(&self, id: &str) {
        self.running.lock().expect("nobody panics").remove(id);
    }
}

impl SandboxRuntime for Sandboxes {
    fn start(&self, sandbox: SandboxStart) -> RuntimeFuture<'_, ()> {
        self.insert(sandbox);
        Box::pin(async { Ok(()) })
    }

    fn view<'a>(&'a self, id: &'a str) -> RuntimeFuture<'a, SandboxView> {
        let mut running = self.running.lock().expect("nobody panics");
        let view = match running.get_mut(id) {
            None => SandboxView {
                status: RuntimeStatus::Missing,
                session_key: None,
                exposed_urls: Vec::new(),
            },
            Some((key, asked)) => {
                *asked += 1;
                let ready = *asked > STARTING;
                SandboxView {
                    status: if ready { RuntimeStatus::Running } else { RuntimeStatus::Starting },
                    session_key: Some(key.clone()),
                    exposed_urls: vec![ExposedUrl {
                        name: "AGENT_SERVER".to_owned(),
                        url: self.agent_server.clone(),
                        port: 60000,
                    }],
                }
            }
        };
        Box::pin(async { Ok(view) })
    }

    fn pause<'a>(&'a self, id: &'a str) -> RuntimeFuture<'a, ()> {
        self.remove(id);
        Box::pin(async { Ok(()) })
    }

    fn resume(&self, sandbox: SandboxStart) -> RuntimeFuture<'_, ()> {
        self.start(sandbox)
    }

    fn stop<'a>(&'a self, id: &'a str) -> RuntimeFuture<'a, ()> {
        self.remove(id);
        Box::pin(async { Ok(()) })
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let agent = TcpListener::bind("127.0.0.1:0").await?;
    let agent_server = format!("http://{}", agent.local_addr()?);
    let health = Router::new().route("/health", get(|| async { "ok" }));
    #[expect(clippy::disallowed_methods, reason = "it is another server")]
    tokio::spawn(async move { axum::serve(agent, health).await });

    let mut arguments = std::env::args().skip(1);
    let strategy = Strategy::called(&arguments.next().context("name a strategy")?).await;
    let database = arguments.next().unwrap_or_else(|| "sqlite::memory:".to_owned());
    // Clients of one address ask as fast as they can.
    let text_of = format!(
        "database.url = '{database}'\nauth.strategy = '{}'\n\
         encryption.secret = '{SECRET}'\nserver.service_key = '{SERVICE_KEY}'\n\
         server.drain = '0s'\nrate_limits.sandbox_minute = 0\n\
         rate_limits.user_second = 0\nrate_limits.user_minute = 0\n\
         rate_limits.refused_minute = 0\n{}",
        component(strategy.component()).display(),
        strategy.toml(),
    );
    let config = Config::parse(None, &text_of, Environment::fixed(&[]))?;
    let host = Host::start(config, Clock::System).await?;
    let running = Mutex::default();
    host.run_sandboxes(Arc::new(Sandboxes { agent_server, running }));
    let new = NewApiKey { name: "client".to_owned(), ..NewApiKey::default() };
    let scope = strategy.owner(host.store()).await;
    let key = host.store().api_keys(&scope).create(&new).await?.text;
    let session_key = host.store().sandboxes(&scope).register("first").await?;

    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr()?);
    let mut out = std::io::stdout().lock();
    let told = json!({
        "url": url,
        "key": text(&key),
        "session_key": text(&session_key),
        "service_key": SERVICE_KEY,
    });
    writeln!(out, "{told}")?;
    out.flush()?;
    let stop = async {
        let ended = tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new()));
        let _ = ended.await;
    };
    serve(listener, host, stop).await?;
    strategy.assert_nobody_was_asked();
    Ok(())
}
