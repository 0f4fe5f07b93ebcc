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

/// What the tests write where anybody may read it: proof that the search sees what
/// there is to see.
const VISIBLE: &str = "visible-canary";

/// Searches every file below these folders for secrets of the tests.
pub(crate) fn search(run: &Path, cluster: &Path) -> anyhow::Result<()> {
    let noted = fs::read_to_string(run.join(NOTED)).unwrap_or_default();
    let mut secrets: Vec<&[u8]> = vec![VISIBLE.as_bytes(), CANARY.as_bytes()];
    secrets.extend(noted.lines().filter(|line| line.len() >= 16).map(str::as_bytes));
    let all = AhoCorasick::new(&secrets)?;
    let mut files = Vec::new();
    for folder in [run, cluster] {
        collect(folder, &mut files)?;
    }
    let mut bytes = 0;
    let mut leaks = Vec::new();
    let mut seen = Seen::default();
    for file in files.iter().filter(|file| !file.ends_with(NOTED)) {
        let Ok(content) = fs::read(file) else { continue };
        bytes += content.len();
        for found in all.find_iter(&content) {
            let secret = secrets[found.pattern().as_usize()];
            if secret == VISIBLE.as_bytes() {
                seen.note(file, cluster);
                continue;
            }
            let begins = String::from_utf8_lossy(&secret[..16]);
            leaks.push(format!("{}: {begins}…", file.display()));
            break;
        }
    }
    ensure!(leaks.is_empty(), "secrets can be read in:\n{}", leaks.join("\n"));
    ensure!(
        seen.sqlite && seen.postgres && seen.log,
        "the search does not see what it should: {seen:?}"
    );
    println!(
        "no plaintext of {} secrets in {} files ({} MiB)",
        secrets.len() - 1,
        files.len(),
        bytes >> 20
    );
    Ok(())
}

/// Where what anybody may read was found.
#[derive(Debug, Default)]
struct Seen {
    sqlite: bool,
    postgres: bool,
    log: bool,
}

impl Seen {
    fn note(&mut self, file: &Path, cluster: &Path) {
        let ends = |with: &str| file.extension().is_some_and(|extension| extension == with);
        self.postgres |= file.starts_with(cluster);
        self.sqlite |= ends("db") || ends("db-wal");
        self.log |= ends("log") && !file.starts_with(cluster);
    }
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
