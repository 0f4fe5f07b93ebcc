//! What a change must pass: `cargo xtask test`, `e2e` and `ci`.

use std::{
    fs,
    path::PathBuf,
    process::{Command, Stdio},
    time::Instant,
};

use clap::Args;

use crate::{
    guests, leaks,
    postgres::Cluster,
    process::{cargo, cargo_with, succeed},
    root::Root,
};

/// The version of cargo-deny that reads `deny.toml`.
const CARGO_DENY: &str = "0.20.2";

/// Builds the components and runs every test, against a PostgreSQL of its own as well; then
/// searches what the tests left behind for their secrets.
#[derive(Args, Debug)]
pub(crate) struct Test {
    /// Arguments for the tests themselves, after `--`.
    #[arg(last = true)]
    arguments: Vec<String>,
}

impl Test {
    /// Builds the components and runs every test.
    pub(crate) fn run(&self, root: &Root) -> anyhow::Result<()> {
        guests::build(root, &guests::Selection::default())?;
        test(root, &self.arguments)
    }
}

fn test(root: &Root, arguments: &[String]) -> anyhow::Result<()> {
    let cluster = Cluster::start()?;
    let run = root.join("target/test-run");
    if run.exists() {
        fs::remove_dir_all(&run)?;
    }
    fs::create_dir_all(&run)?;
    let mut command = cargo_with(root, &["test", "--workspace"]);
    command.env("VESTIBULE_TEST_POSTGRES", &cluster.url).env("VESTIBULE_TEST_RUN", &run);
    if !arguments.is_empty() {
        command.arg("--").args(arguments);
    }
    succeed(&mut command)?;
    // A filter may leave out everything that keeps secrets.
    if arguments.is_empty() {
        leaks::search(&run, cluster.folder())?;
    }
    Ok(())
}

/// Runs every check in order, the cheap ones first.
pub(crate) fn ci(root: &Root) -> anyhow::Result<()> {
    let started = Instant::now();
    let mut passed = Vec::new();
    let mut step = |name, work: &dyn Fn() -> anyhow::Result<()>| {
        println!("==> {name}");
        let started = Instant::now();
        let done = work();
        println!("<== {name}: {} s", started.elapsed().as_secs());
        passed.push(name);
        done
    };
    step("formatting", &|| succeed(&mut cargo_with(root, &["fmt", "--all", "--check"])))?;
    step("components", &|| guests::build(root, &guests::Selection::all_twice()).map(drop))?;
    step("lints", &|| {
        let lint = ["clippy", "--workspace", "--all-targets", "--", "--deny", "warnings"];
        succeed(&mut cargo_with(root, &lint))
    })?;
    step("documentation", &|| {
        let document = ["doc", "--workspace", "--no-deps", "--document-private-items"];
        succeed(cargo_with(root, &document).env("RUSTDOCFLAGS", "--deny warnings"))
    })?;
    step("tests", &|| test(root, &[]))?;
    step("dependencies", &|| {
        // Advisories need a network that not every machine has; licences,
        // duplicates and sources do not.
        let check = ["check", "licenses", "bans", "sources"];
        succeed(Command::new(cargo_deny(root)?).current_dir(root.path()).args(check))
    })?;
    println!("passed in {} s: {}", started.elapsed().as_secs(), passed.join(", "));
    Ok(())
}

/// cargo-deny, installed below `target` where this version is not there yet.
fn cargo_deny(root: &Root) -> anyhow::Result<PathBuf> {
    let tools = root.join("target/tools");
    let binary = tools.join("bin/cargo-deny");
    let installed = Command::new(&binary)
        .arg("--version")
        .stderr(Stdio::null())
        .output()
        .is_ok_and(|output| String::from_utf8_lossy(&output.stdout).contains(CARGO_DENY));
    if !installed {
        println!("installing cargo-deny {CARGO_DENY} (some minutes the first time)");
        succeed(
            Command::new(cargo())
                .args(["install", "--locked", "--quiet", "cargo-deny"])
                .args(["--version", CARGO_DENY])
                .arg("--root")
                .arg(&tools),
        )?;
    }
    Ok(binary)
}
