//! A server for the end-to-end test of the console: Vestibule that serves from a plugins
//! folder, with people and keys to look at, and its listener for operators.
//!
//! It prints one line of JSON when it listens. On its standard input, the line `upgrade`
//! puts a component into the folder that asks for more, and `downgrade` one of a lower
//! version; it serves until that ends.

use std::{
    io::{BufRead as _, Write as _},
    sync::Arc,
};

use serde_json::json;
use tokio::net::TcpListener;
use vestibule::{
    clock::Clock,
    config::{Config, Environment},
    host::Host,
    http::{Listeners, serve},
    identity::SessionContent,
    store::NewApiKey,
};
use vestibule_tests::{
    craft::{with_text, with_version},
    database::user,
    operator::{ADMIN, TOKEN},
    plugins::{Plugins, bytes_of},
};

/// A strategy that admits a team by a header, and nobody else.
const HELLO: &str = "hello-strategy";

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let plugins = Arc::new(Plugins::with(HELLO));
    let toml = plugins.toml(&format!("{ADMIN}auth.settings.team = 'blue'\nserver.drain = '0s'\n"));
    let config = Config::parse(None, &toml, Environment::fixed(&[]))?;
    let host = Host::start(config, Clock::System).await?;
    for name in ["ada", "grace", "linus"] {
        let scope = user(host.store(), name).await;
        let content = SessionContent::default();
        host.store().begin_session(&scope.user, &content, &[], None).await?;
        for key in ["nightly", "laptop"] {
            let name = format!("{key} of {name}");
            let new = NewApiKey { name, ..NewApiKey::default() };
            host.store().api_keys(&scope).create(&new).await?;
        }
    }
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let admin = TcpListener::bind("127.0.0.1:0").await?;
    println!(
        "{}",
        json!({
            "url": format!("http://{}", listener.local_addr()?),
            "console": format!("http://{}/admin/", admin.local_addr()?),
            "token": TOKEN,
        })
    );
    std::io::stdout().flush()?;
    let stop = async {
        let obey = move || {
            for line in std::io::stdin().lock().lines().map_while(Result::ok) {
                let version = |version| with_version(&bytes_of(HELLO), HELLO, version);
                match line.as_str() {
                    "upgrade" => plugins.put(&with_text(&version("0.3.0"), "x-team", "x-tram")),
                    "downgrade" => plugins.put(&version("0.0.9")),
                    other => unreachable!("nobody says {other}"),
                };
                println!("{}", json!("done"));
            }
        };
        let _ = tokio::task::spawn_blocking(obey).await;
    };
    let listeners = Listeners { operators: Some(admin), ..listener.into() };
    tokio::select! {
        served = serve(listeners, host.clone(), stop) => Ok(served?),
        () = host.clone().watch() => Ok(()),
    }
}
