//! The audit as JSON lines, for whoever collects logs.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use crate::{config::Lines, store::StoreError};

/// A place for lines. Clones share it.
#[derive(Clone, Debug)]
pub(super) struct Sink(Arc<Place>);

#[derive(Debug)]
enum Place {
    Stderr,
    File { path: PathBuf, open: Mutex<Option<File>> },
}

impl Sink {
    /// Opens the place at once: where nothing can be written, nothing is begun.
    pub(super) fn open(lines: &Lines) -> Result<Self, StoreError> {
        let place = match lines {
            Lines::Stderr => Place::Stderr,
            Lines::File(path) => {
                let file = open(path)
                    .map_err(|source| StoreError::Audit { path: path.clone(), source })?;
                Place::File { path: path.clone(), open: Mutex::new(Some(file)) }
            }
        };
        Ok(Self(Arc::new(place)))
    }

    /// Writes one line. Not on a thread that others wait for: a disk can be slow.
    pub(super) async fn write(&self, line: String) -> Result<(), StoreError> {
        let place = Arc::clone(&self.0);
        let written = tokio::task::spawn_blocking(move || place.write(&line)).await;
        written.unwrap_or_else(|_| Err(io::Error::other("the write broke off"))).map_err(|source| {
            let path = match &*self.0 {
                Place::Stderr => PathBuf::from("stderr"),
                Place::File { path, .. } => path.clone(),
            };
            StoreError::Audit { path, source }
        })
    }
}

impl Place {
    fn write(&self, line: &str) -> io::Result<()> {
        let (path, open_file) = match self {
            // One write, so that lines of the log do not come between.
            Self::Stderr => return io::stderr().write_all(line.as_bytes()),
            Self::File { path, open } => (path, open),
        };
        let mut file = open_file.lock().unwrap_or_else(PoisonError::into_inner);
        if file.as_ref().is_none_or(|file| !is_at(file, path)) {
            *file = Some(open(path)?);
        }
        let Some(open) = &mut *file else { unreachable!("it was opened just now") };
        let written = open.write_all(line.as_bytes());
        if written.is_err() {
            // Half a line may be there: the next one begins anew.
            *file = None;
        }
        written
    }
}

/// Only its owner reads what people did.
fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).mode(0o600).open(path)
}

/// Whether a path still leads to an open file: whoever rotates logs moves it away.
fn is_at(file: &File, path: &Path) -> bool {
    let (Ok(open), Ok(there)) = (file.metadata(), fs::metadata(path)) else { return false };
    (open.dev(), open.ino()) == (there.dev(), there.ino())
}
