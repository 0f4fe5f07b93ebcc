//! Another configuration, while requests run.

use std::sync::Arc;

use super::{Host, StartError};
use crate::{
    config::{Config, Encryption},
    secret,
    store::AuditEntry,
};

/// Another configuration cannot be taken. What serves goes on with its own.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    /// It changes what cannot change while the server runs, one text each.
    #[error("{}", .0.join("\n"))]
    Restart(Vec<String>),
    /// The strategy cannot serve with it.
    #[error(transparent)]
    Start(#[from] StartError),
}

impl Host {
    /// Serves with another configuration from now on: it goes through all checks of a
    /// start, and takes the place of the one before together with the strategy, so that
    /// nothing is decided with half of each. Addresses, the database and what seals it
    /// need a restart.
    pub async fn reload(&self, config: Config) -> Result<(), ReloadError> {
        let reloaded = self.reload_checked(config).await;
        match &reloaded {
            Ok(()) => {
                tracing::info!("the configuration is read again, and serves");
                self.note_reload("done", None).await;
            }
            Err(error) => self.refuse_configuration(error).await,
        }
        reloaded
    }

    /// Says that a configuration is not taken.
    pub(crate) async fn refuse_configuration(&self, error: &impl std::fmt::Display) {
        tracing::error!("the configuration is refused, and the one before serves on: {error}");
        self.note_reload("refused", Some(error.to_string())).await;
    }

    async fn note_reload(&self, outcome: &str, reason: Option<String>) {
        let entry = AuditEntry {
            action: "config.reload".to_owned(),
            outcome: outcome.to_owned(),
            reason,
            strategy_digest: Some(self.registry().current().digest().to_owned()),
            ..AuditEntry::default()
        };
        self.note(&entry).await;
    }

    async fn reload_checked(&self, config: Config) -> Result<(), ReloadError> {
        let _changing = self.shared.generations.changing.lock().await;
        let fixed = self.fixed(&config);
        if !fixed.is_empty() {
            return Err(ReloadError::Restart(fixed));
        }
        let config = Arc::new(config);
        self.settle(&config, true).await?;
        self.store().bound(&config);
        Ok(())
    }

    /// What the configuration changes and cannot, each with its place.
    fn fixed(&self, new: &Config) -> Vec<String> {
        let old = self.config();
        let most = self.shared.engine.concurrency();
        let admin = |config: &Config| config.server.admin.as_ref().map(|admin| admin.listen);
        let keys: [(&[&str], bool); 8] = [
            (&["server", "listen"], old.server.listen != new.server.listen),
            (&["server", "envoy_listen"], old.server.envoy_listen != new.server.envoy_listen),
            (&["server", "admin_listen"], admin(&old) != admin(new)),
            (&["audit"], old.audit != new.audit),
            (&["telemetry"], old.telemetry != new.telemetry),
            (&["database", "url"], old.database.url != new.database.url),
            (&["encryption"], !is_same(&old.encryption, &new.encryption)),
            (&["auth", "limits", "concurrency"], new.auth.limits.concurrency > most),
        ];
        let changed = keys.iter().filter(|(_, changed)| *changed);
        let what = "it cannot change so while the server runs; put it back, or restart";
        changed.map(|(key, _)| new.source.mistake(key, what)).collect()
    }
}

fn is_same(old: &Encryption, new: &Encryption) -> bool {
    let digest = |of: &Encryption| of.secret.as_ref().map(secret::digest);
    digest(old) == digest(new)
        && old.secret_file == new.secret_file
        && old.previous_secret_files == new.previous_secret_files
}
