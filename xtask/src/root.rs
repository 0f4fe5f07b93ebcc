//! The workspace on disk.

use std::path::{Path, PathBuf};

use anyhow::Context as _;

/// Where cargo puts what it builds: beside this program, which it has built too,
/// wherever `CARGO_TARGET_DIR` or a configuration puts that.
pub(crate) fn built(profile: &str, program: &str) -> anyhow::Result<PathBuf> {
    let own = std::env::current_exe().context("xtask does not know where it is")?;
    let target = own.ancestors().nth(2).context("xtask lies in no target directory")?;
    Ok(target.join(profile).join(program))
}

/// The workspace's directory.
#[derive(Clone, Debug)]
pub(crate) struct Root(PathBuf);

impl Root {
    /// Finds the workspace that this program was built in.
    pub(crate) fn find() -> anyhow::Result<Self> {
        let package = Path::new(env!("CARGO_MANIFEST_DIR"));
        let root = package.parent().context("xtask has no parent directory")?;
        Ok(Self(root.canonicalize()?))
    }

    /// The directory itself.
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// A path below it.
    pub(crate) fn join(&self, path: impl AsRef<Path>) -> PathBuf {
        self.0.join(path)
    }
}
