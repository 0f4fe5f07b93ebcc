//! Files and folders: who else may read what is secret, and write what is run.

use std::{
    fs::{self, Metadata},
    path::{Path, PathBuf},
};

use toml::Value;

use super::Finding;
use crate::{config::Config, engine::Description};

const SECRETS: &str = "secret files";
const DATABASE: &str = "database files";
const PLUGINS: &str = "plugins";

pub(super) fn examine(config: &Config) -> Vec<Finding> {
    let encryption = &config.encryption;
    let mut secret: Vec<PathBuf> =
        encryption.secret_file.iter().chain(&encryption.previous_secret_files).cloned().collect();
    secret.extend(config.source.path_at(&["server", "service_key_file"]));
    let mut findings: Vec<_> = secret.iter().filter_map(|path| unread(SECRETS, path)).collect();
    let inline = [["encryption", "secret"], ["server", "service_key"]];
    if inline.iter().any(|key| config.source.holds(key)) {
        findings.extend(config.source.path().and_then(|path| unread(SECRETS, path)));
    }
    if let Some(file) = config.database.url.file() {
        findings.extend(of_sqlite(&file));
    }
    findings.extend(of_plugins(&config.plugins.dir));
    findings
}

/// The strategy says which of its settings are secret.
pub(super) fn of_settings(config: &Config, description: &Description) -> Vec<Finding> {
    let mut findings = Vec::new();
    for setting in description.settings.iter().filter(|setting| setting.secret) {
        let file = config.auth.settings.get(&format!("{}_file", setting.name));
        if let Some(path) = file.and_then(Value::as_str) {
            findings.extend(unread(SECRETS, Path::new(path)));
        }
        let spellings = setting.aliases.iter().chain([&setting.name]);
        let mut places = spellings.flat_map(|name| {
            [vec!["auth", "settings", name.as_str()], vec!["auth", name.as_str()]]
        });
        if places.any(|key| config.source.holds(&key)) {
            findings.extend(config.source.path().and_then(|path| unread(SECRETS, path)));
        }
    }
    findings.dedup();
    findings
}

fn of_sqlite(file: &Path) -> Vec<Finding> {
    let beside = |end: &str| {
        let mut name = file.as_os_str().to_owned();
        name.push(end);
        PathBuf::from(name)
    };
    let mut findings: Vec<_> = ["", "-wal", "-shm", ".key"]
        .iter()
        .filter_map(|end| unread(DATABASE, &beside(end)))
        .collect();
    let folder = match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    if !folder.is_dir() {
        findings.push(Finding::error(
            DATABASE,
            format!("{} is no folder", folder.display()),
            "make it, or set [database] url",
        ));
    } else if !is_writable(folder) {
        findings.push(Finding::error(
            DATABASE,
            format!("nothing can be written into {}", folder.display()),
            "SQLite writes beside its file: let this user write there",
        ));
    }
    if findings.is_empty() {
        findings.push(Finding::ok(DATABASE, format!("{} is closed to others", file.display())));
    }
    findings
}

/// Whoever can write a component decides who comes in.
fn of_plugins(dir: &Path) -> Vec<Finding> {
    let Ok(entries) = fs::read_dir(dir) else {
        let found = format!("{} cannot be read", dir.display());
        return vec![Finding::warning(PLUGINS, found, "set [plugins] dir, or name a file")];
    };
    let components = entries.flatten().map(|entry| entry.path());
    let components =
        components.filter(|path| path.extension().is_some_and(|extension| extension == "wasm"));
    let findings: Vec<_> = [dir.to_owned()]
        .into_iter()
        .chain(components)
        .filter_map(|path| unwritten(&path))
        .collect();
    if findings.is_empty() {
        let found = format!("{} can be written by its owner alone", dir.display());
        return vec![Finding::ok(PLUGINS, found)];
    }
    findings
}

/// Something to say of a file that others may read; nothing of one that is not there.
fn unread(about: &'static str, path: &Path) -> Option<Finding> {
    let mode = mode(&fs::metadata(path).ok()?);
    (mode & 0o077 != 0).then(|| {
        let found = format!("{} may be read by others (mode {mode:04o})", path.display());
        Finding::error(about, found, format!("chmod 600 {}", path.display()))
    })
}

fn unwritten(path: &Path) -> Option<Finding> {
    let mode = mode(&fs::metadata(path).ok()?);
    (mode & 0o022 != 0).then(|| {
        let found = format!("{} may be written by others (mode {mode:04o})", path.display());
        Finding::error(PLUGINS, found, format!("chmod go-w {}", path.display()))
    })
}

/// Whether this user may write there, by modes and by how the disk is mounted.
#[cfg(unix)]
fn is_writable(folder: &Path) -> bool {
    rustix::fs::access(folder, rustix::fs::Access::WRITE_OK).is_ok()
}

#[cfg(not(unix))]
fn is_writable(folder: &Path) -> bool {
    fs::metadata(folder).is_ok_and(|folder| !folder.permissions().readonly())
}

#[cfg(unix)]
fn mode(file: &Metadata) -> u32 {
    use std::os::unix::fs::PermissionsExt as _;
    file.permissions().mode() & 0o777
}

/// Where there are no modes there is nothing to say.
#[cfg(not(unix))]
fn mode(_: &Metadata) -> u32 {
    0
}
