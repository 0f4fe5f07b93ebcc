//! `vestibule keys`

use std::{process::ExitCode, time::Duration};

use clap::Subcommand;
use serde_json::json;

use super::{
    ConfigFile,
    open::{Owner, date, note, print_json, print_table, with_store},
};
use crate::{
    clock::Clock,
    secret::reveal,
    store::{ApiKey, NewApiKey, Store},
};

const EXAMPLES: &str = "Examples:
  vestibule keys create --user 12345678 --name nightly --expires-in 90days
  vestibule keys list --user 12345678 --json
  vestibule keys revoke --user 12345678 a1B2c";

/// API keys: what automations show in the place of a log-in.
#[derive(Debug, Subcommand)]
#[command(after_help = EXAMPLES)]
pub(super) enum Keys {
    /// Make a key, and print it: the one time that it is shown.
    Create {
        #[command(flatten)]
        owner: Owner,
        /// A name for it.
        #[arg(long)]
        name: String,
        /// What it may be used for [default: full].
        #[arg(long = "scope", value_name = "SCOPE")]
        scopes: Vec<String>,
        /// How long it is valid, `90days` for instance [default: for ever].
        #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
        expires_in: Option<Duration>,
        /// Let it act for whatever organisation its owner acts for.
        #[arg(long)]
        unbound: bool,
        /// Print one JSON object, for scripts.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        config: ConfigFile,
    },
    /// List a user's keys, without their texts.
    List {
        #[command(flatten)]
        owner: Owner,
        /// Print a JSON list, for scripts.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        config: ConfigFile,
    },
    /// End a key at once.
    Revoke {
        #[command(flatten)]
        owner: Owner,
        /// The key's id, as `list` prints it.
        id: String,
        #[command(flatten)]
        config: ConfigFile,
    },
}

impl Keys {
    pub(super) fn run(self) -> ExitCode {
        match self {
            Self::Create { owner, name, scopes, expires_in, unbound, json, config } => {
                let now = Clock::System.now();
                let expires_at = expires_in.map(|span| now.saturating_add(span.as_secs()));
                let new = NewApiKey { name, scopes, not_before: None, expires_at, unbound };
                with_store(&config, async |store| create(store, &owner, &new, json).await)
            }
            Self::List { owner, json, config } => {
                with_store(&config, async |store| list(store, &owner, json).await)
            }
            Self::Revoke { owner, id, config } => {
                with_store(&config, async |store| revoke(store, &owner, &id).await)
            }
        }
    }
}

async fn create(
    store: &Store,
    owner: &Owner,
    new: &NewApiKey,
    json: bool,
) -> anyhow::Result<ExitCode> {
    let scope = owner.scope(store).await?;
    let made = store.api_keys(&scope).create(new).await?;
    // A key that nobody was told of is none.
    if let Err(error) = note(store, Some(&scope), "key.create", &made.key.id).await {
        store.api_keys(&scope).revoke(&made.key.id).await?;
        return Err(error);
    }
    let text = reveal(&made.text);
    if json {
        let mut shown = serde_json::to_value(&made.key)?;
        shown["key"] = json!(text);
        print_json(&shown)?;
    } else {
        eprintln!("This is the only time that the key is shown:");
        println!("{text}");
    }
    Ok(ExitCode::SUCCESS)
}

async fn list(store: &Store, owner: &Owner, json: bool) -> anyhow::Result<ExitCode> {
    let scope = owner.any_scope(store).await?;
    let keys = store.api_keys(&scope).list().await?;
    if json {
        print_json(&keys)?;
        return Ok(ExitCode::SUCCESS);
    }
    let row = |key: &ApiKey| {
        vec![
            key.id.clone(),
            crate::text::escape(&key.name),
            key.display.clone(),
            key.scopes.join(" "),
            date(Some(key.created_at)),
            date(key.expires_at),
            date(key.last_used_at),
        ]
    };
    print_table(
        &["ID", "NAME", "KEY", "SCOPES", "CREATED", "EXPIRES", "LAST USED"],
        &keys.iter().map(row).collect::<Vec<_>>(),
    );
    Ok(ExitCode::SUCCESS)
}

async fn revoke(store: &Store, owner: &Owner, id: &str) -> anyhow::Result<ExitCode> {
    let scope = owner.any_scope(store).await?;
    if !store.api_keys(&scope).revoke(id).await? {
        anyhow::bail!("{} has no key {id}; `vestibule keys list` prints the ids", scope.user);
    }
    note(store, Some(&scope), "key.revoke", id).await?;
    println!("revoked {id}");
    Ok(ExitCode::SUCCESS)
}
