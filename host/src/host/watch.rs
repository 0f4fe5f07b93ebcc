//! The plugins folder, watched: a component that is put there serves.
//!
//! The system tells of changes, and where it cannot, every few seconds are enough. Either
//! only says that it is worth a look: what is there is known by its digest.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::{sync::Notify, time::sleep};

use super::Host;
use crate::{
    config::Config,
    engine::{Stamp, off_the_runtime, signature_path, stamp_of},
};

/// How often the folder is looked at anyway.
const POLL: Duration = Duration::from_secs(2);

/// How long after a refusal a folder that has not changed is looked at once more.
const AGAIN: Duration = Duration::from_secs(30);

/// For how long a file has to stay as it is before it is read.
const SETTLED: Duration = Duration::from_millis(250);

/// What shows of a folder without reading a file: names, and what changes with them.
type Shown = Vec<(PathBuf, Stamp)>;

impl Host {
    /// Watches the plugins folder, for as long as the process runs: a component that is
    /// put there and may serve does, and what an operator approves or rolls back from
    /// the command line happens at once. `[plugins] watch = false` has it rest.
    ///
    /// A server of your own spawns this beside its own work.
    pub async fn watch(self) {
        let told = Arc::new(Notify::new());
        let mut watcher: Option<(PathBuf, RecommendedWatcher)> = None;
        // What was there at the start may have changed since.
        let mut known = None;
        let mut again_at = None;
        loop {
            let config = Arc::clone(self.registry().current().config());
            if !config.plugins.watch {
                (watcher, known) = (None, None);
                sleep(POLL).await;
                continue;
            }
            let dir = &config.plugins.dir;
            if watcher.as_ref().is_none_or(|(watched, _)| watched != dir) {
                watcher = watch(dir, &told).map(|watcher| (dir.clone(), watcher));
            }
            self.note_quarantine().await;
            let mut shown = show(&config).await;
            if known.as_ref() != Some(&shown) {
                loop {
                    sleep(SETTLED).await;
                    let now = show(&config).await;
                    if now == shown {
                        break;
                    }
                    shown = now;
                }
                known = Some(shown);
                if let Err(error) = self.look().await {
                    tracing::debug!("what serves goes on: {error}");
                    again_at = Some(Instant::now() + AGAIN);
                }
            }
            // A full disk or a busy machine is no reason for ever.
            if again_at.is_some_and(|at| Instant::now() >= at) {
                (known, again_at) = (None, None);
            }
            tokio::select! {
                () = told.notified() => {}
                () = sleep(POLL) => {}
            }
        }
    }
}

/// Has the system tell of changes; `None` where it cannot.
fn watch(dir: &Path, told: &Arc<Notify>) -> Option<RecommendedWatcher> {
    let told = Arc::clone(told);
    let tell = move |event: notify::Result<notify::Event>| {
        // Reading changes nothing, and would go on for ever.
        if event.is_ok_and(|event| !matches!(event.kind, EventKind::Access(_))) {
            told.notify_one();
        }
    };
    let mut watcher = notify::recommended_watcher(tell).ok()?;
    watcher.watch(dir, RecursiveMode::NonRecursive).ok()?;
    Some(watcher)
}

async fn show(config: &Arc<Config>) -> Shown {
    let config = Arc::clone(config);
    off_the_runtime(move || {
        let named = PathBuf::from(&config.auth.strategy);
        let mut paths = vec![signature_path(&named), named];
        if let Ok(entries) = fs::read_dir(&config.plugins.dir) {
            paths.extend(entries.filter_map(|entry| Some(entry.ok()?.path())));
        }
        paths.retain(|path| {
            let extension = path.extension().and_then(|extension| extension.to_str());
            matches!(extension, Some("wasm" | "minisig" | "lock"))
        });
        paths.sort();
        paths.into_iter().filter_map(|path| stamp_of(&path).map(|stamp| (path, stamp))).collect()
    })
    .await
}
