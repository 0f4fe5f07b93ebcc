//! `cargo xtask e2e schemathesis`: the API against its own document.

use std::{
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Command, Stdio},
};

use anyhow::Context as _;
use serde::Deserialize;

use super::{server, with_packages};
use crate::{postgres::Cluster, process::succeed, root::Root};

const PACKAGES: [&str; 1] = ["schemathesis==4.32.5"];

/// Cases for each operation and phase; all of it takes one or two minutes.
const EXAMPLES: &str = "30";

/// What the server says of itself.
#[derive(Deserialize)]
struct Told {
    url: String,
    key: String,
    session_key: String,
    service_key: String,
}

/// Who calls, and what.
struct Case<'a> {
    told: &'a str,
    strategy: &'a str,
    database: &'a str,
    /// Which credentials are presented.
    key: bool,
    foreign_keys: bool,
    /// Checks that are wrong here.
    without: &'a str,
    /// The operations' tag, where not all of them are asked for.
    tag: Option<&'a str>,
}

// What is valid can depend on what is stored, which no schema says.
const VALIDITY: &str = "positive_data_acceptance";

pub(super) fn run(root: &Root) -> anyhow::Result<()> {
    let server = server(root, &["none", "named"])?;
    let programs = with_packages(root, "schemathesis", &PACKAGES, "60 MB")?;
    let config = root.join("tests/e2e/schemathesis.toml");
    let cluster = Cluster::start()?;
    let memory = "sqlite::memory:";
    // Nobody is refused for want of a credential where nobody needs one.
    let open = format!("{VALIDITY},ignored_auth");
    for case in [
        Case {
            told: "with every credential, on PostgreSQL",
            strategy: "named",
            database: &cluster.url,
            key: true,
            foreign_keys: true,
            without: VALIDITY,
            tag: None,
        },
        // By itself: services pause the sandbox that is called by.
        Case {
            told: "as a sandbox",
            strategy: "named",
            database: memory,
            key: false,
            foreign_keys: true,
            without: VALIDITY,
            tag: Some("sandboxes"),
        },
        Case {
            told: "as the local owner, with the keys of a sandbox and a service",
            strategy: "none",
            database: memory,
            key: false,
            foreign_keys: true,
            without: &open,
            tag: None,
        },
        Case {
            told: "without a credential",
            strategy: "named",
            database: memory,
            key: false,
            foreign_keys: false,
            without: VALIDITY,
            tag: None,
        },
    ] {
        println!("==> {}", case.told);
        case.run(&server, &programs, &config)?;
    }
    Ok(())
}

impl Case<'_> {
    fn run(&self, server: &Path, programs: &Path, config: &Path) -> anyhow::Result<()> {
        let mut server = Command::new(server)
            .args([self.strategy, self.database])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("the server cannot be started")?;
        let mut line = String::new();
        let out = server.stdout.take().context("the server has an output")?;
        BufReader::new(out).read_line(&mut line)?;
        let told: Told = serde_json::from_str(&line).context("the server says where it is")?;
        let mut check = Command::new(programs.join("schemathesis"));
        check
            .arg("--config-file")
            .arg(config)
            .args(["run", &format!("{}/openapi.json", told.url)])
            .args(["--max-examples", EXAMPLES, "--workers", "2", "--seed", "1"])
            .args(["--checks", "all", "--exclude-checks", self.without])
            // Nothing is written beside the sources.
            .current_dir(programs);
        let mut present = |header: &str, value: &str| {
            check.args(["--header", &format!("{header}: {value}")]);
        };
        if self.key {
            present("Authorization", &format!("Bearer {}", told.key));
        }
        if self.foreign_keys {
            present("X-Session-API-Key", &told.session_key);
            present("X-Service-API-Key", &told.service_key);
        }
        check.args(self.tag.iter().flat_map(|tag| ["--include-tag", tag]));
        let checked = succeed(&mut check);
        // It serves until its input ends.
        drop(server.stdin.take());
        server.wait()?;
        checked
    }
}
