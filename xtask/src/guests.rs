//! Guests: built for Wasm by a toolchain that is at hand, then made components.
//!
//! What ships goes to `target/plugins`, what only tests use to
//! `target/test-plugins`. A file is rewritten only where its bytes changed, so
//! that a host which watches the directory stays calm.
//!
//! Each guest is compiled by a cargo of its own: one for several would give
//! their dependencies the features of all of them, and a guest other bytes with
//! each selection.

mod component;
mod flags;
mod toolchain;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context as _, bail, ensure};
use clap::Args;

use crate::{
    process::{cargo, succeed},
    root::Root,
};
use toolchain::{Choice, Toolchain};

const TARGET: &str = "wasm32-unknown-unknown";
const PROFILE: &str = "guest";

/// A package that becomes a component.
#[derive(Debug)]
struct Guest {
    name: &'static str,
    package: &'static str,
    directory: &'static str,
}

const SHIPPED: &str = "target/plugins";
const TESTED: &str = "target/test-plugins";

const GUESTS: &[Guest] = &[
    Guest { name: "none", package: "vestibule-none", directory: SHIPPED },
    Guest { name: "su-github", package: "vestibule-su-github", directory: SHIPPED },
    Guest { name: "mu-keycloak", package: "vestibule-mu-keycloak", directory: SHIPPED },
    Guest { name: "hello-strategy", package: "hello-strategy", directory: TESTED },
    Guest { name: "session", package: "vestibule-session-guest", directory: TESTED },
    Guest { name: "hostile", package: "vestibule-hostile", directory: TESTED },
    Guest { name: "named", package: "vestibule-named", directory: TESTED },
    Guest { name: "connected", package: "vestibule-connected", directory: TESTED },
    Guest { name: "visited", package: "vestibule-visited", directory: TESTED },
    Guest { name: "puppet", package: "vestibule-puppet", directory: TESTED },
    Guest { name: "careless", package: "vestibule-careless", directory: TESTED },
    Guest { name: "hostile-waiting", package: "vestibule-hostile-waiting", directory: TESTED },
];

/// Which guests to build, and with what.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct Selection {
    /// Where the compiler for Wasm comes from.
    #[arg(long, value_enum, default_value_t, env = "VESTIBULE_GUEST_TOOLCHAIN")]
    toolchain: Choice,

    /// Build once more from nothing, in another folder and order, and refuse what differs.
    #[arg(long)]
    twice: bool,

    /// Guests to build; all where none is named.
    #[arg(value_name = "NAME")]
    names: Vec<String>,
}

impl Selection {
    /// All guests, and proof that building them again gives the same bytes.
    pub(crate) fn all_twice() -> Self {
        Self { twice: true, ..Self::default() }
    }

    /// These guests, with whatever toolchain is at hand.
    pub(crate) fn of(names: &[&str]) -> Self {
        Self { names: names.iter().map(|name| (*name).to_owned()).collect(), ..Self::default() }
    }
}

/// Builds guests and returns their component files, in the order of the list.
pub(crate) fn build(root: &Root, selection: &Selection) -> anyhow::Result<Vec<PathBuf>> {
    let guests = chosen(&selection.names)?;
    let (toolchain, reason) = toolchain::choose(selection.toolchain)?;
    println!("guest toolchain: {toolchain} ({reason})");

    let started = Instant::now();
    // One directory a toolchain, so that changing it does not rebuild everything.
    let directory = root.join("target/guests").join(toolchain.to_string());
    let modules = compile(root, toolchain, &guests, &directory)?;
    println!("compiled in {:.1} s", started.elapsed().as_secs_f32());

    let components: Vec<PathBuf> =
        guests.iter().map(|guest| assemble(root, &modules, guest)).collect::<Result<_, _>>()?;
    if selection.twice {
        compare_with_another_build(root, toolchain, &guests, &components)?;
    }
    Ok(components)
}

/// Builds from nothing in another folder; the same source must give the same bytes.
///
/// In the opposite order, so that each guest meets other guests' dependencies
/// than the first time, and one meets none at all.
fn compare_with_another_build(
    root: &Root,
    toolchain: Toolchain,
    guests: &[&Guest],
    components: &[PathBuf],
) -> anyhow::Result<()> {
    let directory = root.join("target/guests-again");
    if directory.exists() {
        fs::remove_dir_all(&directory)?;
    }
    let reversed: Vec<&Guest> = guests.iter().rev().copied().collect();
    let modules = compile(root, toolchain, &reversed, &directory)?;
    for (guest, path) in guests.iter().zip(components) {
        let same = component::encode(&read_module(&modules, guest)?)? == fs::read(path)?;
        ensure!(same, "`{}` differs from build to build", guest.name);
    }
    fs::remove_dir_all(&directory)?;
    println!("built twice, the same bytes both times");
    Ok(())
}

fn chosen(names: &[String]) -> anyhow::Result<Vec<&'static Guest>> {
    for name in names {
        if !GUESTS.iter().any(|guest| guest.name == name) {
            let known: Vec<_> = GUESTS.iter().map(|guest| guest.name).collect();
            bail!("no guest is named `{name}`; there are {}", known.join(", "));
        }
    }
    let wanted = |guest: &&Guest| names.is_empty() || names.iter().any(|name| name == guest.name);
    Ok(GUESTS.iter().filter(wanted).collect())
}

/// Compiles core modules, one after the other, and returns their directory.
fn compile(
    root: &Root,
    toolchain: Toolchain,
    guests: &[&Guest],
    directory: &Path,
) -> anyhow::Result<PathBuf> {
    let flags = flags::encoded(root, toolchain)?;
    for guest in guests {
        let mut cargo = Command::new(cargo());
        cargo
            .current_dir(root.path())
            .args(["build", "--quiet", "--profile", PROFILE, "--target", TARGET])
            .args(["--package", guest.package, "--target-dir"])
            .arg(directory);
        toolchain.prepare(&mut cargo);
        cargo.env_remove("RUSTFLAGS").env("CARGO_ENCODED_RUSTFLAGS", &flags);

        let status = cargo.status().context("cannot run cargo")?;
        ensure!(status.success(), "`{}` does not compile ({status})", guest.name);
    }
    Ok(directory.join(TARGET).join(PROFILE))
}

/// The names of the toolchains that are at hand, of which there has to be one.
pub(crate) fn toolchains() -> Vec<String> {
    let debian = toolchain::debian_is_complete();
    let rustup = toolchain::has_target() || !debian;
    let all = [(Toolchain::Rustup, rustup), (Toolchain::Debian, debian)];
    all.iter().filter(|(_, there)| *there).map(|(toolchain, _)| toolchain.to_string()).collect()
}

/// Compiles a core module outside the workspace as guests are compiled, and
/// returns its file.
pub(crate) fn compile_apart(root: &Root, manifest: &str, package: &str) -> anyhow::Result<PathBuf> {
    let (toolchain, _) = toolchain::choose(Choice::default())?;
    let directory = root.join("target/compare");
    let mut cargo = Command::new(cargo());
    cargo
        .current_dir(root.path())
        .args(["build", "--quiet", "--profile", PROFILE, "--target", TARGET])
        .args(["--manifest-path", manifest, "--package", package, "--target-dir"])
        .arg(&directory);
    toolchain.prepare(&mut cargo);
    cargo.env_remove("RUSTFLAGS").env("CARGO_ENCODED_RUSTFLAGS", flags::encoded(root, toolchain)?);
    succeed(&mut cargo)?;
    let module = package.replace('-', "_");
    Ok(directory.join(TARGET).join(PROFILE).join(module).with_extension("wasm"))
}

fn assemble(root: &Root, modules: &Path, guest: &Guest) -> anyhow::Result<PathBuf> {
    let started = Instant::now();
    let bytes = component::encode(&read_module(modules, guest)?)
        .with_context(|| format!("cannot make a component of `{}`", guest.name))?;
    let summary = component::summary(&bytes)?;

    let path = root.join(guest.directory).join(guest.name).with_extension("wasm");
    let changed = write_if_changed(&path, &bytes)?;
    println!(
        "{:<16}{:>6} KiB  {summary}  {} in {} ms",
        guest.name,
        bytes.len().div_ceil(1024),
        if changed { "written" } else { "unchanged" },
        started.elapsed().as_millis(),
    );
    Ok(path)
}

fn read_module(modules: &Path, guest: &Guest) -> anyhow::Result<Vec<u8>> {
    let module = modules.join(guest.package.replace('-', "_")).with_extension("wasm");
    fs::read(&module).with_context(|| format!("cannot read {}", module.display()))
}

/// Writes by way of a second file, so that nobody reads half of one.
fn write_if_changed(path: &Path, bytes: &[u8]) -> anyhow::Result<bool> {
    if fs::read(path).is_ok_and(|present| present == bytes) {
        return Ok(false);
    }
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory)?;
    }
    let partial = path.with_extension("wasm.partial");
    fs::write(&partial, bytes).with_context(|| format!("cannot write {}", partial.display()))?;
    fs::rename(&partial, path).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(true)
}
