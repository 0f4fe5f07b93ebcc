//! `vestibule users`

use std::process::ExitCode;

use clap::Subcommand;
use serde_json::json;

use super::{
    ConfigFile,
    open::{date, note, print_json, print_table, with_store},
};
use crate::{
    identity::UserId,
    store::{Store, User},
};

const EXAMPLES: &str = "Examples:
  vestibule users list
  vestibule users disable 12345678";

/// Users: whoever has logged in once.
#[derive(Debug, Subcommand)]
#[command(after_help = EXAMPLES)]
pub(super) enum Users {
    /// List the users.
    List {
        /// Print a JSON list, for scripts.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        config: ConfigFile,
    },
    /// Shut a user out: sessions end, keys and sandboxes stop at once.
    Disable {
        /// The user's id.
        id: String,
        #[command(flatten)]
        config: ConfigFile,
    },
    /// Let a user in again. Keys work as before; sessions begin with a log-in.
    Enable {
        /// The user's id.
        id: String,
        #[command(flatten)]
        config: ConfigFile,
    },
}

impl Users {
    pub(super) fn run(self) -> ExitCode {
        match self {
            Self::List { json, config } => {
                with_store(&config, async |store| list(store, json).await)
            }
            Self::Disable { id, config } => {
                with_store(&config, async |store| set_disabled(store, &id, true).await)
            }
            Self::Enable { id, config } => {
                with_store(&config, async |store| set_disabled(store, &id, false).await)
            }
        }
    }
}

async fn list(store: &Store, json: bool) -> anyhow::Result<ExitCode> {
    let users = store.users().await?;
    if json {
        let shown: Vec<_> = users
            .iter()
            .map(|user| {
                json!({
                    "id": user.id,
                    "org": user.org,
                    "role": user.role,
                    "display_name": user.identity.display_name,
                    "email": user.identity.email,
                    "created_at": user.created_at,
                    "seen_at": user.seen_at,
                    "disabled_at": user.disabled_at,
                })
            })
            .collect();
        print_json(&shown)?;
        return Ok(ExitCode::SUCCESS);
    }
    let row = |user: &User| {
        let text = |text: &Option<String>| crate::text::escape(text.as_deref().unwrap_or("-"));
        vec![
            user.id.to_string(),
            text(&user.identity.display_name),
            text(&user.identity.email),
            user.org.to_string(),
            text(&user.role),
            date(Some(user.seen_at)),
            user.disabled_at.map_or_else(|| "-".to_owned(), |at| date(Some(at))),
        ]
    };
    print_table(
        &["ID", "NAME", "E-MAIL", "ORGANISATION", "ROLE", "LAST SEEN", "DISABLED"],
        &users.iter().map(row).collect::<Vec<_>>(),
    );
    Ok(ExitCode::SUCCESS)
}

async fn set_disabled(store: &Store, id: &str, disabled: bool) -> anyhow::Result<ExitCode> {
    let user = UserId::new(id)?;
    store.set_user_disabled(&user, disabled).await?;
    let (action, done) =
        if disabled { ("user.disable", "disabled") } else { ("user.enable", "enabled") };
    note(store, None, action, id).await?;
    println!("{done} {user}");
    Ok(ExitCode::SUCCESS)
}
