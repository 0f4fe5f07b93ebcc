//! A server for end-to-end tests with the real client: Vestibule on the none
//! strategy, with a runtime whose sandboxes are this server itself.
//!
//! It prints one line of JSON when it listens, and serves until its standard input
//! ends.

use std::{
    collections::HashMap,
    io::{Read as _, Write as _},
    sync::{Arc, Mutex},
};

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
        ExposedUrl, RuntimeError, RuntimeFuture, RuntimeStatus, SandboxRuntime, SandboxStart,
        SandboxView,
    },
    store::{NewApiKey, Scope},
};
use vestibule_tests::{component, run::text};

/// How often a sandbox is asked for before it is ready.
const STARTING: u32 = 2;

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

    fn remove(&self, id: &str) -> Result<(), RuntimeError> {
        let removed = self.running.lock().expect("nobody panics").remove(id);
        removed.map(drop).ok_or_else(|| RuntimeError("there is no such sandbox".to_owned()))
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
        Box::pin(async { self.remove(id) })
    }

    fn resume(&self, sandbox: SandboxStart) -> RuntimeFuture<'_, ()> {
        self.start(sandbox)
    }

    fn stop<'a>(&'a self, id: &'a str) -> RuntimeFuture<'a, ()> {
        // It may be paused.
        let _ = self.remove(id);
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

    let text_of = format!(
        "database.url = 'sqlite::memory:'\nauth.strategy = '{}'\n\
         rate_limits.user_second = 100\nrate_limits.user_minute = 1000\n",
        component("none").display()
    );
    let config = Config::parse(None, &text_of, Environment::fixed(&[]))?;
    let host = Host::start(config, Clock::System).await?;
    let running = Mutex::default();
    host.run_sandboxes(Arc::new(Sandboxes { agent_server, running }));
    let new = NewApiKey { name: "client".to_owned(), ..NewApiKey::default() };
    let key = host.store().api_keys(&Scope::local_owner()).create(&new).await?.text;

    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr()?);
    let mut out = std::io::stdout().lock();
    writeln!(out, "{}", json!({ "url": url, "key": text(&key) }))?;
    out.flush()?;
    let stop = async {
        let ended = tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new()));
        let _ = ended.await;
    };
    serve(listener, host, stop).await?;
    Ok(())
}
