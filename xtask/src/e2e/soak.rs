//! `cargo xtask e2e soak`: a steady load of requests and log-ins on what is shipped.

use std::process::Command;

use super::build;
use crate::{
    guests,
    process::{cargo_with, succeed},
    root::{Root, built},
};

pub(super) fn run(root: &Root, seconds: u64, rate: u64, debug: bool) -> anyhow::Result<()> {
    guests::build(root, &guests::Selection::of(&["mu-keycloak"]))?;
    let profile = if debug { "debug" } else { "release" };
    let mut arguments = vec!["build", "--package", "vestibule"];
    if !debug {
        arguments.push("--release");
    }
    succeed(&mut cargo_with(root, &arguments))?;
    let test = build(root, "vestibule-e2e-soak")?;
    let server = built(profile, "vestibule")?;
    println!("{rate} requests and two log-ins a second, for {seconds} s");
    succeed(Command::new(test).arg(server).args([seconds.to_string(), rate.to_string()]))
}
