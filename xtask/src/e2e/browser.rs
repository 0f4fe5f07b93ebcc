//! Tests with a real browser.

use std::{fs, path::PathBuf, process::Command};

use anyhow::Context as _;

use super::build;
use crate::{debian, guests, process::succeed, root::Root};

/// What drives Chromium.
pub(super) const PLAYWRIGHT: &str = "playwright-core@1.65.1";

pub(super) const CHROMIUM: &str = "/usr/bin/chromium";

/// Logs in with su-github. The pictures of its pages stay below `target/e2e`.
pub(super) fn su_github(root: &Root) -> anyhow::Result<()> {
    guests::build(root, &guests::Selection::of(&["su-github"]))?;
    let server = build(root, "vestibule-e2e-login")?;
    let packages = with_packages(root, "playwright", &[PLAYWRIGHT])?;
    with_chromium()?;
    let pictures = root.join("target/e2e/su-github");
    let script = root.join("tests/e2e/su_github.mjs");
    succeed(
        Command::new("node")
            .arg(script)
            .arg(server)
            .arg(packages)
            .arg(pictures)
            .env("CHROMIUM", CHROMIUM),
    )
}

pub(super) fn with_chromium() -> anyhow::Result<()> {
    if !fs::exists(CHROMIUM)? {
        debian::install("Chromium", "chromium")?;
    }
    Ok(())
}

/// A folder below `target` with these packages of npm's. None of them brings a
/// browser along.
pub(super) fn with_packages(root: &Root, name: &str, packages: &[&str]) -> anyhow::Result<PathBuf> {
    let folder = root.join("target").join(name);
    let wanted = folder.join("installed");
    let all = packages.join(" ");
    if !fs::read_to_string(&wanted).is_ok_and(|installed| installed == all) {
        println!("installing {all} (some 10 MB the first time)");
        fs::create_dir_all(&folder)?;
        let npm = ["install", "--no-audit", "--no-fund", "--loglevel", "error", "--prefix"];
        succeed(Command::new("npm").args(npm).arg(&folder).args(packages))?;
        fs::write(&wanted, all).context("the packages cannot be marked")?;
    }
    Ok(folder)
}
