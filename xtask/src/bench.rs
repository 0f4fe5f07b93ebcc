//! `cargo xtask bench`: the figures of docs/performance.md.

use clap::Args;

use crate::{
    guests,
    postgres::Cluster,
    process::{cargo_with, succeed},
    root::Root,
};

/// The workspace that compares with Extism; it has a lockfile of its own.
const COMPARE: &str = "tests/compare/Cargo.toml";

/// Runs the benches and prints their figures.
#[derive(Args, Debug)]
pub(crate) struct Bench {
    /// Benches to run; all where none is named, `extism` among them.
    #[arg(value_name = "NAME")]
    names: Vec<String>,
}

impl Bench {
    /// Builds as what is shipped is built, which takes minutes, and measures.
    pub(crate) fn run(&self, root: &Root) -> anyhow::Result<()> {
        guests::build(root, &guests::Selection::default())?;
        let all = self.names.is_empty();
        let own: Vec<&String> = self.names.iter().filter(|name| *name != "extism").collect();
        if all || !own.is_empty() {
            let mut bench = cargo_with(root, &["bench", "--package", "vestibule-tests"]);
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
        Ok(())
    }
}
