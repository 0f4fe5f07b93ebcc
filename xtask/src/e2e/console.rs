//! The operators' console in a real browser.

use std::process::Command;

use super::{
    browser::{CHROMIUM, with_chromium},
    build,
};
use crate::{guests, process::succeed, root::Root};

pub(super) fn run(root: &Root) -> anyhow::Result<()> {
    guests::build(root, &guests::Selection::of(&["hello-strategy"]))?;
    let server = build(root, "vestibule-e2e-console")?;
    let packages = with_chromium(root)?;
    succeed(
        Command::new("node")
            .arg(root.join("tests/e2e/console.mjs"))
            .arg(server)
            .arg(packages)
            .arg(root.join("target/e2e/console"))
            .env("CHROMIUM", CHROMIUM),
    )
}
