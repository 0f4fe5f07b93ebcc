//! A compiler for Wasm: rustup's, or Debian's where rustup cannot fetch targets.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use clap::ValueEnum;

use super::TARGET;

const DEBIAN_RUSTC: &str = "/usr/bin/rustc";
const DEBIAN_PACKAGES: [&str; 3] = ["rustc-web", "rust-web-src", "lld"];
/// rustup retries for minutes where there is no network.
const PATIENCE: Duration = Duration::from_mins(2);

/// What the operator asked for.
#[derive(Clone, Copy, Debug, Default, ValueEnum)]
pub(crate) enum Choice {
    /// What is installed, else what can be.
    #[default]
    Auto,
    /// The active toolchain with its precompiled standard library.
    Rustup,
    /// Debian's compiler, which builds the standard library from Debian's source.
    Debian,
}

/// What is used.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Toolchain {
    Rustup,
    Debian,
}

impl fmt::Display for Toolchain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Rustup => "rustup",
            Self::Debian => "debian",
        })
    }
}

impl Toolchain {
    /// Makes cargo use this toolchain.
    pub(super) fn prepare(self, cargo: &mut Command) {
        match self {
            Self::Rustup => {}
            Self::Debian => {
                cargo
                    .arg("-Zbuild-std=std,panic_abort")
                    .env("RUSTC", DEBIAN_RUSTC)
                    // `-Zbuild-std` is unstable; rustup's cargo takes it from a
                    // stable compiler only so.
                    .env("RUSTC_BOOTSTRAP", "1")
                    .env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", "wasm-ld");
            }
        }
    }

    /// Where the source of the standard library is, or would be.
    pub(super) fn library_source(self) -> anyhow::Result<PathBuf> {
        let rustc = match self {
            Self::Rustup => "rustc",
            Self::Debian => DEBIAN_RUSTC,
        };
        let sysroot = output(Command::new(rustc).args(["--print", "sysroot"]))
            .with_context(|| format!("{rustc} does not name its sysroot"))?;
        Ok(Path::new(&sysroot).join("lib/rustlib/src/rust"))
    }
}

/// Chooses a toolchain and says why.
pub(super) fn choose(choice: Choice) -> anyhow::Result<(Toolchain, &'static str)> {
    match choice {
        Choice::Rustup => {
            ensure!(
                has_target() || add_target(),
                "the target {TARGET} is missing; run `rustup target add {TARGET}`"
            );
            Ok((Toolchain::Rustup, "as asked"))
        }
        Choice::Debian => {
            ensure!(
                debian_is_complete() || install_debian(),
                "Debian's toolchain is incomplete; run `apt-get install --no-install-recommends {}`",
                DEBIAN_PACKAGES.join(" ")
            );
            Ok((Toolchain::Debian, "as asked"))
        }
        Choice::Auto => automatic(),
    }
}

fn automatic() -> anyhow::Result<(Toolchain, &'static str)> {
    if has_target() {
        return Ok((Toolchain::Rustup, "its target is installed"));
    }
    if debian_is_complete() {
        return Ok((Toolchain::Debian, "its packages are installed"));
    }
    if add_target() {
        return Ok((Toolchain::Rustup, "its target could be added"));
    }
    if install_debian() {
        return Ok((Toolchain::Debian, "its packages could be installed"));
    }
    bail!(
        "there is no compiler for {TARGET}; run `rustup target add {TARGET}`, or on Debian \
         `apt-get install --no-install-recommends {}`",
        DEBIAN_PACKAGES.join(" ")
    )
}

/// Whether the active compiler has a standard library for the target.
pub(super) fn has_target() -> bool {
    let libraries = Command::new("rustc")
        .args(["--print", "target-libdir", "--target", TARGET])
        .stderr(Stdio::null())
        .output();
    libraries.is_ok_and(|output| {
        output.status.success()
            && Path::new(String::from_utf8_lossy(&output.stdout).trim()).is_dir()
    })
}

fn add_target() -> bool {
    println!("adding the target {TARGET} with rustup");
    within(PATIENCE, Command::new("rustup").args(["target", "add", TARGET]))
}

/// Whether compiler, source of the standard library and linker are there, and
/// the compiler is new enough.
pub(super) fn debian_is_complete() -> bool {
    let Ok(version) = output(Command::new(DEBIAN_RUSTC).arg("--version")) else {
        return false;
    };
    let source = Toolchain::Debian.library_source();
    minor(&version) >= minor(env!("CARGO_PKG_RUST_VERSION"))
        && source.is_ok_and(|source| source.join("library/std").is_dir())
        && output(Command::new("wasm-ld").arg("--version")).is_ok()
}

/// The minor version in `1.95` or `rustc 1.95.0 (…)`.
fn minor(version: &str) -> Option<u32> {
    version.split('.').nth(1)?.parse().ok()
}

fn install_debian() -> bool {
    let root = output(Command::new("id").arg("-u")).is_ok_and(|id| id == "0");
    if !root || !Path::new("/usr/bin/apt-get").exists() {
        return false;
    }
    println!("installing {} with apt-get", DEBIAN_PACKAGES.join(", "));
    let mut install = Command::new("apt-get");
    install
        .args(["install", "-y", "--no-install-recommends"])
        .args(DEBIAN_PACKAGES)
        .env("DEBIAN_FRONTEND", "noninteractive");
    // An update that fails may still leave lists which are good enough.
    let _ = Command::new("apt-get").arg("update").status();
    install.status().is_ok_and(|status| status.success()) && debian_is_complete()
}

/// What a program prints, without the line's end.
fn output(command: &mut Command) -> anyhow::Result<String> {
    let output = command.output()?;
    ensure!(output.status.success(), "{}", output.status);
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

/// Whether a program succeeds in time; it is killed where it takes longer.
fn within(limit: Duration, command: &mut Command) -> bool {
    let Ok(mut child) = command.spawn() else {
        return false;
    };
    let deadline = Instant::now() + limit;
    while Instant::now() < deadline {
        match child.try_wait() {
            Ok(Some(status)) => return status.success(),
            Ok(None) => sleep(Duration::from_millis(100)),
            Err(_) => break,
        }
    }
    let _ = child.kill();
    let _ = child.wait();
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_compare_by_their_minor_number() {
        assert_eq!(minor("rustc 1.96.0 (ac68faa20 2026-05-25)"), Some(96));
        assert!(minor("1.100") > minor("1.95"));
    }
}
