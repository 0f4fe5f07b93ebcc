//! What tests need of Debian's packages.

use std::{
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::ensure;

/// Installs a package.
pub(crate) fn install(what: &str, package: &str) -> anyhow::Result<()> {
    println!("installing {what} from Debian's packages");
    let mut install = if is_root() { Command::new("apt-get") } else { Command::new("sudo") };
    if !is_root() {
        install.args(["--non-interactive", "apt-get"]);
    }
    let done = install
        .args(["install", "--yes", "--no-install-recommends", package])
        .env("DEBIAN_FRONTEND", "noninteractive")
        .stdout(Stdio::null())
        .status();
    ensure!(
        done.is_ok_and(|status| status.success()),
        "{what} cannot be installed; install the package `{package}` by hand"
    );
    Ok(())
}

/// Whether this process may do everything.
pub(crate) fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0)
}

/// A program of a package that has the same name. A package with a server starts one of its
/// own; the tests' are on other ports.
pub(crate) fn packaged(package: &str, program: &Path) -> anyhow::Result<PathBuf> {
    if !fs::exists(program)? {
        install(package, package)?;
    }
    Ok(program.to_owned())
}
