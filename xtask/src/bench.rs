//! `cargo xtask bench`: the figures of docs/performance.md.

use std::{path::Path, process::Command};

use clap::Args;

use crate::{
    debian, guests,
    postgres::Cluster,
    process::{cargo_with, succeed},
    root::{Root, built},
};

/// The workspace that compares with Extism; it has a lockfile of its own.
const COMPARE: &str = "tests/compare/Cargo.toml";

/// Runs the benches and prints their figures.
#[derive(Args, Debug)]
pub(crate) struct Bench {
    /// Benches to run; all where none is named, `extism` and `gateways` among them.
    #[arg(value_name = "NAME")]
    names: Vec<String>,
}

impl Bench {
    /// Builds as what is shipped is built, which takes minutes, and measures.
    pub(crate) fn run(&self, root: &Root) -> anyhow::Result<()> {
        guests::build(root, &guests::Selection::default())?;
        let all = self.names.is_empty();
        let apart = |name: &&String| matches!(name.as_str(), "extism" | "gateways");
        let own: Vec<&String> = self.names.iter().filter(|name| !apart(name)).collect();
        if all || !own.is_empty() {
            let mut bench = cargo_with(root, &["bench", "--package", "vestibule-benches"]);
            if all {
                bench.arg("--benches");
            }
            for name in own {
                bench.args(["--bench", name]);
            }
            // One of the benches starts the server itself.
            succeed(&mut cargo_with(root, &["build", "--release", "--package", "vestibule"]))?;
            // Another of them measures PostgreSQL as well.
            let cluster = Cluster::start()?;
            succeed(bench.env("VESTIBULE_TEST_POSTGRES", &cluster.url))?;
        }
        if all || self.names.iter().any(|name| name == "extism") {
            let plugin = guests::compile_apart(root, COMPARE, "vestibule-compare-plugin")?;
            let mut bench = cargo_with(root, &["bench", "--manifest-path", COMPARE]);
            succeed(bench.env("VESTIBULE_COMPARE_PLUGIN", plugin))?;
        }
        if all || self.names.iter().any(|name| name == "gateways") {
            gateways(root)?;
        }
        Ok(())
    }
}

/// nginx in front of Vestibule, by the load of wrk.
fn gateways(root: &Root) -> anyhow::Result<()> {
    let nginx = debian::packaged("nginx", Path::new("/usr/sbin/nginx"))?;
    let wrk = debian::packaged("wrk", Path::new("/usr/bin/wrk"))?;
    succeed(&mut cargo_with(root, &["build", "--release", "--package", "vestibule"]))?;
    let test = ["build", "--package", "vestibule-tests", "--bin", "vestibule-bench-gateways"];
    succeed(&mut cargo_with(root, &test))?;
    let mut run = Command::new(built("debug", "vestibule-bench-gateways")?);
    succeed(run.arg(built("release", "vestibule")?).arg(nginx).arg(wrk))
}
