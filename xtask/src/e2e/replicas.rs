//! `cargo xtask e2e replicas`: one renewal of each token, however many servers there are.

use std::process::Command;

use super::build;
use crate::{
    guests,
    postgres::Cluster,
    process::{cargo_with, succeed},
    root::{Root, built},
};

pub(super) fn run(root: &Root, seconds: u64) -> anyhow::Result<()> {
    guests::build(root, &guests::Selection::of(&["connected"]))?;
    succeed(&mut cargo_with(root, &["build", "--package", "vestibule"]))?;
    let test = build(root, "vestibule-e2e-replicas")?;
    let server = built("debug", "vestibule")?;
    let cluster = Cluster::start()?;
    println!("three servers are asked for {seconds} s");
    succeed(Command::new(test).arg(server).args([&cluster.url, &seconds.to_string()]))
}
