//! From one generation to the next, while requests run.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use super::{
    Host, Shared, StartError,
    load::{self, Candidate},
    lock::{Folder, LockError, Record},
    state::Refused,
};
use crate::{
    config::Config,
    engine::{ComponentFile, Examined, LoadError, Quarantined, Strategy, off_the_runtime},
    store::AuditEntry,
};

/// What is known of generations beside those that are loaded.
#[derive(Default)]
pub(super) struct Generations {
    /// One change at a time.
    pub(super) changing: tokio::sync::Mutex<()>,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    refused: Option<Refused>,
    /// When what serves was approved: a later approval ends a quarantine.
    approved_at: Option<String>,
    can_roll_back: bool,
    /// The quarantine that is written down.
    quarantined: Option<Quarantined>,
}

impl Host {
    /// Loads another component in place of the one that serves. Should any step
    /// fail, the one that serves goes on.
    ///
    /// A component of the plugins folder is held against `plugins.lock`; one from
    /// elsewhere is the caller's own choice.
    pub async fn replace(&self, path: &Path) -> Result<(), StartError> {
        let _changing = self.shared.generations.changing.lock().await;
        let config = Arc::clone(self.registry().current().config());
        let Shared { engine, clock, store, .. } = &*self.shared;
        let loaded = load::load(engine, &config, clock, path, Some(store), &self.warm()).await;
        let taken = self.take(loaded).await;
        if let Err(error) = &taken {
            self.refuse(Refused::at(path, None, error)).await;
        }
        taken
    }

    /// Looks at the plugins folder once: a component that is there and may serve does,
    /// and a lock that was changed is followed. What serves goes on otherwise.
    pub async fn look(&self) -> Result<(), StartError> {
        let _changing = self.shared.generations.changing.lock().await;
        self.note_quarantine().await;
        let config = Arc::clone(self.registry().current().config());
        self.settle(&config, false).await
    }

    /// Has the component serve that a configuration names; with `anew`, even where it is
    /// the one that serves already.
    pub(super) async fn settle(&self, config: &Arc<Config>, anew: bool) -> Result<(), StartError> {
        let Shared { engine, clock, store, .. } = &*self.shared;
        let serving = Arc::clone(&self.registry().current());
        let path = match load::find(engine, config).await {
            Ok(path) => path,
            Err(error) => {
                let refused = Refused::at(Path::new(&config.auth.strategy), None, &error);
                return self.settle_for_kept(config, anew, refused, error).await;
            }
        };
        let file = match ComponentFile::read(&path).await {
            Ok(file) => file,
            // It is looked at again when it is whole.
            Err(source @ LoadError::Changing) if !anew => {
                return Err(StartError::Load { path, source });
            }
            Err(source) => {
                let error = StartError::Load { path: path.clone(), source };
                let refused = Refused::at(&path, None, &error);
                return self.settle_for_kept(config, anew, refused, error).await;
            }
        };
        if !anew && self.is_out_of_service(&file.digest) {
            return Ok(());
        }
        let same = file.digest == serving.digest() && !serving.is_quarantined();
        if same && !anew && self.still_stands(config, &path, &serving, &file).await {
            self.forget_refused();
            return Ok(());
        }
        let warm = self.warm();
        let loaded =
            load::load_file(engine, config, clock, Arc::clone(&file), Some(store), &warm).await;
        match self.take(loaded).await {
            Ok(()) => Ok(()),
            Err(error) => {
                let refused = Refused::at(&path, Some(&file.digest), &error);
                self.settle_for_kept(config, anew, refused, error).await
            }
        }
    }

    /// Has what was loaded serve, where it may.
    pub(super) async fn take(
        &self,
        loaded: Result<Candidate, StartError>,
    ) -> Result<(), StartError> {
        let (strategy, file) = self.admit(loaded?).await?;
        self.serve(strategy, &file, "upgrade").await;
        self.forget_refused();
        Ok(())
    }

    /// The file may not serve: what is approved and kept does.
    async fn settle_for_kept(
        &self,
        config: &Arc<Config>,
        anew: bool,
        refused: Refused,
        error: StartError,
    ) -> Result<(), StartError> {
        let Shared { engine, clock, store, .. } = &*self.shared;
        let is_there = refused.digest.is_some();
        let reverted = refused.needs_approval();
        let refused_path = refused.file.clone();
        self.refuse(refused).await;
        // One from outside of the folder is under no lock, and nothing of it is kept.
        let Some(folder) = Folder::around(config, &refused_path) else { return Err(error) };
        let approved = folder.entry().ok().flatten().map(|entry| entry.approved.digest);
        let serves = approved.as_deref() == Some(self.registry().current().digest());
        // Only what is refused is followed by what was approved; what is gone is not.
        if !is_there || approved.is_none() || (serves && !anew) {
            return Err(error);
        }
        let warm = self.warm();
        let kept = load::load_kept(engine, config, clock, &folder, Some(store), &warm).await;
        match kept {
            Ok(Some(candidate)) => {
                let (strategy, file) = self.admit(candidate).await?;
                self.serve(strategy, &file, if reverted { "roll-back" } else { "reload" }).await;
                if anew { Ok(()) } else { Err(error) }
            }
            Ok(None) => Err(error),
            Err(also) => {
                tracing::warn!("the component that is approved does not serve either: {also}");
                Err(error)
            }
        }
    }

    /// Whether what serves is still what is approved, or can be written down as that.
    async fn still_stands(
        &self,
        config: &Config,
        path: &Path,
        serving: &Strategy,
        file: &Arc<ComponentFile>,
    ) -> bool {
        let Some(folder) = Folder::around(config, path) else { return true };
        let (record, file) = (Record::of(&serving.examined().inspection), Arc::clone(file));
        let now = self.clock().now();
        let admitted = off_the_runtime(move || folder.admit(&record, &file, now)).await;
        match admitted {
            Ok(_) | Err(LockError::Unwritable { .. }) => {
                self.remember_approval();
                true
            }
            Err(_) => false,
        }
    }

    async fn admit(&self, candidate: Candidate) -> Result<(Strategy, PathBuf), StartError> {
        let path = candidate.file.path.clone();
        let held = self.held_against_serving(&candidate);
        held.map_err(|source| StartError::Lock { path: path.clone(), source })?;
        Ok((candidate.admitted(self.clock().now()).await?, path))
    }

    /// Where the lock says nothing, because it is gone or cannot be written, what serves
    /// says how much may be asked for.
    fn held_against_serving(&self, candidate: &Candidate) -> Result<(), LockError> {
        let Some(folder) = &candidate.folder else { return Ok(()) };
        let serving = self.registry().current();
        let same = serving.config().auth.strategy == candidate.strategy.config().auth.strategy;
        if !same || folder.entry()?.is_some() {
            return Ok(());
        }
        candidate
            .record()
            .held_against(&Record::of(&serving.examined().inspection), &folder.name)
            .map(drop)
    }

    /// Has a generation serve, with the one before ready behind it.
    pub(super) async fn serve(&self, strategy: Strategy, file: &Path, how: &'static str) {
        let old = Arc::clone(&self.registry().current());
        let previous = match how {
            // What was left for a reason is no way out.
            "roll-back" => None,
            _ => self.previous_of(&strategy, &old).await,
        };
        let (digest, name) = (strategy.digest().to_owned(), strategy.description().name.clone());
        let version = strategy.description().version.clone();
        self.registry().publish(strategy, previous);
        self.metrics().loaded(true);
        self.remember_approval();
        let entry = AuditEntry {
            action: format!("plugin.{how}"),
            target: Some(format!("{name} {version} from {}", file.display())),
            outcome: "done".to_owned(),
            reason: Some(format!("in the place of {}", old.digest())),
            strategy_digest: Some(digest),
            ..AuditEntry::default()
        };
        self.note(&entry).await;
    }

    /// The last good generation behind a new one, with the configuration of that.
    async fn previous_of(&self, new: &Strategy, old: &Arc<Strategy>) -> Option<Arc<Strategy>> {
        let Shared { engine, clock, store, registry, .. } = &*self.shared;
        let before = if old.digest() == new.digest() || old.is_quarantined() {
            registry.previous()?
        } else {
            Arc::clone(old)
        };
        if before.digest() == new.digest() || !may_stand_behind(&before, new) {
            return None;
        }
        if Arc::ptr_eq(before.config(), new.config()) {
            return Some(before);
        }
        let (config, path) = (new.config(), Path::new(&new.config().auth.strategy));
        let made = load::ready(engine, config, clock, before.examined(), path, Some(store)).await;
        made.ok().map(Arc::new)
    }

    /// What is compiled already.
    pub(super) fn warm(&self) -> Vec<Arc<Examined>> {
        let previous = self.registry().previous();
        let current = Arc::clone(&self.registry().current());
        previous.iter().chain([&current]).map(|known| Arc::clone(known.examined())).collect()
    }

    /// Whether it was taken out of service, and nobody has approved it since.
    fn is_out_of_service(&self, digest: &str) -> bool {
        let quarantined = self.registry().quarantined();
        let known = self.known(|known| known.approved_at.clone());
        quarantined.is_some_and(|quarantined| quarantined.digest == digest)
            && known == self.approved_at()
    }

    fn approved_at(&self) -> Option<String> {
        Some(Folder::of(&self.config()).entry().ok()??.approved_at)
    }

    pub(super) fn remember_approval(&self) {
        let entry = Folder::of(&self.config()).entry().ok().flatten();
        self.known(|known| {
            known.can_roll_back = entry.as_ref().is_some_and(|entry| entry.previous.is_some());
            known.approved_at = entry.map(|entry| entry.approved_at);
        });
    }

    /// Says that a component may not serve; once, until something else is wrong.
    pub(super) async fn refuse(&self, refused: Refused) {
        let told = self.known(|known| {
            let told = known.refused.as_ref() == Some(&refused);
            known.refused = Some(refused.clone());
            told
        });
        if told {
            return;
        }
        let serving = self.registry().current().digest().to_owned();
        tracing::warn!(
            plugin.file = %refused.file.display(),
            plugin.digest = refused.digest,
            plugin.serving = serving,
            step = refused.step,
            "the component is refused, and what serves goes on: {}", refused.reason
        );
        self.metrics().loaded(false);
        let entry = AuditEntry {
            action: "plugin.load".to_owned(),
            target: Some(match &refused.digest {
                Some(digest) => format!("{} sha256 {digest}", refused.file.display()),
                None => refused.file.display().to_string(),
            }),
            outcome: "refused".to_owned(),
            reason: Some(refused.reason),
            strategy_digest: Some(serving),
            ..AuditEntry::default()
        };
        self.note(&entry).await;
    }

    /// The component that would have served and may not.
    pub(super) fn refused(&self) -> Option<Refused> {
        self.known(|known| known.refused.clone())
    }

    pub(super) fn can_roll_back(&self) -> bool {
        self.known(|known| known.can_roll_back)
    }

    fn forget_refused(&self) {
        self.known(|known| known.refused = None);
    }

    fn known<T>(&self, read: impl FnOnce(&mut Known) -> T) -> T {
        let known = &self.shared.generations.known;
        read(&mut known.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Writes down that a generation went out of service, which no call waits for.
    pub(super) async fn note_quarantine(&self) {
        let now = self.registry().quarantined();
        let before = self.known(|known| std::mem::replace(&mut known.quarantined, now.clone()));
        let Some(broken) = now.filter(|now| before.as_ref() != Some(now)) else { return };
        let entry = AuditEntry {
            action: "plugin.quarantine".to_owned(),
            target: Some(format!("{} {}", broken.name, broken.version)),
            outcome: "done".to_owned(),
            reason: Some(match broken.in_its_place {
                Some(digest) => format!("it breaks for many; {digest} serves in its place"),
                None => "it breaks for many; nothing serves in its place".to_owned(),
            }),
            strategy_digest: Some(broken.digest),
            ..AuditEntry::default()
        };
        self.note(&entry).await;
    }

    /// Writes down what became of the strategy. A database that is away keeps nobody from
    /// changing it.
    pub(super) async fn note(&self, entry: &AuditEntry) {
        if let Err(error) = self.store().note(entry).await {
            tracing::error!(%error, action = entry.action, "the audit has a gap");
        }
    }
}

/// Whether a generation may take over from a new one that breaks: never another strategy,
/// never one that is more open, and none that the new configuration does not trust.
fn may_stand_behind(before: &Strategy, new: &Strategy) -> bool {
    let (old, now) = (before.description(), new.description());
    let (trusted, config) = (before.config(), new.config());
    old.name == now.name
        && (now.local_owner || !old.local_owner)
        && config.auth.sha256.as_ref().is_none_or(|pin| pin == before.digest())
        && config.plugins.trusted_keys == trusted.plugins.trusted_keys
}
