//! `vestibule plugin new`

mod files;

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::Args;

use crate::cli::refuse;

/// The longest name: a description takes no longer one.
const MAX_NAME_BYTES: usize = 64;

/// Names that packages of the project have, or that cargo refuses.
const TAKEN: [&str; 12] = [
    "alloc",
    "async",
    "await",
    "build",
    "core",
    "crate",
    "self",
    "std",
    "super",
    "test",
    "vestibule-sdk",
    "xtask",
];

/// Begin a strategy: a folder that builds, passes its tests and makes a component.
///
/// What it is built with lies in it: the SDK, the contract, and the step from a core module
/// to a component. It needs cargo and crates.io, and nothing of this repository.
#[derive(Debug, Args)]
pub(in crate::cli) struct New {
    /// Its name, in lower-case letters, digits and hyphens: my-strategy.
    name: String,
    /// Where its folder is to be made.
    #[arg(long, value_name = "FOLDER", default_value = ".")]
    dir: PathBuf,
}

impl New {
    pub(super) fn run(self) -> ExitCode {
        let Self { name, dir } = self;
        if let Err(what) = check(&name) {
            return refuse(what);
        }
        let folder = dir.join(&name);
        if folder.exists() {
            return refuse(format_args!(
                "{} is there already; choose another name or --dir",
                folder.display()
            ));
        }
        if let Err(error) = write(&folder, &name) {
            return refuse(format_args!("{}: {error}", folder.display()));
        }
        println!("{name} is in {}. Next:\n", folder.display());
        println!("  cd {} && cargo test", folder.display());
        println!("  cargo xtask build");
        println!("  vestibule plugin test {name}.wasm");
        ExitCode::SUCCESS
    }
}

fn check(name: &str) -> Result<(), String> {
    let is_word = |word: &str| {
        !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
    };
    let begins_well = name.starts_with(|first: char| first.is_ascii_lowercase());
    if name.len() > MAX_NAME_BYTES || !begins_well || !name.split('-').all(is_word) {
        return Err(format!(
            "{name:?} is no name for a strategy: take at most {MAX_NAME_BYTES} lower-case letters \
             and digits in words with a hyphen between them, such as my-strategy"
        ));
    }
    if TAKEN.contains(&name) {
        return Err(format!("{name:?} is taken: take another name, such as my-{name}"));
    }
    Ok(())
}

fn write(folder: &Path, name: &str) -> io::Result<()> {
    for (path, text) in files::all() {
        let path = folder.join(path);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        let text = text.replace("{{name}}", name).replace("{{version}}", env!("CARGO_PKG_VERSION"));
        fs::write(path, text)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_words_with_hyphens_between_them() {
        for name in ["a", "my-strategy", "oidc2", "a-1-b"] {
            assert_eq!(check(name), Ok(()), "{name}");
        }
        for name in
            ["", "A", "a_b", "-a", "a-", "a--b", "1a", "a b", "../a", "é", "xtask", &"a".repeat(65)]
        {
            assert!(check(name).is_err(), "{name}");
        }
    }
}
