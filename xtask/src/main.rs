//! Builds, runs and checks Vestibule: `cargo xtask --help`.

mod guests;
mod root;

use clap::{Parser, Subcommand};

use crate::root::Root;

/// Builds, runs and checks Vestibule.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Builds the strategies and the test guests as components.
    Plugins(guests::Selection),
}

fn main() -> anyhow::Result<()> {
    let root = Root::find()?;
    match Cli::parse().command {
        Command::Plugins(selection) => guests::build(&root, &selection).map(drop),
    }
}
