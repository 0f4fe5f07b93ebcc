//! Builds, runs and checks Vestibule: `cargo xtask --help`.

mod bench;
mod check;
mod debian;
mod e2e;
mod guests;
mod leaks;
mod postgres;
mod process;
mod root;
mod run;

use clap::{Parser, Subcommand};

use crate::root::Root;

/// Builds, runs and checks Vestibule.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "Examples:
  cargo xtask run                     a server on http://127.0.0.1:3000, nothing else needed
  cargo xtask test                    every test
  cargo xtask test -- house           the tests with `house` in their name
  cargo xtask e2e openhands-client    the real client, from PyPI
  cargo xtask e2e keycloak            everything that can happen at a real Keycloak
  cargo xtask e2e schemathesis        the API against its own OpenAPI document
  cargo xtask e2e gateways            nginx, Caddy and Envoy in front
  cargo xtask e2e replicas            three servers renew each provider token once
  cargo xtask e2e soak                ten minutes of requests and log-ins
  cargo xtask plugins none            one component, into target/plugins";

#[derive(Debug, Subcommand)]
enum Command {
    /// Builds what is missing and starts the server on the none strategy with an embedded SQLite.
    Run(run::Run),
    /// Builds the strategies and the test guests as components.
    Plugins(guests::Selection),
    /// Builds the components and runs every test.
    Test(check::Test),
    /// Runs an end-to-end test against real servers and clients.
    E2e(e2e::EndToEnd),
    /// Runs the benches and prints their figures.
    Bench(bench::Bench),
    /// Runs what a change must pass: formatting, components, lints, docs, tests, dependencies.
    Ci,
}

fn main() -> anyhow::Result<()> {
    let root = Root::find()?;
    match Cli::parse().command {
        Command::Run(run) => run.run(&root),
        Command::Plugins(selection) => guests::build(&root, &selection).map(drop),
        Command::Test(test) => test.run(&root),
        Command::E2e(test) => test.run(&root),
        Command::Bench(bench) => bench.run(&root),
        Command::Ci => check::ci(&root),
    }
}
