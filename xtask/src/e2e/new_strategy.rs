//! `cargo xtask e2e new-strategy`: from `plugin new` to a server that asks the strategy.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    path::Path,
    process::{Child, Command, Stdio},
};

use anyhow::{Context as _, bail, ensure};

use crate::{
    guests,
    process::{cargo, cargo_with, succeed},
    root::{Root, built},
};

const NAME: &str = "my-strategy";

pub(super) fn run(root: &Root) -> anyhow::Result<()> {
    succeed(&mut cargo_with(root, &["build", "--package", "vestibule"]))?;
    let vestibule = built("debug", "vestibule")?;
    // Outside of the workspace, where nothing of it is found by chance.
    let folder =
        std::env::temp_dir().join(format!("vestibule-new-strategy-{}", std::process::id()));
    fs::create_dir_all(&folder)?;
    let done = through(&vestibule, &folder);
    let _ = fs::remove_dir_all(&folder);
    done
}

fn through(vestibule: &Path, folder: &Path) -> anyhow::Result<()> {
    succeed(Command::new(vestibule).args(["plugin", "new", NAME]).current_dir(folder))?;
    let project = folder.join(NAME);
    let again = Command::new(vestibule)
        .args(["plugin", "new", NAME])
        .current_dir(folder)
        .stderr(Stdio::null())
        .status()?;
    ensure!(again.code() == Some(2), "a folder that is there is not left alone");
    println!("==> its own tests");
    succeed(in_project(&project).args(["test", "--quiet"]))?;
    for toolchain in guests::toolchains() {
        println!("==> built with {toolchain}");
        succeed(in_project(&project).args(["xtask", "build", "--toolchain", &toolchain]))?;
        let mut kit = Command::new(vestibule);
        kit.current_dir(&project).args(["plugin", "test", "my-strategy.wasm"]);
        succeed(kit.args(["--settings", "settings.toml"]))?;
        serve(vestibule, &project)?;
    }
    Ok(())
}

/// Cargo as it is for somebody else: nothing of this build in its environment.
fn in_project(project: &Path) -> Command {
    let mut command = Command::new(cargo());
    command.current_dir(project);
    for name in ["CARGO_TARGET_DIR", "RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "CARGO_MANIFEST_DIR"] {
        command.env_remove(name);
    }
    command
}

/// Asks a server that runs the strategy who is calling.
fn serve(vestibule: &Path, project: &Path) -> anyhow::Result<()> {
    let config = "[server]\nlisten = '127.0.0.1:0'\n[database]\nurl = 'sqlite://my.db'\n\
                  [auth]\nstrategy = './my-strategy.wasm'\nsettings.people = ['ada']\n";
    fs::write(project.join("vestibule.toml"), config)?;
    let mut server = Command::new(vestibule)
        .arg("serve")
        .current_dir(project)
        .env("VESTIBULE_LOG", "info")
        .stderr(Stdio::piped())
        .spawn()?;
    let asked = ask(&mut server);
    let _ = server.kill();
    let _ = server.wait();
    asked
}

fn ask(server: &mut Child) -> anyhow::Result<()> {
    let errors = server.stderr.take().context("no standard error")?;
    let mut lines = BufReader::new(errors).lines();
    let address = loop {
        let Some(line) = lines.next().transpose()? else { bail!("the server does not listen") };
        if let Some((_, rest)) = line.split_once("listening address=") {
            break rest.trim().to_owned();
        }
    };
    for (header, expected) in
        [("x-remote-user: ada\r\n", "\"user_id\":\"ada\""), ("x-remote-user: eve\r\n", " 401 ")]
    {
        let mut stream = TcpStream::connect(&address)?;
        write!(
            stream,
            "GET /auth/session HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{header}\r\n"
        )?;
        let mut reply = String::new();
        stream.read_to_string(&mut reply)?;
        ensure!(reply.contains(expected), "{reply}");
    }
    println!("ada comes in, eve does not");
    Ok(())
}
