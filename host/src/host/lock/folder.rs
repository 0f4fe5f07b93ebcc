//! The plugins folder: its lock, and the components that are kept to go back to.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    path::{Path, PathBuf},
    time::{Duration, UNIX_EPOCH},
};

use super::{By, Entry, FILE, Lock, LockError, Record, Standing};
use crate::{
    config::Config,
    engine::{ComponentFile, signature_path},
    hex,
    host::StartError,
    store::random_bytes,
};

/// Where components are kept, each under its digest.
const KEPT: &str = ".generations";

/// The plugins folder, for the strategy that a configuration names.
#[derive(Clone, Debug)]
pub(crate) struct Folder {
    dir: PathBuf,
    /// The strategy's name in the lock: what the operator calls it, and never what a
    /// component calls itself.
    pub(crate) name: String,
    locked: bool,
}

impl Folder {
    /// The folder of a configuration.
    pub(crate) fn of(config: &Config) -> Self {
        let name = Path::new(&config.auth.strategy).file_stem().unwrap_or_default();
        Self {
            dir: config.plugins.dir.clone(),
            name: name.to_string_lossy().into_owned(),
            locked: config.plugins.locked,
        }
    }

    /// The same, where the configuration does not name a file from elsewhere.
    pub(crate) fn named(config: &Config) -> Result<Self, StartError> {
        let (folder, path) = (Self::of(config), Path::new(&config.auth.strategy));
        if config.auth.strategy.contains('/') && Self::around(config, path).is_none() {
            return Err(folder.wrong(LockError::Outside(path.to_owned())));
        }
        Ok(folder)
    }

    /// What is wrong with the lock, as a start tells it.
    pub(crate) fn wrong(&self, source: LockError) -> StartError {
        StartError::Lock { path: self.lock_path(), source }
    }

    /// The same where a component is in it.
    pub(crate) fn around(config: &Config, path: &Path) -> Option<Self> {
        let folder = Self::of(config);
        let parent = path.parent()?.canonicalize().ok()?;
        let dir = folder.dir.canonicalize().ok()?;
        (parent == dir || parent == dir.join(KEPT)).then_some(folder)
    }

    /// Where the lock is.
    pub(crate) fn lock_path(&self) -> PathBuf {
        self.dir.join(FILE)
    }

    /// What is approved.
    pub(crate) fn entry(&self) -> Result<Option<Entry>, LockError> {
        Ok(Lock::read(&self.lock_path())?.strategies.remove(&self.name))
    }

    /// What the lock says of a component.
    pub(crate) fn judge(&self, record: &Record) -> Result<Standing, LockError> {
        Lock::read(&self.lock_path())?.judge(&self.name, record, self.locked)
    }

    /// Where the approved component is kept, where it is.
    pub(crate) fn kept(&self) -> Option<PathBuf> {
        let entry = self.entry().ok()??;
        Some(self.kept_at(&entry.approved.digest)).filter(|path| path.exists())
    }

    /// The file that was approved, where its component is kept.
    pub(crate) fn approved_file(&self) -> Option<PathBuf> {
        let entry = self.entry().ok()??;
        let is_kept = self.kept_at(&entry.approved.digest).exists();
        entry.file.filter(|_| is_kept).map(|file| self.dir.join(file))
    }

    fn kept_at(&self, digest: &str) -> PathBuf {
        self.dir.join(KEPT).join(format!("{digest}.wasm"))
    }

    /// Writes down that a component is going to serve, where the lock allows it.
    pub(crate) fn admit(
        &self,
        record: &Record,
        file: &ComponentFile,
        now: u64,
    ) -> Result<Standing, LockError> {
        let standing = self.judge(record)?;
        let by = match standing {
            Standing::Approved => {
                if let Err(error) = self.follow(record, file) {
                    tracing::debug!(plugin.digest = file.digest, "the lock is as it was: {error}");
                }
                if let Err(error) = self.keep(file) {
                    tracing::debug!(plugin.digest = file.digest, "it is not kept: {error}");
                }
                return Ok(standing);
            }
            Standing::First => By::FirstUse,
            Standing::Upgrade => By::Upgrade,
        };
        let written = self.change(|lock| {
            // Somebody else may have been faster.
            if lock.judge(&self.name, record, self.locked)? != Standing::Approved {
                let name = file_name(file);
                lock.approve(&self.name, record.clone(), name, by, written_down(now));
            }
            Ok(())
        });
        match written {
            Ok(()) => self.keep_and_clear(file),
            // Else nothing could serve from a folder that is read-only.
            Err(error @ LockError::Unwritable { .. }) if standing == Standing::First => {
                tracing::warn!("{error}");
            }
            Err(error) => return Err(error),
        }
        Ok(standing)
    }

    /// Writes down that an operator approves of a component.
    pub(crate) fn approve(
        &self,
        record: &Record,
        file: &ComponentFile,
        now: u64,
    ) -> Result<(), LockError> {
        self.change(|lock| {
            let name = file_name(file);
            lock.approve(&self.name, record.clone(), name, By::Operator, written_down(now));
            Ok(())
        })?;
        self.keep_and_clear(file);
        Ok(())
    }

    /// Writes down that the approved component has a file of another name now.
    fn follow(&self, record: &Record, file: &ComponentFile) -> Result<(), LockError> {
        let name = file_name(file);
        let known = self.entry()?.and_then(|entry| entry.file);
        if name.is_none() || name == known {
            return Ok(());
        }
        self.change(|lock| {
            let entry = lock.strategies.get_mut(&self.name);
            if let Some(entry) = entry.filter(|entry| entry.approved.digest == record.digest) {
                entry.file = name;
            }
            Ok(())
        })
    }

    /// What was approved before, and where it is kept.
    pub(crate) fn previous(&self) -> Result<(Record, PathBuf), LockError> {
        let name = || self.name.clone();
        let previous = self.entry()?.and_then(|entry| entry.previous);
        let previous = previous.ok_or_else(|| LockError::NoPrevious(name()))?;
        let path = self.kept_at(&previous.digest);
        if path.exists() {
            Ok((previous, path))
        } else {
            Err(LockError::NotKept { name: name(), digest: previous.digest })
        }
    }

    /// Goes back to the component before, which is this one unless somebody was faster.
    pub(crate) fn roll_back(&self, to: &Record, now: u64) -> Result<(), LockError> {
        self.change(|lock| {
            let approved = &lock.roll_back(&self.name, written_down(now))?.approved;
            if approved.digest == to.digest {
                Ok(())
            } else {
                Err(LockError::Changed { found: approved.digest.clone() })
            }
        })
    }

    /// Changes the lock. Whoever else wants to waits meanwhile, and nobody ever sees half
    /// of it.
    fn change<T>(
        &self,
        change: impl FnOnce(&mut Lock) -> Result<T, LockError>,
    ) -> Result<T, LockError> {
        let path = self.lock_path();
        let unwritable = |source| LockError::Unwritable { path: path.clone(), source };
        let guard = File::open(&self.dir).map_err(unwritable)?;
        guard.lock().map_err(unwritable)?;
        let mut lock = Lock::read(&path)?;
        let changed = change(&mut lock)?;
        write(&path, lock.text().as_bytes()).map_err(unwritable)?;
        Ok(changed)
    }

    /// Keeps a component to go back to. Without it only that is not possible.
    fn keep_and_clear(&self, file: &ComponentFile) {
        let kept = self.keep(file).and_then(|()| self.clear());
        if let Err(error) = kept {
            tracing::warn!(
                plugin.digest = file.digest,
                "the component cannot be kept to go back to: {error}"
            );
        }
    }

    fn keep(&self, file: &ComponentFile) -> io::Result<()> {
        let path = self.kept_at(&file.digest);
        let signature = signature_path(&path);
        if let Some(text) = &file.signature
            && !fs::read_to_string(&signature).is_ok_and(|known| known == *text)
        {
            fs::create_dir_all(self.dir.join(KEPT))?;
            write(&signature, text.as_bytes())?;
        }
        if path.exists() {
            return Ok(());
        }
        fs::create_dir_all(self.dir.join(KEPT))?;
        write(&path, &file.bytes)
    }

    /// Removes what no entry goes back to.
    fn clear(&self) -> io::Result<()> {
        let Ok(lock) = Lock::read(&self.lock_path()) else { return Ok(()) };
        let kept: Vec<&str> = lock.kept().collect();
        for entry in fs::read_dir(self.dir.join(KEPT))? {
            let path = entry?.path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if !kept.iter().any(|digest| name.starts_with(digest)) {
                fs::remove_file(&path)?;
            }
        }
        Ok(())
    }
}

/// A component's file in the folder; `None` for one that is kept.
fn file_name(file: &ComponentFile) -> Option<String> {
    let is_kept = file.path.parent().is_some_and(|parent| parent.ends_with(KEPT));
    let name = file.path.file_name().filter(|_| !is_kept)?;
    Some(name.to_string_lossy().into_owned())
}

/// Puts a whole file in the place of another.
fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let dir = path.parent().unwrap_or(Path::new("."));
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    // Nobody else's, should two write at once.
    let unfinished = dir.join(format!(".{name}.{}", hex::encode(&random_bytes::<8>())));
    let written = (|| {
        let mut file = File::create(&unfinished)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&unfinished, path)?;
        File::open(dir)?.sync_all()
    })();
    if written.is_err() {
        let _ = fs::remove_file(&unfinished);
    }
    written
}

fn written_down(now: u64) -> String {
    humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_secs(now)).to_string()
}
