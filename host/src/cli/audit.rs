//! `vestibule audit`

use std::{process::ExitCode, time::Duration};

use clap::Subcommand;

use super::{
    ConfigFile,
    open::{date, print_json, print_table, with_store},
};
use crate::{
    clock::Clock,
    store::{AuditEntry, Store},
    text::escape,
};

const EXAMPLES: &str = "Examples:
  vestibule audit list --since 24h
  vestibule audit list --limit 1000 --json";

/// Who did what.
#[derive(Debug, Subcommand)]
#[command(after_help = EXAMPLES)]
pub(super) enum Audit {
    /// List what was done and refused, newest first.
    List {
        /// Only what is not older, `24h` for instance.
        #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
        since: Option<Duration>,
        /// The most entries.
        #[arg(long, value_name = "NUMBER", default_value_t = 100)]
        limit: u32,
        /// Print a JSON list, for scripts.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        config: ConfigFile,
    },
}

impl Audit {
    pub(super) fn run(self) -> ExitCode {
        let Self::List { since, limit, json, config } = self;
        let now = Clock::System.now();
        let from = since.map_or(0, |since| now.saturating_sub(since.as_secs()));
        with_store(&config, async |store| list(store, from, limit, json).await)
    }
}

async fn list(store: &Store, from: u64, limit: u32, json: bool) -> anyhow::Result<ExitCode> {
    let entries = store.audit_since(from, limit).await?;
    if json {
        print_json(&entries)?;
        return Ok(ExitCode::SUCCESS);
    }
    let row = |entry: &AuditEntry| {
        let text = |text: &Option<String>| escape(text.as_deref().unwrap_or("-"));
        vec![
            date(Some(entry.at)),
            text(&entry.actor),
            text(&entry.address),
            escape(&entry.action),
            text(&entry.target),
            escape(&entry.outcome),
            text(&entry.reason),
        ]
    };
    print_table(
        &["TIME", "WHO", "FROM", "ACTION", "WHAT", "OUTCOME", "WHY"],
        &entries.iter().map(row).collect::<Vec<_>>(),
    );
    Ok(ExitCode::SUCCESS)
}
