//! Traefik, built from its Go module, because no registry has it as a program.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, ensure};

use crate::{process::succeed, root::Root};

const MODULE: &str = "github.com/traefik/traefik/v3";
const VERSION: &str = "3.7.13";

/// The clients of some 200 DNS services, by which certificates can be had.
const DNS: &str = "github.com/go-acme/lego/v5/providers/dns";

/// Traefik below `target`. What routes a request, asks about it and passes it on is as it was
/// published.
pub(super) fn traefik(root: &Root) -> anyhow::Result<PathBuf> {
    let folder = root.join("target/traefik");
    let program = folder.join(format!("traefik-v{VERSION}"));
    if !fs::exists(&program)? {
        println!("building Traefik {VERSION} (minutes, and some 3 GB for Go, the first time)");
        let source = folder.join("source");
        let _ = fs::remove_dir_all(&source);
        fs::create_dir_all(&folder)?;
        // Go's own copy is not to be written to.
        copy(&fetched(&folder)?, &source)?;
        trim(root, &source)?;
        build(&source, &program)?;
        fs::remove_dir_all(&source)?;
    }
    Ok(program)
}

/// The module's source, held against Go's database of checksums.
fn fetched(folder: &Path) -> anyhow::Result<PathBuf> {
    let module = format!("{MODULE}@v{VERSION}");
    let fetch = Command::new("go")
        .args(["mod", "download", "-json", &module])
        .current_dir(folder)
        .stderr(Stdio::inherit())
        .output()
        .context("there is no Go")?;
    let told = String::from_utf8_lossy(&fetch.stdout);
    ensure!(fetch.status.success(), "Go does not get {module}: {told}");
    let told: serde_json::Value = serde_json::from_str(&told)?;
    told["Dir"].as_str().map(PathBuf::from).context("Go does not say where it is")
}

fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    let copy = ["--recursive", "--no-preserve=mode", "--no-target-directory"];
    succeed(Command::new("cp").args(copy).arg(from).arg(to))
}

/// Leaves out what needs modules that not every proxy hands out: the DNS services, and a fork
/// for checking passwords.
fn trim(root: &Root, source: &Path) -> anyhow::Result<()> {
    copy(&root.join("tests/e2e/traefik"), source)?;
    let user = source.join("pkg/provider/acme/provider.go");
    let text = fs::read_to_string(&user)?;
    ensure!(text.contains(DNS), "{} has no {DNS}", user.display());
    Ok(fs::write(&user, text.replace(DNS, &format!("{MODULE}/pkg/provider/acme/dns")))?)
}

fn build(source: &Path, program: &Path) -> anyhow::Result<()> {
    let version = format!("-s -w -X {MODULE}/pkg/version.Version={VERSION}");
    let build = ["go", "build", "-trimpath", "-buildvcs=false", "-ldflags", &version, "-o"];
    let mut nice = Command::new("nice");
    nice.args(build).arg(program).arg("./cmd/traefik");
    succeed(nice.current_dir(source).env("CGO_ENABLED", "0"))?;
    let told = Command::new(program).arg("version").output()?.stdout;
    let told = String::from_utf8_lossy(&told);
    ensure!(told.contains(VERSION), "this is no Traefik {VERSION}: {told}");
    Ok(())
}
