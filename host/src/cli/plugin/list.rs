//! `vestibule plugin list` and `vestibule plugin verify`

use std::{path::PathBuf, process::ExitCode};

use clap::Args;

use crate::{
    cli::{
        ConfigFile, EXIT_USAGE,
        open::{print_json, print_table},
        refuse, runtime,
    },
    host::{Host, Listed, SignatureState},
};

const LIST_EXAMPLES: &str = "Examples:
  vestibule plugin list
  vestibule plugin list --json | jq '.[] | select(.state == \"needs-approval\")'

Exit status: 0 listed, 2 something given is wrong.";

const VERIFY_EXAMPLES: &str = "Examples:
  vestibule plugin verify downloads/hello.wasm
  vestibule plugin verify new.wasm --json && mv new.wasm plugins/hello.wasm

Exit status: 0 it may serve, 2 it is refused.";

/// Say which components there are, and what becomes of each.
#[derive(Debug, Args)]
#[command(after_help = LIST_EXAMPLES)]
pub(in crate::cli) struct List {
    #[command(flatten)]
    config: ConfigFile,
    /// Print a JSON list, for scripts.
    #[arg(long)]
    json: bool,
}

impl List {
    pub(super) fn run(&self) -> ExitCode {
        let listed = self
            .config
            .load()
            .map_err(anyhow::Error::from)
            .and_then(|config| Ok(runtime()?.block_on(Host::installed(&config))?));
        match listed {
            Ok(listed) if self.json => {
                print_json(&listed).map_or_else(refuse, |()| ExitCode::SUCCESS)
            }
            Ok(listed) => {
                print(&listed);
                ExitCode::SUCCESS
            }
            Err(error) => refuse(format_args!("{error:#}")),
        }
    }
}

/// Hold a file against pin, signatures, contract, lock, grants and settings.
#[derive(Debug, Args)]
#[command(after_help = VERIFY_EXAMPLES)]
pub(in crate::cli) struct Verify {
    /// The component file.
    file: PathBuf,
    #[command(flatten)]
    config: ConfigFile,
    /// Print one JSON object, for scripts.
    #[arg(long)]
    json: bool,
}

impl Verify {
    pub(super) fn run(&self) -> ExitCode {
        let verified = self
            .config
            .load()
            .map_err(anyhow::Error::from)
            .and_then(|config| Ok(runtime()?.block_on(Host::verify(&config, &self.file))?));
        let verified = match verified {
            Ok(verified) => verified,
            Err(error) => return refuse(format_args!("{error:#}")),
        };
        if self.json {
            if let Err(error) = print_json(&verified) {
                return refuse(error);
            }
        } else {
            print(std::slice::from_ref(&verified));
        }
        if verified.state.may_serve() { ExitCode::SUCCESS } else { ExitCode::from(EXIT_USAGE) }
    }
}

fn print(listed: &[Listed]) {
    let dash = |text: Option<&str>| text.unwrap_or("-").to_owned();
    let rows: Vec<Vec<String>> = listed
        .iter()
        .map(|found| {
            vec![
                dash(found.name.as_deref()),
                dash(found.version.as_deref()),
                dash(found.digest.as_deref().map(|digest| &digest[..12])),
                dash(found.contract.as_deref()),
                dash(found.signature.map(|signature| match signature {
                    SignatureState::Verified => "verified",
                    SignatureState::NotAsked => "not asked for",
                })),
                word(found),
                found.file.display().to_string(),
            ]
        })
        .collect();
    print_table(&["name", "version", "sha256", "contract", "signature", "state", "file"], &rows);
    for reason in listed.iter().filter_map(|found| found.reason.as_ref()) {
        println!("\n{reason}");
    }
}

/// The state as JSON has it.
fn word(found: &Listed) -> String {
    let state = serde_json::to_value(found.state).unwrap_or_default();
    state.as_str().unwrap_or_default().to_owned()
}
