//! `cargo xtask e2e`: with real servers and clients.

mod browser;
mod console;
mod gateways;
mod keycloak;
mod new_strategy;
mod replicas;
mod schemathesis;
mod soak;
mod traefik;

use std::{
    fs,
    path::PathBuf,
    process::{Command, Stdio},
};

use anyhow::{Context as _, ensure};
use clap::{Args, ValueEnum};

use crate::{
    guests,
    process::{cargo_with, succeed},
    root::{Root, built},
};

/// The client as it is published. A newer one pins a package that may not be there yet.
const CLIENT: [&str; 2] = ["openhands-workspace==1.58.0", "openhands-sdk==1.58.0"];

/// Runs an end-to-end test against real servers and clients.
#[derive(Args, Debug)]
pub(crate) struct EndToEnd {
    /// The test.
    name: Test,
    /// How long `replicas` and `soak` go on asking, in seconds [default: 60 and 600].
    #[arg(long, value_parser = clap::value_parser!(u64).range(10..))]
    seconds: Option<u64>,
    /// How often `soak` asks in a second.
    #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(u64).range(1..10_000))]
    rate: u64,
    /// Have `soak` run the server as tests build it, which takes less to build.
    #[arg(long)]
    debug: bool,
    /// Have `gateways` fail where Traefik cannot be built, and not go on without it.
    #[arg(long)]
    whole: bool,
}

/// What there is to run.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Test {
    /// A real Keycloak and a real Chromium: log-in, offline consent, refresh, each way to be
    /// logged out, and an automation that goes on through all of it.
    Keycloak,
    /// Another OpenID provider, npm's `oidc-provider`, on the same strategy.
    OidcProvider,
    /// The unmodified OpenHands client as it is published, in both of its modes, with a log-in
    /// and without one.
    OpenhandsClient,
    /// Schemathesis, which asks what `/openapi.json` allows and forbids, as callers with and
    /// without credentials, on both databases.
    Schemathesis,
    /// nginx, Caddy, Envoy, and Traefik where there is Go to build it, with the configurations
    /// of examples/gateways, a real Chromium, and clients that forge headers.
    Gateways,
    /// Three servers on one PostgreSQL, asked on and on for provider tokens that live for
    /// seconds: each has to be renewed once.
    Replicas,
    /// A steady load of requests and log-ins: nothing fails, and neither memory nor open files
    /// grow.
    Soak,
    /// A real Chromium with the console open: charts under load, denials, sessions and keys
    /// that end, a component approved and rolled back. The pictures stay below
    /// `target/e2e/console`.
    Console,
    /// A new strategy as `plugin new` makes it: built outside of this repository with each
    /// compiler for Wasm that is at hand, tested by itself and by the kit, and served.
    NewStrategy,
    /// A real Chromium that logs in with su-github over https, against a scripted GitHub.
    SuGithub,
}

impl EndToEnd {
    /// Installs what the test needs, and runs it.
    pub(crate) fn run(&self, root: &Root) -> anyhow::Result<()> {
        match self.name {
            Test::Keycloak => keycloak::keycloak(root),
            Test::OidcProvider => keycloak::oidc_provider(root),
            Test::OpenhandsClient => openhands_client(root),
            Test::Schemathesis => schemathesis::run(root),
            Test::Gateways => gateways::run(root, self.whole),
            Test::Replicas => replicas::run(root, self.seconds.unwrap_or(60)),
            Test::Soak => soak::run(root, self.seconds.unwrap_or(600), self.rate, self.debug),
            Test::Console => console::run(root),
            Test::NewStrategy => new_strategy::run(root),
            Test::SuGithub => browser::su_github(root),
        }
    }
}

fn openhands_client(root: &Root) -> anyhow::Result<()> {
    let server = server(root, &["none", "su-github", "mu-keycloak"])?;
    let programs = with_packages(root, "openhands-client", &CLIENT, "500 MB")?;
    for strategy in ["none", "su_github", "mu_keycloak"] {
        println!("==> {strategy}");
        succeed(
            Command::new(programs.join("python"))
                .arg(root.join("tests/e2e/openhands_client.py"))
                .arg(&server)
                .arg(strategy),
        )?;
    }
    Ok(())
}

/// The server of these tests, with the strategies that it is to serve.
fn server(root: &Root, strategies: &[&str]) -> anyhow::Result<PathBuf> {
    guests::build(root, &guests::Selection::of(strategies))?;
    build(root, "vestibule-e2e-server")
}

/// A program of the tests.
fn build(root: &Root, server: &str) -> anyhow::Result<PathBuf> {
    succeed(&mut cargo_with(root, &["build", "--package", "vestibule-tests", "--bin", server]))?;
    built("debug", server)
}

/// The programs of a virtual environment below `target` that has these packages.
fn with_packages(
    root: &Root,
    name: &str,
    packages: &[&str],
    size: &str,
) -> anyhow::Result<PathBuf> {
    let folder = root.join("target").join(name);
    let programs = folder.join("bin");
    let wanted = folder.join("installed");
    let is_installed =
        fs::read_to_string(&wanted).is_ok_and(|installed| installed == packages.join(" "));
    if !is_installed {
        println!("installing {} (some {size} the first time)", packages.join(" and "));
        let _ = fs::remove_dir_all(&folder);
        succeed(Command::new(new_python()?).args(["-m", "venv"]).arg(&folder))?;
        let pip = ["-m", "pip", "install", "--quiet"];
        succeed(Command::new(programs.join("python")).args(pip).args(packages))?;
        fs::write(&wanted, packages.join(" "))
            .context("the virtual environment cannot be marked")?;
    }
    Ok(programs)
}

/// The packages need Python 3.12 or newer.
fn new_python() -> anyhow::Result<PathBuf> {
    let mut candidates: Vec<PathBuf> =
        ["python3.14", "python3.13", "python3.12", "python3"].map(PathBuf::from).into();
    if let Some(home) = std::env::home_dir()
        && let Ok(versions) = fs::read_dir(home.join(".pyenv/versions"))
    {
        let mut installed: Vec<PathBuf> =
            versions.flatten().map(|version| version.path().join("bin/python3")).collect();
        installed.sort();
        candidates.extend(installed.into_iter().rev());
    }
    let check = "import sys; sys.exit(sys.version_info < (3, 12))";
    let found = candidates.into_iter().find(|python| {
        let asked = Command::new(python)
            .args(["-c", check])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        asked.is_ok_and(|status| status.success())
    });
    ensure!(found.is_some(), "these tests need Python 3.12 or newer; install it");
    found.context("Python")
}
