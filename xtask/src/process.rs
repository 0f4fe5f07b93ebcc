//! Programs that xtask runs.

use std::{env, ffi::OsString, process::Command};

use anyhow::{Context as _, ensure};

use crate::root::Root;

/// The cargo that runs xtask.
#[expect(clippy::disallowed_methods, reason = "cargo says by the environment where it is")]
pub(crate) fn cargo() -> OsString {
    env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}

/// Cargo in the workspace, with these arguments.
pub(crate) fn cargo_with(root: &Root, arguments: &[&str]) -> Command {
    let mut command = Command::new(cargo());
    command.current_dir(root.path()).args(arguments);
    command
}

/// Runs a program to its end, which must be a good one.
pub(crate) fn succeed(command: &mut Command) -> anyhow::Result<()> {
    let told = format!("{command:?}");
    let status = command.status().with_context(|| format!("cannot run {told}"))?;
    ensure!(status.success(), "{told} failed ({status})");
    Ok(())
}
