//! What there is of the strategy, for whoever has to show it.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::{Host, StartError, lock::LockError};
use crate::{
    config::Grants,
    engine::{Quarantined, Strategy},
};

/// A component that would have served, and why it does not. It holds no secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Refused {
    /// The file.
    pub file: PathBuf,
    /// Its SHA-256, where it could be read.
    pub digest: Option<String>,
    /// At which step it was refused, in a word.
    pub step: &'static str,
    /// Why, and what to do.
    pub reason: String,
    /// What it asks for beyond what was approved.
    pub asks_for: Vec<String>,
    /// Whether its version is lower than the approved one.
    pub downgrade: bool,
}

impl Refused {
    pub(super) fn at(file: &Path, digest: Option<&str>, error: &StartError) -> Self {
        let step = match error {
            StartError::Load { source, .. } => source.step(),
            StartError::Lock { .. } => "lock",
            StartError::Open { .. } | StartError::PublicUrl { .. } => "doors",
            StartError::Engine(_) | StartError::SelfAttack(_) | StartError::Store(_) => "prepare",
        };
        let lock = match error {
            StartError::Lock { source, .. } => Some(source),
            _ => None,
        };
        Self {
            file: file.to_owned(),
            digest: digest.map(str::to_owned),
            step,
            reason: error.to_string(),
            asks_for: lock.map(LockError::asks_for).unwrap_or_default().to_vec(),
            downgrade: lock.is_some_and(LockError::is_downgrade),
        }
    }

    /// Whether an approval would let it in.
    #[must_use]
    pub fn needs_approval(&self) -> bool {
        self.step == "lock"
    }
}

/// One generation that is loaded, or was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Generation {
    /// The strategy's name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The SHA-256 of the component.
    pub digest: String,
    /// The contract that it is built for.
    pub contract: String,
    /// What becomes of it.
    pub state: GenerationState,
    /// Whether it is signed.
    pub signature: SignatureState,
    /// The interfaces that it imports.
    pub imports: Vec<String>,
    /// What it is granted.
    pub grants: Grants,
}

/// What becomes of a generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum GenerationState {
    /// It decides.
    Serving,
    /// It is ready to take over again.
    Previous,
    /// It broke for many, and is out of service.
    Quarantined,
}

/// Whether a component is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum SignatureState {
    /// By a key that is trusted.
    Verified,
    /// No key is configured, so that nobody looked.
    NotAsked,
}

/// Everything there is of the strategy.
#[derive(Clone, Debug, Serialize)]
pub struct Strategies {
    /// What is loaded; the one that serves comes first.
    pub generations: Vec<Generation>,
    /// What would have served, and why it does not.
    pub refused: Option<Refused>,
    /// What was taken out of service, and what serves in its place.
    pub quarantined: Option<Quarantined>,
    /// Whether there is an approved generation to go back to.
    pub can_roll_back: bool,
}

impl Host {
    /// Everything there is of the strategy, from memory.
    #[must_use]
    pub fn strategies(&self) -> Strategies {
        let registry = self.registry();
        let current = registry.current();
        let mut generations = vec![generation(&current, GenerationState::Serving)];
        let previous = registry.previous();
        generations.extend(
            previous.as_ref().map(|previous| generation(previous, GenerationState::Previous)),
        );
        Strategies {
            generations,
            refused: self.refused(),
            quarantined: registry.quarantined(),
            can_roll_back: self.can_roll_back(),
        }
    }
}

fn generation(strategy: &Strategy, usual: GenerationState) -> Generation {
    let inspection = &strategy.examined().inspection;
    let asked = !strategy.config().plugins.trusted_keys.is_empty();
    Generation {
        name: inspection.description.name.clone(),
        version: inspection.description.version.clone(),
        digest: inspection.digest.clone(),
        contract: inspection.contract.clone(),
        state: if strategy.is_quarantined() { GenerationState::Quarantined } else { usual },
        signature: if asked { SignatureState::Verified } else { SignatureState::NotAsked },
        imports: inspection.imports.iter().map(|import| import.interface.clone()).collect(),
        grants: strategy.grants().clone(),
    }
}
