//! `vestibule db`

use std::process::ExitCode;

use clap::Subcommand;

use super::{
    ConfigFile, LogFormat,
    open::{print_json, print_table},
    refuse, runtime, start_log,
};
use crate::store::{Status, Store};

/// The database.
#[derive(Debug, Subcommand)]
pub(super) enum Db {
    /// Say what is in the database, and change nothing.
    Status {
        /// Print one JSON object, for scripts.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        config: ConfigFile,
    },
}

impl Db {
    pub(super) fn run(self) -> ExitCode {
        start_log(LogFormat::Text, "warn");
        let Self::Status { json, config } = self;
        let config = match config.load() {
            Ok(config) => config,
            Err(error) => return refuse(error),
        };
        let status = match runtime().map(|runtime| runtime.block_on(Store::status(&config))) {
            Ok(Ok(status)) => status,
            Ok(Err(error)) => return refuse(error),
            Err(error) => return refuse(error),
        };
        if json {
            return match print_json(&status) {
                Ok(()) => ExitCode::SUCCESS,
                Err(error) => refuse(error),
            };
        }
        print(&status);
        ExitCode::SUCCESS
    }
}

fn print(status: &Status) {
    println!("database  {}", status.database);
    match status.version {
        None => println!("version   none yet: `vestibule serve` makes the tables"),
        Some(version) if version < status.wanted => {
            println!("version   {version}, and the next start brings it to {}", status.wanted);
        }
        Some(version) if version > status.wanted => {
            println!("version   {version}, from a newer Vestibule than this");
        }
        Some(version) => println!("version   {version}, up to date"),
    }
    if status.version.is_none() {
        return;
    }
    println!();
    let rows: Vec<_> =
        status.rows.iter().map(|row| vec![row.table.to_owned(), row.rows.to_string()]).collect();
    print_table(&["TABLE", "ROWS"], &rows);
    println!();
    let rows: Vec<_> = status
        .keys
        .iter()
        .map(|key| {
            let state = match (key.active, key.configured) {
                (true, _) => "seals",
                (_, true) => "opens",
                _ => "not configured",
            };
            vec![key.id.clone(), key.rows.to_string(), state.to_owned()]
        })
        .collect();
    print_table(&["KEY", "ROWS", "STATE"], &rows);
    if let Some(error) = &status.encryption {
        eprintln!("warning: {error}");
    }
}
