//! What the subcommands share that work on the database.

use std::{
    fs,
    io::{self, IsTerminal as _, Read as _},
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::Args;
use secrecy::SecretString;
use serde::Serialize;

use super::{ConfigFile, LogFormat, refuse, runtime, start_log};
use crate::{
    clock::Clock,
    identity::{OrgId, UserId},
    store::{AuditEntry, Scope, Store, StoreError},
};

/// Opens the database and works on it.
pub(super) fn with_store(
    config: &ConfigFile,
    work: impl AsyncFnOnce(&Store) -> anyhow::Result<ExitCode>,
) -> ExitCode {
    start_log(LogFormat::Text, "warn");
    let config = match config.load() {
        Ok(config) => config,
        Err(error) => return refuse(error),
    };
    let runtime = match runtime() {
        Ok(runtime) => runtime,
        Err(error) => return refuse(error),
    };
    runtime.block_on(async {
        let done = match Store::open(&config, Clock::System).await {
            Ok(store) => work(&store).await,
            Err(error) => Err(error.into()),
        };
        done.unwrap_or_else(|error| fail(&error))
    })
}

/// Tells what went wrong: status 1 where the database failed, and 2 where what
/// was given is at fault.
fn fail(error: &anyhow::Error) -> ExitCode {
    match error.downcast_ref() {
        Some(StoreError::Query(source)) => {
            eprintln!("error: {error}: {source}");
            ExitCode::FAILURE
        }
        _ => refuse(format_args!("{error:#}")),
    }
}

/// Whose rows a command is about.
#[derive(Debug, Args)]
pub(super) struct Owner {
    /// The user's id.
    #[arg(long, value_name = "ID", required_unless_present = "local_owner")]
    user: Option<String>,
    /// The one user of a strategy without log-in.
    #[arg(long = "local-owner", id = "local_owner", conflicts_with_all = ["user", "org"])]
    is_local: bool,
    /// The organisation's id [default: the one the user acts for].
    #[arg(long, value_name = "ID")]
    org: Option<String>,
}

impl Owner {
    /// For what only a member may have.
    pub(super) async fn scope(&self, store: &Store) -> anyhow::Result<Scope> {
        let scope = self.any_scope(store).await?;
        if store.role(&scope).await?.is_none() {
            return Err(StoreError::NotMember { user: scope.user, org: scope.org }.into());
        }
        Ok(scope)
    }

    /// For what is left of somebody who may have left.
    pub(super) async fn any_scope(&self, store: &Store) -> anyhow::Result<Scope> {
        let user = match &self.user {
            Some(user) if !self.is_local => user,
            _ => return Ok(Scope::local_owner()),
        };
        let user = UserId::new(user)?;
        let found = store.user(&user).await?.ok_or(StoreError::NoUser(user))?;
        let org = match &self.org {
            Some(org) => OrgId::new(org)?,
            None => found.org.clone(),
        };
        Ok(Scope::new(found.id, org))
    }
}

/// Writes down what an operator did, and to whom.
pub(super) async fn note(
    store: &Store,
    scope: Option<&Scope>,
    action: &str,
    target: &str,
) -> anyhow::Result<()> {
    let target = match scope {
        Some(scope) => format!("{} {target}", scope.user),
        None => target.to_owned(),
    };
    let entry = AuditEntry {
        action: action.to_owned(),
        org: scope.map(|scope| scope.org.to_string()),
        target: Some(target),
        outcome: "done".to_owned(),
        reason: Some("by the command line".to_owned()),
        ..AuditEntry::default()
    };
    Ok(store.note(&entry).await?)
}

/// Prints JSON for scripts.
pub(super) fn print_json(value: &impl Serialize) -> anyhow::Result<()> {
    println!("{}", serde_json::to_string_pretty(value)?);
    Ok(())
}

/// Prints rows below their headings, each column as wide as its widest cell.
pub(super) fn print_table(headings: &[&str], rows: &[Vec<String>]) {
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.chain([headings[column].len()]).max().unwrap_or_default()
    };
    let widths: Vec<usize> = (0..headings.len()).map(width).collect();
    let line = |cells: &mut dyn Iterator<Item = &str>| {
        let padded: Vec<String> =
            cells.zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        println!("{}", padded.join("  ").trim_end());
    };
    line(&mut headings.iter().copied());
    for row in rows {
        line(&mut row.iter().map(String::as_str));
    }
}

/// A date and time in UTC, or `-`.
pub(super) fn date(at: Option<u64>) -> String {
    let Some(at) = at else { return "-".to_owned() };
    // Later, nothing can write it.
    if at > 253_402_300_799 {
        return "after 9999".to_owned();
    }
    let at = std::time::UNIX_EPOCH + std::time::Duration::from_secs(at);
    humantime::format_rfc3339_seconds(at).to_string()
}

/// Reads a secret, byte for byte, from a file or else from standard input; from
/// a terminal without the last line's end.
pub(super) fn read_secret(file: Option<&Path>) -> anyhow::Result<SecretString> {
    let Some(path) = file else {
        let mut text = String::new();
        let mut input = io::stdin();
        let asked = input.is_terminal();
        if asked {
            eprintln!("Type the secret, then Enter and Ctrl-D:");
        }
        input
            .read_to_string(&mut text)
            .map_err(|error| anyhow::anyhow!("standard input cannot be read: {error}"))?;
        if asked && text.ends_with('\n') {
            text.pop();
        }
        return Ok(SecretString::from(text));
    };
    let text = fs::read_to_string(path)
        .map_err(|error| anyhow::anyhow!("{} cannot be read: {error}", path.display()))?;
    Ok(SecretString::from(text))
}

/// A secret that is one line in a file.
pub(super) fn read_line(path: &PathBuf) -> anyhow::Result<SecretString> {
    let text = fs::read_to_string(path)
        .map_err(|error| anyhow::anyhow!("{} cannot be read: {error}", path.display()))?;
    Ok(SecretString::from(text.trim_end_matches(['\r', '\n'])))
}
