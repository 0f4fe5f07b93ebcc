//! `vestibule secrets`

use std::{
    io::{IsTerminal as _, Write as _},
    path::PathBuf,
    process::ExitCode,
};

use clap::Subcommand;
use serde_json::json;

use super::{
    ConfigFile,
    open::{Owner, date, note, print_json, print_table, read_secret, with_store},
};
use crate::store::{Secret, Store};

const EXAMPLES: &str = "Examples:
  vestibule secrets list --user 12345678
  printf %s \"$TOKEN\" | vestibule secrets set NPM_TOKEN --user 12345678
  vestibule secrets set NPM_TOKEN --user 12345678 --value-file token.txt
  vestibule secrets rotate";

/// Users' own secrets. Values are read from a file or standard input, and never printed.
#[derive(Debug, Subcommand)]
#[command(after_help = EXAMPLES)]
pub(super) enum Secrets {
    /// List the names of a user's secrets.
    List {
        #[command(flatten)]
        owner: Owner,
        /// Print a JSON list, for scripts.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        config: ConfigFile,
    },
    /// Make or overwrite one secret, byte for byte from standard input or a file.
    Set {
        /// Its name: letters, digits and `_`.
        name: String,
        #[command(flatten)]
        owner: Owner,
        /// The file that holds the value.
        #[arg(long, value_name = "FILE")]
        value_file: Option<PathBuf>,
        /// The file that holds a description [default: the description stays].
        #[arg(long, value_name = "FILE")]
        description_file: Option<PathBuf>,
        #[command(flatten)]
        config: ConfigFile,
    },
    /// Delete one secret.
    Rm {
        /// Its name.
        name: String,
        #[command(flatten)]
        owner: Owner,
        #[command(flatten)]
        config: ConfigFile,
    },
    /// Seal anew, with the encryption secret that is configured now, what the previous ones sealed.
    ///
    /// Put the new secret's file as `secret_file` into `[encryption]` and the old one's among
    /// `previous_secret_files`, restart every server, and run this. It can be stopped at any time
    /// and goes on where it was. When it ends well, the old file may go.
    Rotate {
        #[command(flatten)]
        config: ConfigFile,
    },
}

impl Secrets {
    pub(super) fn run(self) -> ExitCode {
        match self {
            Self::List { owner, json, config } => {
                with_store(&config, async |store| list(store, &owner, json).await)
            }
            Self::Set { name, owner, value_file, description_file, config } => {
                with_store(&config, async |store| {
                    let scope = owner.scope(store).await?;
                    let description = description_file.as_deref();
                    let secret = Secret {
                        description: description.map(|file| read_secret(Some(file))).transpose()?,
                        value: read_secret(value_file.as_deref())?,
                    };
                    store.secrets(&scope).put(&name, &secret, None).await?;
                    note(store, Some(&scope), "secret.set", &name).await?;
                    println!("set {name}");
                    Ok(ExitCode::SUCCESS)
                })
            }
            Self::Rm { name, owner, config } => with_store(&config, async |store| {
                let scope = owner.any_scope(store).await?;
                store.secrets(&scope).remove(&name, None).await?;
                note(store, Some(&scope), "secret.rm", &name).await?;
                println!("removed {name}");
                Ok(ExitCode::SUCCESS)
            }),
            Self::Rotate { config } => with_store(&config, async |store| rotate(store).await),
        }
    }
}

async fn list(store: &Store, owner: &Owner, json: bool) -> anyhow::Result<ExitCode> {
    let scope = owner.any_scope(store).await?;
    let loaded = store.secrets(&scope).load().await?;
    let names = loaded.names();
    if json {
        let entry = |name: &&str| {
            let damaged = loaded.damaged.get(*name).map(ToString::to_string);
            json!({ "name": name, "updated_at": loaded.updated_at.get(*name), "damaged": damaged })
        };
        print_json(&names.iter().map(entry).collect::<Vec<_>>())?;
        return Ok(ExitCode::SUCCESS);
    }
    let row = |name: &&str| {
        let state = loaded.damaged.get(*name).map_or_else(|| "ok".to_owned(), ToString::to_string);
        vec![(*name).to_owned(), date(loaded.updated_at.get(*name).copied()), state]
    };
    print_table(&["NAME", "UPDATED", "STATE"], &names.iter().map(row).collect::<Vec<_>>());
    Ok(ExitCode::SUCCESS)
}

async fn rotate(store: &Store) -> anyhow::Result<ExitCode> {
    let mut errors = std::io::stderr();
    let on_terminal = errors.is_terminal();
    let rotation = store
        .rotate(|progress| {
            // One line that moves for people, one line a step for a log.
            let (start, end) = if on_terminal { ("\r", "") } else { ("", "\n") };
            let _ =
                write!(errors, "{start}sealed anew: {} of {}{end}", progress.done, progress.total);
            let _ = errors.flush();
        })
        .await?;
    if on_terminal {
        eprintln!();
    }
    note(store, None, "secrets.rotate", &rotation.resealed.to_string()).await?;
    if rotation.left == 0 {
        println!(
            "{} rows were sealed anew, and none is left; the previous secrets may go",
            rotation.resealed
        );
        return Ok(ExitCode::SUCCESS);
    }
    for row in &rotation.damaged {
        eprintln!("does not open: {}", crate::text::escape(row));
    }
    eprintln!(
        "error: {} rows are still sealed with a previous secret, which must stay configured; delete \
         what does not open, see that every server runs with the new secret, and run this again",
        rotation.left
    );
    Ok(ExitCode::FAILURE)
}
