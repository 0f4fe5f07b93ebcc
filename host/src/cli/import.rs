//! `vestibule import`

use std::{path::PathBuf, process::ExitCode};

use clap::Subcommand;

use super::{
    ConfigFile,
    open::{note, print_json, print_table, read_line, with_store},
};
use crate::{
    config::DatabaseUrl,
    store::{ImportOptions, ImportReport},
};

const EXAMPLES: &str = "Examples:
  vestibule import openhands --database-url postgres://openhands@db/openhands \\
      --jwt-secret-file jwt_secret
  vestibule import openhands --database-url sqlite://openhands.db --jwt-secret-file jwt_secret --json";

/// Take over what another program keeps.
#[derive(Debug, Subcommand)]
#[command(after_help = EXAMPLES)]
pub(super) enum Import {
    /// Read the tables of OpenHands, and seal anew what is in them. Nothing is written there, and
    /// nothing that is here already is overwritten.
    Openhands {
        /// The database to read; a password belongs into the environment variable or `~/.pgpass`.
        #[arg(
            long,
            value_name = "URL",
            env = "VESTIBULE_IMPORT_DATABASE_URL",
            hide_env_values = true
        )]
        database_url: String,
        /// The file with its `jwt_secret`; more than once where it had others before.
        #[arg(long = "jwt-secret-file", value_name = "FILE", required = true)]
        jwt_secret_files: Vec<PathBuf>,
        /// The name under which offline tokens are kept here.
        #[arg(long, value_name = "NAME", default_value = "offline")]
        offline_token_name: String,
        /// Print one JSON object, for scripts.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        config: ConfigFile,
    },
}

impl Import {
    pub(super) fn run(self) -> ExitCode {
        let Self::Openhands { database_url, jwt_secret_files, offline_token_name, json, config } =
            self;
        with_store(&config, async |store| {
            let source = DatabaseUrl::new(database_url);
            if !source.is_known() {
                anyhow::bail!("--database-url {source} is neither sqlite:// nor postgres://");
            }
            let secrets = jwt_secret_files.iter().map(read_line).collect::<Result<_, _>>()?;
            let options = ImportOptions { source, secrets, offline_token: offline_token_name };
            let report = store.import_openhands(&options).await?;
            note(store, None, "import.openhands", &options.source.to_string()).await?;
            if json {
                print_json(&report)?;
            } else {
                print(&report);
            }
            Ok(if report.has_refused() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
        })
    }
}

fn print(report: &ImportReport) {
    let rows: Vec<_> = report
        .tables
        .iter()
        .map(|table| {
            let mut row = vec![table.table.to_owned()];
            if table.present {
                let counts = [table.found, table.imported, table.kept, table.refused.len()];
                row.extend(counts.map(|count| count.to_string()));
            } else {
                row.extend(["not there", "", "", ""].map(str::to_owned));
            }
            row
        })
        .collect();
    print_table(&["TABLE", "FOUND", "IMPORTED", "HERE ALREADY", "NOT IMPORTED"], &rows);
    for table in &report.tables {
        for refused in &table.refused {
            let row = crate::text::escape(&refused.row);
            eprintln!("not imported: {} {row}: {}", table.table, refused.reason);
        }
    }
}
