//! The only way from a file to a strategy that may serve.

use std::{path::Path, path::PathBuf, sync::Arc};

use super::{
    StartError, doors,
    lock::{Folder, LockError, Record},
    state::Refused,
};
use crate::{
    clock::Clock,
    config::Config,
    engine::{ComponentFile, Engine, Examined, LoadError, Strategy, off_the_runtime},
    store::Store,
};

/// A strategy that may serve, once it is written down that it does.
pub(super) struct Candidate {
    pub(super) strategy: Strategy,
    pub(super) file: Arc<ComponentFile>,
    /// The folder with the lock that it is under.
    pub(super) folder: Option<Folder>,
}

impl Candidate {
    /// What it asks for.
    pub(super) fn record(&self) -> Record {
        Record::of(&self.strategy.examined().inspection)
    }

    /// Writes down that it is going to serve, where that is not written down yet.
    pub(super) async fn admitted(self, now: u64) -> Result<Strategy, StartError> {
        let record = self.record();
        let Self { strategy, file, folder } = self;
        let Some(folder) = folder else { return Ok(strategy) };
        let path = file.path.clone();
        let name = folder.name.clone();
        let standing = off_the_runtime(move || folder.admit(&record, &file, now)).await;
        let standing = standing.map_err(|source| StartError::Lock { path, source })?;
        tracing::debug!(strategy.name = name, ?standing, "the lock allows the component");
        Ok(strategy)
    }
}

/// The component that the configuration names.
pub(super) async fn find(engine: &Engine, config: &Config) -> Result<PathBuf, StartError> {
    let found = engine.find(config).await;
    if let Err(LoadError::NoneAnswers { passed_over, .. }) = &found
        && let Some(file) = Folder::of(config).approved_file()
        && passed_over.contains(&file)
    {
        // It answered to the name when it was approved. Now it is refused like any bad
        // file, so that what is kept takes its place.
        return Ok(file);
    }
    found.map_err(|source| at(Path::new(&config.auth.strategy), source))
}

/// Takes a file through everything that has to be well before it serves.
pub(super) async fn load(
    engine: &Engine,
    config: &Arc<Config>,
    clock: &Clock,
    path: &Path,
    store: Option<&Store>,
    warm: &[Arc<Examined>],
) -> Result<Candidate, StartError> {
    let file = ComponentFile::read(path).await.map_err(|source| at(path, source))?;
    load_file(engine, config, clock, file, store, warm).await
}

pub(super) async fn load_file(
    engine: &Engine,
    config: &Arc<Config>,
    clock: &Clock,
    file: Arc<ComponentFile>,
    store: Option<&Store>,
    warm: &[Arc<Examined>],
) -> Result<Candidate, StartError> {
    let path = file.path.clone();
    let wrong = |source| at(&path, source);
    let examined = engine.examine(&file, config, warm).await.map_err(wrong)?;
    let folder = Folder::around(config, &path);
    if let Some(folder) = &folder {
        let judged = folder.judge(&Record::of(&examined.inspection));
        judged.map_err(|source| StartError::Lock { path: path.clone(), source })?;
    }
    let strategy = ready(engine, config, clock, &examined, &path, store).await?;
    tracing::info!(
        strategy.name = strategy.description().name,
        strategy.version = strategy.description().version,
        plugin.digest = strategy.digest(),
        plugin.file = %path.display(),
        "the strategy is loaded"
    );
    Ok(Candidate { strategy, file, folder })
}

/// Makes a strategy of what was looked at, and tries it out.
pub(super) async fn ready(
    engine: &Engine,
    config: &Arc<Config>,
    clock: &Clock,
    examined: &Arc<Examined>,
    path: &Path,
    store: Option<&Store>,
) -> Result<Strategy, StartError> {
    let wrong = |source| at(path, source);
    let mut strategy = engine.prepare(examined, config, clock.clone()).await.map_err(wrong)?;
    doors::refuse_open_door(config, &strategy)?;
    doors::refuse_lost_sessions(config, &strategy)?;
    if let Some(store) = store {
        strategy.keep_in(store);
    }
    strategy.try_out().await.map_err(wrong)?;
    Ok(strategy)
}

/// The strategy of a start: the file's, and else the one that is approved and kept, with
/// what was wrong with the file.
pub(super) async fn first(
    engine: &Engine,
    config: &Arc<Config>,
    clock: &Clock,
) -> Result<(Candidate, Option<Refused>), StartError> {
    let path = find(engine, config).await?;
    let error = match load(engine, config, clock, &path, None, &[]).await {
        Ok(candidate) => return Ok((candidate, None)),
        Err(error) => error,
    };
    // A file that was taken away is not to come back.
    let Some(kept) = Folder::around(config, &path).filter(|_| path.exists()) else {
        return Err(error);
    };
    match load_kept(engine, config, clock, &kept, None, &[]).await {
        Ok(Some(candidate)) => Ok((candidate, Some(Refused::at(&path, None, &error)))),
        Ok(None) => Err(error),
        Err(also) => {
            tracing::warn!("the component that is approved and kept does not serve either: {also}");
            Err(error)
        }
    }
}

/// The component that is approved, as it is kept; `None` where none is.
pub(super) async fn load_kept(
    engine: &Engine,
    config: &Arc<Config>,
    clock: &Clock,
    folder: &Folder,
    store: Option<&Store>,
    warm: &[Arc<Examined>],
) -> Result<Option<Candidate>, StartError> {
    let Some(path) = folder.kept() else { return Ok(None) };
    let file = read_kept(folder, &path).await?;
    load_file(engine, config, clock, file, store, warm).await.map(Some)
}

/// The component that was approved before, with all that it needs to serve: nobody goes
/// back to what would leave a server with nothing at its next start.
pub(super) async fn load_previous(
    engine: &Engine,
    config: &Arc<Config>,
    clock: &Clock,
    folder: &Folder,
    store: Option<&Store>,
    warm: &[Arc<Examined>],
) -> Result<Candidate, StartError> {
    let (record, file) = read_previous(folder).await?;
    let path = &file.path;
    let made = async {
        let examined = engine.examine(&file, config, warm).await;
        let examined = examined.map_err(|source| at(path, source))?;
        ready(engine, config, clock, &examined, path, store).await
    };
    match made.await {
        Ok(strategy) => Ok(Candidate { strategy, file, folder: Some(folder.clone()) }),
        Err(error) => {
            let Record { name, version, .. } = record;
            let source = LockError::NoWayBack { name, version, why: error.to_string() };
            Err(folder.wrong(source))
        }
    }
}

/// The component that was approved before, as it is kept.
pub(super) async fn read_previous(
    folder: &Folder,
) -> Result<(Record, Arc<ComponentFile>), StartError> {
    let (record, path) = folder.previous().map_err(|source| folder.wrong(source))?;
    Ok((record, read_kept(folder, &path).await?))
}

/// Reads a component that is kept under its digest.
async fn read_kept(folder: &Folder, path: &Path) -> Result<Arc<ComponentFile>, StartError> {
    let file = ComponentFile::read(path).await.map_err(|source| at(path, source))?;
    let digest = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    if digest == file.digest {
        return Ok(file);
    }
    let source = LockError::NotKept { name: folder.name.clone(), digest };
    Err(StartError::Lock { path: path.to_owned(), source })
}

fn at(path: &Path, source: LoadError) -> StartError {
    StartError::Load { path: path.to_owned(), source }
}
