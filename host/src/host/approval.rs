//! What an operator says yes to, and takes back: with a server that runs, or without.

use std::{path::Path, sync::Arc};

use super::{
    Host, Shared, StartError, engine,
    load::{self, Candidate},
    lock::{Folder, LockError, Record},
};
use crate::{
    clock::Clock,
    config::Config,
    engine::{ComponentFile, Engine, Examined, Hooks, off_the_runtime, to_the_end},
    store::{AuditEntry, Store},
};

/// A component that waits for an operator's yes, and what is approved now.
#[derive(Clone)]
pub struct Proposal {
    /// What it asks for.
    pub record: Record,
    /// What is approved, where anything is.
    pub approved: Option<Record>,
    /// Why it may not serve without a yes; `None` where it may.
    pub needs: Option<String>,
    engine: Engine,
    config: Arc<Config>,
    folder: Folder,
    file: Arc<ComponentFile>,
    examined: Arc<Examined>,
    /// Whether the configuration names it: only then is it known what it is to serve with.
    is_named: bool,
}

impl Proposal {
    /// Looks at the component that a configuration names, where it goes by this name, and
    /// else at the one that a configuration with this name would name.
    pub async fn of(config: &Config, name: &str) -> Result<Self, StartError> {
        let engine = engine(config, Hooks::default())?;
        if let Ok(path) = engine.find(config).await {
            let proposal = Self::at(&engine, Arc::new(config.clone()), &path).await;
            match proposal {
                Ok(found) if found.name() == name || found.record.name == name => return Ok(found),
                Err(error) if Folder::of(config).name == name => return Err(error),
                Ok(_) | Err(_) => {}
            }
        }
        let config = with_strategy(config, name);
        let path = load::find(&engine, &config).await?;
        let proposal = Self::at(&engine, Arc::new(config), &path).await?;
        Ok(Self { is_named: false, ..proposal })
    }

    async fn at(engine: &Engine, config: Arc<Config>, path: &Path) -> Result<Self, StartError> {
        let wrong = |source| StartError::Load { path: path.to_owned(), source };
        let locked = |source| StartError::Lock { path: path.to_owned(), source };
        let file = ComponentFile::read(path).await.map_err(wrong)?;
        let examined = engine.examine(&file, &config, &[]).await.map_err(wrong)?;
        let outside = || locked(LockError::Outside(path.to_owned()));
        let folder = Folder::around(&config, path).ok_or_else(outside)?;
        let record = Record::of(&examined.inspection);
        let needs = folder.judge(&record).err();
        if let Some(error @ LockError::Unreadable { .. }) = needs {
            return Err(locked(error));
        }
        let approved = folder.entry().map_err(locked)?.map(|entry| entry.approved);
        Ok(Self {
            record,
            approved,
            needs: needs.map(|why| why.to_string()),
            engine: engine.clone(),
            config,
            folder,
            file,
            examined,
            is_named: true,
        })
    }

    /// The name in the lock.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.folder.name
    }

    /// What it asks for beyond what is approved.
    #[must_use]
    pub fn asks_for(&self) -> Vec<String> {
        self.approved.as_ref().map_or_else(Vec::new, |approved| self.record.asks_beyond(approved))
    }

    /// Whether its version is lower than the approved one.
    #[must_use]
    pub fn is_downgrade(&self) -> bool {
        self.approved.as_ref().is_some_and(|approved| self.record.is_older_than(approved))
    }

    /// Writes the yes down, for a component that can serve with this configuration where
    /// that names it. A server that runs takes the component at once.
    pub async fn approve(self, clock: &Clock) -> Result<(), StartError> {
        if self.is_named {
            self.tried(clock, None).await?;
        }
        self.write_down(clock).await
    }

    /// What is approved is all that a server falls back on, and so is tried before that.
    async fn tried(&self, clock: &Clock, store: Option<&Store>) -> Result<Candidate, StartError> {
        let Self { engine, config, examined, file, folder, .. } = self;
        let strategy = load::ready(engine, config, clock, examined, &file.path, store).await?;
        Ok(Candidate { strategy, file: Arc::clone(file), folder: Some(folder.clone()) })
    }

    async fn write_down(self, clock: &Clock) -> Result<(), StartError> {
        let (path, now) = (self.file.path.clone(), clock.now());
        let written = move || self.folder.approve(&self.record, &self.file, now);
        off_the_runtime(written).await.map_err(|source| StartError::Lock { path, source })
    }

    /// Goes back to the component of this name that was approved before, and answers what
    /// it is. It has to serve with this configuration, where that names it. A server that
    /// runs follows at once.
    pub async fn roll_back(
        config: &Config,
        name: &str,
        clock: &Clock,
    ) -> Result<Record, StartError> {
        let folder = Folder::of(config);
        let entry = folder.entry().map_err(|source| folder.wrong(source))?;
        let calls_itself = entry.is_some_and(|entry| entry.approved.name == name);
        let is_named = folder.name == name || calls_itself;
        let config = if is_named { config.clone() } else { with_strategy(config, name) };
        let folder = Folder::named(&config)?;
        let record = if is_named {
            let engine = engine(&config, Hooks::default())?;
            let config = Arc::new(config);
            load::load_previous(&engine, &config, clock, &folder, None, &[]).await?.record()
        } else {
            load::read_previous(&folder).await?.0
        };
        folder.roll_back(&record, clock.now()).map_err(|source| folder.wrong(source))?;
        Ok(record)
    }
}

fn with_strategy(config: &Config, name: &str) -> Config {
    let mut config = config.clone();
    name.clone_into(&mut config.auth.strategy);
    config
}

impl Host {
    /// Approves the component that waits in the plugins folder, which must have this
    /// digest still, and has it serve. A lower version than the approved one needs
    /// `allow_downgrade`. Where it cannot serve with the configuration as it is, nothing
    /// changes.
    pub async fn approve(&self, digest: &str, allow_downgrade: bool) -> Result<(), StartError> {
        let (this, digest) = (self.clone(), digest.to_owned());
        // What is written down is to serve, even if nobody waits for it any more.
        to_the_end(async move { this.say_yes(&digest, allow_downgrade).await }).await
    }

    async fn say_yes(&self, digest: &str, allow_downgrade: bool) -> Result<(), StartError> {
        let _changing = self.shared.generations.changing.lock().await;
        self.note_quarantine().await;
        let Shared { engine, clock, store, .. } = &*self.shared;
        let config = Arc::clone(self.registry().current().config());
        let path = load::find(engine, &config).await?;
        let proposal = Proposal::at(engine, config, &path).await?;
        let refuse = |source| StartError::Lock { path: path.clone(), source };
        if proposal.record.digest != digest {
            return Err(refuse(LockError::Changed { found: proposal.record.digest }));
        }
        if let Some(approved) = proposal.approved.as_ref().filter(|_| proposal.is_downgrade())
            && !allow_downgrade
        {
            return Err(refuse(LockError::Older {
                name: proposal.name().to_owned(),
                found: proposal.record.version.clone(),
                approved: approved.version.clone(),
                more: proposal.asks_for(),
            }));
        }
        let version = proposal.record.version.clone();
        let tried = proposal.tried(clock, Some(store)).await?;
        proposal.write_down(clock).await?;
        self.note(&AuditEntry {
            action: "plugin.approve".to_owned(),
            target: Some(format!("{} {version}", path.display())),
            outcome: "done".to_owned(),
            strategy_digest: Some(digest.to_owned()),
            ..AuditEntry::default()
        })
        .await;
        self.take(Ok(tried)).await
    }

    /// Goes back to the generation that was approved before, and answers what it is. Where
    /// that cannot serve with the configuration as it is, nothing changes.
    pub async fn roll_back(&self) -> Result<Record, StartError> {
        let this = self.clone();
        let record = to_the_end(async move { this.go_back().await }).await?;
        // The file that was rolled back is refused, and said to be.
        let _ = self.look().await;
        Ok(record)
    }

    async fn go_back(&self) -> Result<Record, StartError> {
        let _changing = self.shared.generations.changing.lock().await;
        let config = Arc::clone(self.registry().current().config());
        let folder = Folder::named(&config)?;
        let Shared { engine, clock, store, .. } = &*self.shared;
        let warm = self.warm();
        let tried = load::load_previous(engine, &config, clock, &folder, Some(store), &warm);
        let tried = tried.await?;
        let (record, now) = (tried.record(), clock.now());
        let to = record.clone();
        let written = off_the_runtime(move || {
            folder.roll_back(&to, now).map_err(|source| folder.wrong(source))
        });
        written.await?;
        self.serve(tried.strategy, &tried.file.path, "roll-back").await;
        Ok(record)
    }
}
