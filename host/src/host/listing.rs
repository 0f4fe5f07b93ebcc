//! Which components there are, and what would become of each: for the command line,
//! with a server that runs or without.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::{
    Host, StartError, engine, load,
    lock::{Folder, LockError, Record, Standing},
    state::{Refused, SignatureState},
};
use crate::{
    clock::Clock,
    config::Config,
    engine::{Engine, Hooks, Inspection, components_in},
};

/// A component file, and what would become of it.
#[derive(Clone, Debug, Serialize)]
pub struct Listed {
    /// The file.
    pub file: PathBuf,
    /// What it calls itself.
    pub name: Option<String>,
    /// Its version.
    pub version: Option<String>,
    /// Its SHA-256, where it is a component.
    pub digest: Option<String>,
    /// The contract that it is built for.
    pub contract: Option<String>,
    /// Whether it is signed, where keys are trusted.
    pub signature: Option<SignatureState>,
    /// What would become of it.
    pub state: ListedState,
    /// Why it is refused.
    pub reason: Option<String>,
    /// What it asks for beyond what is approved.
    pub asks_for: Vec<String>,
}

/// What would become of a component file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ListedState {
    /// It is approved, and serves.
    Approved,
    /// It would be the first of its name, and be approved by that.
    First,
    /// It follows what is approved, asks for nothing more, and would be taken.
    Upgrade,
    /// It is outside the plugins folder, and under no lock.
    Unlocked,
    /// It waits for somebody to say yes.
    NeedsApproval,
    /// It cannot serve.
    Refused,
    /// The configuration does not name it.
    Unused,
    /// It is approved and kept, and serves in the place of a file that is refused.
    Kept,
}

impl ListedState {
    /// Whether it may serve.
    #[must_use]
    pub fn may_serve(self) -> bool {
        !matches!(self, Self::NeedsApproval | Self::Refused)
    }
}

impl From<Standing> for ListedState {
    fn from(standing: Standing) -> Self {
        match standing {
            Standing::Approved => Self::Approved,
            Standing::First => Self::First,
            Standing::Upgrade => Self::Upgrade,
        }
    }
}

impl Host {
    /// Every component of the plugins folder, and the one that the configuration names.
    pub async fn installed(config: &Config) -> Result<Vec<Listed>, StartError> {
        let engine = engine(config, Hooks::default())?;
        let named = load::find(&engine, config).await;
        let mut files = components_in(&config.plugins.dir).unwrap_or_default();
        if let Ok(path) = &named
            && !files.contains(path)
        {
            files.insert(0, path.clone());
        }
        let mut listed = Vec::new();
        for path in &files {
            let is_named = named.as_ref().is_ok_and(|named| named == path);
            let found = if is_named {
                looked_at(&engine, config, path).await
            } else {
                unused(&engine, config, path).await
            };
            listed.push(found);
        }
        if listed.iter().any(|found| !found.state.may_serve() && found.state != ListedState::Unused)
            && let Some(kept) = Folder::of(config).kept()
        {
            let found = looked_at(&engine, config, &kept).await;
            let state = if found.state.may_serve() { ListedState::Kept } else { found.state };
            listed.push(Listed { state, ..found });
        }
        Ok(listed)
    }

    /// Holds one file against pin, signatures, contract, lock, grants and settings of a
    /// configuration.
    pub async fn verify(config: &Config, path: &Path) -> Result<Listed, StartError> {
        Ok(looked_at(&engine(config, Hooks::default())?, config, path).await)
    }
}

async fn unused(engine: &Engine, config: &Config, path: &Path) -> Listed {
    match engine.inspect_trusted(path, config).await {
        Ok(inspection) => listed(path, &inspection, ListedState::Unused),
        Err(error) => Listed { reason: Some(error.at(path)), ..unknown(path) },
    }
}

async fn looked_at(engine: &Engine, config: &Config, path: &Path) -> Listed {
    let config = std::sync::Arc::new(config.clone());
    let inspection = engine.inspect_trusted(path, &config).await.ok();
    let signature = if config.plugins.trusted_keys.is_empty() {
        SignatureState::NotAsked
    } else {
        SignatureState::Verified
    };
    let found = |state| match &inspection {
        Some(inspection) => listed(path, inspection, state),
        None => unknown(path),
    };
    // By the name that is configured, wherever the file is: it is about to be put there.
    let judged = |inspection| Folder::of(&config).judge(&Record::of(inspection));
    let loaded = load::load(engine, &config, &Clock::System, path, None, &[]).await;
    let error = match (loaded, inspection.as_ref().map(judged)) {
        (Ok(_), Some(Ok(standing))) => {
            return Listed { signature: Some(signature), ..found(standing.into()) };
        }
        (Ok(_), None) => return found(ListedState::Unlocked),
        (Ok(_), Some(Err(source))) => StartError::Lock { path: path.to_owned(), source },
        (Err(error), _) => error,
    };
    let refused = Refused::at(path, None, &error);
    let state = match &error {
        StartError::Lock { source: LockError::Unreadable { .. }, .. } => ListedState::Refused,
        StartError::Lock { .. } => ListedState::NeedsApproval,
        _ => ListedState::Refused,
    };
    // A signature is looked at before the lock is.
    let signature = Some(signature).filter(|_| state == ListedState::NeedsApproval);
    let (reason, asks_for) = (Some(refused.reason), refused.asks_for);
    Listed { signature, reason, asks_for, ..found(state) }
}

fn listed(path: &Path, inspection: &Inspection, state: ListedState) -> Listed {
    Listed {
        file: path.to_owned(),
        name: Some(inspection.description.name.clone()),
        version: Some(inspection.description.version.clone()),
        digest: Some(inspection.digest.clone()),
        contract: Some(inspection.contract.clone()),
        signature: None,
        state,
        reason: None,
        asks_for: Vec::new(),
    }
}

fn unknown(path: &Path) -> Listed {
    Listed {
        file: path.to_owned(),
        name: None,
        version: None,
        digest: None,
        contract: None,
        signature: None,
        state: ListedState::Refused,
        reason: None,
        asks_for: Vec::new(),
    }
}
