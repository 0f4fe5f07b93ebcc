//! `cargo xtask bench`: the figures of docs/performance.md.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

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
    /// The program of oauth2-proxy, for `gateways` to measure beside Vestibule.
    #[arg(long, value_name = "FILE")]
    oauth2_proxy: Option<PathBuf>,
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
            gateways(root, self.oauth2_proxy.as_deref())?;
        }
        Ok(())
    }
}

/// nginx in front of Vestibule, by the load of wrk.
fn gateways(root: &Root, oauth2_proxy: Option<&Path>) -> anyhow::Result<()> {
    let nginx = debian::packaged("nginx", Path::new("/usr/sbin/nginx"))?;
    let wrk = debian::packaged("wrk", Path::new("/usr/bin/wrk"))?;
    succeed(&mut cargo_with(root, &["build", "--release", "--package", "vestibule"]))?;
    let test = ["build", "--package", "vestibule-tests", "--bin", "vestibule-bench-gateways"];
    succeed(&mut cargo_with(root, &test))?;
    let mut run = Command::new(built("debug", "vestibule-bench-gateways")?);
    run.arg(built("release", "vestibule")?).arg(nginx).arg(wrk);
    match oauth2_proxy {
        Some(program) => drop(run.arg(program)),
        None => println!("oauth2-proxy is not measured: name its program with --oauth2-proxy"),
    }
    succeed(&mut run)
}
