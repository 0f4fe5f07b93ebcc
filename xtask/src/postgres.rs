//! A PostgreSQL cluster that is thrown away after the tests.

use std::{
    env, fs,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{self, Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};

use crate::debian;

use crate::process::succeed;

/// How long a cluster may take to start.
const PATIENCE: Duration = Duration::from_mins(1);

/// The user who owns the cluster, within it.
const OWNER: &str = "vestibule";

/// A running cluster on loopback; dropping it ends it and deletes its files.
pub(crate) struct Cluster {
    /// What `cargo test` is told.
    pub(crate) url: String,
    folder: PathBuf,
    programs: PathBuf,
    server: Child,
}

impl Cluster {
    /// Installs PostgreSQL where it is missing, and starts a cluster.
    pub(crate) fn start() -> anyhow::Result<Self> {
        let programs = programs()?;
        let folder = env::temp_dir().join(format!("vestibule-postgres-{}", process::id()));
        fs::create_dir(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        if debian::is_root() {
            // PostgreSQL refuses to be root.
            succeed(Command::new("chown").arg("postgres").arg(&folder))?;
        }
        let data = folder.join("data");
        succeed(
            as_owner(&programs.join("initdb"))
                .arg("--pgdata")
                .arg(&data)
                .args(["--username", OWNER, "--auth", "trust", "--no-sync", "--encoding", "UTF8"])
                .stdout(Stdio::null()),
        )?;
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let server = as_owner(&programs.join("postgres"))
            .arg("-D")
            .arg(&data)
            .args(["-c", "listen_addresses=127.0.0.1", "-c", "max_connections=300"])
            // The machine is not what is tested here.
            .args(["-c", "fsync=off", "-c", &format!("port={port}")])
            .args(["-c", &format!("unix_socket_directories={}", folder.display())])
            .stdout(Stdio::null())
            .stderr(fs::File::create(folder.join("log"))?)
            .spawn()
            .context("cannot start postgres")?;
        let url = format!("postgres://{OWNER}@127.0.0.1:{port}/postgres");
        let cluster = Self { url, folder, programs, server };
        cluster.wait(port)?;
        println!("PostgreSQL listens on 127.0.0.1:{port} for the tests");
        Ok(cluster)
    }

    /// Where the files are, the log among them.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    fn wait(&self, port: u16) -> anyhow::Result<()> {
        let started = Instant::now();
        while started.elapsed() < PATIENCE {
            let ready = Command::new(self.programs.join("pg_isready"))
                .args(["--quiet", "--host", "127.0.0.1", "--port", &port.to_string()])
                .status()?;
            if ready.success() {
                return Ok(());
            }
            thread::sleep(Duration::from_millis(50));
        }
        let log = fs::read_to_string(self.folder.join("log")).unwrap_or_default();
        bail!("PostgreSQL does not start:\n{log}")
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        let stopped = as_owner(&self.programs.join("pg_ctl"))
            .args(["stop", "--mode", "immediate", "--silent", "--pgdata"])
            .arg(self.data())
            .status();
        if !stopped.is_ok_and(|status| status.success()) {
            let _ = self.server.kill();
        }
        let _ = self.server.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// The folder with PostgreSQL's programs, which Debian does not put on the path.
fn programs() -> anyhow::Result<PathBuf> {
    if let Some(found) = installed() {
        return Ok(found);
    }
    debian::install("PostgreSQL", "postgresql")?;
    installed().context("the package `postgresql` has no initdb below /usr/lib/postgresql")
}

fn installed() -> Option<PathBuf> {
    let versions = fs::read_dir("/usr/lib/postgresql").ok()?;
    let mut folders: Vec<PathBuf> = versions
        .filter_map(|entry| Some(entry.ok()?.path().join("bin")))
        .filter(|folder| folder.join("initdb").is_file())
        .collect();
    folders.sort();
    folders.pop()
}

/// A program as whoever may run a cluster.
fn as_owner(program: &Path) -> Command {
    if !debian::is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("runuser");
    command.args(["--user", "postgres", "--"]).arg(program).current_dir("/");
    command
}
