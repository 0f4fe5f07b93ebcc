//! The command line: thin subcommands over the library.

mod check;
mod db;
mod doctor;
mod explain;
mod import;
mod keys;
mod open;
mod plugin;
mod secrets;
mod serve;
mod users;

use std::{
    io::{self, IsTerminal as _},
    path::PathBuf,
    process::ExitCode,
};

use clap::{Args, Parser, Subcommand, ValueEnum};
use tracing_subscriber::EnvFilter;

use crate::config::{Config, ConfigError};

/// The file that is read when no other is named.
const DEFAULT_CONFIG: &str = "vestibule.toml";

/// Something is wrong with what the operator gave: configuration, a component.
const EXIT_USAGE: u8 = 2;

/// The room every request passes before it reaches a server.
#[derive(Debug, Parser)]
#[command(name = "vestibule", version, arg_required_else_help = true, after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "Examples:
  vestibule serve --config vestibule.toml
  VESTIBULE_AUTH_STRATEGY=none vestibule serve
  vestibule check --config vestibule.toml
  vestibule check --explain --host wiki.example.com --path /a --user 12345678
  vestibule doctor --config vestibule.toml
  vestibule plugin inspect plugins/none.wasm --json
  vestibule plugin approve hello
  vestibule keys create --user 12345678 --name nightly

Exit status: 0 done, 1 failed while running, 2 something given is wrong.";

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve requests until SIGTERM or SIGINT.
    Serve(serve::Serve),
    /// Check the configuration and the component it names, and start nothing.
    Check(check::Check),
    /// Look for the usual mistakes of a set-up: public URL, clocks, proxies, file modes.
    Doctor(doctor::Doctor),
    /// Components: look at them, approve them and go back.
    #[command(subcommand)]
    Plugin(plugin::Plugin),
    /// API keys: make, list and end them.
    #[command(subcommand)]
    Keys(keys::Keys),
    /// Users: list them, shut them out and let them in again.
    #[command(subcommand)]
    Users(users::Users),
    /// Users' own secrets, and the secrets that seal them.
    #[command(subcommand)]
    Secrets(secrets::Secrets),
    /// The database.
    #[command(subcommand)]
    Db(db::Db),
    /// Take over what another program keeps.
    #[command(subcommand)]
    Import(import::Import),
}

/// Where the configuration is.
#[derive(Debug, Args)]
struct ConfigFile {
    /// The configuration file. Without it, `vestibule.toml` where there is one, else the
    /// environment alone (`VESTIBULE_AUTH_STRATEGY` and its like).
    #[arg(long, value_name = "FILE", env = "VESTIBULE_CONFIG")]
    config: Option<PathBuf>,
}

impl ConfigFile {
    fn load(&self) -> Result<Config, ConfigError> {
        match &self.config {
            Some(path) => Config::load(path),
            None if PathBuf::from(DEFAULT_CONFIG).exists() => Config::load(DEFAULT_CONFIG.as_ref()),
            None => Config::from_environment(),
        }
    }
}

/// How log lines look.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Runs the command line of this process.
#[must_use]
pub fn run() -> ExitCode {
    match Cli::parse().command {
        Command::Serve(serve) => serve.run(),
        Command::Check(check) => check.run(),
        Command::Doctor(doctor) => doctor.run(),
        Command::Plugin(plugin) => plugin.run(),
        Command::Keys(keys) => keys.run(),
        Command::Users(users) => users.run(),
        Command::Secrets(secrets) => secrets.run(),
        Command::Db(db) => db.run(),
        Command::Import(import) => import.run(),
    }
}

/// Tells the operator what is wrong, and ends with status 2.
fn refuse(what: impl std::fmt::Display) -> ExitCode {
    eprintln!("error: {what}");
    ExitCode::from(EXIT_USAGE)
}

/// Lines to standard error; `VESTIBULE_LOG` chooses which, and `usual` when it is
/// not set.
fn start_log(format: LogFormat, usual: &str) {
    let filter =
        EnvFilter::builder().with_env_var("VESTIBULE_LOG").from_env().unwrap_or_else(|error| {
            eprintln!("warning: VESTIBULE_LOG is not understood, using {usual}: {error}");
            EnvFilter::new(usual)
        });
    let filter = if filter.to_string().is_empty() { EnvFilter::new(usual) } else { filter };
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal());
    match format {
        LogFormat::Text => lines.init(),
        LogFormat::Json => lines.json().flatten_event(true).init(),
    }
}

/// The runtime, with as many workers as the engine has shards.
fn runtime() -> io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(crate::engine::EngineOptions::default().shards.get())
        .enable_all()
        .build()
}
