//! Whether a secret of the tests can be read in what the tests left behind.

use std::{
    fs,
    path::{Path, PathBuf},
};

use aho_corasick::AhoCorasick;
use anyhow::ensure;

/// What every secret of the tests has in it.
const CANARY: &str = "plaintext-canary";

/// The file in which tests write down secrets that they did not choose.
const NOTED: &str = "secrets.txt";

/// Searches every file below these folders for secrets of the tests.
pub(crate) fn search(run: &Path, others: &[PathBuf]) -> anyhow::Result<()> {
    let noted = fs::read_to_string(run.join(NOTED)).unwrap_or_default();
    let mut secrets: Vec<&[u8]> = vec![CANARY.as_bytes()];
    secrets.extend(noted.lines().filter(|line| line.len() >= 16).map(str::as_bytes));
    let all = AhoCorasick::new(&secrets)?;
    let mut files = Vec::new();
    for folder in others.iter().map(PathBuf::as_path).chain([run]) {
        collect(folder, &mut files)?;
    }
    let mut bytes = 0;
    let mut leaks = Vec::new();
    for file in files.iter().filter(|file| !file.ends_with(NOTED)) {
        let Ok(content) = fs::read(file) else { continue };
        bytes += content.len();
        if let Some(found) = all.find(&content) {
            let begins = &secrets[found.pattern().as_usize()][..16];
            leaks.push(format!("{}: {}…", file.display(), String::from_utf8_lossy(begins)));
        }
    }
    ensure!(leaks.is_empty(), "secrets can be read in:\n{}", leaks.join("\n"));
    ensure!(bytes > 0, "the tests left nothing behind in {}", run.display());
    println!(
        "no plaintext of {} secrets in {} files ({} MiB)",
        secrets.len(),
        files.len(),
        bytes >> 20
    );
    Ok(())
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            collect(&entry.path(), files)?;
        } else {
            files.push(entry.path());
        }
    }
    Ok(())
}
