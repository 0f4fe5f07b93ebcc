//! A server for end-to-end tests with a real browser: Vestibule on su-github at a
//! public URL of the caller's, and a scripted GitHub beside it. The apps of a
//! configuration are protected where one is named, and the ports used that are: the usual
//! one, and Envoy's.
//!
//! It prints one line of JSON when it listens. Lines on its standard input say what
//! happens at GitHub; it serves until that ends.

use std::io::{BufRead as _, Write as _};

use anyhow::Context as _;
use serde_json::json;
use tokio::net::TcpListener;
use vestibule::{
    clock::Clock,
    config::{Config, Environment},
    host::Host,
    http::{Listeners, serve},
};
use vestibule_tests::{
    component,
    github::{Account, Answer, Endpoint, GitHub},
};

/// The one person.
const OCTOCAT: u64 = 583_231;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let public_url = std::env::args().nth(1).context("name the public URL")?;
    let apps = match std::env::args().nth(2) {
        Some(file) => apps(&std::fs::read_to_string(file)?),
        None => String::new(),
    };
    let port = std::env::args().nth(3).map_or(Ok(0), |port| port.parse())?;
    let envoy = match std::env::args().nth(4) {
        Some(port) => TcpListener::bind(("127.0.0.1", port.parse()?)).await.map(Some)?,
        None => None,
    };
    let github = GitHub::start(Account::new(OCTOCAT, "octocat")).await;
    let text = format!(
        "server.public_url = '{public_url}'\ndatabase.url = 'sqlite::memory:'\n\
         server.trusted_proxies = ['127.0.0.1']\nauth.strategy = '{}'\n\
         auth.limits.wall = '3s'\n{}\n{apps}",
        component("su-github").display(),
        github.toml(&OCTOCAT.to_string())
    );
    let config = Config::parse(None, &text, Environment::fixed(&[]))?;
    let host = Host::start(config, Clock::System).await?;
    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    let mut out = std::io::stdout().lock();
    writeln!(out, "{}", json!({"port": listener.local_addr()?.port(), "github": github.url()}))?;
    out.flush()?;
    let stop = async {
        let obey = move || {
            for line in std::io::stdin().lock().lines().map_while(Result::ok) {
                obey(&github, &line);
                println!("done");
            }
        };
        let _ = tokio::task::spawn_blocking(obey).await;
    };
    drop(out);
    Ok(serve(Listeners { envoy, ..listener.into() }, host, stop).await?)
}

/// The apps of a configuration, which are the last thing in it.
fn apps(configuration: &str) -> String {
    let lines = configuration.lines().skip_while(|line| *line != "[[apps]]");
    lines.collect::<Vec<_>>().join("\n")
}

/// Does at GitHub what a line says.
fn obey(github: &GitHub, line: &str) {
    match line {
        "the owner" => github.sit_down(Some(Account::new(OCTOCAT, "octocat"))),
        "a stranger" => github.sit_down(Some(Account::new(1, "stranger"))),
        "nobody agrees" => github.sit_down(None),
        "silent" => github.answer(Endpoint::Token, Answer::Silence),
        "well" => github.recover(Endpoint::Token),
        other => panic!("{other:?} is nothing that happens at GitHub"),
    }
}
