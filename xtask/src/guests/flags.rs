//! The compiler's flags for guests: the same for every guest, and such that the
//! bytes do not depend on the machine.

use std::{
    collections::BTreeSet,
    ffi::OsString,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, ensure};
use serde::Deserialize;

use super::{TARGET, toolchain::Toolchain};
use crate::{process::cargo, root::Root};

const FIXED: [&str; 3] = [
    // The default of 1 MiB lies within the initial memory and would have to
    // be cleared for each call where the kernel cannot tell what was touched.
    "-Clink-arg=-zstack-size=65536",
    "-Ctarget-feature=+bulk-memory,+simd128",
    "--cfg=getrandom_backend=\"custom\"",
];

/// The flags of every guest, in the form that survives spaces in paths.
pub(super) fn encoded(root: &Root, toolchain: Toolchain) -> anyhow::Result<OsString> {
    let mut flags: Vec<OsString> = FIXED.map(OsString::from).into();
    // The same bytes wherever it is built, and nobody's paths in panic messages.
    // The last prefix that matches wins.
    let mut remap = vec![
        (cargo_home()?, "/cargo"),
        (toolchain.library_source()?, "/rust"),
        (root.path().to_owned(), "/vestibule"),
    ];
    remap.extend(source_folders(root)?.into_iter().map(|folder| (folder, "/crates")));
    for (from, to) in remap {
        let mut flag = OsString::from("--remap-path-prefix=");
        flag.push(from);
        flag.push("=");
        flag.push(to);
        flags.push(flag);
    }
    Ok(flags.join("\u{1f}".as_ref()))
}

/// The folders that hold the sources of dependencies.
///
/// Cargo is asked, and fetches what is missing: what happens to be in its
/// registry is another list before the first fetch than after it, and other
/// projects add to it.
fn source_folders(root: &Root) -> anyhow::Result<BTreeSet<PathBuf>> {
    let output = Command::new(cargo())
        .current_dir(root.path())
        .args(["metadata", "--quiet", "--format-version", "1", "--filter-platform", TARGET])
        .stderr(Stdio::inherit())
        .output()
        .context("cannot run cargo")?;
    ensure!(output.status.success(), "cargo does not list the dependencies ({})", output.status);
    let metadata: Metadata =
        serde_json::from_slice(&output.stdout).context("cargo's list of dependencies")?;
    Ok(metadata.source_folders())
}

/// What `cargo metadata` prints, as far as it matters here.
#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    manifest_path: PathBuf,
    /// Nothing for a package of the workspace.
    source: Option<String>,
}

impl Metadata {
    fn source_folders(&self) -> BTreeSet<PathBuf> {
        // `…/folder/package-1.0.0/Cargo.toml`
        let folder =
            |package: &Package| package.manifest_path.ancestors().nth(2).map(Path::to_owned);
        self.packages.iter().filter(|package| package.source.is_some()).filter_map(folder).collect()
    }
}

#[expect(clippy::disallowed_methods, reason = "cargo says by the environment where it is")]
fn cargo_home() -> anyhow::Result<PathBuf> {
    std::env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| std::env::home_dir().map(|home| home.join(".cargo")))
        .context("neither CARGO_HOME nor a home directory is known")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_come_from_the_dependencies_and_not_from_the_workspace() {
        let metadata: Metadata = serde_json::from_str(
            r#"{"packages": [
                {"manifest_path": "/project/host/Cargo.toml", "source": null, "name": "host"},
                {"manifest_path": "/r/src/index/serde-1.0.0/Cargo.toml", "source": "registry+x"},
                {"manifest_path": "/r/src/index/http-1.0.0/Cargo.toml", "source": "registry+x"}
            ]}"#,
        )
        .expect("the form of cargo metadata");
        assert_eq!(metadata.source_folders(), BTreeSet::from(["/r/src/index".into()]));
    }
}
