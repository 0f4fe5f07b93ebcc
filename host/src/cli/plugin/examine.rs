//! `vestibule plugin test`

use std::{path::PathBuf, process::ExitCode};

use clap::Args;
use tracing_subscriber::EnvFilter;

use crate::{
    cli::{refuse, runtime},
    kit::{self, Given, Log},
};

/// What is looked through for secrets: everything but what compiles components.
const FILTER: &str = "trace,cranelift=warn,wasmtime=warn,wasmtime_internal_cranelift=warn,\
                      cranelift_codegen=warn,regalloc2=warn";

/// Try a component in front of good, hostile and slow peers, and print what became of it.
///
/// The peers are on this machine, in the place of whatever the component wants to reach.
/// Status 0 where every check passed, 1 where one failed, 2 where the component does not load.
#[derive(Debug, Args)]
pub(in crate::cli) struct Examine {
    /// The component file.
    file: PathBuf,
    /// Print one JSON object, for scripts.
    #[arg(long)]
    json: bool,
    /// What to give it: a file with the tables `settings`, `grants` and `person`. Without
    /// one, it has its defaults, examples for what it requires, and what it proposes.
    #[arg(long, value_name = "FILE.toml")]
    settings: Option<PathBuf>,
}

impl Examine {
    pub(super) fn run(self) -> ExitCode {
        let given = match self.settings.as_deref().map(Given::read).transpose() {
            Ok(given) => given.unwrap_or_default(),
            Err(error) => return refuse(error),
        };
        let log = Log::default();
        let lines = log.clone();
        tracing_subscriber::fmt()
            .with_env_filter(EnvFilter::new(FILTER))
            .with_ansi(false)
            .with_writer(move || lines.clone())
            .init();
        let report = match runtime() {
            Ok(runtime) => runtime.block_on(kit::examine(&self.file, &given, &log)),
            Err(error) => return refuse(error),
        };
        let report = match report {
            Ok(report) => report,
            Err(error) => return refuse(error),
        };
        if self.json {
            match serde_json::to_string_pretty(&report) {
                Ok(text) => println!("{text}"),
                Err(error) => return refuse(error),
            }
        } else {
            print!("{}", report.table());
        }
        if report.passed { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}
