//! `cargo xtask run`: a server from nothing, in one command.

use std::{
    net::{SocketAddr, TcpStream},
    thread::sleep,
    time::Duration,
};

use anyhow::{Context as _, bail, ensure};
use clap::Args;

use crate::{
    guests,
    process::{cargo_with, succeed},
    root::{Root, built},
};

/// Builds what is missing and starts the server on the none strategy with an embedded SQLite.
#[derive(Args, Debug)]
pub(crate) struct Run {
    /// The port to listen on, on loopback.
    #[arg(long, default_value_t = 3000)]
    port: u16,
    /// Build with every optimisation: slower to build, as fast as what is shipped.
    #[arg(long)]
    release: bool,
}

impl Run {
    /// Serves until the server ends.
    pub(crate) fn run(&self, root: &Root) -> anyhow::Result<()> {
        let address = SocketAddr::from(([127, 0, 0, 1], self.port));
        ensure!(
            TcpStream::connect(address).is_err(),
            "something listens on {address} already; choose another port with --port"
        );
        guests::build(root, &guests::Selection::of(&["none"]))?;
        let mut build = cargo_with(root, &["build", "--package", "vestibule"]);
        if self.release {
            build.arg("--release");
        }
        println!("building the server (some minutes the first time)");
        succeed(&mut build)?;

        let data = root.join("target/run");
        std::fs::create_dir_all(&data)
            .with_context(|| format!("cannot make {}", data.display()))?;
        let database = data.join("vestibule.db");
        let binary = built(if self.release { "release" } else { "debug" }, "vestibule")?;
        let mut server = std::process::Command::new(&binary)
            .arg("serve")
            .arg("--config")
            .arg(root.join("examples/none.toml"))
            .env("VESTIBULE_SERVER_LISTEN", address.to_string())
            .env("VESTIBULE_PLUGINS_DIR", root.join("target/plugins"))
            .env("VESTIBULE_DATABASE_URL", format!("sqlite://{}", database.display()))
            .spawn()
            .with_context(|| format!("cannot start {}", binary.display()))?;
        loop {
            if let Some(status) = server.try_wait()? {
                bail!("the server ended before it listened ({status})");
            }
            if TcpStream::connect(address).is_ok() {
                break;
            }
            sleep(Duration::from_millis(20));
        }
        println!(
            "\nVestibule is at http://{address} (none strategy, database {}).\nTry:\n\
             \x20 curl http://{address}/auth/session\n\
             \x20 curl http://{address}/api/v1/users/me\n\
             \x20 curl -i -H 'Authorization: Bearer nonsense' http://{address}/auth/session\n\
             Stop it with Ctrl-C.\n",
            database.display()
        );
        let status = server.wait()?;
        // Ctrl-C reaches the server as well as this program.
        ensure!(status.success(), "the server ended with {status}");
        Ok(())
    }
}
